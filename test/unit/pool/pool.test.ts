import { expect, test, vi } from 'vitest';

import { allDrivers } from '../../../drivers/all.js';
import { MemoryDriver } from '../../../drivers/memory/driver.js';
import { log_chunk_bytes_max } from '../../../src/core/limits.js';
import type { ChunkKey, Driver } from '../../../src/driver/driver.js';
import { withFault } from '../../../src/driver/fault.js';
import { openPool, Pool, root_chunks_kept, type RootToPut } from '../../../src/pool/pool.js';
import { temporaryDirectory } from '../temporary_directory.js';
import { poolUuid, sampleRoot } from './samples.js';

const configuration = { name: 'default', driver: 'memory', settings: {}, poolUuid };
/** Tries again at once, for a moment. */
const impatient = { pauseMillisecondsFirst: 0, pauseMillisecondsMax: 0, deadlineMilliseconds: 50 };
const root: RootToPut = sampleRoot;
const at = (appliedSequence: number): RootToPut => ({ ...root, appliedSequence });

/** A pool over `driver`, which stays open when the pool is closed. */
function poolOver(driver: Driver, retry = impatient, time = 1000): Pool {
  return new Pool(configuration, { ...bound(driver), close: async () => undefined }, { retry, now: () => time });
}

function bound(driver: Driver): Driver {
  return {
    traits: driver.traits,
    put: (key, data) => driver.put(key, data),
    get: (key, offset, into) => driver.get(key, offset, into),
    stat: (key) => driver.stat(key),
    remove: (key) => driver.remove(key),
    list: (prefix) => driver.list(prefix),
    close: () => driver.close(),
  };
}

async function keysOf(driver: Driver): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of driver.list('')) keys.push(key);
  return keys.toSorted();
}

test('a root that was put is the first that is read, as it was given', async () => {
  const pool = poolOver(new MemoryDriver());
  await pool.putRoot(at(1));
  await pool.putRoot(at(2));
  const { roots, damaged } = await pool.readRoots(root.id);
  expect(damaged).toEqual([]);
  expect(roots.map(({ appliedSequence, number }) => ({ appliedSequence, number }))).toEqual([
    { appliedSequence: 2, number: 1001 },
    { appliedSequence: 1, number: 1000 },
  ]);
  expect(roots[0]).toEqual({ ...sampleRoot, appliedSequence: 2, number: 1001, writtenAt: 1000 });
});

test('numbers go on where an earlier process ended', async () => {
  const driver = new MemoryDriver();
  const before = poolOver(driver);
  await before.putRoot(at(1));
  await before.putRoot(at(2));
  await before.close();
  expect((await poolOver(driver).readRoots(root.id)).roots[0]).toMatchObject({ appliedSequence: 2 });
  const after = poolOver(driver);
  await after.putRoot(at(3));
  expect((await after.readRoots(root.id)).roots.map(({ appliedSequence }) => appliedSequence)).toEqual([3, 2, 1]);
});

test('what an earlier process had on its way goes over nothing when it comes late', async () => {
  const driver = new MemoryDriver();
  const late: { readonly key: ChunkKey; readonly data: Uint8Array }[] = [];
  const holdsBack: Driver = { ...bound(driver), put: async (key, data) => void late.push({ key, data: Uint8Array.from(data) }) };
  const before = poolOver(holdsBack);
  await before.putRoot(at(1));
  await before.putRoot(at(2));
  await poolOver(driver, impatient, 2000).putRoot(at(3));
  for (const { key, data } of late) await driver.put(key, data);
  expect((await poolOver(driver).readRoots(root.id)).roots.map(({ appliedSequence }) => appliedSequence)).toEqual([3, 2, 1]);
});

test('where lists are late, a number that one does not show yet is not given again', async () => {
  const memory = new MemoryDriver();
  const late = { ...bound(memory), traits: { ...memory.traits, listsLate: true } };
  const nothingYet: Driver = { ...late, async *list() {} };
  const open = (driver: Driver, time: number): Pool => new Pool(configuration, driver, { retry: impatient, now: () => time });
  const key = await open(late, 1000).putRoot(at(1));
  expect(await open(nothingYet, 2000).putRoot(at(2))).not.toBe(key);
  expect((await open(late, 3000).readRoots(root.id)).roots[0]).toMatchObject({ appliedSequence: 2 });
});

test('superseded root chunks are let go, the newest stay', async () => {
  const driver = new MemoryDriver();
  const pool = poolOver(driver);
  for (let sequence = 1; sequence <= 10; sequence += 1) await pool.putRoot(at(sequence));
  // Nobody waits for that, so it may be a moment later.
  await vi.waitFor(async () => expect(await keysOf(driver)).toHaveLength(root_chunks_kept));
  expect((await pool.readRoots(root.id)).roots.map(({ appliedSequence }) => appliedSequence)).toEqual([10, 9, 8]);
});

test('roots of a higher fence are the newer ones, whatever their number', async () => {
  const driver = new MemoryDriver();
  const pool = poolOver(driver);
  await pool.putRoot({ ...at(50), fence: 9 });
  await pool.putRoot({ ...at(60), fence: 2 });
  expect((await pool.readRoots(root.id)).roots[0]).toMatchObject({ fence: 9, appliedSequence: 50 });
});

test('puts at once for one resource take effect in order', async () => {
  const pool = poolOver(new MemoryDriver());
  await Promise.all(Array.from({ length: 10 }, (_, index) => pool.putRoot(at(index))));
  expect((await pool.readRoots(root.id)).roots[0]?.appliedSequence).toBe(9);
});

test('a put whose answer was lost for good does not stand in the way of the next', async () => {
  const faulty = withFault(new MemoryDriver(), { seed: 1, rules: [{ verb: 'put', fault: 'after', times: 1 }] });
  const pool = poolOver(faulty, { ...impatient, deadlineMilliseconds: 0 });
  await expect(pool.putRoot(at(1))).rejects.toMatchObject({ code: 'io' });
  await pool.putRoot(at(2));
  expect((await pool.readRoots(root.id)).roots.map(({ appliedSequence }) => appliedSequence)).toEqual([2, 1]);
});

test('a root chunk that rotted is named, and the others are read', async () => {
  const driver = new MemoryDriver();
  const pool = poolOver(driver);
  const first = await pool.putRoot(at(1));
  await pool.putRoot(at(2));
  await driver.remove(first);
  await driver.put(first, new Uint8Array(100));
  const { roots, damaged } = await pool.readRoots(root.id);
  expect(roots.map(({ appliedSequence }) => appliedSequence)).toEqual([2]);
  expect(damaged).toEqual([expect.stringContaining(first)]);
});

test('a tombstone stays when it is put again, and the roots go', async () => {
  const driver = new MemoryDriver();
  const pool = poolOver(driver);
  await pool.putRoot(at(1));
  expect(await pool.readTombstone(root.id)).toBeNull();
  await pool.putTombstone({ id: root.id, kind: 'snapshot', name: root.name });
  await pool.putTombstone({ id: root.id, kind: 'snapshot', name: 'another' });
  expect(await pool.readTombstone(root.id)).toMatchObject({ id: root.id, name: root.name, deletedAt: 1000 });
  expect(await keysOf(driver)).toEqual(['tomb/0000000000001234']);
});

test('health tells of the backend, and of nothing that was the caller’s fault', async () => {
  const faulty = withFault(new MemoryDriver(), { seed: 1 });
  const pool = poolOver(faulty);
  expect(pool.health().state).toBe('unknown');
  await pool.check();
  expect(pool.health()).toMatchObject({ state: 'ok', lastSuccessAt: 1000 });
  const heal = faulty.inject({ fault: 'before', code: 'unavailable' });
  await expect(pool.check()).rejects.toMatchObject({ code: 'unavailable' });
  expect(pool.health()).toMatchObject({ state: 'failing', failuresInARow: 1, lastFailure: { code: 'unavailable' } });
  heal();
  const bad = '../x' as ChunkKey;
  await expect(pool.chunks.stat(bad)).rejects.toMatchObject({ code: 'invalid' });
  expect(pool.health().state).toBe('failing');
  await pool.check();
  expect(pool.health()).toMatchObject({ state: 'ok', failures: 1, failuresInARow: 0 });
});

test('a pool is opened from its record, with the traits of its driver', async () => {
  const directory = temporaryDirectory();
  const pool = await openPool({ ...configuration, driver: 'local', settings: { directory } }, { registry: allDrivers });
  expect(pool.traits.directPath).toEqual({ directory });
  await pool.putRoot(at(1));
  await pool.close();
  await expect(pool.putRoot(at(2))).rejects.toMatchObject({ code: 'closed' });
  const again = await openPool({ ...configuration, driver: 'local', settings: { directory } }, { registry: allDrivers });
  expect((await again.readRoots(root.id)).roots).toHaveLength(1);
  await again.close();
});

test('who asks again by itself hears of an outage in seconds, a root is waited for ten times as long, and closing ends both', async () => {
  const away = withFault(new MemoryDriver(), { seed: 1, rules: [{ fault: 'before', code: 'unavailable' }] });
  const pool = new Pool(configuration, away);
  let ended = false;
  const putting = expect(pool.putRoot(at(1))).rejects.toMatchObject({ code: 'closed' });
  void putting.finally(() => {
    ended = true;
  });
  await expect(pool.hasty.stat('packs/x' as ChunkKey)).rejects.toMatchObject({ code: 'unavailable' });
  expect(ended).toBe(false);
  await pool.close();
  await putting;
});

test('a pool whose daemon ends tries nothing again, and makes each call once all the same', async () => {
  const giveUp = new AbortController();
  giveUp.abort();
  const driver = new MemoryDriver();
  const faulty = withFault(driver, { seed: 1, rules: [{ verb: 'put', fault: 'before', code: 'unavailable', times: 1 }] });
  const pool = new Pool(configuration, faulty, { giveUp: giveUp.signal });
  await expect(pool.putRoot(at(1))).rejects.toMatchObject({ code: 'unavailable' });
  await pool.putRoot(at(2));
  expect((await pool.readRoots(root.id)).roots).toHaveLength(1);
  await pool.close();
});

test('a pool whose backend takes no chunk as large as those of a log says so, and what to do', () => {
  const driver = new MemoryDriver();
  const traits = (chunkBytesMax: number) => ({
    ...bound(driver),
    traits: { ...driver.traits, chunkBytesMax },
    close: async () => undefined,
  });
  expect(() => new Pool(configuration, traits(log_chunk_bytes_max)).mustTakeLogs()).not.toThrow();
  expect(() => new Pool(configuration, traits(1 << 20)).mustTakeLogs()).toThrow(
    /1048576 bytes at once.*4194304.*--durability local/,
  );
});
