import fc from 'fast-check';
import { expect, test } from 'vitest';

import type { ListOrder, Listing } from '../../../src/object/listing.js';
import { ObjectWorld, once } from '../../harness/object_world.ts';

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
