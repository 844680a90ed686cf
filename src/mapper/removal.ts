/**
 * How a resource ends: its name goes first, at once; the rest when nothing needs it any more (Ledger.isNeeded). Each step can be
 * repeated, and the record, which goes last, is what makes a restarted daemon go on.
 */
import type { ResourceRecord } from '../catalog/records.js';
import { isSkerryError } from '../core/errors.js';
import { inParallel } from '../core/in_parallel.js';
import type { NativeEngine } from '../engine/binding.js';
import type { Ledger, LedgerEntry } from './ledger.js';
import { idLock, type KeyedLocks } from './locks.js';
import type { RootStore } from './root_store.js';

/** Few, for verbs sync on the same disk; several, for their syncs then share commits of the file system. */
const tombstones_in_flight_max = 3;

export interface RemovalOptions {
  readonly ledger: Ledger;
  readonly engine: Pick<NativeEngine, 'drop'>;
  readonly roots: RootStore;
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

  /** Takes the name away, durably. What has none from here on is finished by finish(), now or later. */
  async giveUpName(id: number): Promise<void> {
    await this.#options.ledger.update(id, withoutName);
  }

  /**
   * Ends a resource without a name: out of the engine, tombstone durable, record gone. Waits for nothing.
   * @returns false where something still needs it, where it has a name or is held; true once it is gone.
   */
  async finish(id: number): Promise<boolean> {
    const { ledger, locks, roots } = this.#options;
    return locks.run([idLock(id)], async () => {
      const entry = await ledger.get(id);
      if (entry === null) return true;
      if (entry.record.name !== '' || this.#held.has(id) || ledger.isNeeded(id)) return false;
      await this.#drop(id);
      // Once the record is gone nobody remembers that a tombstone was due; so that comes first.
      await roots.putTombstone({ id, kind: entry.record.kind, name: '' });
      await ledger.commit([{ change: 'remove', from: entry }]);
      return true;
    });
  }

  /**
   * The same for many, which share one flush of the journal and one transaction. `onFailure` hears of those that cannot end yet.
   * @returns how many are gone. @throws SkerryError of the catalog
   */
  async finishAll(ids: readonly number[], onFailure: (id: number, error: unknown) => void): Promise<number> {
    const { ledger, locks, roots } = this.#options;
    return locks.run(ids.map(idLock), async () => {
      const ended: LedgerEntry[] = [];
      const entries = await Promise.all(ids.map((id) => this.#dropped(id, onFailure)));
      await inParallel(entries, tombstones_in_flight_max, async (entry) => {
        if (entry === null) return;
        const { id, kind } = entry.record;
        try {
          await roots.putTombstone({ id, kind, name: '' });
          ended.push(entry);
        } catch (error) {
          onFailure(id, error);
        }
      });
      if (ended.length > 0) await ledger.commit(ended.map((from) => ({ change: 'remove', from })));
      return ended.length;
    });
  }

  /** What is out of the engine and can end; null for what cannot, or not yet. */
  async #dropped(id: number, onFailure: (id: number, error: unknown) => void): Promise<LedgerEntry | null> {
    const { ledger } = this.#options;
    const entry = await ledger.get(id);
    if (entry === null || entry.record.name !== '' || this.#held.has(id) || ledger.isNeeded(id)) return null;
    try {
      await this.#drop(id);
      return entry;
    } catch (error) {
      onFailure(id, error);
      return null;
    }
  }

  /** Undoes a creation that failed half way, as far as can be told; what cannot be done now is finished later. */
  async abandon(id: number): Promise<void> {
    const { ledger, roots } = this.#options;
    if ((await ledger.get(id)) === null) {
      await this.#drop(id);
      await roots.putTombstone({ id, kind: 'volume', name: '' });
      return;
    }
    await this.giveUpName(id);
    await this.finish(id);
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

export function withoutName(record: ResourceRecord): ResourceRecord {
  return { ...record, name: '', state: 'deleting' };
}
