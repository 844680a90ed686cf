/** The examples of AWS's documents, each with the signature that they print. */
import { expect, test } from 'vitest';

import { readPostUpload } from '../../../../src/northbound/s3/post_upload.js';
import { readRequest } from '../../../../src/northbound/s3/request.js';
import {
  accessKey,
  authenticate,
  authenticator,
  decode,
  emptySha256,
  exampleTime,
  failureOf,
  principal,
  wire,
  type GivenHeaders,
} from './world.js';

const host = 'examplebucket.s3.amazonaws.com';
const caller = (scheme: string) => ({ principal, accessKey, scheme });

function v4(signedHeaders: string, signature: string): string {
  const credential = `${accessKey}/20130524/us-east-1/s3/aws4_request`;
  return `AWS4-HMAC-SHA256 Credential=${credential},SignedHeaders=${signedHeaders},Signature=${signature}`;
}

const headerExamples: readonly [title: string, method: string, target: string, headers: GivenHeaders, sha256: string][] = [
  [
    'GET object',
    'GET',
    '/test.txt',
    {
      Authorization: v4(
        'host;range;x-amz-content-sha256;x-amz-date',
        'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
      ),
      Range: 'bytes=0-9',
      'x-amz-content-sha256': emptySha256,
      'x-amz-date': '20130524T000000Z',
    },
    emptySha256,
  ],
  [
    'PUT object',
    'PUT',
    '/test%24file.text',
    {
      Authorization: v4(
        'date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class',
        '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
      ),
      Date: 'Fri, 24 May 2013 00:00:00 GMT',
      'x-amz-date': '20130524T000000Z',
      'x-amz-storage-class': 'REDUCED_REDUNDANCY',
      'x-amz-content-sha256': '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
    },
    '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
  ],
  [
    'GET bucket lifecycle',
    'GET',
    '/?lifecycle',
    {
      Authorization: v4(
        'host;x-amz-content-sha256;x-amz-date',
        'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
      ),
      'x-amz-date': '20130524T000000Z',
      'x-amz-content-sha256': emptySha256,
    },
    emptySha256,
  ],
  [
    'GET bucket',
    'GET',
    '/?max-keys=2&prefix=J',
    {
      Authorization: v4(
        'host;x-amz-content-sha256;x-amz-date',
        '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
      ),
      'x-amz-date': '20130524T000000Z',
      'x-amz-content-sha256': emptySha256,
    },
    emptySha256,
  ],
];

test.each(headerExamples)('version 4, in the header: %s', async (_, method, target, headers, sha256) => {
  expect(await authenticate(wire(method, host, target, headers))).toEqual({
    caller: caller('v4-header'),
    body: { form: 'plain', sha256 },
  });
});

test('version 4, presigned', async () => {
  const query = [
    'X-Amz-Algorithm=AWS4-HMAC-SHA256',
    `X-Amz-Credential=${accessKey}%2F20130524%2Fus-east-1%2Fs3%2Faws4_request`,
    'X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host',
    'X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
  ];
  const request = wire('GET', host, `/test.txt?${query.join('&')}`);
  const expected = { caller: caller('v4-presigned'), body: { form: 'plain', sha256: null } };
  expect(await authenticate(request)).toEqual(expected);
  expect(await authenticate(request, exampleTime + 86_399_000)).toEqual(expected);
  const expired = await failureOf('AccessDenied', () => authenticate(request, exampleTime + 86_400_000));
  expect(expired.message).toBe('Request has expired');
});

const chunks = (...parts: (string | Buffer)[]): Buffer => Buffer.concat(parts.map((part) => Buffer.from(part as string)));
const large = Buffer.alloc(65_536, 'a');
const small = Buffer.alloc(1024, 'a');

test('version 4, chunks that are signed', async () => {
  const { caller: who, body } = await authenticate(
    wire('PUT', 's3.amazonaws.com', '/examplebucket/chunkObject.txt', {
      'x-amz-date': '20130524T000000Z',
      'x-amz-storage-class': 'REDUCED_REDUNDANCY',
      Authorization: v4(
        'content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class',
        '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
      ),
      'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
      'Content-Encoding': 'aws-chunked',
      'x-amz-decoded-content-length': '66560',
      'Content-Length': '66824',
    }),
  );
  expect(who).toEqual(caller('v4-header'));
  const framed = chunks(
    '10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n',
    large,
    '\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n',
    small,
    '\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n',
  );
  expect(framed.length).toBe(66_824);
  const decoded = await decode(body, [framed]);
  expect(decoded.body.equals(Buffer.concat([large, small]))).toBe(true);
  expect(decoded.trailers.size).toBe(0);
});

test.each([
  ['as the document has it', '\n\r\n', ''],
  ['as clients send it', '\r\n', '\r\n'],
])('version 4, chunks and a trailer that are signed, %s', async (_, lineEnd) => {
  const { body } = await authenticate(
    wire('PUT', 's3.amazonaws.com', '/examplebucket/chunkObject.txt', {
      'x-amz-date': '20130524T000000Z',
      'x-amz-storage-class': 'REDUCED_REDUNDANCY',
      Authorization: v4(
        'content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer',
        '106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e',
      ),
      'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
      'Content-Encoding': 'aws-chunked',
      'x-amz-decoded-content-length': '66560',
      'x-amz-trailer': 'x-amz-checksum-crc32c',
    }),
  );
  const decoded = await decode(body, [
    chunks(
      '10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n',
      large,
      '\r\n400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n',
      small,
      '\r\n0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n',
      `x-amz-checksum-crc32c:sOO8/Q==${lineEnd}`,
      'x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n',
    ),
  ]);
  expect(decoded.body.length).toBe(66_560);
  expect([...decoded.trailers]).toEqual([['x-amz-checksum-crc32c', 'sOO8/Q==']]);
});

const v2Examples: readonly [title: string, method: string, host: string, target: string, headers: GivenHeaders][] = [
  [
    'GET object',
    'GET',
    'johnsmith.s3.amazonaws.com',
    '/photos/puppy.jpg',
    { Authorization: `AWS ${accessKey}:bWq2s1WEIj+Ydj0vQ697zp+IXMU=`, Date: 'Tue, 27 Mar 2007 19:36:42 +0000' },
  ],
  [
    'PUT object',
    'PUT',
    'johnsmith.s3.amazonaws.com',
    '/photos/puppy.jpg',
    {
      'Content-Type': 'image/jpeg',
      'Content-Length': '94328',
      Date: 'Tue, 27 Mar 2007 21:15:45 +0000',
      Authorization: `AWS ${accessKey}:MyyxeRY7whkBe+bq8fHCL/2kKUg=`,
    },
  ],
  [
    'list',
    'GET',
    'johnsmith.s3.amazonaws.com',
    '/?prefix=photos&max-keys=50&marker=puppy',
    { Date: 'Tue, 27 Mar 2007 19:42:41 +0000', Authorization: `AWS ${accessKey}:htDYFYduRNen8P9ZfE/s9SuKy0U=` },
  ],
  [
    'fetch the access control list',
    'GET',
    'johnsmith.s3.amazonaws.com',
    '/?acl',
    { Date: 'Tue, 27 Mar 2007 19:44:46 +0000', Authorization: `AWS ${accessKey}:c2WLPFtWHVgbEmeEG93a4cG37dM=` },
  ],
  [
    'upload to a bucket with a host of its own, with headers that come twice',
    'PUT',
    'static.johnsmith.net:8080',
    '/db-backup.dat.gz',
    [
      ['Date', 'Tue, 27 Mar 2007 21:06:08 +0000'],
      ['x-amz-acl', 'public-read'],
      ['content-type', 'application/x-download'],
      ['Content-MD5', '4gJE4saaMU4BqNR0kLY+lw=='],
      ['X-Amz-Meta-ReviewedBy', 'joe@johnsmith.net'],
      ['X-Amz-Meta-ReviewedBy', 'jane@johnsmith.net'],
      ['X-Amz-Meta-FileChecksum', '0x02661779'],
      ['X-Amz-Meta-ChecksumAlgorithm', 'crc32'],
      ['Content-Disposition', 'attachment; filename=database.dat'],
      ['Content-Encoding', 'gzip'],
      ['Content-Length', '5913339'],
      ['Authorization', `AWS ${accessKey}:ilyl83RwaSoYIEdixDQcA4OnAnc=`],
    ],
  ],
  [
    'list all buckets',
    'GET',
    's3.amazonaws.com',
    '/',
    { Date: 'Wed, 28 Mar 2007 01:29:59 +0000', Authorization: `AWS ${accessKey}:qGdzdERIC03wnaRNKh6OqZehG9s=` },
  ],
  [
    'a key that is not ASCII',
    'GET',
    's3.amazonaws.com',
    '/dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re',
    { Date: 'Wed, 28 Mar 2007 01:49:49 +0000', Authorization: `AWS ${accessKey}:DNEZGsoieTZ92F3bUfSPQcbGmlM=` },
  ],
];

test.each(v2Examples)('version 2, in the header: %s', async (_, method, to, target, headers) => {
  const date = new Map(Array.isArray(headers) ? headers : Object.entries(headers)).get('Date') as string;
  const request = readRequest(wire(method, to, target, headers));
  const address =
    to === 's3.amazonaws.com'
      ? ({ bucket: null, key: null, style: 'path' } as const)
      : ({ bucket: to.replace('.s3.amazonaws.com', '').replace(':8080', ''), key: null, style: 'virtual-host' } as const);
  expect(await authenticator(Date.parse(date)).authenticate(request, address)).toEqual({
    caller: caller('v2-header'),
    body: { form: 'plain', sha256: null },
  });
});

test('version 2, presigned', async () => {
  const request = wire(
    'GET',
    'johnsmith.s3.amazonaws.com',
    `/photos/puppy.jpg?AWSAccessKeyId=${accessKey}&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620`,
  );
  expect((await authenticate(request, 1_175_139_619_999)).caller).toEqual(caller('v2-presigned'));
  expect((await failureOf('AccessDenied', () => authenticate(request, 1_175_139_620_000))).message).toBe('Request has expired');
});

test('version 4, a form that is posted', async () => {
  const policy = [
    '{ "expiration": "2015-12-30T12:00:00.000Z",',
    '  "conditions": [',
    '    {"bucket": "sigv4examplebucket"},',
    '    ["starts-with", "$key", "user/user1/"],',
    '    {"acl": "public-read"},',
    '    {"success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"},',
    '    ["starts-with", "$Content-Type", "image/"],',
    '    {"x-amz-meta-uuid": "14365123651274"},',
    '    {"x-amz-server-side-encryption": "AES256"},',
    '    ["starts-with", "$x-amz-meta-tag", ""],',
    '',
    `    {"x-amz-credential": "${accessKey}/20151229/us-east-1/s3/aws4_request"},`,
    '    {"x-amz-algorithm": "AWS4-HMAC-SHA256"},',
    '    {"x-amz-date": "20151229T000000Z" }',
    '  ]',
    '}',
  ].join('\r\n');
  const fields: Record<string, string> = {
    key: 'user/user1/${filename}',
    acl: 'public-read',
    success_action_redirect: 'http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html',
    'Content-Type': 'image/jpeg',
    'x-amz-meta-uuid': '14365123651274',
    'x-amz-server-side-encryption': 'AES256',
    'X-Amz-Credential': `${accessKey}/20151229/us-east-1/s3/aws4_request`,
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Date': '20151229T000000Z',
    'x-amz-meta-tag': '',
    Policy: Buffer.from(policy).toString('base64'),
    'X-Amz-Signature': '8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e',
  };
  const parts = Object.entries(fields).map(
    ([name, value]) => `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  );
  const form = `${parts.join('')}--b\r\nContent-Disposition: form-data; name="file"; filename="C:\\a\\me.jpg"\r\n\r\nbytes\r\n--b--\r\n`;
  const request = readRequest(
    wire('POST', 'sigv4examplebucket.s3.amazonaws.com', '/', { 'Content-Type': 'multipart/form-data; boundary=b' }),
  );
  const source = (async function* () {
    yield Buffer.from(form);
  })();
  const upload = await readPostUpload(authenticator(Date.parse('2015-12-29T01:00:00Z')), request, 'sigv4examplebucket', source);
  expect(upload.caller).toEqual(caller('v4-post'));
  expect(upload.key).toBe('user/user1/me.jpg');
  const pieces: Buffer[] = [];
  for await (const piece of upload.file) pieces.push(piece);
  expect(Buffer.concat(pieces).toString()).toBe('bytes');
});
