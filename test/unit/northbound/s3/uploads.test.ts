/** Objects that come in parts, from the first request to the last. */
import { createHash } from 'node:crypto';

import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
  type CompletedPart,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { gather, once, pattern } from '../../../harness/object_world.ts';
import { S3Endpoint } from '../../../harness/s3_endpoint.ts';
import { S3Requests, type PlainAnswer } from '../../../harness/s3_requests.ts';

const Bucket = 'uploads';
const mebibyte = 1 << 20;

let endpoint: S3Endpoint;
let client: S3Client;
let requests: S3Requests;
let account: { readonly id: number; readonly canonicalId: string };

beforeAll(async () => {
  endpoint = await S3Endpoint.start();
  const key = await endpoint.account('alice');
  account = await endpoint.identity.accounts.get('alice');
  client = endpoint.client(key);
  requests = new S3Requests(endpoint.address, key);
  await client.send(new CreateBucketCommand({ Bucket }));
});
afterAll(async () => {
  expect(endpoint.complaints).toEqual([]);
  await endpoint.stop();
});

async function begun(Key: string, more: object = {}): Promise<{ Bucket: string; Key: string; UploadId: string }> {
  const { UploadId = '' } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key, ...more }));
  return { Bucket, Key, UploadId };
}

async function bring(upload: { Bucket: string; Key: string; UploadId: string }, PartNumber: number, Body: Uint8Array) {
  const { ETag, ChecksumCRC32, ChecksumSHA256, ChecksumCRC64NVME } = await client.send(
    new UploadPartCommand({ ...upload, PartNumber, Body }),
  );
  return { PartNumber, ETag, ChecksumCRC32, ChecksumSHA256, ChecksumCRC64NVME } as CompletedPart;
}

async function bytesOf(key: string, bucket = Bucket): Promise<Buffer> {
  const opened = await endpoint.world.layer.objects.open({ bucket, key });
  if (opened.outcome !== 'opened') throw new Error('there was no condition');
  const { object } = opened;
  const bytes = await gather(object.read(0, object.version.bytes));
  object.close();
  return bytes;
}

const head = (key: string) => endpoint.world.layer.objects.head({ bucket: Bucket, key });
const code = ({ body }: PlainAnswer): string => /<Code>(.*)<\/Code>/.exec(body)?.[1] ?? '';
const md5 = (data: Uint8Array): Buffer => createHash('md5').update(data).digest();

describe('an upload in parts', () => {
  test('becomes an object with what was said when it began', async () => {
    const upload = await begun('whole', { ContentType: 'text/x', Metadata: { colour: 'green' } });
    const [first, second] = [pattern(5 * mebibyte, 1), pattern(1000, 2)];
    const parts = [await bring(upload, 1, first), await bring(upload, 7, second)];
    const done = await client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: parts } }));
    const etag = createHash('md5')
      .update(Buffer.concat([md5(first), md5(second)]))
      .digest('hex');
    expect(done).toMatchObject({
      ETag: `"${etag}-2"`,
      Bucket,
      Key: 'whole',
      Location: `http://${endpoint.address}/uploads/whole`,
    });
    expect(done.VersionId).toBeUndefined();
    expect((await bytesOf('whole')).equals(Buffer.concat([first, second]))).toBe(true);
    expect((await head('whole')).attributes).toMatchObject({ owner: account.id, headers: { 'content-type': 'text/x' } });
    // Who did not hear of it and asks again hears the same.
    const again = await client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: parts } }));
    expect(again.ETag).toBe(done.ETag);
    await expect(client.send(new ListPartsCommand(upload))).rejects.toMatchObject({ name: 'NoSuchUpload' });
  });

  test.each([
    ['SHA256', 'COMPOSITE'],
    ['CRC32', 'COMPOSITE'],
    ['CRC32', 'FULL_OBJECT'],
    ['CRC64NVME', 'FULL_OBJECT'],
  ] as const)('has a checksum of %s, %s', async (ChecksumAlgorithm, ChecksumType) => {
    const name = `Checksum${ChecksumAlgorithm}` as const;
    const key = `${ChecksumAlgorithm}-${ChecksumType}`;
    const upload = await begun(key, { ChecksumAlgorithm, ChecksumType });
    const [first, second] = [pattern(5 * mebibyte, 3), pattern(77, 4)];
    const parts: CompletedPart[] = [];
    for (const [at, Body] of [first, second].entries()) {
      const part = await client.send(new UploadPartCommand({ ...upload, PartNumber: at + 1, Body, ChecksumAlgorithm }));
      expect(part[name]).toBeDefined();
      parts.push({ PartNumber: at + 1, ETag: part.ETag, [name]: part[name] });
    }
    const listed = await client.send(new ListPartsCommand(upload));
    expect(listed.Parts?.map((part) => part[name])).toEqual(parts.map((part) => part[name]));
    expect(listed).toMatchObject({ ChecksumAlgorithm, ChecksumType });
    const order = { ...upload, MultipartUpload: { Parts: parts } };
    const [begin] = parts;
    const wrong = { ...order, MultipartUpload: { Parts: [{ ...begin, [name]: parts[1]?.[name] }, parts[1] as CompletedPart] } };
    await expect(client.send(new CompleteMultipartUploadCommand(wrong))).rejects.toMatchObject({ name: 'InvalidPart' });
    await expect(client.send(new CompleteMultipartUploadCommand({ ...order, [name]: 'bad' }))).rejects.toMatchObject({
      name: 'BadDigest',
    });
    const done = await client.send(new CompleteMultipartUploadCommand(order));
    expect(done.ChecksumType).toBe(ChecksumType);
    expect(done[name]?.endsWith('-2')).toBe(ChecksumType === 'COMPOSITE');
    if (ChecksumType === 'COMPOSITE' && ChecksumAlgorithm === 'SHA256') {
      const sums = [first, second].map((each) => createHash('sha256').update(each).digest());
      expect(done[name]).toBe(`${createHash('sha256').update(Buffer.concat(sums)).digest('base64')}-2`);
    }
    expect((await client.send(new CompleteMultipartUploadCommand({ ...order, [name]: done[name] })))[name]).toBe(done[name]);
  });

  test('refuses checksums that nobody could tell of it', async () => {
    const order = { ChecksumAlgorithm: 'SHA1', ChecksumType: 'FULL_OBJECT' };
    await expect(begun('none', order)).rejects.toMatchObject({ name: 'InvalidRequest' });
    await expect(begun('none', { ChecksumType: 'COMPOSITE' })).rejects.toMatchObject({ name: 'InvalidRequest' });
    const upload = await begun('other', { ChecksumAlgorithm: 'SHA256' });
    const part = { ...upload, PartNumber: 1, Body: 'x', ChecksumAlgorithm: 'CRC32' } as const;
    await expect(client.send(new UploadPartCommand(part))).rejects.toMatchObject({ name: 'InvalidRequest' });
  });

  test('is completed only of parts that are there, in order, and large enough', async () => {
    const upload = await begun('strict');
    const parts = [await bring(upload, 1, pattern(10, 1)), await bring(upload, 2, pattern(10, 2))];
    const complete = (listed: CompletedPart[]) =>
      client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: listed } }));
    const fails = async (listed: CompletedPart[], name: string): Promise<void> => {
      await expect(complete(listed)).rejects.toMatchObject({ name, $metadata: { httpStatusCode: 400 } });
    };
    await fails(parts, 'EntityTooSmall');
    await fails(parts.toReversed(), 'InvalidPartOrder');
    await fails([{ ...parts[0], PartNumber: 9 }], 'InvalidPart');
    await fails([{ ...parts[0], ETag: '"ffffffffffffffffffffffffffffffff"' }], 'InvalidPart');
    await fails([], 'MalformedXML');
    await expect(client.send(new CompleteMultipartUploadCommand(upload))).rejects.toMatchObject({ name: 'MalformedXML' });
    const sized = { ...upload, MultipartUpload: { Parts: parts.slice(1) }, MpuObjectSize: 11 };
    await expect(client.send(new CompleteMultipartUploadCommand(sized))).rejects.toMatchObject({ name: 'InvalidRequest' });
    await client.send(new CompleteMultipartUploadCommand({ ...sized, MpuObjectSize: 10 }));
    expect((await bytesOf('strict')).equals(Buffer.from(pattern(10, 2)))).toBe(true);
  });

  test('takes ETags with quotes and without', async () => {
    const upload = await begun('quotes');
    const { ETag = '' } = await bring(upload, 1, pattern(10, 1));
    const part = (etag: string): string =>
      `<CompleteMultipartUpload><Part><ETag>${etag}</ETag><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>`;
    const query = { uploadId: upload.UploadId };
    for (const etag of [ETag.replaceAll('"', ''), ETag, ETag.replaceAll('"', '&quot;')]) {
      const { status } = await requests.send({ method: 'POST', path: '/uploads/quotes', query, body: part(etag) });
      expect(status).toBe(200);
    }
    const bad = await requests.send({ method: 'POST', path: '/uploads/quotes', query, body: '<Complete/>' });
    expect([bad.status, code(bad)]).toEqual([400, 'MalformedXML']);
  });

  test('takes the later of two parts of one number that are listed', async () => {
    const upload = await begun('twice');
    const parts = [await bring(upload, 1, pattern(10, 1)), await bring(upload, 1, pattern(10, 2))];
    await client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: parts } }));
    expect((await bytesOf('twice')).equals(Buffer.from(pattern(10, 2)))).toBe(true);
  });

  test('is completed under conditions on what is there then', async () => {
    const complete = async (conditions: object) => {
      const upload = await begun('conditional');
      const Parts = [await bring(upload, 1, pattern(10, 1))];
      return client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts }, ...conditions }));
    };
    await expect(complete({ IfMatch: '*' })).rejects.toMatchObject({ name: 'NoSuchKey' });
    const { ETag } = await complete({ IfNoneMatch: '*' });
    await expect(complete({ IfNoneMatch: '*' })).rejects.toMatchObject({
      name: 'PreconditionFailed',
      $metadata: { httpStatusCode: 412 },
    });
    await expect(complete({ IfMatch: '"none"' })).rejects.toMatchObject({ name: 'PreconditionFailed' });
    await complete({ IfMatch: ETag });
  });

  test('tells its version where the bucket has versions', async () => {
    await client.send(new CreateBucketCommand({ Bucket: 'versioned' }));
    await endpoint.world.layer.buckets.set('versioned', { versioning: 'enabled' });
    const { UploadId = '' } = await client.send(new CreateMultipartUploadCommand({ Bucket: 'versioned', Key: 'key' }));
    const upload = { Bucket: 'versioned', Key: 'key', UploadId };
    const Parts = [await bring(upload, 1, pattern(10, 1))];
    const { VersionId } = await client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }));
    expect(VersionId).toBe((await endpoint.world.layer.objects.head({ bucket: 'versioned', key: 'key' })).versionId);
  });

  test('that is aborted leaves nothing, and is gone', async () => {
    const upload = await begun('aborted');
    await bring(upload, 1, pattern(10, 1));
    const { $metadata } = await client.send(new AbortMultipartUploadCommand(upload));
    expect($metadata.httpStatusCode).toBe(204);
    const gone = { name: 'NoSuchUpload', $metadata: { httpStatusCode: 404 } };
    await expect(client.send(new AbortMultipartUploadCommand(upload))).rejects.toMatchObject(gone);
    await expect(client.send(new AbortMultipartUploadCommand({ ...upload, UploadId: '56788' }))).rejects.toMatchObject(gone);
    await expect(bring(upload, 1, pattern(10, 1))).rejects.toMatchObject(gone);
    await expect(
      client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: [{ PartNumber: 1, ETag: 'x' }] } })),
    ).rejects.toMatchObject(gone);
  });
});

describe('a part', () => {
  test('has a number from 1 to 10,000, a length, and the sum that was announced', async () => {
    const upload = await begun('numbers');
    const send = (partNumber: string, headers: Readonly<Record<string, string>> = {}) =>
      requests.send({
        method: 'PUT',
        path: '/uploads/numbers',
        query: { partNumber, uploadId: upload.UploadId },
        headers,
        body: 'x',
      });
    for (const number of ['0', '10001', '-1', 'a', '']) {
      const answer = await send(number);
      expect([answer.status, code(answer)]).toEqual([400, 'InvalidArgument']);
    }
    const wrong = await send('1', { 'content-md5': md5(Buffer.from('y')).toString('base64') });
    expect([wrong.status, code(wrong)]).toEqual([400, 'BadDigest']);
    expect((await client.send(new ListPartsCommand(upload))).Parts).toBeUndefined();
    const right = await send('10000', { 'content-md5': md5(Buffer.from('x')).toString('base64') });
    expect([right.status, right.headers.etag]).toEqual([200, `"${md5(Buffer.from('x')).toString('hex')}"`]);
    const lost = await requests.send({ method: 'PUT', path: '/uploads/numbers', query: { partNumber: '1', uploadId: 'none' } });
    expect([lost.status, code(lost)]).toEqual([404, 'NoSuchUpload']);
  });

  test('is replaced by the next of its number, and parts are listed page by page', async () => {
    const upload = await begun('listed');
    for (const number of [3, 1, 2, 3]) await bring(upload, number, pattern(number * 10, number));
    const numbers: number[][] = [];
    for (let PartNumberMarker: string | undefined; ; ) {
      const page = await client.send(new ListPartsCommand({ ...upload, MaxParts: 2, PartNumberMarker }));
      expect(page).toMatchObject({ Bucket, Key: 'listed', MaxParts: 2, StorageClass: 'STANDARD' });
      expect(page.Owner?.ID).toBe(account.canonicalId);
      expect(page.Initiator?.ID).toBe(account.canonicalId);
      numbers.push(page.Parts?.map(({ PartNumber = 0, Size = 0 }) => PartNumber * 1000 + Size) ?? []);
      if (page.IsTruncated !== true) break;
      PartNumberMarker = page.NextPartNumberMarker;
    }
    expect(numbers).toEqual([[1010, 2020], [3030]]);
    const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: 'listed' }));
    expect(Uploads).toMatchObject([{ Key: 'listed', UploadId: upload.UploadId, StorageClass: 'STANDARD' }]);
  });
});

describe('a part that is a copy', () => {
  const source = pattern(6 * mebibyte, 9);

  beforeAll(async () => {
    const { objects } = endpoint.world.layer;
    for (const key of ['source', ' ?versionId', '100%25.txt'])
      await objects.put({ bucket: Bucket, key, content: once(source), bytes: source.length, attributes: { owner: account.id } });
  });

  const copy = (upload: object, more: object) =>
    client.send(
      new UploadPartCopyCommand({
        ...(upload as { Bucket: string; Key: string; UploadId: string }),
        PartNumber: 1,
        CopySource: '',
        ...more,
      }),
    );

  test('is of the whole source, or of a range', async () => {
    const upload = await begun('copied');
    const whole = await copy(upload, { CopySource: 'uploads/source' });
    expect(whole.CopyPartResult?.ETag).toBe(`"${md5(source).toString('hex')}"`);
    const range = await copy(upload, { PartNumber: 2, CopySource: '/uploads/source', CopySourceRange: 'bytes=10-19' });
    const Parts = [
      { PartNumber: 1, ETag: whole.CopyPartResult?.ETag },
      { PartNumber: 2, ETag: range.CopyPartResult?.ETag },
    ];
    await client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }));
    expect((await bytesOf('copied')).equals(Buffer.concat([source, source.subarray(10, 20)]))).toBe(true);
  });

  test('has a source whose name is encoded once', async () => {
    const upload = await begun('names');
    for (const CopySource of ['uploads/%20%3FversionId', '/uploads/100%2525.txt', 'uploads/source?versionId=null'])
      expect((await copy(upload, { CopySource })).CopyPartResult?.ETag).toBeDefined();
    await expect(copy(upload, { CopySource: 'uploads/100%25.txt' })).rejects.toMatchObject({ name: 'NoSuchKey' });
    await expect(copy(upload, { CopySource: 'uploads' })).rejects.toMatchObject({ name: 'InvalidArgument' });
  });

  test.each(['0-2', 'bytes=0', 'bytes=hello-world', 'bytes=0-bar', 'bytes=hello-', 'bytes=0-2,3-5', 'bytes=5-4', 'bytes=-5'])(
    'has no range %s',
    async (CopySourceRange) => {
      const upload = await begun('ranges');
      await expect(copy(upload, { CopySource: 'uploads/source', CopySourceRange })).rejects.toMatchObject({
        name: 'InvalidArgument',
        $metadata: { httpStatusCode: 400 },
      });
    },
  );

  test('has no range beyond its source', async () => {
    const upload = await begun('beyond');
    const CopySourceRange = `bytes=0-${source.length}`;
    await expect(copy(upload, { CopySource: 'uploads/source', CopySourceRange })).rejects.toMatchObject({ name: 'InvalidRange' });
  });

  test('is made under conditions on its source', async () => {
    const upload = await begun('if');
    const CopySource = 'uploads/source';
    const etag = md5(source).toString('hex');
    await copy(upload, { CopySource, CopySourceIfMatch: etag });
    for (const condition of [{ CopySourceIfMatch: '"other"' }, { CopySourceIfNoneMatch: etag }])
      await expect(copy(upload, { CopySource, ...condition })).rejects.toMatchObject({
        name: 'PreconditionFailed',
        $metadata: { httpStatusCode: 412 },
      });
  });

  test('is of what its maker may read, and nobody else learns what is there', async () => {
    const bob = endpoint.client(await endpoint.account('bob'));
    await bob.send(new CreateBucketCommand({ Bucket: 'of-bob' }));
    const { UploadId } = await bob.send(new CreateMultipartUploadCommand({ Bucket: 'of-bob', Key: 'key' }));
    for (const key of ['source', 'not-there'])
      await expect(
        bob.send(
          new UploadPartCopyCommand({ Bucket: 'of-bob', Key: 'key', UploadId, PartNumber: 1, CopySource: `uploads/${key}` }),
        ),
      ).rejects.toMatchObject({ name: 'AccessDenied' });
  });
});

describe('uploads in a bucket of another account', () => {
  test('are looked at and aborted by who began them, by the bucket’s owner, and by nobody else', async () => {
    await client.send(new CreateBucketCommand({ Bucket: 'shared', ACL: 'public-read-write' }));
    const carol = endpoint.client(await endpoint.account('carol'));
    const dave = endpoint.client(await endpoint.account('dave'));
    const began = async (): Promise<{ Bucket: string; Key: string; UploadId: string }> => {
      const { UploadId = '' } = await carol.send(new CreateMultipartUploadCommand({ Bucket: 'shared', Key: 'key' }));
      return { Bucket: 'shared', Key: 'key', UploadId };
    };
    const upload = await began();
    await carol.send(new ListPartsCommand(upload));
    await client.send(new ListPartsCommand(upload));
    await expect(dave.send(new ListPartsCommand(upload))).rejects.toMatchObject({ name: 'AccessDenied' });
    await expect(dave.send(new AbortMultipartUploadCommand(upload))).rejects.toMatchObject({ name: 'AccessDenied' });
    await expect(dave.send(new ListPartsCommand({ ...upload, UploadId: '1'.repeat(16) }))).rejects.toMatchObject({
      name: 'AccessDenied',
    });
    await carol.send(new AbortMultipartUploadCommand(upload));
    await client.send(new AbortMultipartUploadCommand(await began()));
  });
});
