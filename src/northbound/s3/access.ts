/**
 * Who may do what: asked by each operation before it does anything, and before it reads a body.
 *
 * A policy of the bucket that denies goes before everything. The account that owns the bucket may do all, as may its users, who have no policies
 * of their own; but an object that another account put there is that account's. Others may what the policy allows, or a list grants.
 */
import type { BucketRecord } from '../../catalog/object_records.js';
import { aclAllows, type Permission } from '../../identity/acl.js';
import { evaluatePolicy, type PolicyVerdict } from '../../identity/policy_evaluation.js';
import type { Buckets } from '../../object/buckets.js';
import type { Version } from '../../object/object_version.js';
import { bucketAcl, parseAcl } from './acl_document.js';
import { BucketPolicies, type KnownPolicy } from './bucket_policies.js';
import type { S3ErrorCode } from './error_codes.js';
import type { Exchange } from './exchange.js';
import { S3Failure } from './errors.js';
import { objectOwnership } from './object_ownership.js';
import { publicAccessBlock, withoutPublicGrants } from './public_access.js';
import { requestContext } from './request_context.js';

/** One thing that a request wants. A request may want several: a copy reads and writes. */
export interface Wanted {
  /** Of the policy language: `s3:GetObject`. */
  readonly action: string;
  readonly bucket: BucketRecord;
  /** null: the bucket itself is meant. */
  readonly key: string | null;
  /** The grant that would do as well, and of whose list. `owner`: no list grants it. See wantedOf() for an object that is there. */
  readonly grant:
    | { readonly of: 'bucket'; readonly permission: Permission }
    | { readonly of: 'object'; readonly permission: Permission; readonly acl: string; readonly owner: number }
    | { readonly of: 'owner' };
  /** Keys for conditions that the request does not have by itself: `s3:ExistingObjectTag/NAME`. */
  readonly context?: Readonly<Record<string, string | readonly string[]>>;
  /** It is what a copy reads: x-amz-source-expected-bucket-owner is about it. */
  readonly source?: boolean;
}

export interface AccessOptions {
  readonly buckets: Pick<Buckets, 'document'>;
}

/** What the root user of the owner may whatever the policy says: else nobody could mend it. */
const policyActions = new Set(['s3:GetBucketPolicy', 's3:PutBucketPolicy', 's3:DeleteBucketPolicy']);

export class Access {
  readonly #options: AccessOptions;
  readonly #policies: BucketPolicies;

  constructor(options: AccessOptions) {
    this.#options = options;
    this.#policies = new BucketPolicies(options.buckets);
  }

  /** @throws S3Failure AccessDenied, also where the bucket is not that of the account which the request expects */
  async require(exchange: Exchange, wanted: Wanted): Promise<void> {
    if (expectedOwner(exchange, wanted) !== undefined) await this.#checkExpectedOwner(exchange, wanted);
    if (!(await this.allows(exchange, wanted))) throw new S3Failure('AccessDenied');
  }

  /**
   * Asked of what comes along with something that is allowed, and needs no leave of its own: a policy may still forbid it.
   * @throws S3Failure AccessDenied where one does
   */
  async refuseDenied(exchange: Exchange, wanted: Omit<Wanted, 'grant'>): Promise<void> {
    const policy = await this.#policies.of(wanted.bucket.name);
    const verdict = policy === null ? 'none' : this.#verdict(policy, exchange, { ...wanted, grant: { of: 'owner' } });
    if (verdict === 'deny') throw new S3Failure('AccessDenied');
  }

  async allows(exchange: Exchange, wanted: Wanted): Promise<boolean> {
    const { bucket, grant } = wanted;
    const policy = await this.#policies.of(bucket.name);
    const verdict = policy === null ? 'none' : this.#verdict(policy, exchange, wanted);
    const caller = exchange.caller?.principal ?? null;
    const ofAccount = caller !== null && caller.account === bucket.account;
    if (verdict === 'deny') return ofAccount && caller.root && policyActions.has(wanted.action);
    const owner = ownerOf(wanted) ?? (await this.#givenOwner(wanted));
    if (caller?.account === owner) return true;
    // Of objects of other accounts their lists alone tell, also to the bucket's owner.
    if (verdict === 'allow' && owner === bucket.account && !(await this.#restricted(bucket.name, policy))) return true;
    return grant.of !== 'owner' && (await this.#granted(exchange, wanted));
  }

  /**
   * What to answer where there is no object `key`, or no such version, that the request is for: only who may list the bucket, or what begins
   * with that key, learns that. Throw it; the access to the object itself is not asked for before.
   */
  async missing(exchange: Exchange, bucket: BucketRecord, key: string, code: S3ErrorCode = 'NoSuchKey'): Promise<S3Failure> {
    const wanted: Wanted = {
      action: 's3:ListBucket',
      bucket,
      key: null,
      grant: { of: 'bucket', permission: 'READ' },
      context: { 's3:prefix': key },
    };
    await this.#checkExpectedOwner(exchange, wanted);
    return (await this.allows(exchange, wanted)) ? new S3Failure(code) : new S3Failure('AccessDenied');
  }

  #verdict({ policy }: KnownPolicy, exchange: Exchange, { action, bucket, key, context }: Wanted): PolicyVerdict {
    const resource = `arn:aws:s3:::${bucket.name}${key === null ? '' : `/${key}`}`;
    const requester = exchange.caller?.principal ?? null;
    return evaluatePolicy(policy, { requester, action, resource, context: requestContext(exchange, context) });
  }

  /** Of an object that another account brought: an account. */
  async #givenOwner({ bucket, grant }: Wanted): Promise<number> {
    return grant.of !== 'object' || (await this.#enforced(bucket.name)) ? bucket.account : grant.owner;
  }

  async #granted({ caller }: Exchange, { bucket, grant }: Wanted): Promise<boolean> {
    if (grant.of === 'owner') return false;
    const text = grant.of === 'object' ? grant.acl : await bucketAcl(this.#options.buckets, bucket.name);
    // One that nobody set grants the owner all, who was judged, and others nothing.
    if (text === '' || (await this.#enforced(bucket.name))) return false;
    const { ignorePublicAcls } = await publicAccessBlock(this.#options.buckets, bucket.name);
    const acl = parseAcl(text);
    return aclAllows(ignorePublicAcls ? withoutPublicGrants(acl) : acl, caller?.principal.canonicalId ?? null, grant.permission);
  }

  async #enforced(bucket: string): Promise<boolean> {
    return (await objectOwnership(this.#options.buckets, bucket)) === 'BucketOwnerEnforced';
  }

  async #restricted(bucket: string, policy: KnownPolicy | null): Promise<boolean> {
    if (policy === null || !policy.public) return false;
    return (await publicAccessBlock(this.#options.buckets, bucket)).restrictPublicBuckets;
  }

  async #checkExpectedOwner(exchange: Exchange, wanted: Wanted): Promise<void> {
    const expected = expectedOwner(exchange, wanted);
    if (expected === undefined) return;
    const { accountNumber } = await exchange.services.accounts.get(wanted.bucket.account);
    // What is no account's number is nobody's bucket.
    if (accountNumber !== expected) throw new S3Failure('AccessDenied');
  }
}

function expectedOwner({ request }: Exchange, { source = false }: Wanted): string | undefined {
  return request.headers.get(source ? 'x-amz-source-expected-bucket-owner' : 'x-amz-expected-bucket-owner');
}

/** Of what is wanted: an account; null where that of the bucket may not be meant. */
function ownerOf({ bucket, grant }: Wanted): number | null {
  return grant.of !== 'object' || grant.owner === bucket.account ? bucket.account : null;
}

/** What is wanted of an object that is there: its list counts, its owner, and its tags in conditions. */
export function wantedOf(
  { key, attributes }: Pick<Version, 'key' | 'attributes'>,
  wanted: { readonly action: string; readonly bucket: BucketRecord; readonly permission: Permission; readonly source?: boolean },
): Wanted {
  const { permission, ...rest } = wanted;
  const { acl, owner, tags } = attributes;
  const context = Object.fromEntries(Object.entries(tags).map(([name, value]) => [`s3:ExistingObjectTag/${name}`, value]));
  return { ...rest, key, grant: { of: 'object', permission, acl, owner }, context };
}
