import { expect, test } from 'vitest';

import { MemoryDriver } from '../../../drivers/memory/driver.js';
import { chunkKey } from '../../../src/driver/driver.js';
import { surveyPool } from '../../../src/pool/pool_survey.js';
import { encodeRootChunk, encodeTombstone, rootChunkKey, tombstoneKey } from '../../../src/pool/root_chunk.js';
import { poolUuid, sampleRoot, sampleTombstone } from './samples.js';

const other = Uint8Array.from({ length: 16 }, () => 1);
const chunk = (id: number, fence: number, number: number) => ({ ...sampleRoot, id, fence, number });

test('root chunks are told newest first, and those that cannot be believed with why', async () => {
  const driver = new MemoryDriver();
  for (const [fence, number] of [
    [1, 9],
    [2, 1],
    [2, 16],
  ] as const)
    await driver.put(rootChunkKey(7, fence, number), encodeRootChunk(chunk(7, fence, number)));
  await driver.put(rootChunkKey(7, 3, 1), encodeRootChunk(chunk(8, 3, 1)));
  await driver.put(rootChunkKey(7, 3, 2), encodeRootChunk({ ...chunk(7, 3, 2), poolUuid: other }));
  await driver.put(rootChunkKey(9, 1, 1), encodeRootChunk(chunk(9, 1, 1)).subarray(1));
  await driver.put(chunkKey('root/stray'), new Uint8Array(3));
  const { resources, damaged } = await surveyPool(driver, poolUuid);
  expect(resources.get(7)?.roots.map(({ fence, number }) => [fence, number])).toEqual([
    [2, 16],
    [2, 1],
    [1, 9],
  ]);
  expect(resources.get(7)?.damaged.map(({ fence, number, why }) => [fence, number, why.slice(-14)])).toEqual(
    [
      [3, 1, "it is another's"],
      [3, 2, "another pool's"],
    ].map(([fence, number, why]) => [fence, number, String(why).slice(-14)]),
  );
  expect(resources.get(9)).toMatchObject({ roots: [], damaged: [{ fence: 1, number: 1 }] });
  expect(damaged).toEqual(['root/stray: no root chunk has such a key']);
});

test('a tombstone that cannot be read is one all the same, and another pool’s is none', async () => {
  const driver = new MemoryDriver();
  await driver.put(tombstoneKey(3), encodeTombstone({ ...sampleTombstone, id: 3 }));
  await driver.put(tombstoneKey(4), new Uint8Array(40));
  await driver.put(tombstoneKey(5), encodeTombstone({ ...sampleTombstone, id: 5, poolUuid: other }));
  const { tombstones, damaged } = await surveyPool(driver, poolUuid);
  expect(tombstones).toEqual(
    new Map([
      [3, sampleTombstone.deletedAt],
      [4, null],
    ]),
  );
  expect(damaged).toHaveLength(2);
});
