/**
 * Where a stream of unknown length is written: a volume without a name that becomes a larger one when it is full, by a clone
 * of its root. It grows by whole levels of the map, so what comes of it is the tree that a file of the same bytes makes.
 */
import { emptyRoot, type ResourceRecord, type RootRecord } from '../catalog/records.js';
import { SkerryError } from '../core/errors.js';
import { block_bytes, volume_bytes_max } from '../core/limits.js';
import type { NativeEngine } from '../engine/binding.js';
import type { IdAllocator } from './id_allocator.js';
import type { Ledger } from './ledger.js';
import { insertResource, newRecord } from './new_resource.js';
import type { Removal } from './removal.js';
import { whenThereIsRoom } from './room.js';

/** 256 slots a node: 16 MiB, 4 GiB, 1 TiB, 256 TiB, and what is the most. */
const sizes = [1, 2, 3, 4, 5].map((levels) => Math.min(256 ** levels * block_bytes, volume_bytes_max));

export interface GrowingVolumeOptions {
  readonly ledger: Ledger;
  readonly engine: Pick<NativeEngine, 'add' | 'destage' | 'write'>;
  readonly ids: IdAllocator;
  readonly removal: Pick<Removal, 'hold'>;
  /** Removes one that is no longer wanted; never throws. */
  readonly abandon: (id: number, pool: string) => Promise<void>;
  /** All of a record but what this decides. */
  readonly basis: Pick<ResourceRecord, 'pool' | 'createdAt' | 'fence'>;
}

interface Held {
  readonly id: number;
  readonly sizeBytes: number;
  readonly release: () => void;
}

export class GrowingVolume {
  readonly #options: GrowingVolumeOptions;
  #now: Held | null = null;

  constructor(options: GrowingVolumeOptions) {
    this.#options = options;
  }

  /** @throws SkerryError */
  async write(offset: number, data: Uint8Array): Promise<void> {
    const { id } = await this.#room(offset + data.length);
    await whenThereIsRoom(() => this.#options.engine.write(id, offset, data));
  }

  /** The committed tree of all that was written. */
  async root(): Promise<RootRecord> {
    if (this.#now === null) return emptyRoot;
    const { id } = this.#now;
    await this.#options.engine.destage(id);
    const entry = await this.#options.ledger.get(id);
    if (entry === null) throw new SkerryError('internal', `the record of resource ${id} is gone in the middle of its import`);
    return entry.record.root;
  }

  /** What it rests on goes; a root that was taken from it stays. */
  async close(): Promise<void> {
    const now = this.#now;
    this.#now = null;
    if (now !== null) await this.#giveUp(now);
  }

  async #room(bytes: number): Promise<Held> {
    if (this.#now !== null && bytes <= this.#now.sizeBytes) return this.#now;
    const sizeBytes = sizes.find((size) => bytes <= size);
    if (sizeBytes === undefined) throw new SkerryError('too-large', `an image has at most ${volume_bytes_max} bytes`);
    const root = await this.root();
    const before = this.#now;
    this.#now = await this.#make(sizeBytes, root);
    if (before !== null) await this.#giveUp(before);
    return this.#now;
  }

  async #make(sizeBytes: number, root: RootRecord): Promise<Held> {
    const { ids, removal, abandon, basis } = this.#options;
    const id = await ids.next();
    const held = { id, sizeBytes, release: removal.hold(id) };
    // Without a name and held by this process alone: the next start removes what a crash leaves of it.
    const record = newRecord({ ...basis, id, kind: 'volume', name: '', sizeBytes, state: 'deleting', root });
    try {
      await insertResource(this.#options, record);
      return held;
    } catch (error) {
      held.release();
      await abandon(id, basis.pool);
      throw error;
    }
  }

  async #giveUp({ id, release }: Held): Promise<void> {
    release();
    await this.#options.abandon(id, this.#options.basis.pool);
  }
}
