/**
 * Work in the background on one pool that can be stopped and taken up again at any point. For now: root chunks that are due are
 * put, and what has no name and that nothing waits for is removed (anchors of clones whose root is there, and what was deleted).
 */
import { toSkerryError } from '../core/errors.js';
import { pause } from '../core/pause.js';
import type { Ledger } from '../mapper/ledger.js';
import type { Removal } from '../mapper/removal.js';
import type { RootKeeping } from './root_keeping.js';

/** Verbs that come in a burst are followed by one round. */
const gather_milliseconds = 200;
/** They hold their locks together, and end with one transaction. */
const removals_per_round_max = 64;
/** How long stop() goes on with root chunks that are due and what was deleted; the next start finds what is left. */
const stop_milliseconds_max = 2000;

export interface PoolUpkeepOptions {
  readonly ledger: Ledger;
  readonly removal: Removal;
  readonly keeping: RootKeeping;
  readonly pool: string;
  /** Something that was deleted is gone: there may be space to give back. */
  readonly onRemoved?: () => void;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
  readonly gatherMilliseconds?: number;
}

export class PoolUpkeep {
  readonly #options: PoolUpkeepOptions;
  readonly #stopping = new AbortController();
  #round: Promise<void> | null = null;
  #wanted = false;
  /** Told once each, so that a pool that is away does not fill the log. */
  readonly #failing = new Set<number>();

  constructor(options: PoolUpkeepOptions) {
    this.#options = options;
  }

  /** There may be something to do. Cheap; many calls make one round. */
  poke(): void {
    this.#wanted = true;
    if (this.#stopping.signal.aborted || this.#round !== null) return;
    this.#round = this.#rounds().finally(() => {
      this.#round = null;
      // A poke between the last look and here found a round that had already ended.
      if (this.#wanted) this.poke();
    });
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    while (this.#round !== null) await this.#round;
  }

  /** Ends what is under way; then, for a short while, puts the root chunks that are due and removes what was deleted. */
  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return this.idle();
    this.#stopping.abort();
    await this.idle();
    const late = AbortSignal.timeout(stop_milliseconds_max);
    for (let more = true; more && !late.aborted; ) {
      more = await this.#options.keeping.round(late);
      if (!late.aborted && (await this.#remove())) more = true;
    }
  }

  /** Never rejects. */
  async #rounds(): Promise<void> {
    const { signal } = this.#stopping;
    await pause(this.#options.gatherMilliseconds ?? gather_milliseconds, signal);
    while (this.#wanted && !signal.aborted) {
      this.#wanted = false;
      if (await this.#options.keeping.round(signal)) this.#wanted = true;
      // What one of these waited for may go too then, and there may be more than one round holds.
      if (!signal.aborted && (await this.#remove())) this.#wanted = true;
    }
  }

  /** Never rejects. @returns true where something is gone now. */
  async #remove(): Promise<boolean> {
    const { ledger, pool, removal } = this.#options;
    const ids = ledger.removable(pool, removals_per_round_max, this.#failing);
    // Those that failed are taken up in a round of their own, so that they keep nobody else.
    const again = ids.length > 0 ? ids : ledger.removable(pool, removals_per_round_max);
    if (again.length === 0) return false;
    const failed = new Set<number>();
    try {
      const gone = await removal.finishAll(again, (id, error) => {
        failed.add(id);
        this.#tell(id, error);
      });
      for (const id of again) if (!failed.has(id)) this.#failing.delete(id);
      if (gone > 0) this.#options.onRemoved?.();
      return gone > 0;
    } catch (error) {
      for (const id of again) this.#tell(id, error);
      return false;
    }
  }

  #tell(id: number, thrown: unknown): void {
    const error = toSkerryError(thrown);
    if (error.code === 'try-again' || error.code === 'closed') return;
    if (!this.#failing.has(id))
      this.#options.log('warn', 'what was deleted cannot be removed yet', {
        pool: this.#options.pool,
        resource: id,
        code: error.code,
        error: error.message,
      });
    this.#failing.add(id);
  }
}
