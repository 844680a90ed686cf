/** Signatures of version 2 by the rules once more: what they sign verifies, and nothing that was changed since. */
import { createHmac } from 'node:crypto';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { S3Failure } from '../../../../src/northbound/s3/errors.js';
import type { HeaderLine } from '../../../../src/northbound/s3/headers.js';
import type { WireRequest } from '../../../../src/northbound/s3/request.js';
import { accessKey, authenticate, exampleTime, principal, secretKey } from './world.js';

const date = 'Fri, 24 May 2013 00:00:00 GMT';
const subResources = ['acl', 'uploadId', 'partNumber', 'versionId', 'response-content-type', 'delete', 'tagging', 'legal-hold'];

interface Given {
  readonly method: string;
  readonly virtual: boolean;
  readonly key: string;
  readonly subResources: Readonly<Record<string, string | null>>;
  readonly others: Readonly<Record<string, string>>;
  readonly amz: Readonly<Record<string, string>>;
  readonly type: string;
  readonly md5: string;
}

const text = fc.string({ unit: 'grapheme', maxLength: 8 });
const printable = fc.stringMatching(/^[!-~](?:[!-~]{0,10}[!-~])?$/);
const requests: fc.Arbitrary<Given> = fc.record({
  method: fc.constantFrom('GET', 'PUT', 'DELETE'),
  virtual: fc.boolean(),
  key: text.filter((key) => key !== ''),
  subResources: fc.dictionary(fc.constantFrom(...subResources), fc.option(text), { maxKeys: 3, noNullPrototype: true }),
  others: fc.dictionary(fc.constantFrom('prefix', 'marker', 'max-keys'), text, { maxKeys: 2, noNullPrototype: true }),
  amz: fc.dictionary(fc.stringMatching(/^X-Amz-(?:Meta-[a-z]{1,5}|Acl)$/), printable, { maxKeys: 3, noNullPrototype: true }),
  type: fc.constantFrom('', 'text/plain'),
  md5: fc.constantFrom('', '4gJE4saaMU4BqNR0kLY+lw=='),
});

function signedText({ method, virtual, key, subResources: sub, amz, type, md5 }: Given, dateLine: string): string {
  const path = `${virtual ? '' : '/bucket'}/${key.split('/').map(encodeURIComponent).join('/')}`;
  const words = Object.entries(sub)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => (value === null ? name : `${name}=${value}`));
  const headers = Object.entries(amz)
    .map(([name, value]) => `${name.toLowerCase()}:${value}\n`)
    .toSorted();
  const resource = `${virtual ? '/bucket' : ''}${path}${words.length > 0 ? `?${words.join('&')}` : ''}`;
  return `${method}\n${md5}\n${type}\n${dateLine}\n${headers.join('')}${resource}`;
}

const sign = (words: string): string => createHmac('sha1', secretKey).update(words).digest('base64');

function unsigned({ method, virtual, key, subResources: sub, others, amz, type, md5 }: Given): WireRequest {
  const words = Object.entries({ ...others, ...sub }).map(([name, value]) =>
    value === null ? name : `${name}=${encodeURIComponent(value)}`,
  );
  const path = `${virtual ? '' : '/bucket'}/${key.split('/').map(encodeURIComponent).join('/')}`;
  const headers: HeaderLine[] = Object.entries(amz);
  if (type !== '') headers.push(['Content-Type', type]);
  if (md5 !== '') headers.push(['Content-MD5', md5]);
  return {
    method,
    target: words.length > 0 ? `${path}?${words.join('&')}` : path,
    host: virtual ? 'bucket.s3.amazonaws.com' : 's3.amazonaws.com',
    secure: false,
    headers,
  };
}

function inHeader(given: Given): WireRequest {
  const request = unsigned(given);
  const authorization = `AWS ${accessKey}:${sign(signedText(given, date))}`;
  return { ...request, headers: [...request.headers, ['Date', date], ['Authorization', authorization]] };
}

async function verdict(request: WireRequest, now = exampleTime): Promise<string | null> {
  try {
    return (await authenticate(request, now)).caller?.principal ?? null;
  } catch (error) {
    if (error instanceof S3Failure) return error.s3Code;
    throw error;
  }
}

test('what is signed in the header verifies', async () => {
  await fc.assert(
    fc.asyncProperty(requests, async (given) => {
      expect(await verdict(inHeader(given))).toBe(principal);
    }),
    { numRuns: 150 },
  );
});

test('what is signed with an x-amz-date verifies, whatever the other date says', async () => {
  const given: Given = {
    method: 'GET',
    virtual: false,
    key: 'k',
    subResources: {},
    others: {},
    amz: { 'X-Amz-Date': date },
    type: '',
    md5: '',
  };
  const authorization: HeaderLine = ['Authorization', `AWS ${accessKey}:${sign(signedText(given, ''))}`];
  const request = unsigned(given);
  for (const other of [[], [['Date', 'Thu, 23 May 2013 00:00:00 GMT']]] as HeaderLine[][])
    expect(await verdict({ ...request, headers: [...request.headers, ...other, authorization] })).toBe(principal);
});

test('what is presigned verifies until it expires', async () => {
  await fc.assert(
    fc.asyncProperty(requests, async (given) => {
      const expires = String(exampleTime / 1000 + 60);
      const request = unsigned(given);
      const signature = encodeURIComponent(sign(signedText(given, expires)));
      const more = `AWSAccessKeyId=${accessKey}&Signature=${signature}&Expires=${expires}`;
      const presigned = { ...request, target: `${request.target}${request.target.includes('?') ? '&' : '?'}${more}` };
      expect(await verdict(presigned, exampleTime + 59_999)).toBe(principal);
      expect(await verdict(presigned, exampleTime + 60_000)).toBe('AccessDenied');
      const later = { ...presigned, target: presigned.target.replace(`Expires=${expires}`, `Expires=${Number(expires) + 1}`) };
      expect(await verdict(later)).toBe('SignatureDoesNotMatch');
    }),
    { numRuns: 150 },
  );
});

const withHeaders = (request: WireRequest, ...more: HeaderLine[]): WireRequest => ({
  ...request,
  headers: [...request.headers, ...more],
});
const changes: Readonly<Record<string, (request: WireRequest) => WireRequest>> = {
  method: (request) => ({ ...request, method: request.method === 'GET' ? 'PUT' : 'GET' }),
  bucket: (request) => ({
    ...request,
    host: request.host.replace(/^bucket\./, 'bucket2.'),
    target: request.target.replace(/^\/bucket\//, '/bucket2/'),
  }),
  key: (request) => ({ ...request, target: request.target.replace(/^[^?]*/, '$&x') }),
  'a sub-resource more': (request) => ({
    ...request,
    target: `${request.target}${request.target.includes('?') ? '&' : '?'}versioning`,
  }),
  'a header for S3 more': (request) => withHeaders(request, ['x-amz-storage-class', 'STANDARD']),
  'a header for S3 once more': (request) => withHeaders(request, ['x-amz-acl', 'private'], ['x-amz-acl', 'public-read']),
  date: (request) => ({
    ...request,
    headers: request.headers.map(([name, value]) => [name, name === 'Date' ? value.replace(':00 GMT', ':01 GMT') : value]),
  }),
  type: (request) => withHeaders(request, ['Content-Type', 'text/html']),
  md5: (request) => withHeaders(request, ['Content-MD5', 'x']),
  'an x-amz-date more': (request) => withHeaders(request, ['x-amz-date', date]),
};

test.each(Object.entries(changes))('of a signed request nothing that is signed may change: %s', async (_, change) => {
  await fc.assert(
    fc.asyncProperty(requests, async (given) => {
      expect(await verdict(change(inHeader(given)))).toBe('SignatureDoesNotMatch');
    }),
    { numRuns: 30 },
  );
});

test('folded and repeated headers are signed as one line', async () => {
  const given: Given = {
    method: 'GET',
    virtual: true,
    key: 'k',
    subResources: {},
    others: {},
    amz: { 'x-amz-meta-a': 'one two,three' },
    type: '',
    md5: '',
  };
  const headers: HeaderLine[] = [
    ['X-Amz-Meta-A', ' one\r\n   two '],
    ['x-amz-meta-a', 'three'],
    ['Date', date],
    ['Authorization', `AWS ${accessKey}:${sign(signedText(given, date))}`],
  ];
  expect(await verdict({ ...unsigned(given), headers })).toBe(principal);
});

test('a bucket is signed with or without the slash that a path may leave out, a key as it is', async () => {
  const ask = (target: string, path: string) => {
    const authorization: HeaderLine = ['Authorization', `AWS ${accessKey}:${sign(`GET\n\n\n${date}\n${path}`)}`];
    return verdict({ method: 'GET', target, host: 's3.amazonaws.com', secure: false, headers: [['Date', date], authorization] });
  };
  expect(await ask('/bucket', '/bucket')).toBe(principal);
  expect(await ask('/bucket?acl&prefix=x', '/bucket/?acl')).toBe(principal);
  expect(await ask('/bucket/', '/bucket/')).toBe(principal);
  expect(await ask('/bucket/', '/bucket')).toBe('SignatureDoesNotMatch');
  expect(await ask('/bucket/key', '/bucket/key/')).toBe('SignatureDoesNotMatch');
  expect(await ask('/bucket', '/bucket//')).toBe('SignatureDoesNotMatch');
});
