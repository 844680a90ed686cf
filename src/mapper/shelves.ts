/**
 * Shelves: volumes that nobody sees, in which the object layer keeps bodies. They are sparse, of the largest size there is, and
 * everything else about them is a volume's: journal, destage, collection, scrub, recovery.
 */
import type { Catalog, Write } from '../catalog/catalog.js';
import type { ShelfPlace } from '../catalog/object_keys.js';
import type { ResourceRecord } from '../catalog/records.js';
import { isSkerryError, SkerryError } from '../core/errors.js';
import { volume_bytes_max } from '../core/limits.js';
import type { NativeEngine } from '../engine/binding.js';
import { IdAllocator } from './id_allocator.js';
import type { Ledger } from './ledger.js';
import { insertResource, newRecord } from './new_resource.js';
import type { PoolUsers } from './pool_verbs.js';

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
   * Makes one in `pool`, in one transaction with what `also` says of it. `domain`: of its blocks; null: the pool's own. @returns its resource id
   * @throws SkerryError unavailable where there is no such pool, for who stores a body asked for none; else of the catalog
   */
  async make(place: ShelfPlace, also: (id: number) => readonly Write[]): Promise<number> {
    const { pools } = this.#options;
    const { pool } = place;
    // Within, not-found means something else.
    let found = false;
    try {
      return await pools.using(pool, () => {
        found = true;
        return this.#make(place, also);
      });
    } catch (error) {
      if (found || !isSkerryError(error, 'not-found')) throw error;
      const words = `there is no pool ${pool}, in which objects of the bucket are to be stored: make it with skerry pool create ${pool}`;
      throw new SkerryError('unavailable', words, { cause: error });
    }
  }

  async #make({ pool, domain }: ShelfPlace, also: (id: number) => readonly Write[]): Promise<number> {
    const { onUpkeep, now = Date.now } = this.#options;
    const id = await this.#ids.next();
    const record = { ...shelfRecord(id, pool, now()), ...(domain === null ? {} : { domain }) };
    await insertResource(this.#options, record, { rootDue: true, also: also(id) });
    onUpkeep?.();
    return id;
  }
}

export function shelfRecord(id: number, pool: string, createdAt: number): ResourceRecord {
  return newRecord({ id, kind: 'volume', name: `shelf-${id}`, pool, sizeBytes: volume_bytes_max, createdAt, shelf: true });
}
