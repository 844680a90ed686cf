/** Small objects that come again, over a real daemon: nothing of them is stored, and each is what was put. */
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { NewKeyView, PoolView } from '../../src/api/shapes.js';
import { pattern } from '../harness/object_world.ts';
import { sdkClient, serving, type Serving } from '../harness/s3_serving.ts';

const block_bytes = 65_536;
/** Below a block, each of a content of its own. */
const bodies = Array.from({ length: 200 }, (_, index) => Buffer.from(pattern(4096 * (1 + (index % 15)), index + 2)));
const bytes = bodies.reduce((all, { length }) => all + length, 0);
const order = bodies.map((_, index) => index);
const another = order.toSorted((a, b) => ((a * 7919) % bodies.length) - ((b * 7919) % bodies.length));

let world: Serving;
beforeEach(async () => {
  world = await serving();
});
afterEach(() => world.daemon.destroy());

async function putAll(client: S3Client, Bucket: string, prefix: string, indexes: readonly number[]): Promise<void> {
  const left = [...indexes];
  const lane = async (): Promise<void> => {
    for (let index = left.pop(); index !== undefined; index = left.pop())
      await client.send(new PutObjectCommand({ Bucket, Key: `${prefix}/${index}`, Body: bodies[index] ?? '' }));
  };
  await Promise.all(Array.from({ length: 8 }, lane));
}

/** When all that was put is in blocks: to make a volume of an object of whole blocks has the shelf destaged. */
async function poolBytes(client: S3Client, Bucket: string, name: string): Promise<number> {
  await client.send(new PutObjectCommand({ Bucket, Key: name, Body: pattern(block_bytes, 1) }));
  await world.daemon.json('volume', 'create', name, '--from', `s3://${Bucket}/${name}`);
  await world.daemon.json('volume', 'delete', name);
  return (await world.daemon.json<PoolView>('pool', 'show', 'default')).storedBytes;
}

it('what an account puts again, in another order, stores nothing, and what another account puts is stored', async () => {
  const { daemon } = world;
  const client = sdkClient(world);
  await client.send(new CreateBucketCommand({ Bucket: 'of-alice' }));
  await putAll(client, 'of-alice', 'first', order);
  const first = await poolBytes(client, 'of-alice', 'one');
  await putAll(client, 'of-alice', 'again', another);
  const again = await poolBytes(client, 'of-alice', 'two');
  expect((again - first) / bytes).toBeLessThanOrEqual(0.01);
  await daemon.ok('account', 'create', 'bob');
  const key = await daemon.json<NewKeyView>('key', 'create', 'bob');
  const other = sdkClient({ ...world, key });
  await other.send(new CreateBucketCommand({ Bucket: 'of-bob' }));
  await putAll(other, 'of-bob', 'first', another);
  expect((await poolBytes(other, 'of-bob', 'three')) - again).toBeGreaterThan(0.9 * bytes);
  await daemon.kill('SIGKILL');
  await daemon.start();
  const later = sdkClient({ ...world, endpoint: `http://${daemon.ready?.listeners['s3']}` });
  for (const index of order) {
    const { Body } = await later.send(new GetObjectCommand({ Bucket: 'of-alice', Key: `again/${index}` }));
    const found = (await Body?.transformToByteArray()) ?? new Uint8Array();
    expect(bodies[index]?.equals(found), `again/${index} is what was put`).toBe(true);
  }
});
