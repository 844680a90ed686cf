/** What these tests share: the keys of AWS's own examples, a request, and what comes of asking who sent it. */
import { Readable } from 'node:stream';

import { expect } from 'vitest';

import { addressOf } from '../../../../src/northbound/s3/address.js';
import { Authenticator, type Authenticated, type BodyPlan } from '../../../../src/northbound/s3/authenticator.js';
import { bodyDecoder } from '../../../../src/northbound/s3/body_decoder.js';
import type { S3ErrorCode } from '../../../../src/northbound/s3/error_codes.js';
import { S3Failure } from '../../../../src/northbound/s3/errors.js';
import type { HeaderLine } from '../../../../src/northbound/s3/headers.js';
import { readRequest, type WireRequest } from '../../../../src/northbound/s3/request.js';
import { basicTime } from '../../../../src/northbound/s3/timestamp.js';
import { scopeText, type Scope } from '../../../../src/northbound/s3/v4_scope.js';
import { canonicalRequest, signingKey, signV4, stringToSign, v4_algorithm } from '../../../../src/northbound/s3/v4_signature.js';

export const accessKey = 'AKIAIOSFODNN7EXAMPLE';
export const secretKey = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
export const principal = 'johnsmith';
export const emptySha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
/** Of the examples of version 4. */
export const exampleTime = Date.parse('2013-05-24T00:00:00Z');
export const domains = ['s3.amazonaws.com'];

/** Headers as a list, or by name where none comes twice. */
export type GivenHeaders = readonly HeaderLine[] | Readonly<Record<string, string>>;

export function wire(method: string, host: string, target: string, headers: GivenHeaders = {}): WireRequest {
  return {
    method,
    target,
    host,
    secure: false,
    headers: [['Host', host], ...(Array.isArray(headers) ? (headers as HeaderLine[]) : Object.entries(headers))],
  };
}

export function authenticator(now: number, secrets: Readonly<Record<string, string>> = { [accessKey]: secretKey }) {
  return new Authenticator<string>({
    region: 'us-east-1',
    version2: true,
    now: () => now,
    credentials: async (key) => {
      const secret = secrets[key];
      return secret === undefined ? null : { secretKey: secret, principal };
    },
  });
}

export async function authenticate(request: WireRequest, now = exampleTime): Promise<Authenticated<string>> {
  const read = readRequest(request);
  return authenticator(now).authenticate(read, addressOf(read, { domains }));
}

/** The failure that `attempt` ends with, whose code must be `code`. */
export async function failureOf(code: S3ErrorCode, attempt: () => unknown): Promise<S3Failure> {
  try {
    await attempt();
  } catch (error) {
    if (!(error instanceof S3Failure)) throw error;
    expect(error.s3Code).toBe(code);
    return error;
  }
  throw new Error(`it was to fail with ${code}`);
}

export interface Decoded {
  readonly body: Buffer;
  readonly trailers: ReadonlyMap<string, string>;
}

/** What is read of `pieces` under `plan`. */
export async function decode(plan: BodyPlan, pieces: readonly Buffer[]): Promise<Decoded> {
  const decoder = bodyDecoder(plan);
  const out: Buffer[] = [];
  for await (const piece of decoder.through(Readable.from(pieces))) out.push(piece);
  return { body: Buffer.concat(out), trailers: decoder.trailers };
}

/** `request` with what signs it in the header, whatever is in it. `x-amz-date` is there by then. */
export function signed(
  request: WireRequest,
  { signedHeaders = [], scope = {}, key = accessKey }: { signedHeaders?: string[]; scope?: Partial<Scope>; key?: string } = {},
): WireRequest {
  const read = readRequest(request);
  const timestamp = read.headers.get('x-amz-date') ?? basicTime(exampleTime);
  const whole = { date: timestamp.slice(0, 8), region: 'us-east-1', service: 's3', terminal: 'aws4_request', ...scope };
  const names = signedHeaders.length > 0 ? signedHeaders : read.headers.names().sort();
  const canonical = canonicalRequest(read, {
    signedHeaders: names,
    contentSha256: read.headers.get('x-amz-content-sha256') ?? 'UNSIGNED-PAYLOAD',
  });
  const signature = signV4(signingKey(secretKey, whole), stringToSign(canonical, timestamp, whole));
  const authorization = `${v4_algorithm} Credential=${key}/${scopeText(whole)}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
  return { ...request, headers: [...request.headers, ['Authorization', authorization]] };
}

/** `request` presigned, with `parameters` in place of what they name; null leaves one out. */
export function presigned(
  request: WireRequest,
  parameters: Readonly<Record<string, string | null>> = {},
  contentSha256 = 'UNSIGNED-PAYLOAD',
): WireRequest {
  const given: Record<string, string | null> = {
    'X-Amz-Algorithm': v4_algorithm,
    'X-Amz-Credential': `${accessKey}/20130524/us-east-1/s3/aws4_request`,
    'X-Amz-Date': '20130524T000000Z',
    'X-Amz-Expires': '60',
    'X-Amz-SignedHeaders': 'host',
    ...parameters,
  };
  const words = Object.entries(given).flatMap(([name, value]) =>
    value === null ? [] : [`${name}=${encodeURIComponent(value)}`],
  );
  const target = `${request.target}${request.target.includes('?') ? '&' : '?'}${words.join('&')}`;
  const scope = { date: '20130524', region: 'us-east-1', service: 's3', terminal: 'aws4_request' };
  const canonical = canonicalRequest(readRequest({ ...request, target }), {
    signedHeaders: (given['X-Amz-SignedHeaders'] ?? 'host').split(';'),
    contentSha256,
  });
  const signature = signV4(signingKey(secretKey, scope), stringToSign(canonical, given['X-Amz-Date'] ?? '', scope));
  return { ...request, target: `${target}&X-Amz-Signature=${signature}` };
}
