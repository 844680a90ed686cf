/** What a copy is made of, and who may read that. */
import { isSkerryError } from '../../core/errors.js';
import type { Conditions } from '../../object/conditions.js';
import type { Version, VersionName } from '../../object/object_version.js';
import { wantedOf } from './access.js';
import { isBucketName } from './bucket_name.js';
import { readConditions } from './condition_headers.js';
import { S3Failure } from './errors.js';
import type { Exchange } from './exchange.js';
import type { Headers } from './headers.js';
import { checkObjectKey } from './object_key.js';
import { percentDecoded, textOfBytes } from './percent.js';

/** `/bucket/key?versionId=ID`, where the first slash may be left out and the key is encoded. @throws S3Failure InvalidArgument, NotImplemented */
export function copySource(headers: Headers): VersionName {
  const given = headers.get('x-amz-copy-source') ?? '';
  if (given.startsWith('arn:'))
    throw new S3Failure('NotImplemented', 'A copy source is a bucket and a key; access points are not known here');
  const [, place = '', versionId] = /^(.*?)(?:\?versionId=([^?&]*))?$/s.exec(given) ?? [];
  const bytes = percentDecoded(place);
  const path = bytes === null ? null : textOfBytes(bytes)?.replace(/^\//, '');
  const slash = path?.indexOf('/') ?? -1;
  const bucket = path?.slice(0, slash) ?? '';
  const key = path?.slice(slash + 1) ?? '';
  if (slash < 0 || key === '' || !isBucketName(bucket))
    throw new S3Failure('InvalidArgument', 'Copy Source must mention the source bucket and key: sourcebucket/sourcekey', {
      details: { ArgumentName: 'x-amz-copy-source', ArgumentValue: given },
    });
  checkObjectKey(key);
  return { bucket, key, ...(versionId === undefined || versionId === '' ? {} : { versionId }) };
}

export function copyConditions(headers: Headers): Conditions {
  return readConditions(headers, 'x-amz-copy-source-');
}

/** As it is while access to it is judged. @throws S3Failure AccessDenied, NoSuchKey, NoSuchVersion; SkerryError not-found */
export async function readableSource(exchange: Exchange, from: VersionName): Promise<Version> {
  const { store, access } = exchange.services;
  const { record: bucket } = await store.buckets.get(from.bucket);
  const version = await store.objects.head(from).catch(async (error: unknown) => {
    if (!isSkerryError(error, 'not-found')) throw error;
    throw await access.missing(exchange, bucket, error.reason === 'no-such-version' ? 'NoSuchVersion' : 'NoSuchKey');
  });
  const action = from.versionId === undefined ? 's3:GetObject' : 's3:GetObjectVersion';
  await access.require(exchange, wantedOf(version, { action, bucket, permission: 'READ', source: true }));
  return version;
}

/** For the answer, where the source is one of several versions. */
export function sourceVersionHeader({ versionId }: Version): Record<string, string> {
  return versionId === 'null' ? {} : { 'x-amz-copy-source-version-id': versionId };
}
