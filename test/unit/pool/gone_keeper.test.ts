import { expect, test } from 'vitest';

import { MemoryDriver } from '../../../drivers/memory/driver.js';
import type { ChunkStat, Driver } from '../../../src/driver/driver.js';
import { withFault } from '../../../src/driver/fault.js';
import { decodeGoneChunk, encodeGoneChunk, goneKey, readLastGone } from '../../../src/pool/gone_chunk.js';
import { GoneKeeper } from '../../../src/pool/gone_keeper.js';
import { ChunkCipher } from '../../../src/pool/pool_secrets.js';
import { hexLines, readGolden } from '../golden.js';
import { poolUuid } from './samples.js';

const golden = readGolden(new URL('golden/gone_chunk_v1.hex', import.meta.url));
const chunk = { poolUuid, owner: 3, number: 0x1234, list: Uint8Array.of(1, 2, 3, 255) };
const identity = { poolUuid, cipher: null };

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

/** A data directory that has the pool; `owner` is the number of its owner chunk. */
function host(chunks: Driver, owner: number): GoneKeeper {
  return new GoneKeeper({ identity, chunks, look: async () => owner });
}

async function listed(driver: Driver): Promise<readonly ChunkStat[]> {
  const chunks: ChunkStat[] = [];
  for await (const chunk of driver.list('')) chunks.push(chunk);
  return chunks;
}

async function keysOf(driver: Driver): Promise<readonly string[]> {
  return (await listed(driver)).map(({ key }) => key).toSorted();
}

test('a list of what is gone is read, and written as it always was', () => {
  expect(decodeGoneChunk(golden)).toEqual(chunk);
  expect(hexLines(encodeGoneChunk(chunk))).toBe(hexLines(golden));
});

test('the next host begins with the last list of the last one that kept any, and goes over none of them', async () => {
  const driver = new MemoryDriver();
  expect(await host(driver, 1).open()).toBeNull();
  for (const number of [1, 2, 3, 4]) await host(driver, 1).keep(number, bytes(number));
  // The one before the last stays, for a list of the backend that is late.
  expect(await keysOf(driver)).toEqual([3, 4].map((number) => goneKey({ owner: 1, number })));
  const second = host(driver, 3);
  expect(await second.open()).toEqual(bytes(4));
  await second.keep(1, bytes(4, 5));
  expect(await keysOf(driver)).toEqual([goneKey({ owner: 3, number: 1 })]);
  // One that comes now is of a host that asked for nothing by it.
  await driver.put(goneKey({ owner: 1, number: 5 }), encodeGoneChunk({ poolUuid, owner: 1, number: 5, list: bytes(9) }));
  expect(await host(driver, 4).open()).toEqual(bytes(4, 5));
});

test('what was put under a number is put again as it was, and never otherwise', async () => {
  const driver = new MemoryDriver();
  const keeper = host(driver, 1);
  await keeper.keep(1, bytes(1));
  // A backend that takes nothing any more has it all the same.
  const full = withFault(driver, { seed: 1, rules: [{ verb: 'put', fault: 'before', code: 'no-space' }] });
  await host(full, 1).keep(1, bytes(1));
  await expect(keeper.keep(1, bytes(2))).rejects.toMatchObject({ code: 'corrupt' });
  await expect(host(full, 1).keep(2, bytes(2))).rejects.toMatchObject({ code: 'no-space' });
});

test('a daemon whose pool was taken over while it put a list does not hear that it stands', async () => {
  const driver = new MemoryDriver();
  let owner = 1;
  const keeper = new GoneKeeper({ identity, chunks: driver, look: async () => owner++ });
  await expect(keeper.keep(1, bytes(1))).rejects.toMatchObject({ code: 'try-again' });
});

test('older lists that cannot be removed now go after the next put', async () => {
  const driver = new MemoryDriver();
  const faulty = withFault(driver, { seed: 1, rules: [{ verb: 'remove', fault: 'before', times: 1 }] });
  const keeper = host(faulty, 1);
  for (const number of [1, 2, 3]) await keeper.keep(number, bytes(number));
  expect(await keysOf(driver)).toHaveLength(3);
  await keeper.keep(4, bytes(4));
  expect(await keysOf(driver)).toHaveLength(2);
});

test('a list of the backend that is late hides none: the next ones are asked for, and what is listed and gone is told', async () => {
  const driver = new MemoryDriver();
  const keeper = host(driver, 2);
  await keeper.keep(1, bytes(1));
  const before = await listed(driver);
  const late = (chunks: readonly ChunkStat[]) => ({
    get: driver.get.bind(driver),
    stat: driver.stat.bind(driver),
    list: async function* () {
      yield* chunks;
    },
  });
  expect(await readLastGone(late([]), identity, 3)).toEqual(bytes(1));
  await keeper.keep(2, bytes(2));
  expect(await readLastGone(late([]), identity, 3)).toEqual(bytes(2));
  expect(await readLastGone(late(before), identity, 3)).toEqual(bytes(2));
  await keeper.keep(3, bytes(3));
  const later = await listed(driver);
  await keeper.keep(4, bytes(4));
  expect(await readLastGone(late(later), identity, 3)).toEqual(bytes(4));
  await expect(readLastGone(late(before), identity, 3)).rejects.toMatchObject({ code: 'unavailable' });
});

test('one that is damaged, or of another pool or place, is refused by name', async () => {
  const key = goneKey({ owner: 1, number: 1 });
  for (const data of [
    golden.subarray(0, 40),
    encodeGoneChunk({ ...chunk, owner: 1, number: 2 }),
    encodeGoneChunk({ ...chunk, owner: 1, number: 1, poolUuid: new Uint8Array(16) }),
  ]) {
    const driver = new MemoryDriver();
    await driver.put(key, data);
    await expect(host(driver, 2).open()).rejects.toMatchObject({ code: 'corrupt', message: expect.stringContaining(key) });
  }
});

test('that of an encrypted pool tells nothing without its key', async () => {
  const driver = new MemoryDriver();
  const list = new Uint8Array(64).fill(0x5a);
  const sealed = { poolUuid, cipher: new ChunkCipher(new Uint8Array(32).fill(5)) };
  await new GoneKeeper({ identity: sealed, chunks: driver, look: async () => 1 }).keep(1, list);
  const into = new Uint8Array(4096);
  const size = (await driver.get(goneKey({ owner: 1, number: 1 }), 0, into)) ?? 0;
  expect(Buffer.from(into.subarray(0, size)).includes(Buffer.from(list.subarray(0, 8)))).toBe(false);
  expect(await readLastGone(driver, sealed, 1)).toEqual(list);
  await expect(readLastGone(driver, identity, 1)).rejects.toMatchObject({ code: 'corrupt' });
});
