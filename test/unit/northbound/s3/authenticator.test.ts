/** What is refused, and with which code. What is let through: vectors.test.ts and v4_properties.test.ts. */
import { describe, expect, test } from 'vitest';

import { addressOf } from '../../../../src/northbound/s3/address.js';
import { Authenticator } from '../../../../src/northbound/s3/authenticator.js';
import type { S3ErrorCode } from '../../../../src/northbound/s3/error_codes.js';
import { readRequest, type WireRequest } from '../../../../src/northbound/s3/request.js';
import { SigningKeys } from '../../../../src/northbound/s3/signing_keys.js';
import {
  accessKey,
  authenticate,
  domains,
  emptySha256,
  exampleTime,
  failureOf,
  presigned,
  principal,
  secretKey,
  signed,
  wire,
} from './world.js';

const minutes = 60_000;
const base = { 'x-amz-date': '20130524T000000Z', 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' };
const get = (headers: Record<string, string> = {}, target = '/bucket/key'): WireRequest =>
  wire('GET', 's3.amazonaws.com', target, { ...base, ...headers });
const without = (name: string): Record<string, string> =>
  Object.fromEntries(Object.entries(base).filter(([key]) => key !== name));
const withAuthorization = (request: WireRequest, change: (value: string) => string): WireRequest => ({
  ...request,
  headers: request.headers.map(([name, value]) => [name, name === 'Authorization' ? change(value) : value]),
});

describe('a signature of version 4 in the header', () => {
  test('is taken, in any order of its fields, with or without spaces', async () => {
    expect((await authenticate(signed(get()))).caller?.principal).toBe(principal);
    const reversed = withAuthorization(signed(get()), (value) => {
      const [algorithm, ...fields] = value.split(' ');
      return `${algorithm} ${fields
        .map((field) => field.replace(',', ''))
        .reverse()
        .join(',')}`;
    });
    expect((await authenticate(reversed)).caller?.principal).toBe(principal);
  });

  test('is judged by all of its header, also where all but the signature was seen before', async () => {
    const good = signed(get());
    const after = (text: string) => withAuthorization(good, (value) => value + text);
    expect((await authenticate(good)).caller?.principal).toBe(principal);
    expect((await authenticate(after(' '))).caller?.principal).toBe(principal);
    await failureOf('SignatureDoesNotMatch', () => authenticate(after('0')));
    for (const more of [',', ', SignedHeaders=host', ', Signature=0', ',Other=1'])
      await failureOf('AuthorizationHeaderMalformed', () => authenticate(after(more)));
    // What ends as the name of the field does, and is another.
    const other = (text: string) => withAuthorization(good, (value) => value.replace('Signature=', text));
    for (const name of ['XSignature=', 'Other=Signature='])
      for (let turn = 0; turn < 2; turn += 1) await failureOf('AuthorizationHeaderMalformed', () => authenticate(other(name)));
  });

  test('of a date header alone is taken', async () => {
    const request = wire('GET', 's3.amazonaws.com', '/bucket/key', {
      Date: 'Fri, 24 May 2013 00:00:00 GMT',
      'x-amz-content-sha256': 'UNSIGNED-PAYLOAD',
    });
    expect((await authenticate(signed(request))).caller?.principal).toBe(principal);
  });

  test('of a header that ends with half a character that looks like a space is taken', async () => {
    // The UTF-8 of an à is C3 A0, and A0 alone is a space that does not break.
    const request = get({ 'x-amz-meta-a': '\u00a0voil\u00c3\u00a0' });
    const canonical = await failureOf('SignatureDoesNotMatch', () =>
      authenticate(withAuthorization(signed(request), (value) => value.replace(/.$/, 'x'))),
    );
    expect(canonical.details['CanonicalRequestBytes']).toContain('3a a0 76 6f 69 6c c3 a0 0a');
    expect((await authenticate(signed(request))).caller?.principal).toBe(principal);
  });

  const malformed: readonly [what: string, request: WireRequest, words: RegExp][] = [
    ['no fields', withAuthorization(signed(get()), () => 'AWS4-HMAC-SHA256 x'), /fields/],
    ['a field missing', withAuthorization(signed(get()), (value) => value.replace(/, Signature=.*/, '')), /fields/],
    ['a field twice', withAuthorization(signed(get()), (value) => `${value}, Signature=1`), /more than one Signature/],
    ['a field more', withAuthorization(signed(get()), (value) => `${value}, More=1`), /fields/],
    [
      'a short credential',
      withAuthorization(signed(get()), (value) => value.replace('/aws4_request', '')),
      /Credential is mal-formed/,
    ],
    ['no access key', withAuthorization(signed(get()), (value) => value.replace(accessKey, '')), /Credential is mal-formed/],
    [
      'headers not sorted',
      withAuthorization(signed(get()), (value) => value.replace(/=host;([^,]*)/, '=$1;host')),
      /SignedHeaders/,
    ],
    ['a header twice', withAuthorization(signed(get()), (value) => value.replace('=host;', '=host;host;')), /SignedHeaders/],
    ['headers in upper case', withAuthorization(signed(get()), (value) => value.replace('=host;', '=Host;')), /SignedHeaders/],
    [
      'no headers',
      withAuthorization(signed(get()), (value) => value.replace(/SignedHeaders=[^,]*/, 'SignedHeaders=')),
      /SignedHeaders/,
    ],
    ['a date that is none', signed(get(), { scope: { date: '2013-524' } }), /incorrect date format/],
    ['another day', signed(get(), { scope: { date: '20130523' } }), /not the same as X-Amz-Date/],
    ['another service', signed(get(), { scope: { service: 'ec2' } }), /incorrect service "ec2"/],
    ['another terminal', signed(get(), { scope: { terminal: 'aws5_request' } }), /incorrect terminal/],
  ];
  test.each(malformed)('is malformed with %s', async (_, request, words) => {
    expect((await failureOf('AuthorizationHeaderMalformed', () => authenticate(request))).message).toMatch(words);
  });

  test('of another region is told which to use', async () => {
    const failure = await failureOf('AuthorizationHeaderMalformed', () =>
      authenticate(signed(get(), { scope: { region: 'eu-west-1' } })),
    );
    expect(failure.message).toMatch(/the region 'eu-west-1' is wrong; expecting 'us-east-1'/);
    expect(failure.details).toEqual({ Region: 'us-east-1' });
    expect(failure.status).toBe(400);
  });

  test.each([
    [-15 * minutes, null],
    [15 * minutes, null],
    [-15 * minutes - 1, 'RequestTimeTooSkewed'],
    [15 * minutes + 1, 'RequestTimeTooSkewed'],
  ])('with a clock %d ms from ours', async (skew, code) => {
    const attempt = () => authenticate(signed(get()), exampleTime + skew);
    if (code === null) {
      expect((await attempt()).caller?.principal).toBe(principal);
      return;
    }
    const failure = await failureOf('RequestTimeTooSkewed', attempt);
    expect(failure.status).toBe(403);
    expect(failure.details).toEqual({
      RequestTime: '20130524T000000Z',
      ServerTime: expect.stringMatching(/^2013-05-2[34]T\d\d:\d\d:\d\dZ$/),
      MaxAllowedSkewMilliseconds: '900000',
    });
  });

  const others: readonly [what: string, code: S3ErrorCode, request: WireRequest][] = [
    ['no date', 'AccessDenied', signed(wire('GET', 's3.amazonaws.com', '/bucket', without('x-amz-date')))],
    ['a date that is none', 'AccessDenied', signed(get({ 'x-amz-date': '20130231T000000Z' }))],
    [
      'no word of the body',
      'InvalidRequest',
      signed(wire('GET', 's3.amazonaws.com', '/bucket', without('x-amz-content-sha256'))),
    ],
    ['an unknown word of the body', 'InvalidArgument', signed(get({ 'x-amz-content-sha256': 'SIGNED-PAYLOAD' }))],
    ['a hash in upper case', 'InvalidArgument', signed(get({ 'x-amz-content-sha256': emptySha256.toUpperCase() }))],
    ['a hash that is short', 'InvalidArgument', signed(get({ 'x-amz-content-sha256': emptySha256.slice(1) }))],
    ['version 4A', 'NotImplemented', signed(get({ 'x-amz-content-sha256': 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD' }))],
    ['a session token', 'InvalidToken', signed(get({ 'x-amz-security-token': 'token' }))],
    ['an unknown key', 'InvalidAccessKeyId', signed(get(), { key: 'AKIDNOBODY' })],
    [
      'an x-amz header that is not signed',
      'AccessDenied',
      signed(get({ 'x-amz-acl': 'private' }), { signedHeaders: ['host', 'x-amz-content-sha256', 'x-amz-date'] }),
    ],
    ['a host that is not signed', 'AccessDenied', signed(get(), { signedHeaders: ['x-amz-content-sha256', 'x-amz-date'] })],
    [
      'framing that nothing announces',
      'InvalidRequest',
      signed(get({ 'Content-Encoding': 'gzip, AWS-Chunked', 'x-amz-decoded-content-length': '3' })),
    ],
    ['trailers that nothing announces', 'InvalidRequest', signed(get({ 'x-amz-trailer': 'x-amz-checksum-crc32' }))],
  ];
  test.each(others)('with %s is refused as %s', async (_, code, request) => {
    await failureOf(code, () => authenticate(request));
  });

  test('with the name of a framing that is not there is of a plain body', async () => {
    const { body } = await authenticate(signed(get({ 'Content-Encoding': 'aws-chunked' })));
    expect(body.form).toBe('plain');
  });

  test('that does not match is told what would have been signed, and no secret', async () => {
    const failure = await failureOf('SignatureDoesNotMatch', () =>
      authenticate(withAuthorization(signed(get()), (value) => value.replace(/Signature=.*/, `Signature=${'0'.repeat(64)}`))),
    );
    expect(failure.status).toBe(403);
    expect(failure.details).toEqual({
      AWSAccessKeyId: accessKey,
      StringToSign: expect.stringMatching(
        /^AWS4-HMAC-SHA256\n20130524T000000Z\n20130524\/us-east-1\/s3\/aws4_request\n[0-9a-f]{64}$/,
      ),
      SignatureProvided: '0'.repeat(64),
      StringToSignBytes: expect.stringMatching(/^41 57 53 34 2d/),
      CanonicalRequest: expect.stringMatching(/^GET\n\/bucket\/key\n\nhost:s3.amazonaws.com\n/),
      CanonicalRequestBytes: expect.stringMatching(/^47 45 54 0a/),
    });
    expect(JSON.stringify(failure.details)).not.toContain(secretKey);
  });

  test('tells what header was not signed', async () => {
    const request = signed(get({ 'x-amz-acl': 'private' }), { signedHeaders: ['host', 'x-amz-content-sha256', 'x-amz-date'] });
    expect((await failureOf('AccessDenied', () => authenticate(request))).details).toEqual({ HeadersNotSigned: 'x-amz-acl' });
  });

  test('of a hash of the body is kept for whoever reads it', async () => {
    expect((await authenticate(signed(get({ 'x-amz-content-sha256': emptySha256 })))).body).toEqual({
      form: 'plain',
      sha256: emptySha256,
    });
  });
});

describe('a presigned request of version 4', () => {
  const request = wire('GET', 's3.amazonaws.com', '/bucket/key?versionId=3');

  test('is taken from a quarter of an hour before its time until it expires', async () => {
    for (const now of [-15 * minutes, 0, 59_999])
      expect((await authenticate(presigned(request), exampleTime + now)).caller?.scheme).toBe('v4-presigned');
    const early = await failureOf('AccessDenied', () => authenticate(presigned(request), exampleTime - 15 * minutes - 1));
    expect(early.message).toBe('Request is not yet valid');
    const late = await failureOf('AccessDenied', () => authenticate(presigned(request), exampleTime + 60_000));
    expect(late.details).toEqual({
      'X-Amz-Expires': '60',
      Expires: '2013-05-24T00:01:00Z',
      ServerTime: '2013-05-24T00:01:00Z',
    });
  });

  test('lives a week at most', async () => {
    const week = presigned(request, { 'X-Amz-Expires': '604800' });
    expect((await authenticate(week, exampleTime + 604_799_999)).caller?.principal).toBe(principal);
    await failureOf('AccessDenied', () => authenticate(week, exampleTime + 604_800_000));
    await failureOf('AccessDenied', () => authenticate(presigned(request, { 'X-Amz-Expires': '0' })));
  });

  test.each([
    ['604801', /less than a week/],
    ['-1', /non-negative/],
  ])('with a life of %s seconds is denied', async (expires, words) => {
    const failure = await failureOf('AccessDenied', () => authenticate(presigned(request, { 'X-Amz-Expires': expires })));
    expect(failure.message).toMatch(words);
  });

  test.each([
    [{ 'X-Amz-Expires': 'soon' }, /should be a number/],
    [{ 'X-Amz-Expires': '1e3' }, /should be a number/],
    [{ 'X-Amz-Expires': null }, /each once/],
    [{ 'X-Amz-Date': null }, /each once/],
    [{ 'X-Amz-Date': '20130524T000000' }, /ISO8601/],
    [{ 'X-Amz-Algorithm': null }, /each once/],
    [{ 'X-Amz-Algorithm': 'AWS4-ECDSA-P256-SHA256' }, /only supports/],
    [{ 'X-Amz-SignedHeaders': null }, /each once/],
    [{ 'X-Amz-SignedHeaders': 'Host' }, /X-Amz-SignedHeaders/],
    [{ 'X-Amz-Credential': null }, /each once/],
    [{ 'X-Amz-Credential': 'a/b/c' }, /X-Amz-Credential/],
    [{ 'X-Amz-Credential': `${accessKey}/20130524/eu-west-1/s3/aws4_request` }, /expecting 'us-east-1'/],
    [{ 'X-Amz-Credential': `${accessKey}/20130524/us-east-1/sqs/aws4_request` }, /incorrect service/],
    [{ 'X-Amz-Credential': `${accessKey}/20130523/us-east-1/s3/aws4_request` }, /not the same/],
  ])('with %j is malformed', async (parameters, words) => {
    const failure = await failureOf('AuthorizationQueryParametersError', () => authenticate(presigned(request, parameters)));
    expect(failure.message).toMatch(words);
    expect(failure.status).toBe(400);
  });

  test('with a parameter twice is malformed', async () => {
    const twice = { ...presigned(request), target: `${presigned(request).target}&X-Amz-Expires=60` };
    await failureOf('AuthorizationQueryParametersError', () => authenticate(twice));
    await failureOf('AuthorizationQueryParametersError', () =>
      authenticate(presigned({ ...request, target: '/bucket?x-amz-content-sha256=a&X-Amz-Content-Sha256=b' })),
    );
  });

  test('with a header for S3 that is not signed is refused, signed it is taken', async () => {
    const more = wire('PUT', 's3.amazonaws.com', '/bucket/key', { 'x-amz-acl': 'private' });
    await failureOf('AccessDenied', () => authenticate(presigned(more)));
    expect((await authenticate(presigned(more, { 'X-Amz-SignedHeaders': 'host;x-amz-acl' }))).caller?.principal).toBe(principal);
    await failureOf('AccessDenied', () => authenticate(presigned(more, { 'X-Amz-SignedHeaders': 'x-amz-acl' })));
  });

  test('may sign a hash of the body, in the query or in a header, but no chunks', async () => {
    const inQuery = presigned(
      wire('PUT', 's3.amazonaws.com', '/bucket/key'),
      { 'X-Amz-Content-Sha256': emptySha256 },
      emptySha256,
    );
    expect((await authenticate(inQuery)).body).toEqual({ form: 'plain', sha256: emptySha256 });
    const headers = { 'x-amz-content-sha256': emptySha256 };
    const names = { 'X-Amz-SignedHeaders': 'host;x-amz-content-sha256' };
    const inHeader = presigned(wire('PUT', 's3.amazonaws.com', '/bucket/key', headers), names, emptySha256);
    expect((await authenticate(inHeader)).body).toEqual({ form: 'plain', sha256: emptySha256 });
    const streaming = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
    const length = wire('PUT', 's3.amazonaws.com', '/bucket/key', { 'x-amz-decoded-content-length': '1' });
    const chunks = presigned(
      length,
      { 'X-Amz-Content-Sha256': streaming, 'X-Amz-SignedHeaders': 'host;x-amz-decoded-content-length' },
      streaming,
    );
    await failureOf('InvalidRequest', () => authenticate(chunks));
  });

  test('with a session token is refused', async () => {
    await failureOf('InvalidToken', () => authenticate(presigned(request, { 'X-Amz-Security-Token': 'token' })));
  });
});

describe('a signature of version 2', () => {
  const v2 = (authorization: string, headers: Record<string, string> = {}) =>
    wire('GET', 's3.amazonaws.com', '/bucket/key', {
      Date: 'Fri, 24 May 2013 00:00:00 GMT',
      Authorization: authorization,
      ...headers,
    });
  const good = `AWS ${accessKey}:${'A'.repeat(27)}=`;

  const refusals: readonly [what: string, code: S3ErrorCode, request: WireRequest][] = [
    ['no signature', 'InvalidArgument', v2('AWS HAHAHA')],
    ['nothing', 'InvalidArgument', v2('AWS ')],
    ['a colon more', 'InvalidArgument', v2(`AWS a:b:c`)],
    ['another signature', 'SignatureDoesNotMatch', v2(good)],
    ['an unknown key', 'InvalidAccessKeyId', v2('AWS NOBODY:AAAA')],
    ['no date', 'AccessDenied', wire('GET', 's3.amazonaws.com', '/bucket', { Authorization: good })],
    ['a date that is none', 'AccessDenied', v2(good, { Date: 'yesterday' })],
    ['an x-amz-date that is none', 'AccessDenied', v2(good, { 'x-amz-date': 'yesterday' })],
    ['an old date', 'RequestTimeTooSkewed', v2(good, { Date: 'Thu, 23 May 2013 23:44:59 GMT' })],
    ['an old x-amz-date', 'RequestTimeTooSkewed', v2(good, { 'x-amz-date': 'Thu, 23 May 2013 23:44:59 GMT' })],
    ['an x-amz-date before 1970', 'AccessDenied', v2(good, { 'x-amz-date': 'Fri, 07 Jul 1950 21:53:04 GMT' })],
    ['a session token', 'InvalidToken', v2(good, { 'x-amz-security-token': 'token' })],
    ['no expiry', 'AccessDenied', wire('GET', 's3.amazonaws.com', `/bucket?AWSAccessKeyId=${accessKey}&Signature=AAAA`)],
    ['a signature alone', 'AccessDenied', wire('GET', 's3.amazonaws.com', '/bucket?Signature=AAAA')],
    [
      'an expiry that is none',
      'AccessDenied',
      wire('GET', 's3.amazonaws.com', `/bucket?AWSAccessKeyId=a&Signature=A&Expires=1x`),
    ],
    [
      'an expiry twice',
      'InvalidArgument',
      wire('GET', 's3.amazonaws.com', `/bucket?AWSAccessKeyId=a&Signature=A&Expires=1&Expires=2`),
    ],
  ];
  test.each(refusals)('with %s is refused as %s', async (_, code, request) => {
    await failureOf(code, () => authenticate(request));
  });

  test('is refused where it is not taken, whoever it is of', async () => {
    const strict = new Authenticator({
      region: 'us-east-1',
      version2: false,
      now: () => exampleTime,
      credentials: async () => null,
    });
    for (const request of [
      v2(good),
      wire('GET', 's3.amazonaws.com', '/bucket?AWSAccessKeyId=a&Signature=A&Expires=9999999999'),
    ]) {
      const read = readRequest(request);
      const failure = await failureOf('InvalidRequest', () => strict.authenticate(read, addressOf(read, { domains })));
      expect(failure.message).toMatch(/Please use AWS4-HMAC-SHA256/);
    }
  });
});

describe('a request', () => {
  test('that says nothing of who sent it is nobody’s', async () => {
    expect(await authenticate(wire('GET', 's3.amazonaws.com', '/bucket'))).toEqual({
      caller: null,
      body: { form: 'plain', sha256: null },
    });
    const hashed = wire('PUT', 's3.amazonaws.com', '/bucket/k', { 'x-amz-content-sha256': emptySha256 });
    expect((await authenticate(hashed)).body).toEqual({ form: 'plain', sha256: emptySha256 });
    const framed = wire('PUT', 's3.amazonaws.com', '/bucket/k', {
      'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      'x-amz-trailer': 'x-amz-checksum-crc32',
      'x-amz-decoded-content-length': '3',
    });
    expect((await authenticate(framed)).body).toEqual({
      form: 'chunked',
      signed: false,
      trailers: ['x-amz-checksum-crc32'],
      decodedBytes: 3,
      signatures: null,
    });
    const chunks = { 'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD', 'x-amz-decoded-content-length': '3' };
    await failureOf('AccessDenied', () => authenticate(wire('PUT', 's3.amazonaws.com', '/bucket/k', chunks)));
  });

  const chunked = (headers: Record<string, string>) =>
    wire('PUT', 's3.amazonaws.com', '/bucket/k', { 'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER', ...headers });
  const lengths: readonly [what: string, code: S3ErrorCode, headers: Record<string, string>][] = [
    ['no length', 'MissingContentLength', {}],
    ['a length that is none', 'InvalidArgument', { 'x-amz-decoded-content-length': '-1' }],
    ['a length beyond all', 'InvalidArgument', { 'x-amz-decoded-content-length': '9'.repeat(16) }],
    ['a bad trailer', 'InvalidRequest', { 'x-amz-decoded-content-length': '1', 'x-amz-trailer': 'a b' }],
    ['a trailer twice', 'InvalidRequest', { 'x-amz-decoded-content-length': '1', 'x-amz-trailer': 'x-a, X-A' }],
    [
      'many trailers',
      'InvalidRequest',
      { 'x-amz-decoded-content-length': '1', 'x-amz-trailer': Array.from({ length: 17 }, (_, at) => `x-${at}`).join(',') },
    ],
  ];
  test.each(lengths)('of chunks with %s is refused as %s', async (_, code, headers) => {
    await failureOf(code, () => authenticate(chunked(headers)));
  });

  test('that is signed twice is refused, whichever is good', async () => {
    const both = { ...signed(get()), target: presigned(get()).target };
    await failureOf('InvalidArgument', () => authenticate(both));
    await failureOf('InvalidArgument', () => authenticate({ ...signed(get()), target: '/bucket?Signature=a' }));
    await failureOf('InvalidArgument', () => authenticate({ ...get(), target: `${presigned(get()).target}&AWSAccessKeyId=a` }));
    const twice = signed(get());
    await failureOf('InvalidArgument', () =>
      authenticate({ ...twice, headers: [...twice.headers, ...twice.headers.filter(([name]) => name === 'Authorization')] }),
    );
  });

  test.each([
    ['', 'AccessDenied'],
    ['Bearer abc', 'InvalidArgument'],
    ['Basic abc', 'InvalidArgument'],
    ['AWS4-ECDSA-P256-SHA256 Credential=a', 'InvalidRequest'],
    ['AWS4-HMAC-SHA256', 'InvalidRequest'],
  ] as const)('that is signed by %j is refused as %s', async (authorization, code) => {
    await failureOf(code, () => authenticate(get({ Authorization: authorization })));
  });
});

test('an access key that can be none is not asked for', async () => {
  const asked: string[] = [];
  const asking = new Authenticator({
    region: 'us-east-1',
    version2: true,
    now: () => exampleTime,
    credentials: async (key) => {
      asked.push(key);
      return null;
    },
  });
  for (const key of ['k'.repeat(129), 'a b', 'é', 'k'.repeat(128)]) {
    const query = `AWSAccessKeyId=${encodeURIComponent(key)}&Signature=A&Expires=9999999999`;
    const read = readRequest(wire('GET', 's3.amazonaws.com', `/bucket?${query}`));
    await failureOf('InvalidAccessKeyId', () => asking.authenticate(read, addressOf(read, { domains })));
  }
  expect(asked).toEqual(['k'.repeat(128)]);
});

describe('derived keys', () => {
  const credential = (key: string) => ({
    accessKey: key,
    scope: { date: '20130524', region: 'us-east-1', service: 's3', terminal: 'aws4_request' },
  });

  test('are kept up to their number, the ones used last', () => {
    const keys = new SigningKeys(2);
    const derived = keys.keyFor(credential('a'), 's');
    expect(keys.keyFor(credential('a'), 's')).not.toBe(derived);
    for (const name of ['a', 'b', 'a', 'c'])
      keys.remember(credential(name), 's', name === 'a' ? derived : keys.keyFor(credential(name), 's'));
    expect(keys.count).toBe(2);
    expect(keys.keyFor(credential('a'), 's')).toBe(derived);
  });

  test('are those of the secret that holds now', () => {
    const keys = new SigningKeys(2);
    const old = keys.keyFor(credential('a'), 'old');
    keys.remember(credential('a'), 'old', old);
    expect(keys.keyFor(credential('a'), 'new').equals(old)).toBe(false);
    expect(keys.keyFor(credential('a'), 'old')).toBe(old);
  });

  test('of a secret that was replaced sign nothing any more', async () => {
    let secret = secretKey;
    const changing = new Authenticator({
      region: 'us-east-1',
      version2: true,
      now: () => exampleTime,
      credentials: async () => (secret === '' ? null : { secretKey: secret, principal }),
    });
    const ask = () => {
      const read = readRequest(signed(get()));
      return changing.authenticate(read, addressOf(read, { domains }));
    };
    expect((await ask()).caller?.principal).toBe(principal);
    secret = 'another';
    await failureOf('SignatureDoesNotMatch', ask);
    secret = '';
    await failureOf('InvalidAccessKeyId', ask);
  });
});
