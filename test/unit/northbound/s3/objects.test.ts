import { createHash } from 'node:crypto';

import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type ChecksumAlgorithm,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { pattern } from '../../../harness/object_world.ts';
import { S3Endpoint } from '../../../harness/s3_endpoint.ts';
import { S3Requests } from '../../../harness/s3_requests.ts';

let endpoint: S3Endpoint;
let alice: S3Client;
let bob: S3Client;
let requests: S3Requests;
const Bucket = 'objects';
const Versioned = 'versioned';

beforeAll(async () => {
  endpoint = await S3Endpoint.start();
  const key = await endpoint.account('alice');
  requests = new S3Requests(endpoint.address, key);
  alice = endpoint.client(key);
  bob = endpoint.client(await endpoint.account('bob'));
  await alice.send(new CreateBucketCommand({ Bucket }));
  await alice.send(new CreateBucketCommand({ Bucket: Versioned }));
  await endpoint.world.layer.buckets.set(Versioned, { versioning: 'enabled' });
});
afterAll(async () => {
  expect(endpoint.complaints).toEqual([]);
  await endpoint.stop();
});

async function read(Key: string, more: object = {}, client = alice): Promise<Buffer> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket, Key, ...more }));
  return Buffer.from(await Body!.transformToByteArray());
}

/** What the client throws, as the code and the status that came over the wire. */
async function failure(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    const { name, $metadata } = error as { name: string; $metadata?: { httpStatusCode?: number } };
    return `${$metadata?.httpStatusCode} ${name}`;
  }
  return 'no failure';
}

describe('objects that are put', () => {
  test('come back byte by byte, with what was said of them', async () => {
    const body = pattern(300_000, 1);
    const put = await alice.send(
      new PutObjectCommand({
        Bucket,
        Key: 'described',
        Body: body,
        ContentType: 'text/x-pattern',
        CacheControl: 'no-cache',
        ContentEncoding: 'aws-pattern',
        ContentDisposition: 'attachment',
        Metadata: { colour: 'blue', word: '=?UTF-8?Q?gr=C3=BCn?=' },
        Tagging: 'one=1&two=2',
        StorageClass: 'STANDARD_IA',
      }),
    );
    expect(put.ETag).toBe(`"${createHash('md5').update(body).digest('hex')}"`);
    expect(put.VersionId).toBeUndefined();
    const got = await alice.send(new GetObjectCommand({ Bucket, Key: 'described' }));
    expect(Buffer.from(await got.Body!.transformToByteArray()).equals(body)).toBe(true);
    expect(got).toMatchObject({
      ContentType: 'text/x-pattern',
      CacheControl: 'no-cache',
      ContentEncoding: 'aws-pattern',
      ContentDisposition: 'attachment',
      Metadata: { colour: 'blue', word: '=?UTF-8?Q?gr=C3=BCn?=' },
      TagCount: 2,
      StorageClass: 'STANDARD_IA',
      ContentLength: 300_000,
      AcceptRanges: 'bytes',
      ETag: put.ETag,
    });
    const head = await alice.send(new HeadObjectCommand({ Bucket, Key: 'described' }));
    expect(head).toMatchObject({ ContentLength: 300_000, ETag: put.ETag, ContentType: 'text/x-pattern' });
  });

  test.each(['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] satisfies ChecksumAlgorithm[])(
    'have the %s that came behind them, told to who asks for it',
    async (ChecksumAlgorithm) => {
      const Key = `sum-${ChecksumAlgorithm}`;
      const field = `Checksum${ChecksumAlgorithm}` as const;
      const put = await alice.send(new PutObjectCommand({ Bucket, Key, Body: 'summed', ChecksumAlgorithm }));
      const head = await alice.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
      expect(put[field]).toBeDefined();
      expect(head[field]).toBe(put[field]);
      expect(head.ChecksumType).toBe('FULL_OBJECT');
      expect((await alice.send(new HeadObjectCommand({ Bucket, Key })))[field]).toBeUndefined();
      const bad = new PutObjectCommand({ Bucket, Key, Body: 'other', ChecksumAlgorithm, [field]: put[field] });
      expect(await failure(alice.send(bad))).toBe('400 BadDigest');
      expect((await read(Key)).toString()).toBe('summed');
    },
  );

  test('are not stored where their MD5 is another one', async () => {
    const ContentMD5 = createHash('md5').update('this').digest('base64');
    expect(await failure(alice.send(new PutObjectCommand({ Bucket, Key: 'md5', Body: 'that', ContentMD5 })))).toBe(
      '400 BadDigest',
    );
    const put = new PutObjectCommand({ Bucket, Key: 'md5', Body: 'that', ContentMD5: 'short' });
    expect(await failure(alice.send(put))).toBe('400 InvalidDigest');
    expect(await failure(alice.send(new GetObjectCommand({ Bucket, Key: 'md5' })))).toBe('404 NoSuchKey');
  });

  test('replace nothing where a condition forbids it', async () => {
    const Key = 'guarded';
    const { ETag } = await alice.send(new PutObjectCommand({ Bucket, Key, Body: 'first', IfNoneMatch: '*' }));
    const again = new PutObjectCommand({ Bucket, Key, Body: 'second', IfNoneMatch: '*' });
    expect(await failure(alice.send(again))).toBe('412 PreconditionFailed');
    const wrong = new PutObjectCommand({ Bucket, Key, Body: 'third', IfMatch: '"0123"' });
    expect(await failure(alice.send(wrong))).toBe('412 PreconditionFailed');
    const absent = new PutObjectCommand({ Bucket, Key: 'not there', Body: 'x', IfMatch: ETag });
    expect(await failure(alice.send(absent))).toBe('404 NoSuchKey');
    await alice.send(new PutObjectCommand({ Bucket, Key, Body: 'fourth', IfMatch: ETag }));
    expect((await read(Key)).toString()).toBe('fourth');
  });

  test.each([
    ['more metadata than there may be', { Metadata: { big: 'x'.repeat(2046) } }, '400 MetadataTooLarge'],
    ['a class that is none', { StorageClass: 'ARCTIC' as never }, '400 InvalidStorageClass'],
    ['a class that is read only after a while', { StorageClass: 'GLACIER' as const }, '400 InvalidStorageClass'],
    ['two tags of one name', { Tagging: 'a=1&a=2' }, '400 InvalidTag'],
    ['eleven tags', { Tagging: Array.from({ length: 11 }, (_, tag) => `${tag}=1`).join('&') }, '400 InvalidTag'],
    ['a lock in a bucket without', { ObjectLockLegalHoldStatus: 'ON' as const }, '400 InvalidRequest'],
  ])('are refused with %s', async (_, more, expected) => {
    expect(await failure(alice.send(new PutObjectCommand({ Bucket, Key: 'refused', Body: '', ...more })))).toBe(expected);
    expect(await failure(alice.send(new GetObjectCommand({ Bucket, Key: 'refused' })))).toBe('404 NoSuchKey');
  });

  test('are nobody else’s', async () => {
    await alice.send(new PutObjectCommand({ Bucket, Key: 'own', Body: 'own' }));
    for (const command of [
      new GetObjectCommand({ Bucket, Key: 'own' }),
      new GetObjectCommand({ Bucket, Key: 'not there' }),
      new PutObjectCommand({ Bucket, Key: 'own', Body: 'bob' }),
      new DeleteObjectCommand({ Bucket, Key: 'own' }),
      new GetObjectAttributesCommand({ Bucket, Key: 'own', ObjectAttributes: ['ETag'] }),
    ])
      expect(await failure(bob.send(command as never))).toBe('403 AccessDenied');
    expect((await read('own')).toString()).toBe('own');
  });
});

describe('reading', () => {
  const body = Buffer.from(pattern(200_000, 2));
  let ETag: string | undefined;
  beforeAll(async () => {
    ({ ETag } = await alice.send(new PutObjectCommand({ Bucket, Key: 'ranges', Body: body })));
    await alice.send(new PutObjectCommand({ Bucket, Key: 'empty', Body: '' }));
  });

  test.each([
    ['bytes=0-0', 0, 1],
    ['bytes=70000-139999', 70_000, 140_000],
    ['bytes=199999-', 199_999, 200_000],
    ['bytes=150000-900000', 150_000, 200_000],
    ['bytes=-10', 199_990, 200_000],
    ['bytes=-900000', 0, 200_000],
  ])('of %s gives those bytes', async (Range, from, to) => {
    const got = await alice.send(new GetObjectCommand({ Bucket, Key: 'ranges', Range }));
    expect(got.$metadata.httpStatusCode).toBe(206);
    expect(got.ContentRange).toBe(`bytes ${from}-${to - 1}/200000`);
    expect(Buffer.from(await got.Body!.transformToByteArray()).equals(body.subarray(from, to))).toBe(true);
  });

  test.each(['bytes=5-4', 'bytes=-', 'bytes=a-b', 'lines=1-2', 'bytes=0-1,3-4'])('of %s gives all', async (Range) => {
    const got = await alice.send(new GetObjectCommand({ Bucket, Key: 'ranges', Range }));
    expect(got.$metadata.httpStatusCode).toBe(200);
    expect(got.ContentLength).toBe(200_000);
    await got.Body!.transformToByteArray();
  });

  test('of what is not there is refused with how long the object is', async () => {
    for (const [Key, Range] of [
      ['ranges', 'bytes=200000-'],
      ['empty', 'bytes=0-'],
      ['empty', 'bytes=-5'],
      ['ranges', 'bytes=-0'],
    ] as const)
      expect(await failure(alice.send(new GetObjectCommand({ Bucket, Key, Range })))).toBe('416 InvalidRange');
  });

  test('keeps to conditions', async () => {
    const past = new Date(Date.now() - 86_400_000);
    const future = new Date(Date.now() + 86_400_000);
    const get = (more: object): Promise<string> => failure(alice.send(new HeadObjectCommand({ Bucket, Key: 'ranges', ...more })));
    expect(await get({ IfMatch: ETag })).toBe('no failure');
    expect(await get({ IfMatch: '"other"' })).toMatch(/^412 /);
    expect(await get({ IfNoneMatch: ETag })).toMatch(/^304 /);
    expect(await get({ IfNoneMatch: '"other"' })).toBe('no failure');
    expect(await get({ IfModifiedSince: past })).toBe('no failure');
    expect(await get({ IfModifiedSince: future })).toMatch(/^304 /);
    expect(await get({ IfUnmodifiedSince: past })).toMatch(/^412 /);
    expect(await get({ IfUnmodifiedSince: future })).toBe('no failure');
  });

  test('answers with headers that a signer asked for', async () => {
    const got = await alice.send(
      new GetObjectCommand({ Bucket, Key: 'empty', ResponseContentType: 'text/ä', ResponseCacheControl: 'private' }),
    );
    expect(got.CacheControl).toBe('private');
    expect(Buffer.from(got.ContentType ?? '', 'latin1').toString()).toBe('text/ä');
    const injected = new GetObjectCommand({ Bucket, Key: 'empty', ResponseContentType: 'a\r\nset-cookie: b' });
    expect(await failure(alice.send(injected))).toBe('400 InvalidArgument');
  });

  test('takes what was put at once for its own first part', async () => {
    expect((await read('ranges', { PartNumber: 1 })).equals(body)).toBe(true);
    expect(await failure(alice.send(new GetObjectCommand({ Bucket, Key: 'ranges', PartNumber: 2 })))).toBe('400 InvalidPart');
  });

  test('finds parts by their number', async () => {
    const { uploads } = endpoint.world.layer;
    const name = { bucket: Bucket, key: 'parts' };
    const owner = (await endpoint.identity.accounts.get('alice')).id;
    const checksum = { algorithm: 'CRC32', type: 'composite' } as const;
    const uploadId = await uploads.create({ ...name, attributes: { owner }, checksum });
    const sizes = [5 << 20, 5 << 20, 1234];
    const parts = [];
    for (const [index, bytes] of sizes.entries()) {
      const content = (async function* () {
        yield pattern(bytes, index);
      })();
      parts.push(await uploads.putPart({ ...name, uploadId, number: index + 1, bytes, content }));
    }
    await uploads.complete({ ...name, uploadId, parts });
    const got = await alice.send(new GetObjectCommand({ Bucket, Key: 'parts', PartNumber: 3, ChecksumMode: 'ENABLED' }));
    expect(got).toMatchObject({
      PartsCount: 3,
      ContentLength: 1234,
      ContentRange: `bytes ${10 << 20}-${(10 << 20) + 1233}/${(10 << 20) + 1234}`,
    });
    expect(got.ChecksumCRC32).toBe(parts[2]?.checksum);
    expect(Buffer.from(await got.Body!.transformToByteArray()).equals(pattern(1234, 2))).toBe(true);
    const attributes = await alice.send(
      new GetObjectAttributesCommand({
        Bucket,
        Key: 'parts',
        ObjectAttributes: ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize'],
        MaxParts: 1,
        PartNumberMarker: '1',
      }),
    );
    expect(attributes).toMatchObject({
      ObjectSize: (10 << 20) + 1234,
      StorageClass: 'STANDARD',
      ETag: expect.stringMatching(/^[0-9a-f]{32}-3$/),
      Checksum: { ChecksumType: 'COMPOSITE', ChecksumCRC32: expect.stringMatching(/-3$/) },
      ObjectParts: {
        TotalPartsCount: 3,
        PartNumberMarker: '1',
        NextPartNumberMarker: '2',
        MaxParts: 1,
        IsTruncated: true,
        Parts: [{ PartNumber: 2, Size: 5 << 20, ChecksumCRC32: parts[1]?.checksum }],
      },
    });
  });
});

describe('removing', () => {
  test('what is not there succeeds, and leaves no marker where there are no versions', async () => {
    const removed = await alice.send(new DeleteObjectCommand({ Bucket, Key: 'never was' }));
    expect(removed).toMatchObject({ $metadata: { httpStatusCode: 204 } });
    expect(removed.DeleteMarker).toBeUndefined();
  });

  test('leaves a marker in a versioned bucket, which says so to readers', async () => {
    const Key = 'marked';
    const { VersionId } = await alice.send(new PutObjectCommand({ Bucket: Versioned, Key, Body: 'kept' }));
    const removed = await alice.send(new DeleteObjectCommand({ Bucket: Versioned, Key }));
    expect(removed.DeleteMarker).toBe(true);
    const get = (more: object): Promise<unknown> =>
      alice.send(new GetObjectCommand({ Bucket: Versioned, Key, ...more })).catch((error: unknown) => error);
    expect(await get({})).toMatchObject({ name: 'NoSuchKey', $response: { headers: { 'x-amz-delete-marker': 'true' } } });
    expect(await get({ VersionId: removed.VersionId })).toMatchObject({
      name: 'MethodNotAllowed',
      $response: { headers: { 'x-amz-delete-marker': 'true', allow: 'DELETE' } },
    });
    expect(await get({ VersionId })).toMatchObject({ VersionId });
    expect(await get({ VersionId: 'v00000000000000ff' })).toMatchObject({ name: 'NoSuchVersion' });
    const unmarked = await alice.send(new DeleteObjectCommand({ Bucket: Versioned, Key, VersionId: removed.VersionId }));
    expect(unmarked).toMatchObject({ DeleteMarker: true, VersionId: removed.VersionId });
    expect(await get({})).toMatchObject({ VersionId });
  });

  test('many at once tells of each what became of it', async () => {
    for (const Key of ['a', 'b<&>']) await alice.send(new PutObjectCommand({ Bucket, Key, Body: Key }));
    const Objects = [{ Key: 'a' }, { Key: 'b<&>' }, { Key: 'absent' }, { Key: 'own', ETag: '"other"' }];
    const { Deleted, Errors } = await alice.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
    expect(Deleted?.map(({ Key }) => Key)).toEqual(['a', 'b<&>', 'absent']);
    expect(Errors).toMatchObject([{ Key: 'own', Code: 'PreconditionFailed' }]);
    expect((await read('own')).toString()).toBe('own');
    const quiet = await alice.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'a' }], Quiet: true } }));
    expect(quiet.Deleted).toBeUndefined();
    const denied = await bob.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'own' }] } }));
    expect(denied.Errors).toMatchObject([{ Key: 'own', Code: 'AccessDenied' }]);
    const tooMany = Array.from({ length: 1001 }, (_, index) => ({ Key: String(index) }));
    expect(await failure(alice.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: tooMany } })))).toBe(
      '400 MalformedXML',
    );
  });

  test('a version that is kept needs leave to override, and one under legal hold stays', async () => {
    const locked = 'locked';
    await alice.send(new CreateBucketCommand({ Bucket: locked }));
    await endpoint.world.layer.buckets.set(locked, { versioning: 'enabled', objectLock: true });
    const until = new Date(Date.now() + 86_400_000);
    const { VersionId } = await alice.send(
      new PutObjectCommand({
        Bucket: locked,
        Key: 'kept',
        Body: 'kept',
        ObjectLockMode: 'GOVERNANCE',
        ObjectLockRetainUntilDate: until,
      }),
    );
    const head = await alice.send(new HeadObjectCommand({ Bucket: locked, Key: 'kept' }));
    expect(head.ObjectLockMode).toBe('GOVERNANCE');
    expect(head.ObjectLockRetainUntilDate?.getTime()).toBe(until.getTime());
    const name = { Bucket: locked, Key: 'kept', VersionId };
    expect(await failure(alice.send(new DeleteObjectCommand(name)))).toBe('403 AccessDenied');
    await alice.send(new DeleteObjectCommand({ ...name, BypassGovernanceRetention: true }));
    const held = await alice.send(
      new PutObjectCommand({ Bucket: locked, Key: 'kept', Body: 'held', ObjectLockLegalHoldStatus: 'ON' }),
    );
    const bypass = { ...name, VersionId: held.VersionId, BypassGovernanceRetention: true };
    expect(await failure(alice.send(new DeleteObjectCommand(bypass)))).toBe('403 AccessDenied');
    const past = { ObjectLockMode: 'COMPLIANCE', ObjectLockRetainUntilDate: new Date(0) } as const;
    expect(await failure(alice.send(new PutObjectCommand({ Bucket: locked, Key: 'x', Body: '', ...past })))).toBe(
      '400 InvalidArgument',
    );
  });
});

describe('copying', () => {
  beforeAll(async () => {
    await alice.send(
      new PutObjectCommand({
        Bucket,
        Key: 'sou rce+ü',
        Body: 'copied',
        Metadata: { of: 'source' },
        Tagging: 'of=source',
        ContentType: 'a/b',
      }),
    );
  });
  const CopySource = `${Bucket}/${encodeURIComponent('sou rce+ü')}`;

  test('shares a disk of 20 GiB, and reads and stores nothing of it', async () => {
    const { buckets, published } = endpoint.world.layer;
    const { id: account } = await endpoint.identity.accounts.get('alice');
    await buckets.create({ name: 'disks', account, pool: 'default', readOnly: true });
    const bytes = 20 * 2 ** 30;
    const attributes = { owner: account };
    await published.put({ bucket: 'disks', key: 'monday', shelf: 77, bytes, etag: 'none-1', modifiedAt: 1, attributes });
    const { reads, writes } = endpoint.world.shelves;
    const disk = { Bucket, Key: 'disk', CopySource: 'disks/monday' };
    await alice.send(new CopyObjectCommand(disk));
    expect((await alice.send(new HeadObjectCommand(disk))).ContentLength).toBe(bytes);
    const again = { ...disk, Key: 'again' };
    expect(await failure(alice.send(new CopyObjectCommand({ ...again, ServerSideEncryption: 'AES256' })))).toBe(
      '400 InvalidRequest',
    );
    expect(await failure(alice.send(new CopyObjectCommand({ ...again, ChecksumAlgorithm: 'CRC32' })))).toBe('400 InvalidRequest');
    expect(await failure(alice.send(new HeadObjectCommand(again)))).toMatch(/^404/);
    expect([endpoint.world.shelves.reads, endpoint.world.shelves.writes]).toEqual([reads, writes]);
  });

  test('takes over what is said of the source, or replaces it', async () => {
    const copied = await alice.send(new CopyObjectCommand({ Bucket, Key: 'copy', CopySource }));
    expect(copied.CopyObjectResult?.ETag).toBe(`"${createHash('md5').update('copied').digest('hex')}"`);
    expect(await alice.send(new HeadObjectCommand({ Bucket, Key: 'copy' }))).toMatchObject({
      Metadata: { of: 'source' },
      ContentType: 'a/b',
      TagCount: 1,
    });
    await alice.send(
      new CopyObjectCommand({
        Bucket,
        Key: 'copy',
        CopySource: `/${CopySource}`,
        MetadataDirective: 'REPLACE',
        Metadata: { of: 'copy' },
        TaggingDirective: 'REPLACE',
      }),
    );
    const replaced = await alice.send(new HeadObjectCommand({ Bucket, Key: 'copy' }));
    expect(replaced).toMatchObject({ Metadata: { of: 'copy' }, ContentType: 'binary/octet-stream' });
    expect(replaced.TagCount).toBeUndefined();
    expect((await read('copy')).toString()).toBe('copied');
  });

  test('onto itself must change something', async () => {
    await alice.send(new PutObjectCommand({ Bucket, Key: 'self', Body: 'self' }));
    const copy = { Bucket, Key: 'self', CopySource: `${Bucket}/self` };
    expect(await failure(alice.send(new CopyObjectCommand(copy)))).toBe('400 InvalidRequest');
    await alice.send(new CopyObjectCommand({ ...copy, MetadataDirective: 'REPLACE', Metadata: { now: 'there' } }));
    expect(await alice.send(new HeadObjectCommand({ Bucket, Key: 'self' }))).toMatchObject({ Metadata: { now: 'there' } });
    expect((await read('self')).toString()).toBe('self');
  });

  test('gives the sum that is asked for', async () => {
    const copied = await alice.send(new CopyObjectCommand({ Bucket, Key: 'summed', CopySource, ChecksumAlgorithm: 'SHA256' }));
    const sum = createHash('sha256').update('copied').digest('base64');
    expect(copied.CopyObjectResult).toMatchObject({ ChecksumSHA256: sum });
    expect(await alice.send(new HeadObjectCommand({ Bucket, Key: 'summed', ChecksumMode: 'ENABLED' }))).toMatchObject({
      ChecksumSHA256: sum,
    });
  });

  test('of a version takes that one', async () => {
    const Key = 'versions';
    const first = await alice.send(new PutObjectCommand({ Bucket: Versioned, Key, Body: 'first' }));
    await alice.send(new PutObjectCommand({ Bucket: Versioned, Key, Body: 'second' }));
    const from = `${Versioned}/${Key}?versionId=${first.VersionId}`;
    const copied = await alice.send(new CopyObjectCommand({ Bucket: Versioned, Key, CopySource: from }));
    expect(copied.CopySourceVersionId).toBe(first.VersionId);
    expect((await read(Key, { Bucket: Versioned })).toString()).toBe('first');
  });

  test('keeps to conditions on its source, and is refused who may not read that', async () => {
    const copy = { Bucket, Key: 'conditional', CopySource };
    for (const condition of [
      { CopySourceIfMatch: '"other"' },
      { CopySourceIfNoneMatch: '*' },
      { CopySourceIfUnmodifiedSince: new Date(0) },
      { CopySourceIfModifiedSince: new Date(Date.now() + 86_400_000) },
    ])
      expect(await failure(alice.send(new CopyObjectCommand({ ...copy, ...condition })))).toBe('412 PreconditionFailed');
    await bob.send(new CreateBucketCommand({ Bucket: 'bobs' }));
    for (const condition of [{}, { CopySourceIfMatch: '"other"' }])
      expect(await failure(bob.send(new CopyObjectCommand({ ...copy, ...condition, Bucket: 'bobs' })))).toBe('403 AccessDenied');
    expect(await failure(alice.send(new CopyObjectCommand({ ...copy, CopySource: `${Bucket}/absent` })))).toBe('404 NoSuchKey');
    expect(await failure(alice.send(new CopyObjectCommand({ ...copy, CopySource: 'absent-bucket/x' })))).toBe('404 NoSuchBucket');
    expect(await failure(alice.send(new CopyObjectCommand({ ...copy, CopySource: 'nothing' })))).toBe('400 InvalidArgument');
    expect(await failure(alice.send(new HeadObjectCommand({ Bucket, Key: 'conditional' })))).toMatch(/^404 /);
  });
});

describe('headers that a presigner puts into the query', () => {
  const put = async (Key: string, headers: Record<string, string>, more: RequestInit = {}): Promise<number> => {
    const target = await requests.presigned('PUT', `/${Bucket}/${Key}`, headers);
    return (await fetch(`http://${endpoint.address}${target}`, { method: 'PUT', body: 'content', ...more })).status;
  };

  test('mean what they mean as headers', async () => {
    const said = { 'x-amz-meta-colour': 'blue', 'x-amz-tagging': 'one=1&two=2', 'x-amz-acl': 'public-read' };
    expect(await put('hoisted', said)).toBe(200);
    const ask = { Bucket, Key: 'hoisted' };
    const { Metadata, TagCount } = await alice.send(new GetObjectCommand(ask));
    expect([Metadata, TagCount]).toEqual([{ colour: 'blue' }, 2]);
    expect((await read('hoisted', {}, bob)).toString()).toBe('content');
    const target = await requests.presigned('PUT', `/${Bucket}/hoisted-copy`, { 'x-amz-copy-source': `/${Bucket}/hoisted` });
    expect((await fetch(`http://${endpoint.address}${target}`, { method: 'PUT' })).status).toBe(200);
    expect((await read('hoisted-copy')).toString()).toBe('content');
  });

  test('are refused where they would be, and cannot be changed', async () => {
    expect(await put('refused', { 'x-amz-acl': 'nobody-at-all' })).toBe(400);
    const target = await requests.presigned('PUT', `/${Bucket}/refused`, { 'x-amz-acl': 'private' });
    const changed = target.replace('private', 'public-read');
    expect(changed).not.toBe(target);
    expect((await fetch(`http://${endpoint.address}${changed}`, { method: 'PUT', body: 'x' })).status).toBe(403);
    // One that comes besides is signed by nobody.
    expect(await put('refused', {}, { headers: { 'x-amz-acl': 'public-read' } })).toBe(403);
  });

  test('but for sums of a body that was not there yet', async () => {
    const ofNothing = { 'x-amz-sdk-checksum-algorithm': 'CRC32', 'x-amz-checksum-crc32': 'AAAAAA==' };
    expect(await put('summed', ofNothing)).toBe(200);
    expect((await read('summed')).toString()).toBe('content');
  });
});
