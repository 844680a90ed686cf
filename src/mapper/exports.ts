/** Exports: a volume as of one moment, or what never changes, to a file that is whole or not there, or to a stream. */
import { link, lstat, open, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { Readable } from 'node:stream';

import { emptyRoot, noLimit, type ResourceRecord } from '../catalog/records.js';
import { SkerryError, toSkerryError } from '../core/errors.js';
import { exportFormats } from '../core/image_formats.js';
import type { NativeEngine } from '../engine/binding.js';
import type { LimitedPrograms } from './formats/limited_process.js';
import { QemuImg } from './formats/qemu_img.js';
import type { IdAllocator } from './id_allocator.js';
import type { Ledger, LedgerEntry } from './ledger.js';
import { idLock, nameLock, type KeyedLocks } from './locks.js';
import type { PrivateExports } from './private_exports.js';
import type { Removal } from './removal.js';
import { findSource } from './sources.js';
import {
  checkNotCancelled,
  EngineCopy,
  stream_wait_milliseconds_max,
  type ExportOrder,
  type Job,
  type Progress,
} from './transfer_job.js';
import type { UnfinishedFiles } from './unfinished_files.js';

const part_bytes = 1 << 20;
const mark_bytes = 6;
/** Of a file's name, beside what makes it another one's. */
const base_characters_max = 200;

export interface ExportsOptions {
  readonly ledger: Ledger;
  readonly locks: KeyedLocks;
  readonly engine: Pick<
    NativeEngine,
    'snapshot' | 'exportFile' | 'transferDone' | 'transferProgress' | 'transferCancel' | 'read' | 'failure'
  >;
  readonly ids: IdAllocator;
  readonly removal: Pick<Removal, 'hold'>;
  readonly privateExports: PrivateExports;
  readonly programs: LimitedPrograms;
  readonly unfinished: UnfinishedFiles;
  readonly now: () => number;
  /** Removes what is no longer needed; never throws. */
  readonly abandon: (id: number, pool: string) => Promise<void>;
}

/** What is read: it does not change while it is. */
interface Frozen {
  readonly id: number;
  readonly sizeBytes: number;
  readonly release: () => Promise<void>;
}

export class Exports {
  readonly #options: ExportsOptions;
  readonly #qemu: QemuImg;

  constructor(options: ExportsOptions) {
    this.#options = options;
    this.#qemu = new QemuImg(options.programs);
  }

  /** @throws SkerryError */
  async begin(order: ExportOrder): Promise<Job> {
    const { source, path, stream, format = 'raw', compress = false, overwrite = false } = order;
    if ((path === undefined) === (stream === undefined))
      throw new SkerryError('invalid', 'an export is to one place: a path or a stream');
    if (!exportFormats.includes(format))
      throw new SkerryError('invalid', `the format ${JSON.stringify(format)} is none of ${exportFormats.join(', ')}`);
    if (compress && format === 'raw')
      throw new SkerryError(
        'invalid',
        'a raw file cannot be compressed in itself: take --format qcow2, or pipe it: skerry image export SOURCE - | zstd',
      );
    if (path === undefined && format === 'qcow2')
      throw new SkerryError('invalid', 'a qcow2 file is not written from start to end: name a file, not standard output');
    if (path !== undefined) await checkExportable(path, overwrite);
    if (format === 'qcow2') await this.#options.programs.find('qemu-img', 'qcow2 files are written');
    const { ledger, locks } = this.#options;
    const { record } = await findSource(ledger, source);
    return locks.run([nameLock(record.name)], async () => {
      // Under the name's lock nobody removes it, and once it is tracked remove() refuses.
      const found = await findSource(ledger, `${record.kind}/${record.name}`);
      ledger.unreadLogs.refuse(found.record);
      const frozen = await this.#freeze(found);
      const job =
        path === undefined
          ? this.#streamJob(frozen)
          : this.#fileJob(frozen, path, { qcow2: format === 'qcow2', compress, overwrite });
      return { ...job, resource: found.record.id, exports: true };
    });
  }

  /** A volume goes on changing, so what is exported is a snapshot of it without a name. */
  async #freeze({ record: from }: LedgerEntry): Promise<Frozen> {
    // After a failure of the disk nothing is written any more, and what can be read must be there to be saved.
    const still = from.kind !== 'volume' || this.#options.engine.failure() !== '';
    if (still) return { id: from.id, sizeBytes: from.sizeBytes, release: async () => {} };
    const { ledger, locks, engine, ids, removal, now, abandon } = this.#options;
    const id = await ids.next();
    const letGo = removal.hold(id);
    const release = async (): Promise<void> => {
      letGo();
      await abandon(id, from.pool);
    };
    try {
      return await locks.run([idLock(id)], async () => {
        const { sizeBytes } = await engine.snapshot(from.id, id);
        const record: ResourceRecord = {
          ...from,
          id,
          kind: 'snapshot',
          name: '',
          sizeBytes,
          state: 'ready',
          description: '',
          createdAt: now(),
          parentId: from.id,
          parentName: from.name,
          root: emptyRoot,
          appliedSequence: 0,
          fence: 0,
          pendingOf: from.id,
          lineage: 0,
          labels: {},
          limit: noLimit,
          access: null,
          compression: 'inherit',
        };
        await ledger.commit([{ change: 'insert', record }]);
        return { id, sizeBytes, release };
      });
    } catch (error) {
      await release();
      throw error;
    }
  }

  #fileJob(
    frozen: Frozen,
    path: string,
    how: { readonly qcow2: boolean; readonly compress: boolean; readonly overwrite: boolean },
  ) {
    const { engine, unfinished } = this.#options;
    const { id, sizeBytes } = frozen;
    // Beside the file, so that it can take its place in one step; and of a name that nobody could have put there before.
    const mark = randomBytes(mark_bytes).toString('hex');
    const part = join(dirname(path), `.${basename(path).slice(0, base_characters_max)}.${mark}.part`);
    const copy = new EngineCopy(engine, sizeBytes);
    let share = 0;
    const write = (signal: AbortSignal): Promise<void> =>
      how.qcow2
        ? this.#writeQcow2(frozen, part, how.compress, signal, (done) => {
            share = done;
          })
        : copy.run(() => engine.exportFile(id, part), signal);
    return {
      progress: (): Progress =>
        how.qcow2 ? { doneBytes: Math.round(share * sizeBytes), totalBytes: sizeBytes, dataBytes: 0 } : copy.progress(),
      run: async (signal: AbortSignal): Promise<void> => {
        try {
          await unfinished.during(part, async () => {
            await write(signal);
            checkNotCancelled(signal, 'export');
            await takePlace(part, path, how.overwrite);
          });
        } finally {
          await frozen.release();
        }
      },
    };
  }

  async #writeQcow2(
    frozen: Frozen,
    path: string,
    compress: boolean,
    signal: AbortSignal,
    onShare: (share: number) => void,
  ): Promise<void> {
    // Made here, so that qemu-img follows no link that somebody else put in its way.
    const file = await open(path, 'wx', 0o600);
    try {
      await this.#options.privateExports.during({ resource: frozen.id, sizeBytes: frozen.sizeBytes, readOnly: true }, (uri) =>
        this.#qemu.writeQcow2(uri, path, {
          purpose: 'qcow2 files are written',
          doing: 'the file cannot be written',
          signal,
          onShare,
          compress,
        }),
      );
      await file.sync();
    } finally {
      await file.close();
    }
  }

  #streamJob(frozen: Frozen) {
    const { engine } = this.#options;
    const taken = Promise.withResolvers<void>();
    const over = Promise.withResolvers<void>();
    over.promise.catch(() => {});
    const { sizeBytes } = frozen;
    let doneBytes = 0;
    let dataBytes = 0;
    let stopped = false;
    const zeroes = Buffer.alloc(part_bytes);
    const read = (offset: number): Promise<Uint8Array> => {
      const reading = engine.read(frozen.id, offset, Math.min(part_bytes, sizeBytes - offset));
      // It is asked for ahead, and may fail before anybody waits for it.
      reading.catch(() => {});
      return reading;
    };
    const parts = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      try {
        let next = read(0);
        for (let offset = 0; offset < sizeBytes; offset += part_bytes) {
          if (stopped) throw new SkerryError('cancelled', 'the export was cancelled');
          const part = await next;
          if (offset + part_bytes < sizeBytes) next = read(offset + part_bytes);
          yield part;
          doneBytes += part.length;
          if (zeroes.compare(part, 0, part.length, 0, part.length) !== 0) dataBytes += part.length;
        }
        over.resolve();
      } catch (error) {
        over.reject(error);
        throw error;
      } finally {
        // Where the reader went away, nothing was thrown here.
        over.reject(new SkerryError('unavailable', 'whoever took the content went away before its end'));
      }
    };
    return {
      progress: (): Progress => ({ doneBytes, totalBytes: sizeBytes, dataBytes }),
      send: (): Readable => {
        if (stopped) throw new SkerryError('closed', 'the export has ended');
        taken.resolve();
        const content = Readable.from(parts(), { objectMode: false, highWaterMark: part_bytes });
        // One that is given up before it began runs no line of the generator.
        content.once('close', () =>
          over.reject(new SkerryError('unavailable', 'whoever took the content went away before its end')),
        );
        return content;
      },
      run: async (signal: AbortSignal): Promise<void> => {
        const cancel = (): void => {
          stopped = true;
          over.reject(new SkerryError('cancelled', 'the export was cancelled'));
        };
        const late = setTimeout(
          () => over.reject(new SkerryError('timeout', 'nobody took the content of the export')),
          stream_wait_milliseconds_max,
        );
        void taken.promise.then(() => clearTimeout(late));
        signal.addEventListener('abort', cancel);
        if (signal.aborted) cancel();
        try {
          await over.promise;
        } finally {
          stopped = true;
          clearTimeout(late);
          signal.removeEventListener('abort', cancel);
          await frozen.release();
        }
      },
    };
  }
}

/** @throws SkerryError exists, invalid, not-found */
async function checkExportable(path: string, overwrite: boolean): Promise<void> {
  if (!isAbsolute(path)) throw new SkerryError('invalid', `${path} is not an absolute path`);
  try {
    if (!(await stat(dirname(path))).isDirectory()) throw new SkerryError('invalid', `${dirname(path)} is not a directory`);
    const there = await lstat(path).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
      throw error;
    });
    if (there === null) return;
    if (!overwrite) throw alreadyThere(path);
    if (!there.isFile()) throw new SkerryError('invalid', `${path} is not a file, and only files are overwritten`);
  } catch (error) {
    throw toSkerryError(error, `${path} cannot be exported to`);
  }
}

function alreadyThere(path: string, cause?: unknown): SkerryError {
  return new SkerryError('exists', `${path} is there already: to overwrite it, say --force`, { cause });
}

/** The whole file gets its name, durably. */
async function takePlace(part: string, path: string, overwrite: boolean): Promise<void> {
  if (overwrite) await rename(part, path);
  else await linkOnly(part, path);
  let directory: FileHandle | null = null;
  try {
    directory = await open(dirname(path), 'r');
    await directory.sync();
  } finally {
    await directory?.close();
  }
}

/** As rename, but never over a file that appeared meanwhile. */
async function linkOnly(part: string, path: string): Promise<void> {
  try {
    await link(part, path);
    await rm(part);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : '';
    if (code === 'EEXIST') throw alreadyThere(path, error);
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP' && code !== 'EMLINK') throw error;
    // A file system without hard links cannot look and name in one step.
    await checkExportable(path, false);
    await rename(part, path);
  }
}
