/** Access control lists: who may do what with a bucket or an object, by grants. */
import { SkerryError } from '../core/errors.js';

export const permissions = ['READ', 'WRITE', 'READ_ACP', 'WRITE_ACP', 'FULL_CONTROL'] as const;
export type Permission = (typeof permissions)[number];

/** AllUsers: also those who sign nothing. AuthenticatedUsers: whoever signs with a key of any account. */
export const groups = ['AllUsers', 'AuthenticatedUsers', 'LogDelivery'] as const;
export type Group = (typeof groups)[number];

export type Grantee =
  | { readonly kind: 'account'; readonly canonicalId: string }
  | { readonly kind: 'group'; readonly group: Group };

export interface Grant {
  readonly grantee: Grantee;
  readonly permission: Permission;
}

export interface Acl {
  /** A canonical id. */
  readonly owner: string;
  readonly grants: readonly Grant[];
}

export const cannedAcls = [
  'private',
  'public-read',
  'public-read-write',
  'authenticated-read',
  'bucket-owner-read',
  'bucket-owner-full-control',
  'log-delivery-write',
] as const;
export type CannedAcl = (typeof cannedAcls)[number];

/** As clients of S3 expect it. */
const grants_max = 100;

export function isCannedAcl(text: string): text is CannedAcl {
  return (cannedAcls as readonly string[]).includes(text);
}

/** What a canned list stands for. `bucketOwner`: of the bucket that an object is put in; for a bucket it is its owner. */
export function cannedAcl(
  canned: CannedAcl,
  { owner, bucketOwner }: { readonly owner: string; readonly bucketOwner: string },
): Acl {
  const own = accountGrant(owner, 'FULL_CONTROL');
  const bucketOwners = (permission: Permission): Grant[] =>
    bucketOwner === owner ? [] : [accountGrant(bucketOwner, permission)];
  const more: Readonly<Record<CannedAcl, readonly Grant[]>> = {
    private: [],
    'public-read': [groupGrant('AllUsers', 'READ')],
    'public-read-write': [groupGrant('AllUsers', 'READ'), groupGrant('AllUsers', 'WRITE')],
    'authenticated-read': [groupGrant('AuthenticatedUsers', 'READ')],
    'bucket-owner-read': bucketOwners('READ'),
    'bucket-owner-full-control': bucketOwners('FULL_CONTROL'),
    'log-delivery-write': [groupGrant('LogDelivery', 'WRITE'), groupGrant('LogDelivery', 'READ_ACP')],
  };
  return { owner, grants: [own, ...more[canned]] };
}

/** @throws SkerryError invalid for more grants than there may be, or what is no canonical id. */
export function checkAcl(acl: Acl): Acl {
  if (acl.grants.length > grants_max)
    throw new SkerryError('invalid', `an access control list has at most ${grants_max} grants, not ${acl.grants.length}`);
  const ids = acl.grants.flatMap(({ grantee }) => (grantee.kind === 'account' ? [grantee.canonicalId] : []));
  for (const id of [acl.owner, ...ids])
    if (!/^[0-9a-f]{64}$/.test(id)) throw new SkerryError('invalid', 'a canonical id has 64 hexadecimal digits');
  return acl;
}

/** `canonicalId`: of the account that signed the request; null: nobody did. */
export function aclAllows({ owner, grants }: Acl, canonicalId: string | null, permission: Permission): boolean {
  // An owner that took every grant from itself can still look at the list, and put that right.
  const administers = permission === 'READ_ACP' || permission === 'WRITE_ACP';
  if (administers && canonicalId === owner) return true;
  return grants.some((grant) => {
    if (grant.permission !== permission && grant.permission !== 'FULL_CONTROL') return false;
    return grant.grantee.kind === 'account' ? grant.grantee.canonicalId === canonicalId : isIn(grant.grantee.group, canonicalId);
  });
}

function isIn(group: Group, canonicalId: string | null): boolean {
  // What delivers logs is no account: nobody signs as it.
  return group === 'AllUsers' || (group === 'AuthenticatedUsers' && canonicalId !== null);
}

function accountGrant(canonicalId: string, permission: Permission): Grant {
  return { grantee: { kind: 'account', canonicalId }, permission };
}

function groupGrant(group: Group, permission: Permission): Grant {
  return { grantee: { kind: 'group', group }, permission };
}
