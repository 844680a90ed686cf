/**
 * What the catalog says of the log of a volume with durability `pool`, from life to life and root to root
 * (docs/decisions/0056-durability-pool.md). Flushes are answered out of a log only over a root with all that came before it, so there
 * is always one span of chunks that goes on from the root, and it holds every flushed write.
 */
import type { LogRecord, LogSpan } from '../catalog/log_record.js';
import type { Durability, ResourceRecord } from '../catalog/records.js';
import type { NativeEngine } from '../engine/binding.js';
import type { LogMark } from '../engine/volume_log.js';
import type { Ledger } from './ledger.js';
import { idLock, type KeyedLocks } from './locks.js';
import { keptRoot, type RootStores } from './root_store.js';

/** Of a volume that nothing was written to. */
export function firstLog(journal: Uint8Array): LogRecord {
  return { journal, fence: 1, from: 1, first: 0, older: null };
}

/** The chunks that go on from the volume's root, and the last sequence of them that counts. */
export function readableLog(log: LogRecord, appliedSequence: number): LogSpan & { readonly until: number } {
  if (log.older !== null && appliedSequence < log.from - 1) return log.older;
  return { fence: log.fence, from: log.from, first: log.first, until: Number.MAX_SAFE_INTEGER };
}

export interface NextLife {
  readonly journal: Uint8Array;
  /** Of the volume's last record in that journal. */
  readonly sequence: number;
  /** Above all that were ever used for the volume. */
  readonly fence: number;
}

/** In the next life of the daemon, which goes on where the journal ends; what was in the log past that was never flushed. */
export function nextLog(log: LogRecord, appliedSequence: number, { journal, sequence, fence }: NextLife): LogRecord {
  const before = readableLog(log, appliedSequence);
  const older = appliedSequence >= sequence ? null : { ...before, until: Math.min(before.until, sequence) };
  return { journal, fence, from: sequence + 1, first: 0, older };
}

/** Over a root with all up to `appliedSequence`; `mark`: the first chunk that it does not hold whole, as the engine says. */
export function logOverRoot(log: LogRecord | null, appliedSequence: number, mark: LogMark | null): LogRecord | null {
  if (log === null || mark?.fence !== log.fence) return log;
  const older = appliedSequence >= log.from - 1 ? null : log.older;
  const first = Math.max(log.first, mark.first);
  return first === log.first && older === log.older ? log : { ...log, first, older };
}

/**
 * In another pool, whose root holds all up to `appliedSequence`, and with that all that a flush was answered for. That pool has nothing
 * under `fence`, nor under the one below.
 */
export function movedLog(log: LogRecord, appliedSequence: number, fence: number): LogRecord {
  return { journal: log.journal, fence, from: appliedSequence + 1, first: 0, older: null };
}

/**
 * There it goes on after `sequence`. What was written before that and is in no root is in no chunk either, so the span that goes on from
 * the root is an empty one: no flush is answered before a root holds it.
 */
export function logAfterMove(log: LogRecord, appliedSequence: number, sequence: number): LogRecord {
  const older = appliedSequence >= sequence ? null : { fence: log.fence - 1, from: log.from, first: 0, until: sequence };
  return { ...log, from: sequence + 1, older };
}

export interface LoggedVolumesOptions {
  readonly ledger: Ledger;
  readonly locks: KeyedLocks;
  readonly engine: Pick<NativeEngine, 'volumeLog' | 'destage'>;
  readonly roots: RootStores;
}

/** What durability `pool` asks of a resource that is being made, before it is answered: the pool has what it begins with. */
export class LoggedVolumes {
  readonly #options: LoggedVolumesOptions;

  constructor(options: LoggedVolumesOptions) {
    this.#options = options;
  }

  /** Of a new volume's record. @throws SkerryError unsupported where the pool cannot hold a log */
  async logOf(durability: Durability, pool: string): Promise<LogRecord | null> {
    if (durability !== 'pool') return null;
    this.#options.roots.of(pool).mustTakeLogs();
    return firstLog(await this.#options.engine.volumeLog('journal'));
  }

  /** Once the engine knows it. The record as it is then; the same where it has no log. @throws SkerryError of engine and pool */
  async begin(record: ResourceRecord): Promise<ResourceRecord> {
    const { id, log, pendingOf } = record;
    if (log === null) return record;
    // Its name is known already, and who writes to it now may have a flush answered.
    const release = this.#options.roots.of(record.pool).holdLog(id);
    try {
      await this.beginLog(record);
      return await (pendingOf === 0 ? this.#keepRoot(record) : this.rooted(record));
    } finally {
      release();
    }
  }

  /** Of a volume that nobody else sees: what is written to it from here on can be flushed. Nothing, where it has no log. */
  async beginLog({ id, log }: Pick<ResourceRecord, 'id' | 'log'>): Promise<void> {
    if (log !== null) await this.#options.engine.volumeLog('begin', id, log.fence, log.from - 1);
  }

  /** Of one whose log has begun: `name` lets others see it, who have no flush answered before the pool knows of it. */
  async named(
    { id, log, pool }: Pick<ResourceRecord, 'id' | 'log' | 'pool'>,
    name: () => Promise<ResourceRecord>,
  ): Promise<ResourceRecord> {
    if (log === null) return name();
    const release = this.#options.roots.of(pool).holdLog(id);
    try {
      return await this.#keepRoot(await name());
    } finally {
      release();
    }
  }

  /** Resolves once what it waits for is a root. */
  async rooted(record: ResourceRecord): Promise<ResourceRecord> {
    await this.#options.engine.destage(record.id);
    return (await this.#options.ledger.get(record.id))?.record ?? record;
  }

  /** Puts the root chunk that is due: a pool that is to be enough alone must know of the volume. Under its lock, for a newer one may come. */
  async #keepRoot(made: ResourceRecord): Promise<ResourceRecord> {
    const { ledger, locks, roots } = this.#options;
    return locks.run([idLock(made.id)], async () => {
      const record = (await ledger.get(made.id))?.record ?? made;
      await roots.of(record.pool).putRoot(keptRoot(record));
      await ledger.rootsKept([record.id]);
      return record;
    });
  }
}
