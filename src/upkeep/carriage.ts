/** What a move asks of the engine: copying trees between pools, and a volume's change of pools under writes. */
import type { ResourceRecord, RootRecord } from '../catalog/records.js';

export interface CarryOrder {
  /** Of the copy; what follows another one under the same number keeps what that has made until it has something itself. */
  readonly number: number;
  readonly pool: string;
  readonly toPool: string;
  /** In `pool`. */
  readonly from: RootRecord;
  readonly to: RootRecord;
  /** In `toPool`: what `to` is up to block `next`, and past it what `from` is. */
  readonly target: RootRecord;
  readonly next: number;
  readonly sizeBytes: number;
  readonly compression: string;
}

/** Durable in the new pool, and kept from collections there until the step after the next; the last two until forget. */
export interface CarryStep {
  readonly target: RootRecord;
  readonly next: number;
  readonly done: boolean;
  /** Since the step before: of blocks that differ; of those that the new pool did not have, as it stores them; pages that had rotted. */
  readonly carriedBytes: number;
  readonly putBytes: number;
  readonly lostPages: number;
}

export interface Carriage {
  /** Calls `onStep` one after the other, the last with `done`. @throws SkerryError of either pool, cancelled by `signal` */
  carry(order: CarryOrder, signal: AbortSignal, onStep: (step: CarryStep) => Promise<void>): Promise<void>;
  /** What a copy has made is a resource's, or nobody's. */
  forget(number: number): Promise<void>;
  /** All that the volume holds by now becomes its root. It is to go to `toPool`. */
  renewRoot(id: number, toPool: string): Promise<void>;
  /** All it holds up to now becomes its root, and no further root is made, until switch or release. Writes go on. */
  hold(id: number, toPool: string): Promise<void>;
  /** Of one that is held: what it will be in its new pool. The catalog may say so from here on. @throws SkerryError where it cannot be */
  expect(record: Pick<ResourceRecord, 'id' | 'root'>): Promise<void>;
  /**
   * After expect, once the catalog says so. `logFence`: of a volume that flushes to its pool, for its log in the new one. After which
   * sequence that goes on.
   */
  switch(id: number, logFence?: number): Promise<number>;
  /** It stays in its pool. */
  release(id: number): Promise<void>;
}
