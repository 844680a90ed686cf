/** Lists over the wire are what sorting all keys by their bytes would give, in whatever pages and in whatever way a client goes on. */
import {
  ListMultipartUploadsCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { once } from '../../../harness/object_world.ts';
import { S3Endpoint } from '../../../harness/s3_endpoint.ts';

let endpoint: S3Endpoint;
let client: S3Client;
let account: number;
let buckets = 0;

beforeAll(async () => {
  endpoint = await S3Endpoint.start();
  client = endpoint.client(await endpoint.account('lister'));
  account = (await endpoint.identity.accounts.get('lister')).id;
});
afterAll(async () => {
  expect(endpoint.complaints).toEqual([]);
  await endpoint.stop();
});

/** The SDK makes nothing of a line feed alone. Beyond U+FFFF the order of UTF-16 is not that of bytes; U+0001 and U+FFFF no XML can carry. */
const piece = fc.constantFrom(
  'a',
  'b',
  '/',
  '//',
  'ä',
  '\uffff',
  '\u{10000}',
  '\ue000',
  ' ',
  '+',
  '%',
  '&<',
  'e\nf',
  '\u0001',
  'zz',
);
const key = fc.array(piece, { minLength: 1, maxLength: 5 }).map((pieces) => pieces.join(''));
const delimiter = fc.constantFrom('', '/', '//', 'a', 'ä', '\u{10000}');
const pageSize = fc.constantFrom(1, 2, 3, 7, 1000);

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

interface ListOf {
  readonly prefix: string;
  readonly delimiter: string;
  /** Keys behind this one alone. */
  readonly start: string;
}

/** What S3 says of a list, over a sorted array: groups end with a star. */
function expected(keys: Iterable<string>, { prefix, delimiter, start }: ListOf): string[] {
  const found = new Set<string>();
  for (const one of [...new Set(keys)].sort(byBytes)) {
    if (!one.startsWith(prefix) || (start !== '' && byBytes(one, start) <= 0)) continue;
    const at = delimiter === '' ? -1 : one.indexOf(delimiter, prefix.length);
    const group = at < 0 ? null : one.slice(0, at + delimiter.length);
    if (group === null) found.add(one);
    // A group that a page ended with stands for all that is in it.
    else if (group !== start) found.add(`${group}*`);
  }
  return [...found];
}

interface Names {
  readonly EncodingType?: string | undefined;
  readonly CommonPrefixes?: readonly { readonly Prefix?: string | undefined }[] | undefined;
}

const decoded = ({ EncodingType }: Names, name: string | undefined): string =>
  EncodingType === 'url' ? decodeURIComponent(name ?? '') : (name ?? '');

/** Of a page: keys and groups in the order of their bytes, which is that of the whole list. */
function namesOf(page: Names & { readonly Contents?: readonly { readonly Key?: string | undefined }[] | undefined }): string[] {
  const keys = page.Contents?.map(({ Key }) => decoded(page, Key)) ?? [];
  const groups = page.CommonPrefixes?.map(({ Prefix }) => decoded(page, Prefix)) ?? [];
  expect(keys).toEqual([...keys].sort(byBytes));
  expect(groups).toEqual([...groups].sort(byBytes));
  return [...keys, ...groups.map((group) => `${group}*`)].sort((a, b) => byBytes(a.replace(/\*$/, ''), b.replace(/\*$/, '')));
}

async function bucketOf(keys: readonly string[], versioned = false): Promise<string> {
  const { layer } = endpoint.world;
  buckets += 1;
  const bucket = `bucket-${buckets}`;
  await layer.buckets.create({ name: bucket, account, pool: 'default' });
  if (versioned) await layer.buckets.set(bucket, { versioning: 'enabled' });
  for (const one of keys)
    await layer.objects.put({ bucket, key: one, content: once('x'), bytes: 1, attributes: { owner: account } });
  return bucket;
}

interface Asked extends ListOf {
  readonly bucket: string;
  readonly pageSize: number;
  readonly encoded: boolean;
}

interface ListPage {
  readonly names: readonly string[];
  /** Where the next page begins; undefined where this is the last. */
  readonly next: string | undefined;
}

/** One page of each version of the list. `from`: what the page before said, undefined of the first. */
const lists: Readonly<Record<string, (asked: Asked, from: string | undefined) => Promise<ListPage>>> = {
  second: async ({ bucket, prefix, delimiter, start, pageSize, encoded }, from) => {
    const page = await client.send(
      new ListObjectsV2Command({
        Bucket: bucket,
        Prefix: prefix,
        Delimiter: delimiter,
        StartAfter: start,
        MaxKeys: pageSize,
        ContinuationToken: from,
        ...(encoded ? { EncodingType: 'url' } : {}),
      }),
    );
    const names = namesOf(page);
    expect(page.KeyCount).toBe(names.length);
    expect(decoded(page, page.Prefix)).toBe(prefix);
    expect(page.IsTruncated).toBe(page.NextContinuationToken !== undefined);
    return { names, next: page.NextContinuationToken };
  },
  first: async ({ bucket, prefix, delimiter, start, pageSize, encoded }, from = start) => {
    const page = await client.send(
      new ListObjectsCommand({
        Bucket: bucket,
        Prefix: prefix,
        Delimiter: delimiter,
        Marker: from,
        MaxKeys: pageSize,
        ...(encoded ? { EncodingType: 'url' } : {}),
      }),
    );
    expect(decoded(page, page.Marker)).toBe(from);
    if (page.IsTruncated === true && delimiter !== '') expect(page.NextMarker).toBeDefined();
    const next = decoded(page, page.NextMarker ?? page.Contents?.at(-1)?.Key);
    return { names: namesOf(page), next: page.IsTruncated === true ? next : undefined };
  },
};

test.each(Object.entries(lists))('objects, by the %s version of the list', async (_, pageOf) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(key, { maxLength: 25 }),
      fc.record({
        prefix: fc.option(key, { nil: '' }),
        delimiter,
        start: fc.option(key, { nil: '' }),
        pageSize,
        encoded: fc.boolean(),
      }),
      fc.boolean(),
      async (keys, asked, versioned) => {
        const bucket = await bucketOf(keys, versioned);
        const found: string[] = [];
        for (let next: string | undefined; ; ) {
          const page = await pageOf({ ...asked, bucket }, next);
          expect(page.names.length).toBeLessThanOrEqual(asked.pageSize);
          found.push(...page.names);
          next = page.next;
          if (next === undefined) break;
        }
        expect(found).toEqual(expected(keys, asked));
      },
    ),
    { numRuns: 120 },
  );
});

test('versions and delete markers, of each key the newest first', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.oneof(key, fc.constantFrom('a', 'a/b', 'a/c')), fc.boolean()), { maxLength: 25 }),
      fc.constantFrom('', '/'),
      pageSize,
      async (steps, delimiter, pageSize) => {
        const Bucket = await bucketOf([], true);
        const { objects } = endpoint.world.layer;
        const model = new Map<string, string[]>();
        for (const [one, puts] of steps) {
          const { versionId } = puts
            ? await objects.put({ bucket: Bucket, key: one, content: once('x'), bytes: 1, attributes: { owner: account } })
            : await objects.remove({ bucket: Bucket, key: one, owner: account });
          model.set(one, [`${one} ${versionId} ${puts ? 'version' : 'marker'}`, ...(model.get(one) ?? [])]);
        }
        const wanted = expected(model.keys(), { prefix: '', delimiter, start: '' });
        const found: string[] = [];
        const groups: string[] = [];
        for (let KeyMarker: string | undefined, VersionIdMarker: string | undefined; ; ) {
          const page = await client.send(
            new ListObjectVersionsCommand({ Bucket, Delimiter: delimiter, MaxKeys: pageSize, KeyMarker, VersionIdMarker }),
          );
          const items = [
            ...(page.Versions ?? []).map((item) => ({ ...item, kind: 'version' })),
            ...(page.DeleteMarkers ?? []).map((item) => ({ ...item, kind: 'marker' })),
          ];
          const lines = items.map((item) => `${decoded(page, item.Key)} ${item.VersionId} ${item.kind}`);
          for (const item of items) {
            const line = `${decoded(page, item.Key)} ${item.VersionId} ${item.kind}`;
            expect(item.IsLatest, line).toBe(model.get(decoded(page, item.Key))?.[0] === line);
          }
          found.push(...lines);
          groups.push(...(page.CommonPrefixes?.map(({ Prefix }) => `${decoded(page, Prefix)}*`) ?? []));
          expect(lines.length + (page.CommonPrefixes?.length ?? 0)).toBeLessThanOrEqual(pageSize);
          if (page.IsTruncated !== true) break;
          KeyMarker = decoded(page, page.NextKeyMarker);
          VersionIdMarker = page.NextVersionIdMarker;
        }
        const all = wanted.flatMap((name) => model.get(name) ?? []);
        // The SDK tells versions and markers apart, so their order among one another is lost in it.
        expect(found.toSorted()).toEqual(all.toSorted());
        for (const kind of ['version', 'marker'])
          if (pageSize >= steps.length)
            expect(found.filter((line) => line.endsWith(kind))).toEqual(all.filter((line) => line.endsWith(kind)));
        expect(groups).toEqual(wanted.filter((name) => name.endsWith('*') && !model.has(name)));
      },
    ),
    { numRuns: 80 },
  );
});

test('uploads, of each key the oldest first', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(key, { maxLength: 15 }), fc.constantFrom('', '/'), pageSize, async (keys, delimiter, pageSize) => {
      const Bucket = await bucketOf([]);
      const model = new Map<string, string[]>();
      for (const one of keys) {
        const id = await endpoint.world.layer.uploads.create({ bucket: Bucket, key: one, attributes: { owner: account } });
        model.set(one, [...(model.get(one) ?? []), `${one} ${id}`]);
      }
      const wanted = expected(model.keys(), { prefix: '', delimiter, start: '' });
      const found: string[] = [];
      const groups: string[] = [];
      for (let KeyMarker: string | undefined, UploadIdMarker: string | undefined; ; ) {
        const page = await client.send(
          new ListMultipartUploadsCommand({ Bucket, Delimiter: delimiter, MaxUploads: pageSize, KeyMarker, UploadIdMarker }),
        );
        found.push(...(page.Uploads?.map(({ Key, UploadId }) => `${decoded(page, Key)} ${UploadId}`) ?? []));
        groups.push(...(page.CommonPrefixes?.map(({ Prefix }) => `${decoded(page, Prefix)}*`) ?? []));
        if (page.IsTruncated !== true) break;
        KeyMarker = decoded(page, page.NextKeyMarker);
        UploadIdMarker = page.NextUploadIdMarker;
      }
      expect(found).toEqual(wanted.flatMap((name) => model.get(name) ?? []));
      expect(groups).toEqual(wanted.filter((name) => name.endsWith('*') && !model.has(name)));
    }),
    { numRuns: 60 },
  );
});
