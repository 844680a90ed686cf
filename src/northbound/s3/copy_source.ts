/** What is copied, as headers name it. */
import type { Conditions } from '../../object/conditions.js';
import type { VersionName } from '../../object/object_version.js';
import { isBucketName } from './bucket_name.js';
import { S3Failure } from './errors.js';
import type { Headers } from './headers.js';
import { conditionsOf } from './http_conditions.js';
import { checkObjectKey } from './object_key.js';
import { percentDecoded, textOfBytes } from './percent.js';

const header = 'x-amz-copy-source';

/** Of `/bucket/key?versionId=id`, encoded; the first slash may be left out. @throws S3Failure InvalidArgument, KeyTooLongError */
export function copySourceOf(headers: Headers): VersionName {
  const given = headers.get(header) ?? '';
  const [path = '', versionId] = given.split(/\?versionId=/);
  const bytes = percentDecoded(path);
  const text = bytes === null ? null : textOfBytes(bytes);
  const [, bucket = '', key = ''] = /^\/?([^/]+)\/(.+)$/s.exec(text ?? '') ?? [];
  if (!isBucketName(bucket))
    throw new S3Failure('InvalidArgument', 'Copy Source must mention the source bucket and key: /sourcebucket/sourcekey', {
      details: { ArgumentName: header, ArgumentValue: given },
    });
  if (versionId === '')
    throw new S3Failure('InvalidArgument', 'Version id cannot be the empty string', {
      details: { ArgumentName: header, ArgumentValue: given },
    });
  checkObjectKey(key);
  return { bucket, key, ...(versionId === undefined ? {} : { versionId }) };
}

export function copySourceConditions(headers: Headers): Conditions {
  return conditionsOf(headers, `${header}-`);
}
