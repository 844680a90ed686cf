/**
 * How a resource ends: its name goes first, at once; the rest when nothing waits for its root any more. Each step can be
 * repeated, and the record, which goes last, is what makes a restarted daemon go on.
 */
import type { ResourceRecord } from '../catalog/records.js';
import { isSkerryError } from '../core/errors.js';
import type { NativeEngine } from '../engine/binding.js';
import type { Ledger } from './ledger.js';
import { idLock, type KeyedLocks } from './locks.js';
import type { RootStores } from './root_store.js';

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

  /** Takes the name away, durably. What has none from here on is finished by finish(), now or later. */
  async giveUpName(id: number): Promise<void> {
    await this.#options.ledger.update(id, withoutName);
  }

  /**
   * Ends a resource without a name: out of the engine, tombstone durable, record gone. Waits for nothing.
   * @returns false where something still waits for its root, where it has a name or is held; true once it is gone.
   */
  async finish(id: number): Promise<boolean> {
    const { ledger, locks, roots } = this.#options;
    return locks.run([idLock(id)], async () => {
      const entry = await ledger.get(id);
      if (entry === null) return true;
      if (entry.record.name !== '' || this.#held.has(id) || ledger.waitingOn(id).length > 0) return false;
      await this.#drop(id);
      // Once the record is gone nobody remembers that a tombstone was due; so that comes first.
      await roots.of(entry.record.pool).putTombstone({ id, kind: entry.record.kind, name: '' });
      await ledger.commit([{ change: 'remove', from: entry }]);
      return true;
    });
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
