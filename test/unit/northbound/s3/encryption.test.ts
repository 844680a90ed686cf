import { createHash, randomBytes } from 'node:crypto';

import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutBucketEncryptionCommand,
  PutObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { last_order, versionKey } from '../../../../src/catalog/object_keys.ts';
import { decodeObject } from '../../../../src/catalog/object_records.ts';
import { pattern } from '../../../harness/object_world.ts';
import { S3Endpoint } from '../../../harness/s3_endpoint.ts';

let endpoint: S3Endpoint;
let alice: S3Client;
const Bucket = 'sealed';
const body = Buffer.from(pattern(300_001, 7));
const md5 = createHash('md5').update(body).digest('hex');

function customer(key: Buffer) {
  return {
    SSECustomerAlgorithm: 'AES256',
    SSECustomerKey: key.toString('base64'),
    SSECustomerKeyMD5: createHash('md5').update(key).digest('base64'),
  };
}
const mine = customer(randomBytes(32));
const other = customer(randomBytes(32));

beforeAll(async () => {
  endpoint = await S3Endpoint.start();
  alice = endpoint.client(await endpoint.account('alice'));
  await alice.send(new CreateBucketCommand({ Bucket }));
});
afterAll(async () => {
  expect(endpoint.complaints).toEqual([]);
  await endpoint.stop();
});

async function read(Key: string, more: object = {}): Promise<Buffer> {
  const { Body } = await alice.send(new GetObjectCommand({ Bucket, Key, ...more }));
  return Buffer.from(await Body!.transformToByteArray());
}

/** The body as it lies in its shelf. */
async function resting(Key: string): Promise<Buffer> {
  const { catalog, shelves, layer } = endpoint.world;
  const { record: bucket } = await layer.buckets.get(Bucket);
  const entry = await catalog.get(versionKey(bucket.id, Key, last_order));
  if (entry === null) throw new Error(`${Key} is nowhere`);
  const pieces: Uint8Array[] = [];
  for (const { segments } of decodeObject(entry.value).body.parts)
    for (const { shelf, extent, start, bytes } of segments) pieces.push(await shelves.read(shelf, extent + start, bytes));
  return Buffer.concat(pieces);
}

async function failure(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    const { name, $metadata } = error as { name: string; $metadata?: { httpStatusCode?: number } };
    return `${$metadata?.httpStatusCode} ${name}`;
  }
  return 'no failure';
}

const kinds = [
  ['a key of the account', { ServerSideEncryption: 'AES256' }, {}, { ServerSideEncryption: 'AES256' }],
  [
    'a key that has a name',
    { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'testkey-1' },
    {},
    { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'testkey-1' },
  ],
  ['a key of the client', mine, mine, { SSECustomerAlgorithm: 'AES256', SSECustomerKeyMD5: mine.SSECustomerKeyMD5 }],
] as const;

describe.each(kinds)('with %s', (_, given, toRead, told) => {
  const Key = JSON.stringify(told);

  test('a body rests encrypted, and any range of it is read', async () => {
    const put = await alice.send(new PutObjectCommand({ Bucket, Key, Body: body, ...given }));
    expect(put).toMatchObject(told);
    expect(put.ETag === `"${md5}"`).toBe('ServerSideEncryption' in told && told.ServerSideEncryption === 'AES256');
    expect(await alice.send(new HeadObjectCommand({ Bucket, Key, ...toRead }))).toMatchObject({
      ...told,
      ContentLength: 300_001,
    });
    expect((await read(Key, toRead)).equals(body)).toBe(true);
    for (const [first, last] of [
      [0, 0],
      [15, 16],
      [65_535, 131_073],
      [299_999, 300_000],
    ] as const)
      expect((await read(Key, { ...toRead, Range: `bytes=${first}-${last}` })).equals(body.subarray(first, last + 1))).toBe(true);
    const rests = await resting(Key);
    expect(rests.length).toBe(body.length);
    expect(rests.equals(body)).toBe(false);
    let same = 0;
    for (let at = 0; at < body.length; at += 1) if (rests[at] === body[at]) same += 1;
    // One of 256 bytes is the same by chance.
    expect(same).toBeLessThan(body.length / 100);
  });

  test('parts are encrypted each by itself, also ones that are copied', async () => {
    const name = { Bucket, Key: `parts ${Key}` };
    const { UploadId, ...begun } = await alice.send(new CreateMultipartUploadCommand({ ...name, ...given }));
    expect(begun).toMatchObject(told);
    const first = Buffer.from(pattern(5 << 20, 8));
    const sources =
      'SSECustomerKey' in toRead ? Object.entries(toRead).map(([field, value]) => [`CopySource${field}`, value]) : [];
    const Parts = [];
    for (const PartNumber of [1, 2]) {
      const { ETag } = await alice.send(new UploadPartCommand({ ...name, UploadId, PartNumber, Body: first, ...toRead }));
      Parts.push({ PartNumber, ETag });
    }
    const copied = await alice.send(
      new UploadPartCopyCommand({
        ...name,
        UploadId,
        PartNumber: 3,
        CopySource: `${Bucket}/${encodeURIComponent(Key)}`,
        CopySourceRange: 'bytes=1-200000',
        ...toRead,
        ...Object.fromEntries(sources),
      }),
    );
    Parts.push({ PartNumber: 3, ETag: copied.CopyPartResult?.ETag });
    await alice.send(new CompleteMultipartUploadCommand({ ...name, UploadId, MultipartUpload: { Parts }, ...toRead }));
    const whole = Buffer.concat([first, first, body.subarray(1, 200_001)]);
    expect((await read(name.Key, toRead)).equals(whole)).toBe(true);
    const from = (5 << 20) - 7;
    const Range = `bytes=${from}-${from + (5 << 20) + 99}`;
    expect((await read(name.Key, { ...toRead, Range })).equals(whole.subarray(from, from + (5 << 20) + 100))).toBe(true);
    expect((await read(name.Key, { ...toRead, PartNumber: 3 })).equals(body.subarray(1, 200_001))).toBe(true);
    const rests = await resting(name.Key);
    expect(rests.subarray(0, 5 << 20).equals(rests.subarray(5 << 20, 10 << 20))).toBe(false);
  });

  test('a copy is opened and sealed as it asks for', async () => {
    const CopySource = `${Bucket}/${encodeURIComponent(Key)}`;
    const sources =
      'SSECustomerKey' in toRead ? Object.entries(toRead).map(([field, value]) => [`CopySource${field}`, value]) : [];
    const from = { CopySource, ...Object.fromEntries(sources) };
    await alice.send(new CopyObjectCommand({ Bucket, Key: 'open', ...from }));
    const open = await alice.send(new HeadObjectCommand({ Bucket, Key: 'open' }));
    expect(open).toMatchObject({ ETag: `"${md5}"` });
    expect([open.ServerSideEncryption, open.SSECustomerAlgorithm]).toEqual([undefined, undefined]);
    expect((await read('open')).equals(body)).toBe(true);
    await alice.send(new CopyObjectCommand({ Bucket, Key: 'closed', ...from, ...other }));
    expect((await read('closed', other)).equals(body)).toBe(true);
    expect((await resting('closed')).equals(body)).toBe(false);
  });
});

describe('a key of the client', () => {
  test('is needed for everything, and must be the same', async () => {
    await alice.send(new PutObjectCommand({ Bucket, Key: 'theirs', Body: 'secret', ...mine }));
    for (const [more, expected] of [
      [{}, 'InvalidRequest'],
      [other, 'InvalidArgument'],
      [{ ...mine, SSECustomerAlgorithm: 'AES128' }, 'InvalidEncryptionAlgorithmError'],
      [{ SSECustomerAlgorithm: 'AES256' }, 'InvalidArgument'],
    ] as const) {
      expect(await failure(alice.send(new GetObjectCommand({ Bucket, Key: 'theirs', ...more })))).toBe(`400 ${expected}`);
      expect(await failure(alice.send(new HeadObjectCommand({ Bucket, Key: 'theirs', ...more })))).toMatch('400 ');
    }
    const mismatched = new GetObjectCommand({ Bucket, Key: 'theirs', ...mine });
    // The client computes it again whatever it was given.
    mismatched.middlewareStack.add(
      (next) => (args) => {
        const { headers } = args.request as { headers: Record<string, string> };
        headers['x-amz-server-side-encryption-customer-key-md5'] = other.SSECustomerKeyMD5;
        return next(args);
      },
      { step: 'build' },
    );
    expect(await failure(alice.send(mismatched))).toBe('400 InvalidArgument');
    const attributes = { Bucket, Key: 'theirs', ObjectAttributes: ['ETag' as const] };
    expect(await failure(alice.send(new GetObjectAttributesCommand(attributes)))).toBe('400 InvalidRequest');
    await alice.send(new GetObjectAttributesCommand({ ...attributes, ...mine }));
    const copy = { Bucket, Key: 'stolen', CopySource: `${Bucket}/theirs` };
    expect(await failure(alice.send(new CopyObjectCommand(copy)))).toBe('400 InvalidRequest');
    await alice.send(new PutObjectCommand({ Bucket, Key: 'plain', Body: 'plain' }));
    expect(await failure(alice.send(new GetObjectCommand({ Bucket, Key: 'plain', ...mine })))).toBe('400 InvalidRequest');
  });

  test('is stored nowhere', async () => {
    const key = randomBytes(32);
    await alice.send(new PutObjectCommand({ Bucket, Key: 'unknown', Body: 'secret', ...customer(key) }));
    for (const { value } of await endpoint.world.catalog.range(''))
      for (const trace of [key, createHash('md5').update(key).digest()]) expect(Buffer.from(value).includes(trace)).toBe(false);
  });
});

test.each([
  ['both keys', { ServerSideEncryption: 'AES256' as const, ...mine }, '400 InvalidArgument'],
  ['a name for a key that has none', { ServerSideEncryption: 'AES256' as const, SSEKMSKeyId: 'k' }, '400 InvalidArgument'],
  ['a name and no method', { SSEKMSKeyId: 'k' }, '400 InvalidArgument'],
  ['another method', { ServerSideEncryption: 'ROT13' as never }, '400 InvalidArgument'],
  ['two layers', { ServerSideEncryption: 'aws:kms:dsse' as const }, '501 NotImplemented'],
])('%s are refused', async (_, more, expected) => {
  expect(await failure(alice.send(new PutObjectCommand({ Bucket, Key: 'refused', Body: '', ...more })))).toBe(expected);
});

test('a bucket says how what says nothing is sealed', async () => {
  const named = 'by-default';
  await alice.send(new CreateBucketCommand({ Bucket: named }));
  const rule = { ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms' as const, KMSMasterKeyID: 'its-key' } };
  const configuration = { ServerSideEncryptionConfiguration: { Rules: [rule] } };
  await alice.send(new PutBucketEncryptionCommand({ Bucket: named, ...configuration }));
  const told = { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'its-key' };
  expect(await alice.send(new PutObjectCommand({ Bucket: named, Key: 'x', Body: 'x' }))).toMatchObject(told);
  expect(await alice.send(new HeadObjectCommand({ Bucket: named, Key: 'x' }))).toMatchObject(told);
  const own = await alice.send(new PutObjectCommand({ Bucket: named, Key: 'x', Body: 'x', ServerSideEncryption: 'AES256' }));
  expect(own.ServerSideEncryption).toBe('AES256');
});
