/**
 * Keeps the engine's list of what is gone from a pool in the pool itself: before anything is removed there, and for the host that comes after
 * this one. Whose the pool is is looked at before a list is read and after one is put: so a list that the next host does not find is of a daemon
 * that removes nothing by it.
 */
import { SkerryError } from '../core/errors.js';
import type { Driver } from '../driver/driver.js';
import { passFailpoint } from '../engine/failpoints.js';
import { encodeGoneChunk, goneKey, listGone, readGone, readLastGone, type GonePlace } from './gone_chunk.js';
import type { PoolIdentity } from './owner_chunk.js';

export interface GoneKeeperOptions {
  readonly identity: PoolIdentity;
  readonly chunks: Driver;
  /**
   * The pool is this data directory's: the number of the owner chunk that says so, and that this life has put where it has to be a fresh one; 0
   * where nobody has to say so. @throws SkerryError conflict where it is another's; else of the driver
   */
  readonly look: (fresh: boolean) => Promise<number>;
}

export class GoneKeeper {
  readonly #options: GoneKeeperOptions;

  constructor(options: GoneKeeperOptions) {
    this.#options = options;
  }

  /**
   * For a host that has no list: the last one of those before it, null where there is none. What it keeps from here on goes over none of theirs,
   * nor over one that this data directory had and lost.
   * @throws SkerryError corrupt where that list cannot be read; of look and the driver
   */
  async open(): Promise<Uint8Array | null> {
    const { identity, chunks, look } = this.#options;
    return readLastGone(chunks, identity, await look(true));
  }

  /** Idempotent: what was put under a number once is put again with the same bytes. @throws SkerryError of look and the driver */
  async keep(number: number, list: Uint8Array): Promise<void> {
    const { identity, chunks, look } = this.#options;
    const place = { owner: await look(false), number };
    const there = await readGone(chunks, identity, place);
    if (there === null) {
      const { poolUuid, cipher } = identity;
      await chunks.put(goneKey(place), encodeGoneChunk({ poolUuid, ...place, list }, cipher));
    } else if (Buffer.compare(there, list) !== 0) {
      throw new SkerryError('corrupt', `chunk ${goneKey(place)} is another list than this host keeps under that number`);
    }
    passFailpoint('gone-kept');
    if ((await look(false)) !== place.owner) throw new SkerryError('try-again', 'the pool changed hands while a list was put');
    await this.#removeSuperseded(place);
  }

  /** The one before stays: a list of the backend that is late shows at least that. */
  async #removeSuperseded({ owner, number }: GonePlace): Promise<void> {
    const { chunks } = this.#options;
    try {
      for (const place of await listGone(chunks)) {
        if (place.owner < owner || (place.owner === owner && place.number + 1 < number)) await chunks.remove(goneKey(place));
      }
    } catch {
      // They do no harm, and go after the next put.
    }
  }
}
