/** Imports and exports: the engine copies, this keeps their catalog side and what is told of them. */
import { lstat, open, stat } from 'node:fs/promises';
import { dirname, isAbsolute } from 'node:path';

import { emptyRoot, noLimit, type ResourceRecord } from '../catalog/records.js';
import { isSkerryError, SkerryError, toSkerryError } from '../core/errors.js';
import { page_bytes } from '../core/limits.js';
import { checkImageName } from '../core/names.js';
import { checkVolumeBytes } from '../core/sizes.js';
import type { NativeEngine } from '../engine/binding.js';
import type { IdAllocator } from './id_allocator.js';
import type { Ledger } from './ledger.js';
import { nameLock, type KeyedLocks } from './locks.js';
import { resourceSpec } from './resource_spec.js';
import type { TransferState } from './resources.js';
import { keptRoot, type RootStore } from './root_store.js';
import { findSource, refuseTaken } from './sources.js';
import { settledWithin } from './verbs.js';

const transfers_running_max = 16;
/** Ended transfers that can still be asked about. */
const transfers_kept_max = 256;
const image_fence = 1;

export interface TransfersOptions {
  readonly ledger: Ledger;
  readonly locks: KeyedLocks;
  readonly engine: Pick<
    NativeEngine,
    'add' | 'destage' | 'importFile' | 'exportFile' | 'transferDone' | 'transferProgress' | 'transferCancel'
  >;
  readonly pool: RootStore & { readonly name: string };
  readonly ids: IdAllocator;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
  readonly now: () => number;
  /** Removes what a failed import left; never throws. */
  readonly abandon: (id: number) => Promise<void>;
}

interface Transfer {
  readonly id: number;
  readonly resource: number;
  /** The engine's own number of it. */
  readonly engineId: number;
  readonly exports: boolean;
  state: TransferState;
  cancelled: boolean;
  ended: Promise<void>;
}

export class Transfers {
  readonly #options: TransfersOptions;
  readonly #transfers = new Map<number, Transfer>();
  /** Places taken: running transfers, and those about to begin. */
  #running = 0;
  #nextId = 1;

  constructor(options: TransfersOptions) {
    this.#options = options;
  }

  async importImage(path: string, name: string): Promise<TransferState> {
    checkImageName(name);
    const fileBytes = await checkImportable(path);
    // A last page that the file does not fill reads as zeroes.
    const sizeBytes = checkVolumeBytes(Math.ceil(fileBytes / page_bytes) * page_bytes);
    const { ledger, locks, engine, pool, ids } = this.#options;
    return this.#begin(() =>
      locks.run([nameLock(name)], async () => {
        await refuseTaken(ledger, 'image', name);
        const id = await ids.next();
        const record: ResourceRecord = {
          id,
          kind: 'image',
          name,
          pool: pool.name,
          sizeBytes,
          state: 'importing',
          durability: 'local',
          cache: 'writeback',
          description: '',
          createdAt: this.#options.now(),
          parentId: 0,
          parentName: '',
          root: emptyRoot,
          appliedSequence: 0,
          fence: image_fence,
          pendingOf: 0,
          lineage: 0,
          labels: {},
          limit: noLimit,
        };
        try {
          await ledger.commit([{ change: 'insert', record }]);
          engine.add(resourceSpec(record));
          const engineId = engine.importFile(id, path);
          return this.#track({
            resource: id,
            engineId,
            totalBytes: fileBytes,
            exports: false,
            run: (transfer) => this.#runImport(transfer),
          });
        } catch (error) {
          await this.#options.abandon(id);
          throw error;
        }
      }),
    );
  }

  async exportResource(source: string, path: string): Promise<TransferState> {
    await checkExportable(path);
    const { ledger, locks, engine } = this.#options;
    return this.#begin(async () => {
      const { record } = await findSource(ledger, source);
      return locks.run([nameLock(record.name)], async () => {
        // Under the name's lock nobody removes it, and once it is tracked remove() refuses.
        const { id, sizeBytes } = (await findSource(ledger, `${record.kind}/${record.name}`)).record;
        const engineId = engine.exportFile(id, path);
        return this.#track({
          resource: id,
          engineId,
          totalBytes: sizeBytes,
          exports: true,
          run: () => engine.transferDone(engineId),
        });
      });
    });
  }

  /** @throws SkerryError not-found */
  state(id: number): TransferState {
    const transfer = this.#get(id);
    if (transfer.state.state === 'running') transfer.state = { ...transfer.state, ...this.#progress(transfer) };
    return transfer.state;
  }

  /** What has ended stays as it is. @throws SkerryError not-found */
  cancel(id: number): void {
    const transfer = this.#get(id);
    if (transfer.state.state !== 'running') return;
    transfer.cancelled = true;
    this.#options.engine.transferCancel(transfer.engineId);
  }

  /** Whether the resource is being exported. */
  uses(resource: number): boolean {
    return [...this.#transfers.values()].some(
      (transfer) => transfer.exports && transfer.resource === resource && transfer.state.state === 'running',
    );
  }

  /** Cancels all; what an import left behind and could not be removed in time is removed at the next start. */
  async stop(milliseconds: number): Promise<void> {
    const running = [...this.#transfers.values()].filter(({ state }) => state.state === 'running');
    for (const { id } of running) this.cancel(id);
    await settledWithin(
      running.map(({ ended }) => ended),
      milliseconds,
    );
  }

  async #runImport(transfer: Transfer): Promise<void> {
    const { engine, ledger, pool } = this.#options;
    const { resource } = transfer;
    try {
      await engine.transferDone(transfer.engineId);
      await engine.destage(resource);
      if (transfer.cancelled) throw new SkerryError('cancelled', 'the import was cancelled');
      const whole = await ledger.get(resource);
      if (whole === null)
        throw new SkerryError('internal', `the record of resource ${resource} is gone in the middle of its import`);
      await pool.putRoot(keptRoot(whole.record));
      await ledger.update(resource, (record) => (record.state === 'importing' ? { ...record, state: 'ready' } : null));
    } catch (error) {
      await this.#options.abandon(resource);
      throw error;
    }
  }

  /** Takes a place for one more transfer, which it keeps if `work` tracks one. */
  async #begin(work: () => Promise<Transfer>): Promise<TransferState> {
    if (this.#running >= transfers_running_max) {
      throw new SkerryError('try-again', `${transfers_running_max} transfers are running already: wait until one has ended`);
    }
    this.#running += 1;
    try {
      return (await work()).state;
    } catch (error) {
      this.#running -= 1;
      throw error;
    }
  }

  #track(begun: {
    readonly resource: number;
    readonly engineId: number;
    readonly totalBytes: number;
    readonly exports: boolean;
    readonly run: (transfer: Transfer) => Promise<void>;
  }): Transfer {
    const id = this.#nextId;
    this.#nextId += 1;
    const { totalBytes, run, ...what } = begun;
    const state: TransferState = { id, doneBytes: 0, totalBytes, dataBytes: 0, state: 'running', error: null };
    const transfer: Transfer = { ...what, id, state, cancelled: false, ended: Promise.resolve() };
    this.#transfers.set(id, transfer);
    transfer.ended = this.#follow(transfer, run);
    this.#forgetOldest();
    return transfer;
  }

  async #follow(transfer: Transfer, run: (transfer: Transfer) => Promise<void>): Promise<void> {
    let state: TransferState['state'] = 'done';
    let failure: TransferState['error'] = null;
    try {
      await run(transfer);
    } catch (error) {
      const { code, message } = toSkerryError(error);
      state = transfer.cancelled && isSkerryError(error, 'closed', 'cancelled') ? 'cancelled' : 'failed';
      failure = state === 'cancelled' ? null : { code, message };
      if (state === 'failed')
        this.#options.log('warn', 'a transfer failed', {
          transfer: transfer.id,
          resource: transfer.resource,
          code,
          error: message,
        });
    }
    transfer.state = { ...transfer.state, ...this.#progress(transfer), state, error: failure };
    this.#running -= 1;
  }

  #progress(transfer: Transfer): Pick<TransferState, 'doneBytes' | 'totalBytes' | 'dataBytes'> {
    const { doneBytes, totalBytes, dataBytes } = transfer.state;
    try {
      const now = this.#options.engine.transferProgress(transfer.engineId);
      // The engine learns the total only when it has opened the file.
      return {
        doneBytes: now.doneBytes,
        totalBytes: now.totalBytes === 0 ? totalBytes : now.totalBytes,
        dataBytes: now.dataBytes,
      };
    } catch {
      return { doneBytes, totalBytes, dataBytes };
    }
  }

  #get(id: number): Transfer {
    const transfer = this.#transfers.get(id);
    if (transfer === undefined) throw new SkerryError('not-found', `there is no transfer ${id}`);
    return transfer;
  }

  #forgetOldest(): void {
    for (const [id, { state }] of this.#transfers) {
      if (this.#transfers.size <= transfers_kept_max) return;
      if (state.state !== 'running') this.#transfers.delete(id);
    }
  }
}

/** @returns the size of the file in bytes. @throws SkerryError */
async function checkImportable(path: string): Promise<number> {
  if (!isAbsolute(path)) throw new SkerryError('invalid', `${path} is not an absolute path`);
  try {
    // Asked before it is opened: opening a pipe would wait for somebody to write to it.
    const found = await stat(path);
    if (!found.isFile()) throw new SkerryError('invalid', `${path} is not a file`);
    const file = await open(path, 'r');
    try {
      if (found.size === 0) throw new SkerryError('invalid', `${path} is empty`);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
      if (bytesRead === 4 && buffer.toString('latin1') === 'QFI\xfb') {
        throw new SkerryError(
          'invalid',
          `${path} is a qcow2 image, and only raw ones are imported: qemu-img convert -O raw makes it one`,
        );
      }
      return found.size;
    } finally {
      await file.close();
    }
  } catch (error) {
    throw toSkerryError(error, `${path} cannot be imported`);
  }
}

async function checkExportable(path: string): Promise<void> {
  if (!isAbsolute(path)) throw new SkerryError('invalid', `${path} is not an absolute path`);
  try {
    if ((await stat(dirname(path))).isDirectory()) {
      const taken = await lstat(path).then(
        () => true,
        (error: unknown) => {
          if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
          throw error;
        },
      );
      if (taken) throw new SkerryError('exists', `${path} is there already, and nothing is overwritten`);
      return;
    }
  } catch (error) {
    throw toSkerryError(error, `${path} cannot be exported to`);
  }
  throw new SkerryError('invalid', `${dirname(path)} is not a directory`);
}
