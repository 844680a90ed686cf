/**
 * The logs of volumes with durability `pool` over the lives of the daemon: at each start they are read where the journal is not the one
 * that goes on from them, and begun under the next fence before anybody writes; and with each root they get shorter.
 */
import type { LogRecord } from '../catalog/log_record.js';
import type { ResourceRecord } from '../catalog/records.js';
import { SkerryError, toSkerryError } from '../core/errors.js';
import { inParallel } from '../core/in_parallel.js';
import { pause } from '../core/pause.js';
import type { NativeEngine } from '../engine/binding.js';
import { passFailpoint } from '../engine/failpoints.js';
import type { Ledger } from '../mapper/ledger.js';
import { idLock, type KeyedLocks } from '../mapper/locks.js';
import { keptRoot, type RootStores } from '../mapper/root_store.js';
import { logAfterMove, nextLog, readableLog } from '../mapper/volume_log.js';
import type { LogKeeper } from '../pool/log_keeper.js';

/** While the engine has no room for what is restored. */
const room_pause_milliseconds = 20;
const begun_at_once_max = 4;
/** While a pool does not take a root chunk, and while flushes wait for a root. */
const tell_pause_milliseconds = 1000;
/** Of a journal's id; zeroes are nobody's. */
const journal_bytes = 16;
/** Of a pool, before its volumes' logs are read: a start waits no longer for one that is away. */
const answer_milliseconds = 5000;
/** While a pool is away that logs are to be read from; each pause is half of it or more. */
const away_pause_milliseconds_min = 500;
const away_pause_milliseconds_max = 10_000;

export interface VolumeLogsOptions {
  readonly ledger: Ledger;
  readonly engine: Pick<NativeEngine, 'volumeLog'>;
  /** Of a pool. @throws SkerryError not-found */
  readonly keeper: (
    pool: string,
  ) => Pick<LogKeeper, 'ask' | 'chunks' | 'fenceMax' | 'trim' | 'sweep' | 'hold' | 'leave' | 'tellIfAway'>;
  readonly roots: RootStores;
  readonly locks: KeyedLocks;
  /** A list of the pool may show what was put only later. */
  readonly listsLate: (pool: string) => boolean;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

interface Moved {
  readonly id: number;
  readonly from: string;
  readonly fence: number;
  readonly sequence: number;
  readonly release: () => void;
}

export class VolumeLogs {
  readonly #options: VolumeLogsOptions;
  readonly #underWay = new Set<Promise<void>>();
  readonly #stopping = new AbortController();

  constructor(options: VolumeLogsOptions) {
    this.#options = options;
  }

  /**
   * Before a journal is opened of which something may be given up: from here on it is not the one that any log goes on from, and what was
   * flushed is read from the pools. Before, for a crash must not make it look as if it had everything.
   */
  async distrustJournal(records: readonly ResourceRecord[]): Promise<void> {
    for (const { id, log, state } of records) if (log !== null && state !== 'deleting') await this.#distrust(id);
  }

  /**
   * Before a journal is opened. Flushes to pools wait for no sync of this host's disk: where the ring is gone, as after a power cut, and the
   * life before did not end in order, the journal may lack what they promised, and it is read from the pools.
   */
  async distrustPartialJournal(records: readonly ResourceRecord[]): Promise<void> {
    const logged = records.filter(({ log, state }) => log !== null && state !== 'deleting');
    if (logged.length === 0) return;
    const whole = await this.#options.engine.volumeLog('whole');
    // Which journal an empty one means is not known yet: only that no part of it can be missing.
    const none = whole.every((byte) => byte === 0);
    await this.distrustJournal(
      logged.filter(({ log }) => log !== null && (log.journal.length > 0 ? Buffer.compare(log.journal, whole) !== 0 : none)),
    );
  }

  /**
   * Once the engine has replayed its journal, and before it serves. Where a log has to be read and its pool is away, its volume is one of
   * the ledger's unreadLogs until that answers. @throws SkerryError where a log cannot be read though its pool is there: what was flushed must
   * not be missing from what is served
   */
  async start(records: readonly ResourceRecord[]): Promise<void> {
    const logged = records.filter(({ log, state }) => log !== null && state !== 'deleting');
    if (logged.length === 0) return;
    const { engine, ledger, log } = this.#options;
    const journal = await engine.volumeLog('journal');
    // A few at once, for their transactions share a sync.
    const away = new Map<string, SkerryError>();
    await inParallel(logged, begun_at_once_max, async ({ id, name, pool }) => {
      const failure = await this.#begin(id, journal, away);
      if (failure === null) return;
      away.set(pool, failure);
      ledger.unreadLogs.note(id, pool, failure.message);
      log('error', `volume ${name} is not served before pool ${pool} answers, for what was flushed to it is there`, {
        resource: id,
        error: failure.message,
      });
    });
    for (const pool of away.keys()) this.#readOnceBack(pool, journal);
  }

  /** The catalog has a root of the volume: what of its log that holds is nobody's any more. */
  shorten({ id, pool }: ResourceRecord, before: LogRecord | null, now: LogRecord | null): void {
    if (before === null || now === null || before === now) return;
    const keeper = this.#options.keeper(pool);
    this.#background(id, async () => {
      if (before.older !== null && now.older === null) await keeper.sweep(id, (fence) => fence >= now.fence);
      await keeper.trim(id, now.fence, before.first, now.first);
    });
  }

  /** Of a volume on its way to `pool`: for its log there. Neither it nor the one below was ever used there. @throws SkerryError of the pool */
  async fenceIn(pool: string, id: number, log: LogRecord): Promise<number> {
    const { keeper, listsLate, now = Date.now } = this.#options;
    // Another catalog may have begun logs there that this one knows nothing of.
    return Math.max(log.fence, await keeper(pool).fenceMax(id), listsLate(pool) ? now() : 0) + 2;
  }

  /** Until the answer is called no chunk of the volume's log is put into the pool. */
  hold(pool: string, id: number): () => void {
    return this.#options.keeper(pool).hold(id);
  }

  /**
   * The volume left `from`, and its log goes on in the pool that the catalog names, under `fence` after `sequence`. Its chunks there wait until the catalog
   * knows, and the pool: what reads them otherwise takes them for a log with a gap.
   */
  moved({ id, from, fence, sequence, release }: Moved): void {
    const { ledger, keeper } = this.#options;
    keeper(from).leave(id, fence);
    // Where the daemon stops meanwhile, or the volume was deleted, nothing may be put: it is not released.
    this.#background(id, async () => {
      const record = await this.#retried(id, () => ledger.update(id, (now) => goesOnAfter(now, fence, sequence)));
      if (record === null) return;
      passFailpoint('move-log-known');
      this.#background(id, () => this.#tellPool(id, release));
      this.#background(id, () => this.#untilRooted(id, sequence));
      // What it left behind when it was there before.
      await keeper(record.pool).sweep(id, (of) => of >= fence);
    });
  }

  /** The volume is in another pool. @throws SkerryError of the pool */
  async forget(pool: string, id: number): Promise<void> {
    await this.#options.keeper(pool).sweep(id, () => false);
  }

  /** Waits for what is under way. What is left the next start does. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#underWay);
  }

  /** Begins the logs that wait for this pool, once it answers. */
  #readOnceBack(pool: string, journal: Uint8Array): void {
    const { signal } = this.#stopping;
    const reading = (async () => {
      for (let most = away_pause_milliseconds_min; ; most = Math.min(most * 2, away_pause_milliseconds_max)) {
        await pause((most * (1 + Math.random())) / 2, signal);
        if (signal.aborted || (await this.#readUnread(pool, journal))) return;
      }
    })().finally(() => this.#underWay.delete(reading));
    this.#underWay.add(reading);
  }

  /** Whether none waits for the pool any more. Never rejects. */
  async #readUnread(pool: string, journal: Uint8Array): Promise<boolean> {
    const { ledger, log } = this.#options;
    const { unreadLogs } = ledger;
    for (const id of unreadLogs.in(pool)) {
      try {
        const failure = await this.#begin(id, journal);
        if (failure !== null) {
          unreadLogs.note(id, pool, failure.message);
          return false;
        }
        unreadLogs.forget(id);
        log('info', 'the pool of a volume answers, and its log was read: the volume is served', { resource: id, pool });
      } catch (thrown) {
        const { code, message } = toSkerryError(thrown);
        // The daemon ends.
        if (code === 'closed') return false;
        if (unreadLogs.note(id, pool, message))
          log('error', 'the pool of a volume answers, and its log there cannot be read', { resource: id, pool, error: message });
      }
    }
    return unreadLogs.in(pool).length === 0;
  }

  /** null once it has begun; else how the pool that it has to be read from failed. Those that are `away` are not asked. */
  async #begin(id: number, journal: Uint8Array, away: ReadonlyMap<string, SkerryError> = new Map()): Promise<SkerryError | null> {
    const { engine, ledger, log, keeper, listsLate, now = Date.now } = this.#options;
    const record = (await ledger.get(id))?.record;
    if (record?.log === null || record?.log === undefined) return null;
    const { name, pool } = record;
    let fence = record.log.fence + 1;
    if (Buffer.compare(record.log.journal, journal) !== 0) {
      const known = away.get(pool);
      if (known !== undefined) return known;
      try {
        await this.#mustAnswer(pool, id);
        const records = (await this.#goesOn(record, record.log)) ? 0 : await this.#restore(record, record.log);
        // Another catalog may have begun logs that this one knows nothing of.
        fence = Math.max(fence, (await keeper(pool).fenceMax(id)) + 1, listsLate(pool) ? now() : 0);
        log('warn', `volume ${name} flushes to pool ${pool}, and the journal here may lack what its log has`, {
          resource: id,
          restoredRecords: records,
        });
      } catch (thrown) {
        const { code, message, retry } = toSkerryError(thrown);
        if (retry) return new SkerryError('unavailable', message, { cause: thrown });
        throw new SkerryError(
          code,
          `volume ${name} flushes to pool ${pool}, the journal here does not have all of it, and its log there cannot be read: ${message}`,
          { cause: thrown },
        );
      }
      passFailpoint('log-restored');
    }
    const sequence = await engine.volumeLog('sequence', id);
    const begun = await ledger.update(id, (current) =>
      current.log === null
        ? null
        : { ...current, log: nextLog(current.log, current.appliedSequence, { journal, sequence, fence }) },
    );
    if (begun?.log === null || begun?.log === undefined) return null;
    passFailpoint('log-begun');
    const release = keeper(pool).hold(id);
    await engine.volumeLog('begin', id, fence, sequence);
    this.#background(id, () => this.#tellPool(id, release));
    this.#background(id, () => this.#untilRooted(id, sequence));
    const { older } = begun.log;
    // What a life before left behind: chunks that came late, or that it did not come to remove.
    this.#background(id, () =>
      keeper(pool).sweep(id, (of, number) => of === fence || (older !== null && of === older.fence && number >= older.first)),
    );
    return null;
  }

  /** A start waits long for what a pool hands out, and not for one that is away. @throws SkerryError of its driver, unavailable where that takes long */
  async #mustAnswer(pool: string, id: number): Promise<void> {
    const answered = new AbortController();
    const late = pause(answer_milliseconds, answered.signal).then(() => {
      if (!answered.signal.aborted) throw new SkerryError('unavailable', 'its backend does not answer');
    });
    const asking = this.#options.keeper(pool).ask(id);
    // What comes later is nobody's.
    for (const one of [late, asking]) one.catch(() => undefined);
    await Promise.race([asking, late]).finally(() => answered.abort());
  }

  /** The pool alone must be enough to find the log: its root chunk says where that is. Where it is away, it is told when it is back. */
  async #tellPool(id: number, told: () => void): Promise<void> {
    const { ledger, locks, roots, log } = this.#options;
    for (let attempt = 1; !this.#stopping.signal.aborted; attempt += 1) {
      try {
        const knows = await locks.run([idLock(id)], async () => {
          const record = (await ledger.get(id))?.record;
          // A root that is still to come says it by itself.
          if (record === undefined || record.pendingOf !== 0) return record === undefined;
          await roots.of(record.pool).putRoot(keptRoot(record));
          return true;
        });
        if (knows) return told();
      } catch (error) {
        if (attempt === 1)
          log('warn', 'a pool cannot be told where a log goes on: flushes wait for that', { resource: id, error: String(error) });
      }
      await pause(tell_pause_milliseconds, this.#stopping.signal);
    }
  }

  /** The volume's flushes wait for it. null once the daemon stops. */
  async #retried<T>(id: number, work: () => Promise<T>): Promise<T | null> {
    for (let attempt = 1; !this.#stopping.signal.aborted; attempt += 1) {
      try {
        return await work();
      } catch (error) {
        if (attempt === 1)
          this.#options.log('warn', 'the catalog cannot be told where a log goes on: flushes wait for that', {
            resource: id,
            error: String(error),
          });
      }
      await pause(tell_pause_milliseconds, this.#stopping.signal);
    }
    return null;
  }

  /** Flushes wait until a root holds all up to `sequence`, and no put of theirs tells them that the pool is away. */
  async #untilRooted(id: number, sequence: number): Promise<void> {
    const { ledger, keeper, engine } = this.#options;
    for (;;) {
      const record = (await ledger.get(id))?.record;
      if (record === undefined || (record.pendingOf === 0 && record.appliedSequence >= sequence)) return;
      keeper(record.pool).tellIfAway(id, engine);
      await pause(tell_pause_milliseconds, this.#stopping.signal);
      if (this.#stopping.signal.aborted) return;
    }
  }

  /**
   * Where a catalog was made anew nobody knows which journal goes on from the log. One that goes on from the root does: it has all that was
   * flushed, and what the log may have besides was lost before. One that does not is taken down as another one before anything is restored
   * to it, for a crash must not make it look as if it did.
   */
  async #goesOn({ id, appliedSequence }: ResourceRecord, { journal }: LogRecord): Promise<boolean> {
    if (journal.length > 0) return false;
    if ((await this.#options.engine.volumeLog('sequence', id)) > appliedSequence) return true;
    await this.#distrust(id);
    return false;
  }

  async #distrust(id: number): Promise<void> {
    await this.#options.ledger.update(id, (record) =>
      record.log === null ? null : { ...record, log: { ...record.log, journal: new Uint8Array(journal_bytes) } },
    );
  }

  /** How many sequences were brought back. */
  async #restore(record: ResourceRecord, log: LogRecord): Promise<number> {
    const { engine, keeper } = this.#options;
    const { id, pool, appliedSequence } = record;
    const span = readableLog(log, appliedSequence);
    let last = appliedSequence;
    for await (const chunk of keeper(pool).chunks(id, span.fence, span.first)) {
      if (chunk.firstSequence > span.until) break;
      for (let left = chunk.entries; left.length > 0; ) {
        const done = await engine.volumeLog('restore', id, left, span.until);
        left = left.subarray(done);
        if (left.length > 0) await pause(room_pause_milliseconds);
      }
      last = Math.max(last, Math.min(chunk.lastSequence, span.until));
    }
    return last - appliedSequence;
  }

  #background(id: number, work: () => Promise<void>): void {
    const running = work()
      .catch((error: unknown) => {
        this.#options.log('warn', 'log chunks that are not wanted any more could not be removed: the next start does', {
          resource: id,
          error: String(error),
        });
      })
      .finally(() => this.#underWay.delete(running));
    this.#underWay.add(running);
  }
}

function goesOnAfter(record: ResourceRecord, fence: number, sequence: number): ResourceRecord | null {
  const { log, appliedSequence } = record;
  return log?.fence !== fence ? null : { ...record, log: logAfterMove(log, appliedSequence, sequence) };
}
