import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';

import type { CatalogEntry } from '../../../src/catalog/catalog.js';
import { KeptEntries } from '../../../src/catalog/kept_entries.js';
import { openLmdbCatalog } from '../../../src/catalog/lmdb.js';
import { temporaryDirectory } from '../temporary_directory.js';

/** Entries that are read of a map, and the keys that were. */
function world(valueBytes = 8) {
  const kept = new KeptEntries();
  const there = new Set<string>();
  const reads: string[] = [];
  const read = (key: string): CatalogEntry | null => {
    reads.push(key);
    return there.has(key) ? { key, revision: 1, value: new Uint8Array(valueBytes) } : null;
  };
  return { there, reads, get: (key: string) => kept.get(key, read), kept };
}

test('what each request reads is read once, be it there or not, and the rest each time', () => {
  const { there, reads, get } = world();
  for (const key of ['bucket/a', 'object/a']) there.add(key);
  const keys = ['bucket/a', 'bucket-document/1/policy', 'bucket/none', 'object/a'];
  for (let turn = 0; turn < 3; turn += 1) for (const key of keys) get(key);
  expect(get('bucket/a')).toBe(get('bucket/a'));
  const count = (key: string): number => reads.filter((one) => one === key).length;
  // Names that no bucket has are without number.
  expect(keys.map(count)).toEqual([1, 1, 3, 3]);
});

test('what transactions write is not kept until the last of them has ended', () => {
  const { there, reads, get, kept } = world();
  there.add('bucket/a');
  get('bucket/a');
  kept.begin(['bucket/a', 'object/a']);
  kept.begin(['bucket/a']);
  get('bucket/a');
  kept.end(['bucket/a']);
  get('bucket/a');
  expect(reads).toHaveLength(3);
  kept.end(['bucket/a', 'object/a']);
  get('bucket/a');
  get('bucket/a');
  expect(reads).toHaveLength(4);
});

test('what is kept is bounded by its bytes, and a large value is not kept at all', () => {
  const small = world(32 << 10);
  const keys = Array.from({ length: 300 }, (_, number) => `bucket-document/${number}/policy`);
  for (const key of keys) small.there.add(key);
  for (const key of keys) small.get(key);
  small.reads.length = 0;
  // 256 of them have 8 MiB; those kept longest went.
  for (const key of keys.slice(44)) small.get(key);
  expect(small.reads).toHaveLength(0);
  small.get('bucket-document/0/policy');
  expect(small.reads).toHaveLength(1);
  const large = world((32 << 10) + 1);
  large.there.add('bucket/a');
  large.get('bucket/a');
  large.get('bucket/a');
  expect(large.reads).toHaveLength(2);
});

test('an entry is at any moment what a range finds, whatever is written meanwhile', async () => {
  const catalog = await openLmdbCatalog({ directory: temporaryDirectory() });
  onTestFinished(() => catalog.close());
  const key = fc.constantFrom('bucket/a', 'bucket/b', 'bucket-document/0000000000000001/policy', 'object/a');
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('write' as const),
      key,
      value: fc.option(fc.uint8Array({ maxLength: 4 })),
      refused: fc.boolean(),
    }),
    fc.record({ kind: fc.constant('read' as const), key }),
    fc.record({ kind: fc.constant('wait' as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async (steps) => {
      const writing: Promise<unknown>[] = [];
      const check = async (asked: string): Promise<void> => {
        // Both are read in this turn.
        const [entry, [ranged]] = await Promise.all([catalog.get(asked), catalog.range(asked, { entriesMax: 1 })]);
        expect(entry).toEqual(ranged?.key === asked ? ranged : null);
      };
      for (const one of steps) {
        if (one.kind === 'wait') await Promise.all(writing);
        else if (one.kind === 'read') await check(one.key);
        else {
          const compares = one.refused ? [{ key: 'never', revision: 1 }] : [];
          writing.push(catalog.transact(compares, [{ key: one.key, value: one.value }]).then(() => check(one.key)));
        }
      }
      await Promise.all(writing);
      for (const name of ['bucket/a', 'bucket/b', 'bucket-document/0000000000000001/policy']) await check(name);
    }),
    { numRuns: 60 },
  );
});

test('of many who change an entry by what they read of it, none is overwritten unseen', async () => {
  const catalog = await openLmdbCatalog({ directory: temporaryDirectory() });
  onTestFinished(() => catalog.close());
  const key = 'bucket/a';
  const count = async (): Promise<number> => (await catalog.get(key))?.value[0] ?? 0;
  let made = 0;
  let met = 0;
  const one = async (reads: number): Promise<void> => {
    for (let turn = 0; turn < 10; turn += 1) {
      const entry = await catalog.get(key);
      for (let more = 0; more < reads; more += 1) await catalog.get(key);
      const value = Uint8Array.of((entry?.value[0] ?? 0) + 1);
      // What is compared is kept for some, and just being written for others.
      const { outcome } = await catalog.transact([{ key, revision: entry?.revision ?? 0 }], [{ key, value }]);
      if (outcome === 'committed') made += 1;
      else met += 1;
      expect(catalog.kept(key) ?? (await catalog.get(key))).toEqual(await catalog.get(key));
    }
  };
  await Promise.all([0, 1, 2, 3, 0, 5].map(one));
  expect(await count()).toBe(made);
  expect(met).toBeGreaterThan(0);
});

test('a compare of what others write in the same commit sees what they wrote', async () => {
  const catalog = await openLmdbCatalog({ directory: temporaryDirectory() });
  onTestFinished(() => catalog.close());
  const [bucket, other] = ['bucket/a', 'object/a'];
  await catalog.transact([], [{ key: bucket, value: Uint8Array.of(1) }]);
  const revision = (await catalog.get(bucket))?.revision ?? 0;
  expect(catalog.kept(bucket)?.revision).toBe(revision);
  // All three are asked for in one turn.
  const before = catalog.transact([{ key: bucket, revision }], [{ key: other, value: Uint8Array.of(1) }]);
  const change = catalog.transact([], [{ key: bucket, value: Uint8Array.of(2) }]);
  const after = catalog.transact([{ key: bucket, revision }], [{ key: other, value: Uint8Array.of(2) }]);
  expect((await before).outcome).toBe('committed');
  expect((await change).outcome).toBe('committed');
  expect((await after).outcome).toBe('conflict');
  expect((await catalog.get(other))?.value).toEqual(Uint8Array.of(1));
});
