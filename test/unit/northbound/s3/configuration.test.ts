import {
  CreateBucketCommand,
  DeleteBucketEncryptionCommand,
  DeleteBucketLifecycleCommand,
  DeleteBucketTaggingCommand,
  DeleteObjectTaggingCommand,
  GetBucketEncryptionCommand,
  GetBucketLifecycleConfigurationCommand,
  GetBucketRequestPaymentCommand,
  GetBucketTaggingCommand,
  GetBucketVersioningCommand,
  GetObjectLegalHoldCommand,
  GetObjectLockConfigurationCommand,
  GetObjectRetentionCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  PutBucketEncryptionCommand,
  PutBucketLifecycleConfigurationCommand,
  PutBucketTaggingCommand,
  PutBucketVersioningCommand,
  PutObjectLegalHoldCommand,
  PutObjectLockConfigurationCommand,
  PutObjectRetentionCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  type LifecycleRule,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import type { NewAccessKey } from '../../../../src/identity/access_keys.ts';
import { lifecycleRules } from '../../../../src/northbound/s3/lifecycle_document.ts';
import type { Version } from '../../../../src/object/object_version.ts';
import { once } from '../../../harness/object_world.ts';
import { S3Endpoint } from '../../../harness/s3_endpoint.ts';
import { S3Requests } from '../../../harness/s3_requests.ts';

let endpoint: S3Endpoint;
let key: NewAccessKey;
let client: S3Client;
let stranger: S3Client;
let Bucket: string;
let made = 0;

beforeAll(async () => {
  endpoint = await S3Endpoint.start();
  key = await endpoint.account('alice');
  client = endpoint.client(key);
  stranger = endpoint.client(await endpoint.account('bob'));
});
afterAll(async () => {
  expect(endpoint.complaints).toEqual([]);
  await endpoint.stop();
});
beforeEach(async () => {
  Bucket = `settings-${++made}`;
  await client.send(new CreateBucketCommand({ Bucket }));
});

async function put(bucket = Bucket): Promise<Version> {
  const { id: owner } = await endpoint.identity.accounts.get('alice');
  return endpoint.world.layer.objects.put({ bucket, key: 'key', content: once('hello'), bytes: 5, attributes: { owner } });
}

describe('tags', () => {
  const TagSet = [
    { Key: 'empty', Value: '' },
    { Key: 'team', Value: 'Lager/größer: 1+1=2 @_.-' },
  ];

  test('of a bucket are set, told and taken away', async () => {
    const none = { name: 'NoSuchTagSet', $metadata: { httpStatusCode: 404 } };
    await expect(client.send(new GetBucketTaggingCommand({ Bucket }))).rejects.toMatchObject(none);
    await client.send(new PutBucketTaggingCommand({ Bucket, Tagging: { TagSet } }));
    expect((await client.send(new GetBucketTaggingCommand({ Bucket }))).TagSet).toEqual(TagSet);
    await client.send(new DeleteBucketTaggingCommand({ Bucket }));
    await expect(client.send(new GetBucketTaggingCommand({ Bucket }))).rejects.toMatchObject(none);
  });

  test('of an object are set, told and taken away', async () => {
    await put();
    const ask = { Bucket, Key: 'key' };
    expect((await client.send(new GetObjectTaggingCommand(ask))).TagSet).toEqual([]);
    await client.send(new PutObjectTaggingCommand({ ...ask, Tagging: { TagSet } }));
    expect((await client.send(new GetObjectTaggingCommand(ask))).TagSet).toEqual(TagSet);
    await expect(stranger.send(new GetObjectTaggingCommand(ask))).rejects.toMatchObject({ name: 'AccessDenied' });
    await expect(stranger.send(new PutObjectTaggingCommand({ ...ask, Tagging: { TagSet } }))).rejects.toMatchObject({
      name: 'AccessDenied',
    });
    await client.send(new DeleteObjectTaggingCommand(ask));
    expect((await client.send(new GetObjectTaggingCommand(ask))).TagSet).toEqual([]);
  });

  test('of an object that is not there: only who may list learns that', async () => {
    const ask = new GetObjectTaggingCommand({ Bucket, Key: 'missing' });
    await expect(client.send(ask)).rejects.toMatchObject({ name: 'NoSuchKey' });
    await expect(stranger.send(ask)).rejects.toMatchObject({ name: 'AccessDenied' });
  });

  test.each([
    ['too many', Array.from({ length: 11 }, (_, n) => ({ Key: `k${n}`, Value: 'v' }))],
    ['the same twice', [...TagSet, TagSet[0]]],
    ['too long a key', [{ Key: 'k'.repeat(129), Value: '' }]],
    ['too long a value', [{ Key: 'k', Value: 'v'.repeat(257) }]],
    ['of other characters', [{ Key: 'a&b', Value: '' }]],
    ['of values of other characters', [{ Key: 'a', Value: 'b<c' }]],
    ['one of the system', [{ Key: 'aws:x', Value: '' }]],
  ])('are refused that are %s', async (_what, tags) => {
    await put();
    const Tagging = { TagSet: tags as typeof TagSet };
    await expect(client.send(new PutObjectTaggingCommand({ Bucket, Key: 'key', Tagging }))).rejects.toMatchObject({
      name: 'InvalidTag',
    });
    expect((await client.send(new GetObjectTaggingCommand({ Bucket, Key: 'key' }))).TagSet).toEqual([]);
  });
});

describe('versioning', () => {
  test('is not set, enabled, and suspended', async () => {
    expect((await client.send(new GetBucketVersioningCommand({ Bucket }))).Status).toBeUndefined();
    for (const Status of ['Enabled', 'Suspended', 'Enabled'] as const) {
      await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status } }));
      expect((await client.send(new GetBucketVersioningCommand({ Bucket }))).Status).toBe(Status);
    }
    const asks = { MFADelete: 'Enabled', Status: 'Enabled' } as const;
    await expect(client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: asks }))).rejects.toMatchObject({
      name: 'NotImplemented',
    });
    await expect(client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: {} }))).rejects.toMatchObject({
      name: 'IllegalVersioningConfigurationException',
    });
  });

  test('lets versions be named, and the answer says which it was', async () => {
    await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }));
    const [first, second] = [await put(), await put()];
    const tagged = { Bucket, Key: 'key', VersionId: first.versionId };
    await client.send(new PutObjectTaggingCommand({ ...tagged, Tagging: { TagSet: [{ Key: 'a', Value: 'b' }] } }));
    expect(await client.send(new GetObjectTaggingCommand(tagged))).toMatchObject({
      VersionId: first.versionId,
      TagSet: [{ Key: 'a', Value: 'b' }],
    });
    const current = await client.send(new GetObjectTaggingCommand({ Bucket, Key: 'key' }));
    expect(current).toMatchObject({ VersionId: second.versionId, TagSet: [] });
    const other = { Bucket, Key: 'key', VersionId: 'v0000000000000001' };
    await expect(client.send(new GetObjectTaggingCommand(other))).rejects.toMatchObject({ name: 'NoSuchVersion' });
  });
});

describe('object lock', () => {
  const configure = (name: string, rule: object): Promise<unknown> =>
    client.send(
      new PutObjectLockConfigurationCommand({
        Bucket: name,
        ObjectLockConfiguration: { ObjectLockEnabled: 'Enabled', Rule: { DefaultRetention: rule } },
      }),
    );

  test('is for buckets with versions, and never goes', async () => {
    const invalid = { name: 'InvalidBucketState', $metadata: { httpStatusCode: 409 } };
    await expect(configure(Bucket, { Mode: 'GOVERNANCE', Days: 1 })).rejects.toMatchObject(invalid);
    await expect(client.send(new GetObjectLockConfigurationCommand({ Bucket }))).rejects.toMatchObject({
      name: 'ObjectLockConfigurationNotFoundError',
    });
    const enable = new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } });
    await client.send(enable);
    for (const rule of [
      { Mode: 'GOVERNANCE', Days: 30 },
      { Mode: 'COMPLIANCE', Years: 2 },
      { Mode: 'GOVERNANCE', Days: 365 },
    ]) {
      await configure(Bucket, rule);
      const { ObjectLockConfiguration } = await client.send(new GetObjectLockConfigurationCommand({ Bucket }));
      expect(ObjectLockConfiguration).toEqual({ ObjectLockEnabled: 'Enabled', Rule: { DefaultRetention: rule } });
    }
    const suspend = new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Suspended' } });
    await expect(client.send(suspend)).rejects.toMatchObject(invalid);
  });

  test.each([
    [{ Mode: 'GOVERNANCE', Days: 1, Years: 1 }, 'MalformedXML'],
    [{ Mode: 'GOVERNANCE' }, 'MalformedXML'],
    [{ Mode: 'governance', Years: 1 }, 'MalformedXML'],
    [{ Mode: 'GOVERNANCE', Days: 0 }, 'InvalidRetentionPeriod'],
    [{ Mode: 'GOVERNANCE', Years: -1 }, 'InvalidRetentionPeriod'],
    [{ Mode: 'GOVERNANCE', Years: 101 }, 'InvalidRetentionPeriod'],
  ])('refuses %j as %s', async (rule, name) => {
    await expect(configure(Bucket, rule)).rejects.toMatchObject({ name });
  });

  test('of a version is kept, lengthened, and shortened by who may bypass it', async () => {
    const locked = `${Bucket}-locked`;
    await client.send(new CreateBucketCommand({ Bucket: locked, ObjectLockEnabledForBucket: true }));
    await put(locked);
    const ask = { Bucket: locked, Key: 'key' };
    await expect(client.send(new GetObjectRetentionCommand(ask))).rejects.toMatchObject({
      name: 'NoSuchObjectLockConfiguration',
    });
    const until = (year: number) => ({ Mode: 'GOVERNANCE' as const, RetainUntilDate: new Date(Date.UTC(year, 0, 1)) });
    for (const year of [2140, 2141]) {
      await client.send(new PutObjectRetentionCommand({ ...ask, Retention: until(year) }));
      expect((await client.send(new GetObjectRetentionCommand(ask))).Retention).toEqual(until(year));
    }
    const shorter = { ...ask, Retention: until(2139) };
    await expect(client.send(new PutObjectRetentionCommand(shorter))).rejects.toMatchObject({ name: 'AccessDenied' });
    await client.send(new PutObjectRetentionCommand({ ...shorter, BypassGovernanceRetention: true }));
    const other = { ...until(2145), Mode: 'COMPLIANCE' as const };
    await expect(client.send(new PutObjectRetentionCommand({ ...ask, Retention: other }))).rejects.toMatchObject({
      name: 'AccessDenied',
    });
    const past = { ...ask, Retention: until(2001) };
    await expect(client.send(new PutObjectRetentionCommand(past))).rejects.toMatchObject({ name: 'InvalidArgument' });
  });

  test('holds what it is told to, in buckets that have it', async () => {
    const locked = `${Bucket}-locked`;
    await client.send(new CreateBucketCommand({ Bucket: locked, ObjectLockEnabledForBucket: true }));
    await put(locked);
    const ask = { Bucket: locked, Key: 'key' };
    for (const Status of ['ON', 'OFF'] as const) {
      await client.send(new PutObjectLegalHoldCommand({ ...ask, LegalHold: { Status } }));
      expect((await client.send(new GetObjectLegalHoldCommand(ask))).LegalHold).toEqual({ Status });
    }
    const odd = { ...ask, LegalHold: { Status: 'abc' as 'ON' } };
    await expect(client.send(new PutObjectLegalHoldCommand(odd))).rejects.toMatchObject({ name: 'MalformedXML' });
    await put();
    const unlocked = { Bucket, Key: 'key', LegalHold: { Status: 'ON' as const } };
    await expect(client.send(new PutObjectLegalHoldCommand(unlocked))).rejects.toMatchObject({ name: 'InvalidRequest' });
    await expect(client.send(new GetObjectRetentionCommand({ Bucket, Key: 'key' }))).rejects.toMatchObject({
      name: 'InvalidRequest',
    });
  });
});

describe('encryption by default', () => {
  test('is set, told and taken away', async () => {
    const none = { name: 'ServerSideEncryptionConfigurationNotFoundError' };
    await expect(client.send(new GetBucketEncryptionCommand({ Bucket }))).rejects.toMatchObject(none);
    for (const rule of [
      { ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' as const } },
      { ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms' as const, KMSMasterKeyID: 'k' }, BucketKeyEnabled: true },
    ]) {
      const ServerSideEncryptionConfiguration = { Rules: [rule] };
      await client.send(new PutBucketEncryptionCommand({ Bucket, ServerSideEncryptionConfiguration }));
      expect(await client.send(new GetBucketEncryptionCommand({ Bucket }))).toMatchObject({ ServerSideEncryptionConfiguration });
    }
    await client.send(new DeleteBucketEncryptionCommand({ Bucket }));
    await expect(client.send(new GetBucketEncryptionCommand({ Bucket }))).rejects.toMatchObject(none);
  });
});

describe('a lifecycle', () => {
  const expiring = { ID: 'r', Status: 'Enabled', Filter: {}, Expiration: { Days: 1 } } as const;
  const configure = (Rules: readonly object[]): Promise<unknown> =>
    client.send(
      new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration: { Rules: Rules as LifecycleRule[] } }),
    );
  const told = async () => (await client.send(new GetBucketLifecycleConfigurationCommand({ Bucket }))).Rules;

  test('is told as it was put, and taken away', async () => {
    const none = { name: 'NoSuchLifecycleConfiguration' };
    await expect(told()).rejects.toMatchObject(none);
    const rules: LifecycleRule[] = [
      { ID: 'old', Status: 'Disabled', Prefix: 'a/', Expiration: { Days: 31 } },
      { ID: 'all', Status: 'Enabled', Filter: {}, AbortIncompleteMultipartUpload: { DaysAfterInitiation: 3 } },
      { ID: 'one', Status: 'Enabled', Filter: { Tag: { Key: 'k', Value: 'v' } }, Expiration: { Date: new Date('2030-01-01') } },
      { ID: 'prefix', Status: 'Enabled', Filter: { Prefix: 'b/' }, Expiration: { ExpiredObjectDeleteMarker: true } },
      {
        ID: 'several',
        Status: 'Enabled',
        Filter: {
          And: { Prefix: 'c/', Tags: [{ Key: 'k', Value: 'v' }], ObjectSizeGreaterThan: 10, ObjectSizeLessThan: 20 },
        },
        NoncurrentVersionExpiration: { NoncurrentDays: 2, NewerNoncurrentVersions: 5 },
      },
    ];
    await configure(rules);
    expect(await told()).toEqual(rules);
    await client.send(new DeleteBucketLifecycleCommand({ Bucket }));
    await expect(told()).rejects.toMatchObject(none);
  });

  test('is what upkeep reads, and what answers tell of it', async () => {
    const day = 86_400_000;
    await configure([
      { ...expiring, ID: 'later', Expiration: { Days: 9 } },
      { ...expiring, ID: 'tag s', Filter: { Tag: { Key: 'k', Value: 'v' } } },
    ]);
    const rules = await lifecycleRules(endpoint.world.layer.buckets, Bucket);
    expect(rules).toMatchObject([
      { id: 'later', expiration: { days: 9 } },
      { id: 'tag s', filter: { tags: { k: 'v' } } },
    ]);
    const { modifiedAt } = await put();
    const ends = (days: number): string => new Date(Math.ceil(modifiedAt / day) * day + days * day).toUTCString();
    const ask = { Bucket, Key: 'key' };
    const later = `expiry-date="${ends(9)}", rule-id="later"`;
    expect((await client.send(new HeadObjectCommand(ask))).Expiration).toBe(later);
    await client.send(new PutObjectTaggingCommand({ ...ask, Tagging: { TagSet: [{ Key: 'k', Value: 'v' }] } }));
    expect((await client.send(new HeadObjectCommand(ask))).Expiration).toBe(`expiry-date="${ends(1)}", rule-id="tag%20s"`);
    expect((await client.send(new PutObjectCommand({ ...ask, Body: 'again' }))).Expiration).toMatch(/rule-id="later"$/);
  });

  test('has names for rules that have none', async () => {
    await configure([
      { ...expiring, ID: undefined },
      { ...expiring, ID: undefined, Filter: { Prefix: 'x' } },
    ]);
    const ids = (await told())?.map(({ ID }) => ID ?? '') ?? [];
    expect(new Set(ids.filter((id) => id !== '')).size).toBe(2);
  });

  test.each([
    ['too long a name', [{ ...expiring, ID: 'a'.repeat(256) }], 'InvalidArgument'],
    ['one name twice', [expiring, expiring], 'InvalidArgument'],
    ['an unknown status', [{ ...expiring, Status: 'enabled' }], 'MalformedXML'],
    ['no scope', [{ ...expiring, Filter: undefined }], 'MalformedXML'],
    ['two scopes', [{ ...expiring, Prefix: 'x' }], 'MalformedXML'],
    ['no action', [{ ...expiring, Expiration: undefined }], 'InvalidRequest'],
    ['no days', [{ ...expiring, Expiration: { Days: 0 } }], 'InvalidArgument'],
    ['days and markers', [{ ...expiring, Expiration: { Days: 1, ExpiredObjectDeleteMarker: true } }], 'MalformedXML'],
    ['an hour', [{ ...expiring, Expiration: { Date: new Date('2030-01-01T01:00:00Z') } }], 'InvalidArgument'],
    [
      'uploads of tags',
      [{ ...expiring, Filter: { Tag: { Key: 'k', Value: 'v' } }, AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 } }],
      'InvalidRequest',
    ],
    ['a transition', [{ ...expiring, Transitions: [{ Days: 1, StorageClass: 'GLACIER' }] }], 'NotImplemented'],
  ])('with %s is refused', async (_what, rules, name) => {
    await expect(configure(rules)).rejects.toMatchObject({ name });
    await expect(told()).rejects.toMatchObject({ name: 'NoSuchLifecycleConfiguration' });
  });
});

describe('settings that there are not', () => {
  test.each([
    ['logging', 200, '<BucketLoggingStatus'],
    ['accelerate', 200, '<AccelerateConfiguration'],
    ['website', 404, '<Code>NoSuchWebsiteConfiguration</Code>'],
    ['replication', 404, '<Code>ReplicationConfigurationNotFoundError</Code>'],
    ['analytics', 501, '<Code>NotImplemented</Code>'],
    ['inventory', 501, '<Code>NotImplemented</Code>'],
  ])('%s is told to be none', async (name, status, words) => {
    const answer = await new S3Requests(endpoint.address, key).send({ method: 'GET', path: `/${Bucket}`, query: { [name]: '' } });
    expect([answer.status, answer.body]).toEqual([status, expect.stringContaining(words)]);
  });

  test.each([
    ['requestPayment', '<RequestPaymentConfiguration><Payer>BucketOwner</Payer></RequestPaymentConfiguration>', 200],
    ['requestPayment', '<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>', 501],
    ['website', '<WebsiteConfiguration/>', 501],
    ['replication', '<ReplicationConfiguration/>', 501],
    ['accelerate', '<AccelerateConfiguration><Status>Enabled</Status></AccelerateConfiguration>', 501],
  ])('%s put as %s is answered', async (name, body, status) => {
    const requests = new S3Requests(endpoint.address, key);
    expect((await requests.send({ method: 'PUT', path: `/${Bucket}`, query: { [name]: '' }, body })).status).toBe(status);
  });

  test('who pays is the owner', async () => {
    expect((await client.send(new GetBucketRequestPaymentCommand({ Bucket }))).Payer).toBe('BucketOwner');
  });
});

test('no setting of a bucket is another account’s to read, set or remove', async () => {
  const { key: strangersKey } = { key: await endpoint.identity.keys.create('bob') };
  const names =
    'accelerate acl cors encryption lifecycle logging notification object-lock ownershipControls policy policyStatus publicAccessBlock replication requestPayment tagging versioning website';
  for (const requests of [new S3Requests(endpoint.address, strangersKey), new S3Requests(endpoint.address, null)])
    for (const name of names.split(' '))
      for (const method of ['GET', 'PUT', 'DELETE']) {
        const body = method === 'PUT' ? '<x/>' : '';
        const { status } = await requests.send({ method, path: `/${Bucket}`, query: { [name]: '' }, body });
        // Where there is no such operation at all it is not allowed to anybody.
        expect([403, 405], `${method} ${name}`).toContain(status);
      }
});
