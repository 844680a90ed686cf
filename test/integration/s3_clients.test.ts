/** The wire of S3 as clients that others wrote speak it. What they send is authenticated and decoded; there is no storage here yet. */
import { Agent } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';

import {
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { must, packageRoot } from '../harness/command.ts';
import { S3Wire, wireKeys } from '../harness/s3_wire.ts';

let server: S3Wire;
let port: number;

beforeEach(async () => {
  server = new S3Wire();
  port = await server.start();
});
afterEach(() => server.stop());

const key = "dir//a b+c/é(1)!*'~=&?#%/./x.jpg";
const body = Buffer.alloc(300_000, 'skerry ');

/** Every host is this one: `photos.s3.test` is in no DNS. */
class Local extends Agent {
  override createConnection(
    ...[options, callback]: Parameters<Agent['createConnection']>
  ): ReturnType<Agent['createConnection']> {
    return super.createConnection({ ...options, host: '127.0.0.1' }, callback);
  }
}

function client(options: Partial<S3ClientConfig> = {}, secretAccessKey = wireKeys.secretKey): S3Client {
  return new S3Client({
    endpoint: `http://s3.test:${port}`,
    region: 'us-east-1',
    credentials: { accessKeyId: wireKeys.accessKey, secretAccessKey },
    maxAttempts: 1,
    requestHandler: { httpAgent: new Local({ keepAlive: true }) },
    ...options,
  });
}

describe.each([true, false])('the SDK for JavaScript, path style %s,', (forcePathStyle) => {
  const style = forcePathStyle ? 'path' : 'virtual-host';
  const place = { Bucket: 'photos', Key: key };

  test('puts a buffer, gets it, and lists it under its key', async () => {
    const s3 = client({ forcePathStyle });
    await s3.send(new PutObjectCommand({ ...place, Body: body, Metadata: { a: 'two  words' }, ContentType: 'image/jpeg' }));
    const got = await s3.send(new GetObjectCommand({ ...place, VersionId: '3', ResponseContentType: 'text/plain' }));
    expect(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(body)).toBe(true);
    const list = await s3.send(new ListObjectsV2Command({ Bucket: 'photos', Prefix: 'dir//a b+c' }));
    expect(list.Contents?.map((each) => each.Key)).toEqual([key]);
    await s3.send(new HeadObjectCommand(place));
    await s3.send(new DeleteObjectsCommand({ Bucket: 'photos', Delete: { Objects: [{ Key: key }, { Key: '<&>' }] } }));
    expect(server.objects.size).toBe(0);
    await expect(s3.send(new GetObjectCommand(place))).rejects.toMatchObject({ name: 'NoSuchKey' });
    expect(server.seen.map((each) => [each.scheme, each.style, each.body])).toEqual([
      ['v4-header', style, 'sha256'],
      ...Array.from({ length: 3 }, () => ['v4-header', style, 'sha256']),
      ['v4-header', style, 'sha256'],
      ['NoSuchKey', style, 'sha256'],
    ]);
    s3.destroy();
  });

  test('puts a stream in chunks, with its sum after them', async () => {
    const s3 = client({ forcePathStyle });
    const pieces = Array.from({ length: 30 }, (_, at) => body.subarray(at * 10_000, (at + 1) * 10_000));
    await s3.send(
      new PutObjectCommand({ ...place, Body: Readable.from(pieces), ContentLength: body.length, ChecksumAlgorithm: 'CRC32' }),
    );
    expect(server.objects.get(`photos/${key}`)?.equals(body)).toBe(true);
    expect(server.seen).toEqual([
      {
        operation: 'PUT',
        scheme: 'v4-header',
        style,
        body: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
        trailers: ['x-amz-checksum-crc32'],
      },
    ]);
    s3.destroy();
  });
});

describe('the SDK for JavaScript', () => {
  test('is told of a wrong secret', async () => {
    const s3 = client({ forcePathStyle: true }, 'wrong');
    const put = s3.send(new PutObjectCommand({ Bucket: 'photos', Key: 'k', Body: body }));
    await expect(put).rejects.toMatchObject({ name: 'SignatureDoesNotMatch', $metadata: { httpStatusCode: 403 } });
    expect(server.objects.size).toBe(0);
    s3.destroy();
  });

  test('with a clock that is wrong is told so, and comes again with the right time', async () => {
    await server.stop();
    server = new S3Wire({ aheadMilliseconds: 3_600_000 });
    port = await server.start();
    const s3 = client({ forcePathStyle: true, maxAttempts: 2 });
    await s3.send(new PutObjectCommand({ Bucket: 'photos', Key: 'k', Body: body }));
    expect(server.seen.map((each) => each.scheme)).toEqual(['RequestTimeTooSkewed', 'v4-header']);
    s3.destroy();
  });

  test('of another region is told which to use', async () => {
    const s3 = client({ forcePathStyle: true, region: 'eu-west-1' });
    const put = s3.send(new PutObjectCommand({ Bucket: 'photos', Key: 'k', Body: body }));
    await expect(put).rejects.toMatchObject({ name: 'AuthorizationHeaderMalformed' });
    s3.destroy();
  });
});

test('botocore signs by both versions, in headers, queries and forms, and is told what is wrong', async () => {
  const script = join(packageRoot, 'test', 'harness', 's3_botocore.py');
  // Without its folder among those that modules come from: one there is called as one that botocore wants.
  const text = await must('/usr/bin/python3', ['-I', script, String(port), wireKeys.accessKey, wireKeys.secretKey], {
    timeoutSeconds: 120,
  });
  const outcomes = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as [string, unknown]);
  const expected = ['s3v4', 's3'].flatMap((version) => [
    ...['path', 'virtual'].flatMap((style) => [
      [`${version} ${style} put and get`, true],
      [`${version} ${style} put and get a stream`, true],
      [`${version} ${style} list`, true],
      [`${version} ${style} sub-resource`, 3],
      [`${version} ${style} presigned`, true],
      [`${version} ${style} presigned, altered`, 403],
      [`${version} ${style} form`, 204],
      [`${version} ${style} form, too large`, 400],
    ]),
    [`${version} wrong secret`, 'SignatureDoesNotMatch'],
  ]);
  expect(outcomes).toEqual(expected);
  expect(server.objects.get('photos/up/a.jpg')?.toString()).toBe('bytes');
  const schemes = new Set(server.seen.map((each) => each.scheme));
  for (const scheme of ['v4-header', 'v4-presigned', 'v4-post', 'v2-header', 'v2-presigned', 'v2-post'])
    expect(schemes).toContain(scheme);
});
