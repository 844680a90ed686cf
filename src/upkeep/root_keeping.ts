/**
 * Puts the root chunks into one pool that no verb waited for (docs/decisions/0016-root-chunks-may-be-due.md). The catalog says which are
 * due, so nothing is forgotten over a crash; one that is put twice is only superseded by itself.
 */
import { toSkerryError } from '../core/errors.js';
import { inParallel } from '../core/in_parallel.js';
import type { Ledger } from '../mapper/ledger.js';
import { idLock, type KeyedLocks } from '../mapper/locks.js';
import { keptRoot, type RootStores } from '../mapper/root_store.js';

/** Ended with one transaction. */
const roots_per_round_max = 256;
/** Few, for verbs must find a free thread to sync with; several, for their syncs then share commits of the file system. */
const puts_in_flight_max = 3;

export interface RootKeepingOptions {
  readonly ledger: Ledger;
  readonly locks: KeyedLocks;
  readonly roots: RootStores;
  readonly pool: string;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
}

export class RootKeeping {
  readonly #options: RootKeepingOptions;
  /** Told once, until one succeeds. */
  #failing = false;

  constructor(options: RootKeepingOptions) {
    this.#options = options;
  }

  /** Never rejects. @returns true where some were put and more are due. */
  async round(signal: AbortSignal): Promise<boolean> {
    const { ledger, pool } = this.#options;
    const due = ledger.rootsDue(pool, roots_per_round_max);
    if (due.length === 0) return false;
    const kept: number[] = [];
    try {
      await inParallel(due, puts_in_flight_max, async (id) => {
        if (signal.aborted) return;
        await this.#keep(id);
        kept.push(id);
      });
      this.#failing = false;
    } catch (error) {
      this.#tell(error);
    }
    try {
      await ledger.rootsKept(kept);
    } catch (error) {
      this.#tell(error);
      return false;
    }
    return kept.length === due.length && ledger.rootsDue(pool, 1).length > 0;
  }

  /** Under the resource's lock, so that a commit's later root is not followed by this earlier one. */
  #keep(id: number): Promise<void> {
    const { ledger, locks, roots } = this.#options;
    return locks.run([idLock(id)], async () => {
      const entry = await ledger.get(id);
      // What has no name is never recovered from the pool; its tombstone is all that is still wanted.
      if (entry !== null && entry.record.name !== '') await roots.of(entry.record.pool).putRoot(keptRoot(entry.record));
    });
  }

  #tell(thrown: unknown): void {
    const error = toSkerryError(thrown);
    if (this.#failing || error.code === 'closed') return;
    this.#failing = true;
    const { pool, log } = this.#options;
    log('warn', 'root chunks cannot be put into the pool yet', { pool, code: error.code, error: error.message });
  }
}
