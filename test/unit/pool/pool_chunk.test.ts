import { expect, test } from 'vitest';

import { MemoryDriver } from '../../../drivers/memory/driver.js';
import { SkerryError } from '../../../src/core/errors.js';
import { decodePoolChunk, encodePoolChunk, keepPoolChunk, poolChunkKeys, readPoolChunk } from '../../../src/pool/pool_chunk.js';
import { hexLines, readGolden } from '../golden.js';
import { poolUuid } from './samples.js';

const golden = readGolden(new URL('golden/pool_chunk_v1.hex', import.meta.url));
const chunk = {
  poolUuid,
  name: 'default',
  domain: 1,
  keyId: 1,
  domainKey: Uint8Array.from({ length: 32 }, (_, index) => 255 - index * 3),
  createdAt: 1_700_000_000_123,
  wrapped: null,
};
const [first, second] = poolChunkKeys;
if (first === undefined || second === undefined) throw new Error('there are two copies');

test('a pool chunk is read, and written as it always was', () => {
  expect(decodePoolChunk(golden)).toEqual(chunk);
  expect(hexLines(encodePoolChunk(chunk))).toBe(hexLines(golden));
});

test('both copies are kept, and either will do', async () => {
  const driver = new MemoryDriver();
  expect(await readPoolChunk(driver)).toEqual({
    chunk: null,
    wrapped: [],
    damaged: [`${first}: it is not there`, `${second}: it is not there`],
  });
  await keepPoolChunk(driver, chunk);
  expect(await readPoolChunk(driver)).toEqual({ chunk, wrapped: [], damaged: [] });
  for (const key of poolChunkKeys) {
    await driver.remove(key);
    await driver.put(key, encodePoolChunk(chunk).subarray(1));
    const { chunk: found, damaged } = await readPoolChunk(driver);
    expect(found).toEqual(chunk);
    expect(damaged).toEqual([expect.stringContaining(`${key}: a pool chunk cannot be read`)]);
    await keepPoolChunk(driver, chunk);
    expect(await readPoolChunk(driver)).toEqual({ chunk, wrapped: [], damaged: [] });
  }
});

test('what is kept already is not written again', async () => {
  const driver = new MemoryDriver();
  await keepPoolChunk(driver, chunk);
  const refusing = {
    get: driver.get.bind(driver),
    put: () => Promise.reject(new Error('put')),
    remove: () => Promise.reject(new Error('remove')),
  };
  await keepPoolChunk(refusing, chunk);
});

test('a pool of another catalog is refused, and stays as it is', async () => {
  const driver = new MemoryDriver();
  await keepPoolChunk(driver, chunk);
  const other = { ...chunk, poolUuid: Uint8Array.from({ length: 16 }, () => 9) };
  await expect(keepPoolChunk(driver, other)).rejects.toMatchObject({ code: 'conflict' });
  expect((await readPoolChunk(driver)).chunk).toEqual(chunk);
});

test('copies that cannot be read now may be another pool’s, and stay; where one says whose it is, the other is made anew', async () => {
  const driver = new MemoryDriver();
  const away = new Set(poolChunkKeys);
  const failing = {
    get: async (...call: Parameters<typeof driver.get>) => {
      if (away.has(call[0])) throw new SkerryError('timeout', 'no answer');
      return driver.get(...call);
    },
    put: driver.put.bind(driver),
    remove: driver.remove.bind(driver),
  };
  const other = { ...chunk, poolUuid: Uint8Array.from({ length: 16 }, () => 9) };
  await keepPoolChunk(driver, other);
  await expect(keepPoolChunk(failing, chunk)).rejects.toMatchObject({ code: 'timeout' });
  away.delete(first);
  await expect(keepPoolChunk(failing, chunk)).rejects.toMatchObject({ code: 'conflict' });
  expect(await readPoolChunk(driver)).toEqual({ chunk: other, wrapped: [], damaged: [] });
  await keepPoolChunk(failing, other);
});
