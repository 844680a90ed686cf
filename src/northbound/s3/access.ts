/** Who may do what: asked by each operation before it does anything, and before it reads a body. */
import type { BucketRecord } from '../../catalog/object_records.js';
import type { Permission } from '../../identity/acl.js';
import type { Buckets } from '../../object/buckets.js';
import type { Exchange } from './exchange.js';
import { S3Failure } from './errors.js';

/** One thing that a request wants. A request may want several: a copy reads and writes. */
export interface Wanted {
  /** Of the policy language: `s3:GetObject`. */
  readonly action: string;
  readonly bucket: BucketRecord;
  /** null: the bucket itself is meant. */
  readonly key: string | null;
  /**
   * The grant that would do as well, and of whose list. `owner`: no list grants it. Of an object whose version is there give its list and
   * its owner: `object` without them stands for one that is not there.
   */
  readonly grant:
    | { readonly of: 'bucket'; readonly permission: Permission }
    | { readonly of: 'object'; readonly permission: Permission; readonly acl: string; readonly owner: number }
    | { readonly of: 'owner' };
  /** Keys for conditions: `s3:prefix`, `s3:x-amz-acl`, `s3:ExistingObjectTag/NAME`. */
  readonly context?: Readonly<Record<string, string | readonly string[]>>;
}

export interface AccessOptions {
  readonly buckets: Pick<Buckets, 'document'>;
}

export class Access {
  readonly #options: AccessOptions;

  constructor(options: AccessOptions) {
    this.#options = options;
  }

  /** @throws S3Failure AccessDenied */
  async require(exchange: Exchange, wanted: Wanted): Promise<void> {
    if (!(await this.allows(exchange, wanted))) throw new S3Failure('AccessDenied');
  }

  async allows({ caller }: Exchange, { bucket }: Wanted): Promise<boolean> {
    void this.#options;
    return caller !== null && caller.principal.account === bucket.account;
  }
}
