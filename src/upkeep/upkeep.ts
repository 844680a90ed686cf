/**
 * Work in the background that can be stopped and taken up again at any point. For now: what has no name and that nothing
 * waits for is removed (anchors of clones whose root is there, and what was deleted while something waited for its root).
 */
import { toSkerryError } from '../core/errors.js';
import type { Ledger } from '../mapper/ledger.js';
import type { Removal } from '../mapper/removal.js';

/** Also without being asked, for what failed the last time. */
const rounds_interval_milliseconds = 5000;

export interface UpkeepOptions {
  readonly ledger: Ledger;
  readonly removal: Removal;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
  readonly intervalMilliseconds?: number;
}

export class Upkeep {
  readonly #options: UpkeepOptions;
  #timer: NodeJS.Timeout | null = null;
  #round: Promise<void> | null = null;
  #wanted = false;
  #stopped = false;
  /** Told once each, so that a pool that is away does not fill the log. */
  readonly #failing = new Set<number>();

  constructor(options: UpkeepOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.poke(), this.#options.intervalMilliseconds ?? rounds_interval_milliseconds);
    this.#timer.unref();
    this.poke();
  }

  /** There may be something to do. Cheap; many calls make one round. */
  poke(): void {
    this.#wanted = true;
    if (this.#stopped || this.#round !== null) return;
    this.#round = this.#rounds().finally(() => {
      this.#round = null;
      // A poke between the last look and here found a round that had already ended.
      if (this.#wanted && !this.#stopped) this.poke();
    });
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    while (this.#round !== null) await this.#round;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.idle();
  }

  /** Never rejects. */
  async #rounds(): Promise<void> {
    while (this.#wanted && !this.#stopped) {
      this.#wanted = false;
      for (const id of this.#options.ledger.nameless()) {
        if (this.#stopped) return;
        if (await this.#remove(id)) this.#wanted = true;
      }
    }
  }

  /** @returns true where something is gone now, for then what it waited for may go too. */
  async #remove(id: number): Promise<boolean> {
    const { ledger, removal, log } = this.#options;
    if (ledger.waitingOn(id).length > 0) return false;
    try {
      const gone = await removal.finish(id);
      if (gone) this.#failing.delete(id);
      return gone;
    } catch (thrown) {
      const error = toSkerryError(thrown);
      if (error.code === 'try-again' || error.code === 'closed') return false;
      if (!this.#failing.has(id))
        log('warn', 'what was deleted cannot be removed yet', { resource: id, code: error.code, error: error.message });
      this.#failing.add(id);
      return false;
    }
  }
}
