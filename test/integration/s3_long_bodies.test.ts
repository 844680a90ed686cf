/**
 * Bodies that are put at once and are many times as long as the journal: they become blocks while they come, so they take no more of it than
 * it has.
 */
import { createHash } from 'node:crypto';
import { request, type ClientRequest } from 'node:http';

import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { CollectionView, PoolView } from '../../src/api/shapes.js';
import { S3Requests } from '../harness/s3_requests.ts';
import { sdkClient, serving, type Serving } from '../harness/s3_serving.ts';

const MiB = 1 << 20;
const Bucket = 'disks';
const body_bytes = 512 * MiB;
const sent_bytes = 400 * MiB;
const journal_bytes = 64 * MiB;
const pack_bytes = 64 * MiB;

let world: Serving;
let requests: S3Requests;
beforeEach(async () => {
  world = await serving({ journalBytesMax: journal_bytes });
  requests = new S3Requests(world.endpoint.slice('http://'.length), world.key);
  await sdkClient(world).send(new CreateBucketCommand({ Bucket }));
});
afterEach(() => world.daemon.destroy());

/** Of a body that no two blocks of are the same, and that is made again as often as it is wanted. */
function* pieces(seed: number, bytes: number): Generator<Buffer> {
  for (let at = 0; at < bytes; at += MiB) {
    const piece = Buffer.alloc(Math.min(MiB, bytes - at));
    for (let offset = 0; offset < piece.length; offset += 4096) {
      const page = createHash('sha512')
        .update(`${seed} ${at + offset}`)
        .digest();
      for (let fill = offset; fill < Math.min(offset + 4096, piece.length); fill += page.length) page.copy(piece, fill);
    }
    yield piece;
  }
}

function sumOf(seed: number, bytes: number): string {
  const sum = createHash('sha256');
  for (const piece of pieces(seed, bytes)) sum.update(piece);
  return sum.digest('hex');
}

interface Sending {
  readonly outgoing: ClientRequest;
  /** The status; null where nobody answered. */
  readonly answered: Promise<number | null>;
}

/** Says how long the body is, and sends `bytes` of it. */
async function send(key: string, seed: number, bytes: number): Promise<Sending> {
  const [host = '', port = ''] = world.endpoint.slice('http://'.length).split(':');
  const path = await requests.presigned('PUT', `/${Bucket}/${key}`);
  const outgoing = request({ host, port, method: 'PUT', path, headers: { 'content-length': body_bytes } });
  const answered = new Promise<number | null>((resolve) => {
    outgoing.on('response', (answer) => answer.resume().on('end', () => resolve(answer.statusCode ?? 0)));
    outgoing.on('error', () => resolve(null));
  });
  for (const piece of pieces(seed, bytes))
    if (!outgoing.write(piece)) await new Promise((resolve) => outgoing.once('drain', resolve));
  return { outgoing, answered };
}

async function got(key: string): Promise<string> {
  const path = await requests.presigned('GET', `/${Bucket}/${key}`);
  const sum = createHash('sha256');
  for await (const piece of (await fetch(`${world.endpoint}${path}`)).body ?? []) sum.update(piece as Uint8Array);
  return sum.digest('hex');
}

const storedBytes = async (): Promise<number> => (await world.daemon.json<PoolView>('pool', 'show', 'default')).storedBytes;

it('a body of eight journals is put, and read as it was sent', async () => {
  const { outgoing, answered } = await send('disk', 1, body_bytes);
  outgoing.end();
  expect(await answered).toBe(200);
  expect(await got('disk')).toBe(sumOf(1, body_bytes));
});

it.each(['client', 'daemon'])('of a body whose %s is gone before its end nothing stays', async (who) => {
  const { daemon } = world;
  const { outgoing, answered } = await send('disk', 2, sent_bytes);
  // The last of them are on their way still.
  await expect.poll(storedBytes).toBeGreaterThan(sent_bytes / 2);
  if (who === 'client') outgoing.destroy();
  else await daemon.kill('SIGKILL');
  expect(await answered).toBe(null);
  if (who === 'daemon') await daemon.start();
  const collected = async (): Promise<number> => {
    expect(await daemon.json<CollectionView>('pool', 'gc')).toMatchObject({ state: 'done' });
    return storedBytes();
  };
  // The newest pack stays, whatever is in it.
  await expect.poll(collected, { interval: 500 }).toBeLessThan(pack_bytes);
});
