/** One copy into or out of the pool, as Transfers runs it. */
import type { Readable } from 'node:stream';

import type { Write } from '../catalog/catalog.js';
import type { ImportFormat, ExportFormat } from '../core/image_formats.js';
import type { NativeEngine } from '../engine/binding.js';
import { SkerryError } from '../core/errors.js';
import type { TransferState } from './resources.js';
import type { StoredFile } from './stored_file.js';

/** Where from: exactly one of `path`, `uri`, `stream` and `stored`. */
export interface ImportOrder {
  readonly name: string;
  /** Which keeps it; absent: the default one. */
  readonly pool?: string;
  /** A file of this host, absolute. */
  readonly path?: string;
  /** Another NBD server: nbd://HOST:PORT/EXPORT or nbd+unix:///EXPORT?socket=PATH. */
  readonly uri?: string;
  /** The content comes afterwards, through Resources.receiveContent(). */
  readonly stream?: true;
  /** What lies in a pool already. It stays as it is until the import has ended. */
  readonly stored?: StoredFile;
  /** Instead of what the source's own bytes say. */
  readonly format?: ImportFormat;
  /** The image may name other files of this host as its backing or data files. */
  readonly allowBacking?: boolean;
  /** Of the disk; a source with more is refused or given up. */
  readonly sizeBytesMax?: number;
  /** Written in the transaction that makes it an image, under its resource id. */
  readonly also?: (image: number) => readonly Write[];
  /** Of the image: a line for people. */
  readonly description?: string;
}

/** Where to: exactly one of `path` and `stream`. */
export interface ExportOrder {
  readonly source: string;
  /** A file of this host, absolute. */
  readonly path?: string;
  /** The content is fetched afterwards, through Resources.sendContent(). */
  readonly stream?: true;
  readonly format?: ExportFormat;
  /** Of qcow2. */
  readonly compress?: boolean;
  /** A file that is there is replaced, in one step, once the new one is whole. */
  readonly overwrite?: boolean;
}

export type Progress = Pick<TransferState, 'doneBytes' | 'totalBytes' | 'dataBytes'>;

export interface Job {
  /** What is exported, or what the image will be. */
  readonly resource: number;
  readonly exports: boolean;
  progress(): Progress;
  /** Undoes all that it did before it rejects. After `signal` it rejects soon, with cancelled. */
  run(signal: AbortSignal): Promise<void>;
  /** Takes the content that it waits for; resolves when run() does. */
  receive?(content: Readable): void;
  /** The content, which it waits for somebody to take. */
  send?(): Readable;
}

/** How long a stream waits for its other end to come. */
export const stream_wait_milliseconds_max = 60_000;

/** A copy that the engine makes on a thread of its own. */
export class EngineCopy {
  readonly #engine: Pick<NativeEngine, 'transferDone' | 'transferProgress' | 'transferCancel'>;
  #id: number | null = null;
  #last: Progress;

  constructor(engine: Pick<NativeEngine, 'transferDone' | 'transferProgress' | 'transferCancel'>, totalBytes: number) {
    this.#engine = engine;
    this.#last = { doneBytes: 0, totalBytes, dataBytes: 0 };
  }

  progress(): Progress {
    if (this.#id === null) return this.#last;
    try {
      this.#take(this.#engine.transferProgress(this.#id));
    } catch {
      // It ended, and is known no more: what it last said stands.
    }
    return this.#last;
  }

  /** The engine learns the total only when it has opened the file. */
  #take({ doneBytes, totalBytes, dataBytes }: Progress): void {
    this.#last = { doneBytes, totalBytes: totalBytes === 0 ? this.#last.totalBytes : totalBytes, dataBytes };
  }

  /** `begin` answers with the engine's own number of the copy. */
  async run(begin: () => number, signal: AbortSignal): Promise<void> {
    const id = begin();
    this.#id = id;
    const cancel = (): void => this.#engine.transferCancel(id);
    signal.addEventListener('abort', cancel);
    if (signal.aborted) cancel();
    try {
      this.#take(await this.#engine.transferDone(id));
    } finally {
      signal.removeEventListener('abort', cancel);
      this.#id = null;
    }
  }
}

/** @throws SkerryError cancelled */
export function checkNotCancelled(signal: AbortSignal, what: string): void {
  if (signal.aborted) throw new SkerryError('cancelled', `the ${what} was cancelled`);
}
