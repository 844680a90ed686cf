/**
 * Volumes and images that are on their way to another pool, when somebody asks. A move goes on after a restart of the daemon; one that
 * failed for good keeps what it has done for whoever asks again, or cancels it.
 */
import type { MoveRecord } from '../catalog/move_record.js';
import type { ResourceKind } from '../catalog/records.js';
import { isSkerryError, SkerryError, toSkerryError } from '../core/errors.js';
import { pause } from '../core/pause.js';
import { idLock } from '../mapper/locks.js';
import type { PoolUsers } from '../mapper/pool_verbs.js';
import { findSource } from '../mapper/sources.js';
import { settledWithin } from '../mapper/verbs.js';
import { Move, type MoveOptions, type MoveProgress } from './move.js';
import type { ReplicationBook } from './replication_book.js';

/** Between attempts while a backend is away or has no answer. */
const retry_milliseconds_min = 1000;
const retry_milliseconds_max = 30_000;
/** How long stop() waits for steps under way; the next start goes on. */
const stop_milliseconds_max = 5000;

export interface MoveView extends Readonly<MoveProgress> {
  /** As of the beginning. */
  readonly name: string;
  readonly kind: ResourceKind;
  readonly from: string;
  readonly to: string;
  readonly state: 'running' | 'done' | 'failed' | 'cancelled';
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly seconds: number;
  /** Why it failed, or what it is being tried again for; else null. */
  readonly error: string | null;
}

export interface MovesOptions extends MoveOptions {
  readonly pools: Pick<PoolUsers, 'of' | 'allowFrames' | 'using'>;
  readonly replications: Pick<ReplicationBook, 'get'>;
  /** Something left a pool, whose space may be given back. */
  readonly onMoved: () => void;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
  readonly onEnd?: (view: MoveView) => void;
  readonly now?: () => number;
}

interface Run {
  readonly abort: AbortController;
  readonly view: () => MoveView;
  readonly ended: Promise<void>;
  cancelled: boolean;
}

export class Moves {
  readonly #options: MovesOptions;
  readonly #now: () => number;
  /** By the id of what moves. */
  readonly #running = new Map<number, Run>();
  readonly #last = new Map<number, MoveView>();
  #stopped = false;

  constructor(options: MovesOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Goes on with what a former daemon began. */
  async start(): Promise<void> {
    for (const record of this.#options.book.all()) {
      const found = (await this.#options.ledger.get(record.id))?.record;
      // Deleted meanwhile: what was carried is nobody's.
      if (found === undefined || found.name === '') await this.#options.book.remove(record.id);
      else this.#begin(record, found.kind, found.name);
    }
  }

  /**
   * `source`: a volume or an image. Its snapshots go with a volume. @throws SkerryError not-found, invalid for a snapshot or the pool
   * that it is in, conflict while it is on its way to another or its replicas are there, unsupported where that pool cannot hold its log
   */
  async begin(source: string, to: string): Promise<MoveView> {
    const { ledger, book, pools } = this.#options;
    if (this.#stopped) throw new SkerryError('unavailable', 'the daemon is stopping');
    const { record: found } = await findSource(ledger, source);
    ledger.unreadLogs.refuse(found);
    const { id, kind, name, pool, log } = found;
    if (kind === 'snapshot') throw new SkerryError('invalid', `${name} is a snapshot: it goes with its volume`);
    const target = pools.of(to);
    if (log !== null) target.mustTakeLogs();
    const known = book.get(id);
    if (known === null && pool === to) throw new SkerryError('invalid', `${kind} ${name} is in pool ${to} already`);
    if (known !== null && known.to !== to) {
      throw new SkerryError(
        'conflict',
        `${kind} ${name} is on its way to pool ${known.to}: wait for that, or skerry ${kind} move ${name} --cancel`,
      );
    }
    const running = this.#running.get(id);
    if (running !== undefined) return running.view();
    const record = known ?? { id, from: pool, to, startedAt: this.#now(), switched: false };
    if (known === null) await this.#enter(record, name);
    return this.#begin(record, kind, name);
  }

  /** Taken down. @throws SkerryError conflict where its replicas are in that pool */
  async #enter(record: MoveRecord, name: string): Promise<void> {
    const { book, locks, replications } = this.#options;
    const { id, to } = record;
    // No replication to that pool is taken down between the look and the word.
    await locks.run([idLock(id)], async () => {
      if (replications.get(id)?.to === to)
        throw new SkerryError(
          'conflict',
          `volume ${name} is replicated to pool ${to}, and a replica belongs in another pool than its volume: skerry volume replicate ${name} --stop, or move it to another pool`,
        );
      await book.put(record);
    });
  }

  /** Those under way, and those that failed and were not asked for again nor cancelled. */
  list(): readonly MoveView[] {
    const failed = [...this.#last].filter(([id]) => this.#options.book.get(id) !== null && !this.#running.has(id));
    return [...[...this.#running.values()].map((run) => run.view()), ...failed.map(([, view]) => view)];
  }

  /** Of the move under way, or else of the last one; waits so long for its end. @throws SkerryError not-found where there was none */
  async view(source: string, waitMilliseconds: number): Promise<MoveView> {
    const { id, kind, name } = (await findSource(this.#options.ledger, source)).record;
    const running = this.#running.get(id);
    if (running !== undefined && waitMilliseconds > 0) await settledWithin([running.ended], waitMilliseconds);
    const view = running?.view() ?? this.#last.get(id);
    if (view === undefined) throw new SkerryError('not-found', `${kind} ${name} was not moved since the daemon started`);
    return view;
  }

  /** It stays where it is. @throws SkerryError not-found, conflict once it is in its new pool */
  async cancel(source: string): Promise<MoveView> {
    const { book, ledger } = this.#options;
    const { id, kind, name } = (await findSource(ledger, source)).record;
    const running = this.#running.get(id);
    const record = book.get(id);
    if (record === null) throw new SkerryError('not-found', `${kind} ${name} is not on its way to another pool`);
    if (running !== undefined) {
      running.cancelled = true;
      running.abort.abort();
      await running.ended;
    }
    if (book.get(id)?.switched === true) {
      throw new SkerryError('conflict', `${kind} ${name} is in its new pool already`);
    }
    await new Move(this.#options, record, new AbortController().signal).end();
    const view = this.#last.get(id);
    if (view === undefined) throw new SkerryError('not-found', `${kind} ${name} was not moved since the daemon started`);
    return view;
  }

  /** The next start goes on. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const ended = [...this.#running.values()].map((run) => {
      run.abort.abort();
      return run.ended;
    });
    await settledWithin(ended, stop_milliseconds_max);
  }

  #begin(record: MoveRecord, kind: ResourceKind, name: string): MoveView {
    const abort = new AbortController();
    const { from, to, startedAt } = record;
    const began = this.#now();
    let move = new Move(this.#options, record, abort.signal);
    let state: MoveView['state'] = 'running';
    let error: string | null = null;
    let seconds: number | null = null;
    const view = (): MoveView => ({
      name,
      kind,
      from,
      to,
      state,
      startedAt,
      seconds: seconds ?? Math.max(this.#now() - began, 0) / 1000,
      error,
      ...move.progress,
    });
    const attempts = async (): Promise<void> => {
      for (let wait = retry_milliseconds_min; ; wait = Math.min(wait * 2, retry_milliseconds_max)) {
        try {
          // One of a former daemon may be on its way there.
          this.#options.ledger.unreadLogs.refuse({ id: record.id, kind, name, pendingOf: 0 });
          await this.#options.pools.using(to, () => move.run());
          state = 'done';
          error = null;
          return;
        } catch (thrown) {
          const failure = toSkerryError(thrown);
          error = failure.message;
          if (abort.signal.aborted || (!failure.retry && !isSkerryError(failure, 'try-again'))) throw failure;
          this.#options.log('warn', 'a move is tried again', { name, from, to, code: failure.code, error });
          await pause(wait, abort.signal);
          if (abort.signal.aborted) throw failure;
          const { progress } = move;
          move = new Move(this.#options, this.#options.book.get(record.id) ?? record, abort.signal);
          Object.assign(move.progress, {
            carriedBytes: progress.carriedBytes,
            putBytes: progress.putBytes,
            lostPages: progress.lostPages,
          });
        }
      }
    };
    const run: Run = {
      abort,
      view,
      cancelled: false,
      ended: attempts()
        .catch((thrown: unknown) => {
          state = run.cancelled ? 'cancelled' : 'failed';
          error = run.cancelled ? null : toSkerryError(thrown).message;
        })
        .finally(() => {
          seconds = Math.max(this.#now() - began, 0) / 1000;
          this.#running.delete(record.id);
          this.#last.set(record.id, view());
          this.#tell(view());
        }),
    };
    this.#running.set(record.id, run);
    return view();
  }

  #tell(view: MoveView): void {
    const { name, from, to, state, seconds, carriedBytes, putBytes, lostPages, error } = view;
    if (this.#stopped && state !== 'done') return;
    this.#options.onEnd?.(view);
    if (state === 'done') this.#options.onMoved();
    const level = state === 'failed' || lostPages > 0 ? 'warn' : 'info';
    const words = { done: 'was moved', failed: 'could not be moved', cancelled: 'is not moved any more', running: '' }[state];
    this.#options.log(level, `${view.kind} ${name} ${words}`, { from, to, seconds, carriedBytes, putBytes, lostPages, error });
  }
}
