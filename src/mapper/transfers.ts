/** Imports and exports under way: how many there may be, how each fares, and how it ends. */
import type { Readable } from 'node:stream';

import type { Catalog } from '../catalog/catalog.js';
import { isSkerryError, SkerryError, toSkerryError } from '../core/errors.js';
import { LimitedPrograms } from './formats/limited_process.js';
import { Exports, type ExportsOptions } from './exports.js';
import { Imports, type ImportsOptions } from './imports.js';
import type { PrivateExports } from './private_exports.js';
import type { TransferState } from './resources.js';
import type { ExportOrder, ImportOrder, Job } from './transfer_job.js';
import { UnfinishedFiles } from './unfinished_files.js';
import { settledWithin } from './verbs.js';

const transfers_running_max = 16;
/** Ended transfers that can still be asked about. */
const transfers_kept_max = 256;

export interface TransfersOptions extends Omit<ImportsOptions & ExportsOptions, 'programs' | 'unfinished'> {
  readonly catalog: Catalog;
  readonly privateExports: PrivateExports;
  /** Programs of other projects are found on its PATH. */
  readonly environment?: NodeJS.ProcessEnv;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
}

interface Transfer {
  readonly id: number;
  readonly job: Job;
  readonly cancel: AbortController;
  state: TransferState;
  ended: Promise<void>;
}

export class Transfers {
  readonly #log: TransfersOptions['log'];
  readonly #imports: Imports;
  readonly #exports: Exports;
  readonly #unfinished: UnfinishedFiles;
  readonly #transfers = new Map<number, Transfer>();
  /** Places taken: running transfers, and those about to begin. */
  #running = 0;
  #nextId = 1;

  constructor(options: TransfersOptions) {
    this.#log = options.log;
    this.#unfinished = new UnfinishedFiles(options.catalog);
    const programs = new LimitedPrograms(options.environment);
    this.#imports = new Imports({ ...options, programs });
    this.#exports = new Exports({ ...options, programs, unfinished: this.#unfinished });
  }

  importImage(order: ImportOrder): Promise<TransferState> {
    return this.#begin(() => this.#imports.begin(order));
  }

  exportResource(order: ExportOrder): Promise<TransferState> {
    return this.#begin(() => this.#exports.begin(order));
  }

  /** @throws SkerryError not-found */
  state(id: number): TransferState {
    const transfer = this.#get(id);
    if (transfer.state.state === 'running') transfer.state = { ...transfer.state, ...transfer.job.progress() };
    return transfer.state;
  }

  /** What has ended stays as it is. @throws SkerryError not-found */
  cancel(id: number): void {
    const transfer = this.#get(id);
    if (transfer.state.state === 'running') transfer.cancel.abort();
  }

  /** Hands over the content of an import that waits for one; resolves with how the import ended. @throws SkerryError */
  async receive(id: number, content: Readable): Promise<TransferState> {
    const transfer = this.#get(id);
    if (transfer.job.receive === undefined) throw new SkerryError('invalid', `transfer ${id} waits for no content`);
    if (transfer.state.state !== 'running') throw new SkerryError('conflict', `transfer ${id} has ended`);
    transfer.job.receive(content);
    await transfer.ended;
    return transfer.state;
  }

  /** The content of an export that waits for somebody to take it. @throws SkerryError */
  send(id: number): Readable {
    const { job, state } = this.#get(id);
    if (job.send === undefined) throw new SkerryError('invalid', `transfer ${id} has no content to give`);
    if (state.state !== 'running') throw new SkerryError('conflict', `transfer ${id} has ended`);
    return job.send();
  }

  /** Whether the resource is being exported. */
  uses(resource: number): boolean {
    return [...this.#transfers.values()].some(
      ({ job, state }) => job.exports && job.resource === resource && state.state === 'running',
    );
  }

  /** Once, at the start: half written files of a daemon that was killed. */
  async removeLeft(): Promise<void> {
    for (const { path, failure } of await this.#unfinished.removeLeft()) {
      if (failure === null) this.#log('info', 'an export was interrupted: what it had written is removed', { path });
      else this.#log('warn', 'an export was interrupted, and what it had written cannot be removed', { path, error: failure });
    }
  }

  cancelStreams(): void {
    for (const { id, job } of this.#transfers.values()) if (job.receive !== undefined || job.send !== undefined) this.cancel(id);
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

  /** Takes a place for one more transfer, which it keeps until the job has ended. */
  async #begin(work: () => Promise<Job>): Promise<TransferState> {
    if (this.#running >= transfers_running_max) {
      throw new SkerryError('try-again', `${transfers_running_max} transfers are running already: wait until one has ended`);
    }
    this.#running += 1;
    try {
      return this.#track(await work()).state;
    } catch (error) {
      this.#running -= 1;
      throw error;
    }
  }

  #track(job: Job): Transfer {
    const id = this.#nextId;
    this.#nextId += 1;
    const state: TransferState = { id, ...job.progress(), state: 'running', error: null };
    const transfer: Transfer = { id, job, cancel: new AbortController(), state, ended: Promise.resolve() };
    this.#transfers.set(id, transfer);
    transfer.ended = this.#follow(transfer);
    this.#forgetOldest();
    return transfer;
  }

  async #follow(transfer: Transfer): Promise<void> {
    const { id, job, cancel } = transfer;
    let state: TransferState['state'] = 'done';
    let failure: TransferState['error'] = null;
    try {
      await job.run(cancel.signal);
    } catch (error) {
      const { code, message } = toSkerryError(error);
      state = cancel.signal.aborted && isSkerryError(error, 'closed', 'cancelled') ? 'cancelled' : 'failed';
      failure = state === 'cancelled' ? null : { code, message };
      if (state === 'failed')
        this.#log('warn', 'a transfer failed', { transfer: id, resource: job.resource, code, error: message });
    }
    transfer.state = { ...transfer.state, ...job.progress(), state, error: failure };
    this.#running -= 1;
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
