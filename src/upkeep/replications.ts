/** Volumes that are copied to another pool again and again: when each is due, and how the last copy went. */
import type { ReplicationRecord } from '../catalog/replication_record.js';
import { SkerryError, toSkerryError } from '../core/errors.js';
import { idLock } from '../mapper/locks.js';
import type { RootStores } from '../mapper/root_store.js';
import { findReady } from '../mapper/sources.js';
import { settledWithin } from '../mapper/verbs.js';
import type { MoveBook } from './move_book.js';
import { Replica, type ReplicaOptions, type ReplicaProgress } from './replica.js';

const look_milliseconds = 1000;
/** At once, of all volumes. */
const copies_max = 2;
/** After one that failed; never longer than what was asked for. */
const retry_milliseconds_min = 5000;
const stop_milliseconds_max = 5000;
/** Of its interval: a newest replica that is older is late. One copy may take as long as that. */
const late_intervals = 2;
export const replication_seconds_min = 1;
export const replication_seconds_max = 31_622_400;

export interface ReplicationView extends Readonly<ReplicaProgress> {
  readonly volume: string;
  readonly to: string;
  readonly everySeconds: number;
  readonly keep: number;
  readonly state: 'waiting' | 'running' | 'failing' | 'stopped';
  /** Milliseconds since 1970; null: none yet. */
  readonly lastAt: number | null;
  readonly nextAt: number;
  /** What would be lost with the volume: since when the newest replica is as of, or copies are asked for. */
  readonly lagSeconds: number;
  /** That is more than was asked for. A first copy that is under way is not late. */
  readonly late: boolean;
  /** Name of the newest replica, an image; null: none yet. */
  readonly replica: string | null;
  /** Why the last attempt failed, or null. */
  readonly error: string | null;
}

export interface ReplicationsOptions extends ReplicaOptions {
  readonly pools: RootStores;
  readonly moves: Pick<MoveBook, 'get'>;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
}

/** Of one volume, in this process. */
interface Line {
  running: { readonly abort: AbortController; readonly ended: Promise<void> } | null;
  nextAt: number;
  error: string | null;
  replica: Replica | null;
  /** Those who wait for the end of the copy under way, or the next one. */
  ends: (() => void)[];
}

export class Replications {
  readonly #options: ReplicationsOptions;
  readonly #lines = new Map<number, Line>();
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;

  constructor(options: ReplicationsOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), look_milliseconds);
    this.#timer.unref();
    this.look();
  }

  /** Begins, or changes what was begun; the first copy is due at once. @throws SkerryError not-found, invalid, conflict */
  async set(
    name: string,
    { to, everySeconds, keep }: { readonly to: string; readonly everySeconds: number; readonly keep: number },
  ): Promise<ReplicationView> {
    const { ledger, locks, book, pools, now } = this.#options;
    if (this.#stopped) throw new SkerryError('unavailable', 'the daemon is stopping');
    const { id } = (await findReady(ledger, 'volume', name)).record;
    pools.of(to);
    // No move to that pool is taken down between the look and the word.
    await locks.run([idLock(id)], async () => {
      await this.#refuseOwnPool(id, name, to);
      const known = book.get(id);
      if (known !== null && known.to !== to)
        throw new SkerryError(
          'conflict',
          `volume ${name} is replicated to pool ${known.to}: skerry volume replicate ${name} --stop`,
        );
      const fresh = { id, startedAt: now(), lastAt: 0, snapshot: 0, replica: 0 };
      await book.put({ ...(known ?? fresh), to, everySeconds, keep });
    });
    this.#line(id).nextAt = now();
    this.look();
    return this.view(name, 0);
  }

  /** All, by the names of their volumes. */
  async list(): Promise<readonly ReplicationView[]> {
    const { book, ledger } = this.#options;
    const views = await Promise.all(
      book.all().map(async (record) => {
        const name = (await ledger.get(record.id))?.record.name ?? '';
        return name === '' ? [] : [await this.#viewOf(name, record, this.#line(record.id))];
      }),
    );
    return views.flat().toSorted((a, b) => (a.volume < b.volume ? -1 : 1));
  }

  /** Waits so long for the end of the copy under way. @throws SkerryError not-found where it is not replicated */
  async view(name: string, waitMilliseconds: number): Promise<ReplicationView> {
    const { ledger } = this.#options;
    const { id } = (await findReady(ledger, 'volume', name)).record;
    const record = this.#recordOf(id, name);
    const line = this.#line(id);
    if (waitMilliseconds > 0 && (line.running !== null || line.nextAt <= this.#options.now())) {
      await settledWithin([new Promise<void>((resolve) => void line.ends.push(resolve))], waitMilliseconds);
    }
    return this.#viewOf(name, this.#options.book.get(id) ?? record, line);
  }

  /** The replicas stay. @throws SkerryError not-found */
  async remove(name: string): Promise<ReplicationView> {
    const { ledger, book } = this.#options;
    const { record: volume } = await findReady(ledger, 'volume', name);
    this.#recordOf(volume.id, name);
    const line = this.#line(volume.id);
    line.running?.abort.abort();
    await line.running?.ended;
    const record = this.#recordOf(volume.id, name);
    const view = await this.#viewOf(name, record, line);
    await book.remove(volume.id);
    this.#lines.delete(volume.id);
    const replica = new Replica(this.#options, record, new AbortController().signal);
    await replica.forget();
    // The snapshot that the next copy would have begun with, and what the copy that was ended would have.
    await replica.prune(volume, { ...record, snapshot: 0 });
    return { ...view, state: 'stopped' };
  }

  /** Begins what is due. Never throws. */
  look(): void {
    const { book, now } = this.#options;
    for (const record of book.all().toSorted((a, b) => this.#line(a.id).nextAt - this.#line(b.id).nextAt)) {
      if (this.#stopped || [...this.#lines.values()].filter(({ running }) => running !== null).length >= copies_max) return;
      const line = this.#line(record.id);
      if (line.running === null && line.nextAt <= now()) this.#begin(record, line);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    const running = [...this.#lines.values()].flatMap((line) => line.running ?? []);
    for (const { abort } of running) abort.abort();
    await settledWithin(
      running.map(({ ended }) => ended),
      stop_milliseconds_max,
    );
  }

  #begin(record: ReplicationRecord, line: Line): void {
    const { log, now } = this.#options;
    const abort = new AbortController();
    const replica = new Replica(this.#options, record, abort.signal);
    line.replica = replica;
    const began = now();
    const ended = replica
      .make()
      .then(
        ({ snapshot, everySeconds }) => {
          line.error = null;
          line.nextAt = began + everySeconds * 1000;
          log(replica.progress.lostPages > 0 ? 'warn' : 'info', 'a volume was replicated', {
            volume: record.id,
            to: record.to,
            snapshot,
            ...replica.progress,
          });
        },
        async (thrown: unknown) => {
          if (abort.signal.aborted) return;
          const error = toSkerryError(thrown);
          const name = (await this.#options.ledger.get(record.id))?.record.name ?? '';
          if (name === '') return this.#dropDeleted(record.id, replica);
          if (line.error !== error.message)
            log('warn', 'a volume could not be replicated', { volume: record.id, to: record.to, error: error.message });
          line.error = error.message;
          line.nextAt = now() + Math.min(record.everySeconds * 1000, retry_milliseconds_min);
        },
      )
      .catch((error: unknown) => log('error', 'a replication could not be ended', { volume: record.id, error: String(error) }))
      .finally(() => {
        line.running = null;
        for (const end of line.ends.splice(0)) end();
      });
    line.running = { abort, ended };
  }

  /** @throws SkerryError where the volume is in that pool, or on its way there */
  async #refuseOwnPool(id: number, name: string, to: string): Promise<void> {
    const { ledger, moves } = this.#options;
    if ((await ledger.get(id))?.record.pool === to)
      throw new SkerryError('invalid', `volume ${name} is in pool ${to} itself: a replica belongs in another one`);
    if (moves.get(id)?.to === to)
      throw new SkerryError(
        'conflict',
        `volume ${name} is on its way to pool ${to}, and a replica belongs in another one: skerry volume move ${name} --cancel, or replicate it to another pool`,
      );
  }

  async #dropDeleted(id: number, replica: Replica): Promise<void> {
    await this.#options.book.remove(id);
    this.#lines.delete(id);
    await replica.forget();
  }

  #recordOf(id: number, name: string): ReplicationRecord {
    const record = this.#options.book.get(id);
    if (record === null)
      throw new SkerryError(
        'not-found',
        `volume ${name} is not replicated: skerry volume replicate ${name} --to POOL --every 5m`,
      );
    return record;
  }

  #line(id: number): Line {
    const known = this.#lines.get(id);
    if (known !== undefined) return known;
    const record = this.#options.book.get(id);
    const line: Line = {
      running: null,
      // What a former daemon began goes on at once.
      nextAt: record === null || this.#options.book.carried(id) !== null ? 0 : record.lastAt + record.everySeconds * 1000,
      error: null,
      replica: null,
      ends: [],
    };
    this.#lines.set(id, line);
    return line;
  }

  async #viewOf(volume: string, record: ReplicationRecord, line: Line): Promise<ReplicationView> {
    const { to, everySeconds, keep, lastAt } = record;
    const replica = record.replica === 0 ? undefined : (await this.#options.ledger.get(record.replica))?.record.name;
    const lagSeconds = Math.max(this.#options.now() - (lastAt === 0 ? record.startedAt : lastAt), 0) / 1000;
    const first = lastAt === 0 && line.running !== null;
    return {
      volume,
      to,
      everySeconds,
      keep,
      state: line.running !== null ? 'running' : line.error === null ? 'waiting' : 'failing',
      lastAt: lastAt === 0 ? null : lastAt,
      nextAt: line.nextAt,
      lagSeconds,
      late: lagSeconds > everySeconds * late_intervals && !first,
      replica: replica === undefined || replica === '' ? null : replica,
      error: line.error,
      ...(line.replica?.progress ?? { carriedBytes: 0, putBytes: 0, lostPages: 0 }),
    };
  }
}
