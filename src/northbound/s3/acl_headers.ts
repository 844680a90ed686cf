/** Access control lists that a request gives in its headers: a canned one, or grants. */
import {
  cannedAcl,
  checkAcl,
  groups,
  isCannedAcl,
  type Acl,
  type Grant,
  type Grantee,
  type Group,
  type Permission,
} from '../../identity/acl.js';
import { encodeAcl } from './acl_document.js';
import { S3Failure } from './errors.js';
import type { Exchange } from './exchange.js';
import { objectOwnership } from './object_ownership.js';
import { isPublicAcl, publicAccessBlock } from './public_access.js';
import type { S3Request } from './request.js';

const group_uri_prefix = 'http://acs.amazonaws.com/groups/';

const groupPaths: Readonly<Record<Group, string>> = {
  AllUsers: 'global/AllUsers',
  AuthenticatedUsers: 'global/AuthenticatedUsers',
  LogDelivery: 's3/LogDelivery',
};

const grantHeaders: readonly (readonly [header: string, permission: Permission])[] = [
  ['x-amz-grant-read', 'READ'],
  ['x-amz-grant-write', 'WRITE'],
  ['x-amz-grant-read-acp', 'READ_ACP'],
  ['x-amz-grant-write-acp', 'WRITE_ACP'],
  ['x-amz-grant-full-control', 'FULL_CONTROL'],
];

export interface AclOwner {
  /** 64 hexadecimal digits. */
  readonly canonicalId: string;
}

/**
 * The text that is kept in Attributes.acl; '' where no header says anything, or where the bucket takes no lists and the one that is given says
 * what holds anyway. Of a bucket that is made it is the text of its own list.
 * @throws S3Failure AccessControlListNotSupported, AccessDenied where public lists are blocked; as givenAcl()
 */
export async function aclOfHeaders(exchange: Exchange, owner: AclOwner, bucketOwner: AclOwner): Promise<string> {
  if (!saysAcl(exchange.request)) return '';
  const acl = await givenAcl(exchange, owner, bucketOwner);
  if (acl === null) return '';
  const { address, request, services } = exchange;
  if (address.key === null || address.bucket === null) return encodeAcl(acl);
  const { buckets } = services.store;
  if ((await objectOwnership(buckets, address.bucket)) === 'BucketOwnerEnforced') {
    if (request.headers.get('x-amz-acl') === 'bucket-owner-full-control') return '';
    throw new S3Failure('AccessControlListNotSupported');
  }
  await refusePublic(exchange, address.bucket, acl);
  return encodeAcl(acl);
}

/** @throws S3Failure AccessDenied where the list is public, and the bucket blocks those that are */
export async function refusePublic({ services }: Exchange, bucket: string, acl: Acl): Promise<void> {
  if (!isPublicAcl(acl)) return;
  const { blockPublicAcls } = await publicAccessBlock(services.store.buckets, bucket);
  if (blockPublicAcls) throw new S3Failure('AccessDenied');
}

/** null: no header says anything. @throws S3Failure InvalidRequest, InvalidArgument, UnresolvableGrantByEmailAddress */
export async function givenAcl(exchange: Exchange, owner: AclOwner, bucketOwner: AclOwner): Promise<Acl | null> {
  const { headers } = exchange.request;
  const canned = headers.get('x-amz-acl');
  const given = grantHeaders.filter(([header]) => headers.has(header));
  if (canned !== undefined && given.length > 0)
    throw new S3Failure('InvalidRequest', 'Specifying both Canned ACLs and Header Grants is not allowed');
  if (canned !== undefined) {
    if (!isCannedAcl(canned)) throw invalidArgument('x-amz-acl', canned, 'The canned ACL is none that there is');
    return cannedAcl(canned, { owner: owner.canonicalId, bucketOwner: bucketOwner.canonicalId });
  }
  if (given.length === 0) return null;
  const grants: Grant[] = [];
  for (const [header, permission] of given)
    for (const grantee of granteesOf(header, headers.get(header) ?? '')) {
      await checkGrantee(exchange, grantee);
      grants.push({ grantee, permission });
    }
  return checked({ owner: owner.canonicalId, grants });
}

export function saysAcl({ headers }: S3Request): boolean {
  return headers.has('x-amz-acl') || grantHeaders.some(([header]) => headers.has(header));
}

/** @throws S3Failure MalformedACLError for more grants than there may be */
export function checked(acl: Acl): Acl {
  try {
    return checkAcl(acl);
  } catch (cause) {
    throw new S3Failure('MalformedACLError', undefined, { cause });
  }
}

export function uriOfGroup(group: Group): string {
  return group_uri_prefix + groupPaths[group];
}

/** @throws S3Failure InvalidArgument */
export function groupOfUri(uri: string): Group {
  const group = groups.find((each) => uriOfGroup(each) === uri);
  if (group === undefined) throw invalidArgument('uri', uri, 'Invalid group uri');
  return group;
}

/** @throws S3Failure InvalidArgument where there is no such account */
export async function checkGrantee({ services }: Exchange, grantee: Grantee): Promise<void> {
  if (grantee.kind !== 'account') return;
  const { canonicalId } = grantee;
  const known = /^[0-9a-f]{64}$/.test(canonicalId) && (await services.accounts.byCanonicalId(canonicalId)) !== null;
  if (!known) throw invalidArgument('CanonicalUser/ID', canonicalId, 'Invalid id');
}

/** `id="...", uri="..."`, as many as there are. Quotes may be left out. */
function granteesOf(header: string, value: string): Grantee[] {
  return value.split(',').map((part) => {
    const [, kind = '', quoted, bare] = /^\s*(id|uri|emailAddress)\s*=\s*(?:"([^"]*)"|([^"\s]*))\s*$/i.exec(part) ?? [];
    const name = quoted ?? bare ?? '';
    switch (kind.toLowerCase()) {
      case 'id':
        return { kind: 'account', canonicalId: name };
      case 'uri':
        return { kind: 'group', group: groupOfUri(name) };
      case 'emailaddress':
        // Accounts have no addresses here.
        throw new S3Failure('UnresolvableGrantByEmailAddress');
      default:
        throw invalidArgument(header, value, 'Argument format not recognized');
    }
  });
}

function invalidArgument(name: string, value: string, message: string): S3Failure {
  return new S3Failure('InvalidArgument', message, { details: { ArgumentName: name, ArgumentValue: value } });
}
