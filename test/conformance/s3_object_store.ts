/** The object layer as a client of S3 sees it, by the SDK of AWS; what is said of objects in documents that only the layer reads is the layer's. */
import { Readable } from 'node:stream';

import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  PutObjectLegalHoldCommand,
  PutObjectRetentionCommand,
  PutObjectTaggingCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
  type HeadObjectCommandOutput,
  type S3Client,
} from '@aws-sdk/client-s3';

import { checksumAlgorithms, type Attributes, type Checksum, type Retention } from '../../src/catalog/object_records.js';
import type { Conditions } from '../../src/object/conditions.js';
import type { ObjectStore } from '../../src/object/object_store.js';
import type { Version, VersionName } from '../../src/object/object_version.js';
import type { Opened } from '../../src/object/objects.js';
import type { UploadName } from '../../src/object/uploads.js';
import { gather } from '../harness/object_world.ts';
import { s3BucketStore, s3Listing } from './s3_bucket_store.ts';
import { told } from './s3_reasons.ts';

/** `clients`: of accounts by their numbers in the laws, the first of whom asks for all but buckets. */
export function s3ObjectStore(clients: ReadonlyMap<number, S3Client>, beneath: ObjectStore): ObjectStore {
  const [first] = clients.values();
  if (first === undefined) throw new Error('there is no client');
  const client: S3Client = first;
  const kinds = new Map<string, Pick<Checksum, 'algorithm' | 'type'>>();
  const uploadOf = ({ bucket: Bucket, key: Key, uploadId: UploadId }: UploadName) => ({ Bucket, Key, UploadId });

  async function head(name: VersionName): Promise<Version> {
    // By GET, for an error of HEAD has no words.
    const found = await told(client.send(new GetObjectCommand({ ...named(name), ChecksumMode: 'ENABLED' })));
    await found.Body?.transformToByteArray();
    const version = versionOf(name, found);
    const { TagSet = [] } = (found.TagCount ?? 0) > 0 ? await told(client.send(new GetObjectTaggingCommand(named(name)))) : {};
    const tags = Object.fromEntries(TagSet.map(({ Key = '', Value = '' }) => [Key, Value]));
    const { acl } = (await beneath.objects.head(name)).attributes;
    return { ...version, attributes: { ...version.attributes, tags, acl } };
  }

  const objects: ObjectStore['objects'] = {
    head,
    async setAttributes(name, { tags, acl, legalHold }) {
      const TagSet = Object.entries(tags ?? {}).map(([Key, Value]) => ({ Key, Value }));
      const Status = legalHold === true ? 'ON' : 'OFF';
      if (tags !== undefined) await told(client.send(new PutObjectTaggingCommand({ ...named(name), Tagging: { TagSet } })));
      if (legalHold !== undefined)
        await told(client.send(new PutObjectLegalHoldCommand({ ...named(name), LegalHold: { Status } })));
      if (acl !== undefined) await beneath.objects.setAttributes(name, { acl });
      return head(name);
    },
    async setRetention(name, retention, BypassGovernanceRetention) {
      const { ObjectLockMode: Mode, ObjectLockRetainUntilDate: RetainUntilDate } = locked(retention);
      const Retention = Mode === undefined ? {} : { Mode, RetainUntilDate };
      await told(client.send(new PutObjectRetentionCommand({ ...named(name), Retention, BypassGovernanceRetention })));
      return head(name);
    },
    async put({ bucket, key, content, bytes, attributes, expected = {}, conditions = {} }) {
      const { md5, checksum } = expected;
      const value = typeof checksum?.value === 'function' ? checksum.value() : checksum?.value;
      const { VersionId } = await told(
        client.send(
          new PutObjectCommand({
            Bucket: bucket,
            Key: key,
            Body: bytes === null ? Readable.from(content) : await gather(content),
            ...said(attributes),
            ...etags(conditions),
            ...(md5 === undefined ? {} : { ContentMD5: md5 }),
            ...(checksum === undefined ? {} : { ChecksumAlgorithm: checksum.algorithm }),
            ...(checksum === undefined || value === undefined ? {} : { [`Checksum${checksum.algorithm}`]: value }),
          }),
        ),
      );
      return head({ bucket, key, ...(VersionId === undefined ? {} : { versionId: VersionId }) });
    },
    async open(name, conditions = {}): Promise<Opened> {
      const found = await told(
        client.send(new GetObjectCommand({ ...named(name), ...etags(conditions), ...dates(conditions) })),
      ).catch((error: unknown) => {
        if ((error as { cause?: { $metadata?: { httpStatusCode?: number } } }).cause?.$metadata?.httpStatusCode === 304)
          return null;
        throw error;
      });
      if (found === null) return { outcome: 'not-modified', version: await head(name) };
      const version = versionOf(name, found);
      const body = found.Body as unknown as AsyncIterable<Buffer> & { destroy(): void };
      const read = async function* (offset: number, length: number): AsyncGenerator<Buffer, void> {
        if (offset === 0 && length === version.bytes) yield* body;
        else {
          const Range = `bytes=${offset}-${offset + length - 1}`;
          const ranged = await told(client.send(new GetObjectCommand({ ...named(name), Range, IfMatch: version.etag })));
          yield Buffer.from((await ranged.Body?.transformToByteArray()) ?? []);
        }
      };
      const parts = async (skipped: number) => {
        const { ContentRange = '', ContentLength: bytes = 0 } = await told(
          client.send(new HeadObjectCommand({ ...named(name), PartNumber: skipped + 1 })),
        );
        return [{ offset: Number(/\d+/.exec(ContentRange)?.[0]), bytes, checksum: '' }];
      };
      // S3 tells neither which body it is nor where it lies, and no law asks.
      const segments = (): never => {
        throw new Error('S3 does not tell where bytes lie');
      };
      return { outcome: 'opened', object: { version, id: Number.NaN, read, parts, segments, close: () => body.destroy() } };
    },
    async remove({ bucket, key, versionId, conditions = {}, bypassGovernance = false }) {
      const removed = await told(
        client.send(
          new DeleteObjectCommand({
            ...named({ bucket, key, ...(versionId === undefined ? {} : { versionId }) }),
            ...etags(conditions),
            BypassGovernanceRetention: bypassGovernance,
          }),
        ),
      );
      return { versionId: removed.VersionId ?? null, deleteMarker: removed.DeleteMarker ?? false };
    },
  };

  const copies: ObjectStore['copies'] = {
    async copy({ bucket, key, from, attributes, fromConditions = {} }) {
      const given = typeof attributes === 'function' ? undefined : attributes;
      const { ifMatch } = fromConditions;
      await told(
        client.send(
          new CopyObjectCommand({
            Bucket: bucket,
            Key: key,
            CopySource: sourceOf(from),
            ...(given === undefined ? {} : { MetadataDirective: 'REPLACE', ...said(given) }),
            ...(ifMatch === undefined ? {} : { CopySourceIfMatch: ifMatch.join() }),
          }),
        ),
      );
      return head({ bucket, key });
    },
  };

  const uploads: ObjectStore['uploads'] = {
    async create({ bucket, key, attributes, checksum }) {
      const { UploadId = '' } = await told(
        client.send(
          new CreateMultipartUploadCommand({
            Bucket: bucket,
            Key: key,
            ...said(attributes),
            ...(checksum === undefined ? {} : { ChecksumAlgorithm: checksum.algorithm, ChecksumType: typeOf(checksum) }),
          }),
        ),
      );
      if (checksum !== undefined) kinds.set(UploadId, checksum);
      return UploadId;
    },
    async putPart({ number, content, ...name }) {
      const Body = await gather(content);
      const { ETag = '' } = await told(client.send(new UploadPartCommand({ ...uploadOf(name), PartNumber: number, Body })));
      return { number, etag: plain(ETag), bytes: Body.length, checksum: '', modifiedAt: 0 };
    },
    async listParts(name) {
      const { Parts = [] } = await told(client.send(new ListPartsCommand(uploadOf(name))));
      const parts = Parts.map(({ PartNumber: number = 0, ETag = '', Size: bytes = 0 }) => ({
        number,
        etag: plain(ETag),
        bytes,
        checksum: '',
        modifiedAt: 0,
      }));
      return { parts } as never;
    },
    async abort(name) {
      await told(client.send(new AbortMultipartUploadCommand(uploadOf(name))));
    },
    async complete({ parts, checksum, ...name }) {
      const kind = kinds.get(name.uploadId);
      await told(
        client.send(
          new CompleteMultipartUploadCommand({
            ...uploadOf(name),
            MultipartUpload: { Parts: parts.map(({ number, etag }) => ({ PartNumber: number, ETag: etag })) },
            ...(checksum === undefined || kind === undefined ? {} : { [`Checksum${kind.algorithm}`]: checksum }),
          }),
        ),
      );
      return head(name);
    },
  };

  const partCopies: ObjectStore['partCopies'] = {
    async copyPart({ number, from, range, ...name }) {
      const Range = range === undefined ? {} : { CopySourceRange: `bytes=${range.offset}-${range.offset + range.bytes - 1}` };
      const { CopyPartResult } = await told(
        client.send(new UploadPartCopyCommand({ ...uploadOf(name), PartNumber: number, CopySource: sourceOf(from), ...Range })),
      );
      return { number, etag: plain(CopyPartResult?.ETag ?? ''), bytes: range?.bytes ?? 0, checksum: '', modifiedAt: 0 };
    },
  };

  return { buckets: s3BucketStore(clients, beneath), listing: s3Listing(client), objects, copies, uploads, partCopies };
}

function named({ bucket: Bucket, key: Key, versionId: VersionId }: VersionName) {
  return { Bucket, Key, ...(VersionId === undefined ? {} : { VersionId }) };
}

function sourceOf({ bucket, key, versionId }: VersionName): string {
  return `${bucket}/${encodeURIComponent(key)}${versionId === undefined ? '' : `?versionId=${versionId}`}`;
}

/** What the laws say of objects. The SDK carries metadata of ASCII only. */
function said({ headers, metadata = {}, tags = {}, retention }: Partial<Attributes>) {
  return {
    ...(headers?.['content-type'] === undefined ? {} : { ContentType: headers['content-type'] }),
    Metadata: Object.fromEntries(Object.entries(metadata).map(([name, value]) => [name, encodeURIComponent(value)])),
    ...(Object.keys(tags).length === 0 ? {} : { Tagging: new URLSearchParams(tags).toString() }),
    ...locked(retention),
  };
}

function locked(retention: Retention | null | undefined) {
  if (retention === undefined || retention === null) return {};
  const ObjectLockMode = retention.mode === 'governance' ? ('GOVERNANCE' as const) : ('COMPLIANCE' as const);
  return { ObjectLockMode, ObjectLockRetainUntilDate: new Date(retention.until) };
}

function etags({ ifMatch, ifNoneMatch }: Conditions) {
  return {
    ...(ifMatch === undefined ? {} : { IfMatch: ifMatch.join() }),
    ...(ifNoneMatch === undefined ? {} : { IfNoneMatch: ifNoneMatch.join() }),
  };
}

function dates({ ifModifiedSince, ifUnmodifiedSince }: Conditions) {
  return {
    ...(ifModifiedSince === undefined ? {} : { IfModifiedSince: new Date(ifModifiedSince) }),
    ...(ifUnmodifiedSince === undefined ? {} : { IfUnmodifiedSince: new Date(ifUnmodifiedSince) }),
  };
}

function versionOf({ key }: VersionName, found: HeadObjectCommandOutput): Version {
  const etag = plain(found.ETag ?? '');
  const algorithm = checksumAlgorithms.find((each) => found[`Checksum${each}`] !== undefined);
  const type = found.ChecksumType === 'COMPOSITE' ? 'composite' : 'full-object';
  const metadata = Object.entries(found.Metadata ?? {}).map(([name, value]): [string, string] => [
    name,
    decodeURIComponent(value),
  ]);
  return {
    key,
    versionId: found.VersionId ?? 'null',
    deleteMarker: false,
    bytes: found.ContentLength ?? 0,
    etag,
    modifiedAt: found.LastModified?.getTime() ?? 0,
    attributes: {
      headers: { 'content-type': found.ContentType ?? '' },
      metadata: Object.fromEntries(metadata),
    } as unknown as Attributes,
    checksum:
      algorithm === undefined ? null : { algorithm, type, value: (found[`Checksum${algorithm}`] ?? '').replace(/-\d+$/, '') },
    parts: Number(/-(\d+)$/.exec(etag)?.[1] ?? 0),
  };
}

function typeOf({ type }: Pick<Checksum, 'type'>): 'COMPOSITE' | 'FULL_OBJECT' {
  return type === 'composite' ? 'COMPOSITE' : 'FULL_OBJECT';
}

function plain(etag: string): string {
  return etag.replace(/^"(.*)"$/, '$1');
}
