import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';

import { openLmdbCatalog } from '../../../src/catalog/lmdb.js';
import { last_order, versionKey } from '../../../src/catalog/object_keys.js';
import { encodeObject } from '../../../src/catalog/object_records.js';
import { Listing, rows_per_page_max, type ListOrder } from '../../../src/object/listing.js';
import { deleteMarker } from '../../../src/object/versions.js';
import { ObjectWorld, once } from '../../harness/object_world.ts';
import { temporaryDirectory } from '../temporary_directory.ts';

const attributes = { owner: 1 };
const piece = fc.constantFrom('a', 'b', '/', '//', 'ä', '\uffff', '\u{10000}', ' ', '~', '\u0001', 'zz');
const key = fc.array(piece, { minLength: 1, maxLength: 5 }).map((pieces) => pieces.join(''));

const bytes = (text: string): Buffer => Buffer.from(text);
const after = (a: string, b: string): boolean => Buffer.compare(bytes(a), bytes(b)) > 0;

/** What S3 says of a list, over a sorted array. */
function expected(keys: readonly string[], { prefix = '', delimiter = '', after: start = '' }: Partial<ListOrder>): string[] {
  const found: string[] = [];
  for (const one of [...new Set(keys)].sort((a, b) => Buffer.compare(bytes(a), bytes(b)))) {
    if (!one.startsWith(prefix) || (start !== '' && !after(one, start))) continue;
    const at = delimiter === '' ? -1 : one.indexOf(delimiter, prefix.length);
    const group = at < 0 ? null : one.slice(0, at + delimiter.length);
    if (group === null) found.push(one);
    else if (group !== start && found.at(-1) !== `${group}*`) found.push(`${group}*`);
  }
  return found;
}

async function listed(listing: Listing, order: ListOrder): Promise<string[]> {
  const found: string[] = [];
  for (let token: string | null | undefined; token !== null; ) {
    const page = await listing.objects({ ...order, ...(token === undefined ? {} : { token }) });
    expect(page.entries.length).toBeLessThanOrEqual(order.entriesMax ?? 1000);
    found.push(...page.entries.map((entry) => (entry.entry === 'item' ? entry.item.key : `${entry.prefix}*`)));
    token = page.token;
  }
  return found;
}

test('a list is what sorting all keys by their bytes would give, however it is paged', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(key, { maxLength: 30 }),
      fc.array(key, { maxLength: 8 }),
      fc.option(key, { nil: '' }),
      fc.constantFrom('', '/', '//', 'a', 'ä'),
      fc.option(key, { nil: '' }),
      fc.constantFrom(1, 2, 3, 1000),
      fc.boolean(),
      async (keys, removed, prefix, delimiter, start, entriesMax, versioned) => {
        const world = await ObjectWorld.open();
        const { buckets, objects, listing } = world.layer;
        await buckets.create({ name: 'bucket', account: 1, pool: 'default' });
        if (versioned) await buckets.set('bucket', { versioning: 'enabled' });
        for (const one of keys) await objects.put({ bucket: 'bucket', key: one, content: once('x'), bytes: 1, attributes });
        for (const one of removed) await objects.remove({ bucket: 'bucket', key: one, owner: 1 });
        const there = keys.filter((one) => !removed.includes(one));
        const order = { bucket: 'bucket', prefix, delimiter, after: start, entriesMax };
        expect(await listed(listing, order)).toEqual(expected(there, order));
      },
    ),
    { numRuns: 150 },
  );
});

test('versions are listed newest first, and pages go on within a key', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom('a', 'b', 'b/c', 'b/d', 'c'), fc.boolean()), { maxLength: 25 }),
      fc.constantFrom(1, 2, 5, 1000),
      async (steps, entriesMax) => {
        const world = await ObjectWorld.open();
        const { buckets, objects, listing } = world.layer;
        await buckets.create({ name: 'bucket', account: 1, pool: 'default' });
        await buckets.set('bucket', { versioning: 'enabled' });
        const model = new Map<string, string[]>();
        for (const [one, puts] of steps) {
          const { versionId } = puts
            ? await objects.put({ bucket: 'bucket', key: one, content: once('x'), bytes: 1, attributes })
            : await objects.remove({ bucket: 'bucket', key: one, owner: 1 });
          model.set(one, [`${one} ${versionId}`, ...(model.get(one) ?? [])]);
        }
        const wanted = [...model.keys()].sort().flatMap((one) => (model.get(one) ?? []).map((text, at) => `${text} ${at === 0}`));
        const byToken: string[] = [];
        const byMarker: string[] = [];
        for (let token: string | null | undefined; token !== null; ) {
          const page = await listing.versions({ bucket: 'bucket', entriesMax, ...(token === undefined ? {} : { token }) });
          for (const entry of page.entries)
            if (entry.entry === 'item')
              byToken.push(`${entry.item.version.key} ${entry.item.version.versionId} ${entry.item.current}`);
          token = page.token;
        }
        expect(byToken).toEqual(wanted);
        for (let more = true, marker = {}; more; ) {
          const page = await listing.versions({ bucket: 'bucket', entriesMax, ...marker });
          for (const entry of page.entries) {
            if (entry.entry !== 'item') continue;
            const { version, current } = entry.item;
            byMarker.push(`${version.key} ${version.versionId} ${current}`);
            marker = { after: version.key, afterVersion: version.versionId };
          }
          more = page.token !== null;
        }
        expect(byMarker).toEqual(wanted);
      },
    ),
    { numRuns: 60 },
  );
});

test('a page of groups reads a bounded part of a bucket, however much is under each group', async () => {
  const world = await ObjectWorld.open();
  const { buckets, objects, listing } = world.layer;
  await buckets.create({ name: 'bucket', account: 1, pool: 'default' });
  for (let group = 0; group < 20; group += 1)
    for (let at = 0; at < 200; at += 1)
      await objects.put({ bucket: 'bucket', key: `${group}/${at}`, content: once(''), bytes: 0, attributes });
  world.catalog.entriesRead = 0;
  const page = await listing.objects({ bucket: 'bucket', delimiter: '/' });
  expect(page.entries.length).toBe(20);
  expect(world.catalog.entriesRead).toBeLessThan(20 * 40);
  world.catalog.entriesRead = 0;
  expect((await listing.objects({ bucket: 'bucket', entriesMax: 10, after: '15/150' })).entries.length).toBe(10);
  expect(world.catalog.entriesRead).toBeLessThan(40);
});

test('a page of keys that have many versions reads few of them', async () => {
  const world = await ObjectWorld.open();
  const { buckets, objects, listing } = world.layer;
  await buckets.create({ name: 'bucket', account: 1, pool: 'default' });
  await buckets.set('bucket', { versioning: 'enabled' });
  for (const key of ['a', 'b', 'c'])
    for (let version = 0; version < 1000; version += 1)
      await objects.put({ bucket: 'bucket', key, content: once(''), bytes: 0, attributes });
  world.catalog.entriesRead = 0;
  expect((await listing.objects({ bucket: 'bucket' })).entries.length).toBe(3);
  expect(world.catalog.entriesRead).toBeLessThan(3 * 40);
});

/** By the token of each page, or by what is to be told of it as where the next one begins. */
async function paged(listing: Listing, order: ListOrder, by: 'token' | 'marker'): Promise<string[]> {
  const found: string[] = [];
  for (let next: Partial<ListOrder> | null = {}; next !== null; ) {
    const page: Awaited<ReturnType<Listing['objects']>> = await listing.objects({ ...order, ...next });
    const names = page.entries.map((entry) => (entry.entry === 'item' ? entry.item.key : entry.prefix));
    found.push(...page.entries.map((entry, at) => (entry.entry === 'item' ? names[at]! : `${names[at]}*`)));
    const { token, passed = names.at(-1) } = page;
    expect(token === null || passed !== undefined).toBe(true);
    if (order.untilFound === true && token !== null) expect(names).not.toEqual([]);
    next = token === null ? null : by === 'token' ? { token } : { after: passed! };
  }
  return found;
}

test('what nobody sees is passed over page by page, and what is seen is on one of them', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(key, { maxLength: 15 }),
      fc.array(key, { maxLength: 30 }),
      fc.constantFrom('', '/', '//', 'a'),
      fc.constantFrom(1, 2, 1000),
      fc.constantFrom(1, 2, 5),
      fc.constantFrom('token' as const, 'marker' as const),
      fc.constantFrom(true as const, null),
      async (keys, removed, delimiter, entriesMax, rowsPerPageMax, by, untilFound) => {
        const world = await ObjectWorld.open();
        const { buckets, objects } = world.layer;
        await buckets.create({ name: 'bucket', account: 1, pool: 'default' });
        await buckets.set('bucket', { versioning: 'enabled' });
        for (const one of keys) await objects.put({ bucket: 'bucket', key: one, content: once('x'), bytes: 1, attributes });
        for (const one of removed) await objects.remove({ bucket: 'bucket', key: one, owner: 1 });
        const there = keys.filter((one) => !removed.includes(one));
        const listing = new Listing({ catalog: world.catalog, buckets, versions: { get: async () => null }, rowsPerPageMax });
        const order = { bucket: 'bucket', delimiter, entriesMax, ...(untilFound === true ? { untilFound } : {}) };
        expect(await paged(listing, order, by)).toEqual(expected(there, { delimiter }));
      },
    ),
    { numRuns: 300 },
  );
});

test('of a bucket that was emptied no page reads more than its share, and others have their turn within one', async () => {
  const catalog = await openLmdbCatalog({ directory: temporaryDirectory() });
  onTestFinished(() => catalog.close());
  const { buckets } = (await ObjectWorld.open()).layer;
  const { id } = await buckets.create({ name: 'bucket', account: 1, pool: 'default' });
  const marks = rows_per_page_max * 2.5;
  const value = encodeObject(deleteMarker(1, 1, 1));
  const write = (at: number) => ({ key: versionKey(id, `gone-${String(at).padStart(8, '0')}`, last_order), value });
  await catalog.transact(
    [],
    Array.from({ length: marks }, (_, at) => write(at)),
  );
  const listing = new Listing({ catalog, buckets, versions: { get: async () => null } });
  let turns = 0;
  const turn = (): void => {
    turns += 1;
    next = setImmediate(turn);
  };
  let next = setImmediate(turn);
  const pages: (string | undefined)[] = [];
  for (let token: string | undefined; pages.length === 0 || token !== undefined; ) {
    const page: Awaited<ReturnType<Listing['objects']>> = await listing.objects({
      bucket: 'bucket',
      ...(token === undefined ? {} : { token }),
    });
    expect(page.entries).toEqual([]);
    pages.push(page.passed);
    token = page.token ?? undefined;
  }
  clearImmediate(next);
  expect(pages).toEqual(['gone-00009999', 'gone-00019999', undefined]);
  expect(turns).toBeGreaterThan(marks / 1000);
});

test('a token that nobody gave is refused, or shows nothing of another bucket', async () => {
  const world = await ObjectWorld.open();
  const { buckets, objects, listing } = world.layer;
  for (const name of ['bucket', 'other-bucket']) {
    await buckets.create({ name, account: 1, pool: 'default' });
    await objects.put({ bucket: name, key: name, content: once('x'), bytes: 1, attributes });
  }
  await fc.assert(
    fc.asyncProperty(fc.string(), async (token) => {
      const page = await listing.objects({ bucket: 'bucket', token }).catch(() => ({ entries: [] }));
      for (const entry of page.entries) expect(entry).toMatchObject({ item: { key: 'bucket' } });
    }),
  );
});
