/**
 * What would make another request of one that is served, and is not heeded here: an append that were taken for a put would lose all that was there.
 * Such a request is refused as a whole; what only adds to one, as who pays for it, is passed over.
 */
import { S3Failure } from './errors.js';
import type { Headers } from './headers.js';
import { invalidArgument } from './list_parameters.js';
import type { S3Request } from './request.js';

const unheeded = [
  // A piece of an object, by whoever means S3 Express One Zone, or any server of HTTP.
  'x-amz-write-offset-bytes',
  'content-range',
  // A name for what is there already.
  'x-amz-rename-source',
  // Conditions of directory buckets, and of annotations.
  'x-amz-if-match-last-modified-time',
  'x-amz-if-match-size',
  'x-amz-if-match-initiated-time',
  'x-amz-object-if-match',
  // Who stores it thinks that it cannot be removed.
  'x-amz-object-lock-event-hold',
  'x-amz-object-lock-event-hold-duration-days',
  'x-amz-object-lock-event-hold-duration-years',
  // Sessions of directory buckets, and answers of functions on their way to somebody else.
  'x-amz-create-session-mode',
  'x-amz-s3session-token',
  'x-amz-request-route',
  'x-amz-request-token',
];

/** `operation`: what is served for it. SDKs say which one they mean. @throws S3Failure NotImplemented */
export function refuseUnheeded({ headers, query }: S3Request, operation: string): void {
  if (!query.all('x-id').every((name) => name === operation)) throw new S3Failure('NotImplemented');
  refuseUnheededHeaders(headers);
}

/** @throws S3Failure NotImplemented */
export function refuseUnheededHeaders(headers: Headers): void {
  for (const name of unheeded) if (headers.has(name)) throw notHeeded(name);
  const namespace = headers.get('x-amz-bucket-namespace');
  if (namespace !== undefined && namespace !== 'global') throw notHeeded('x-amz-bucket-namespace');
}

/** Of a request that puts a whole object, and says with it that it means something else. @throws S3Failure InvalidArgument */
export function refusePartOfObject({ query }: S3Request): void {
  if (query.has('versionId'))
    throw invalidArgument('versionId', query.get('versionId') ?? '', 'This operation does not accept a version-id.');
  if (query.has('partNumber'))
    throw invalidArgument('partNumber', query.get('partNumber') ?? '', 'A part is of an upload, which uploadId names.');
}

function notHeeded(name: string): S3Failure {
  return new S3Failure('NotImplemented', 'A header you provided implies functionality that is not implemented', {
    details: { Header: name },
  });
}
