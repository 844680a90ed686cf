/** What a request is about, after it was judged whether it may be. */
import { isSkerryError } from '../../core/errors.js';
import type { BucketRecord } from '../../catalog/object_records.js';
import type { Permission } from '../../identity/acl.js';
import type { Version, VersionName } from '../../object/object_version.js';
import { wantedOf } from './access.js';
import { S3Failure } from './errors.js';
import { bucketName, objectKey, type Exchange } from './exchange.js';

/** The bucket, for an action that needs the owner's leave, or that grant of its list. @throws S3Failure AccessDenied, NoSuchBucket */
export async function bucketFor(exchange: Exchange, action: string, permission?: Permission): Promise<BucketRecord> {
  const { store, access } = exchange.services;
  const { record: bucket } = await store.buckets.get(bucketName(exchange));
  const grant = permission === undefined ? { of: 'owner' as const } : { of: 'bucket' as const, permission };
  await access.require(exchange, { action, bucket, key: null, grant });
  return bucket;
}

export interface VersionSubject {
  readonly bucket: BucketRecord;
  readonly name: VersionName;
  readonly version: Version;
  /** For the answer. */
  readonly headers: Readonly<Record<string, string>>;
}

/** What is asked of an object: the action's name where no version is named, and where one is. */
export interface VersionAction {
  readonly current: string;
  readonly version: string;
  /** Of the object's list; absent: it needs the leave of the bucket's owner. */
  readonly permission?: Permission;
  readonly context?: Readonly<Record<string, string | readonly string[]>>;
}

/** @throws S3Failure AccessDenied; where that may be known, NoSuchKey, NoSuchVersion, MethodNotAllowed for a delete marker */
export async function versionFor(exchange: Exchange, action: VersionAction): Promise<VersionSubject> {
  const { store, access } = exchange.services;
  const { record: bucket } = await store.buckets.get(bucketName(exchange));
  const versionId = exchange.request.query.get('versionId');
  if (versionId === '') throw new S3Failure('InvalidArgument', 'Version id cannot be the empty string');
  const name = { bucket: bucket.name, key: objectKey(exchange), ...(versionId === undefined ? {} : { versionId }) };
  const version = await found(exchange, bucket, name);
  const { permission = 'FULL_CONTROL', context = {} } = action;
  const wanted = wantedOf(version, { action: versionId === undefined ? action.current : action.version, bucket, permission });
  await access.require(exchange, {
    ...wanted,
    context: { ...wanted.context, ...context },
    ...(action.permission === undefined ? { grant: { of: 'owner' } } : {}),
  });
  const headers: Record<string, string> = bucket.versioning === 'never' ? {} : { 'x-amz-version-id': version.versionId };
  return { bucket, name, version, headers };
}

async function found(exchange: Exchange, bucket: BucketRecord, name: VersionName): Promise<Version> {
  const { store, access } = exchange.services;
  try {
    return await store.objects.head(name);
  } catch (error) {
    if (!isSkerryError(error, 'not-found')) throw error;
    switch (error.reason) {
      case 'no-such-key':
        throw await access.missing(exchange, bucket, name.key);
      case 'no-such-version':
        throw await access.missing(exchange, bucket, name.key, 'NoSuchVersion');
      case 'delete-marker':
        throw await access.missing(exchange, bucket, name.key, 'MethodNotAllowed');
      default:
        throw error;
    }
  }
}
