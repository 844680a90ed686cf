/**
 * Shelves: volumes that nobody sees, in which the object layer keeps bodies. They are sparse, of the largest size there is, and
 * everything else about them is a volume's: journal, destage, collection, scrub, recovery.
 */
import type { Catalog, Write } from '../catalog/catalog.js';
import { emptyRoot, noLimit, type ResourceRecord } from '../catalog/records.js';
import { isSkerryError, SkerryError } from '../core/errors.js';
import { volume_bytes_max } from '../core/limits.js';
import type { NativeEngine } from '../engine/binding.js';
import { IdAllocator } from './id_allocator.js';
import type { Ledger } from './ledger.js';
import { first_fence } from './mapper.js';
import type { PoolUsers } from './pool_verbs.js';
import { resourceSpec } from './resource_spec.js';

export interface ShelvesOptions {
  readonly catalog: Catalog;
  readonly ledger: Ledger;
  readonly engine: Pick<NativeEngine, 'add'>;
  readonly pools: Pick<PoolUsers, 'using'>;
  /** A root chunk is due: upkeep looks. */
  readonly onUpkeep?: () => void;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export class Shelves {
  readonly #options: ShelvesOptions;
  readonly #ids: IdAllocator;

  constructor(options: ShelvesOptions) {
    this.#options = options;
    this.#ids = new IdAllocator(options.catalog);
  }

  /**
   * Makes one in `pool`, in one transaction with what `also` says of it. @returns its resource id
   * @throws SkerryError unavailable where there is no such pool, for who stores a body asked for none; else of the catalog
   */
  async make(pool: string, also: (id: number) => readonly Write[]): Promise<number> {
    const { pools } = this.#options;
    // Within, not-found means something else.
    let found = false;
    try {
      return await pools.using(pool, () => {
        found = true;
        return this.#make(pool, also);
      });
    } catch (error) {
      if (found || !isSkerryError(error, 'not-found')) throw error;
      const words = `there is no pool ${pool}, in which objects of the bucket are to be stored: make it with skerry pool create ${pool}`;
      throw new SkerryError('unavailable', words, { cause: error });
    }
  }

  async #make(pool: string, also: (id: number) => readonly Write[]): Promise<number> {
    const { ledger, engine, onUpkeep, now = Date.now } = this.#options;
    const id = await this.#ids.next();
    const record = shelfRecord(id, pool, now());
    await ledger.commit([{ change: 'insert', record, rootDue: true }], also(id));
    engine.add(resourceSpec(record));
    onUpkeep?.();
    return id;
  }
}

export function shelfRecord(id: number, pool: string, createdAt: number): ResourceRecord {
  return {
    id,
    kind: 'volume',
    name: `shelf-${id}`,
    pool,
    sizeBytes: volume_bytes_max,
    state: 'ready',
    durability: 'local',
    cache: 'writeback',
    description: '',
    createdAt,
    parentId: 0,
    parentName: '',
    root: emptyRoot,
    appliedSequence: 0,
    fence: first_fence,
    pendingOf: 0,
    lineage: 0,
    labels: {},
    limit: noLimit,
    access: null,
    compression: 'inherit',
    shelf: true,
    log: null,
  };
}
