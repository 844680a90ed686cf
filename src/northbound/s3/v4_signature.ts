/** Signatures of version 4: what is signed, and with which key. */
import { createHmac, hash } from 'node:crypto';

import { percentEncoded } from './percent.js';
import type { S3Request } from './request.js';
import { scopeText, type Scope } from './v4_scope.js';

export const v4_algorithm = 'AWS4-HMAC-SHA256';

export interface CanonicalParts {
  readonly signedHeaders: readonly string[];
  /** The last line: what is said of the body. */
  readonly contentSha256: string;
  /** The one query parameter that signs itself no more than a header would. */
  readonly except?: string | undefined;
}

/** One character for each byte. */
export function canonicalRequest(request: S3Request, { signedHeaders, contentSha256, except }: CanonicalParts): string {
  return [
    request.method,
    percentEncoded(request.path, 'keep'),
    request.query.canonical(except),
    ...signedHeaders.map((name) => `${name}:${canonicalHeader(request, name)}`),
    '',
    signedHeaders.join(';'),
    contentSha256,
  ].join('\n');
}

/** A header that is signed and did not come is empty: then it was signed so, or the signature does not match. */
function canonicalHeader(request: S3Request, name: string): string {
  const value = name === 'host' ? request.host : (request.headers.get(name) ?? '');
  return value.replace(/[ \t]+/g, ' ');
}

export function stringToSign(canonical: string, timestamp: string, scope: Scope): string {
  return [v4_algorithm, timestamp, scopeText(scope), hash('sha256', Buffer.from(canonical, 'latin1'), 'hex')].join('\n');
}

export function signingKey(secretKey: string, scope: Scope): Buffer {
  return [scope.date, scope.region, scope.service, scope.terminal].reduce<Buffer>(
    (key, part) => createHmac('sha256', key).update(part).digest(),
    Buffer.from(`AWS4${secretKey}`, 'utf8'),
  );
}

/** In hexadecimal. */
export function signV4(key: Buffer, text: string): string {
  return createHmac('sha256', key).update(text, 'utf8').digest('hex');
}
