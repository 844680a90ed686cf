/** Failures of the object layer in the words of the wire: each has a reason, which says more than its code. */
import { SkerryError } from '../../core/errors.js';
import type { S3ErrorCode } from './error_codes.js';
import { S3Failure } from './errors.js';

const codes: Readonly<Record<string, S3ErrorCode>> = {
  'no-such-bucket': 'NoSuchBucket',
  'no-such-key': 'NoSuchKey',
  'no-such-version': 'NoSuchVersion',
  'no-such-upload': 'NoSuchUpload',
  'delete-marker': 'NoSuchKey',
  'bucket-already-exists': 'BucketAlreadyExists',
  'bucket-already-owned-by-you': 'BucketAlreadyOwnedByYou',
  'bucket-not-empty': 'BucketNotEmpty',
  'invalid-bucket-name': 'InvalidBucketName',
  'invalid-bucket-state': 'InvalidBucketState',
  'precondition-failed': 'PreconditionFailed',
  'object-locked': 'AccessDenied',
  'read-only-bucket': 'AccessDenied',
  'no-object-lock': 'InvalidRequest',
  'bad-digest': 'BadDigest',
  'incomplete-body': 'IncompleteBody',
  'wrong-size': 'InvalidRequest',
  'copy-source-too-large': 'InvalidRequest',
  'invalid-part': 'InvalidPart',
  'invalid-part-order': 'InvalidPartOrder',
  'entity-too-small': 'EntityTooSmall',
  'bad-checksum-algorithm': 'InvalidRequest',
  'invalid-key': 'InvalidArgument',
  'invalid-part-number': 'InvalidArgument',
  'invalid-range': 'InvalidRange',
  'key-too-long': 'KeyTooLongError',
  malformed: 'MalformedXML',
  'bad-token': 'InvalidArgument',
  'quota-exceeded': 'QuotaExceeded',
};

/** What has a reason is told with its own words, which were written for tenants; all else is left to toS3Failure(). */
export function withWireWords(error: unknown): unknown {
  if (error instanceof S3Failure || !(error instanceof SkerryError)) return error;
  const code = codes[error.reason];
  return code === undefined ? error : new S3Failure(code, error.message, { cause: error });
}
