/** Upkeep of all pools, each by itself: one whose backend is away keeps no other waiting. */
import { settledWithin } from '../mapper/verbs.js';
import { PoolUpkeep, type PoolUpkeepOptions } from './pool_upkeep.js';
import { RootKeeping, type RootKeepingOptions } from './root_keeping.js';

/** Also without being asked, for what failed the last time. */
const rounds_interval_milliseconds = 5000;
/** How long stop() waits for what is under way. A backend that is away may take longer to say so; the next start goes on. */
const stop_milliseconds_max = 5000;
/** Who deletes a pool right after what was in it waits so long for the one to follow the other. */
const settle_milliseconds_max = 5000;

export interface UpkeepOptions extends Omit<PoolUpkeepOptions, 'keeping' | 'pool'>, Omit<RootKeepingOptions, 'pool'> {
  /** Names of the pools that there are now. */
  readonly pools: () => readonly string[];
  readonly intervalMilliseconds?: number;
  readonly stopMillisecondsMax?: number;
}

export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #pools = new Map<string, PoolUpkeep>();
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;

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
    if (this.#stopped) return;
    for (const pool of this.#options.pools()) this.#of(pool).poke();
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.idle()));
  }

  /** Resolves when nothing is under way in the pool, or after a short while. */
  async settle(pool: string): Promise<void> {
    if (this.#stopped) return;
    const upkeep = this.#of(pool);
    upkeep.poke();
    await settledWithin([upkeep.idle()], settle_milliseconds_max);
  }

  /** Ends what is under way; then, for a short while, puts the root chunks that are due and removes what was deleted. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    if (!this.#stopped) for (const pool of this.#options.pools()) this.#of(pool);
    this.#stopped = true;
    await settledWithin(
      [...this.#pools.values()].map((pool) => pool.stop()),
      this.#options.stopMillisecondsMax ?? stop_milliseconds_max,
    );
  }

  #of(pool: string): PoolUpkeep {
    const known = this.#pools.get(pool);
    if (known !== undefined) return known;
    const upkeep = new PoolUpkeep({ ...this.#options, pool, keeping: new RootKeeping({ ...this.#options, pool }) });
    this.#pools.set(pool, upkeep);
    return upkeep;
  }
}
