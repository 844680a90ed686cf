/** Forms that browsers post: what their policies allow, and how they are taken apart. */
import { createHmac } from 'node:crypto';

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { S3ErrorCode } from '../../../../src/northbound/s3/error_codes.js';
import { FormParser, form_head_bytes_max } from '../../../../src/northbound/s3/form_parser.js';
import { checkPolicy, parsePolicy } from '../../../../src/northbound/s3/post_policy.js';
import { readPostUpload } from '../../../../src/northbound/s3/post_upload.js';
import { readRequest } from '../../../../src/northbound/s3/request.js';
import { accessKey, authenticator, exampleTime, failureOf, principal, secretKey, wire } from './world.js';

const credential = `${accessKey}/20130524/us-east-1/s3/aws4_request`;
const expiration = '2013-05-24T00:10:00.000Z';
const base64 = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64');

type Fields = Readonly<Record<string, string | null>>;

/** A form; fields that are null are left out. */
function form(fields: Fields, file: string | Buffer = 'bytes', filename = 'photo.jpg'): Buffer {
  const parts = Object.entries(fields).flatMap(([name, value]) =>
    value === null ? [] : [`--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`],
  );
  const head = `${parts.join('')}--b\r\nContent-Disposition: form-data; name="file"; filename="${filename}"\r\nContent-Type: image/jpeg\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), Buffer.from(file as string), Buffer.from('\r\n--b--\r\n')]);
}

function v4Signature(policy: string): string {
  let key: string | Buffer = `AWS4${secretKey}`;
  for (const part of ['20130524', 'us-east-1', 's3', 'aws4_request']) key = createHmac('sha256', key).update(part).digest();
  return createHmac('sha256', key).update(policy).digest('hex');
}

interface Policy {
  readonly expiration?: unknown;
  readonly conditions?: unknown;
}

const signing: unknown[] = [
  { 'x-amz-credential': credential },
  { 'x-amz-algorithm': 'AWS4-HMAC-SHA256' },
  { 'x-amz-date': '20130524T000000Z' },
];

/** Fields that are signed by version 4 under this policy. */
function signedFields(conditions: unknown[], more: Fields = {}, document: Policy = {}): Fields {
  const policy = base64({ expiration, conditions: [{ bucket: 'photos' }, ...signing, ...conditions], ...document });
  return {
    key: 'user/a.jpg',
    'x-amz-credential': credential,
    'x-amz-algorithm': 'AWS4-HMAC-SHA256',
    'x-amz-date': '20130524T000000Z',
    policy,
    'x-amz-signature': v4Signature(policy),
    ...more,
  };
}

const anyKey = ['starts-with', '$key', ''];

async function upload(
  body: Buffer,
  { now = exampleTime, places = [] as number[], type = 'multipart/form-data; boundary=b' } = {},
) {
  const request = readRequest(wire('POST', 'photos.s3.amazonaws.com', '/', type === '' ? {} : { 'Content-Type': type }));
  const cuts = [0, ...[...places].sort((a, b) => a - b).map((place) => Math.min(place, body.length)), body.length];
  const source = (async function* () {
    for (const [at, start] of cuts.slice(0, -1).entries()) yield body.subarray(start, cuts[at + 1]);
  })();
  const read = await readPostUpload(authenticator(now), request, 'photos', source);
  const pieces: Buffer[] = [];
  for await (const piece of read.file) pieces.push(piece);
  return { ...read, bytes: Buffer.concat(pieces).toString('latin1') };
}

describe('a form that is signed', () => {
  test('by version 4 is of whoever signed it', async () => {
    const read = await upload(form(signedFields([anyKey])));
    expect(read.caller).toEqual({ principal, accessKey, scheme: 'v4-post' });
    expect(read.key).toBe('user/a.jpg');
    expect(read.bytes).toBe('bytes');
    expect(read.part).toEqual({ filename: 'photo.jpg', contentType: 'image/jpeg' });
  });

  test('by version 2 is of whoever signed it', async () => {
    const policy = base64({ expiration, conditions: [{ bucket: 'photos' }, anyKey] });
    const signature = createHmac('sha1', secretKey).update(policy).digest('base64');
    const fields = { key: 'k', AWSAccessKeyId: accessKey, policy, signature };
    expect((await upload(form(fields))).caller).toEqual({ principal, accessKey, scheme: 'v2-post' });
    await failureOf('SignatureDoesNotMatch', () => upload(form({ ...fields, signature: `A${signature.slice(1)}A` })));
    await failureOf('InvalidArgument', () => upload(form({ ...fields, signature: null })));
    await failureOf('InvalidAccessKeyId', () => upload(form({ ...fields, AWSAccessKeyId: 'nobody' })));
  });

  test('by nobody is nobody’s', async () => {
    const read = await upload(form({ key: 'k', acl: 'public-read' }));
    expect(read.caller).toBeNull();
    expect([...read.fields]).toEqual([
      ['key', 'k'],
      ['acl', 'public-read'],
    ]);
  });

  const lost: readonly [what: string, code: S3ErrorCode, more: Fields][] = [
    ['policy', 'InvalidArgument', { policy: null }],
    ['signature', 'InvalidArgument', { 'x-amz-signature': null }],
    ['credential', 'InvalidArgument', { 'x-amz-credential': null }],
    ['algorithm', 'InvalidArgument', { 'x-amz-algorithm': null }],
    ['date', 'InvalidArgument', { 'x-amz-date': null }],
    ['key', 'InvalidArgument', { key: null }],
  ];
  test.each(lost)('and lost its %s is refused, never taken for nobody’s', async (_, code, more) => {
    const conditions = more['key'] === null ? [] : [anyKey];
    await failureOf(code, () => upload(form(signedFields(conditions, more))));
  });

  test.each(['policy', 'x-amz-signature', 'x-amz-credential', 'x-amz-algorithm', 'signature', 'AWSAccessKeyId'])(
    'is not anonymous where only %s is left of that',
    async (name) => {
      await failureOf('InvalidArgument', () => upload(form({ key: 'k', [name]: base64({ expiration, conditions: [] }) })));
    },
  );

  const changed: readonly [what: string, code: S3ErrorCode, more: Fields][] = [
    ['another policy', 'SignatureDoesNotMatch', { policy: base64({ expiration, conditions: [] }) }],
    ['another signature', 'SignatureDoesNotMatch', { 'x-amz-signature': '0'.repeat(64) }],
    ['an unknown key', 'InvalidAccessKeyId', { 'x-amz-credential': credential.replace(accessKey, 'NOBODY') }],
    ['another algorithm', 'InvalidArgument', { 'x-amz-algorithm': 'AWS4-HMAC-SHA1' }],
    ['a credential that is none', 'InvalidArgument', { 'x-amz-credential': 'a/b' }],
    ['another region', 'InvalidArgument', { 'x-amz-credential': credential.replace('us-east-1', 'eu-west-1') }],
    ['another service', 'InvalidArgument', { 'x-amz-credential': credential.replace('/s3/', '/sqs/') }],
    ['another day', 'InvalidArgument', { 'x-amz-date': '20130525T000000Z' }],
    ['a date that is none', 'InvalidArgument', { 'x-amz-date': '20130524' }],
    ['a time that is none', 'InvalidArgument', { 'x-amz-date': '20130524T250000Z' }],
    ['a session token', 'InvalidToken', { 'x-amz-security-token': 'token' }],
  ];
  test.each(changed)('with %s is refused as %s', async (_, code, more) => {
    await failureOf(code, () => upload(form(signedFields([anyKey], more))));
  });

  test('may be used until it expires', async () => {
    const body = form(signedFields([anyKey]));
    const end = Date.parse(expiration);
    expect((await upload(body, { now: end - 1 })).caller?.principal).toBe(principal);
    expect((await failureOf('AccessDenied', () => upload(body, { now: end }))).message).toBe(
      'Invalid according to Policy: Policy expired.',
    );
  });

  test('may have no field that its policy does not name, but for a few', async () => {
    await failureOf('AccessDenied', () => upload(form(signedFields([anyKey], { acl: 'private' }))));
    await failureOf('AccessDenied', () => upload(form(signedFields([]))));
    expect((await upload(form(signedFields([anyKey], { 'x-ignore-a': 'b', 'X-Ignore-C': '' })))).key).toBe('user/a.jpg');
    const otherBucket = signedFields([anyKey, { bucket: 'other' }]);
    await failureOf('AccessDenied', () => upload(form(otherBucket)));
    await failureOf('AccessDenied', () => upload(form({ ...otherBucket, bucket: 'other' })));
    const noBucket = base64({ expiration, conditions: [...signing, anyKey] });
    await failureOf('AccessDenied', () =>
      upload(form({ ...signedFields([]), policy: noBucket, 'x-amz-signature': v4Signature(noBucket) })),
    );
  });

  test('has the name of its file put in, the last part of it, before its policy is asked', async () => {
    const fields = signedFields(
      [
        ['starts-with', '$key', 'user/photo'],
        ['eq', '$x-amz-meta-name', 'photo.jpg'],
      ],
      {
        key: 'user/${filename}',
        'x-amz-meta-name': '${filename}',
      },
    );
    for (const name of ['photo.jpg', 'C:\\pictures\\photo.jpg', '/home/me/photo.jpg'])
      expect((await upload(form(fields, 'bytes', name))).key).toBe('user/photo.jpg');
    await failureOf('AccessDenied', () => upload(form(fields, 'bytes', 'other.jpg')));
    const plain = { key: '${filename}-${filename}' };
    expect((await upload(form(plain, 'b', "$&$'"))).key).toBe("$&$'-$&$'");
    await failureOf('InvalidArgument', () => upload(form({ key: '${filename}' }, 'b', 'a/')));
  });

  test('has a file of the size that is allowed, told as soon as it is more', async () => {
    const sized = (bytesMin: unknown, bytesMax: unknown) => signedFields([anyKey, ['content-length-range', bytesMin, bytesMax]]);
    expect((await upload(form(sized(5, 5)))).bytes).toBe('bytes');
    expect((await upload(form(sized('5', '5')))).bytes).toBe('bytes');
    const large = await failureOf('EntityTooLarge', () => upload(form(sized(0, 4))));
    expect(large.details).toEqual({ ProposedSize: '5', MaxSizeAllowed: '4' });
    const small = await failureOf('EntityTooSmall', () => upload(form(sized(6, 10))));
    expect(small.details).toEqual({ ProposedSize: '5', MinSizeAllowed: '6' });
    const both = signedFields([anyKey, ['content-length-range', 0, 100], ['content-length-range', 0, 4]]);
    await failureOf('EntityTooLarge', () => upload(form(both)));
  });
});

describe('a policy', () => {
  const fields = (given: Record<string, string>) => new Map(Object.entries(given));
  const check = (conditions: unknown[], given: Record<string, string>) =>
    checkPolicy(parsePolicy(base64({ expiration, conditions })), fields(given), exampleTime);

  const kept: readonly [conditions: unknown[], given: Record<string, string>][] = [
    [[{ acl: 'private' }], { acl: 'private' }],
    [[['eq', '$acl', 'private']], { acl: 'private' }],
    [[['EQ', '$ACL', 'private']], { acl: 'private' }],
    [[{ bUcKeT: 'a', Acl: 'b' }], { bucket: 'a', acl: 'b' }],
    [[['StArTs-WiTh', '$KeY', 'foo']], { key: 'foobar' }],
    [[['starts-with', '$key', '']], { key: '' }],
    [[['starts-with', '$x-amz-server-side-encryption', '']], {}],
    [[['starts-with', '$Content-Type', 'image/']], { 'content-type': 'image/jpeg, image/png' }],
    [[['starts-with', '$key', '$foo']], { key: '$foobar' }],
  ];
  test.each(kept)('%j is kept by %j', (conditions, given) => {
    check(conditions, given);
  });

  const broken: readonly [conditions: unknown[], given: Record<string, string>][] = [
    [[{ acl: 'private' }], { acl: 'Private' }],
    [[{ acl: 'private' }], {}],
    [[['starts-with', '$key', 'foo']], { key: 'Foobar' }],
    [[['eq', '$key', 'foo']], { key: 'foobar' }],
    [[['starts-with', '$Content-Type', 'image/']], { 'content-type': 'image/jpeg, text/html' }],
    [[{ acl: 'private' }, { acl: 'public-read' }], { acl: 'private' }],
    [[{ acl: 'private' }], { acl: 'private', key: 'k' }],
  ];
  test.each(broken)('%j is broken by %j', async (conditions, given) => {
    const failure = await failureOf('AccessDenied', () => check(conditions, given));
    expect(failure.message).toMatch(/^Invalid according to Policy: /);
  });

  test('may have a dollar escaped, which no JSON has', () => {
    const document = `{"expiration": "${expiration}", "conditions": [["eq", "$key", "\\$a\\\\$b\\u0041"]]}`;
    expect(parsePolicy(base64(document)).conditions).toEqual([{ operator: 'eq', field: 'key', value: '$a\\$bA' }]);
  });

  test.each([
    '!',
    base64(''),
    base64('{'),
    base64([]),
    base64('null'),
    base64({ conditions: [] }),
    base64({ expiration }),
    base64({ EXPIRATION: expiration, conditions: [] }),
    base64({ expiration, CONDITIONS: [] }),
    base64({ expiration: '2013-05-24 00:10:00', conditions: [] }),
    base64({ expiration: 'tomorrow', conditions: [] }),
    base64({ expiration: '2013-15-24T00:10:00Z', conditions: [] }),
    base64({ expiration: 1, conditions: [] }),
    base64({ expiration, conditions: {} }),
    ...[
      {},
      { acl: 1 },
      'acl',
      null,
      [],
      ['eq'],
      ['eq', '$acl'],
      ['eq', 'acl', 'x'],
      ['eq', '$acl', 1],
      ['eq', '$acl', 'x', 'y'],
      ['ne', '$acl', 'x'],
      ['content-length-range', 0],
      ['content-length-range', -1, 0],
      ['content-length-range', 2, 1],
      ['content-length-range', 0, 1, 2],
      ['content-length-range', 'a', 1],
      ['content-length-range', 0.5, 1],
    ].map((condition) => base64({ expiration, conditions: [condition] })),
    base64({ expiration, conditions: Array.from({ length: 257 }, () => ({ acl: 'x' })) }),
    Buffer.from([0xff, 0xfe]).toString('base64'),
  ])('that is none is refused: %s', async (encoded) => {
    await failureOf('InvalidPolicyDocument', () => parsePolicy(encoded));
  });
});

describe('a form', () => {
  const parse = (body: Buffer, places: readonly number[] = []) => {
    const parser = new FormParser('multipart/form-data; boundary=b');
    const out: Buffer[] = [];
    const cuts = [0, ...places, body.length];
    for (const [at, start] of cuts.slice(0, -1).entries()) out.push(...parser.push(body.subarray(start, cuts[at + 1])));
    parser.end();
    return { fields: [...parser.fields], file: parser.file, bytes: Buffer.concat(out).toString('latin1') };
  };

  test('is the same at every cut, and byte by byte', () => {
    const tricky = '\r\n--\r\n--a\r\n-\r\r\n--c\r\n\r\n--b';
    const body = form({ key: 'a\r\nb', acl: '', Other: '\r\n--' }, `${tricky.slice(0, -4)}x`);
    const whole = parse(body);
    expect(whole).toEqual({
      fields: [
        ['key', 'a\r\nb'],
        ['acl', ''],
        ['other', '\r\n--'],
      ],
      file: { filename: 'photo.jpg', contentType: 'image/jpeg' },
      bytes: `${tricky.slice(0, -4)}x`,
    });
    for (let at = 0; at <= body.length; at += 1) expect(parse(body, [at])).toEqual(whole);
    expect(parse(body, [...body.keys()])).toEqual(whole);
  });

  test('hands on its file whole, whatever is in it', () => {
    const words = fc.constantFrom('\r\n--b', '\r\n--', '\r\n', '\r', '-', 'b', '--b--', 'x');
    const content = fc.array(words, { maxLength: 20 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(
        content.filter((text) => !text.includes('\r\n--b') && !text.startsWith('--b')),
        fc.array(fc.nat(400), { maxLength: 6 }),
        (text, places) => {
          const body = form({ key: 'k' }, text);
          expect(
            parse(
              body,
              places.map((place) => Math.min(place, body.length)).sort((a, b) => a - b),
            ).bytes,
          ).toBe(text);
        },
      ),
      { numRuns: 150 },
    );
  });

  test('hands on a large file as it comes, and holds none of it', () => {
    const parser = new FormParser('multipart/form-data; boundary=b');
    const body = form({ key: 'k' }, Buffer.alloc(1 << 20, 'x'));
    let bytes = 0;
    for (let at = 0; at < body.length; at += 65_536) {
      const out = parser.push(body.subarray(at, at + 65_536));
      bytes += out.reduce((sum, piece) => sum + piece.length, 0);
      if (at > 0 && at + 65_536 < body.length) expect(out.map((piece) => piece.length)).toEqual([65_536]);
    }
    parser.end();
    expect(bytes).toBe(1 << 20);
  });

  test('may have a preamble, an epilogue, and fields after the file, which mean nothing', () => {
    const body = form({ key: 'k' }).toString();
    const more = body.replace(
      '--b--\r\n',
      '--b\r\nContent-Disposition: form-data; name="submit"\r\n\r\nUpload\r\n--b--\r\nepilogue',
    );
    expect(parse(Buffer.from(`preamble\r\n${more}`))).toEqual(parse(Buffer.from(body)));
  });

  test.each([
    ['name="file"; filename="a.jpg"', 'a.jpg'],
    ['filename="a.jpg"; name="file"', 'a.jpg'],
    ['name=file; filename=a.jpg', 'a.jpg'],
    ['name="File"; filename="a\\"b.jpg"', 'a"b.jpg'],
    ['name="file"; filename="C:\\dir\\a.jpg"', 'C:\\dir\\a.jpg'],
    ['name="file"; filename="é.jpg"', 'é.jpg'],
    ['name="file"; filename=""', ''],
    ['name="file"', ''],
  ])('has a file by %s', (parameters, filename) => {
    const body = Buffer.from(`--b\r\ncontent-disposition: form-data; ${parameters}\r\n\r\nx\r\n--b--`);
    expect(parse(body).file?.filename).toBe(filename);
  });

  const keyField = '--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n';
  const refusals: readonly [what: string, code: S3ErrorCode, text: string][] = [
    ['nothing', 'IncompleteBody', ''],
    ['no boundary', 'IncompleteBody', 'abc'],
    ['no file', 'IncorrectNumberOfFilesInPostRequest', '--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n--b--\r\n'],
    ['no part', 'IncorrectNumberOfFilesInPostRequest', '--b--\r\n'],
    ['no end', 'IncompleteBody', `${keyField}--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nabc`],
    ['half an end', 'IncompleteBody', `${keyField}--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nabc\r\n--b-`],
    ['an end of a field alone', 'IncompleteBody', '--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nk'],
    ['no name', 'MalformedPOSTRequest', '--b\r\nContent-Disposition: form-data\r\n\r\nk\r\n--b--'],
    ['no headers', 'MalformedPOSTRequest', '--b\r\n\r\nk\r\n--b--'],
    ['a header that is none', 'MalformedPOSTRequest', '--b\r\nabc\r\n\r\nk\r\n--b--'],
    ['an attachment', 'MalformedPOSTRequest', '--b\r\nContent-Disposition: attachment; name="key"\r\n\r\nk\r\n--b--'],
    ['a field twice', 'MalformedPOSTRequest', '--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n'.repeat(2)],
    ['more in a boundary’s line', 'MalformedPOSTRequest', '--bc\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n--b--'],
  ];
  test.each(refusals)('with %s is refused as %s', async (_, code, text) => {
    await failureOf(code, () => parse(Buffer.from(text)));
    await failureOf(code, () => parse(Buffer.from(text), [...Buffer.from(text).keys()]));
    const request = upload(Buffer.from(text));
    await failureOf(code, () => request);
  });

  test('of bytes that are no text is refused', async () => {
    await failureOf('MalformedPOSTRequest', () =>
      parse(Buffer.from('--b\r\nContent-Disposition: form-data; name="key"\r\n\r\n\xff\r\n--b--', 'latin1')),
    );
  });

  test('has bounded fields, in one piece or many', async () => {
    const fits = form({ key: 'k', a: 'x'.repeat(form_head_bytes_max - 400) });
    expect(parse(fits).bytes).toBe('bytes');
    const inField = form({ key: 'k', a: 'x'.repeat(form_head_bytes_max) });
    const inHeaders = Buffer.from(`--b\r\n${'a: b\r\n'.repeat(form_head_bytes_max)}`);
    const inPreamble = Buffer.alloc(form_head_bytes_max * 2, 'x');
    for (const body of [inField, inHeaders, inPreamble]) {
      await failureOf('MaxPostPreDataLengthExceededError', () => parse(body));
      await failureOf('MaxPostPreDataLengthExceededError', () => parse(body, [100, 200, 5000, 10_000, 15_000]));
    }
  });

  test('of a type that is none is refused', async () => {
    for (const type of ['', 'text/plain', 'application/x-www-form-urlencoded', 'multipart/mixed; boundary=b'])
      await failureOf('RequestIsNotMultiPartContent', () => upload(form({ key: 'k' }), { type }));
    for (const type of [
      'multipart/form-data',
      'multipart/form-data; boundary=',
      `multipart/form-data; boundary=${'b'.repeat(201)}`,
    ])
      await failureOf('MalformedPOSTRequest', () => upload(form({ key: 'k' }), { type }));
    expect((await upload(form({ key: 'k' }), { type: 'Multipart/Form-Data; charset=utf-8; Boundary="b"' })).key).toBe('k');
  });

  test('that was refused takes nothing more', async () => {
    const parser = new FormParser('multipart/form-data; boundary=b');
    await failureOf('MaxPostPreDataLengthExceededError', () => parser.push(Buffer.alloc(form_head_bytes_max + 1, 'x')));
    await failureOf('MalformedPOSTRequest', () => parser.push(form({ key: 'k' })));
    await failureOf('IncompleteBody', () => parser.end());
  });
});
