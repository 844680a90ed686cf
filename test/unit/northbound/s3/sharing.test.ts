import {
  CreateBucketCommand,
  DeleteBucketOwnershipControlsCommand,
  DeleteBucketPolicyCommand,
  DeletePublicAccessBlockCommand,
  GetBucketAclCommand,
  GetBucketOwnershipControlsCommand,
  GetBucketPolicyCommand,
  GetBucketPolicyStatusCommand,
  GetObjectAclCommand,
  GetPublicAccessBlockCommand,
  PutBucketAclCommand,
  PutBucketOwnershipControlsCommand,
  PutBucketPolicyCommand,
  PutObjectAclCommand,
  PutObjectCommand,
  PutPublicAccessBlockCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import type { Account } from '../../../../src/identity/accounts.ts';
import type { NewAccessKey } from '../../../../src/identity/access_keys.ts';
import { once } from '../../../harness/object_world.ts';
import { S3Endpoint } from '../../../harness/s3_endpoint.ts';
import { S3Requests } from '../../../harness/s3_requests.ts';

let endpoint: S3Endpoint;
let aliceKey: NewAccessKey;
let alice: S3Client;
let bob: S3Client;
let nobody: S3Client;
let aliceAccount: Account;
let bobAccount: Account;
let Bucket: string;
let made = 0;

beforeAll(async () => {
  endpoint = await S3Endpoint.start();
  aliceKey = await endpoint.account('alice');
  alice = endpoint.client(aliceKey);
  bob = endpoint.client(await endpoint.account('bob'));
  nobody = endpoint.client(null);
  aliceAccount = await endpoint.identity.accounts.get('alice');
  bobAccount = await endpoint.identity.accounts.get('bob');
});
afterAll(async () => {
  expect(endpoint.complaints).toEqual([]);
  await endpoint.stop();
});
beforeEach(async () => {
  Bucket = `shared-${++made}`;
  await alice.send(new CreateBucketCommand({ Bucket }));
});

async function put(Key: string, owner = aliceAccount.id): Promise<void> {
  const content = once('hello');
  await endpoint.world.layer.objects.put({ bucket: Bucket, key: Key, content, bytes: 5, attributes: { owner } });
}

const denied = { name: 'AccessDenied', $metadata: { httpStatusCode: 403 } };
const policyWith = (statement: object): string =>
  JSON.stringify({
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Principal: '*', Action: 's3:*', Resource: `arn:aws:s3:::${Bucket}`, ...statement }],
  });

describe('a policy', () => {
  test('that allows puts allows what is said with them, unless it denies that', async () => {
    const Resource = `arn:aws:s3:::${Bucket}/*`;
    const allow = { Effect: 'Allow', Principal: '*', Action: 's3:PutObject', Resource };
    const set = (more: readonly object[]) =>
      alice.send(
        new PutBucketPolicyCommand({ Bucket, Policy: JSON.stringify({ Version: '2012-10-17', Statement: [allow, ...more] }) }),
      );
    const tagged = { Bucket, Key: 'said', Body: 'x', Tagging: 'a=b' };
    const listed = { Bucket, Key: 'said', Body: 'x', ACL: 'private' as const };
    await set([]);
    await bob.send(new PutObjectCommand(tagged));
    await bob.send(new PutObjectCommand(listed));
    await set([{ ...allow, Effect: 'Deny', Action: ['s3:PutObjectTagging', 's3:PutObjectAcl'] }]);
    await expect(bob.send(new PutObjectCommand(tagged))).rejects.toMatchObject(denied);
    await expect(bob.send(new PutObjectCommand(listed))).rejects.toMatchObject(denied);
    await bob.send(new PutObjectCommand({ Bucket, Key: 'said', Body: 'x' }));
    await alice.send(new DeleteBucketPolicyCommand({ Bucket }));
  });
});

describe('lists', () => {
  test('of a new bucket grant all to its owner', async () => {
    const { Owner, Grants } = await alice.send(new GetBucketAclCommand({ Bucket }));
    expect(Owner?.ID).toBe(aliceAccount.canonicalId);
    expect(Grants).toMatchObject([
      {
        Grantee: { ID: aliceAccount.canonicalId, Type: 'CanonicalUser', DisplayName: aliceAccount.displayName },
        Permission: 'FULL_CONTROL',
      },
    ]);
    await expect(bob.send(new GetBucketAclCommand({ Bucket }))).rejects.toMatchObject(denied);
  });

  test('that are canned are told as grants, groups first', async () => {
    await alice.send(new PutBucketAclCommand({ Bucket, ACL: 'public-read-write' }));
    const { Grants } = await alice.send(new GetBucketAclCommand({ Bucket }));
    expect(Grants?.map(({ Grantee, Permission }) => [Grantee?.URI ?? Grantee?.ID, Permission])).toEqual([
      ['http://acs.amazonaws.com/groups/global/AllUsers', 'READ'],
      ['http://acs.amazonaws.com/groups/global/AllUsers', 'WRITE'],
      [aliceAccount.canonicalId, 'FULL_CONTROL'],
    ]);
  });

  test('come as documents, and go round', async () => {
    const Grants = [
      { Grantee: { Type: 'CanonicalUser' as const, ID: bobAccount.canonicalId }, Permission: 'READ_ACP' as const },
      { Grantee: { Type: 'CanonicalUser' as const, ID: aliceAccount.canonicalId }, Permission: 'FULL_CONTROL' as const },
    ];
    const AccessControlPolicy = { Owner: { ID: aliceAccount.canonicalId }, Grants };
    await alice.send(new PutBucketAclCommand({ Bucket, AccessControlPolicy }));
    expect((await bob.send(new GetBucketAclCommand({ Bucket }))).Grants).toMatchObject(Grants);
    await expect(bob.send(new PutBucketAclCommand({ Bucket, ACL: 'private' }))).rejects.toMatchObject(denied);
    await alice.send(new PutBucketAclCommand({ Bucket, AccessControlPolicy: { ...AccessControlPolicy, Grants: [] } }));
    expect((await alice.send(new GetBucketAclCommand({ Bucket }))).Grants ?? []).toEqual([]);
  });

  test('come as grants in headers', async () => {
    await alice.send(
      new PutBucketAclCommand({
        Bucket,
        GrantReadACP: `id="${bobAccount.canonicalId}"`,
        GrantRead: `uri=http://acs.amazonaws.com/groups/global/AllUsers`,
      }),
    );
    const { Grants } = await bob.send(new GetBucketAclCommand({ Bucket }));
    expect(Grants?.map(({ Permission }) => Permission).sort()).toEqual(['READ', 'READ_ACP']);
  });

  test('of an object are its own, and say what others may', async () => {
    await put('key');
    const ask = { Bucket, Key: 'key' };
    await expect(bob.send(new GetObjectAclCommand(ask))).rejects.toMatchObject(denied);
    await alice.send(new PutObjectAclCommand({ ...ask, GrantFullControl: `id=${bobAccount.canonicalId}` }));
    expect((await bob.send(new GetObjectAclCommand(ask))).Owner?.ID).toBe(aliceAccount.canonicalId);
    await bob.send(new PutObjectAclCommand({ ...ask, ACL: 'private' }));
    await expect(bob.send(new GetObjectAclCommand(ask))).rejects.toMatchObject(denied);
  });

  test('of an object that another account owns are not the bucket owner’s to read', async () => {
    await put('of-bob', bobAccount.id);
    const ask = { Bucket, Key: 'of-bob' };
    await expect(alice.send(new GetObjectAclCommand(ask))).rejects.toMatchObject(denied);
    await bob.send(new PutObjectAclCommand({ ...ask, ACL: 'bucket-owner-full-control' }));
    expect((await alice.send(new GetObjectAclCommand(ask))).Grants).toHaveLength(2);
  });

  test.each([
    ['an unknown canned list', { 'x-amz-acl': 'nobody-at-all' }, '', 'InvalidArgument'],
    ['a canned list and grants', { 'x-amz-acl': 'private', 'x-amz-grant-read': 'id=1' }, '', 'InvalidRequest'],
    ['an account that there is not', { 'x-amz-grant-read': `id=${'0'.repeat(64)}` }, '', 'InvalidArgument'],
    ['an address', { 'x-amz-grant-read': 'emailAddress=a@b.test' }, '', 'UnresolvableGrantByEmailAddress'],
    ['a group that there is not', { 'x-amz-grant-read': 'uri=http://x.test' }, '', 'InvalidArgument'],
    ['nothing', {}, '', 'MissingSecurityHeader'],
    ['a document and a header', { 'x-amz-acl': 'private' }, '<AccessControlPolicy/>', 'UnexpectedContent'],
    ['a document without an owner', {}, '<AccessControlPolicy/>', 'MalformedACLError'],
    ['a document of another owner', {}, '<AccessControlPolicy><Owner><ID>1</ID></Owner></AccessControlPolicy>', 'AccessDenied'],
  ])('are refused that are %s', async (_what, headers, body, code) => {
    const requests = new S3Requests(endpoint.address, aliceKey);
    const answer = await requests.send({ method: 'PUT', path: `/${Bucket}`, query: { acl: '' }, headers, body });
    expect(answer.body).toContain(`<Code>${code}</Code>`);
    expect((await alice.send(new GetBucketAclCommand({ Bucket }))).Grants).toHaveLength(1);
  });
});

describe('a policy', () => {
  test('is told as it was put, and goes', async () => {
    await expect(alice.send(new GetBucketPolicyCommand({ Bucket }))).rejects.toMatchObject({ name: 'NoSuchBucketPolicy' });
    const Policy = policyWith({ Action: 's3:GetBucketAcl' });
    await alice.send(new PutBucketPolicyCommand({ Bucket, Policy }));
    expect((await alice.send(new GetBucketPolicyCommand({ Bucket }))).Policy).toBe(Policy);
    await nobody.send(new GetBucketAclCommand({ Bucket }));
    await alice.send(new DeleteBucketPolicyCommand({ Bucket }));
    await expect(nobody.send(new GetBucketAclCommand({ Bucket }))).rejects.toMatchObject(denied);
  });

  test('that denies its owner everything is mended by the root user alone', async () => {
    await endpoint.identity.users.create('alice', `user-${made}`);
    const user = endpoint.client(await endpoint.identity.keys.create('alice', `user-${made}`));
    await user.send(new GetBucketAclCommand({ Bucket }));
    await alice.send(new PutBucketPolicyCommand({ Bucket, Policy: policyWith({ Effect: 'Deny' }) }));
    await expect(alice.send(new GetBucketAclCommand({ Bucket }))).rejects.toMatchObject(denied);
    await expect(user.send(new DeleteBucketPolicyCommand({ Bucket }))).rejects.toMatchObject(denied);
    await alice.send(new DeleteBucketPolicyCommand({ Bucket }));
    await user.send(new GetBucketAclCommand({ Bucket }));
  });

  test.each([
    ['no JSON', () => '{'],
    ['for another bucket', () => policyWith({ Resource: 'arn:aws:s3:::another' })],
    ['for no bucket', () => policyWith({ Resource: 'arn:aws:sqs:::x' })],
    ['with a condition that there is not', () => policyWith({ Condition: { Guess: { 'aws:SourceIp': '1.1.1.1' } } })],
    ['too long', () => policyWith({ Sid: 'x'.repeat(20 * 1024) })],
  ])('that is %s is refused', async (_what, policy) => {
    await expect(alice.send(new PutBucketPolicyCommand({ Bucket, Policy: policy() }))).rejects.toMatchObject({
      name: 'MalformedPolicy',
    });
  });

  test.each([
    [{}, true],
    [{ Principal: { AWS: 'arn:aws:iam::123456789012:root' } }, false],
    [{ Effect: 'Deny', Action: 's3:ListBucket' }, false],
    [{ Condition: { IpAddress: { 'aws:SourceIp': '10.0.0.0/8' } } }, false],
    [{ Condition: { IpAddress: { 'aws:SourceIp': ['10.0.0.0/8', '0.0.0.0/1'] } } }, true],
    [{ Condition: { IpAddress: { 'aws:SourceIp': '::/0' } } }, true],
    [{ Condition: { NotIpAddress: { 'aws:SourceIp': '10.0.0.0/8' } } }, true],
    [{ Condition: { StringEquals: { 'aws:PrincipalAccount': '123456789012' } } }, false],
    [{ Condition: { StringLike: { 'aws:PrincipalArn': '*' } } }, true],
    [{ Condition: { StringEquals: { 's3:prefix': 'x' } } }, true],
    [{ NotPrincipal: { AWS: '123456789012' }, Principal: undefined }, true],
  ])('with %j is public: %j', async (statement, IsPublic) => {
    await alice.send(new PutBucketPolicyCommand({ Bucket, Policy: policyWith(statement) }));
    const { PolicyStatus } = await alice.send(new GetBucketPolicyStatusCommand({ Bucket }));
    expect(PolicyStatus).toEqual({ IsPublic });
  });

  test('status tells of lists too', async () => {
    expect((await alice.send(new GetBucketPolicyStatusCommand({ Bucket }))).PolicyStatus?.IsPublic).toBe(false);
    await alice.send(new PutBucketAclCommand({ Bucket, ACL: 'authenticated-read' }));
    expect((await alice.send(new GetBucketPolicyStatusCommand({ Bucket }))).PolicyStatus?.IsPublic).toBe(true);
  });
});

describe('a public access block', () => {
  const all = { BlockPublicAcls: true, IgnorePublicAcls: true, BlockPublicPolicy: true, RestrictPublicBuckets: true };

  test('is set, told and taken away', async () => {
    const none = { name: 'NoSuchPublicAccessBlockConfiguration' };
    await expect(alice.send(new GetPublicAccessBlockCommand({ Bucket }))).rejects.toMatchObject(none);
    const PublicAccessBlockConfiguration = { ...all, IgnorePublicAcls: false };
    await alice.send(new PutPublicAccessBlockCommand({ Bucket, PublicAccessBlockConfiguration }));
    expect(await alice.send(new GetPublicAccessBlockCommand({ Bucket }))).toMatchObject({ PublicAccessBlockConfiguration });
    await alice.send(new DeletePublicAccessBlockCommand({ Bucket }));
    await expect(alice.send(new GetPublicAccessBlockCommand({ Bucket }))).rejects.toMatchObject(none);
  });

  test('refuses what would be public, and lets what is so count for nothing', async () => {
    await put('key');
    await alice.send(new PutBucketAclCommand({ Bucket, GrantReadACP: 'uri=http://acs.amazonaws.com/groups/global/AllUsers' }));
    await nobody.send(new GetBucketAclCommand({ Bucket }));
    await alice.send(new PutPublicAccessBlockCommand({ Bucket, PublicAccessBlockConfiguration: all }));
    await expect(nobody.send(new GetBucketAclCommand({ Bucket }))).rejects.toMatchObject(denied);
    await expect(alice.send(new PutBucketAclCommand({ Bucket, ACL: 'public-read' }))).rejects.toMatchObject(denied);
    await expect(alice.send(new PutObjectAclCommand({ Bucket, Key: 'key', ACL: 'public-read' }))).rejects.toMatchObject(denied);
    await expect(alice.send(new PutBucketPolicyCommand({ Bucket, Policy: policyWith({}) }))).rejects.toMatchObject(denied);
    const Principal = { AWS: bobAccount.accountNumber };
    await alice.send(new PutBucketPolicyCommand({ Bucket, Policy: policyWith({ Principal }) }));
    await bob.send(new GetBucketAclCommand({ Bucket }));
  });
});

describe('ownership', () => {
  const controls = (ObjectOwnership: 'BucketOwnerEnforced' | 'BucketOwnerPreferred' | 'ObjectWriter') => ({
    Bucket,
    OwnershipControls: { Rules: [{ ObjectOwnership }] },
  });

  test('is set, told and taken away', async () => {
    const none = { name: 'OwnershipControlsNotFoundError' };
    await expect(alice.send(new GetBucketOwnershipControlsCommand({ Bucket }))).rejects.toMatchObject(none);
    await alice.send(new PutBucketOwnershipControlsCommand(controls('BucketOwnerPreferred')));
    expect(await alice.send(new GetBucketOwnershipControlsCommand({ Bucket }))).toMatchObject({
      OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerPreferred' }] },
    });
    await alice.send(new DeleteBucketOwnershipControlsCommand({ Bucket }));
    await expect(alice.send(new GetBucketOwnershipControlsCommand({ Bucket }))).rejects.toMatchObject(none);
  });

  test('that is enforced makes all the bucket owner’s, and lists void', async () => {
    await put('of-bob', bobAccount.id);
    await bob.send(new PutObjectAclCommand({ Bucket, Key: 'of-bob', ACL: 'public-read' }));
    await alice.send(new PutBucketAclCommand({ Bucket, ACL: 'public-read' }));
    await expect(alice.send(new PutBucketOwnershipControlsCommand(controls('BucketOwnerEnforced')))).rejects.toMatchObject({
      name: 'InvalidBucketAclWithObjectOwnership',
    });
    await alice.send(new PutBucketAclCommand({ Bucket, ACL: 'private' }));
    await alice.send(new PutBucketOwnershipControlsCommand(controls('BucketOwnerEnforced')));
    await expect(bob.send(new GetObjectAclCommand({ Bucket, Key: 'of-bob' }))).rejects.toMatchObject(denied);
    const { Owner, Grants } = await alice.send(new GetObjectAclCommand({ Bucket, Key: 'of-bob' }));
    expect([Owner?.ID, Grants?.length]).toEqual([aliceAccount.canonicalId, 1]);
    const refused = { name: 'AccessControlListNotSupported' };
    await expect(alice.send(new PutBucketAclCommand({ Bucket, ACL: 'private' }))).rejects.toMatchObject(refused);
    await expect(alice.send(new PutObjectAclCommand({ Bucket, Key: 'of-bob', ACL: 'private' }))).rejects.toMatchObject(refused);
  });
});
