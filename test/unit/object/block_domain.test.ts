import { setImmediate } from 'node:timers/promises';

import { expect, test } from 'vitest';

import { block_bytes } from '../../../src/core/limits.js';
import { domainOfAccount } from '../../../src/identity/accounts.js';
import type { Shelves } from '../../../src/mapper/shelves.js';
import { ShelfSpace } from '../../../src/object/shelf_space.js';
import { MemoryCatalog } from '../../harness/memory_catalog.ts';
import { ObjectWorld, once, pattern } from '../../harness/object_world.ts';

const attributes = { owner: 1 };

async function world(): Promise<ObjectWorld> {
  const made = await ObjectWorld.open({ blockDomain: domainOfAccount });
  await made.layer.buckets.create({ name: 'bucket', account: 1, pool: 'default' });
  await made.layer.buckets.create({ name: 'far', account: 1, pool: 'away' });
  return made;
}

/** Of all shelves that an extent is in: pools and domains. */
async function places(made: ObjectWorld): Promise<unknown[]> {
  const shelves = new Set(made.catalog.keys('extent/').map((key) => Number.parseInt(key.split('/')[1] ?? '', 16)));
  return [...shelves].map((shelf) => made.places.get(shelf));
}

test('each account has domains and shelves of its own, and so have all whom nobody knows', async () => {
  const made = await world();
  const { objects } = made.layer;
  const bytes = block_bytes + 1;
  const put = (key: string, by: { account?: number }) =>
    objects.put({ bucket: 'bucket', key, content: once(pattern(bytes, 1)), bytes, attributes, ...by });
  await put('a', { account: 1 });
  expect(await places(made)).toEqual([{ pool: 'default', domain: domainOfAccount(1) }]);
  await put('b', { account: 1 });
  expect(made.places.size).toBe(1);
  // Into a bucket of another one: what is found there by its content is what the writer brought before.
  await put('c', { account: 2 });
  await put('d', {});
  expect((await places(made)).slice(1)).toEqual([
    { pool: 'default', domain: domainOfAccount(2) },
    { pool: 'default', domain: domainOfAccount(null) },
  ]);
  expect(new Set([1, 2, null].map(domainOfAccount)).size).toBe(3);
  await made.layer.takeBack();
  expect(await made.audit()).toEqual([]);
});

test('bodies of every length that are the first of an account, all at once, lie in one shelf', async () => {
  const catalog = new MemoryCatalog();
  let made = 0;
  const make: Shelves['make'] = async (_place, also) => {
    const id = (made += 1);
    await setImmediate();
    await catalog.transact([], also(id));
    return id;
  };
  const engine = { flush: async () => undefined };
  const space = new ShelfSpace({ catalog, engine, shelves: { make }, log: () => undefined });
  const place = { pool: 'default', domain: domainOfAccount(1) };
  const all = await Promise.all([5000, block_bytes, 32 << 20].map((bytes) => space.allocate(place, bytes)));
  expect(new Set(all.map(({ shelf }) => shelf))).toEqual(new Set([1]));
  expect(made).toBe(1);
  expect((await space.allocate({ ...place, domain: null }, 5000)).shelf).toBe(2);
});

test('parts are of who brings them, and so are copies that have to be stored again', async () => {
  const made = await world();
  const { objects, uploads, copies } = made.layer;
  const name = { bucket: 'bucket', key: 'a' };
  const uploadId = await uploads.create({ ...name, attributes });
  const part = { number: 1, content: once(pattern(5000, 1)), bytes: 5000, account: 2 };
  const { number, etag } = await uploads.putPart({ ...name, uploadId, ...part });
  await uploads.complete({ ...name, uploadId, parts: [{ number, etag }] });
  expect(await places(made)).toEqual([{ pool: 'default', domain: domainOfAccount(2) }]);
  await copies.copy({ bucket: 'bucket', key: 'shared', from: name, owner: 3, account: 3 });
  expect(made.places.size).toBe(1);
  await copies.copy({ bucket: 'far', key: 'stored', from: name, owner: 3, account: 3 });
  expect((await places(made)).slice(1)).toEqual([{ pool: 'away', domain: domainOfAccount(3) }]);
  const opened = await objects.open({ bucket: 'far', key: 'stored' });
  expect(opened.outcome).toBe('opened');
  if (opened.outcome === 'opened') opened.object.close();
});

test('what lies in a shelf of all stays there, and what comes later lies elsewhere', async () => {
  const made = await ObjectWorld.open();
  await made.layer.buckets.create({ name: 'bucket', account: 1, pool: 'default' });
  const put = (key: string) =>
    made.layer.objects.put({ bucket: 'bucket', key, content: once(key), bytes: key.length, attributes, account: 1 });
  await put('before');
  await made.start({ blockDomain: domainOfAccount });
  await put('later');
  expect(await places(made)).toEqual([
    { pool: 'default', domain: null },
    { pool: 'default', domain: domainOfAccount(1) },
  ]);
  await made.layer.takeBack();
  expect(await made.audit()).toEqual([]);
});
