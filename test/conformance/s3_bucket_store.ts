/** Buckets and lists as a client of S3 sees them, by the SDK of AWS; documents that the layer keeps and S3 has other words for are the layer's. */
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  GetBucketLocationCommand,
  ListBucketsCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  ListObjectsV2Command,
  PutBucketVersioningCommand,
  type S3Client,
} from '@aws-sdk/client-s3';

import type { BucketRecord } from '../../src/catalog/object_records.js';
import type { ListedVersion, ListEntry, UploadView } from '../../src/object/listing.js';
import type { ObjectStore } from '../../src/object/object_store.js';
import type { Version } from '../../src/object/object_version.js';
import { told } from './s3_reasons.ts';

/** `clients`: of accounts by their numbers in the laws. */
export function s3BucketStore(clients: ReadonlyMap<number, S3Client>, beneath: ObjectStore): ObjectStore['buckets'] {
  const clientOf = (account: number): S3Client => clients.get(account) ?? raise(`no client is of account ${account}`);
  const [client = raise('there is no client')] = clients.values();
  const recordOf = (name: string): BucketRecord => ({ name }) as BucketRecord;
  return {
    document: (name, kind) => beneath.buckets.document(name, kind),
    setDocument: (name, kind, value) => beneath.buckets.setDocument(name, kind, value),
    async create({ name: Bucket, account, objectLock = false }) {
      await told(clientOf(account).send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: objectLock })));
      return recordOf(Bucket);
    },
    async get(name) {
      await told(client.send(new GetBucketLocationCommand({ Bucket: name })));
      return { record: recordOf(name), revision: 0 };
    },
    async list(account) {
      const { Buckets = [] } = await told(clientOf(account).send(new ListBucketsCommand({})));
      return { buckets: Buckets.map(({ Name = '' }) => recordOf(Name)), next: null };
    },
    async set(name, { versioning }) {
      const Status = versioning === 'enabled' ? 'Enabled' : 'Suspended';
      await told(client.send(new PutBucketVersioningCommand({ Bucket: name, VersioningConfiguration: { Status } })));
      return recordOf(name);
    },
    async remove(name) {
      await told(client.send(new DeleteBucketCommand({ Bucket: name })));
    },
  };
}

export function s3Listing(client: S3Client): ObjectStore['listing'] {
  return {
    async objects({ bucket, prefix, delimiter, after, token, entriesMax }) {
      const asked = { Bucket: bucket, Prefix: prefix, Delimiter: delimiter, StartAfter: after, MaxKeys: entriesMax };
      const page = await told(client.send(new ListObjectsV2Command({ ...asked, ContinuationToken: token, EncodingType: 'url' })));
      const items = (page.Contents ?? []).map(({ Key }) => item<Version>(decoded(Key), { key: decoded(Key) } as Version));
      return { entries: inOrder([...items, ...groups<Version>(page.CommonPrefixes)]), token: page.NextContinuationToken ?? null };
    },
    async versions({ bucket, prefix, delimiter, after, afterVersion, entriesMax }) {
      const asked = { Bucket: bucket, Prefix: prefix, Delimiter: delimiter, MaxKeys: entriesMax, EncodingType: 'url' } as const;
      const markers = { KeyMarker: after, VersionIdMarker: afterVersion };
      const page = await told(client.send(new ListObjectVersionsCommand({ ...asked, ...markers })));
      const all = [
        ...(page.DeleteMarkers ?? []).map((marker) => ({ ...marker, Size: 0, deleteMarker: true })),
        ...(page.Versions ?? []).map((version) => ({ ...version, deleteMarker: false })),
      ];
      // The SDK tells markers and versions apart, and so not in which order they came: the current one is the first of its key.
      const items = all
        .sort((a, b) => Number(b.IsLatest) - Number(a.IsLatest))
        .map(({ Key, VersionId: versionId = 'null', Size: bytes = 0, IsLatest: current = false, deleteMarker }) => {
          const version = { key: decoded(Key), versionId, bytes, deleteMarker } as Version;
          return item<ListedVersion>(version.key, { version, current });
        });
      return { entries: inOrder([...items, ...groups<ListedVersion>(page.CommonPrefixes)]), token: null };
    },
    async uploads({ bucket, prefix, delimiter, after, afterUpload, entriesMax }) {
      const asked = { Bucket: bucket, Prefix: prefix, Delimiter: delimiter, MaxUploads: entriesMax };
      const markers = { KeyMarker: after, UploadIdMarker: afterUpload };
      const page = await told(client.send(new ListMultipartUploadsCommand({ ...asked, ...markers })));
      const items = (page.Uploads ?? []).map(({ Key: key = '', UploadId: uploadId = '' }) =>
        item<UploadView>(key, { key, uploadId, upload: null as never }),
      );
      return { entries: inOrder([...items, ...groups<UploadView>(page.CommonPrefixes)]), token: null };
    },
  };
}

interface Placed<T> {
  readonly at: string;
  readonly entry: ListEntry<T>;
}

function item<T>(at: string, of: T): Placed<T> {
  return { at, entry: { entry: 'item', item: of } };
}

function groups<T>(prefixes: readonly { readonly Prefix?: string | undefined }[] = []): Placed<T>[] {
  return prefixes.map(({ Prefix }) => ({ at: decoded(Prefix), entry: { entry: 'group', prefix: decoded(Prefix) } }));
}

/** Items and groups come apart, each in the order of bytes. */
function inOrder<T>(placed: readonly Placed<T>[]): ListEntry<T>[] {
  const isOrdered = placed.every(({ at, entry }, index) => {
    const next = placed[index + 1];
    return next === undefined || entry.entry !== next.entry.entry || Buffer.compare(Buffer.from(at), Buffer.from(next.at)) <= 0;
  });
  if (!isOrdered) raise('what came was not in the order of its bytes');
  return placed.toSorted((a, b) => Buffer.compare(Buffer.from(a.at), Buffer.from(b.at))).map(({ entry }) => entry);
}

function decoded(text = ''): string {
  return decodeURIComponent(text.replaceAll('+', ' '));
}

function raise(why: string): never {
  throw new Error(why);
}
