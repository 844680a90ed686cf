import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';

import type { BucketRecord } from '../../../../src/catalog/object_records.ts';
import { cannedAcl, permissions, type Acl, type Grant, type Permission } from '../../../../src/identity/acl.ts';
import type { Wanted } from '../../../../src/northbound/s3/access.ts';
import { encodeAcl, setBucketAcl } from '../../../../src/northbound/s3/acl_document.ts';
import { writeDocument } from '../../../../src/northbound/s3/bucket_documents.ts';
import { policy_kind } from '../../../../src/northbound/s3/bucket_policies.ts';
import { objectOwnerships, ownershipDocument, type ObjectOwnership } from '../../../../src/northbound/s3/object_ownership.ts';
import { publicAccessDocument, type PublicAccessBlock } from '../../../../src/northbound/s3/public_access.ts';
import { AccessWorld, accountNumberOf, accountOf, canonicalIdOf, everyone, type Who } from './access_world.ts';

let world: AccessWorld;
let bucket: BucketRecord;
beforeAll(async () => {
  world = await AccessWorld.open();
  bucket = await world.bucket('bucket');
});

interface Settings {
  readonly policy: readonly { readonly deny: boolean; readonly whom: Who | 'anyone'; readonly action: string }[];
  readonly bucketAcl: readonly Grant[] | null;
  readonly objectAcl: readonly Grant[] | null;
  readonly objectOwner: 1 | 2;
  readonly ownership: ObjectOwnership | null;
  readonly block: PublicAccessBlock | null;
}

interface Ask {
  readonly who: Who;
  readonly action: string;
  readonly grant: { readonly of: 'bucket' | 'object' | 'owner'; readonly permission: Permission };
}

const grants = fc.array(
  fc.record({
    grantee: fc.oneof(
      fc.constantFrom(1, 2, 3).map((account) => ({ kind: 'account' as const, canonicalId: canonicalIdOf(account) })),
      fc.constantFrom('AllUsers' as const, 'AuthenticatedUsers' as const).map((group) => ({ kind: 'group' as const, group })),
    ),
    permission: fc.constantFrom(...permissions),
  }),
  { maxLength: 3 },
);
const actions = ['s3:GetObject', 's3:PutObject', 's3:PutBucketPolicy'];
const settings: fc.Arbitrary<Settings> = fc.record({
  policy: fc.array(
    fc.record({
      deny: fc.boolean(),
      whom: fc.constantFrom(...everyone.filter((who) => who !== 'nobody'), 'anyone' as const),
      action: fc.constantFrom(...actions),
    }),
    { maxLength: 3 },
  ),
  bucketAcl: fc.option(grants),
  objectAcl: fc.option(grants),
  objectOwner: fc.constantFrom(1, 2),
  ownership: fc.option(fc.constantFrom(...objectOwnerships)),
  block: fc.option(
    fc.record({
      blockPublicAcls: fc.boolean(),
      ignorePublicAcls: fc.boolean(),
      blockPublicPolicy: fc.boolean(),
      restrictPublicBuckets: fc.boolean(),
    }),
  ),
});
const ask: fc.Arbitrary<Ask> = fc.record({
  who: fc.constantFrom(...everyone),
  action: fc.constantFrom(...actions),
  grant: fc.record({ of: fc.constantFrom('bucket', 'object', 'owner'), permission: fc.constantFrom(...permissions) }),
});

/** The rules once more, as sentences and not as steps. */
function expected(
  { policy, bucketAcl, objectAcl, objectOwner, ownership, block }: Settings,
  { who, action, grant }: Ask,
): boolean {
  const account = accountOf[who];
  const meant = policy.filter((one) => one.action === action && (one.whom === 'anyone' || names(one.whom, who)));
  const exempt = who === 'owner' && action === 's3:PutBucketPolicy';
  const denied = meant.some(({ deny }) => deny) && !exempt;
  const enforced = ownership === 'BucketOwnerEnforced';
  const ownedBy = grant.of === 'object' && !enforced ? objectOwner : 1;
  const owns = account === ownedBy;
  const publicPolicy = policy.some(({ deny, whom }) => !deny && whom === 'anyone');
  const restricted = block?.restrictPublicBuckets === true && publicPolicy;
  const allowed = ownedBy === 1 && !restricted && meant.some(({ deny }) => !deny) && !meant.some(({ deny }) => deny);
  const list = grant.of === 'owner' || enforced ? null : grant.of === 'object' ? objectAcl : bucketAcl;
  const granted = (list ?? []).some(({ grantee, permission }) => {
    if (permission !== grant.permission && permission !== 'FULL_CONTROL') return false;
    if (grantee.kind === 'account') return account !== 0 && grantee.canonicalId === canonicalIdOf(account);
    return block?.ignorePublicAcls !== true && (grantee.group === 'AllUsers' || account !== 0);
  });
  // Who is the owner of a list may mend it, whatever it says.
  const listOwner = grant.of === 'object' ? objectOwner : 1;
  const mends = list !== null && account === listOwner && grant.permission.endsWith('_ACP');
  return !denied && (owns || allowed || granted || mends || (meant.some(({ deny }) => deny) && exempt));
}

function names(whom: Who, who: Who): boolean {
  return whom === 'owner-user' ? who === 'owner-user' : accountOf[whom] === accountOf[who];
}

function principal(whom: Who | 'anyone'): string {
  if (whom === 'anyone') return '*';
  return `arn:aws:iam::${accountNumberOf(accountOf[whom])}:${whom === 'owner-user' ? 'user/ursula' : 'root'}`;
}

async function apply({ policy, bucketAcl, ownership, block }: Settings): Promise<void> {
  const { buckets } = world;
  const Statement = policy.map(({ deny, whom, action }) => ({
    Effect: deny ? 'Deny' : 'Allow',
    Principal: { AWS: principal(whom) },
    Action: action,
    Resource: '*',
  }));
  const text = policy.length === 0 ? null : Buffer.from(JSON.stringify({ Version: '2012-10-17', Statement }));
  await buckets.setDocument('bucket', policy_kind, text);
  await setBucketAcl(buckets, 'bucket', bucketAcl === null ? '' : encodeAcl({ owner: canonicalIdOf(1), grants: bucketAcl }));
  await writeDocument(buckets, 'bucket', ownershipDocument, ownership);
  await writeDocument(buckets, 'bucket', publicAccessDocument, block);
}

function wantedFor({ objectAcl, objectOwner }: Settings, { action, grant }: Ask): Wanted {
  const acl = objectAcl === null ? '' : encodeAcl({ owner: canonicalIdOf(objectOwner), grants: objectAcl });
  if (grant.of === 'object')
    return { action, bucket, key: 'key', grant: { of: 'object', permission: grant.permission, acl, owner: objectOwner } };
  if (grant.of === 'bucket') return { action, bucket, key: null, grant: { of: 'bucket', permission: grant.permission } };
  return { action, bucket, key: null, grant: { of: 'owner' } };
}

describe('access', () => {
  it('is what policy, lists, ownership and blocks say together, whatever they are', async () => {
    await fc.assert(
      fc.asyncProperty(settings, fc.array(ask, { minLength: 1, maxLength: 12 }), async (given, asks) => {
        await apply(given);
        for (const one of asks) {
          const judged = await world.access.allows(world.exchange(one.who), wantedFor(given, one));
          expect(judged, JSON.stringify(one)).toBe(expected(given, one));
        }
      }),
      { numRuns: 400 },
    );
  });

  it('of a policy that was changed is judged by what it is now', async () => {
    const other = await world.bucket('changing');
    const wanted: Wanted = { action: 's3:ListBucket', bucket: other, key: null, grant: { of: 'owner' } };
    const put = (Effect: string): Promise<void> =>
      world.buckets.setDocument(
        'changing',
        policy_kind,
        Buffer.from(JSON.stringify({ Statement: { Effect, Principal: '*', Action: 's3:ListBucket', Resource: '*' } })),
      );
    for (const effect of ['Allow', 'Deny', 'Allow', 'Allow', 'Deny']) {
      await put(effect);
      expect(await world.access.allows(world.exchange('stranger'), wanted)).toBe(effect === 'Allow');
      expect(await world.access.allows(world.exchange('owner'), wanted)).toBe(effect === 'Allow');
    }
  });

  it('of a policy that cannot be read is nobody’s, and the root user of the owner may replace it', async () => {
    const other = await world.bucket('unreadable');
    await world.buckets.setDocument(other.name, policy_kind, Buffer.from('{"Version":"2099-01-01"}'));
    const allows = (who: Who, action: string): Promise<boolean> =>
      world.access.allows(world.exchange(who), { action, bucket: other, key: null, grant: { of: 'owner' } });
    for (const who of everyone) expect(await allows(who, 's3:ListBucket'), who).toBe(false);
    for (const who of everyone) expect(await allows(who, 's3:PutBucketPolicy'), who).toBe(who === 'owner');
  });

  it.each([
    ['s3:prefix', 'StringEquals', 'a/', { query: '?prefix=a/' }, { query: '?prefix=b/' }],
    ['s3:max-keys', 'NumericLessThanEquals', '10', { query: '?max-keys=10' }, { query: '?max-keys=11' }],
    [
      's3:x-amz-acl',
      'StringEquals',
      'private',
      { headers: { 'x-amz-acl': 'private' } },
      { headers: { 'x-amz-acl': 'public-read' } },
    ],
    [
      's3:RequestObjectTag/team',
      'StringEquals',
      'a b',
      { headers: { 'x-amz-tagging': 'team=a+b&x=y' } },
      { headers: { 'x-amz-tagging': 'team=ab' } },
    ],
    ['aws:Referer', 'StringLike', 'http://a.test/*', { headers: { Referer: 'http://a.test/x' } }, { headers: {} }],
    ['aws:UserAgent', 'StringEquals', 'x', { headers: { 'User-Agent': 'x' } }, { headers: { 'User-Agent': 'y' } }],
    ['s3:x-amz-copy-source', 'StringLike', 'a/*', { headers: { 'x-amz-copy-source': 'a/b' } }, { headers: {} }],
  ])('conditions see %s', async (key, operator, value, fits, differs) => {
    const other = await world.bucket(`conditions-${Math.random().toString(36).slice(2)}`);
    const Statement = {
      Effect: 'Allow',
      Principal: '*',
      Action: 's3:*',
      Resource: '*',
      Condition: { [operator]: { [key]: value } },
    };
    await world.buckets.setDocument(other.name, policy_kind, Buffer.from(JSON.stringify({ Statement })));
    const wanted: Wanted = { action: 's3:Anything', bucket: other, key: 'key', grant: { of: 'owner' } };
    expect(await world.access.allows(world.exchange('stranger', fits), wanted)).toBe(true);
    expect(await world.access.allows(world.exchange('stranger', differs), wanted)).toBe(false);
  });

  it('tells an IPv4 client by its IPv4 address', async () => {
    const other = await world.bucket('addresses');
    const Statement = {
      Effect: 'Allow',
      Principal: '*',
      Action: 's3:*',
      Resource: '*',
      Condition: { IpAddress: { 'aws:SourceIp': '192.0.2.0/24' } },
    };
    await world.buckets.setDocument(other.name, policy_kind, Buffer.from(JSON.stringify({ Statement })));
    const wanted: Wanted = { action: 's3:ListBucket', bucket: other, key: null, grant: { of: 'owner' } };
    expect(await world.access.allows(world.exchange('nobody'), wanted)).toBe(true);
  });

  it('is refused where the request expects another owner of the bucket', async () => {
    const wanted: Wanted = { action: 's3:ListBucket', bucket, key: null, grant: { of: 'owner' } };
    await apply({ policy: [], bucketAcl: null, objectAcl: null, objectOwner: 1, ownership: null, block: null });
    const expecting = (account: string) => world.exchange('owner', { headers: { 'x-amz-expected-bucket-owner': account } });
    await world.access.require(expecting(accountNumberOf(1)), wanted);
    await expect(world.access.require(expecting(accountNumberOf(2)), wanted)).rejects.toMatchObject({ s3Code: 'AccessDenied' });
    await expect(world.access.require(expecting('me'), wanted)).rejects.toMatchObject({ s3Code: 'AccessDenied' });
    // What a copy reads has an owner of its own.
    await world.access.require(expecting(accountNumberOf(2)), { ...wanted, source: true });
  });

  it('tells that a key is not there only to who may list the bucket', async () => {
    const all: Acl = cannedAcl('public-read', { owner: canonicalIdOf(1), bucketOwner: canonicalIdOf(1) });
    await setBucketAcl(world.buckets, 'bucket', '');
    expect(await world.access.missing(world.exchange('stranger'), bucket, 'key')).toMatchObject({ s3Code: 'AccessDenied' });
    expect(await world.access.missing(world.exchange('owner'), bucket, 'key')).toMatchObject({ s3Code: 'NoSuchKey' });
    await setBucketAcl(world.buckets, 'bucket', encodeAcl(all));
    expect(await world.access.missing(world.exchange('nobody'), bucket, 'key')).toMatchObject({ s3Code: 'NoSuchKey' });
    const other = await world.bucket('prefixes');
    const Condition = { StringLike: { 's3:prefix': 'public/*' } };
    const Statement = { Effect: 'Allow', Principal: '*', Action: 's3:ListBucket', Resource: '*', Condition };
    await world.buckets.setDocument(other.name, policy_kind, Buffer.from(JSON.stringify({ Statement })));
    const code = async (key: string): Promise<string> =>
      (await world.access.missing(world.exchange('stranger'), other, key)).s3Code;
    expect([await code('public/x'), await code('private/x')]).toEqual(['NoSuchKey', 'AccessDenied']);
  });
});
