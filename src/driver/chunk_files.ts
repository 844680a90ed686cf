/**
 * Chunks as files of a directory that this host has, its own or mounted: all that drivers with a direct path do. A chunk
 * appears whole or not at all: it is written and synced under another name, renamed, and the directory is synced before
 * put resolves.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, opendir, readdir, rename, rm, stat, unlink, type FileHandle } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

import { SkerryError, toSkerryError } from '../core/errors.js';
import { CallsUnderWay } from './calls_under_way.js';
import { DirectorySyncs } from './directory_syncs.js';
import { walkChunks, type WalkEntry } from './directory_walk.js';
import { chunkKey, type ChunkKey, type ChunkStat, type Driver, type DriverTraits } from './driver.js';
import { mustBeSame } from './same_bytes.js';

const chunk_bytes_max = 1 << 30;
/** Beyond these all are looked at anew, which costs some syncs. */
const directories_known_max = 65_536;
/** What a put that never ended left behind is removed once it is older. */
const incoming_age_milliseconds_max = 3_600_000;
/** A key's part never begins with a dot, so that nothing of ours can be taken for a chunk. */
const incomingName = '.incoming';

export class ChunkFiles implements Driver {
  readonly traits: DriverTraits;
  readonly #directory: string;
  readonly #readOnly: boolean;
  readonly #calls = new CallsUnderWay('the driver');
  /** Directories known to be there, durably, so that a put into one costs no more than its own syncs. */
  readonly #directories = new Set<string>();
  readonly #syncs = new DirectorySyncs();

  private constructor(directory: string, direct: boolean, readOnly = false) {
    this.#directory = directory;
    this.#readOnly = readOnly;
    this.traits = {
      chunkBytesMax: chunk_bytes_max,
      inFlightMax: 32,
      readAfterWrite: true,
      refusesRewrite: true,
      ...(direct ? { directPath: { directory } } : {}),
    };
  }

  /** Makes the directory where absent. */
  static async open(path: string, direct = true): Promise<ChunkFiles> {
    const directory = resolve(path);
    const driver = new ChunkFiles(directory, direct);
    await driver.#makeDirectory(join(directory, incomingName));
    await driver.#removeStale();
    return driver;
  }

  /** Of a directory that is there; nothing in it is touched. */
  static async openToRead(path: string): Promise<ChunkFiles> {
    const directory = resolve(path);
    if (!(await stat(directory)).isDirectory()) throw new SkerryError('invalid', `${directory} is no directory`);
    return new ChunkFiles(directory, true, true);
  }

  put(key: ChunkKey, data: Uint8Array): Promise<void> {
    return this.#run(`chunk ${key} cannot be written`, async () => {
      this.#refuseIfReadOnly();
      const path = this.#pathOf(key);
      if (data.length > chunk_bytes_max)
        throw new SkerryError('too-large', `chunk ${key} has ${data.length} bytes, at most ${chunk_bytes_max} are taken`);
      if (await this.#isThere(path, key, data)) return;
      const incoming = join(this.#directory, incomingName, randomBytes(16).toString('hex'));
      try {
        // At once, for what is synced together costs a file system one commit.
        const both = await Promise.allSettled([this.#makeDirectory(dirname(path)), writeSynced(incoming, data)]);
        for (const one of both) if (one.status === 'rejected') throw one.reason;
        await rename(incoming, path);
      } catch (error) {
        await rm(incoming, { force: true }).catch(() => undefined);
        throw error;
      }
      await this.#syncs.sync(dirname(path));
    });
  }

  get(key: ChunkKey, offset: number, into: Uint8Array): Promise<number | null> {
    return this.#run(`chunk ${key} cannot be read`, async () => {
      const file = await openIfThere(this.#pathOf(key));
      if (file === null) return null;
      try {
        return await readFully(file, offset, into);
      } finally {
        await file.close();
      }
    });
  }

  stat(key: ChunkKey): Promise<ChunkStat | null> {
    return this.#run(`chunk ${key} cannot be looked at`, async () => {
      const found = await stat(this.#pathOf(key)).catch(nullIfAbsent);
      return found?.isFile() === true ? { key, bytes: found.size } : null;
    });
  }

  remove(key: ChunkKey): Promise<void> {
    return this.#run(`chunk ${key} cannot be removed`, async () => {
      this.#refuseIfReadOnly();
      const path = this.#pathOf(key);
      await unlink(path).catch(nullIfAbsent);
      // Also where it was absent: an earlier removal may have failed between the two.
      await this.#syncs.sync(dirname(path)).catch(nullIfAbsent);
    });
  }

  async *list(prefix: string): AsyncGenerator<ChunkStat> {
    this.#calls.refuseIfClosed();
    try {
      yield* walkChunks({ entries: (begin) => this.#entries(begin), stat: (key) => this.stat(key) }, prefix);
    } catch (error) {
      throw toSkerryError(error, `chunks under ${prefix} cannot be listed`);
    }
  }

  async close(): Promise<void> {
    await this.#calls.close();
  }

  async *#entries(begin: string): AsyncGenerator<WalkEntry> {
    const entries = await opendir(join(this.#directory, begin)).catch(nullIfAbsent);
    if (entries === null) return;
    for await (const entry of entries) {
      this.#calls.refuseIfClosed();
      yield { name: entry.name, kind: entry.isDirectory() ? 'directory' : entry.isFile() ? 'file' : 'other', bytes: null };
    }
  }

  /** True if the chunk is there with these bytes, durably. @throws SkerryError exists where it has others. */
  async #isThere(path: string, key: ChunkKey, data: Uint8Array): Promise<boolean> {
    const file = await openIfThere(path);
    if (file === null) return false;
    try {
      await mustBeSame(key, data, (offset, into) => readFully(file, offset, into));
      // Whoever wrote it may have died before its syncs.
      await file.sync();
    } finally {
      await file.close();
    }
    await this.#syncs.sync(dirname(path));
    return true;
  }

  /** The directory and its parents, each durable. */
  async #makeDirectory(path: string): Promise<void> {
    if (this.#directories.has(path)) return;
    await mkdir(path, { recursive: true, mode: 0o700 });
    const unknown: string[] = [];
    for (let directory = path; directory.startsWith(this.#directory); directory = dirname(directory)) {
      if (this.#directories.has(directory)) break;
      unknown.push(directory);
      if (directory === this.#directory) break;
    }
    await Promise.all(unknown.map((directory) => this.#syncs.sync(dirname(directory))));
    if (this.#directories.size >= directories_known_max) this.#directories.clear();
    for (const directory of unknown) this.#directories.add(directory);
  }

  async #removeStale(): Promise<void> {
    const incoming = join(this.#directory, incomingName);
    for (const name of await readdir(incoming)) {
      const path = join(incoming, name);
      const found = await stat(path).catch(nullIfAbsent);
      if (found !== null && Date.now() - found.mtimeMs > incoming_age_milliseconds_max) await rm(path, { force: true });
    }
  }

  #pathOf(key: ChunkKey): string {
    return join(this.#directory, chunkKey(key));
  }

  #run<T>(doing: string, work: () => Promise<T>): Promise<T> {
    return this.#calls.run(work, (error) => toSkerryError(error, doing));
  }

  #refuseIfReadOnly(): void {
    if (this.#readOnly) throw new SkerryError('read-only', 'the pool was opened only to be read');
  }
}

async function readFully(file: FileHandle, offset: number, into: Uint8Array): Promise<number> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await file.read(into, done, into.length - done, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

async function openIfThere(path: string): Promise<FileHandle | null> {
  return open(path, constants.O_RDONLY).catch(nullIfAbsent);
}

/** A new file with this content, durable but for its name. */
async function writeSynced(path: string, data: Uint8Array): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(data);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** null for an error that says there is no such file; any other is thrown on. */
function nullIfAbsent(error: unknown): null {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
  throw error;
}
