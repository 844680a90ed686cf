/** Where quotas and usage hook in: identity keeps them, the object layer only tells. */
import type { Write } from '../catalog/catalog.js';
import type { BucketRecord } from '../catalog/object_records.js';

/** What a change adds; less than 0 where it takes away. */
export interface UsageChange {
  readonly bytes: number;
  readonly objects: number;
}

export interface Reservation {
  /** To be part of the transaction that makes this change. */
  writes(change: UsageChange): readonly Write[];
  /** Once: with what was changed, or null where nothing was. */
  end(change: UsageChange | null): void;
}

export interface Meter {
  /** Before something is stored that adds so much at most. @throws SkerryError no-space (quota-exceeded) */
  reserve(bucket: BucketRecord, most: UsageChange): Promise<Reservation>;
}

/** Counts nothing and refuses nothing. */
export const noMeter: Meter = {
  reserve: async () => ({ writes: () => [], end: () => undefined }),
};
