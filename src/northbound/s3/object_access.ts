/** Objects for who may have them: what is not there is told of to nobody who may not list. */
import type { BucketRecord } from '../../catalog/object_records.js';
import { isSkerryError } from '../../core/errors.js';
import { DeleteMarkerFound, type Version, type VersionName } from '../../object/object_version.js';
import type { OpenObject } from '../../object/objects.js';
import { wantedOf } from './access.js';
import { S3Failure } from './errors.js';
import { bucketName, objectKey, type Exchange } from './exchange.js';
import { httpDate } from './timestamp.js';

/** The bucket that the request is for. @throws SkerryError not-found (no-such-bucket) */
export async function requestedBucket(exchange: Exchange): Promise<BucketRecord> {
  return (await exchange.services.store.buckets.get(bucketName(exchange))).record;
}

/** The version that the request is for. @throws S3Failure InvalidArgument */
export function requestedVersion(exchange: Exchange): VersionName {
  const versionId = exchange.request.query.get('versionId');
  if (versionId === '')
    throw new S3Failure('InvalidArgument', 'Version id cannot be the empty string', {
      details: { ArgumentName: 'versionId', ArgumentValue: '' },
    });
  return { bucket: bucketName(exchange), key: objectKey(exchange), ...(versionId === undefined ? {} : { versionId }) };
}

/** To be closed. `more`: actions that are needed beside reading. @throws S3Failure AccessDenied, NoSuchKey, NoSuchVersion, MethodNotAllowed */
export async function openReadable(exchange: Exchange, bucket: BucketRecord, name: VersionName, more: readonly string[] = []) {
  const object = await found(exchange, bucket, name);
  try {
    for (const action of [readAction(name), ...more])
      await exchange.services.access.require(exchange, wantedOf(object.version, { action, bucket, permission: 'READ' }));
    return object;
  } catch (error) {
    object.close();
    throw error;
  }
}

export function readAction({ versionId }: Pick<VersionName, 'versionId'>): string {
  return versionId === undefined ? 's3:GetObject' : 's3:GetObjectVersion';
}

export function mayRead(exchange: Exchange, bucket: BucketRecord, version: Version, action: string): Promise<boolean> {
  return exchange.services.access.allows(exchange, wantedOf(version, { action, bucket, permission: 'READ' }));
}

/** What is thrown for an object that was looked for and is not there. */
export async function absent(exchange: Exchange, bucket: BucketRecord, name: VersionName, error: unknown): Promise<unknown> {
  if (!isSkerryError(error, 'not-found')) return error;
  const missing = await exchange.services.access.missing(exchange, bucket, name.key);
  if (missing.s3Code === 'AccessDenied') return missing;
  if (error instanceof DeleteMarkerFound) return markerFailure(error, name);
  if (error.reason !== 'no-such-key') return error;
  const headers = { 'x-amz-delete-marker': 'false' };
  return new S3Failure('NoSuchKey', undefined, { details: { Key: name.key }, headers, cause: error });
}

/** As a header tells it: only of buckets that ever had versions. */
export function versionHeader({ versioning }: BucketRecord, versionId: string | null): Record<string, string> {
  return versioning === 'never' || versionId === null ? {} : { 'x-amz-version-id': versionId };
}

async function found(exchange: Exchange, bucket: BucketRecord, name: VersionName): Promise<OpenObject> {
  try {
    const opened = await exchange.services.store.objects.open(name);
    if (opened.outcome === 'opened') return opened.object;
    throw new Error('there was no condition');
  } catch (error) {
    throw await absent(exchange, bucket, name, error);
  }
}

/** Who names a marker's version asks for something that can only be deleted. */
function markerFailure({ version }: DeleteMarkerFound, { key, versionId }: VersionName): S3Failure {
  const headers = { 'x-amz-delete-marker': 'true', 'x-amz-version-id': version.versionId };
  if (versionId === undefined) return new S3Failure('NoSuchKey', undefined, { details: { Key: key }, headers });
  return new S3Failure('MethodNotAllowed', undefined, {
    details: { Method: 'GET', ResourceType: 'DeleteMarker' },
    headers: { ...headers, allow: 'DELETE', 'last-modified': httpDate(version.modifiedAt) },
  });
}
