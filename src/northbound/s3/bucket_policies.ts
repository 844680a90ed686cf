/** Policies of buckets, parsed. What was parsed is found again by its text: so one that has changed is never judged by. */
import type { Buckets } from '../../object/buckets.js';
import { SkerryError } from '../../core/errors.js';
import { parsePolicy, type Policy } from '../../identity/policy_document.js';
import { isPublicPolicy } from './public_access.js';

export const policy_kind = 'policy';
/** Of texts that have 20 KiB at most. */
const known_policies_max = 256;

export interface KnownPolicy {
  /** As it was put. */
  readonly text: string;
  readonly policy: Policy;
  /** It allows something to anyone. */
  readonly public: boolean;
}

export class BucketPolicies {
  readonly #buckets: Pick<Buckets, 'document'>;
  /** By text; what was asked for last is last. */
  readonly #known = new Map<string, KnownPolicy>();

  constructor(buckets: Pick<Buckets, 'document'>) {
    this.#buckets = buckets;
  }

  /** null where there is none. One that cannot be read denies everything. @throws SkerryError not-found (no-such-bucket) */
  async of(bucket: string): Promise<KnownPolicy | null> {
    const bytes = await this.#buckets.document(bucket, policy_kind);
    if (bytes === null) return null;
    const text = Buffer.from(bytes).toString('utf8');
    const known = this.#known.get(text) ?? readable(text);
    this.#known.delete(text);
    this.#known.set(text, known);
    const [oldest] = this.#known.keys();
    if (this.#known.size > known_policies_max && oldest !== undefined) this.#known.delete(oldest);
    return known;
  }
}

/** @throws SkerryError invalid, too-large */
export function knownPolicy(text: string): KnownPolicy {
  const policy = parsePolicy(text);
  return { text, policy, public: isPublicPolicy(policy) };
}

/** What a newer version took as a policy may deny what this one cannot read. The owner's root user can replace it. */
function readable(text: string): KnownPolicy {
  try {
    return knownPolicy(text);
  } catch (error) {
    if (!(error instanceof SkerryError)) throw error;
    return { ...knownPolicy(denies_all), text };
  }
}

const denies_all = JSON.stringify({ Statement: { Effect: 'Deny', Principal: '*', Action: '*', Resource: '*' } });
