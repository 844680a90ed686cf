/**
 * Who gives out addresses of shelves. An address is given out once and never again, so no leftover of one body is ever taken
 * for another, and nothing has to be known about what is free. What different accounts bring lies in different shelves, whose blocks
 * are of different domains.
 *
 * Addresses come from *regions*, which the catalog knows before anything is written in them. A region stays there until all
 * that was given out of it is committed, or durably trimmed: what a crash left of a region is found by comparing it with the
 * extents of the catalog (region_recovery.ts).
 */
import type { Catalog } from '../catalog/catalog.js';
import { lastNumber, regionKey, shelfKey, shelvesPrefix, type ShelfPlace } from '../catalog/object_keys.js';
import { decodeShelf, encodeRegion, encodeShelf } from '../catalog/shelf_records.js';
import { SkerryError } from '../core/errors.js';
import { block_bytes, page_bytes, volume_bytes_max } from '../core/limits.js';
import type { NativeEngine } from '../engine/binding.js';
import { KeyedLocks } from '../mapper/locks.js';
import type { Shelves } from '../mapper/shelves.js';

const MiB = 1 << 20;
const GiB = 1 << 30;
/** What one leaf of a map covers: whole leaves can be taken over into a volume's map. */
const leaf_bytes = 256 * block_bytes;
const lease_attempts_max = 8;

/**
 * Small bodies share blocks, page by page; those of 16 MiB begin at a leaf. Each grain has regions of its own, so that the only
 * gaps in a region are of bodies that came to nothing.
 */
export const grains = [
  { grain: page_bytes, below: block_bytes, regionBytes: GiB },
  { grain: block_bytes, below: leaf_bytes, regionBytes: 16 * GiB },
  { grain: leaf_bytes, below: Number.POSITIVE_INFINITY, regionBytes: 64 * GiB },
] as const;

/** A longer body takes several. A whole number of every grain. */
export const extent_bytes_max = 8 * GiB;
/** Of content whose length nobody told: the first extents, which grow until they are as long as the others. */
export const unknown_extent_bytes = 64 * MiB;

export interface ShelfSpaceOptions {
  readonly catalog: Catalog;
  readonly engine: Pick<NativeEngine, 'flush'>;
  readonly shelves: Pick<Shelves, 'make'>;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
  /** For tests: end of the addresses of a shelf, and how many grains a region has, at least 16. */
  readonly shelfBytesMax?: number;
  readonly regionGrains?: number;
}

/** Bytes [offset, offset + bytes) of a shelf, which nobody else has or had. */
export class Allocation {
  readonly shelf: number;
  readonly offset: number;
  readonly bytes: number;
  readonly #region: Region;

  constructor(region: Region, offset: number, bytes: number) {
    this.#region = region;
    this.shelf = region.shelf;
    this.offset = offset;
    this.bytes = bytes;
  }

  /** Once. `known`: what became of it is committed, or trimmed; otherwise its region is looked through at the next start. */
  settle(known: boolean): void {
    this.#region.settle(known);
  }
}

class Region {
  readonly shelf: number;
  readonly start: number;
  readonly grain: number;
  readonly #end: number;
  readonly #onDone: (region: Region) => void;
  #next: number;
  #unsettled = 0;
  #doubtful = false;
  #full = false;

  constructor(place: { shelf: number; start: number; bytes: number; grain: number }, onDone: (region: Region) => void) {
    this.shelf = place.shelf;
    this.start = place.start;
    this.grain = place.grain;
    this.#end = place.start + place.bytes;
    this.#next = place.start;
    this.#onDone = onDone;
  }

  /** null where it has no room for that: it takes nothing more then. */
  take(bytes: number): Allocation | null {
    const end = this.#next + Math.ceil(bytes / this.grain) * this.grain;
    if (this.#full || end > this.#end) {
      this.#full = true;
      this.#endIfDone();
      return null;
    }
    const allocation = new Allocation(this, this.#next, bytes);
    this.#next = end;
    this.#unsettled += 1;
    return allocation;
  }

  settle(known: boolean): void {
    this.#unsettled -= 1;
    if (!known) this.#doubtful = true;
    this.#endIfDone();
  }

  #endIfDone(): void {
    if (this.#full && this.#unsettled === 0 && !this.#doubtful) this.#onDone(this);
  }
}

export class ShelfSpace {
  readonly #options: ShelfSpaceOptions;
  readonly #shelfBytesMax: number;
  /** Of one allocation. */
  readonly extentBytesMax: number;
  /** The one that takes bodies, for each place and grain. */
  readonly #open = new Map<string, Region>();
  readonly #leasing = new Map<string, Promise<Region>>();
  readonly #ending = new Set<Promise<void>>();
  /** Of two grains that want the first shelf of a place at once, one makes it. */
  readonly #places = new KeyedLocks();

  constructor(options: ShelfSpaceOptions) {
    this.#options = options;
    this.#shelfBytesMax = options.shelfBytesMax ?? volume_bytes_max;
    const { regionGrains } = options;
    this.extentBytesMax = regionGrains === undefined ? extent_bytes_max : regionGrains * block_bytes;
  }

  /** @throws SkerryError of the catalog, and unavailable where there is no such pool */
  async allocate(place: ShelfPlace, bytes: number): Promise<Allocation> {
    if (bytes <= 0 || bytes > this.extentBytesMax)
      throw new RangeError(`an extent has 1 to ${this.extentBytesMax} bytes, not ${bytes}`);
    const kind = grains.find(({ below }) => bytes < below) ?? grains[2];
    const name = `${kind.grain} ${shelvesPrefix(place)}`;
    for (;;) {
      const taken = this.#open.get(name)?.take(bytes);
      if (taken !== undefined && taken !== null) return taken;
      await this.#lease(name, place, kind);
    }
  }

  /** Resolves when regions that are done have left the catalog, or could not. */
  async stop(): Promise<void> {
    await Promise.all(this.#ending);
  }

  #lease(name: string, place: ShelfPlace, kind: (typeof grains)[number]): Promise<Region> {
    let leasing = this.#leasing.get(name);
    if (leasing === undefined) {
      leasing = this.#newRegion(place, kind).then((region) => {
        this.#open.set(name, region);
        return region;
      });
      this.#leasing.set(name, leasing);
      const done = (): void => void this.#leasing.delete(name);
      leasing.then(done, done);
    }
    return leasing;
  }

  async #newRegion(place: ShelfPlace, { grain, regionBytes }: (typeof grains)[number]): Promise<Region> {
    const { catalog, regionGrains } = this.#options;
    const bytes = regionGrains === undefined ? regionBytes : regionGrains * grain;
    for (let attempt = 0; attempt < lease_attempts_max; attempt += 1) {
      const shelf = await this.#places.run([shelvesPrefix(place)], () => this.#shelfWithRoom(place, bytes));
      const { id, next: start } = decodeShelf(shelf.value);
      const outcome = await catalog.transact(
        [{ key: shelf.key, revision: shelf.revision }],
        [
          { key: shelf.key, value: encodeShelf({ id, next: start + bytes }) },
          { key: regionKey(id, start), value: encodeRegion({ bytes, grain }) },
        ],
      );
      if (outcome.outcome === 'committed') return new Region({ shelf: id, start, bytes, grain }, (done) => this.#end(done));
    }
    throw new SkerryError('try-again', `the shelves of pool ${place.pool} change all the time`);
  }

  async #shelfWithRoom(place: ShelfPlace, bytes: number) {
    const { catalog, shelves } = this.#options;
    const last = (await catalog.range(shelvesPrefix(place))).at(-1);
    if (last !== undefined && decodeShelf(last.value).next + bytes <= this.#shelfBytesMax) return last;
    const key = shelfKey(place, last === undefined ? 0 : lastNumber(last.key) + 1);
    await shelves.make(place, (id) => [{ key, value: encodeShelf({ id, next: 0 }) }]);
    const made = await catalog.get(key);
    if (made === null) throw new SkerryError('internal', `${key} of the catalog is gone as soon as it was made`);
    return made;
  }

  /** Trims in it are durable first: without the region nobody would make them again. */
  #end(region: Region): void {
    const ending = (async () => {
      await this.#options.engine.flush(region.shelf);
      await this.#options.catalog.transact([], [{ key: regionKey(region.shelf, region.start), value: null }]);
    })().catch((error: unknown) => {
      this.#options.log('warn', 'a region of a shelf is full, and is looked through at the next start', {
        shelf: region.shelf,
        start: region.start,
        error: String(error),
      });
    });
    this.#ending.add(ending);
    void ending.finally(() => this.#ending.delete(ending));
  }
}
