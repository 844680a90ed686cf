/** The everyday work of JavaScript programs on a real daemon, over HTTP and TLS: by the SDK of AWS and by minio-js. */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

import * as aws from '@aws-sdk/client-s3';
import { Client, CopyDestinationOptions, CopySourceOptions } from 'minio';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { Authority } from '../harness/certificates.ts';
import { must } from '../harness/command.ts';
import { S3Requests } from '../harness/s3_requests.ts';
import { sdkClient, serving, type Serving } from '../harness/s3_serving.ts';

const part_bytes = 8 << 20;
const key = "dir/ünter a+b/(1)!*'&=?#%.bin";
const large = Buffer.concat(Array.from({ length: 100 }, () => randomBytes(1 << 20)));
const small = randomBytes(300_000);
let scratch: string;
let largePath: string;
let smallPath: string;
let authority: Authority;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-s3-javascript-'));
  largePath = join(scratch, 'large');
  smallPath = join(scratch, 'small');
  writeFileSync(largePath, large);
  writeFileSync(smallPath, small);
  authority = await Authority.make(join(scratch, 'ca'), 'Skerry');
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function sumOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

describe.each(['http', 'https'])('over %s', (scheme) => {
  let world: Serving;
  let agent: Agent | null = null;
  let curl: (...words: readonly string[]) => Promise<string>;

  beforeAll(async () => {
    if (scheme === 'http') world = await serving();
    else {
      const issued = await authority.issue('s3', ['DNS:localhost', 'IP:127.0.0.1']);
      world = await serving({ s3TlsCertificate: issued.certificate, s3TlsKey: issued.key });
      agent = new Agent({ ca: readFileSync(authority.certificate), keepAlive: true });
    }
    const trust = agent === null ? [] : ['--cacert', authority.certificate];
    curl = (...words) => must('curl', ['--silent', '--show-error', '--fail', ...trust, ...words]);
  });
  afterAll(async () => {
    // Nothing that clients did was a failure of the daemon.
    expect(world.daemon.log.split('\n').filter((line) => /"level":[56]0/.test(line))).toEqual([]);
    agent?.destroy();
    await world.daemon.destroy();
  });

  describe('the SDK of AWS', () => {
    const Bucket = 'javascript';
    let s3: aws.S3Client;
    beforeAll(() => {
      s3 = sdkClient(world, agent === null ? {} : { requestHandler: { httpsAgent: agent } });
    });
    afterAll(() => s3.destroy());

    async function read(place: aws.GetObjectCommandInput): Promise<Buffer> {
      const { Body } = await s3.send(new aws.GetObjectCommand(place));
      return Buffer.from((await Body?.transformToByteArray()) ?? []);
    }

    /** As lib-storage does it: parts of a file, four at a time. */
    async function uploadInParts(Key: string): Promise<void> {
      const at = { Bucket, Key };
      const { UploadId } = await s3.send(new aws.CreateMultipartUploadCommand({ ...at, ChecksumAlgorithm: 'CRC32' }));
      const Parts: aws.CompletedPart[] = [];
      const numbers = Array.from({ length: Math.ceil(large.length / part_bytes) }, (_, part) => part + 1).values();
      const lane = async (): Promise<void> => {
        for (const PartNumber of numbers) {
          const start = (PartNumber - 1) * part_bytes;
          const end = Math.min(start + part_bytes, large.length);
          const Body = createReadStream(largePath, { start, end: end - 1 });
          const put = { ...at, UploadId, PartNumber, Body, ContentLength: end - start, ChecksumAlgorithm: 'CRC32' as const };
          const { ETag, ChecksumCRC32 } = await s3.send(new aws.UploadPartCommand(put));
          Parts[PartNumber - 1] = { PartNumber, ETag, ChecksumCRC32 };
        }
      };
      await Promise.all(Array.from({ length: 4 }, lane));
      await s3.send(new aws.CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts } }));
    }

    async function removeAll(): Promise<void> {
      const { Versions = [], DeleteMarkers = [] } = await s3.send(new aws.ListObjectVersionsCommand({ Bucket }));
      const Objects = [...Versions, ...DeleteMarkers].map(({ Key, VersionId }) => ({ Key, VersionId }));
      const { Errors = [], Deleted } = await s3.send(new aws.DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
      expect([Errors, Deleted?.length]).toEqual([[], Objects.length]);
    }

    test('makes a bucket, puts and gets streams, and tells what is wrong', async () => {
      await s3.send(new aws.CreateBucketCommand({ Bucket }));
      await s3.send(new aws.HeadBucketCommand({ Bucket }));
      expect((await s3.send(new aws.ListBucketsCommand({}))).Buckets?.map(({ Name }) => Name)).toContain(Bucket);
      const about = { ContentType: 'image/jpeg', Metadata: { who: 'two  words' } };
      const Body = createReadStream(smallPath);
      await s3.send(new aws.PutObjectCommand({ Bucket, Key: key, Body, ContentLength: small.length, ...about }));
      expect((await read({ Bucket, Key: key })).equals(small)).toBe(true);
      expect((await read({ Bucket, Key: key, Range: 'bytes=-10' })).equals(small.subarray(-10))).toBe(true);
      const head = await s3.send(new aws.HeadObjectCommand({ Bucket, Key: key }));
      expect(head).toMatchObject({ ContentLength: small.length, ...about });
      await expect(read({ Bucket, Key: key, IfNoneMatch: head.ETag })).rejects.toMatchObject({
        $metadata: { httpStatusCode: 304 },
      });
      await expect(read({ Bucket, Key: 'nothing' })).rejects.toBeInstanceOf(aws.NoSuchKey);
      await expect(s3.send(new aws.DeleteBucketCommand({ Bucket }))).rejects.toMatchObject({ name: 'BucketNotEmpty' });
    });

    test('uploads 100 MiB in parts, and copies them', async () => {
      await uploadInParts('large');
      const head = await s3.send(new aws.HeadObjectCommand({ Bucket, Key: 'large', ChecksumMode: 'ENABLED' }));
      expect(head).toMatchObject({ ContentLength: large.length, ETag: expect.stringMatching(/-13"$/) });
      expect(head.ChecksumCRC32).toMatch(/-13$/);
      await s3.send(new aws.CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/large` }));
      expect(sumOf(await read({ Bucket, Key: 'large' }))).toBe(sumOf(large));
      expect(sumOf(await read({ Bucket, Key: 'copy' }))).toBe(sumOf(large));
    });

    test('lists by pages and folders', async () => {
      for (let at = 0; at < 25; at += 1) await s3.send(new aws.PutObjectCommand({ Bucket, Key: `small/${at}`, Body: `${at}` }));
      const pages: string[][] = [];
      for await (const { Contents = [] } of aws.paginateListObjectsV2({ client: s3, pageSize: 10 }, { Bucket, Prefix: 'small/' }))
        pages.push(Contents.map(({ Key = '' }) => Key));
      expect(pages.map((page) => page.length)).toEqual([10, 10, 5]);
      expect(pages.flat()).toEqual(Array.from({ length: 25 }, (_, at) => `small/${at}`).toSorted());
      const top = await s3.send(new aws.ListObjectsV2Command({ Bucket, Delimiter: '/' }));
      expect(top.CommonPrefixes?.map(({ Prefix }) => Prefix)).toEqual(['dir/', 'small/']);
      expect(top.Contents?.map(({ Key }) => Key)).toEqual(['copy', 'large']);
    });

    test('presigns for who has no key', async () => {
      const signing = new S3Requests(new URL(world.endpoint).host, world.key);
      const url = async (method: string): Promise<string> =>
        `${world.endpoint}${await signing.presigned(method, `/${Bucket}/presigned ${key}`)}`;
      await curl('--upload-file', smallPath, await url('PUT'));
      const back = join(scratch, `presigned-${scheme}`);
      await curl('--output', back, await url('GET'));
      expect(readFileSync(back).equals(small)).toBe(true);
      const altered = (await url('GET')).replace('X-Amz-Expires=3600', 'X-Amz-Expires=3601');
      await expect(curl(altered)).rejects.toThrow('403');
    });

    test('tags', async () => {
      const place = { Bucket, Key: 'large' };
      const TagSet = [
        { Key: 'kind', Value: 'photo' },
        { Key: 'of', Value: 'ä+b @ c' },
      ];
      await s3.send(new aws.PutObjectTaggingCommand({ ...place, Tagging: { TagSet } }));
      expect((await s3.send(new aws.GetObjectTaggingCommand(place))).TagSet).toEqual(TagSet);
      expect((await s3.send(new aws.GetObjectCommand({ ...place, Range: 'bytes=0-0' }))).TagCount).toBe(2);
      await s3.send(new aws.DeleteObjectTaggingCommand(place));
      expect((await s3.send(new aws.GetObjectTaggingCommand(place))).TagSet).toEqual([]);
    });

    test('keeps versions, and removes all of them at once', async () => {
      await s3.send(new aws.PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }));
      const place = { Bucket, Key: 'versioned' };
      const { VersionId: first } = await s3.send(new aws.PutObjectCommand({ ...place, Body: 'first' }));
      await s3.send(new aws.PutObjectCommand({ ...place, Body: 'second' }));
      const { VersionId: marker } = await s3.send(new aws.DeleteObjectCommand(place));
      await expect(read(place)).rejects.toBeInstanceOf(aws.NoSuchKey);
      expect(String(await read({ ...place, VersionId: first }))).toBe('first');
      await s3.send(new aws.DeleteObjectCommand({ ...place, VersionId: marker }));
      expect(String(await read(place))).toBe('second');
      await removeAll();
      await s3.send(new aws.DeleteBucketCommand({ Bucket }));
      await expect(s3.send(new aws.HeadBucketCommand({ Bucket }))).rejects.toMatchObject({ name: 'NotFound' });
    });
  });

  describe('minio-js', () => {
    const bucket = 'minio-js';
    let minio: Client;
    beforeAll(() => {
      const { hostname, port } = new URL(world.endpoint);
      minio = new Client({
        endPoint: hostname,
        port: Number(port),
        useSSL: agent !== null,
        accessKey: world.key.accessKey,
        secretKey: world.key.secretKey,
        partSize: part_bytes,
        retryOptions: { disableRetry: true },
        ...(agent === null ? {} : { transportAgent: agent }),
      });
    });

    const read = async (name: string, versionId?: string): Promise<Buffer> =>
      buffer(await minio.getObject(bucket, name, versionId === undefined ? {} : { versionId }));

    async function listed(prefix: string, recursive: boolean): Promise<string[]> {
      const names: string[] = [];
      const found = minio.listObjectsV2(bucket, prefix, recursive) as AsyncIterable<{ name?: string; prefix?: string }>;
      for await (const { name, prefix: folder } of found) names.push(name ?? folder ?? '');
      return names.toSorted();
    }

    test('makes a bucket, puts and gets streams, tells of them, and what is wrong', async () => {
      await minio.makeBucket(bucket);
      expect(await minio.bucketExists(bucket)).toBe(true);
      expect(await minio.bucketExists('no-such-bucket')).toBe(false);
      expect((await minio.listBuckets()).map(({ name }) => name)).toContain(bucket);
      await minio.putObject(bucket, key, createReadStream(smallPath), small.length, { 'X-Amz-Meta-Who': 'two words' });
      expect((await read(key)).equals(small)).toBe(true);
      const part = await buffer(await minio.getPartialObject(bucket, key, 1000, 2000));
      expect(part.equals(small.subarray(1000, 3000))).toBe(true);
      const stat = await minio.statObject(bucket, key);
      expect(stat).toMatchObject({ size: small.length, metaData: { who: 'two words' } });
      expect(stat.etag).toBe(createHash('md5').update(small).digest('hex'));
      await expect(read('nothing')).rejects.toMatchObject({ code: 'NoSuchKey' });
      await expect(minio.removeBucket(bucket)).rejects.toMatchObject({ code: 'BucketNotEmpty' });
    });

    test('uploads 100 MiB in parts, from a file and from a stream whose length nobody knows', async () => {
      await minio.fPutObject(bucket, 'large', largePath);
      expect((await minio.statObject(bucket, 'large')).etag).toMatch(/-13$/);
      await minio.fGetObject(bucket, 'large', join(scratch, `minio-${scheme}`));
      await must('cmp', [largePath, join(scratch, `minio-${scheme}`)]);
      // Without a length its parts are as large as 5 TiB would need them.
      await minio.putObject(bucket, 'stream', Readable.from([large.subarray(0, part_bytes), large.subarray(part_bytes)]));
      expect(sumOf(await read('stream'))).toBe(sumOf(large));
      expect(await listedUploads()).toEqual([]);
    });

    async function listedUploads(): Promise<string[]> {
      const names: string[] = [];
      const found = minio.listIncompleteUploads(bucket, '', true) as AsyncIterable<{ key: string }>;
      for await (const upload of found) names.push(upload.key);
      return names;
    }

    test('ends an upload that nobody completes', async () => {
      await minio.initiateNewMultipartUpload(bucket, 'abandoned', {});
      expect(await listedUploads()).toEqual(['abandoned']);
      await minio.removeIncompleteUpload(bucket, 'abandoned');
      expect(await listedUploads()).toEqual([]);
    });

    test('copies, and composes one of several', async () => {
      await minio.copyObject(
        new CopySourceOptions({ Bucket: bucket, Object: key }),
        new CopyDestinationOptions({ Bucket: bucket, Object: 'copy' }),
      );
      expect((await read('copy')).equals(small)).toBe(true);
      await minio.composeObject(
        new CopyDestinationOptions({ Bucket: bucket, Object: 'composed' }),
        // Names that need no encoding: it gives them none here.
        ['large', 'copy'].map((name) => new CopySourceOptions({ Bucket: bucket, Object: name })),
      );
      expect(sumOf(await read('composed'))).toBe(sumOf(Buffer.concat([large, small])));
    });

    test('lists all, and by folders', async () => {
      for (let at = 0; at < 5; at += 1) await minio.putObject(bucket, `small/${at}`, `${at}`);
      expect(await listed('small/', true)).toEqual(Array.from({ length: 5 }, (_, at) => `small/${at}`));
      expect(await listed('', false)).toEqual(['composed', 'copy', 'dir/', 'large', 'small/', 'stream']);
    });

    test('presigns for who has no key: to get, to put, and a form', async () => {
      await curl('--upload-file', smallPath, await minio.presignedPutObject(bucket, 'presigned', 600));
      const back = join(scratch, `minio-presigned-${scheme}`);
      await curl('--output', back, await minio.presignedGetObject(bucket, 'presigned', 600));
      expect(readFileSync(back).equals(small)).toBe(true);
      const policy = minio.newPostPolicy();
      policy.setBucket(bucket);
      policy.setKey('posted');
      policy.setExpires(new Date(Date.now() + 600_000));
      policy.setContentLengthRange(1, small.length);
      const { postURL, formData } = await minio.presignedPostPolicy(policy);
      const fields = Object.entries(formData).flatMap(([name, value]) => ['--form-string', `${name}=${value}`]);
      await curl(...fields, '--form', `file=@${smallPath}`, postURL);
      expect((await read('posted')).equals(small)).toBe(true);
      await expect(curl(...fields, '--form', `file=@${largePath}`, postURL)).rejects.toThrow('400');
    });

    test('tags, keeps versions, and removes many at once', async () => {
      await minio.setObjectTagging(bucket, 'copy', { kind: 'photo' });
      expect(await minio.getObjectTagging(bucket, 'copy')).toEqual([{ Key: 'kind', Value: 'photo' }]);
      await minio.removeObjectTagging(bucket, 'copy', { versionId: 'null' });
      expect(await minio.getObjectTagging(bucket, 'copy')).toEqual([]);
      await minio.setBucketVersioning(bucket, { Status: 'Enabled' });
      expect(await minio.getBucketVersioning(bucket)).toMatchObject({ Status: 'Enabled' });
      const { versionId } = await minio.putObject(bucket, 'versioned', 'first');
      await minio.putObject(bucket, 'versioned', 'second');
      await minio.removeObject(bucket, 'versioned');
      await expect(minio.statObject(bucket, 'versioned')).rejects.toMatchObject({ code: 'NotFound' });
      expect(String(await read('versioned', versionId ?? ''))).toBe('first');
      const all: { name: string; versionId: string }[] = [];
      const versions = minio.listObjects(bucket, '', true, { IncludeVersion: true });
      for await (const one of versions as AsyncIterable<{ name: string; versionId: string }>)
        all.push({ name: one.name, versionId: one.versionId });
      expect(all.filter(({ name }) => name === 'versioned')).toHaveLength(3);
      await minio.removeObjects(bucket, all);
      await minio.removeBucket(bucket);
      expect(await minio.bucketExists(bucket)).toBe(false);
    });
  });
});
