/** Conditions that a request has in its headers: of what it reads, of what it writes over, or of what it copies. */
import type { Conditions } from '../../object/conditions.js';
import { S3Failure } from './errors.js';
import type { Headers } from './headers.js';
import { parseHttpDate } from './timestamp.js';

/** Of a read, or with `prefix` (`x-amz-copy-source-`) of what is copied. A date that is none counts for nothing, as RFC 9110 has it. */
export function readConditions(headers: Headers, prefix = ''): Conditions {
  const ifModifiedSince = dateOf(headers, `${prefix}if-modified-since`);
  const ifUnmodifiedSince = dateOf(headers, `${prefix}if-unmodified-since`);
  return {
    ...etagConditions(headers, prefix),
    ...(ifModifiedSince === undefined ? {} : { ifModifiedSince }),
    ...(ifUnmodifiedSince === undefined ? {} : { ifUnmodifiedSince }),
  };
}

/** Of what is written over, or removed. @throws S3Failure InvalidRequest for both kinds at once */
export function writeConditions(headers: Headers): Conditions {
  const conditions = etagConditions(headers, '');
  if (conditions.ifMatch !== undefined && conditions.ifNoneMatch !== undefined)
    throw new S3Failure('InvalidRequest', 'If-Match and If-None-Match cannot be used together.');
  return conditions;
}

function etagConditions(headers: Headers, prefix: string): Pick<Conditions, 'ifMatch' | 'ifNoneMatch'> {
  const ifMatch = headers.get(`${prefix}if-match`);
  const ifNoneMatch = headers.get(`${prefix}if-none-match`);
  return {
    ...(ifMatch === undefined ? {} : { ifMatch: etagsOf(ifMatch) }),
    ...(ifNoneMatch === undefined ? {} : { ifNoneMatch: etagsOf(ifNoneMatch) }),
  };
}

/** Clients leave quotes out, and ETags here have no commas in them. */
function etagsOf(value: string): string[] {
  return value.split(',').map((etag) =>
    etag
      .trim()
      .replace(/^W\//, '')
      .replace(/^"(.*)"$/, '$1'),
  );
}

function dateOf(headers: Headers, name: string): number | undefined {
  return parseHttpDate(headers.get(name) ?? '') ?? undefined;
}
