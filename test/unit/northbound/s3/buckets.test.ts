import { CreateBucketCommand, DeleteBucketCommand, HeadBucketCommand, ListBucketsCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { S3Endpoint } from '../../../harness/s3_endpoint.ts';

let endpoint: S3Endpoint;
beforeAll(async () => {
  endpoint = await S3Endpoint.start();
});
afterAll(async () => {
  expect(endpoint.complaints).toEqual([]);
  await endpoint.stop();
});

describe('buckets', () => {
  test('are made, listed by their owner alone, and removed', async () => {
    const alice = endpoint.client(await endpoint.account('alice'));
    const bob = endpoint.client(await endpoint.account('bob'));
    await alice.send(new CreateBucketCommand({ Bucket: 'first' }));
    expect((await alice.send(new ListBucketsCommand({}))).Buckets?.map(({ Name }) => Name)).toEqual(['first']);
    expect((await bob.send(new ListBucketsCommand({}))).Buckets ?? []).toEqual([]);
    await alice.send(new HeadBucketCommand({ Bucket: 'first' }));
    await expect(bob.send(new HeadBucketCommand({ Bucket: 'first' }))).rejects.toMatchObject({
      $metadata: { httpStatusCode: 403 },
    });
    await expect(bob.send(new DeleteBucketCommand({ Bucket: 'first' }))).rejects.toMatchObject({ name: 'AccessDenied' });
    await alice.send(new DeleteBucketCommand({ Bucket: 'first' }));
    await expect(alice.send(new HeadBucketCommand({ Bucket: 'first' }))).rejects.toMatchObject({
      $metadata: { httpStatusCode: 404 },
    });
  });
});
