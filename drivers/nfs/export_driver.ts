/**
 * Chunks as files of an export, over NFSv3 in user space. A chunk appears whole or not at all: it is written under another
 * name, committed, and renamed, which is on the server's stable storage when it is answered.
 */
import { randomBytes } from 'node:crypto';

import { SkerryError, toSkerryError } from '../../src/core/errors.js';
import { CallsUnderWay } from '../../src/driver/calls_under_way.js';
import { walkChunks, type WalkEntry } from '../../src/driver/directory_walk.js';
import { chunkKey, type ChunkKey, type ChunkStat, type Driver, type DriverTraits } from '../../src/driver/driver.js';
import { mustBeSame } from '../../src/driver/same_bytes.js';
import { errnoName, isLost, type Page } from './connection.js';
import type { Location } from './location.js';
import { MountedExport } from './mounted_export.js';

const chunk_bytes_max = 1 << 30;
/** What a put that never ended left behind is removed once it is older, by the server's clock. */
const incoming_age_seconds_max = 3600;
/** A key's part never begins with a dot, so that nothing of ours can be taken for a chunk. */
const incomingName = '.incoming';

export const exportTraits: DriverTraits = {
  chunkBytesMax: chunk_bytes_max,
  inFlightMax: 32,
  readAfterWrite: true,
  refusesRewrite: true,
};

export interface ExportOptions {
  readonly location: Location;
  /** For each answer of the server. */
  readonly timeoutMilliseconds: number;
}

export class ExportDriver implements Driver {
  readonly traits = exportTraits;
  readonly #options: ExportOptions;
  readonly #readOnly: boolean;
  readonly #calls = new CallsUnderWay('the nfs driver');
  /** null after a connection ended, until somebody needs the next one. */
  #mounted: MountedExport | null = null;
  #mounting: Promise<MountedExport> | null = null;

  private constructor(options: ExportOptions, readOnly: boolean) {
    this.#options = options;
    this.#readOnly = readOnly;
  }

  /** The directory must be there, and be writable. */
  static async open(options: ExportOptions): Promise<ExportDriver> {
    const driver = new ExportDriver(options, false);
    try {
      const { uid, gid, path } = options.location;
      await driver.#run(`uid ${uid}, gid ${gid} cannot write in ${path}`, (mounted) => removeStale(mounted));
      return driver;
    } catch (error) {
      await driver.close();
      throw error;
    }
  }

  /** Nothing in the directory is touched. */
  static async openToRead(options: ExportOptions): Promise<ExportDriver> {
    const driver = new ExportDriver(options, true);
    await driver.#run('the export cannot be reached', () => Promise.resolve());
    return driver;
  }

  put(key: ChunkKey, data: Uint8Array): Promise<void> {
    return this.#run(`chunk ${key} cannot be written`, async (mounted) => {
      if (this.#readOnly) throw new SkerryError('read-only', 'the pool was opened only to be read');
      chunkKey(key);
      if (data.length > chunk_bytes_max)
        throw new SkerryError('too-large', `chunk ${key} has ${data.length} bytes, at most ${chunk_bytes_max} are taken`);
      const found = await mounted.find(key);
      if (found !== null) {
        await mustBeSame(key, data, (offset, into) => mounted.read(found, offset, into));
        // Whoever wrote it may have died before its commit.
        await mounted.commit(found);
        return;
      }
      const incoming = incomingPath();
      try {
        await mounted.write(incoming, data);
        await mounted.rename(incoming, key);
      } catch (error) {
        await mounted.remove(incoming).catch(() => undefined);
        throw error;
      }
    });
  }

  get(key: ChunkKey, offset: number, into: Uint8Array): Promise<number | null> {
    return this.#run(`chunk ${key} cannot be read`, async (mounted) => {
      const found = await mounted.find(chunkKey(key));
      return found === null ? null : mounted.read(found, offset, into);
    });
  }

  stat(key: ChunkKey): Promise<ChunkStat | null> {
    return this.#run(`chunk ${key} cannot be looked at`, async (mounted) => {
      const found = await mounted.find(chunkKey(key));
      return found === null ? null : { key, bytes: found.attributes.bytes };
    });
  }

  remove(key: ChunkKey): Promise<void> {
    return this.#run(`chunk ${key} cannot be removed`, async (mounted) => {
      if (this.#readOnly) throw new SkerryError('read-only', 'the pool was opened only to be read');
      await mounted.remove(chunkKey(key));
    });
  }

  async *list(prefix: string): AsyncGenerator<ChunkStat> {
    this.#calls.refuseIfClosed();
    yield* walkChunks({ entries: (begin) => this.#entries(begin), stat: (key) => this.stat(key) }, prefix);
  }

  async close(): Promise<void> {
    await this.#calls.close(() => this.#mounted?.close());
  }

  async *#entries(begin: string): AsyncGenerator<WalkEntry> {
    for (let page: Page | null = null; page?.end !== true; ) {
      const next: Page | null = await this.#run(`chunks under ${begin} cannot be listed`, (mounted) =>
        mounted.page(begin.slice(0, -1), page),
      );
      if (next === null) return;
      for (const { name, attributes } of next.entries)
        yield { name, kind: attributes?.kind ?? null, bytes: attributes?.bytes ?? null };
      page = next;
    }
  }

  #run<T>(doing: string, work: (mounted: MountedExport) => Promise<T>): Promise<T> {
    return this.#calls.run(
      async () => this.#workOn(await this.#mount(), work),
      (error) => toSkerryError(error, doing),
    );
  }

  async #workOn<T>(mounted: MountedExport, work: (mounted: MountedExport) => Promise<T>): Promise<T> {
    try {
      return await work(mounted).catch((error: unknown) => {
        if (!['ESTALE', 'ENOENT'].includes(errnoName(error))) throw error;
        // A directory that we know, or a file just found, is gone from the server or is another one now: look again.
        mounted.forget();
        return work(mounted);
      });
    } catch (error) {
      // Stale twice is the export itself: it has to be mounted anew.
      if (isLost(error) || errnoName(error) === 'ESTALE') this.#drop(mounted);
      throw error;
    }
  }

  /** One mounts for all who wait for it. */
  async #mount(): Promise<MountedExport> {
    if (this.#mounted !== null) return this.#mounted;
    this.#mounting ??= this.#mountNow();
    return this.#mounting;
  }

  async #mountNow(): Promise<MountedExport> {
    try {
      this.#mounted = await MountedExport.connect(this.#options.location, this.#options.timeoutMilliseconds);
      return this.#mounted;
    } finally {
      this.#mounting = null;
    }
  }

  #drop(mounted: MountedExport): void {
    mounted.close();
    if (this.#mounted === mounted) this.#mounted = null;
  }
}

function incomingPath(): string {
  return `${incomingName}/${randomBytes(16).toString('hex')}`;
}

/** Also shows whether we may write, before anything depends on it. */
async function removeStale(mounted: MountedExport): Promise<void> {
  const probe = incomingPath();
  try {
    await mounted.write(probe, new Uint8Array(0));
  } catch (error) {
    // A full export still can be read, and made room in.
    if (['ENOSPC', 'EDQUOT'].includes(errnoName(error))) return;
    throw error;
  }
  const now = (await mounted.find(probe))?.attributes.modifiedSeconds ?? 0;
  await mounted.remove(probe);
  for (let page: Page | null = null; page?.end !== true; ) {
    const next: Page | null = await mounted.page(incomingName, page);
    if (next === null) return;
    for (const { name, attributes } of next.entries)
      if (attributes?.kind === 'file' && now - attributes.modifiedSeconds > incoming_age_seconds_max)
        await mounted.remove(`${incomingName}/${name}`);
    page = next;
  }
}
