/** What S3, the network and the SDK say when a request failed, in the terms of the one table. */
import { SkerryError, toSkerryError, type ErrorCode } from '../../src/core/errors.js';

/** What the SDK says where the answer had no message. */
const wordless = 'UnknownError';

interface Meaning {
  readonly code: ErrorCode;
  /** What can be done, where that is known. */
  readonly advice?: string;
}

const badCredentials: Meaning = { code: 'denied', advice: 'check access-key and secret-key' };
const badClock: Meaning = { code: 'denied', advice: 'the clocks of this host and of the server differ: set them right' };
const badRegion: Meaning = { code: 'invalid', advice: 'check region and endpoint' };
const busy: Meaning = { code: 'try-again' };
const full: Meaning = { code: 'no-space', advice: 'raise the quota or make room' };
const damagedOnItsWay: Meaning = { code: 'io' };
const unreachable: Meaning = { code: 'unavailable', advice: 'check endpoint, and that the server runs' };
const noTls: Meaning = { code: 'unavailable', advice: 'does endpoint say http where it is https, or the reverse?' };
const distrusted: Meaning = {
  code: 'denied',
  advice: 'its certificate is not trusted: name its authority in NODE_EXTRA_CA_CERTS, and check the host in endpoint',
};

/** By the code in the answer. */
const byName: Readonly<Record<string, Meaning>> = {
  NoSuchBucket: { code: 'not-found', advice: 'make the bucket, or set bucket to one that is there' },
  AccessDenied: { code: 'denied', advice: 'check the keys, and what they are allowed to do in this bucket' },
  InvalidAccessKeyId: badCredentials,
  SignatureDoesNotMatch: badCredentials,
  InvalidToken: badCredentials,
  ExpiredToken: badCredentials,
  RequestTimeTooSkewed: badClock,
  RequestExpired: badClock,
  AuthorizationHeaderMalformed: badRegion,
  PermanentRedirect: badRegion,
  TemporaryRedirect: badRegion,
  SlowDown: busy,
  ServiceUnavailable: busy,
  Throttling: busy,
  ThrottlingException: busy,
  TooManyRequests: busy,
  OperationAborted: busy,
  ConditionalRequestConflict: busy,
  // Somebody aborted the upload: one that begins anew may end well.
  NoSuchUpload: busy,
  PreconditionFailed: { code: 'exists' },
  QuotaExceeded: full,
  XMinioStorageFull: full,
  EntityTooLarge: { code: 'too-large' },
  RequestTimeout: { code: 'timeout' },
  InternalError: { code: 'io' },
  BadDigest: damagedOnItsWay,
  IncompleteBody: damagedOnItsWay,
  XAmzContentSHA256Mismatch: damagedOnItsWay,
  NotImplemented: { code: 'unsupported' },
};

/** Where the answer had no code, or one that is not known. */
const byStatus: Readonly<Record<number, Meaning>> = {
  301: badRegion,
  307: badRegion,
  403: { code: 'denied', advice: 'check the keys, and what they are allowed to do in this bucket' },
  404: { code: 'not-found' },
  408: { code: 'timeout' },
  409: busy,
  412: { code: 'exists' },
  413: { code: 'too-large' },
  429: busy,
  501: { code: 'unsupported' },
  502: { code: 'unavailable' },
  503: busy,
  504: { code: 'timeout' },
  507: full,
};

/** By the code of the error that a socket or TLS gave. */
const bySocket: Readonly<Record<string, Meaning>> = {
  ENOTFOUND: unreachable,
  EAI_AGAIN: unreachable,
  ECONNREFUSED: unreachable,
  EHOSTUNREACH: unreachable,
  ENETUNREACH: unreachable,
  ECONNRESET: { code: 'unavailable' },
  EPIPE: { code: 'unavailable' },
  ETIMEDOUT: unreachable,
  CERT_HAS_EXPIRED: distrusted,
  DEPTH_ZERO_SELF_SIGNED_CERT: distrusted,
  SELF_SIGNED_CERT_IN_CHAIN: distrusted,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: distrusted,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: distrusted,
  ERR_TLS_CERT_ALTNAME_INVALID: distrusted,
};

/** `doing` begins the message and names the chunk, bucket and endpoint. A SkerryError keeps its code. */
export function failureOf(error: unknown, doing: string): SkerryError {
  const meaning = meaningOf(error);
  if (meaning === null) return toSkerryError(error, doing);
  const said = error instanceof Error ? error.message : String(error);
  const name = s3CodeOf(error);
  const words = said === wordless ? `${name} (status ${statusOf(error)})` : said.includes(name) ? said : `${name}: ${said}`;
  const advice = meaning.advice === undefined ? '' : `; ${meaning.advice}`;
  return new SkerryError(meaning.code, `${doing}: ${words}${advice}`, { cause: error });
}

/** The server says that it has no such object. Another 404, of a bucket or of something in between, is a failure. */
export function isAbsence(error: unknown): boolean {
  return s3CodeOf(error) === 'NoSuchKey';
}

/** The same of an answer without a body, which cannot say what there is not. */
export function isBareAbsence(error: unknown): boolean {
  return statusOf(error) === 404;
}

/** The range lies behind the end. */
export function isPastEnd(error: unknown): boolean {
  return statusOf(error) === 416;
}

/** A put on condition met a chunk under its key, or somebody who is putting one there. */
export function isTaken(error: unknown): boolean {
  const name = s3CodeOf(error);
  return statusOf(error) === 412 || name === 'PreconditionFailed' || name === 'ConditionalRequestConflict';
}

function meaningOf(error: unknown): Meaning | null {
  if (error instanceof SkerryError) return error;
  const status = statusOf(error);
  if (status !== null) {
    const known = byName[s3CodeOf(error)] ?? byStatus[status];
    if (known !== undefined) return known;
    return { code: status >= 400 && status < 500 ? 'invalid' : 'io' };
  }
  const code = textOf(error, 'code');
  // What came was no HTTP.
  if (code.startsWith('HPE_')) return { code: 'io', advice: 'does an S3 server listen at endpoint?' };
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) return noTls;
  const known = bySocket[code];
  if (known !== undefined) return known;
  // The SDK's own word for a connection that did not come about in time.
  return error instanceof Error && error.name === 'TimeoutError' ? unreachable : null;
}

/** Of the answer; null where there was none. */
function statusOf(error: unknown): number | null {
  if (typeof error !== 'object' || error === null || !('$metadata' in error)) return null;
  const { $metadata: metadata } = error;
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata)) return null;
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : null;
}

/** The code in the answer; empty where it had none. */
function s3CodeOf(error: unknown): string {
  return statusOf(error) === null ? '' : textOf(error, 'name');
}

function textOf(error: unknown, field: 'name' | 'code'): string {
  if (typeof error !== 'object' || error === null) return '';
  const value: unknown = (error as Record<string, unknown>)[field];
  return typeof value === 'string' ? value : '';
}
