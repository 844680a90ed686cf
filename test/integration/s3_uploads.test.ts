/** Uploads in parts over a real daemon: what is not completed takes room, and gives it back. */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  UploadPartCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { QuotaView, UsageView } from '../../src/api/shapes.js';
import { pattern } from '../harness/object_world.ts';
import { sdkClient, serving, type Serving } from '../harness/s3_serving.ts';

const MiB = 1 << 20;
const Bucket = 'backups';

let world: Serving;
let client: S3Client;
beforeEach(async () => {
  world = await serving();
  client = sdkClient(world);
  await client.send(new CreateBucketCommand({ Bucket }));
});
afterEach(() => world.daemon.destroy());

const begin = async (Key: string): Promise<string> =>
  (await client.send(new CreateMultipartUploadCommand({ Bucket, Key }))).UploadId ?? '';

async function putPart(Key: string, UploadId: string, PartNumber: number, bytes: number) {
  const Body = pattern(bytes, PartNumber);
  const { ETag } = await client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }));
  return { PartNumber, ETag };
}

const held = async (): Promise<Pick<QuotaView, 'logicalBytes' | 'objects'>> => {
  const { logicalBytes, objects } = await world.daemon.json<QuotaView>('quota', 'alice');
  return { logicalBytes, objects };
};

const restart = async (signal: 'SIGKILL' | 'SIGTERM'): Promise<void> => {
  await world.daemon.kill(signal);
  await world.daemon.start();
  client = sdkClient({ ...world, endpoint: `http://${world.daemon.ready?.listeners['s3']}` });
};

it('parts that are not completed fill the quota, over a kill and a start, until they are aborted', async () => {
  const { daemon } = world;
  await daemon.ok('quota', 'alice', '--size', '18M');
  const one = await begin('one');
  await putPart('one', one, 1, 6 * MiB);
  await putPart('one', one, 2, 6 * MiB);
  await putPart('one', one, 2, 5 * MiB);
  expect(await held()).toEqual({ logicalBytes: 11 * MiB, objects: 0 });
  await expect(putPart('one', one, 3, 8 * MiB)).rejects.toMatchObject({ name: 'QuotaExceeded' });
  await expect(client.send(new PutObjectCommand({ Bucket, Key: 'b', Body: pattern(8 * MiB, 9) }))).rejects.toMatchObject({
    name: 'QuotaExceeded',
  });
  await restart('SIGKILL');
  expect(await held()).toEqual({ logicalBytes: 11 * MiB, objects: 0 });
  // What is stored is looked at each minute, and when the daemon ends.
  await restart('SIGTERM');
  const usage = await daemon.json<UsageView>('usage', 'alice', '--by', 'all');
  expect(usage.slices).toContainEqual(expect.objectContaining({ logicalBytes: 11 * MiB, objects: 0 }));
  await expect(putPart('one', one, 3, 8 * MiB)).rejects.toMatchObject({ name: 'QuotaExceeded' });
  await client.send(new AbortMultipartUploadCommand({ Bucket, Key: 'one', UploadId: one }));
  expect(await held()).toEqual({ logicalBytes: 0, objects: 0 });
  const two = await begin('two');
  const Parts = [await putPart('two', two, 1, 10 * MiB), await putPart('two', two, 2, 6 * MiB)];
  await client.send(
    new CompleteMultipartUploadCommand({ Bucket, Key: 'two', UploadId: two, MultipartUpload: { Parts: Parts.slice(0, 1) } }),
  );
  expect(await held()).toEqual({ logicalBytes: 10 * MiB, objects: 1 });
  await client.send(new PutObjectCommand({ Bucket, Key: 'b', Body: pattern(8 * MiB, 9) }));
  expect(await held()).toEqual({ logicalBytes: 18 * MiB, objects: 2 });
});
