/** Large objects of two accounts, over a real daemon: each finds its own blocks again, and neither learns what the other has. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { NewKeyView, PoolView, UsageView } from '../../src/api/shapes.js';
import { must } from '../harness/command.ts';
import { pattern } from '../harness/object_world.ts';
import { sdkClient, serving, type Serving } from '../harness/s3_serving.ts';

const MiB = 1 << 20;
const bytes = 8 * MiB;
const body = Buffer.from(pattern(bytes, 1));

let world: Serving;
beforeEach(async () => {
  world = await serving({ usageUniqueSeconds: 1 });
});
afterEach(() => world.daemon.destroy());

const bucketOf = (account: string): string => `of-${account}`;

async function put(client: S3Client, account: string, Key: string): Promise<void> {
  await client.send(new PutObjectCommand({ Bucket: bucketOf(account), Key, Body: body }));
}

/** When what was put is in blocks: to make a volume of an object has its shelf destaged. The volume reads as the object does. */
async function storedBytes(account: string, key: string): Promise<number> {
  const { daemon } = world;
  const name = `${account}-${key}`;
  await daemon.json('volume', 'create', name, '--from', `s3://${bucketOf(account)}/${key}`);
  await daemon.json('volume', 'delete', name);
  return (await daemon.json<PoolView>('pool', 'show', 'default')).storedBytes;
}

async function read(client: S3Client, account: string, Key: string): Promise<boolean> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket: bucketOf(account), Key }));
  return body.equals((await Body?.transformToByteArray()) ?? new Uint8Array());
}

it('what an account puts again stores nothing, what another one puts is stored, and gc, check and recover go by the pool alone', async () => {
  const { daemon } = world;
  const alice = sdkClient(world);
  await daemon.ok('account', 'create', 'bob');
  const key = await daemon.json<NewKeyView>('key', 'create', 'bob');
  const bob = sdkClient({ ...world, key });
  await alice.send(new CreateBucketCommand({ Bucket: bucketOf('alice') }));
  await bob.send(new CreateBucketCommand({ Bucket: bucketOf('bob') }));

  await put(alice, 'alice', 'first');
  const first = await storedBytes('alice', 'first');
  expect(first).toBeGreaterThan(bytes);
  await put(alice, 'alice', 'again');
  const again = await storedBytes('alice', 'again');
  expect(again - first).toBeLessThan(0.1 * bytes);
  await put(bob, 'bob', 'first');
  const other = await storedBytes('bob', 'first');
  expect(other - again).toBeGreaterThan(0.9 * bytes);
  await put(bob, 'bob', 'again');
  expect((await storedBytes('bob', 'again')) - other).toBeLessThan(0.1 * bytes);

  // Each of them has what is distinct of its own in its usage, once.
  for (const account of ['alice', 'bob']) {
    const unique = async (): Promise<number> => {
      const { slices } = await daemon.json<UsageView>('usage', account, '--by', 'all');
      return slices.find(({ bucket }) => bucket === '')?.uniqueBytes ?? 0;
    };
    await expect.poll(unique, { interval: 500 }).toBe(bytes);
  }

  // What one of them gives up the other keeps, and a collection that moves it keeps it in its domain.
  await daemon.ok('pool', 'gc', 'default');
  expect(await daemon.json('pool', 'scrub', 'default')).toMatchObject({ state: 'done', damaged: 0 });
  await daemon.kill('SIGKILL');
  await daemon.start();
  const later = { ...world, endpoint: `http://${daemon.ready?.listeners['s3']}` };
  const [alice2, bob2] = [sdkClient(later), sdkClient({ ...later, key })];
  for (const name of ['first', 'again']) {
    expect(await read(alice2, 'alice', name)).toBe(true);
    expect(await read(bob2, 'bob', name)).toBe(true);
  }
  const before = (await daemon.json<PoolView>('pool', 'show', 'default')).storedBytes;
  await put(bob2, 'bob', 'later');
  expect((await storedBytes('bob', 'later')) - before).toBeLessThan(0.1 * bytes);

  // Blocks of both accounts, and those of no account, in volumes that outlive the catalog.
  for (const account of ['alice', 'bob'])
    await daemon.ok('volume', 'create', `kept-${account}`, '--from', `s3://${bucketOf(account)}/first`);
  await daemon.kill('SIGTERM');
  expect(await daemon.json('pool', 'check', '--deep')).toMatchObject({ healthy: true });
  rmSync(join(daemon.directory, 'catalog'), { recursive: true });
  await daemon.ok('pool', 'recover');
  await daemon.start();
  for (const account of ['alice', 'bob']) {
    const file = join(daemon.directory, account);
    await must('nbdcopy', [await daemon.uri(`kept-${account}`), file]);
    expect(readFileSync(file).equals(body)).toBe(true);
  }
  expect(await daemon.json('pool', 'scrub', 'default')).toMatchObject({ state: 'done', damaged: 0 });
});
