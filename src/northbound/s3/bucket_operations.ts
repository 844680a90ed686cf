/** Buckets themselves: made, looked for, listed and removed. */
import type { BucketRecord } from '../../catalog/object_records.js';
import { SkerryError } from '../../core/errors.js';
import { emptyAnswer, xmlAnswer } from './answer.js';
import { createBucket } from './bucket_creation.js';
import { locationOf } from './bucket_location.js';
import { bucketName, signedCaller, type Exchange, type Operation } from './exchange.js';
import { countOf, given, invalidArgument } from './list_parameters.js';
import { listable } from './object_lists.js';
import type { Route } from './operations.js';
import { documentTime } from './timestamp.js';
import { element } from './xml_document.js';

const listed_buckets_max = 10_000;

const listBuckets: Operation = {
  name: 'ListBuckets',
  async run(exchange) {
    const { account, canonicalId, displayName } = signedCaller(exchange);
    const { query } = exchange.request;
    const { region } = exchange.services;
    const prefix = given(query, 'prefix');
    const { buckets, next } = await ownBuckets(exchange, account);
    return xmlAnswer('ListAllMyBucketsResult', [
      element('Owner', [element('ID', canonicalId), element('DisplayName', displayName)]),
      element(
        'Buckets',
        buckets.map((bucket) =>
          element('Bucket', [
            element('Name', bucket.name),
            element('CreationDate', documentTime(bucket.createdAt)),
            element('BucketRegion', locationOf(bucket, region) || region),
          ]),
        ),
      ),
      ...(next === null ? [] : [element('ContinuationToken', Buffer.from(next).toString('base64url'))]),
      ...(prefix === undefined ? [] : [element('Prefix', prefix)]),
    ]);
  },
};

const headBucket: Operation = {
  name: 'HeadBucket',
  async run(exchange) {
    await listable(exchange, 's3:ListBucket');
    return emptyAnswer(200, { 'x-amz-bucket-region': exchange.services.region });
  },
};

const getBucketLocation: Operation = {
  name: 'GetBucketLocation',
  async run(exchange) {
    const { store, access, region } = exchange.services;
    const { record: bucket } = await store.buckets.get(bucketName(exchange));
    await access.require(exchange, { action: 's3:GetBucketLocation', bucket, key: null, grant: { of: 'owner' } });
    return xmlAnswer('LocationConstraint', locationOf(bucket, region));
  },
};

/** Uploads that nobody completed do not keep a bucket: they are no objects. */
const deleteBucket: Operation = {
  name: 'DeleteBucket',
  async run(exchange) {
    const { store, access } = exchange.services;
    const name = bucketName(exchange);
    const { record: bucket } = await store.buckets.get(name);
    await access.require(exchange, { action: 's3:DeleteBucket', bucket, key: null, grant: { of: 'owner' } });
    if ((await store.listing.versions({ bucket: name, entriesMax: 1 })).entries.length === 0) await abortUploads(exchange, name);
    await store.buckets.remove(name);
    return emptyAnswer(204);
  },
};

export const bucketOperations: readonly Route[] = [
  { target: 'service', method: 'GET', operation: listBuckets },
  { target: 'bucket', method: 'PUT', operation: createBucket },
  { target: 'bucket', method: 'HEAD', operation: headBucket },
  { target: 'bucket', method: 'GET', query: ['location'], operation: getBucketLocation },
  { target: 'bucket', method: 'DELETE', operation: deleteBucket },
];

/** Those that the request asks for, by name; `next`: what the next page comes after. @throws S3Failure InvalidArgument */
async function ownBuckets(
  { request: { query }, services }: Exchange,
  account: number,
): Promise<{ readonly buckets: readonly BucketRecord[]; readonly next: string | null }> {
  const bucketsMax = countOf(query, 'max-buckets') ?? listed_buckets_max;
  if (bucketsMax < 1 || bucketsMax > listed_buckets_max)
    throw invalidArgument('max-buckets', String(bucketsMax), `Argument max-buckets must be between 1 and ${listed_buckets_max}`);
  const token = given(query, 'continuation-token');
  const prefix = given(query, 'prefix') ?? '';
  const found: BucketRecord[] = [];
  if ((given(query, 'bucket-region') ?? services.region) !== services.region) return { buckets: [], next: null };
  for (let after = token === undefined ? null : nameOfToken(token); found.length <= bucketsMax; ) {
    const page = await services.store.buckets.list(account, after === null ? {} : { after });
    found.push(...page.buckets.filter(({ name }) => name.startsWith(prefix)));
    if (page.next === null) break;
    after = page.next;
  }
  const buckets = found.slice(0, bucketsMax);
  return { buckets, next: found.length > bucketsMax ? (buckets.at(-1)?.name ?? null) : null };
}

function nameOfToken(token: string): string {
  const name = Buffer.from(token, 'base64url').toString();
  if (/^[a-z0-9.-]{3,63}$/.test(name)) return name;
  throw invalidArgument('continuation-token', token, 'The continuation token provided is incorrect');
}

async function abortUploads({ services: { store } }: Exchange, bucket: string): Promise<void> {
  for (;;) {
    const { entries } = await store.listing.uploads({ bucket });
    for (const entry of entries) {
      if (entry.entry === 'group') continue;
      const { key, uploadId } = entry.item;
      await store.uploads.abort({ bucket, key, uploadId }).catch((error: unknown) => {
        // Somebody else ended it meanwhile.
        if (!(error instanceof SkerryError && error.reason === 'no-such-upload')) throw error;
      });
    }
    if (entries.length === 0) return;
  }
}
