import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { poolKey } from '../../../src/catalog/keys.js';
import { openLmdbCatalog } from '../../../src/catalog/lmdb.js';
import { encodePool } from '../../../src/catalog/records.js';
import { readCatalog } from '../../../src/upkeep/catalog_reading.js';
import { replaceCatalog, type NewCatalog } from '../../../src/upkeep/catalog_rebuild.js';
import { samplePool, sampleVolume } from '../catalog/samples.js';
import { temporaryDirectory } from '../temporary_directory.js';

const content: NewCatalog = {
  records: [
    { record: { ...sampleVolume, id: 3, name: 'a', pendingOf: 0 }, rootDue: true },
    { record: { ...sampleVolume, id: 4, name: 'b', pendingOf: 0 }, rootDue: false },
  ],
  nextId: 77,
  others: [{ key: poolKey(samplePool.name), value: encodePool(samplePool) }],
};
const now = new Date('2026-11-21T15:04:05.678Z');

test('a new catalog holds what it was given, and nothing else is left', async () => {
  const directory = temporaryDirectory();
  expect(await replaceCatalog(directory, content, now)).toBeNull();
  expect(readdirSync(directory)).toEqual(['catalog']);
  const reading = await readCatalog(directory);
  if (reading.state !== 'sound') throw new Error(reading.state);
  expect(reading.content).toEqual({
    pools: [samplePool],
    records: content.records.map(({ record }) => record),
    rootsDue: new Set([3]),
    nextId: 77,
    uuid: '',
    problems: [],
  });
});

test('one that is there is moved aside, under a name of its own each time', async () => {
  const directory = temporaryDirectory();
  await replaceCatalog(directory, { ...content, nextId: 1 }, now);
  const first = await replaceCatalog(directory, { ...content, nextId: 2 }, now);
  const second = await replaceCatalog(directory, { ...content, nextId: 3 }, now);
  expect([first, second]).toEqual(['', '-2'].map((end) => join(directory, `catalog.before-20261121t150405z${end}`)));
  expect(existsSync(join(first ?? '', 'data.mdb'))).toBe(true);
  expect(await readCatalog(directory)).toMatchObject({ content: { nextId: 3 } });
});

test('what an attempt that died left is made again from nothing', async () => {
  const directory = temporaryDirectory();
  mkdirSync(join(directory, 'catalog.new'));
  const half = await openLmdbCatalog({ directory: join(directory, 'catalog.new') });
  await half.transact([], [{ key: 'name/volume/stray', value: new Uint8Array(0) }]);
  await half.close();
  await replaceCatalog(directory, content, now);
  expect(await readCatalog(directory)).toMatchObject({ content: { problems: [] } });
  expect(readdirSync(directory)).toEqual(['catalog']);
});

test('a catalog that is absent, empty, or no catalog is told apart', async () => {
  const directory = temporaryDirectory();
  expect(await readCatalog(directory)).toEqual({ state: 'absent' });
  mkdirSync(join(directory, 'catalog'));
  writeFileSync(join(directory, 'catalog', 'data.mdb'), '');
  expect(await readCatalog(directory)).toEqual({ state: 'absent' });
  writeFileSync(join(directory, 'catalog', 'data.mdb'), Buffer.alloc(65_536, 7));
  expect(await readCatalog(directory)).toMatchObject({ state: 'damaged', why: expect.stringContaining('is no catalog') });
});

test('reading leaves every byte, and names that lead nowhere are told', async () => {
  const directory = temporaryDirectory();
  await replaceCatalog(directory, content, now);
  const catalog = await openLmdbCatalog({ directory });
  await catalog.transact(
    [],
    [
      { key: 'name/volume/b', value: null },
      { key: 'name/image/c', value: new TextEncoder().encode('0000000000000003') },
    ],
  );
  await catalog.close();
  const before = readdirSync(directory, { recursive: true });
  const reading = await readCatalog(directory);
  expect(reading).toMatchObject({
    content: { problems: [expect.stringContaining('name/image/c'), 'volume b, resource 4, is not found by its name'] },
  });
  expect(readdirSync(directory, { recursive: true })).toEqual(before);
});
