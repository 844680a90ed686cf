/** As many parts as an upload may have, at a real daemon: each is a range of an object that is there, so nothing is stored anew. */
import { randomBytes } from 'node:crypto';

import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCopyCommand,
  type CompletedPart,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, expect, test } from 'vitest';

import type { PoolView } from '../../src/api/shapes.js';
import { inParallel } from '../../src/core/in_parallel.js';
import { sdkClient, serving, type Serving } from '../harness/s3_serving.ts';

const parts_max = 10_000;
const part_bytes = 5 << 20;
const Bucket = 'large';

let world: Serving;
let client: S3Client;
/** Of it part N is the part_bytes from N modulo 4 blocks on. */
const source = randomBytes(part_bytes + (4 << 16));
const firstOf = (part: number): number => (part % 4) << 16;

beforeEach(async () => {
  world = await serving();
  client = sdkClient(world);
  await client.send(new CreateBucketCommand({ Bucket }));
  await client.send(new PutObjectCommand({ Bucket, Key: 'source', Body: source }));
});
afterEach(async () => {
  client.destroy();
  await world.daemon.destroy();
});

async function begin(Key: string): Promise<string> {
  const { UploadId = '' } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  return UploadId;
}

async function copyParts(Key: string, UploadId: string, count: number): Promise<CompletedPart[]> {
  const parts: CompletedPart[] = [];
  await inParallel(
    Array.from({ length: count }, (_, index) => index + 1),
    16,
    async (PartNumber) => {
      const first = firstOf(PartNumber);
      const CopySourceRange = `bytes=${first}-${first + part_bytes - 1}`;
      const { CopyPartResult } = await client.send(
        new UploadPartCopyCommand({ Bucket, Key, UploadId, PartNumber, CopySource: `${Bucket}/source`, CopySourceRange }),
      );
      parts[PartNumber - 1] = { PartNumber, ETag: CopyPartResult?.ETag };
    },
  );
  return parts;
}

async function listed(Key: string, UploadId: string): Promise<number[]> {
  const numbers: number[] = [];
  for (let PartNumberMarker: string | undefined; ; ) {
    const page = await client.send(new ListPartsCommand({ Bucket, Key, UploadId, PartNumberMarker }));
    numbers.push(...(page.Parts ?? []).map(({ PartNumber = 0 }) => PartNumber));
    if (page.IsTruncated !== true) return numbers;
    PartNumberMarker = page.NextPartNumberMarker;
  }
}

test('ten thousand parts are listed in pages and become one object, each part of which can be had; nothing is stored for them', async () => {
  const UploadId = await begin('whole');
  const Parts = await copyParts('whole', UploadId, parts_max);
  expect(await listed('whole', UploadId)).toEqual(Array.from({ length: parts_max }, (_, index) => index + 1));
  await expect(
    client.send(
      new UploadPartCopyCommand({ Bucket, Key: 'whole', UploadId, PartNumber: parts_max + 1, CopySource: `${Bucket}/source` }),
    ),
  ).rejects.toMatchObject({ name: 'InvalidArgument' });
  await client.send(new CompleteMultipartUploadCommand({ Bucket, Key: 'whole', UploadId, MultipartUpload: { Parts } }));

  const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'whole', PartNumber: parts_max }));
  expect([head.PartsCount, head.ContentLength]).toEqual([parts_max, part_bytes]);
  for (const part of [1, 2, 5003, parts_max]) {
    const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: 'whole', PartNumber: part }));
    const wanted = source.subarray(firstOf(part), firstOf(part) + part_bytes);
    expect(Buffer.from((await Body?.transformToByteArray()) ?? []).equals(wanted)).toBe(true);
  }
  const { ContentLength } = await client.send(new HeadObjectCommand({ Bucket, Key: 'whole' }));
  expect(ContentLength).toBe(parts_max * part_bytes);
  const { storedBytes } = await world.daemon.json<PoolView>('pool', 'show', 'default');
  expect(storedBytes).toBeLessThan(64 << 20);
});

test('an upload of a thousand parts that is aborted leaves none', async () => {
  const UploadId = await begin('given up');
  await copyParts('given up', UploadId, 1000);
  await client.send(new AbortMultipartUploadCommand({ Bucket, Key: 'given up', UploadId }));
  await expect(listed('given up', UploadId)).rejects.toMatchObject({ name: 'NoSuchUpload' });
  await expect(client.send(new HeadObjectCommand({ Bucket, Key: 'given up' }))).rejects.toMatchObject({ name: 'NotFound' });
});
