/**
 * Shelves that hold what a snapshot or an image does, so that it can be the body of an object: they begin with its tree, as a
 * clone does, and nothing is ever put into them. They live on without what they were made of, for as long as some object is in them.
 */
import type { Catalog } from '../catalog/catalog.js';
import { frozenShelfKey, frozenShelfPrefix, lastNumber } from '../catalog/object_keys.js';
import type { ResourceRecord } from '../catalog/records.js';
import { encodeShelf } from '../catalog/shelf_records.js';
import { SkerryError } from '../core/errors.js';
import type { NativeEngine } from '../engine/binding.js';
import { IdAllocator } from './id_allocator.js';
import type { Ledger } from './ledger.js';
import { nameLock, type KeyedLocks } from './locks.js';
import { insertResource } from './new_resource.js';
import type { PoolUsers } from './pool_verbs.js';
import { withoutName } from './removal.js';
import { shelfRecord } from './shelves.js';
import { findReady, findServed } from './sources.js';

const shelves_per_read_max = 256;

export interface FrozenShelvesOptions {
  readonly catalog: Catalog;
  readonly ledger: Ledger;
  readonly locks: KeyedLocks;
  readonly engine: Pick<NativeEngine, 'add' | 'destage'>;
  readonly pools: Pick<PoolUsers, 'using'>;
  /** A root chunk is due, or something without a name may go: upkeep looks. */
  readonly onUpkeep?: () => void;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export class FrozenShelves {
  readonly #options: FrozenShelvesOptions;
  readonly #ids: IdAllocator;
  /** In which nothing is yet, and soon something will be. */
  readonly #fresh = new Set<number>();

  constructor(options: FrozenShelvesOptions) {
    this.#options = options;
    this.#ids = new IdAllocator(options.catalog);
  }

  /**
   * Makes one, and runs `work`, which puts something into it; one that nothing is in afterwards goes.
   * @throws SkerryError not-found; try-again where the snapshot's root has not come yet
   */
  async during<T>(kind: 'snapshot' | 'image', name: string, work: (shelf: ResourceRecord) => Promise<T>): Promise<T> {
    const { ledger, engine } = this.#options;
    const { id, pendingOf } = (await findServed(ledger, kind, name)).record;
    if (pendingOf !== 0) await engine.destage(id);
    const shelf = await this.#make(kind, name);
    try {
      return await work(shelf);
    } finally {
      this.#fresh.delete(shelf.id);
    }
  }

  /** For upkeep. `isUsed`: whether anything is in it. */
  async removeUnused(isUsed: (shelf: number) => Promise<boolean>, stop?: AbortSignal): Promise<void> {
    const { catalog, ledger, onUpkeep } = this.#options;
    for (let after: string | undefined; ; ) {
      const page = await catalog.range(frozenShelfPrefix, {
        entriesMax: shelves_per_read_max,
        ...(after === undefined ? {} : { after }),
      });
      for (const { key } of page) {
        const id = lastNumber(key);
        if (stop?.aborted === true) return;
        if (this.#fresh.has(id) || (await isUsed(id))) continue;
        const from = await ledger.get(id);
        if (from === null) await catalog.transact([], [{ key, value: null }]);
        else await ledger.commit([{ change: 'update', from, record: withoutName(from.record) }], [{ key, value: null }]);
        onUpkeep?.();
      }
      after = page.at(-1)?.key;
      if (page.length < shelves_per_read_max) return;
    }
  }

  #make(kind: 'snapshot' | 'image', name: string): Promise<ResourceRecord> {
    const { ledger, locks, pools, onUpkeep, now = Date.now } = this.#options;
    // What it begins with stays until it has that too.
    return locks.run([nameLock(name)], async () => {
      const { record: source } = await findReady(ledger, kind, name);
      if (source.pendingOf !== 0) throw new SkerryError('try-again', `${name} still waits for its root`);
      return pools.using(source.pool, async () => {
        const id = await this.#ids.next();
        const { sizeBytes, root, id: parentId } = source;
        const record = { ...shelfRecord(id, source.pool, now()), sizeBytes, root, parentId, parentName: name };
        this.#fresh.add(id);
        try {
          const kept = { key: frozenShelfKey(id), value: encodeShelf({ id, next: sizeBytes }) };
          await insertResource(this.#options, record, { rootDue: true, also: [kept] });
        } catch (error) {
          this.#fresh.delete(id);
          throw error;
        }
        onUpkeep?.();
        return record;
      });
    });
  }
}
