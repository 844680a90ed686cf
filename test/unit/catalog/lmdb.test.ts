import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';

import type { Catalog, CatalogChange } from '../../../src/catalog/catalog.js';
import { lockDirectory } from '../../../src/catalog/directory_lock.js';
import { openLmdbCatalog } from '../../../src/catalog/lmdb.js';
import { temporaryDirectory } from '../temporary_directory.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (value: Uint8Array | undefined): string => new TextDecoder().decode(value);

async function open(directory = temporaryDirectory()): Promise<Catalog> {
  const catalog = await openLmdbCatalog({ directory });
  onTestFinished(() => catalog.close());
  return catalog;
}

test('what was committed is read, with its revision', async () => {
  const catalog = await open();
  expect(await catalog.get('a')).toBeNull();
  const first = await catalog.transact([], [{ key: 'a', value: bytes('1') }]);
  expect(first).toEqual({ outcome: 'committed', revision: 1 });
  expect(await catalog.get('a')).toEqual({ key: 'a', value: bytes('1'), revision: 1 });
});

test('a compare that does not hold changes nothing, and says what is there', async () => {
  const catalog = await open();
  await catalog.transact([{ key: 'a', revision: 0 }], [{ key: 'a', value: bytes('1') }]);
  const refused = await catalog.transact(
    [
      { key: 'b', revision: 0 },
      { key: 'a', revision: 0 },
    ],
    [
      { key: 'a', value: bytes('2') },
      { key: 'b', value: bytes('2') },
    ],
  );
  expect(refused).toEqual({ outcome: 'conflict', key: 'a', revision: 1 });
  expect(text((await catalog.get('a'))?.value)).toBe('1');
  expect(await catalog.get('b')).toBeNull();
});

test('of many who compare with the same revision, one commits', async () => {
  const catalog = await open();
  const outcomes = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      catalog.transact([{ key: 'name', revision: 0 }], [{ key: 'name', value: bytes(`${index}`) }]),
    ),
  );
  expect(outcomes.filter(({ outcome }) => outcome === 'committed')).toHaveLength(1);
});

test('a range may begin after what is longer than any key', async () => {
  const catalog = await open();
  const longest = `object/${'a'.repeat(1529)}`;
  const keys = ['object/a', longest, 'object/b'];
  await catalog.transact(
    [],
    keys.map((key) => ({ key, value: bytes('1') })),
  );
  for (const length of [1530, 1800, 2000, 5000, 100_000]) {
    const found = await catalog.range('object/', { after: `object/${'a'.repeat(length)}` });
    expect(found.map(({ key }) => key)).toEqual(['object/b']);
  }
  const before = await catalog.range('object/', { after: `object/${'a'.repeat(1528)}-${'z'.repeat(9000)}` });
  expect(before.map(({ key }) => key)).toEqual([longest, 'object/b']);
});

test('a revision never comes again, not even after a removal', async () => {
  const catalog = await open();
  await catalog.transact([], [{ key: 'a', value: bytes('1') }]);
  await catalog.transact([], [{ key: 'a', value: null }]);
  await catalog.transact([], [{ key: 'never', value: null }]);
  await catalog.transact([{ key: 'a', revision: 0 }], [{ key: 'a', value: bytes('1') }]);
  expect((await catalog.get('a'))?.revision).toBe(4);
});

test('a range is of the prefix only, in order, and can be paged', async () => {
  const catalog = await open();
  const keys = ['name/a', 'name/a@b', 'name/b', 'name0', 'nam', 'pool/x'];
  await catalog.transact(
    [],
    keys.map((key) => ({ key, value: bytes(key) })),
  );
  const found = async (prefix: string, options = {}): Promise<string[]> =>
    (await catalog.range(prefix, options)).map(({ key }) => key);
  expect(await found('name/')).toEqual(['name/a', 'name/a@b', 'name/b']);
  expect(await found('name/a')).toEqual(['name/a', 'name/a@b']);
  expect(await found('name/', { entriesMax: 2 })).toEqual(['name/a', 'name/a@b']);
  expect(await found('name/', { after: 'name/a@b' })).toEqual(['name/b']);
  expect(await found('none/')).toEqual([]);
  expect(await found('')).toEqual(keys.toSorted());
});

test('all of it is there after it was opened again', async () => {
  const directory = temporaryDirectory();
  const before = await openLmdbCatalog({ directory });
  await before.transact([], [{ key: 'a', value: bytes('1') }]);
  await before.lease('volume/1', 'me');
  await before.close();
  const after = await open(directory);
  expect(await after.get('a')).toEqual({ key: 'a', value: bytes('1'), revision: 1 });
  expect(await after.transact([], [{ key: 'b', value: bytes('2') }])).toEqual({ outcome: 'committed', revision: 2 });
  expect(await after.lease('volume/1', 'me again')).toMatchObject({ outcome: 'granted', lease: { fence: 2 } });
});

test('a value is the reader’s own, and the writer may use its buffer again at once', async () => {
  const catalog = await open();
  const value = bytes('before');
  const writing = catalog.transact([], [{ key: 'a', value }]);
  value.fill(0);
  await writing;
  const read = await catalog.get('a');
  expect(text(read?.value)).toBe('before');
  read?.value.fill(0);
  expect(text((await catalog.get('a'))?.value)).toBe('before');
});

test('a watcher sees each commit under its prefix once and in order', async () => {
  const catalog = await open();
  const seen: CatalogChange[] = [];
  const stop = new AbortController();
  const watching = (async () => {
    for await (const change of catalog.watch('name/', stop.signal)) seen.push(change);
  })();
  await catalog.transact([], [{ key: 'name/a', value: bytes('1') }]);
  await catalog.transact([], [{ key: 'pool/a', value: bytes('1') }]);
  await Promise.all([
    catalog.transact(
      [],
      [
        { key: 'name/b', value: bytes('2') },
        { key: 'pool/b', value: bytes('2') },
      ],
    ),
    catalog.transact([], [{ key: 'name/a', value: null }]),
    catalog.transact([{ key: 'name/a', revision: 99 }], [{ key: 'name/a', value: bytes('no') }]),
  ]);
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  stop.abort();
  await watching;
  expect(seen).toEqual([
    { revision: 1, writes: [{ key: 'name/a', value: bytes('1') }] },
    { revision: 3, writes: [{ key: 'name/b', value: bytes('2') }] },
    { revision: 4, writes: [{ key: 'name/a', value: null }] },
  ]);
});

test('watchers end with the catalog', async () => {
  const catalog = await open();
  const watching = (async () => {
    let changes = 0;
    for await (const change of catalog.watch('')) changes += change.writes.length;
    return changes;
  })();
  await catalog.transact([], [{ key: 'a', value: bytes('1') }]);
  await catalog.close();
  expect(await watching).toBe(1);
});

test('a lease is granted once, and each grant has a higher fence', async () => {
  const catalog = await open();
  const [one, two] = await Promise.all([catalog.lease('volume/1', 'first'), catalog.lease('volume/1', 'second')]);
  if (one.outcome !== 'granted') throw new Error('not granted');
  expect(one.lease.fence).toBe(1);
  expect(two).toMatchObject({ outcome: 'held', holder: 'first' });
  expect(await catalog.lease('volume/2', 'second')).toMatchObject({ outcome: 'granted', lease: { fence: 1 } });
  await one.lease.release();
  await one.lease.release();
  expect(await catalog.lease('volume/1', 'third')).toMatchObject({ outcome: 'granted', lease: { fence: 2 } });
});

test('a second catalog on the same directory is refused, naming the first one’s pid', async () => {
  const directory = temporaryDirectory();
  const first = await open(directory);
  const refusal = expect.objectContaining({
    code: 'conflict',
    message: expect.stringMatching(new RegExp(`in use by the process with pid ${process.pid}\\b`)),
  });
  await expect(openLmdbCatalog({ directory })).rejects.toEqual(refusal);
  await first.close();
  const second = await open(directory);
  expect(await second.get('a')).toBeNull();
});

test('a directory that cannot be made is refused with its name, whatever is in the way', () => {
  const file = join(temporaryDirectory(), 'file');
  writeFileSync(file, '');
  const refusal = (code: string, message: RegExp) => expect.objectContaining({ code, message: expect.stringMatching(message) });
  for (const path of [file, join(file, 'below')])
    expect(() => lockDirectory(path)).toThrowError(refusal('invalid', /file is a file/));
  // Nothing can be made in there, although it is a directory; mkdir's own recursion never comes back from it.
  expect(() => lockDirectory('/proc/skerry/data')).toThrowError(refusal('not-found', /the data directory \/proc\/skerry\/data/));
});

test('a lock is the kernel’s: another process is refused, and what a dead one wrote holds nobody up', () => {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, 'lock'), '1\n');
  const lock = lockDirectory(directory);
  expect(readFileSync(lock.path, 'utf8')).toBe(`${process.pid}\n`);
  expect(spawnSync('flock', ['--nonblock', lock.path, 'true']).status).toBe(1);
  lock.release();
  lock.release();
  expect(spawnSync('flock', ['--nonblock', lock.path, 'true']).status).toBe(0);
  expect(existsSync(lock.path)).toBe(true);
});

test('a catalog that is no catalog is refused as corrupt', async () => {
  const directory = temporaryDirectory();
  await (await openLmdbCatalog({ directory })).close();
  writeFileSync(join(directory, 'catalog', 'data.mdb'), Buffer.alloc(65_536, 0x55));
  await expect(openLmdbCatalog({ directory })).rejects.toMatchObject({ code: 'corrupt' });
  // The refusal let go of the directory.
  expect(spawnSync('flock', ['--nonblock', join(directory, 'lock'), 'true']).status).toBe(0);
});

test('a closed catalog refuses, and closing waits for what is under way', async () => {
  const directory = temporaryDirectory();
  const catalog = await openLmdbCatalog({ directory });
  const writing = catalog.transact([], [{ key: 'a', value: bytes('1') }]);
  await Promise.all([catalog.close(), catalog.close()]);
  expect(await writing).toMatchObject({ outcome: 'committed' });
  await expect(catalog.get('a')).rejects.toMatchObject({ code: 'closed' });
  await expect(catalog.transact([], [])).rejects.toMatchObject({ code: 'closed' });
  expect(text((await (await open(directory)).get('a'))?.value)).toBe('1');
});

test('the longest keys are kept, and in their order', async () => {
  const catalog = await open();
  const long = 'x'.repeat(1535);
  await catalog.transact(
    [],
    [`${long}b`, `${long}a`, long].map((key) => ({ key, value: bytes(key.slice(-1)) })),
  );
  expect((await catalog.range('x')).map(({ key }) => key)).toEqual([long, `${long}a`, `${long}b`]);
  expect(text((await catalog.get(`${long}a`))?.value)).toBe('a');
});

test('keys and values beyond their limits are refused before anything is written', async () => {
  const catalog = await open();
  for (const key of ['', 'a b', 'é', 'x'.repeat(1537), 'a\n']) {
    await expect(catalog.transact([], [{ key, value: bytes('1') }])).rejects.toMatchObject({ code: 'invalid' });
  }
  await expect(catalog.transact([], [{ key: 'a', value: new Uint8Array((1 << 20) + 1) }])).rejects.toMatchObject({
    code: 'too-large',
  });
  const twice = [
    { key: 'a', value: bytes('1') },
    { key: 'a', value: bytes('2') },
  ];
  await expect(catalog.transact([], twice)).rejects.toMatchObject({ code: 'invalid' });
  expect(await catalog.range('')).toEqual([]);
});

test('it behaves as a plain map with revisions does', async () => {
  const key = fc.constantFrom('a', 'b', 'c', 'a/b');
  const step = fc.record({
    compares: fc.array(fc.record({ key, revision: fc.nat(6) }), { maxLength: 2 }),
    writes: fc.uniqueArray(fc.record({ key, value: fc.option(fc.uint8Array({ maxLength: 4 })) }), {
      maxLength: 3,
      selector: (write) => write.key,
    }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      const catalog = await openLmdbCatalog({ directory: temporaryDirectory() });
      const model = new Map<string, { value: Uint8Array; revision: number }>();
      let revision = 0;
      for (const { compares, writes } of steps) {
        const failed = compares.find((compare) => (model.get(compare.key)?.revision ?? 0) !== compare.revision);
        const outcome = await catalog.transact(compares, writes);
        if (failed !== undefined) {
          expect(outcome).toEqual({ outcome: 'conflict', key: failed.key, revision: model.get(failed.key)?.revision ?? 0 });
          continue;
        }
        revision += 1;
        expect(outcome).toEqual({ outcome: 'committed', revision });
        for (const { key: written, value } of writes) {
          if (value === null) model.delete(written);
          else model.set(written, { value, revision });
        }
      }
      const expected = [...model].map(([name, entry]) => ({ key: name, ...entry })).toSorted((a, b) => (a.key < b.key ? -1 : 1));
      expect(await catalog.range('')).toEqual(expected);
      await catalog.close();
    }),
    { numRuns: 25 },
  );
});
