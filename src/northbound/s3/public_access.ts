/** What is public, by lists or by policies, and the settings of a bucket that keep it from being so. */
import { z } from 'zod';

import type { Acl, Grant } from '../../identity/acl.js';
import { holds, type Condition, type PolicyContext } from '../../identity/policy_conditions.js';
import type { Policy, Statement } from '../../identity/policy_document.js';
import { readDocument, type BucketDocuments, type DocumentKind } from './bucket_documents.js';

export interface PublicAccessBlock {
  /** Lists that are public are refused. */
  readonly blockPublicAcls: boolean;
  /** Those that are there count for nothing. */
  readonly ignorePublicAcls: boolean;
  /** Policies that are public are refused. */
  readonly blockPublicPolicy: boolean;
  /** What a public policy allows, it allows within the account only. */
  readonly restrictPublicBuckets: boolean;
}

export const publicAccessDocument: DocumentKind<PublicAccessBlock> = {
  kind: 'public-access-block',
  schema: z.strictObject({
    blockPublicAcls: z.boolean(),
    ignorePublicAcls: z.boolean(),
    blockPublicPolicy: z.boolean(),
    restrictPublicBuckets: z.boolean(),
  }),
};

const blocksNothing: PublicAccessBlock = {
  blockPublicAcls: false,
  ignorePublicAcls: false,
  blockPublicPolicy: false,
  restrictPublicBuckets: false,
};

export async function publicAccessBlock(buckets: Pick<BucketDocuments, 'document'>, bucket: string): Promise<PublicAccessBlock> {
  return (await readDocument(buckets, bucket, publicAccessDocument)) ?? blocksNothing;
}

export function isPublicAcl({ grants }: Acl): boolean {
  return grants.some(isPublicGrant);
}

export function withoutPublicGrants({ owner, grants }: Acl): Acl {
  return { owner, grants: grants.filter((grant) => !isPublicGrant(grant)) };
}

/** Whether it allows something to people that nobody can name. */
export function isPublicPolicy({ statements }: Policy): boolean {
  return statements.some(isPublicStatement);
}

function isPublicGrant({ grantee }: Grant): boolean {
  return grantee.kind === 'group' && grantee.group !== 'LogDelivery';
}

function isPublicStatement({ effect, principals, conditions }: Statement): boolean {
  if (effect !== 'allow') return false;
  const anyone = principals.not || principals.of.some(({ kind }) => kind === 'anyone');
  return anyone && !conditions.some(narrows);
}

/** Keys of which a fixed value says who may come. */
const narrowingKeys = new Set(['aws:principalaccount', 'aws:principalarn', 'aws:userid', 'aws:username', 'aws:sourceip']);

function narrows(condition: Condition): boolean {
  const { key, negated, ifExists, absent, over } = condition;
  if (!narrowingKeys.has(key) || negated || ifExists || absent !== null || over === 'all') return false;
  const accepts = (value: string): boolean => holds(condition, new Map([[key, [value]]]) satisfies PolicyContext) === true;
  if (key !== 'aws:sourceip') return !strangers.some(accepts);
  return !wideNetworks.some((ends) => ends.every(accepts));
}

/** Nobody is called so: what takes them in does so by wildcards. */
const strangers = [
  'stranger-7f3a',
  '000000000000',
  'arn:aws:iam::000000000000:user/stranger-7f3a',
  'stranger-7f3a:stranger-7f3a',
];

/** First and last address of each /7 of IPv4, and of each /4 of IPv6: a range that holds both is open to too many to be known. */
const wideNetworks: readonly (readonly string[])[] = [
  ...Array.from({ length: 128 }, (_, n) => [`${2 * n}.0.0.0`, `${2 * n + 1}.255.255.255`]),
  ...Array.from({ length: 16 }, (_, n) => [`${n.toString(16)}000::`, `${n.toString(16)}fff${':ffff'.repeat(7)}`]),
];
