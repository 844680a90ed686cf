/** What S3 clients are told: a code of their table, a message, and details that some codes carry. */
import { SkerryError, toSkerryError, type ErrorCode } from '../../core/errors.js';
import { s3ErrorTable, type S3ErrorCode } from './error_codes.js';

export interface S3FailureOptions {
  /** Further elements of the error document, in their order. The client sees them. */
  readonly details?: Readonly<Record<string, string>>;
  /** Of the answer, by name in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
}

/** A failure that already has the words of the wire. Without a message it has that of the table. */
export class S3Failure extends SkerryError {
  readonly s3Code: S3ErrorCode;
  readonly details: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;

  constructor(s3Code: S3ErrorCode, message?: string, { details = {}, headers = {}, cause }: S3FailureOptions = {}) {
    const { status } = s3ErrorTable[s3Code];
    super(codeOfStatus(status), message ?? s3ErrorTable[s3Code].message, cause === undefined ? {} : { cause });
    this.s3Code = s3Code;
    this.details = details;
    this.headers = headers;
  }

  /** Of the answer. */
  get status(): number {
    return s3ErrorTable[this.s3Code].status;
  }
}

/**
 * Any failure in the words of the wire. A failure that does not have them yet was not written for tenants: its message may name paths and
 * pools, so only its code is translated.
 */
export function toS3Failure(error: unknown): S3Failure {
  if (error instanceof S3Failure) return error;
  return new S3Failure(wireCodes[toSkerryError(error).code], undefined, { cause: error });
}

const wireCodes: Readonly<Record<ErrorCode, S3ErrorCode>> = {
  io: 'InternalError',
  'no-space': 'InsufficientStorage',
  corrupt: 'InternalError',
  // What clients asked for and is not there says so with a reason (failures.ts): this is something of ours.
  'not-found': 'InternalError',
  invalid: 'InvalidRequest',
  'read-only': 'AccessDenied',
  'try-again': 'SlowDown',
  closed: 'ServiceUnavailable',
  conflict: 'OperationAborted',
  exists: 'OperationAborted',
  timeout: 'ServiceUnavailable',
  unavailable: 'ServiceUnavailable',
  denied: 'AccessDenied',
  'too-large': 'EntityTooLarge',
  unsupported: 'NotImplemented',
  cancelled: 'OperationAborted',
  internal: 'InternalError',
};

function codeOfStatus(status: number): ErrorCode {
  switch (status) {
    case 403:
      return 'denied';
    case 404:
      return 'not-found';
    case 409:
    case 412:
      return 'conflict';
    case 500:
      return 'internal';
    case 501:
      return 'unsupported';
    case 503:
      return 'try-again';
    case 507:
      return 'no-space';
    default:
      return 'invalid';
  }
}
