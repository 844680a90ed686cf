/**
 * One volume with its snapshots, or one image, on its way to another pool. Copied first while everything goes on, again what changed
 * meanwhile; then, with the volume's destage held for a moment, the last difference; then one transaction of the catalog changes the pool
 * of all of them. A daemon that dies finds it whole in one pool or in the other, and goes on from what was durable in the new one.
 */
import { emptyRoot, type ResourceRecord } from '../catalog/records.js';
import type { LogRecord } from '../catalog/log_record.js';
import type { CarriedRecord, MoveRecord } from '../catalog/move_record.js';
import { compresses } from '../core/compression.js';
import { isSkerryError, SkerryError } from '../core/errors.js';
import { pause } from '../core/pause.js';
import { passFailpoint } from '../engine/failpoints.js';
import type { Ledger, LedgerEntry } from '../mapper/ledger.js';
import { idLock, nameLock, type KeyedLocks } from '../mapper/locks.js';
import type { PoolUsers } from '../mapper/pool_verbs.js';
import { sameRoot } from '../mapper/resource_spec.js';
import { keptRoot } from '../mapper/root_store.js';
import { movedLog } from '../mapper/volume_log.js';
import type { Carriage, CarryStep } from './carriage.js';
import type { MoveBook } from './move_book.js';

/** Rounds over what changed since the last one, and how little ends them: the rest is copied while destage is held. */
const rounds_max = 6;
const small_bytes = 32 << 20;
/** Waited for roots that snapshots still lack, while the volume is held. */
const pending_pause_milliseconds = 50;
const pending_milliseconds_max = 120_000;
const switch_attempts_max = 20;
const switch_pause_milliseconds = 50;

/** Of volumes with durability `pool`: their logs, which go on in the new pool (docs/decisions/0071-logs-move-with-their-volumes.md). */
export interface MovingLogs {
  /** For the volume's log in the pool: nothing there has it, nor the one below. @throws SkerryError of the pool */
  fenceIn(pool: string, id: number, log: LogRecord): Promise<number>;
  /** Before the engine switches: until what is answered is called, no chunk of the volume is put there. */
  hold(pool: string, id: number): () => void;
  /** The volume has left `from`, and its log goes on after `sequence`: once the catalog and its new pool know that, chunks are put. */
  moved(move: {
    readonly id: number;
    readonly from: string;
    readonly fence: number;
    readonly sequence: number;
    readonly release: () => void;
  }): void;
  /** What the pool that it left has of its log goes. @throws SkerryError of the pool */
  forget(pool: string, id: number): Promise<void>;
}

export interface MoveOptions {
  readonly ledger: Ledger;
  readonly locks: KeyedLocks;
  readonly pools: Pick<PoolUsers, 'of' | 'allowFrames'>;
  readonly book: MoveBook;
  readonly carriage: Carriage;
  readonly logs: MovingLogs;
  /** What the pool keeps of a resource that is there no more goes. Resolves once it is gone. */
  readonly forgetRoots: (pool: string, id: number) => Promise<void>;
}

export interface MoveProgress {
  phase: 'copying' | 'switching' | 'leaving';
  /** Read in the old pool, and put in the new one, which had the rest. */
  carriedBytes: number;
  putBytes: number;
  /** Pages that had rotted before, and are lost in the new pool too. */
  lostPages: number;
  /** Resources that are as they are in the new pool too. */
  carried: number;
  resources: number;
}

export class Move {
  readonly #options: MoveOptions;
  readonly #signal: AbortSignal;
  readonly progress: MoveProgress = { phase: 'copying', carriedBytes: 0, putBytes: 0, lostPages: 0, carried: 0, resources: 0 };
  #record: MoveRecord;

  constructor(options: MoveOptions, record: MoveRecord, signal: AbortSignal) {
    this.#options = options;
    this.#record = record;
    this.#signal = signal;
  }

  /** Ends with all of it in the new pool. What it did so far stays for the next one where it fails. @throws SkerryError */
  async run(): Promise<void> {
    if (!this.#record.switched) {
      await this.#copyMost();
      this.progress.phase = 'switching';
      await this.#switch();
    }
    this.progress.phase = 'leaving';
    await this.#leave();
    await this.end();
  }

  /** It is where it will stay: what was carried is wanted as the resources' own, or not at all. */
  async end(): Promise<void> {
    const { book, carriage } = this.#options;
    const ids = book.carriedIds(this.#record.id);
    await book.remove(this.#record.id);
    for (const id of ids) await carriage.forget(id);
  }

  async #copyMost(): Promise<void> {
    for (let round = 1; round <= rounds_max; round += 1) {
      if ((await this.#main()).kind === 'volume') await this.#options.carriage.renewRoot(this.#record.id, this.#record.to);
      const before = this.progress.carriedBytes;
      await this.#carryAll((await this.#resources()).filter(({ record }) => record.pendingOf === 0));
      if (this.progress.carriedBytes - before <= small_bytes) return;
    }
  }

  async #switch(): Promise<void> {
    const { locks, carriage } = this.#options;
    const { kind, name } = await this.#main();
    // No snapshot, rollback, resize, rename or deletion comes between.
    await locks.run([nameLock(name)], async () => {
      if ((await this.#main()).name !== name) throw new SkerryError('try-again', `${kind} ${name} was renamed`);
      const held: number[] = [];
      const hold = async (id: number): Promise<void> => {
        await carriage.hold(id, this.#record.to);
        held.push(id);
      };
      try {
        await hold(this.#record.id);
        const resources = await this.#resolved();
        for (const { record } of resources) if (record.id !== this.#record.id) await hold(record.id);
        await this.#carryAll(resources);
        await this.#commit(resources.map(({ record }) => record.id));
      } catch (error) {
        if (!this.#record.switched) for (const id of held) await carriage.release(id);
        throw error;
      }
    });
  }

  /** One transaction, and the engine's word of it. @throws SkerryError where nothing has changed */
  async #commit(ids: readonly number[]): Promise<void> {
    const { ledger, locks, pools, book, carriage } = this.#options;
    const { to } = this.#record;
    return locks.run(ids.map(idLock), async () => {
      for (let attempt = 1; ; attempt += 1) {
        const changes = await Promise.all(ids.map((id) => this.#changeOf(id)));
        for (const { record } of changes) if (compresses(record.compression)) await pools.allowFrames(to);
        try {
          for (const { record } of changes) await carriage.expect(record);
          passFailpoint('move-carried');
          for (const { record } of changes) if (record.name !== '') await pools.of(to).putRoot(keptRoot(record));
          passFailpoint('move-roots-put');
          await ledger.commit(changes, [book.switchWrite(this.#record)]);
        } catch (error) {
          // The transaction may have been made all the same.
          const now = await ledger.get(this.#record.id);
          if (now?.record.pool !== to) {
            if (!(error instanceof SkerryError && error.retry) || attempt === switch_attempts_max) throw error;
            await pause(switch_pause_milliseconds, this.#signal);
            continue;
          }
        }
        passFailpoint('move-committed');
        book.switched(this.#record);
        this.#record = { ...this.#record, switched: true };
        for (const { record } of changes) await this.#switchOne(record);
        await ledger.rootsKept(ids);
        return;
      }
    });
  }

  async #changeOf(id: number): Promise<{ change: 'update'; from: LedgerEntry; record: ResourceRecord }> {
    const { ledger, book } = this.#options;
    const from = await ledger.get(id);
    const carried = book.carried(this.#record.id, id);
    if (from === null || carried === null || !carried.done || !sameRoot(carried.to, from.record.root)) {
      throw new SkerryError('try-again', `resource ${id} changed while it was moved`);
    }
    const { log, appliedSequence } = from.record;
    const { to } = this.#record;
    const moved = log === null ? null : movedLog(log, appliedSequence, await this.#options.logs.fenceIn(to, id, log));
    return { change: 'update', from, record: { ...from.record, pool: to, root: carried.target, log: moved } };
  }

  async #switchOne({ id, log }: ResourceRecord): Promise<void> {
    const { carriage, logs } = this.#options;
    const { from, to } = this.#record;
    if (log === null) return void (await carriage.switch(id));
    // The catalog does not say yet where the log goes on: chunks would look like one with a gap.
    const release = logs.hold(to, id);
    const sequence = await carriage.switch(id, log.fence);
    logs.moved({ id, from, fence: log.fence, sequence, release });
  }

  /** What the old pool says of them would be believed where the catalog is lost. */
  async #leave(): Promise<void> {
    const { ledger, forgetRoots, logs } = this.#options;
    for (const { record } of await this.#resources()) {
      // A clone whose own root chunk is due is known there by this one's alone.
      while (ledger.isNeeded(record.id)) await pause(pending_pause_milliseconds, this.#signal);
      this.#signal.throwIfAborted();
      await forgetRoots(this.#record.from, record.id);
      if (record.log !== null) await logs.forget(this.#record.from, record.id);
    }
  }

  /** All that go, once none waits for a root; the first come first. */
  async #resolved(): Promise<readonly LedgerEntry[]> {
    const { ledger } = this.#options;
    const deadline = performance.now() + pending_milliseconds_max;
    for (;;) {
      this.#signal.throwIfAborted();
      const resources = await this.#resources();
      // Nor is there a clone that the catalog says to wait for one of them: a start would look for its root in their pool.
      const pending = resources.some(({ record }) => record.pendingOf !== 0 || ledger.waitingOn(record.id).length > 0);
      if (!pending) return resources;
      if (performance.now() > deadline) throw new SkerryError('try-again', 'snapshots of it still wait for their roots');
      await pause(pending_pause_milliseconds, this.#signal);
    }
  }

  /** Each by its difference from the one before. */
  async #carryAll(resources: readonly LedgerEntry[]): Promise<void> {
    this.progress.resources = resources.length;
    this.progress.carried = 0;
    let before: CarriedRecord | null = null;
    for (const { record } of resources) {
      before = (await this.#carry(record.id, before)) ?? before;
      this.progress.carried += 1;
    }
  }

  /** null for a snapshot that was deleted meanwhile. */
  async #carry(id: number, before: CarriedRecord | null): Promise<CarriedRecord | null> {
    for (;;) {
      const begun = await this.#begin(id, before);
      if (begun === null || begun.carried.done) return begun?.carried ?? null;
      try {
        await this.#carryOn(begun.carried, begun.record);
      } catch (error) {
        // A root that only the catalog's word of this move names is unknown to an engine that was started since, and what was begun may
        // have been of one that was replaced meanwhile.
        if (!isSkerryError(error, 'not-found')) throw error;
        const { from, next, to } = begun.carried;
        const root = (await this.#options.ledger.get(id))?.record.root;
        if (from.id.length === 0 && next === 0 && root !== undefined && sameRoot(to, root)) throw error;
        await this.#startOver(id);
      }
    }
  }

  /**
   * What is to be carried now, taken down: from here on it is wanted in both pools. Under the resource's lock, so that no newer root
   * comes between and this one goes. What was begun is ended first, though its resource has changed since: only so it is known what
   * the target holds.
   */
  async #begin(
    id: number,
    before: CarriedRecord | null,
  ): Promise<{ readonly carried: CarriedRecord; readonly record: ResourceRecord } | null> {
    const { book, ledger, locks } = this.#options;
    return locks.run([idLock(id)], async () => {
      const record = (await ledger.get(id))?.record;
      if (record === undefined || record.name === '') return null;
      const known = book.carried(this.#record.id, id);
      if (known !== null && (!known.done || sameRoot(known.to, record.root))) return { carried: known, record };
      const base = known ?? before ?? { to: emptyRoot, target: emptyRoot };
      const carried = { move: this.#record.id, id, from: base.to, to: record.root, target: base.target, next: 0, done: false };
      await book.putCarried(carried);
      return { carried, record };
    });
  }

  /** From nothing: what the target has already is found there. */
  async #startOver(id: number): Promise<void> {
    const { book, ledger, locks } = this.#options;
    await locks.run([idLock(id)], async () => {
      const record = (await ledger.get(id))?.record;
      if (record === undefined || record.name === '') return;
      const nothing = { from: emptyRoot, to: record.root, target: emptyRoot, next: 0, done: false };
      await book.putCarried({ move: this.#record.id, id, ...nothing });
    });
  }

  async #carryOn(begun: CarriedRecord, { sizeBytes, compression }: ResourceRecord): Promise<void> {
    const { book, carriage } = this.#options;
    const { from: pool, to: toPool } = this.#record;
    const order = { ...begun, number: begun.id, pool, toPool, sizeBytes, compression };
    await carriage.carry(order, this.#signal, async (step: CarryStep) => {
      await book.putCarried({ ...begun, target: step.target, next: step.next, done: step.done });
      this.progress.carriedBytes += step.carriedBytes;
      this.progress.putBytes += step.putBytes;
      this.progress.lostPages += step.lostPages;
      passFailpoint('move-step');
    });
  }

  /** @throws SkerryError not-found once it was deleted */
  async #main(): Promise<ResourceRecord> {
    const entry = await this.#options.ledger.get(this.#record.id);
    if (entry === null || entry.record.name === '') throw new SkerryError('not-found', 'it was deleted while it was moved');
    return entry.record;
  }

  /** Its snapshots, the first come first, then itself. */
  async #resources(): Promise<readonly LedgerEntry[]> {
    const { ledger } = this.#options;
    const main = await this.#main();
    const snapshots = main.kind === 'volume' ? await ledger.list('snapshot', `${main.name}@`) : [];
    const self = await ledger.get(main.id);
    // In the order in which they came, each is little else than the one before.
    return [...snapshots.toSorted((a, b) => a.record.id - b.record.id), ...(self === null ? [] : [self])];
  }
}
