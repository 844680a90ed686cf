/**
 * The contract of the catalog: the small mutable truth (names, roots, leases). String keys in code-point order, byte
 * values, and a revision per key, so that a writer can say "only if nobody changed this since I read it".
 */

export interface CatalogEntry {
  readonly key: string;
  readonly value: Uint8Array;
  /** Grows with each write of the key and never repeats for it, not even across a removal. Never 0. */
  readonly revision: number;
}

/** Holds when the key's revision is exactly this one; 0 says that the key is absent. */
export interface Compare {
  readonly key: string;
  readonly revision: number;
}

/** A value to set, or null to remove (removing an absent key succeeds). */
export interface Write {
  readonly key: string;
  readonly value: Uint8Array | null;
}

export type TransactOutcome =
  | {
      readonly outcome: 'committed';
      /** The revision that all written keys now have. */
      readonly revision: number;
    }
  | {
      readonly outcome: 'conflict';
      /** The first compare that did not hold, and what the key has instead (0: absent). Nothing was written. */
      readonly key: string;
      readonly revision: number;
    };

export interface RangeOptions {
  /** Entries with a key greater than this one, for paging. */
  readonly after?: string;
  readonly entriesMax?: number;
}

/** One commit that touched the watched prefix; a null value is a removal. */
export interface CatalogChange {
  readonly revision: number;
  readonly writes: readonly Write[];
}

export interface Lease {
  readonly key: string;
  /** Larger than that of every earlier grant of the same key, for ever. */
  readonly fence: number;
  /** Gives it back. Doing so twice is fine. The fence does not go back. */
  release(): Promise<void>;
}

export type LeaseOutcome =
  | { readonly outcome: 'granted'; readonly lease: Lease }
  /** `holder` is what the one who has it called itself. */
  | { readonly outcome: 'held'; readonly holder: string; readonly fence: number };

/** All methods reject with SkerryError: io or no-space from the store below, corrupt for one that cannot be read, closed after close(). */
export interface Catalog {
  /** null where there is no such key. Sees every transaction whose transact() resolved. */
  get(key: string): Promise<CatalogEntry | null>;
  /** What get() would give, where that is known without a look: for what is asked so often that waiting for it costs. undefined: ask get(). */
  kept(key: string): CatalogEntry | null | undefined;
  /** Entries whose key begins with `prefix`, ascending by key: one snapshot of the catalog. */
  range(prefix: string, options?: RangeOptions): Promise<readonly CatalogEntry[]>;
  /**
   * All writes or none, and only if every compare holds at that instant. Resolves once the outcome is durable: what was
   * committed survives the death of the host. A rejection leaves it open whether the writes were made: read to find out.
   */
  transact(compares: readonly Compare[], writes: readonly Write[]): Promise<TransactOutcome>;
  /** Commits under `prefix` from the call on, in order, one by one, each after it is durable. Ends with the catalog or `signal`. */
  watch(prefix: string, signal?: AbortSignal): AsyncIterable<CatalogChange>;
  /** The right to act as the one owner of `key`. In LMDB it ends with the process; a shared catalog will bound it in time. */
  lease(key: string, holder: string): Promise<LeaseOutcome>;
  /** Waits for what is under way, then frees everything. Idempotent. */
  close(): Promise<void>;
}
