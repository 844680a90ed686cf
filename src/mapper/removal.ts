/**
 * How a resource ends: its name goes first, at once; the rest when nothing needs it any more (Ledger.isNeeded). Each step can be
 * repeated, and the record is what makes a restarted daemon go on.
 *
 * What takes writes leaves the engine first, by a record of the journal. A snapshot has no such record, and leaves last: while
 * the catalog says that it waits for a root, the engine must offer it that root together with its volume's. Else the volume's
 * is committed alone, the journal is trimmed, and the next start finds a snapshot that can never have a root.
 */
import type { ResourceRecord } from '../catalog/records.js';
import { isSkerryError } from '../core/errors.js';
import { inParallel } from '../core/in_parallel.js';
import type { NativeEngine } from '../engine/binding.js';
import type { Ledger, LedgerEntry } from './ledger.js';
import { idLock, type KeyedLocks } from './locks.js';
import type { RootStores } from './root_store.js';

/** Few, for verbs sync on the same disk; several, for their syncs then share commits of the file system. */
const tombstones_in_flight_max = 3;

export interface RemovalOptions {
  readonly ledger: Ledger;
  readonly engine: Pick<NativeEngine, 'drop'>;
  readonly roots: RootStores;
  readonly locks: KeyedLocks;
}

export class Removal {
  readonly #options: RemovalOptions;
  /** Without a name, and still in use by this process. */
  readonly #held = new Set<number>();

  constructor(options: RemovalOptions) {
    this.#options = options;
  }

  /** Keeps what has no name from being removed, until the answer is called; a crash ends it too. */
  hold(id: number): () => void {
    this.#held.add(id);
    return () => void this.#held.delete(id);
  }

  /** Takes the name away, durably. What has none from here on is finished by finishAll(), now or later. */
  async giveUpName(id: number): Promise<void> {
    await this.#options.ledger.update(id, withoutName);
  }

  /**
   * Ends resources of one pool that have no name: tombstone durable, record gone, out of the engine before or after. They share
   * one flush of the journal and one transaction. Those that something needs or holds are left; `onFailure` hears of those that
   * cannot end yet. @returns how many are gone. @throws SkerryError of the catalog
   */
  async finishAll(ids: readonly number[], onFailure: (id: number, error: unknown) => void): Promise<number> {
    const { ledger, locks, roots } = this.#options;
    return locks.run(ids.map(idLock), async () => {
      const ended: LedgerEntry[] = [];
      const entries = await Promise.all(ids.map((id) => this.#dropped(id, onFailure)));
      await inParallel(entries, tombstones_in_flight_max, async (entry) => {
        if (entry === null) return;
        const { id, kind, pool, log } = entry.record;
        try {
          await roots.of(pool).putTombstone({ id, kind, name: '' });
          if (log !== null) await roots.of(pool).forgetLog(id);
          ended.push(entry);
        } catch (error) {
          onFailure(id, error);
        }
      });
      if (ended.length > 0) await ledger.commit(ended.map((from) => ({ change: 'remove', from })));
      for (const entry of ended.filter(leavesLast)) await this.#drop(entry.record.id);
      return ended.length;
    });
  }

  /** What can end, and is out of the engine where that comes first; null for what cannot, or not yet. */
  async #dropped(id: number, onFailure: (id: number, error: unknown) => void): Promise<LedgerEntry | null> {
    const { ledger } = this.#options;
    const entry = await ledger.get(id);
    if (entry === null || entry.record.name !== '' || this.#held.has(id) || ledger.isNeeded(id)) return null;
    if (leavesLast(entry)) return entry;
    try {
      await this.#drop(id);
      return entry;
    } catch (error) {
      onFailure(id, error);
      return null;
    }
  }

  /** Undoes a creation in `pool` that failed half way, as far as can be told; what cannot be done now is finished later. */
  async abandon(id: number, pool: string): Promise<void> {
    const { ledger, roots } = this.#options;
    if ((await ledger.get(id)) === null) {
      await this.#drop(id);
      await roots.of(pool).putTombstone({ id, kind: 'volume', name: '' });
      return;
    }
    await this.giveUpName(id);
    await this.finishAll([id], (_, error) => {
      throw error;
    });
  }

  async #drop(id: number): Promise<void> {
    try {
      await this.#options.engine.drop(id);
    } catch (error) {
      // Dropped by an earlier attempt, or never added.
      if (!isSkerryError(error, 'not-found')) throw error;
    }
  }
}

const leavesLast = ({ record }: LedgerEntry): boolean => record.kind === 'snapshot';

export function withoutName(record: ResourceRecord): ResourceRecord {
  return { ...record, name: '', state: 'deleting' };
}
