/**
 * Giving space back: runs over pools that remove packs of which little or nothing is wanted, when somebody asks, and by themselves.
 * What may go is proven by the engine (native/gc/collector.h); here is told what else may still want it: all that catalog and root
 * chunks name. A run that ends before its time has removed what it had proven, and the next begins anew.
 */
import { SkerryError, toSkerryError } from '../core/errors.js';
import type { CollectReport, EngineStats, NativeEngine } from '../engine/binding.js';
import type { Ledger } from '../mapper/ledger.js';
import { settledWithin } from '../mapper/verbs.js';
import { renewedRoots, type RenewalSource } from './pool_roots.js';

/** A pack is emptied where less than this share of it is wanted; in a pool that fills up, where a tenth would come back. */
const live_share_max = 0.5;
const live_share_crowded_max = 0.9;
/** Of a pool's room: past this it is collected more often, and at full speed. */
const crowded_share = 0.85;
const crowded_interval_milliseconds = 60_000;
/** For what was trimmed to be in roots, before a run looks: longer only where a backend is slow or away. */
const trims_wait_seconds = 30;

export interface CollectionView extends CollectReport {
  readonly pool: string;
  readonly state: 'running' | 'done' | 'failed';
  readonly dryRun: boolean;
  /** Volumes that trimmed or zeroed what no root knows of yet: it counts as wanted. */
  readonly trimsWaiting: number;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly seconds: number;
  /** Why it failed, or null. */
  readonly error: string | null;
}

export interface CollectionsOptions extends RenewalSource {
  readonly engine: Pick<NativeEngine, 'collect' | 'stats'>;
  readonly ledger: RenewalSource['ledger'] & Pick<Ledger, 'unreadLogs'>;
  /** What was deleted before it was asked for counts as gone. */
  readonly finishDeletions: (pool: string) => Promise<void>;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
  /** Hears of each run but dry ones. */
  readonly onEnd?: (view: CollectionView) => void;
  /** Between runs that nobody asked for; 0: there are none. */
  readonly intervalMilliseconds: number;
  readonly now?: () => number;
}

interface Run {
  readonly view: () => CollectionView;
  readonly ended: Promise<void>;
}

const nothing: CollectReport = {
  packs: 0,
  storedBytes: 0,
  liveBytes: 0,
  packsWanted: 0,
  packsRemoved: 0,
  removedBytes: 0,
  packsMoved: 0,
  copiedBytes: 0,
  freedBytes: 0,
  nodesRead: 0,
  halfLive: { packs: 0, deadBytes: 0 },
  journalled: { packs: 0, deadBytes: 0 },
  damaged: { packs: 0, deadBytes: 0 },
};

export class Collections {
  readonly #options: CollectionsOptions;
  readonly #now: () => number;
  readonly #running = new Map<string, Run>();
  readonly #last = new Map<string, CollectionView>();
  /** A figure that grows with what is put in the pool, given back and deleted; as it was when it was last collected, and when that was. */
  readonly #seen = new Map<string, { readonly changed: number; readonly at: number }>();
  #removals = 0;
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;

  constructor(options: CollectionsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  start(): void {
    if (this.#options.intervalMilliseconds === 0) return;
    const period = Math.min(this.#options.intervalMilliseconds, crowded_interval_milliseconds);
    this.#timer = setInterval(() => void this.round(), period);
    this.#timer.unref();
  }

  /** Something was deleted, so the next run has something to do. */
  noteRemoval(): void {
    this.#removals += 1;
  }

  /** Begins a run. @throws SkerryError not-found for no such pool, conflict while one is under way */
  begin(pool: string, { dryRun }: { readonly dryRun: boolean }): CollectionView {
    if (this.#stopped) throw new SkerryError('unavailable', 'the daemon is stopping');
    this.#options.pools.get(pool);
    const unread = this.#options.ledger.unreadLogs.in(pool).length;
    // Their logs may name what no root does: a rollback to a snapshot that was deleted since.
    if (unread > 0) {
      throw new SkerryError(
        'unavailable',
        `pool ${pool} is not collected before what ${unread} of its volumes have flushed was read from it: that goes on by itself once it answers`,
      );
    }
    if (this.#running.has(pool)) {
      throw new SkerryError(
        'conflict',
        `pool ${pool} is being collected already: skerry pool gc ${pool} --status tells how far it is`,
      );
    }
    const stats = this.#options.engine.stats().pools.find(({ name }) => name === pool);
    const crowded = stats !== undefined && isCrowded(stats);
    const startedAt = this.#now();
    let view: CollectionView = {
      pool,
      state: 'running',
      dryRun,
      trimsWaiting: 0,
      startedAt,
      seconds: 0,
      error: null,
      ...nothing,
    };
    const seconds = (): number => Math.max(this.#now() - startedAt, 0) / 1000;
    const watch = setInterval(() => {
      void this.#options.engine.collect('progress', pool).then(
        (report) => {
          view = { ...view, ...report };
        },
        () => undefined,
      );
    }, 500);
    watch.unref();
    const ended = this.#trimsIn(pool, dryRun)
      .then((trimsWaiting) => {
        view = { ...view, trimsWaiting };
        return this.#collect(pool, dryRun, crowded);
      })
      .then(
        (report) => {
          view = { ...view, ...report, state: 'done', seconds: seconds() };
        },
        (thrown: unknown) => {
          view = { ...view, state: 'failed', seconds: seconds(), error: toSkerryError(thrown).message };
        },
      )
      .finally(() => {
        clearInterval(watch);
        this.#running.delete(pool);
        this.#last.set(pool, view);
        this.#tell(view);
      });
    this.#running.set(pool, { view: () => (view.state === 'running' ? { ...view, seconds: seconds() } : view), ended });
    return view;
  }

  /** Of the run under way, or else of the last one; waits so long for its end. @throws SkerryError not-found where there was none */
  async view(pool: string, waitMilliseconds: number): Promise<CollectionView> {
    this.#options.pools.get(pool);
    const running = this.#running.get(pool);
    if (running !== undefined && waitMilliseconds > 0) await settledWithin([running.ended], waitMilliseconds);
    const view = running?.view() ?? this.#last.get(pool);
    if (view === undefined) throw new SkerryError('not-found', `pool ${pool} was not collected since the daemon started`);
    return view;
  }

  /** Collects the pools that it may be worth it for. Never rejects. */
  async round(): Promise<void> {
    const { engine, intervalMilliseconds, pools } = this.#options;
    const engineStats = engine.stats();
    for (const stats of engineStats.pools) {
      const { name, putBytes } = stats;
      // Given back and deleted is counted for all pools together: a run in vain costs little.
      const changed = putBytes + engineStats.nbd.trim.operations + engineStats.nbd.zero.operations + this.#removals;
      if (this.#stopped || this.#running.has(name) || !pools.names().includes(name)) continue;
      if (this.#options.ledger.unreadLogs.in(name).length > 0) continue;
      const seen = this.#seen.get(name) ?? { changed: 0, at: 0 };
      const wait = isCrowded(stats) ? Math.min(intervalMilliseconds, crowded_interval_milliseconds) : intervalMilliseconds;
      // Space dies where something is deleted, written over or given back; where nothing was, there is nothing new to find.
      if (this.#now() - seen.at < wait || changed === seen.changed) continue;
      this.#seen.set(name, { changed, at: this.#now() });
      try {
        this.begin(name, { dryRun: false });
        await this.#running.get(name)?.ended;
      } catch (error) {
        this.#options.log('warn', 'a pool could not be collected', { pool: name, error: String(error) });
      }
    }
  }

  /** The engine ends what runs when it stops. */
  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** Before roots are read: those that what was trimmed comes into are among them. */
  async #trimsIn(pool: string, dryRun: boolean): Promise<number> {
    await this.#options.finishDeletions(pool);
    return this.#options.engine.collect('trims', pool, dryRun ? 0 : trims_wait_seconds);
  }

  async #collect(pool: string, dryRun: boolean, crowded: boolean): Promise<CollectReport> {
    const roots = await renewedRoots(this.#options, pool, { dryRun });
    const liveMax = crowded ? live_share_crowded_max : live_share_max;
    return this.#options.engine.collect('run', pool, roots, { dryRun, liveMax, hurry: crowded });
  }

  #tell(view: CollectionView): void {
    const { pool, state, dryRun, seconds, packsRemoved, freedBytes, copiedBytes, error } = view;
    if (dryRun) return;
    this.#options.onEnd?.(view);
    if (state === 'failed' && !this.#stopped) {
      this.#options.log('warn', 'a pool could not be collected', { pool, error });
    } else if (packsRemoved > 0) {
      this.#options.log('info', 'a pool was collected', { pool, seconds, packsRemoved, freedBytes, copiedBytes });
    }
  }
}

/**
 * By what the pool can still take: of what is free on its disk a part is kept in reserve, and packs come whole. What a backend can
 * take nobody knows before it refuses.
 */
function isCrowded({ remote, backendFull, storedBytes, freeBytes, roomBytes }: EngineStats['pools'][number]): boolean {
  if (remote) return backendFull;
  return storedBytes > crowded_share * (storedBytes + Math.min(freeBytes, roomBytes));
}
