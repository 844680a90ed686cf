/** Imports: what a source is, how its bytes come into the pool, and when they are an image. */
import { open, stat, type FileHandle } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { addAbortSignal, Readable } from 'node:stream';

import type { ResourceRecord, RootRecord } from '../catalog/records.js';
import { SkerryError, toSkerryError } from '../core/errors.js';
import { importFormats, isNbdUri, type ImportFormat } from '../core/image_formats.js';
import { page_bytes, volume_bytes_max } from '../core/limits.js';
import { checkImageName } from '../core/names.js';
import { checkVolumeBytes, formatSize } from '../core/sizes.js';
import type { NativeEngine } from '../engine/binding.js';
import { blockDeviceBytes } from './block_device.js';
import { decompressed, isStreamFormat, type Parts } from './formats/decompress.js';
import { formatOf, format_head_bytes, format_tail_bytes } from './formats/detect.js';
import { isDiskFormat, judgeDiskImage, judgeNbdUri, nbdFileNode, type DiskImage } from './formats/disk_image.js';
import type { LimitedPrograms } from './formats/limited_process.js';
import { QemuImg } from './formats/qemu_img.js';
import { copyStream, peek } from './formats/stream_copy.js';
import { GrowingVolume } from './growing_volume.js';
import type { IdAllocator } from './id_allocator.js';
import type { Ledger } from './ledger.js';
import { nameLock, type KeyedLocks } from './locks.js';
import { insertResource, newRecord } from './new_resource.js';
import type { PoolUsers } from './pool_verbs.js';
import type { PrivateExports } from './private_exports.js';
import type { Removal } from './removal.js';
import { resourceSpec } from './resource_spec.js';
import { keptRoot } from './root_store.js';
import { refuseTaken } from './sources.js';
import { storedBytes, storedImageFile, type StoredFile } from './stored_file.js';
import {
  checkNotCancelled,
  EngineCopy,
  stream_wait_milliseconds_max,
  type ImportOrder,
  type Job,
  type Progress,
} from './transfer_job.js';

const image_fence = 1;
const standardInput = 'standard input';

export interface ImportsOptions {
  readonly ledger: Ledger;
  readonly locks: KeyedLocks;
  readonly engine: Pick<
    NativeEngine,
    | 'add'
    | 'destage'
    | 'importFile'
    | 'transferDone'
    | 'transferProgress'
    | 'transferCancel'
    | 'read'
    | 'write'
    | 'allocatedBytes'
  >;
  readonly pools: PoolUsers;
  readonly ids: IdAllocator;
  readonly removal: Pick<Removal, 'hold'>;
  readonly privateExports: PrivateExports;
  readonly programs: LimitedPrograms;
  readonly now: () => number;
  /** Removes what a failed import left; never throws. */
  readonly abandon: (id: number, pool: string) => Promise<void>;
}

/** What comes of the copying: null where the image's own resource was written. */
type Content = { readonly root: RootRecord; readonly sizeBytes: number } | null;

interface Plan {
  /** null where only the end will tell. */
  readonly sizeBytes: number | null;
  progress(): Progress;
  copy(image: number, signal: AbortSignal): Promise<Content>;
  receive?(content: Readable): void;
  /** Where the copy never begins. */
  close(): Promise<void>;
}

export class Imports {
  readonly #options: ImportsOptions;
  readonly #qemu: QemuImg;

  constructor(options: ImportsOptions) {
    this.#options = options;
    this.#qemu = new QemuImg(options.programs);
  }

  /** Looks at the source and takes the name; nobody else sees the image before it is whole. @throws SkerryError */
  async begin(order: ImportOrder): Promise<Job> {
    checkImageName(order.name);
    const plan = await this.#plan(order);
    try {
      const pool = this.#poolOf(order);
      const record = await this.#options.pools.using(pool, () => this.#reserve(order, pool, plan));
      return {
        resource: record.id,
        exports: false,
        progress: () => plan.progress(),
        run: (signal) => this.#run(record, plan, order, signal),
        ...(plan.receive === undefined ? {} : { receive: (content: Readable) => plan.receive?.(content) }),
      };
    } catch (error) {
      await plan.close();
      throw error;
    }
  }

  #poolOf(order: ImportOrder): string {
    return order.pool ?? this.#options.pools.defaultName;
  }

  #reserve({ name, description = '' }: ImportOrder, pool: string, plan: Plan): Promise<ResourceRecord> {
    const { ledger, locks, ids, now, abandon } = this.#options;
    return locks.run([nameLock(name)], async () => {
      await refuseTaken(ledger, 'image', name);
      const id = await ids.next();
      const sizeBytes = plan.sizeBytes ?? page_bytes;
      const facts = { id, kind: 'image', name, pool, sizeBytes, description, createdAt: now() } as const;
      const record = newRecord({ ...facts, state: 'importing', fence: image_fence });
      try {
        // The engine hears of one whose size is not known when it is.
        if (plan.sizeBytes === null) await ledger.commit([{ change: 'insert', record }]);
        else await insertResource(this.#options, record);
        return record;
      } catch (error) {
        await abandon(id, pool);
        throw error;
      }
    });
  }

  async #run({ id, pool }: ResourceRecord, plan: Plan, { also }: ImportOrder, signal: AbortSignal): Promise<void> {
    const { ledger, engine, pools, abandon } = this.#options;
    try {
      const content = await plan.copy(id, signal);
      if (content === null) await engine.destage(id);
      checkNotCancelled(signal, 'import');
      const entry = await ledger.get(id);
      if (entry === null) throw new SkerryError('internal', `the record of resource ${id} is gone in the middle of its import`);
      const whole: ResourceRecord = { ...entry.record, ...content, state: 'ready' };
      await pools.of(pool).putRoot(keptRoot(whole));
      // Before it has its name for others, so that whoever finds it can have it.
      if (content !== null) engine.add(resourceSpec(whole));
      const ready = (record: ResourceRecord): ResourceRecord | null =>
        record.state === 'importing' ? { ...record, ...content, state: 'ready' } : null;
      await ledger.update(id, ready, also?.(id));
    } catch (error) {
      await abandon(id, pool);
      throw error;
    } finally {
      await plan.close();
    }
  }

  async #plan(order: ImportOrder): Promise<Plan> {
    const { path, uri, stream, stored, format } = order;
    if (stored !== undefined) return this.#storedPlan(stored, order);
    if ([path, uri, stream].filter((from) => from !== undefined).length !== 1)
      throw new SkerryError('invalid', 'an import is of one source: a path, the URI of an NBD server, or a stream');
    if (format !== undefined && !importFormats.includes(format))
      throw new SkerryError('invalid', `the format ${JSON.stringify(format)} is none of ${importFormats.join(', ')}`);
    if (stream === true) return this.#uploadPlan(order);
    if (path !== undefined) return this.#filePlan(path, order);
    if (uri === undefined || !isNbdUri(uri)) throw new SkerryError('invalid', `${uri} is no address of an NBD server`);
    if (format !== undefined && format !== 'raw')
      throw new SkerryError('invalid', `an NBD server offers the raw bytes of a disk: leave --format ${format} out`);
    return this.#copyPlan(await judgeNbdUri(uri, this.#qemu), uri, order);
  }

  async #filePlan(path: string, order: ImportOrder): Promise<Plan> {
    const { file, fileBytes, isDevice } = await openImportable(path);
    try {
      const format = order.format ?? (await formatOfFile(file, fileBytes, path));
      if (format === 'raw') {
        await file.close();
        return this.#rawPlan(path, fileBytes, order);
      }
      if (isDiskFormat(format)) {
        if (isDevice)
          throw new SkerryError(
            'invalid',
            `the block device ${path} holds a ${format} image: copy it into a file, and import that. If it is a raw disk that only looks so: --format raw`,
          );
        const image = await judgeDiskImage(file, { path, format, allowBacking: order.allowBacking === true }, this.#qemu);
        await file.close();
        return this.#copyPlan(image, path, order);
      }
      let doneBytes = 0;
      const content = file.createReadStream({ highWaterMark: 1 << 20 }).on('data', (part) => {
        doneBytes += part.length;
      });
      content.pause();
      return this.#streamPlan(async () => content, order, {
        name: path,
        format,
        sure: order.format !== undefined,
        done: () => ({ doneBytes, totalBytes: fileBytes }),
        close: () => file.close(),
      });
    } catch (error) {
      await file.close().catch(() => {});
      throw error;
    }
  }

  async #storedPlan(stored: StoredFile, order: ImportOrder): Promise<Plan> {
    const { engine, privateExports } = this.#options;
    const { resource, bytes, name, format } = stored;
    if (!isDiskFormat(format)) {
      let doneBytes = 0;
      const content = Readable.from(storedBytes(engine, stored, (read) => (doneBytes += read)));
      const done = () => ({ doneBytes, totalBytes: bytes });
      return this.#streamPlan(async () => content, order, { name, format, sure: false, done, close: async () => {} });
    }
    const sizeBytes = Math.ceil(bytes / page_bytes) * page_bytes;
    const { uri, close } = privateExports.open({ resource, sizeBytes, readOnly: true });
    try {
      const judged = { path: name, format, allowBacking: false, file: nbdFileNode(uri, bytes) };
      const image = await judgeDiskImage(storedImageFile(engine, stored), judged, this.#qemu);
      return { ...this.#copyPlan(image, name, order), close: async () => close() };
    } catch (error) {
      close();
      throw error;
    }
  }

  /** The engine reads the file itself. */
  #rawPlan(path: string, fileBytes: number, order: ImportOrder): Plan {
    const { engine } = this.#options;
    checkSizeMax(path, fileBytes, order);
    const copy = new EngineCopy(engine, fileBytes);
    return {
      // A last page that the file does not fill reads as zeroes.
      sizeBytes: checkVolumeBytes(Math.ceil(fileBytes / page_bytes) * page_bytes),
      progress: () => copy.progress(),
      copy: async (image, signal) => {
        await copy.run(() => engine.importFile(image, path), signal);
        return null;
      },
      close: async () => {},
    };
  }

  /** qemu-img reads the source, and writes the image over NBD. */
  #copyPlan({ node, sizeBytes }: DiskImage, name: string, order: ImportOrder): Plan {
    checkSizeMax(name, sizeBytes, order);
    let progress: Progress = { doneBytes: 0, totalBytes: sizeBytes, dataBytes: 0 };
    return {
      sizeBytes,
      progress: () => progress,
      copy: async (image, signal) => {
        if (node['driver'] !== 'raw')
          await this.#qemu.check(node, { name, purpose: 'disk images of other programs are read', signal });
        await this.#options.privateExports.during({ resource: image, sizeBytes, readOnly: false }, (uri) =>
          this.#qemu.copyInto(node, uri, {
            purpose: 'disk images of other programs are read',
            doing: `${name} cannot be copied`,
            signal,
            onShare: (share) => {
              progress = { ...progress, doneBytes: Math.round(share * sizeBytes) };
            },
          }),
        );
        const dataBytes = await this.#options.engine.allocatedBytes(image);
        progress = { doneBytes: sizeBytes, totalBytes: sizeBytes, dataBytes };
        return null;
      },
      close: async () => {},
    };
  }

  /** A client sends the bytes. */
  #uploadPlan(order: ImportOrder): Plan {
    if (order.format !== undefined && !isStreamFormat(order.format)) throw unseekable(order.format);
    const arrived = Promise.withResolvers<Readable>();
    arrived.promise.catch(() => {});
    let doneBytes = 0;
    const content = async (): Promise<Readable> => {
      const late = setTimeout(
        () => arrived.reject(new SkerryError('timeout', 'nobody sent the content of the import')),
        stream_wait_milliseconds_max,
      );
      try {
        return await arrived.promise;
      } finally {
        clearTimeout(late);
      }
    };
    const plan = this.#streamPlan(content, order, {
      name: standardInput,
      format: order.format ?? null,
      sure: order.format !== undefined,
      done: () => ({ doneBytes, totalBytes: 0 }),
      close: async () => arrived.reject(new SkerryError('closed', 'the import has ended')),
    });
    let taken = false;
    return {
      ...plan,
      copy: (image, signal) => {
        const cancel = (): void => arrived.reject(new SkerryError('cancelled', 'the import was cancelled'));
        signal.addEventListener('abort', cancel, { once: true });
        if (signal.aborted) cancel();
        return plan.copy(image, signal);
      },
      receive: (sent) => {
        if (taken) throw new SkerryError('conflict', 'the content of this import is being sent already');
        taken = true;
        sent.on('data', (part: Uint8Array) => {
          doneBytes += part.length;
        });
        sent.pause();
        arrived.resolve(sent);
      },
    };
  }

  #streamPlan(content: () => Promise<Readable>, order: ImportOrder, from: StreamSource): Plan {
    const { ledger, engine, ids, removal, abandon, now, programs } = this.#options;
    let dataBytes = 0;
    const copy = async (signal: AbortSignal): Promise<Content> => {
      const source = addAbortSignal(signal, await content());
      const basis = { pool: this.#poolOf(order), createdAt: now(), fence: image_fence };
      const target = new GrowingVolume({ ledger, engine, ids, removal, abandon, basis });
      try {
        const parts = await plainParts(source, from, programs);
        const bytes = await copyStream(parts, target, {
          name: from.name,
          sizeBytesMax: Math.min(order.sizeBytesMax ?? volume_bytes_max, volume_bytes_max),
          onData: (written) => {
            dataBytes += written;
          },
        });
        checkNotCancelled(signal, 'import');
        return { root: await target.root(), sizeBytes: checkVolumeBytes(Math.ceil(bytes / page_bytes) * page_bytes) };
      } catch (error) {
        checkNotCancelled(signal, 'import');
        throw brokenOff(error, source);
      } finally {
        source.destroy();
        await target.close();
      }
    };
    return {
      sizeBytes: null,
      progress: () => ({ ...from.done(), dataBytes }),
      copy: (_image, signal) => copy(signal),
      close: () => from.close(),
    };
  }
}

interface StreamSource {
  readonly name: string;
  /** null: its first bytes say. */
  readonly format: ImportFormat | null;
  /** Somebody said so, so nothing that it looks like is doubted. */
  readonly sure: boolean;
  readonly done: () => Pick<Progress, 'doneBytes' | 'totalBytes'>;
  readonly close: () => Promise<void>;
}

/** The disk's own bytes. @throws SkerryError invalid for a stream of something that must be read in another order. */
async function plainParts(source: Readable, from: StreamSource, programs: LimitedPrograms): Promise<Parts> {
  const { name, sure } = from;
  const begun = await peek(source, format_head_bytes);
  const format = from.format ?? formatOf(name, begun.head);
  if (!isStreamFormat(format)) throw unseekable(format);
  const parts = decompressed(begun.parts, format, { name, programs });
  if (format === 'raw' || sure) return parts;
  const inner = await peek(parts, format_head_bytes);
  const held = formatOf(name, inner.head);
  if (held === 'raw') return inner.parts;
  throw new SkerryError(
    'invalid',
    `${name} holds a ${held} file, compressed with ${format}: unpack it and import that. If it is a raw disk that only looks so: --format ${format}`,
  );
}

function unseekable(format: ImportFormat): SkerryError {
  return new SkerryError(
    'invalid',
    `${standardInput} holds a ${format} image, which cannot be read from start to end: put it in a file and import that. ` +
      'If it is a raw disk that only looks so: --format raw',
  );
}

/** A client that goes away in the middle leaves a stream that ends with an error of the connection. */
function brokenOff(error: unknown, source: Readable): unknown {
  if (error instanceof SkerryError || source.errored === null) return error;
  return new SkerryError('unavailable', 'the content broke off before its end', { cause: error });
}

/** @throws SkerryError too-large */
function checkSizeMax(name: string, bytes: number, { sizeBytesMax }: ImportOrder): void {
  if (sizeBytesMax === undefined || bytes <= sizeBytesMax) return;
  throw new SkerryError(
    'too-large',
    `${name} is a disk of ${formatSize(bytes)} (${bytes} bytes), and ${formatSize(sizeBytesMax)} was the most that was allowed`,
  );
}

export interface Importable {
  readonly file: FileHandle;
  readonly fileBytes: number;
  /** A block device, which has no holes: its zeroes are found by reading them. */
  readonly isDevice: boolean;
}

export async function openImportable(path: string): Promise<Importable> {
  if (!isAbsolute(path)) throw new SkerryError('invalid', `${path} is not an absolute path`);
  try {
    // Asked before it is opened: opening a pipe would wait for somebody to write to it.
    const found = await stat(path);
    const isDevice = found.isBlockDevice();
    if (!found.isFile() && !isDevice) throw new SkerryError('invalid', `${path} is not a file or a block device`);
    const fileBytes = isDevice ? await blockDeviceBytes(path, found.rdev) : found.size;
    if (fileBytes === 0) throw new SkerryError('invalid', `${path} is empty`);
    return { file: await open(path, 'r'), fileBytes, isDevice };
  } catch (error) {
    const failed = toSkerryError(error, `${path} cannot be imported`);
    throw failed.code === 'not-found'
      ? new SkerryError('not-found', `there is no file ${path} on the daemon's host, where the path is looked for`)
      : failed;
  }
}

export async function formatOfFile(file: FileHandle, fileBytes: number, path: string): Promise<ImportFormat> {
  const head = await file.read(Buffer.alloc(format_head_bytes), 0, format_head_bytes, 0);
  const tail = await file.read(Buffer.alloc(format_tail_bytes), 0, format_tail_bytes, Math.max(0, fileBytes - format_tail_bytes));
  return formatOf(path, head.buffer.subarray(0, head.bytesRead), { tail: tail.buffer.subarray(0, tail.bytesRead), fileBytes });
}
