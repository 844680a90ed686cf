/** Where quotas and usage hook in: identity keeps them, the object layer only tells. */
import type { Compare, TransactOutcome, Write } from '../catalog/catalog.js';
import type { BucketRecord } from '../catalog/object_records.js';

/** What a change adds; less than 0 where it takes away. */
export interface UsageChange {
  readonly bytes: number;
  readonly objects: number;
}

export const nothing: UsageChange = { bytes: 0, objects: 0 };

/** What goes into a transaction, so that it is counted where it is made. */
export interface Counting {
  readonly compares: readonly Compare[];
  readonly writes: readonly Write[];
  /** Once, whatever became of it; null where nobody knows. Rejects never: what was committed is not undone by counting. */
  settled(outcome: TransactOutcome | null): Promise<void>;
}

export interface Reservation {
  /** For the transaction that makes this change. Where that met a change of others, another one is asked for. */
  count(change: UsageChange): Counting;
  /** Of what came without its length. @throws SkerryError no-space (quota-exceeded) */
  extend(more: UsageChange): void;
  /** Gives back what was not counted. Doing so twice is fine. */
  end(): void;
}

export interface Meter {
  /** Before something is stored that adds so much at most. @throws SkerryError no-space (quota-exceeded), conflict */
  reserve(bucket: BucketRecord, most: UsageChange): Reservation;
  /** For the transaction that removes an empty bucket. @throws SkerryError conflict while something is on its way there */
  removal(bucket: BucketRecord): Counting;
}

const uncounted: Counting = { compares: [], writes: [], settled: async () => undefined };

/** Counts nothing and refuses nothing. */
export const noMeter: Meter = {
  reserve: () => ({ count: () => uncounted, extend: () => undefined, end: () => undefined }),
  removal: () => uncounted,
};

/** Runs the transaction that `counting` goes into, and tells it the outcome. */
export async function counted(counting: Counting, transact: () => Promise<TransactOutcome>): Promise<TransactOutcome> {
  let outcome: TransactOutcome | null = null;
  try {
    outcome = await transact();
    return outcome;
  } finally {
    await counting.settled(outcome);
  }
}

/** Runs `work`, which counts; what it did not count is given back. */
export async function ending<T>(reservation: Reservation, work: (reservation: Reservation) => Promise<T>): Promise<T> {
  try {
    return await work(reservation);
  } finally {
    reservation.end();
  }
}
