import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  GetBucketLocationCommand,
  GetBucketOwnershipControlsCommand,
  HeadBucketCommand,
  ListBucketsCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { buckets_per_account_max } from '../../../../src/northbound/s3/bucket_creation.ts';
import { once } from '../../../harness/object_world.ts';
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
    const head = await alice.send(new HeadBucketCommand({ Bucket: 'first' }));
    expect(head.BucketRegion).toBe('us-east-1');
    await expect(bob.send(new HeadBucketCommand({ Bucket: 'first' }))).rejects.toMatchObject({
      $metadata: { httpStatusCode: 403 },
    });
    await expect(bob.send(new DeleteBucketCommand({ Bucket: 'first' }))).rejects.toMatchObject({ name: 'AccessDenied' });
    await alice.send(new DeleteBucketCommand({ Bucket: 'first' }));
    await expect(alice.send(new HeadBucketCommand({ Bucket: 'first' }))).rejects.toMatchObject({
      $metadata: { httpStatusCode: 404 },
    });
  });

  test('are nobody’s who does not sign', async () => {
    const nobody = endpoint.client(null);
    await expect(nobody.send(new CreateBucketCommand({ Bucket: 'of-nobody' }))).rejects.toMatchObject({ name: 'AccessDenied' });
    await expect(nobody.send(new ListBucketsCommand({}))).rejects.toMatchObject({ name: 'AccessDenied' });
  });

  test('made again by their owner stay as they are, and are refused where they would be others', async () => {
    const carol = endpoint.client(await endpoint.account('carol'));
    const dave = endpoint.client(await endpoint.account('dave'));
    await carol.send(new CreateBucketCommand({ Bucket: 'again' }));
    await endpoint.world.layer.objects.put({
      bucket: 'again',
      key: 'kept',
      content: once('x'),
      bytes: 1,
      attributes: { owner: 1 },
    });
    await carol.send(new CreateBucketCommand({ Bucket: 'again' }));
    await carol.send(new CreateBucketCommand({ Bucket: 'again', ACL: 'private' }));
    expect((await endpoint.world.layer.objects.head({ bucket: 'again', key: 'kept' })).bytes).toBe(1);
    await expect(carol.send(new CreateBucketCommand({ Bucket: 'again', ACL: 'public-read' }))).rejects.toMatchObject({
      name: 'BucketAlreadyExists',
    });
    await expect(dave.send(new CreateBucketCommand({ Bucket: 'again' }))).rejects.toMatchObject({
      name: 'BucketAlreadyExists',
      $metadata: { httpStatusCode: 409 },
    });
    await carol.send(new CreateBucketCommand({ Bucket: 'seen', ACL: 'public-read' }));
    await carol.send(new CreateBucketCommand({ Bucket: 'seen', ACL: 'public-read' }));
    await expect(carol.send(new CreateBucketCommand({ Bucket: 'seen' }))).rejects.toMatchObject({ name: 'BucketAlreadyExists' });
  });

  test('are made with object lock, and with a rule of whose their objects are', async () => {
    const ivan = endpoint.client(await endpoint.account('ivan'));
    await ivan.send(new CreateBucketCommand({ Bucket: 'locked', ObjectLockEnabledForBucket: true }));
    const { record } = await endpoint.world.layer.buckets.get('locked');
    expect(record).toMatchObject({ objectLock: true, versioning: 'enabled' });
    await expect(ivan.send(new CreateBucketCommand({ Bucket: 'locked' }))).rejects.toMatchObject({ name: 'BucketAlreadyExists' });
    const ObjectOwnership = 'BucketOwnerEnforced';
    await expect(
      ivan.send(new CreateBucketCommand({ Bucket: 'enforced', ObjectOwnership, ACL: 'public-read' })),
    ).rejects.toMatchObject({ name: 'InvalidBucketAclWithObjectOwnership' });
    await ivan.send(new CreateBucketCommand({ Bucket: 'enforced', ObjectOwnership }));
    const told = await ivan.send(new GetBucketOwnershipControlsCommand({ Bucket: 'enforced' }));
    expect(told.OwnershipControls?.Rules).toEqual([{ ObjectOwnership }]);
    const wrong = new CreateBucketCommand({ Bucket: 'wrong', ObjectOwnership: 'Nobody' as 'ObjectWriter' });
    await expect(ivan.send(wrong)).rejects.toMatchObject({ name: 'InvalidArgument' });
  });

  test('lie in the region of the endpoint, and in no other', async () => {
    const erin = endpoint.client(await endpoint.account('erin'));
    await erin.send(new CreateBucketCommand({ Bucket: 'here' }));
    expect((await erin.send(new GetBucketLocationCommand({ Bucket: 'here' }))).LocationConstraint).toBeUndefined();
    const elsewhere = { LocationConstraint: 'eu-west-1' } as const;
    await expect(
      erin.send(new CreateBucketCommand({ Bucket: 'there', CreateBucketConfiguration: elsewhere })),
    ).rejects.toMatchObject({ name: 'InvalidLocationConstraint', $metadata: { httpStatusCode: 400 } });
    await expect(erin.send(new HeadBucketCommand({ Bucket: 'there' }))).rejects.toMatchObject({
      $metadata: { httpStatusCode: 404 },
    });
  });

  test('with an object are not removed, and with uploads that nobody completed they are', async () => {
    const frank = endpoint.client(await endpoint.account('frank'));
    await frank.send(new CreateBucketCommand({ Bucket: 'held' }));
    const upload = { Bucket: 'held', Key: 'begun' };
    await frank.send(new CreateMultipartUploadCommand(upload));
    await endpoint.world.layer.objects.put({
      bucket: 'held',
      key: 'key',
      content: once('x'),
      bytes: 1,
      attributes: { owner: 1 },
    });
    await expect(frank.send(new DeleteBucketCommand({ Bucket: 'held' }))).rejects.toMatchObject({
      name: 'BucketNotEmpty',
      $metadata: { httpStatusCode: 409 },
    });
    expect((await endpoint.world.layer.listing.uploads({ bucket: 'held' })).entries.length).toBe(1);
    await endpoint.world.layer.objects.remove({ bucket: 'held', key: 'key', owner: 1 });
    await frank.send(new DeleteBucketCommand({ Bucket: 'held' }));
    await expect(frank.send(new DeleteBucketCommand({ Bucket: 'held' }))).rejects.toMatchObject({ name: 'NoSuchBucket' });
  });

  test('are listed page by page, and by the beginning of their names', async () => {
    const grace = endpoint.client(await endpoint.account('grace'));
    const names = ['gr-a1', 'gr-a2', 'gr-b1', 'gr-b2', 'gr-b3'];
    for (const Bucket of names) await grace.send(new CreateBucketCommand({ Bucket }));
    const listed = async (Prefix: string | undefined, MaxBuckets: number): Promise<string[][]> => {
      const pages: string[][] = [];
      for (let ContinuationToken: string | undefined; ; ) {
        const page = await grace.send(new ListBucketsCommand({ Prefix, MaxBuckets, ContinuationToken }));
        pages.push(page.Buckets?.map(({ Name }) => Name ?? '') ?? []);
        ContinuationToken = page.ContinuationToken;
        if (ContinuationToken === undefined) return pages;
      }
    };
    expect(await listed(undefined, 2)).toEqual([names.slice(0, 2), names.slice(2, 4), names.slice(4)]);
    expect(await listed('gr-b', 3)).toEqual([names.slice(2)]);
    expect(await listed('gr-b', 2)).toEqual([names.slice(2, 4), names.slice(4)]);
    expect(await listed('none', 5)).toEqual([[]]);
    await expect(grace.send(new ListBucketsCommand({ MaxBuckets: 0 }))).rejects.toMatchObject({ name: 'InvalidArgument' });
    await expect(grace.send(new ListBucketsCommand({ ContinuationToken: '???' }))).rejects.toMatchObject({
      name: 'InvalidArgument',
    });
  });

  test('are bounded in number, and one that is there may be made again all the same', async () => {
    const key = await endpoint.account('heidi');
    const heidi = endpoint.client(key);
    const { id } = await endpoint.identity.accounts.get('heidi');
    for (let at = 0; at < buckets_per_account_max; at += 1)
      await endpoint.world.layer.buckets.create({ name: `heidi-${at}`, account: id, pool: 'default' });
    await expect(heidi.send(new CreateBucketCommand({ Bucket: 'heidi-more' }))).rejects.toMatchObject({
      name: 'TooManyBuckets',
      $metadata: { httpStatusCode: 400 },
    });
    await heidi.send(new CreateBucketCommand({ Bucket: 'heidi-7' }));
    expect((await heidi.send(new ListBucketsCommand({}))).Buckets?.length).toBe(buckets_per_account_max);
  });
});
