/** Room in an account and one of its buckets that nobody else gets: until it is committed or released, not after the daemon died. */
import type { TransactOutcome } from '../catalog/catalog.js';
import type { QuotaRecord } from '../catalog/identity_records.js';
import { SkerryError } from '../core/errors.js';
import { difference, nothing, sum, type Amount, type Counted, type Counting } from './counted.js';

/** What is counted, and what is on its way there. */
export interface Held {
  readonly stored: Amount;
  readonly reserved: Amount;
}

/** Which limit it would have passed, and what is held now. */
export interface Refusal {
  readonly outcome: 'refused';
  readonly of: 'account' | 'bucket';
  readonly what: keyof Amount;
  readonly limit: number;
  readonly held: Held;
}

export interface Bucket {
  readonly counted: Counted;
  reserved: Amount;
  quota: QuotaRecord;
  /** Its removal is under way: nothing comes to be in it. */
  removing: boolean;
}

export interface Room {
  stored: Amount;
  reserved: Amount;
  quota: QuotaRecord;
  readonly buckets: Map<string, Bucket>;
}

export class Reservation {
  readonly #room: Room;
  readonly #bucket: Bucket;
  #amount = nothing;
  #counting = false;
  #released = false;

  constructor(room: Room, bucket: Bucket) {
    this.#room = room;
    this.#bucket = bucket;
  }

  get amount(): Amount {
    return this.#amount;
  }

  /** More room, as a body of unknown length goes on. null: it has it. Nothing more is always granted. */
  extend(more: Amount): Refusal | null {
    if (!(more.bytes >= 0 && more.objects >= 0)) throw new RangeError('what is reserved is not below zero');
    if (this.#released) throw new SkerryError('internal', 'a reservation that ended is extended');
    const { stored } = this.#bucket.counted;
    const bucket = { quota: this.#bucket.quota, stored, reserved: this.#bucket.reserved };
    const refusal = refusalOf('account', this.#room, more) ?? refusalOf('bucket', bucket, more);
    if (refusal === null) this.#hold(sum(this.#amount, more));
    return refusal;
  }

  /**
   * What goes into the transaction that stores it. `actual` is the change to what is stored: no more than is reserved, below zero where
   * less is stored than before. Call settle() with the outcome, whatever that is; once it committed the reservation has ended, after a
   * conflict count() again. @throws SkerryError conflict where the bucket is being deleted, or was
   */
  count(actual: Amount): Counting {
    if (!Number.isSafeInteger(actual.bytes) || !Number.isSafeInteger(actual.objects))
      throw new RangeError(`${actual.bytes} bytes and ${actual.objects} objects cannot be counted`);
    if (actual.bytes > this.#amount.bytes || actual.objects > this.#amount.objects)
      throw new RangeError('more is to be stored than was reserved');
    if (this.#released || this.#counting)
      throw new SkerryError('internal', 'a reservation that ended, or is being committed, is counted');
    if (this.#bucket.removing) throw new SkerryError('conflict', 'the bucket is being deleted, or was');
    const { compares, writes, settle } = this.#bucket.counted.count(actual);
    this.#counting = true;
    return {
      compares,
      writes,
      settle: async (outcome) => {
        // Where settle() cannot find out, the room stays taken: too little is better than more than there is.
        const committed = await settle(outcome);
        this.#counting = false;
        if (committed) this.#room.stored = sum(this.#room.stored, actual);
        if (committed || this.#released) this.#end();
        return committed;
      },
    };
  }

  /** count(), `transact` and settle() in one. @throws what `transact` throws; where it committed all the same it is counted */
  async commit(actual: Amount, transact: (counting: Counting) => Promise<TransactOutcome>): Promise<TransactOutcome> {
    const counting = this.count(actual);
    let outcome: TransactOutcome;
    try {
      outcome = await transact(counting);
    } catch (error) {
      await counting.settle(null);
      throw error;
    }
    await counting.settle(outcome);
    return outcome;
  }

  /** Gives back what was not committed; what is being committed, once that is known. Doing so twice is fine. */
  release(): void {
    this.#released = true;
    if (!this.#counting) this.#end();
  }

  #end(): void {
    this.#released = true;
    this.#hold(nothing);
  }

  #hold(amount: Amount): void {
    const more = difference(amount, this.#amount);
    this.#amount = amount;
    this.#room.reserved = sum(this.#room.reserved, more);
    this.#bucket.reserved = sum(this.#bucket.reserved, more);
  }
}

function refusalOf(
  of: 'account' | 'bucket',
  { quota, stored, reserved }: Held & { readonly quota: QuotaRecord },
  more: Amount,
): Refusal | null {
  for (const what of ['bytes', 'objects'] as const) {
    const limit = quota[what];
    if (limit > 0 && more[what] > 0 && stored[what] + reserved[what] + more[what] > limit)
      return { outcome: 'refused', of, what, limit, held: { stored, reserved } };
  }
  return null;
}
