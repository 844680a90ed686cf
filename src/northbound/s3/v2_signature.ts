/** Signatures of version 2, which old clients still make: HMAC-SHA-1 over a few headers and the resource. */
import { createHmac } from 'node:crypto';

import type { Address } from './address.js';
import { S3Failure } from './errors.js';
import { unfolded } from './headers.js';
import { bytesOfText } from './percent.js';
import type { S3Request } from './request.js';
import { isoTime, parseBasicTime, parseHttpDate } from './timestamp.js';
import { checkSkew } from './v4_claim.js';

export interface V2Claim {
  readonly form: 'header' | 'presigned';
  readonly accessKey: string;
  readonly signature: string;
  /** The one that the documents give first; any of them is as good. */
  readonly stringsToSign: readonly string[];
}

/**
 * Query parameters that are signed. Nothing else of a query is, so each that makes another operation of a request must be here: a client that
 * does not know one cannot use it with this version, but nobody can turn a request that was signed into one that was not.
 */
const subResources = new Set(
  [
    'acl lifecycle location logging notification partNumber policy requestPayment torrent uploadId uploads versionId',
    'versioning versions website cors delete restore tagging accelerate analytics inventory metrics replication encryption',
    'object-lock legal-hold retention select select-type publicAccessBlock ownershipControls policyStatus attributes',
    'intelligent-tiering defaultObjectAcl storageClass append position',
    'response-cache-control response-content-disposition response-content-encoding response-content-language',
    'response-content-type response-expires',
  ].flatMap((line) => line.split(' ')),
);

/** @throws S3Failure InvalidArgument, AccessDenied, RequestTimeTooSkewed */
export function v2ClaimOfHeader(request: S3Request, address: Address, authorization: string, now: number): V2Claim {
  const parts = /^AWS ([^\s:]+):([A-Za-z0-9+/=]+)$/.exec(authorization);
  if (parts === null)
    throw new S3Failure('InvalidArgument', 'AWS authorization header is invalid.  Expected AwsAccessKeyId:signature', {
      details: { ArgumentName: 'Authorization', ArgumentValue: authorization },
    });
  const [, accessKey = '', signature = ''] = parts;
  const amzDate = request.headers.get('x-amz-date');
  const date = request.headers.get('date') ?? '';
  const time = parseHttpDate(amzDate ?? date) ?? parseBasicTime(amzDate ?? date);
  // A time before 1970 is none to S3: not one that a clock could be corrected by.
  if (time === null || time < 0)
    throw new S3Failure('AccessDenied', 'AWS authentication requires a valid Date or x-amz-date header');
  checkSkew(time, now);
  // With x-amz-date it is signed as a header, and the date line is empty.
  return {
    form: 'header',
    accessKey,
    signature,
    stringsToSign: v2StringsToSign(request, address, amzDate === undefined ? date : ''),
  };
}

/** Names that tell a request for presigned by version 2, also one that is not whole. */
export const v2PresignedNames = ['Signature', 'AWSAccessKeyId'] as const;

/** @throws S3Failure AccessDenied, InvalidArgument */
export function v2ClaimOfQuery(request: S3Request, address: Address, now: number): V2Claim {
  const [accessKey, signature, expires] = ['AWSAccessKeyId', 'Signature', 'Expires'].map((name) => request.query.get(name));
  if (accessKey === undefined || signature === undefined || expires === undefined)
    throw new S3Failure(
      'AccessDenied',
      'Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters',
    );
  if (!/^\d{1,12}$/.test(expires))
    throw new S3Failure('AccessDenied', `Invalid date (should be seconds since epoch): ${expires}`);
  const end = Number(expires) * 1000;
  if (now >= end)
    throw new S3Failure('AccessDenied', 'Request has expired', {
      details: { Expires: isoTime(end), ServerTime: isoTime(now) },
    });
  return { form: 'presigned', accessKey, signature, stringsToSign: v2StringsToSign(request, address, expires) };
}

/** In base64. `text` has one character for each byte. */
export function signV2(secretKey: string, text: string): string {
  return createHmac('sha1', Buffer.from(secretKey, 'utf8')).update(text, 'latin1').digest('base64');
}

function v2StringsToSign(request: S3Request, address: Address, date: string): string[] {
  const { headers } = request;
  const lines = [
    request.method,
    headers.get('content-md5') ?? '',
    headers.get('content-type') ?? '',
    date,
    ...headers
      .names()
      .filter((name) => name.startsWith('x-amz-'))
      .sort()
      .map((name) => `${name}:${headers.all(name).map(unfolded).join(',')}`),
  ];
  const subResource = canonicalSubResources(request);
  return signedPaths(request, address).map((path) => [...lines, `${path}${subResource}`].join('\n'));
}

/** The path as it came, with the bucket. Clients sign the bucket itself with a slash, though they may ask for it without. */
function signedPaths({ rawPath }: S3Request, { bucket, key, style }: Address): string[] {
  if (style === 'virtual-host') return [`/${bucket ?? ''}${rawPath}`];
  return bucket !== null && key === null && !rawPath.endsWith('/') ? [rawPath, `${rawPath}/`] : [rawPath];
}

/** Their values are signed as they read decoded. */
function canonicalSubResources({ query }: S3Request): string {
  const words = query.parameters
    .filter(({ name }) => subResources.has(name))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
    .map(({ name, value, hasValue }) => (hasValue ? `${name}=${bytesOfText(value)}` : name));
  return words.length === 0 ? '' : `?${words.join('&')}`;
}
