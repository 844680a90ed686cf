/**
 * One replica of a volume in another pool: a snapshot of it, copied by what differs from the one that was copied before, becomes an image
 * there. Whatever ends it half way, the next attempt goes on from the last part that is durable in that pool.
 */
import type { CarriedRecord } from '../catalog/move_record.js';
import { emptyRoot, type ResourceRecord } from '../catalog/records.js';
import type { ReplicationRecord } from '../catalog/replication_record.js';
import { SkerryError } from '../core/errors.js';
import { pause } from '../core/pause.js';
import type { NativeEngine } from '../engine/binding.js';
import type { IdAllocator } from '../mapper/id_allocator.js';
import type { Ledger } from '../mapper/ledger.js';
import { nameLock, type KeyedLocks } from '../mapper/locks.js';
import { insertResource, newRecord } from '../mapper/new_resource.js';
import { sameRoot } from '../mapper/resource_spec.js';
import type { Resources } from '../mapper/resources.js';
import type { Carriage } from './carriage.js';
import type { ReplicationBook } from './replication_book.js';

const root_pause_milliseconds = 50;
const root_milliseconds_max = 120_000;
const number_first = 2 ** 52;
/** Says of an image which volume it is a replica of. */
const label = 'replica-of-id';

export interface ReplicaOptions {
  readonly ledger: Ledger;
  readonly locks: KeyedLocks;
  readonly ids: IdAllocator;
  readonly engine: Pick<NativeEngine, 'add'>;
  readonly resources: Pick<Resources, 'snapshot' | 'remove'>;
  readonly carriage: Carriage;
  readonly book: ReplicationBook;
  readonly onUpkeep: () => void;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface ReplicaProgress {
  carriedBytes: number;
  putBytes: number;
  lostPages: number;
}

export class Replica {
  readonly #options: ReplicaOptions;
  readonly #record: ReplicationRecord;
  readonly #signal: AbortSignal;
  readonly progress: ReplicaProgress = { carriedBytes: 0, putBytes: 0, lostPages: 0 };

  constructor(options: ReplicaOptions, record: ReplicationRecord, signal: AbortSignal) {
    this.#options = options;
    this.#record = record;
    this.#signal = signal;
  }

  /** The record as it is once the replica is there. @throws SkerryError; not-found where the volume is gone */
  async make(): Promise<ReplicationRecord> {
    const { book } = this.#options;
    const volume = await this.#named(this.#record.id);
    if (volume === null) throw new SkerryError('not-found', 'the volume was deleted');
    const begun = book.carried(volume.id);
    const snapshot = await this.#withRoot(begun === null ? null : await this.#named(begun.id), volume);
    const carried = await this.#carry(volume, snapshot);
    const image = await this.#keep(volume, snapshot, carried);
    const record = { ...this.#record, lastAt: snapshot.createdAt, snapshot: snapshot.id, replica: image.id };
    await book.put(record);
    await book.dropCarried(volume.id);
    // The image has it now.
    await this.forget();
    await this.prune(volume, record);
    return record;
  }

  /** The snapshot to copy, once it has its root: the one that was begun with, or a new one. */
  async #withRoot(begun: ResourceRecord | null, volume: ResourceRecord): Promise<ResourceRecord> {
    const { resources } = this.#options;
    const id = begun?.id ?? (await resources.snapshot(this.#snapshotName(volume), { description: this.#description() })).id;
    const deadline = performance.now() + root_milliseconds_max;
    for (;;) {
      const snapshot = await this.#named(id);
      if (snapshot === null) throw new SkerryError('try-again', 'the snapshot to be copied was deleted');
      if (snapshot.pendingOf === 0) return snapshot;
      if (this.#signal.aborted || performance.now() > deadline)
        throw new SkerryError('try-again', `${snapshot.name} still waits for its root`);
      await pause(root_pause_milliseconds, this.#signal);
    }
  }

  async #carry(volume: ResourceRecord, snapshot: ResourceRecord): Promise<CarriedRecord> {
    const { book, carriage } = this.#options;
    const { to } = this.#record;
    let carried = book.carried(volume.id);
    const ofCopy = { move: volume.id, id: snapshot.id };
    // The volume may have gone to another pool since, where its roots have other names.
    if (carried?.id !== snapshot.id || !sameRoot(carried.to, snapshot.root)) {
      const before = await this.#named(this.#record.snapshot);
      const replica = await this.#named(this.#record.replica);
      const known = before !== null && replica !== null && before.pool === snapshot.pool && replica.pool === to;
      const base = known ? { from: before.root, target: replica.root } : { from: emptyRoot, target: emptyRoot };
      carried = { ...ofCopy, ...base, to: snapshot.root, next: 0, done: false };
      await book.putCarried(carried);
    }
    if (carried.done) return carried;
    const { from, to: root } = carried;
    const order = {
      number: this.#number,
      pool: snapshot.pool,
      toPool: to,
      ...carried,
      sizeBytes: snapshot.sizeBytes,
      compression: volume.compression,
    };
    await carriage.carry(order, this.#signal, async (step) => {
      carried = { ...ofCopy, from, to: root, target: step.target, next: step.next, done: step.done };
      await book.putCarried(carried);
      this.progress.carriedBytes += step.carriedBytes;
      this.progress.putBytes += step.putBytes;
      this.progress.lostPages += step.lostPages;
    });
    return carried;
  }

  /** As an image of the other pool, which is what a clone begins with should this pool be lost. */
  async #keep(volume: ResourceRecord, snapshot: ResourceRecord, carried: CarriedRecord): Promise<ResourceRecord> {
    const { ledger, locks, ids, onUpkeep } = this.#options;
    const name = `${volume.name}.${snapshot.name.slice(snapshot.name.indexOf('@') + 1)}`;
    return locks.run([nameLock(name)], async () => {
      const there = await ledger.find('image', name);
      // An attempt before this one died right after.
      if (there !== null && sameRoot(there.record.root, carried.target)) return there.record;
      const image = newRecord({
        id: await ids.next(),
        kind: 'image',
        name,
        pool: this.#record.to,
        sizeBytes: snapshot.sizeBytes,
        cache: volume.cache,
        description: `replica of ${snapshot.name}`,
        createdAt: snapshot.createdAt,
        parentId: snapshot.id,
        parentName: snapshot.name,
        root: carried.target,
        fence: 0,
        labels: { [label]: String(volume.id) },
        access: volume.access,
      });
      await insertResource(this.#options, image, { rootDue: true });
      onUpkeep();
      return image;
    });
  }

  /** Replicas beyond those that are kept, and snapshots of ours that no copy begins with any more. What is in use stays for now. */
  async prune(volume: ResourceRecord, record: ReplicationRecord): Promise<void> {
    const { ledger, resources } = this.#options;
    const images = (await ledger.list('image', `${volume.name}.replica-`)).filter(
      ({ record: image }) => image.labels[label] === String(volume.id),
    );
    const old = images.toSorted((a, b) => b.record.id - a.record.id).slice(record.keep);
    for (const { record: image } of old) {
      if (image.id !== record.replica) await resources.remove('image', image.name).catch(() => undefined);
    }
    for (const { record: snapshot } of await ledger.list('snapshot', `${volume.name}@replica-`)) {
      const ours = snapshot.description === this.#description() && snapshot.id !== record.snapshot;
      if (ours) await resources.remove('snapshot', snapshot.name).catch(() => undefined);
    }
  }

  /** What was carried is an image's, or nobody's. */
  async forget(): Promise<void> {
    await this.#options.carriage.forget(this.#number);
  }

  /** No resource has it: a move of the volume may go on beside this. */
  get #number(): number {
    return number_first + this.#record.id;
  }

  #snapshotName({ name }: ResourceRecord): string {
    const time = new Date(this.#options.now()).toISOString().slice(0, 19).replaceAll(/[-:]/g, '').toLowerCase();
    return `${name}@replica-${time}`;
  }

  #description(): string {
    return `of the replication to pool ${this.#record.to}`;
  }

  async #named(id: number): Promise<ResourceRecord | null> {
    const record = id === 0 ? undefined : (await this.#options.ledger.get(id))?.record;
    return record === undefined || record.name === '' ? null : record;
  }
}
