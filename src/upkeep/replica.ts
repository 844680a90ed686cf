/**
 * One replica of a volume in another pool: a snapshot of it, copied by what differs from the one that was copied before, becomes an image
 * there. Whatever ends it half way, the next attempt goes on from the last part that is durable in that pool.
 */
import type { CarriedRecord } from '../catalog/move_record.js';
import { emptyRoot, type ResourceRecord } from '../catalog/records.js';
import type { ReplicationRecord } from '../catalog/replication_record.js';
import { isSkerryError, SkerryError } from '../core/errors.js';
import { pause } from '../core/pause.js';
import type { NativeEngine } from '../engine/binding.js';
import { passFailpoint } from '../engine/failpoints.js';
import type { IdAllocator } from '../mapper/id_allocator.js';
import type { Ledger } from '../mapper/ledger.js';
import { idLock, nameLock, type KeyedLocks } from '../mapper/locks.js';
import { insertResource, newRecord } from '../mapper/new_resource.js';
import { sameRoot } from '../mapper/resource_spec.js';
import type { Resources } from '../mapper/resources.js';
import type { Carriage, CarryStep } from './carriage.js';
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
  /** A part of a copy is durable in pool `to`. */
  readonly onCarried?: (volume: string, to: string, part: Pick<CarryStep, 'carriedBytes' | 'putBytes'>) => void;
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

  /** The record as it is once the replica is there. @throws SkerryError; not-found where the volume is gone, conflict where it came here */
  async make(): Promise<ReplicationRecord> {
    const { book, ledger } = this.#options;
    const volume = await this.#named(this.#record.id);
    if (volume === null) throw new SkerryError('not-found', 'the volume was deleted');
    if (volume.pool === this.#record.to) throw inItsOwnPool(volume.name, volume.pool);
    const begun = book.carried(volume.id);
    const snapshot = await this.#withRoot(begun === null ? null : await this.#named(begun.id), volume);
    const carried = await this.#carry(volume, snapshot);
    const image = await this.#keep(volume, snapshot, carried);
    // Where all but that pool is lost, only what it tells of itself can be found again.
    await this.#until(() => !ledger.isRootDue(image.id), `pool ${image.pool} does not say of replica ${image.name} yet`);
    // How often, and how many stay, may have been changed meanwhile.
    const asked = book.get(volume.id) ?? this.#record;
    const record = { ...asked, lastAt: snapshot.createdAt, snapshot: snapshot.id, replica: image.id };
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
    let snapshot = await this.#snapshot(id);
    await this.#until(async () => {
      snapshot = await this.#snapshot(id);
      return snapshot.pendingOf === 0;
    }, `snapshot ${snapshot.name} still waits for its root in pool ${snapshot.pool}`);
    return snapshot;
  }

  async #snapshot(id: number): Promise<ResourceRecord> {
    const snapshot = await this.#named(id);
    if (snapshot === null) throw new SkerryError('try-again', 'the snapshot to be copied was deleted');
    return snapshot;
  }

  /** @throws SkerryError try-again, with these words, where it takes too long */
  async #until(done: () => boolean | Promise<boolean>, words: string): Promise<void> {
    const deadline = performance.now() + root_milliseconds_max;
    while (!(await done())) {
      if (this.#signal.aborted || performance.now() > deadline) throw new SkerryError('try-again', words);
      await pause(root_pause_milliseconds, this.#signal);
    }
  }

  async #carry(volume: ResourceRecord, snapshot: ResourceRecord): Promise<CarriedRecord> {
    for (;;) {
      const begun = await this.#begin(snapshot);
      if (begun.done) return begun;
      try {
        return await this.#carryOn(begun, volume, snapshot);
      } catch (error) {
        // What it was begun from is a snapshot that anybody may delete, and nothing else knows that root.
        if (!isSkerryError(error, 'not-found') || begun.from.id.length === 0) throw error;
        await this.#options.book.putCarried(this.#carried(snapshot, { from: emptyRoot, target: emptyRoot }));
      }
    }
  }

  /** What is to be carried now, taken down: where an attempt before this one was, or from the beginning. */
  async #begin(snapshot: ResourceRecord): Promise<CarriedRecord> {
    const { book, locks } = this.#options;
    const begun = book.carried(this.#record.id);
    // The volume may have gone to another pool since, where its roots have other names.
    if (begun?.id === snapshot.id && sameRoot(begun.to, snapshot.root)) return begun;
    // Until the root of the replica is taken down only the replica keeps it from collections.
    return locks.run([idLock(this.#record.replica)], async () => {
      const before = await this.#named(this.#record.snapshot);
      const replica = await this.#named(this.#record.replica);
      const known = before !== null && replica !== null && before.pool === snapshot.pool && replica.pool === this.#record.to;
      const base = known ? { from: before.root, target: replica.root } : { from: emptyRoot, target: emptyRoot };
      const carried = this.#carried(snapshot, base);
      await book.putCarried(carried);
      return carried;
    });
  }

  #carried(snapshot: ResourceRecord, base: Pick<CarriedRecord, 'from' | 'target'>): CarriedRecord {
    return { move: this.#record.id, id: snapshot.id, ...base, to: snapshot.root, next: 0, done: false };
  }

  async #carryOn(begun: CarriedRecord, volume: ResourceRecord, snapshot: ResourceRecord): Promise<CarriedRecord> {
    const { book, carriage, onCarried } = this.#options;
    const { to } = this.#record;
    const { pool, sizeBytes } = snapshot;
    const order = { ...begun, number: this.#number, pool, toPool: to, sizeBytes, compression: volume.compression };
    let carried = begun;
    await carriage.carry(order, this.#signal, async (step) => {
      carried = { ...begun, target: step.target, next: step.next, done: step.done };
      await book.putCarried(carried);
      this.progress.carriedBytes += step.carriedBytes;
      this.progress.putBytes += step.putBytes;
      this.progress.lostPages += step.lostPages;
      onCarried?.(volume.name, to, step);
      passFailpoint('replica-step');
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

  /** Replicas in that pool beyond those that are kept, and snapshots of ours that no copy begins with any more. What is in use stays for now. */
  async prune(volume: ResourceRecord, record: ReplicationRecord): Promise<void> {
    const { ledger, resources } = this.#options;
    // By what they are replicas of: either may have another name by now.
    const images = (await ledger.list('image')).filter(
      ({ record: image }) => image.labels[label] === String(volume.id) && image.pool === record.to,
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

function inItsOwnPool(volume: string, pool: string): SkerryError {
  return new SkerryError(
    'conflict',
    `volume ${volume} is in pool ${pool} itself by now, and a replica belongs in another one: skerry volume replicate ${volume} --stop, then --to another pool`,
  );
}
