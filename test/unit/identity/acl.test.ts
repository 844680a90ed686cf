import fc from 'fast-check';
import { expect, it } from 'vitest';

import { aclAllows, cannedAcl, cannedAcls, checkAcl, permissions, type Acl, type Permission } from '../../../src/identity/acl.js';

const [owner, other, bucketOwner] = ['a', 'b', 'c'].map((digit) => digit.repeat(64)) as [string, string, string];

/** Who may what: of the owner, another account, the bucket's owner, and nobody that signed. */
function granted(acl: Acl): Record<string, string[]> {
  const who = { owner, other, bucketOwner, anonymous: null };
  return Object.fromEntries(
    Object.entries(who).map(([name, id]) => [name, permissions.filter((permission) => aclAllows(acl, id, permission))]),
  );
}

it.each([
  ['private', { other: [], bucketOwner: [], anonymous: [] }],
  ['public-read', { other: ['READ'], bucketOwner: ['READ'], anonymous: ['READ'] }],
  ['public-read-write', { other: ['READ', 'WRITE'], bucketOwner: ['READ', 'WRITE'], anonymous: ['READ', 'WRITE'] }],
  ['authenticated-read', { other: ['READ'], bucketOwner: ['READ'], anonymous: [] }],
  ['bucket-owner-read', { other: [], bucketOwner: ['READ'], anonymous: [] }],
  ['bucket-owner-full-control', { other: [], bucketOwner: [...permissions], anonymous: [] }],
  ['log-delivery-write', { other: [], bucketOwner: [], anonymous: [] }],
] as const)('%s grants what it says', (canned, expected) => {
  const acl = cannedAcl(canned, { owner, bucketOwner });
  expect(granted(acl)).toEqual({ owner: [...permissions], ...expected });
});

it('the owner of a bucket that puts an object there has one grant', () => {
  for (const canned of cannedAcls.filter((name) => name.startsWith('bucket-owner')))
    expect(cannedAcl(canned, { owner, bucketOwner: owner }).grants).toHaveLength(1);
});

it('an owner without a grant can still see and mend the list, and nothing else', () => {
  expect(granted({ owner, grants: [] }).owner).toEqual(['READ_ACP', 'WRITE_ACP']);
});

it('a grant gives its permission and no other, full control all of them', () => {
  const permission = fc.constantFrom(...permissions);
  fc.assert(
    fc.property(permission, permission, (given: Permission, asked: Permission) => {
      const acl: Acl = { owner, grants: [{ grantee: { kind: 'account', canonicalId: other }, permission: given }] };
      expect(aclAllows(acl, other, asked)).toBe(given === asked || given === 'FULL_CONTROL');
      expect(aclAllows(acl, bucketOwner, asked)).toBe(false);
      expect(aclAllows(acl, null, asked)).toBe(false);
    }),
  );
});

it('too many grants, and what is no canonical id, are refused', () => {
  const grant = { grantee: { kind: 'account', canonicalId: other }, permission: 'READ' } as const;
  expect(checkAcl({ owner, grants: Array.from({ length: 100 }, () => grant) }).owner).toBe(owner);
  expect(() => checkAcl({ owner, grants: Array.from({ length: 101 }, () => grant) })).toThrow(/at most 100 grants/);
  expect(() => checkAcl({ owner: 'me', grants: [] })).toThrow(/64 hexadecimal/);
});
