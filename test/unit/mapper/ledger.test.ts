import { expect, onTestFinished, test } from 'vitest';

import type { Catalog } from '../../../src/catalog/catalog.js';
import { openLmdbCatalog } from '../../../src/catalog/lmdb.js';
import { emptyRoot, noLimit, type ResourceRecord } from '../../../src/catalog/records.js';
import { SkerryError } from '../../../src/core/errors.js';
import { Ledger } from '../../../src/mapper/ledger.js';
import { withoutName } from '../../../src/mapper/removal.js';
import { temporaryDirectory } from '../temporary_directory.js';

const GiB = 1024 ** 3;

function volume(id: number, name: string, sizeBytes = GiB): ResourceRecord {
  return {
    id,
    kind: 'volume',
    name,
    pool: 'default',
    sizeBytes,
    state: 'ready',
    durability: 'local',
    cache: 'writeback',
    description: '',
    createdAt: 0,
    parentId: 0,
    parentName: '',
    root: emptyRoot,
    appliedSequence: 0,
    fence: 1,
    pendingOf: 0,
    lineage: 0,
    labels: {},
    limit: noLimit,
    compression: 'inherit',
    access: null,
    log: null,
  };
}

/** `torn` makes the next transactions fail after they took effect, as where a sync reports an error that came late. */
async function open(directory = temporaryDirectory()): Promise<{ ledger: Ledger; catalog: Catalog; torn: { next: number } }> {
  const catalog = await openLmdbCatalog({ directory });
  onTestFinished(() => catalog.close());
  const torn = { next: 0 };
  const transact: Catalog['transact'] = async (compares, writes) => {
    const outcome = await catalog.transact(compares, writes);
    if (torn.next === 0) return outcome;
    torn.next -= 1;
    throw new SkerryError('io', 'the sync failed, or it did not');
  };
  const failing = new Proxy(catalog, {
    get(target, key) {
      if (key === 'transact') return transact;
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  return { ledger: (await Ledger.open(failing)).ledger, catalog, torn };
}

test('a shelf has a name of its own kind: nobody finds it, lists it or counts it as a volume', async () => {
  const { ledger } = await open();
  await ledger.commit([{ change: 'insert', record: { ...volume(1, 'a'), shelf: true } }]);
  await ledger.commit([{ change: 'insert', record: volume(2, 'a') }]);
  expect((await ledger.find('volume', 'a'))?.record.id).toBe(2);
  expect((await ledger.list('volume')).map(({ record }) => record.id)).toEqual([2]);
  expect(ledger.total('volume')).toEqual({ count: 1, sizeBytes: volume(2, 'a').sizeBytes });
  expect((await ledger.get(1))?.record.shelf).toBe(true);
  expect(await ledger.anyIn('default')).not.toBeNull();
});

test('totals follow what is inserted, changed and removed', async () => {
  const { ledger } = await open();
  await ledger.commit([
    { change: 'insert', record: volume(1, 'a') },
    { change: 'insert', record: volume(2, 'b', 3 * GiB) },
  ]);
  expect(ledger.total('volume')).toEqual({ count: 2, sizeBytes: 4 * GiB });
  await ledger.update(2, (record) => ({ ...record, sizeBytes: 5 * GiB }));
  expect(ledger.total('volume')).toEqual({ count: 2, sizeBytes: 6 * GiB });
  await ledger.update(1, withoutName);
  expect(ledger.total('volume')).toEqual({ count: 1, sizeBytes: 5 * GiB });
});

test('totals stay right where an insert failed and was made all the same', async () => {
  const { ledger, torn } = await open();
  await ledger.commit([{ change: 'insert', record: volume(1, 'a') }]);
  torn.next = 1;
  await expect(ledger.commit([{ change: 'insert', record: volume(2, 'b'), rootDue: true }])).rejects.toMatchObject({
    code: 'io',
  });
  await ledger.update(2, withoutName);
  expect(ledger.total('volume')).toEqual({ count: 1, sizeBytes: GiB });
  expect(ledger.removable('default', 10)).toEqual([2]);
});

test('what is due after an insert that failed and was made all the same is known at the next start', async () => {
  const directory = temporaryDirectory();
  const { ledger, catalog, torn } = await open(directory);
  torn.next = 1;
  await expect(ledger.commit([{ change: 'insert', record: volume(2, 'b'), rootDue: true }])).rejects.toMatchObject({
    code: 'io',
  });
  await catalog.close();
  const { ledger: next } = await open(directory);
  expect(next.rootsDue('default', 10)).toEqual([2]);
  expect(next.total('volume')).toEqual({ count: 1, sizeBytes: GiB });
});

test('each pool has totals of its own, and its own work that is left', async () => {
  const { ledger } = await open();
  await ledger.commit([
    { change: 'insert', record: volume(1, 'a'), rootDue: true },
    { change: 'insert', record: { ...volume(2, 'b', 3 * GiB), pool: 'far' }, rootDue: true },
    { change: 'insert', record: { ...volume(3, ''), pool: 'far' } },
  ]);
  expect(ledger.total('volume', 'default')).toEqual({ count: 1, sizeBytes: GiB });
  expect(ledger.total('volume', 'far')).toEqual({ count: 1, sizeBytes: 3 * GiB });
  expect(ledger.total('volume')).toEqual({ count: 2, sizeBytes: 4 * GiB });
  expect([ledger.rootsDue('default', 10), ledger.rootsDue('far', 10)]).toEqual([[1], [2]]);
  expect([ledger.removable('default', 10), ledger.removable('far', 10)]).toEqual([[], [3]]);
});
