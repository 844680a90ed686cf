/** What a request that is signed by version 4 says of its signature, before anybody believed it: in a header, or in the query. */
import { clock_skew_milliseconds_max, presigned_seconds_max } from './credentials.js';
import { S3Failure } from './errors.js';
import type { S3Request } from './request.js';
import { basicTime, isoTime, parseBasicTime, parseHttpDate } from './timestamp.js';
import { checkScope, parseCredential, type Credential } from './v4_scope.js';
import { v4_algorithm } from './v4_signature.js';

export interface V4Claim {
  readonly form: 'header' | 'presigned';
  readonly credential: Credential;
  /** `20130524T000000Z`. */
  readonly timestamp: string;
  /** In lower case, sorted. */
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  /** As it is signed. */
  readonly contentSha256: string;
}

export interface ClaimOptions {
  readonly region: string;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** @throws S3Failure AuthorizationHeaderMalformed, AccessDenied, RequestTimeTooSkewed, InvalidRequest */
export function claimOfHeader(request: S3Request, authorization: string, { region, now }: ClaimOptions): V4Claim {
  const { credential, signedHeaders, signature } = signedBy(authorization);
  const { time, timestamp } = timeOfHeaders(request);
  checkScope(credential.scope, region, timestamp, headerMalformed);
  checkSkew(time, now);
  const contentSha256 = request.headers.get('x-amz-content-sha256');
  if (contentSha256 === undefined)
    throw new S3Failure('InvalidRequest', 'Missing required header for this request: x-amz-content-sha256');
  return { form: 'header', credential, timestamp, signedHeaders, signature, contentSha256 };
}

const signature_name = 'Signature=';

/** Names that tell a request for presigned by version 4, also one that is not whole. */
export const presignedNames = ['X-Amz-Algorithm', 'X-Amz-Credential', 'X-Amz-Signature'] as const;

/** @throws S3Failure AuthorizationQueryParametersError, AccessDenied */
export function claimOfQuery(request: S3Request, { region, now }: ClaimOptions): V4Claim {
  const parameter = (name: string): string => {
    const [value, ...others] = request.query.all(name);
    if (value === undefined || others.length > 0)
      throw queryMalformed(
        'Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters, each once.',
      );
    return value;
  };
  if (parameter('X-Amz-Algorithm') !== v4_algorithm) throw queryMalformed(`X-Amz-Algorithm only supports "${v4_algorithm}"`);
  const credential = parseCredential(parameter('X-Amz-Credential'));
  if (credential === null)
    throw queryMalformed(
      'Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
    );
  const timestamp = parameter('X-Amz-Date');
  const time = parseBasicTime(timestamp);
  if (time === null) throw queryMalformed(`X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`);
  const signedHeaders = parseSignedHeaders(parameter('X-Amz-SignedHeaders'));
  if (signedHeaders === null) throw queryMalformed('X-Amz-SignedHeaders is mal-formed.');
  const signature = parameter('X-Amz-Signature');
  checkScope(credential.scope, region, timestamp, (message, details) =>
    queryMalformed(`Error parsing the X-Amz-Credential parameter; ${message}`, details),
  );
  checkLifetime(time, parameter('X-Amz-Expires'), now);
  return { form: 'presigned', credential, timestamp, signedHeaders, signature, contentSha256: presignedSha256(request) };
}

/** Signers that move headers to the query move this one as well, spelled as they had it. */
function presignedSha256({ query, headers }: S3Request): string {
  const [moved, ...others] = query.parameters.filter(({ name }) => name.toLowerCase() === 'x-amz-content-sha256');
  if (others.length > 0) throw queryMalformed('X-Amz-Content-Sha256 may be there once only');
  return moved?.value ?? headers.get('x-amz-content-sha256') ?? 'UNSIGNED-PAYLOAD';
}

type Signing = Pick<V4Claim, 'credential' | 'signedHeaders' | 'signature'>;

/** What stands before the signature in headers of late: a client says the same all day. */
const signers = new Map<string, Omit<Signing, 'signature'>>();
const signers_max = 1024;
const signer_characters_max = 1024;

/** @throws S3Failure AuthorizationHeaderMalformed */
function signedBy(authorization: string): Signing {
  const at = authorization.lastIndexOf(signature_name) + signature_name.length;
  const before = authorization.slice(0, at);
  const signature = authorization.slice(at);
  const known = signers.get(before);
  // With another field behind it that is no signature.
  if (known !== undefined && !signature.includes(',')) return { ...known, signature: signature.trim() };
  const fields = headerFields(authorization);
  const credential = parseCredential(fields.Credential);
  if (credential === null)
    throw headerMalformed(`the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`);
  const signedHeaders = parseSignedHeaders(fields.SignedHeaders);
  if (signedHeaders === null) throw headerMalformed('the SignedHeaders are mal-formed.');
  // Its name, and not the end of something else.
  if (before.length <= signer_characters_max && /, *Signature=$/.test(before)) {
    if (signers.size >= signers_max) signers.clear();
    signers.set(before, { credential, signedHeaders });
  }
  return { credential, signedHeaders, signature: fields.Signature };
}

type HeaderFields = Record<'Credential' | 'SignedHeaders' | 'Signature', string>;

/** `AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...`, in any order, with or without the spaces. */
function headerFields(authorization: string): HeaderFields {
  const found = new Map<string, string>();
  for (const part of authorization.slice(v4_algorithm.length).split(',')) {
    const equals = part.indexOf('=');
    const name = part.slice(0, Math.max(equals, 0)).trim();
    if (found.has(name)) throw headerMalformed(`more than one ${name} was provided.`);
    found.set(name, part.slice(equals + 1).trim());
  }
  const [Credential, SignedHeaders, Signature] = [found.get('Credential'), found.get('SignedHeaders'), found.get('Signature')];
  if (Credential === undefined || SignedHeaders === undefined || Signature === undefined || found.size !== 3)
    throw headerMalformed('it takes the fields Credential, SignedHeaders and Signature.');
  return { Credential, SignedHeaders, Signature };
}

/** `host;range;x-amz-date`: tokens in lower case, sorted, none twice. */
function parseSignedHeaders(text: string): string[] | null {
  const names = text.split(';');
  if (!names.every((name) => /^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name))) return null;
  return names.every((name, at) => at === 0 || (names[at - 1] ?? '') < name) ? names : null;
}

/** Also as it is signed. */
function timeOfHeaders({ headers }: S3Request): { readonly time: number; readonly timestamp: string } {
  const amzDate = headers.get('x-amz-date');
  const text = amzDate ?? headers.get('date') ?? '';
  const basic = parseBasicTime(text);
  if (basic !== null) return { time: basic, timestamp: text };
  const time = amzDate === undefined ? parseHttpDate(text) : null;
  if (time === null) throw new S3Failure('AccessDenied', 'AWS authentication requires a valid Date or x-amz-date header');
  return { time, timestamp: basicTime(time) };
}

/** @throws S3Failure RequestTimeTooSkewed; both in milliseconds since 1970 */
export function checkSkew(time: number, now: number): void {
  if (Math.abs(now - time) <= clock_skew_milliseconds_max) return;
  throw new S3Failure('RequestTimeTooSkewed', undefined, {
    details: {
      RequestTime: basicTime(time),
      ServerTime: isoTime(now),
      MaxAllowedSkewMilliseconds: String(clock_skew_milliseconds_max),
    },
  });
}

function checkLifetime(time: number, expires: string, now: number): void {
  if (!/^-?\d{1,15}$/.test(expires)) throw queryMalformed('X-Amz-Expires should be a number');
  const seconds = Number(expires);
  if (seconds < 0) throw new S3Failure('AccessDenied', 'X-Amz-Expires must be non-negative');
  if (seconds > presigned_seconds_max)
    throw new S3Failure(
      'AccessDenied',
      `X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than ${presigned_seconds_max} seconds`,
    );
  if (time - now > clock_skew_milliseconds_max) throw new S3Failure('AccessDenied', 'Request is not yet valid');
  const end = time + seconds * 1000;
  if (now >= end)
    throw new S3Failure('AccessDenied', 'Request has expired', {
      details: { 'X-Amz-Expires': expires, Expires: isoTime(end), ServerTime: isoTime(now) },
    });
}

function headerMalformed(message: string, details: Record<string, string> = {}): S3Failure {
  return new S3Failure('AuthorizationHeaderMalformed', `The authorization header is malformed; ${message}`, { details });
}

function queryMalformed(message: string, details: Record<string, string> = {}): S3Failure {
  return new S3Failure('AuthorizationQueryParametersError', message, { details });
}
