/**
 * What a bucket holds, as numbers that travel in the transactions which change it. Each transaction has one of several shards for
 * itself while it is under way, so that none conflicts with another; the sum of the shards is what is there.
 */
import type { Catalog, Compare, TransactOutcome, Write } from '../catalog/catalog.js';
import { countedKey } from '../catalog/keys.js';
import { encodeCounted, type CountedRecord } from '../catalog/usage_records.js';
import { SkerryError } from '../core/errors.js';

/** More than these are made one when the daemon starts. */
const shards_kept_max = 8;

/** Bytes as users see them, and objects; a change of it may be below zero. */
export interface Amount {
  readonly bytes: number;
  readonly objects: number;
}

export const nothing: Amount = { bytes: 0, objects: 0 };

export function sum(a: Amount, b: Amount): Amount {
  return { bytes: a.bytes + b.bytes, objects: a.objects + b.objects };
}

export function difference(a: Amount, b: Amount): Amount {
  return { bytes: a.bytes - b.bytes, objects: a.objects - b.objects };
}

export function isNothing({ bytes, objects }: Amount): boolean {
  return bytes === 0 && objects === 0;
}

/** What goes into a transaction of the catalog, so that it counts what it does. */
export interface Counting {
  readonly compares: readonly Compare[];
  readonly writes: readonly Write[];
  /**
   * To be called once with the outcome of the transaction; null: it was rejected, or not even asked for, and the catalog is read to
   * find out. Whether it was committed. @throws SkerryError where that cannot be found out
   */
  readonly settle: (outcome: TransactOutcome | null) => Promise<boolean>;
}

interface Shard {
  readonly number: number;
  readonly key: string;
  amount: Amount;
  revision: number;
}

export interface CountedOptions {
  readonly catalog: Catalog;
  readonly account: number;
  readonly bucket: string;
}

export class Counted {
  readonly #options: CountedOptions;
  /** Those that no transaction has. */
  #free: Shard[] = [];
  #last = 0;
  /** Transactions that have a shard. */
  #underWay = 0;
  stored: Amount = nothing;

  constructor(options: CountedOptions) {
    this.#options = options;
  }

  /** When the daemon starts: what a shard holds. */
  found({ shard, ...fields }: CountedRecord, revision: number): Amount {
    const amount = amountOf(fields);
    this.#free.push({ ...this.#shard(shard), amount, revision });
    this.#last = Math.max(this.#last, shard);
    this.stored = sum(this.stored, amount);
    return amount;
  }

  /** As many shards as transactions were under way at once are many for one that reads them all. @throws SkerryError of the catalog */
  async merge(): Promise<void> {
    const [first, ...others] = this.#free;
    if (first === undefined || this.#free.length <= shards_kept_max) return;
    const outcome = await this.#options.catalog.transact(this.#free, [
      { key: first.key, value: this.#encode(first.number, this.stored) },
      ...others.map(({ key }) => ({ key, value: null })),
    ]);
    // A conflict leaves them as they are: they count the same.
    if (outcome.outcome === 'committed') this.#free = [{ ...first, amount: this.stored, revision: outcome.revision }];
  }

  get underWay(): boolean {
    return this.#underWay > 0;
  }

  count(actual: Amount): Counting {
    this.#underWay += 1;
    const shard = this.#free.pop() ?? this.#shard((this.#last += 1));
    const amount = sum(shard.amount, actual);
    return {
      compares: [{ key: shard.key, revision: shard.revision }],
      writes: [{ key: shard.key, value: this.#encode(shard.number, amount) }],
      settle: once(async (outcome) => {
        // Where that cannot be found out the shard is never used again. Nobody else writes it while it is ours.
        const revision =
          outcome === null ? ((await this.#options.catalog.get(shard.key))?.revision ?? 0) : revisionAfter(shard, outcome);
        const committed = revision !== shard.revision;
        this.#underWay -= 1;
        if (committed) this.stored = sum(this.stored, actual);
        this.#free.push(committed ? { ...shard, amount, revision } : shard);
        return committed;
      }),
    };
  }

  /** Of a bucket that goes, while nothing is counted: neither before that is settled, nor after it committed. */
  removal(): Counting {
    const shards = this.#free;
    const [first] = shards;
    this.#free = [];
    return {
      compares: shards.map(({ key, revision }) => ({ key, revision })),
      writes: shards.map(({ key }) => ({ key, value: null })),
      settle: once(async (outcome) => {
        let committed = outcome?.outcome === 'committed';
        if (outcome === null && first !== undefined) committed = (await this.#options.catalog.get(first.key)) === null;
        if (!committed) this.#free.push(...shards);
        return committed;
      }),
    };
  }

  #shard(number: number): Shard {
    const { account, bucket } = this.#options;
    return { number, key: countedKey(account, bucket, number), amount: nothing, revision: 0 };
  }

  #encode(shard: number, { bytes, objects }: Amount): Uint8Array {
    const { account, bucket } = this.#options;
    return encodeCounted({
      account,
      bucket,
      shard,
      addedBytes: Math.max(bytes, 0),
      removedBytes: Math.max(-bytes, 0),
      addedObjects: Math.max(objects, 0),
      removedObjects: Math.max(-objects, 0),
    });
  }
}

/** That of the shard, or the one that it got. */
function revisionAfter({ key, revision }: Shard, outcome: TransactOutcome): number {
  if (outcome.outcome === 'committed') return outcome.revision;
  if (outcome.key === key) throw new SkerryError('internal', `${key} of the catalog was changed by somebody else`);
  return revision;
}

export function amountOf(record: Omit<CountedRecord, 'shard'>): Amount {
  return { bytes: record.addedBytes - record.removedBytes, objects: record.addedObjects - record.removedObjects };
}

function once(
  settle: (outcome: TransactOutcome | null) => Promise<boolean>,
): (outcome: TransactOutcome | null) => Promise<boolean> {
  let settled = false;
  return (outcome) => {
    if (settled) return Promise.reject(new SkerryError('internal', 'the outcome of a counted transaction was told twice'));
    settled = true;
    return settle(outcome);
  };
}
