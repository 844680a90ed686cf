/**
 * What accounts and buckets hold, and how much they may: in two phases. Room is reserved before anything is stored, and taken by the
 * transaction that stores it, which carries a counter of its own: so what is counted is what is stored, whatever dies, and no two
 * transactions wait for each other (docs/decisions/0058-identity.md).
 */
import type { Catalog } from '../catalog/catalog.js';
import {
  decodeAccount,
  decodeBucketQuota,
  encodeAccount,
  encodeBucketQuota,
  noQuota,
  type QuotaRecord,
} from '../catalog/identity_records.js';
import { accountPrefix, bucketQuotaKey, bucketQuotaPrefix, bucketQuotasPrefix, countedPrefix } from '../catalog/keys.js';
import { decodeCounted } from '../catalog/usage_records.js';
import { SkerryError } from '../core/errors.js';
import { bucket_name_characters_max } from '../core/limits.js';
import type { Accounts } from './accounts.js';
import { Counted, isNothing, nothing, sum, type Amount, type Counting } from './counted.js';
import { decided } from './decided.js';
import { Reservation, type Bucket, type Held, type Refusal, type Room } from './reservation.js';

/** Of one account: they are read in one go, and deleted in one transaction. */
const bucket_limits_max = 10_000;

export type ReserveOutcome = { readonly outcome: 'reserved'; readonly reservation: Reservation } | Refusal;

export interface QuotasOptions {
  readonly catalog: Catalog;
  readonly accounts: Accounts;
}

export class Quotas {
  readonly #options: QuotasOptions;
  readonly #rooms = new Map<number, Room>();

  private constructor(options: QuotasOptions) {
    this.#options = options;
  }

  /** Adds up what is there. @throws SkerryError of the catalog, corrupt */
  static async open(options: QuotasOptions): Promise<Quotas> {
    const { catalog } = options;
    const quotas = new Quotas(options);
    for (const { value } of await catalog.range(accountPrefix)) {
      const { id, quota } = decodeAccount(value);
      quotas.#room(id).quota = quota;
    }
    for (const { value } of await catalog.range(bucketQuotaPrefix)) {
      const { account, bucket, quota } = decodeBucketQuota(value);
      quotas.#bucket(account, bucket).quota = quota;
    }
    for (const { value, revision } of await catalog.range(countedPrefix)) {
      const record = decodeCounted(value);
      const { counted } = quotas.#bucket(record.account, record.bucket);
      const room = quotas.#room(record.account);
      room.stored = sum(room.stored, counted.found(record, revision));
    }
    for (const { buckets } of quotas.#rooms.values()) for (const { counted } of buckets.values()) await counted.merge();
    return quotas;
  }

  /**
   * Room for what is about to be stored in a bucket, beside what is. Of nothing it is always granted: for what removes, or replaces by no
   * more. @throws SkerryError invalid for what is no name, conflict while the bucket is being removed
   */
  reserve(account: number, bucket: string, amount: Amount): ReserveOutcome {
    const one = this.#bucket(account, checkBucket(bucket));
    if (one.removing) throw new SkerryError('conflict', `bucket ${bucket} is being deleted`);
    const reservation = new Reservation(this.#room(account), one);
    const refusal = reservation.extend(amount);
    return refusal ?? { outcome: 'reserved', reservation };
  }

  /** Of an account, or of one of its buckets. */
  held(account: number, bucket?: string): Held {
    const room = this.#rooms.get(account);
    if (bucket === undefined) return { stored: room?.stored ?? nothing, reserved: room?.reserved ?? nothing };
    const one = room?.buckets.get(bucket);
    return { stored: one?.counted.stored ?? nothing, reserved: one?.reserved ?? nothing };
  }

  /** Buckets that something is stored in, or that have a limit; by name. */
  buckets(account: number): readonly { readonly bucket: string; readonly held: Held; readonly quota: QuotaRecord }[] {
    return [...(this.#rooms.get(account)?.buckets ?? [])]
      .filter(([, { counted, quota }]) => !isNothing(counted.stored) || !isNothing(quota))
      .map(([bucket, { quota }]) => ({ bucket, held: this.held(account, bucket), quota }))
      .sort((a, b) => (a.bucket < b.bucket ? -1 : 1));
  }

  /** All that hold something, for who samples. */
  *stored(): Iterable<{ readonly account: number; readonly bucket: string; readonly stored: Amount }> {
    for (const [account, { buckets }] of this.#rooms)
      for (const [bucket, { counted }] of buckets)
        if (!isNothing(counted.stored)) yield { account, bucket, stored: counted.stored };
  }

  /**
   * What belongs into the transaction that removes an empty bucket, and forgets it here once that committed.
   * @throws SkerryError conflict while anything is in it or on its way there
   */
  removal(account: number, bucket: string): Counting {
    const room = this.#room(account);
    const one = this.#bucket(account, checkBucket(bucket));
    const busy = one.removing || one.counted.underWay;
    if (busy || !isNothing(one.counted.stored) || !isNothing(one.reserved))
      throw new SkerryError('conflict', `bucket ${bucket} is not empty: objects are in it, or on their way there`);
    const counting = one.counted.removal();
    one.removing = true;
    return {
      compares: counting.compares,
      writes: [...counting.writes, { key: bucketQuotaKey(account, bucket), value: null }],
      settle: async (outcome) => {
        const committed = await counting.settle(outcome);
        // Who still has a reservation for the bucket that is gone hears of it.
        if (committed) room.buckets.delete(bucket);
        else one.removing = false;
        return committed;
      },
    };
  }

  /**
   * 0: no limit; what is not named stays. Below what is there, nothing is taken away, and nothing comes.
   * @throws SkerryError not-found, invalid, conflict
   */
  async setLimit(account: string | number, limits: Partial<QuotaRecord>, bucket?: string): Promise<void> {
    const { catalog, accounts } = this.#options;
    for (const [name, value] of Object.entries(limits))
      if (!Number.isSafeInteger(value) || value < 0)
        throw new SkerryError('invalid', `a limit of ${String(value)} ${name} cannot be`);
    if (bucket !== undefined) checkBucket(bucket);
    const set = await decided(catalog, async () => {
      const entry = await accounts.livingEntry(account);
      const { record } = entry;
      const { id } = record;
      if (bucket === undefined) {
        const quota = { ...record.quota, ...limits };
        return {
          compares: [entry],
          writes: [{ key: entry.key, value: encodeAccount({ ...record, quota }) }],
          result: { id, quota },
        };
      }
      const key = bucketQuotaKey(id, bucket);
      const before = await catalog.get(key);
      const quota = { ...(before === null ? noQuota : decodeBucketQuota(before.value).quota), ...limits };
      const value = isNothing(quota) ? null : encodeBucketQuota({ account: id, bucket, quota });
      const count = before === null ? (await catalog.range(bucketQuotasPrefix(id), { entriesMax: bucket_limits_max })).length : 0;
      if (count === bucket_limits_max)
        throw new SkerryError('too-large', `at most ${bucket_limits_max} buckets of an account have limits`);
      const compares = [entry, { key, revision: before?.revision ?? 0 }];
      return { compares, writes: [{ key, value }], result: { id, quota } };
    });
    const of = bucket === undefined ? this.#room(set.id) : this.#bucket(set.id, bucket);
    of.quota = set.quota;
  }

  /** Of an account, or of one of its buckets. */
  limit(account: number, bucket?: string): QuotaRecord {
    const room = this.#rooms.get(account);
    return (bucket === undefined ? room?.quota : room?.buckets.get(bucket)?.quota) ?? noQuota;
  }

  /** After an account was deleted. */
  forget(account: number): void {
    this.#rooms.delete(account);
  }

  #room(account: number): Room {
    let room = this.#rooms.get(account);
    if (room === undefined) {
      room = { stored: nothing, reserved: nothing, quota: noQuota, buckets: new Map() };
      this.#rooms.set(account, room);
    }
    return room;
  }

  #bucket(account: number, bucket: string): Bucket {
    const room = this.#room(account);
    let one = room.buckets.get(bucket);
    if (one === undefined) {
      one = {
        counted: new Counted({ catalog: this.#options.catalog, account, bucket }),
        reserved: nothing,
        quota: noQuota,
        removing: false,
      };
      room.buckets.set(bucket, one);
    }
    return one;
  }
}

/** @throws SkerryError invalid */
function checkBucket(bucket: string): string {
  if (bucket === '' || bucket.length > bucket_name_characters_max || !bucket.isWellFormed())
    throw new SkerryError('invalid', `a bucket's name has 1 to ${bucket_name_characters_max} characters`);
  return bucket;
}
