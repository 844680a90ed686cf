/**
 * Looking for rot before somebody needs the page: runs over pools that read everything from the disk and put again what a second copy
 * can repair (native/check/scrub.h), when somebody asks, and by themselves.
 */
import { SkerryError, toSkerryError } from '../core/errors.js';
import type { NativeEngine, ScrubReport } from '../engine/binding.js';
import type { Ledger } from '../mapper/ledger.js';
import { settledWithin } from '../mapper/verbs.js';
import { poolRoots, type PoolSource } from './pool_roots.js';

export interface ScrubFindingView extends Omit<ScrubReport['findings'][number], 'resource'> {
  /** Of those that have it, one; null where nothing does. */
  readonly resource: { readonly id: number; readonly name: string } | null;
}

export interface ScrubView extends Omit<ScrubReport, 'findings'> {
  readonly pool: string;
  readonly state: 'running' | 'done' | 'failed';
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly seconds: number;
  /** The first of them. */
  readonly findings: readonly ScrubFindingView[];
  /** Why it failed, or null. */
  readonly error: string | null;
}

export interface ScrubsOptions extends PoolSource {
  readonly engine: Pick<NativeEngine, 'scrub' | 'stats'>;
  readonly ledger: Pick<Ledger, 'recordsIn' | 'get'>;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
  readonly onEnd?: (view: ScrubView) => void;
  /** Between runs that nobody asked for; 0: there are none. */
  readonly intervalMilliseconds: number;
  readonly now?: () => number;
}

interface Run {
  readonly view: () => ScrubView;
  readonly ended: Promise<void>;
}

const look_milliseconds = 500;
const logged_findings_max = 100;
const nothing: Omit<ScrubReport, 'findings'> = {
  packs: 0,
  packsInAll: 0,
  records: 0,
  bytes: 0,
  nodesReached: 0,
  blocksReached: 0,
  damaged: 0,
  repaired: 0,
  lost: 0,
  reindexed: 0,
  open: 0,
  findingsTotal: 0,
};

export class Scrubs {
  readonly #options: ScrubsOptions;
  readonly #now: () => number;
  readonly #running = new Map<string, Run>();
  readonly #last = new Map<string, ScrubView>();
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;

  constructor(options: ScrubsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  start(): void {
    if (this.#options.intervalMilliseconds === 0) return;
    this.#timer = setInterval(() => void this.round(), this.#options.intervalMilliseconds);
    this.#timer.unref();
  }

  /** Begins a run. @throws SkerryError not-found for no such pool, conflict while one is under way */
  begin(pool: string): ScrubView {
    const { engine } = this.#options;
    if (this.#stopped) throw new SkerryError('unavailable', 'the daemon is stopping');
    this.#options.pools.get(pool);
    if (this.#running.has(pool))
      throw new SkerryError(
        'conflict',
        `pool ${pool} is being scrubbed already: skerry pool scrub ${pool} --status tells how far it is`,
      );
    const startedAt = this.#now();
    const seconds = (): number => Math.max(this.#now() - startedAt, 0) / 1000;
    let view: ScrubView = { pool, state: 'running', startedAt, seconds: 0, findings: [], error: null, ...nothing };
    const watch = setInterval(() => {
      void engine.scrub('scrubbed', pool).then(
        (report) => {
          view = { ...view, ...report, findings: [] };
        },
        () => undefined,
      );
    }, look_milliseconds);
    watch.unref();
    const ended = this.#scrub(pool)
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
  async view(pool: string, waitMilliseconds: number): Promise<ScrubView> {
    this.#options.pools.get(pool);
    const running = this.#running.get(pool);
    if (running !== undefined && waitMilliseconds > 0) await settledWithin([running.ended], waitMilliseconds);
    const view = running?.view() ?? this.#last.get(pool);
    if (view === undefined) throw new SkerryError('not-found', `pool ${pool} was not scrubbed since the daemon started`);
    return view;
  }

  /** One pool on this host after the other: what a backend holds takes long to fetch, and may cost. Never rejects. */
  async round(): Promise<void> {
    const { engine, log, pools } = this.#options;
    for (const { name, remote } of engine.stats().pools) {
      if (this.#stopped || remote || this.#running.has(name) || !pools.names().includes(name)) continue;
      try {
        this.begin(name);
        await this.#running.get(name)?.ended;
      } catch (error) {
        log('warn', 'a pool could not be scrubbed', { pool: name, error: String(error) });
      }
    }
  }

  /** The engine ends what runs when it stops. */
  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  async #scrub(pool: string): Promise<Omit<ScrubReport, 'findings'> & Pick<ScrubView, 'findings'>> {
    const report = await this.#options.engine.scrub('scrub', pool, await poolRoots(this.#options, pool));
    const findings: ScrubFindingView[] = [];
    for (const finding of report.findings) findings.push({ ...finding, resource: await this.#named(finding.resource) });
    return { ...report, findings };
  }

  async #named(id: number): Promise<ScrubFindingView['resource']> {
    if (id === 0) return null;
    return { id, name: (await this.#options.ledger.get(id))?.record.name ?? '' };
  }

  #tell(view: ScrubView): void {
    const { log, onEnd } = this.#options;
    const { pool, state, seconds, records, bytes, damaged, repaired, lost, open, findingsTotal, error } = view;
    onEnd?.(view);
    if (state === 'failed') {
      if (!this.#stopped) log('warn', 'a pool could not be scrubbed', { pool, error });
      return;
    }
    for (const { detail, resource, repaired: mended } of view.findings.slice(0, logged_findings_max)) {
      log(mended ? 'warn' : 'error', `scrub: ${detail}`, { pool, resource: resource?.name ?? null, repaired: mended });
    }
    log('info', 'a pool was scrubbed', { pool, seconds, records, bytes, damaged, repaired, lost, open, findingsTotal });
  }
}
