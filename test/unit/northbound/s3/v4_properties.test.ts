/** What AWS's own signer signs verifies, and nothing that was changed since does. A second, plain reading of the rules agrees. */
import { createHash, createHmac } from 'node:crypto';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { S3Failure } from '../../../../src/northbound/s3/errors.js';
import type { HeaderLine } from '../../../../src/northbound/s3/headers.js';
import { readRequest, type WireRequest } from '../../../../src/northbound/s3/request.js';
import { canonicalRequest } from '../../../../src/northbound/s3/v4_signature.js';
import { encodedPathOf, signerOf, targetOf } from '../../../harness/s3_requests.ts';
import { accessKey, authenticate, emptySha256, exampleTime, principal, secretKey } from './world.js';

const signer = signerOf({ accessKey, secretKey });
const signingDate = new Date(exampleTime);
const host = 'example.test:9000';

/** The signer keeps parameters in plain objects, which lose this one name. */
const text = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((each) => each !== '__proto__');
const headerValue = fc.stringMatching(/^[!-~](?:[ -~]{0,20}[!-~])?$/);
const requests = fc.record({
  method: fc.constantFrom('GET', 'PUT', 'POST', 'HEAD', 'DELETE'),
  key: fc.array(fc.oneof(text, fc.constantFrom('', '.', '..', 'a+b', '~')), { minLength: 1, maxLength: 4 }),
  query: fc.dictionary(
    fc.oneof(text, fc.constantFrom('prefix', 'acl', 'a b+c')),
    fc.oneof(text, fc.array(text, { maxLength: 3 })),
    {
      maxKeys: 4,
      noNullPrototype: true,
    },
  ),
  headers: fc.dictionary(fc.stringMatching(/^x-amz-meta-[a-z]{1,6}$/), headerValue, { maxKeys: 3, noNullPrototype: true }),
});
interface GivenRequest {
  readonly method: string;
  readonly key: readonly string[];
  readonly query: Readonly<Record<string, string | string[]>>;
  readonly headers: Readonly<Record<string, string>>;
}

function unsigned({ method, key, query, headers }: GivenRequest) {
  const signable = Object.fromEntries(Object.entries(query).filter(([name]) => !/^x-amz-|^$/i.test(name)));
  return {
    method,
    protocol: 'http:',
    hostname: 'example.test',
    port: 9000,
    path: encodedPathOf(`/bucket/${key.join('/')}`),
    query: signable as Record<string, string | string[]>,
    headers: { host, ...headers } as Record<string, string>,
  };
}

type Signed = Awaited<ReturnType<typeof signer.sign>>;

function wireOf({ method, path, query, headers }: Signed): WireRequest {
  return { method, target: targetOf(path, query), host, secure: false, headers: Object.entries(headers) };
}

async function verdict(request: WireRequest, now = exampleTime): Promise<string | null> {
  try {
    return (await authenticate(request, now)).caller?.principal ?? null;
  } catch (error) {
    if (error instanceof S3Failure) return error.s3Code;
    throw error;
  }
}

test('what the SDK signs in the header verifies', async () => {
  await fc.assert(
    fc.asyncProperty(requests, async (given) => {
      const request = wireOf(await signer.sign(unsigned(given), { signingDate }));
      expect(await verdict(request)).toBe(principal);
    }),
    { numRuns: 150 },
  );
});

test('what the SDK presigns verifies, headers that it moved to the query included', async () => {
  await fc.assert(
    fc.asyncProperty(requests, fc.boolean(), async (given, unsignedPayload) => {
      const request = unsigned(given);
      // It signs the hash of no body where it is told nothing, and S3 takes an unsigned one where it is told nothing.
      request.headers['X-Amz-Content-Sha256'] = unsignedPayload ? 'UNSIGNED-PAYLOAD' : emptySha256;
      const signed = wireOf(await signer.presign(request, { signingDate, expiresIn: 60 }));
      expect(await verdict(signed, exampleTime + 59_999)).toBe(principal);
      expect(await verdict(signed, exampleTime + 60_000)).toBe('AccessDenied');
    }),
    { numRuns: 150 },
  );
});

/** Changes that a signature must notice, each by something that was not there. */
const changes: Readonly<Record<string, (request: WireRequest) => WireRequest>> = {
  method: (request) => ({ ...request, method: request.method === 'GET' ? 'PUT' : 'GET' }),
  host: (request) => ({ ...request, host: 'example.test:9001' }),
  'a longer key': (request) => ({ ...request, target: request.target.replace(/^[^?]*/, '$&x') }),
  'another bucket': (request) => ({ ...request, target: request.target.replace('/bucket/', '/bucket2/') }),
  'a slash more': (request) => ({ ...request, target: request.target.replace('/bucket/', '/bucket//') }),
  'a parameter more': (request) => ({
    ...request,
    target: request.target.includes('?') ? `${request.target}&versionId=1` : `${request.target}?versionId=1`,
  }),
  'a parameter fewer': (request) => ({ ...request, target: request.target.replace(/[?&][^?&]*$/, '') }),
  'an x-amz header more': (request) => ({ ...request, headers: [...request.headers, ['x-amz-acl', 'public-read-write']] }),
  'a header once more': (request) => ({ ...request, headers: [...request.headers, ['x-amz-date', '20130524T000000Z']] }),
  'another date': (request) => withHeader(request, 'x-amz-date', (value) => value.replace('T000000', 'T000001')),
  'another body': (request) => withHeader(request, 'x-amz-content-sha256', (value) => value.replace(/^./, 'f')),
  'another payload form': (request) => withHeader(request, 'x-amz-content-sha256', () => 'UNSIGNED-PAYLOAD'),
  'fewer signed headers': (request) => withHeader(request, 'authorization', (value) => value.replace('host;', '')),
  'another signature': (request) =>
    withHeader(request, 'authorization', (value) => value.replace(/(.)$/, (_, last: string) => (last === '0' ? '1' : '0'))),
  'a shorter signature': (request) => withHeader(request, 'authorization', (value) => value.slice(0, -1)),
};

function withHeader(request: WireRequest, name: string, change: (value: string) => string): WireRequest {
  return {
    ...request,
    headers: request.headers.map(([key, value]): HeaderLine => [key, key.toLowerCase() === name ? change(value) : value]),
  };
}

test.each(Object.entries(changes))('of a signed request nothing may change: %s', async (_, change) => {
  await fc.assert(
    fc.asyncProperty(requests, async (given) => {
      const request = wireOf(await signer.sign(unsigned(given), { signingDate }));
      const changed = change(request);
      fc.pre(changed.target !== request.target || JSON.stringify(changed) !== JSON.stringify(request));
      const outcome = await verdict(changed);
      expect(
        outcome === 'SignatureDoesNotMatch' || outcome === 'AccessDenied' || outcome === 'AuthorizationHeaderMalformed',
        `${outcome}`,
      ).toBe(true);
    }),
    { numRuns: 30 },
  );
});

test('any byte of a signed request that means something else is noticed', async () => {
  await fc.assert(
    fc.asyncProperty(requests, fc.nat(), fc.integer({ min: 0x21, max: 0x7e }), async (given, place, byte) => {
      const request = wireOf(await signer.sign(unsigned(given), { signingDate }));
      const at = 1 + (place % (request.target.length - 1));
      const target = request.target.slice(0, at) + String.fromCharCode(byte) + request.target.slice(at + 1);
      fc.pre(meaningOf(target) !== meaningOf(request.target));
      expect(await verdict({ ...request, target })).not.toBe(principal);
    }),
    { numRuns: 150 },
  );
});

/** Two spellings of one thing (`%41` and `A`, or empty parts of a query) are one thing to S3. */
function meaningOf(target: string): string {
  return plainCanonical('GET', target).join('\n');
}

/** The rules once more, byte by byte. */
function plainCanonical(method: string, target: string): string[] {
  const [path = '', ...rest] = target.split('?');
  const pairs = rest
    .join('?')
    .split('&')
    .filter((part) => part.length > 0)
    .map((part) => {
      const [name = '', ...value] = part.split('=');
      return [plainEncode(plainDecode(name, true), false), plainEncode(plainDecode(value.join('='), true), false)];
    });
  pairs.sort(
    ([a = '', b = ''], [c = '', d = '']) =>
      Buffer.compare(Buffer.from(a), Buffer.from(c)) || Buffer.compare(Buffer.from(b), Buffer.from(d)),
  );
  return [method, plainEncode(plainDecode(path, false), true), pairs.map((pair) => pair.join('=')).join('&')];
}

function plainDecode(part: string, query: boolean): number[] {
  const bytes: number[] = [];
  for (let at = 0; at < part.length; at += 1) {
    const character = part.charAt(at);
    if (character === '%') {
      bytes.push(Number(`0x${part.slice(at + 1, at + 3)}`));
      at += 2;
    } else {
      bytes.push(query && character === '+' ? 32 : part.charCodeAt(at));
    }
  }
  return bytes;
}

function plainEncode(bytes: readonly number[], path: boolean): string {
  const plain = `ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~${path ? '/' : ''}`;
  return bytes
    .map((byte) =>
      plain.includes(String.fromCharCode(byte))
        ? String.fromCharCode(byte)
        : `%${Buffer.from([byte]).toString('hex').toUpperCase()}`,
    )
    .join('');
}

test('a second reading of the rules signs the same, whatever the spelling', async () => {
  const spelled = fc
    .array(
      fc.oneof(
        fc.constantFrom(
          '/',
          '//',
          '.',
          '..',
          '+',
          '~',
          '*',
          "'",
          '(',
          ':',
          '@',
          ';',
          '%2F',
          '%2f',
          '%41',
          '%7e',
          '%C3%A9',
          '\u00c3\u00a9',
        ),
        fc.stringMatching(/^[a-zA-Z0-9]{1,3}$/),
      ),
      { maxLength: 8 },
    )
    .map((parts) => parts.join(''));
  const queries = fc.array(fc.tuple(spelled, fc.option(spelled)), { maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(spelled, queries, async (path, query) => {
      const words = query.map(([name, value]) => (value === null ? name : `${name}=${value}`)).join('&');
      const target = `/b${path}${query.length === 0 ? '' : `?${words}`}`;
      const headers: HeaderLine[] = [
        ['X-Amz-Meta-B', '  two   words '],
        ['x-amz-date', '20130524T000000Z'],
        ['x-amz-meta-a', 'first'],
        ['x-amz-content-sha256', 'UNSIGNED-PAYLOAD'],
        ['X-Amz-Meta-A', 'second\r\n  folded'],
      ];
      const signed = 'host;x-amz-content-sha256;x-amz-date;x-amz-meta-a;x-amz-meta-b';
      const canonical = [
        ...plainCanonical('PUT', target),
        `host:${host}`,
        'x-amz-content-sha256:UNSIGNED-PAYLOAD',
        'x-amz-date:20130524T000000Z',
        'x-amz-meta-a:first,second folded',
        'x-amz-meta-b:two words',
        '',
        signed,
        'UNSIGNED-PAYLOAD',
      ].join('\n');
      const request = readRequest({ method: 'PUT', target, host, secure: true, headers });
      expect(canonicalRequest(request, { signedHeaders: signed.split(';'), contentSha256: 'UNSIGNED-PAYLOAD' })).toBe(canonical);
      const scope = '20130524/us-east-1/s3/aws4_request';
      const sha256 = createHash('sha256').update(canonical, 'latin1').digest('hex');
      let key: string | Buffer = `AWS4${secretKey}`;
      for (const part of scope.split('/')) key = createHmac('sha256', key).update(part).digest();
      const signature = createHmac('sha256', key).update(`AWS4-HMAC-SHA256\n20130524T000000Z\n${scope}\n${sha256}`).digest('hex');
      const authorization = `AWS4-HMAC-SHA256 Signature=${signature}, Credential=${accessKey}/${scope},SignedHeaders=${signed}`;
      // Not every such path is one of a bucket that there may be: the key comes below.
      const outcome = await verdict({
        method: 'PUT',
        target,
        host,
        secure: true,
        headers: [...headers, ['Authorization', authorization]],
      });
      expect([principal, 'InvalidBucketName']).toContain(outcome);
    }),
    { numRuns: 150 },
  );
});
