/** What a copy is made of, and who may read that. */
import type { BucketRecord } from '../../catalog/object_records.js';
import type { Conditions } from '../../object/conditions.js';
import type { Version, VersionName } from '../../object/object_version.js';
import { wantedOf } from './access.js';
import { isBucketName } from './bucket_name.js';
import { readConditions } from './condition_headers.js';
import { S3Failure } from './errors.js';
import type { Exchange } from './exchange.js';
import type { Headers } from './headers.js';
import { checkObjectKey } from './object_key.js';
import { absent, readAction } from './object_access.js';
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

/** @throws S3Failure AccessDenied */
export async function requireSource(exchange: Exchange, bucket: BucketRecord, source: Version, from: VersionName): Promise<void> {
  const wanted = wantedOf(source, { action: readAction(from), bucket, permission: 'READ', source: true });
  await exchange.services.access.require(exchange, wanted);
}

/** What is thrown for a source that is not there. Of a marker that was named S3 says that it is no object, and that is all. */
export async function missingSource(
  exchange: Exchange,
  bucket: BucketRecord,
  from: VersionName,
  error: unknown,
): Promise<unknown> {
  const failure = await absent(exchange, bucket, from, error);
  if (!(failure instanceof S3Failure) || failure.s3Code !== 'MethodNotAllowed') return failure;
  return new S3Failure(
    'InvalidRequest',
    'The source of a copy request may not specifically refer to a delete marker by version id.',
  );
}

/** For the answer, where the source is one of several versions. */
export function sourceVersionHeader({ versionId }: Version): Record<string, string> {
  return versionId === 'null' ? {} : { 'x-amz-copy-source-version-id': versionId };
}
