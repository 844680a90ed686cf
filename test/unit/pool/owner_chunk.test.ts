import { expect, test } from 'vitest';

import { MemoryDriver } from '../../../drivers/memory/driver.js';
import { claimPool, decodeOwnerChunk, encodeOwnerChunk, ownerKey, readOwnership } from '../../../src/pool/owner_chunk.js';
import { ChunkCipher } from '../../../src/pool/pool_secrets.js';
import { hexLines, readGolden } from '../golden.js';
import { poolUuid } from './samples.js';

const golden = readGolden(new URL('golden/owner_chunk_v1.hex', import.meta.url));
const one = { id: '0d3f4a52-7f1e-4a51-9a55-3f6f3f1c2b10', host: 'alpha', directory: '/var/lib/skerry' };
const other = { id: '9b8a7c6d-0e1f-4a2b-8c3d-4e5f60718293', host: 'beta', directory: '/srv/skerry' };
const chunk = { ...one, poolUuid, number: 3, since: 1_700_000_000_123 };
const identity = { poolUuid, cipher: null };
const now = 1_700_000_000_456;

test('an owner chunk is read, and written as it always was', () => {
  expect(decodeOwnerChunk(golden)).toEqual(chunk);
  expect(hexLines(encodeOwnerChunk(chunk))).toBe(hexLines(golden));
});

test('a pool that is nobody’s is claimed once, and stays with who has it', async () => {
  const driver = new MemoryDriver();
  await claimPool(driver, { own: one, identity, now });
  await claimPool(driver, { own: one, identity, now: now + 1 });
  expect((await readOwnership(driver, identity)).owner).toEqual({ ...one, poolUuid, number: 1, since: now });
  await expect(claimPool(driver, { own: other, identity, now })).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('/var/lib/skerry on host alpha'),
  });
});

test('one that is taken over is the other’s from then on, and the one before is told so', async () => {
  const driver = new MemoryDriver();
  await claimPool(driver, { own: one, identity, now });
  await claimPool(driver, { own: other, identity, now, takeOver: true });
  expect(await readOwnership(driver, identity)).toMatchObject({
    owner: { id: other.id, number: 2 },
    keys: [ownerKey(2), ownerKey(1)],
  });
  await expect(claimPool(driver, { own: one, identity, now })).rejects.toMatchObject({ code: 'conflict' });
  await claimPool(driver, { own: one, identity, now, takeOver: true });
  expect((await readOwnership(driver, identity)).keys).toEqual([ownerKey(3), ownerKey(2)]);
});

test('who was moved says where it is now', async () => {
  const driver = new MemoryDriver();
  await claimPool(driver, { own: one, identity, now });
  await claimPool(driver, { own: { ...one, directory: '/srv/moved' }, identity, now });
  expect((await readOwnership(driver, identity)).owner).toMatchObject({ id: one.id, directory: '/srv/moved', number: 2 });
  // A daemon that had it meanwhile is served from a copy of the data directory, or this one is.
  await expect(claimPool(driver, { own: one, identity, now, held: true })).rejects.toMatchObject({ code: 'conflict' });
});

test('who needs a chunk of this life puts one, and is no other for it', async () => {
  const driver = new MemoryDriver();
  expect(await claimPool(driver, { own: one, identity, now })).toEqual({ number: 1, fresh: true });
  expect(await claimPool(driver, { own: one, identity, now, held: true })).toEqual({ number: 1, fresh: false });
  expect(await claimPool(driver, { own: one, identity, now, held: true, renew: true })).toEqual({ number: 2, fresh: true });
  await expect(claimPool(driver, { own: other, identity, now, renew: true })).rejects.toMatchObject({ code: 'conflict' });
});

test('of two who come at the same time at most one believes that it has the pool', async () => {
  const driver = new MemoryDriver();
  // The second one's chunk takes the place of the first one's between its put and its look, as on a backend that lets a key be written again.
  const overtaken = {
    get: driver.get.bind(driver),
    list: driver.list.bind(driver),
    remove: driver.remove.bind(driver),
    put: async () => driver.put(ownerKey(1), encodeOwnerChunk({ ...other, poolUuid, number: 1, since: now })),
  };
  await expect(claimPool(overtaken, { own: one, identity, now })).rejects.toMatchObject({ code: 'conflict' });
  await claimPool(driver, { own: other, identity, now });
});

test('lists that are late hide nobody: neither who has the pool, nor that it was taken over', async () => {
  const driver = new MemoryDriver();
  const late = {
    get: driver.get.bind(driver),
    put: driver.put.bind(driver),
    remove: driver.remove.bind(driver),
    list: async function* () {},
  };
  await claimPool(late, { own: one, identity, now });
  await claimPool(late, { own: one, identity, now });
  expect(await readOwnership(late, identity)).toMatchObject({ owner: { id: one.id }, numberMax: 1 });
  await expect(claimPool(late, { own: other, identity, now })).rejects.toMatchObject({ code: 'conflict' });
});

test('one that is damaged, or another pool’s, is told and not believed', async () => {
  const driver = new MemoryDriver();
  await driver.put(ownerKey(2), encodeOwnerChunk({ ...chunk, number: 2 }));
  await driver.put(ownerKey(4), encodeOwnerChunk({ ...chunk, number: 4, poolUuid: new Uint8Array(16) }));
  await driver.put(ownerKey(5), golden.subarray(0, 40));
  const found = await readOwnership(driver, identity);
  expect(found).toMatchObject({ owner: { number: 2 }, numberMax: 5 });
  expect(found.damaged).toHaveLength(2);
});

test('that of an encrypted pool tells nothing without its key', async () => {
  const driver = new MemoryDriver();
  const cipher = new ChunkCipher(new Uint8Array(32).fill(5));
  await claimPool(driver, { own: one, identity: { poolUuid, cipher }, now });
  const into = new Uint8Array(4096);
  const bytes = (await driver.get(ownerKey(1), 0, into)) ?? 0;
  expect(Buffer.from(into.subarray(0, bytes)).includes('alpha')).toBe(false);
  expect((await readOwnership(driver, { poolUuid, cipher })).owner).toMatchObject(one);
  expect((await readOwnership(driver, identity)).owner).toBeNull();
});
