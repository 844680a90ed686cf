/**
 * Chunks as files of a Gluster volume. A brick syncs files, but up to Gluster 11 no directories: a name is made durable by a
 * sync of its file after the file got it, for then the brick's file system has to write down the change of the file, and
 * with it all changes before.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join, posix } from 'node:path';

import { z } from 'zod';

import { isSkerryError, SkerryError, toSkerryError } from '../../src/core/errors.js';
import { pause } from '../../src/core/pause.js';
import { CallsUnderWay } from '../../src/driver/calls_under_way.js';
import { walkChunks, type WalkEntry } from '../../src/driver/directory_walk.js';
import { chunkKey, type ChunkKey, type ChunkStat, type Driver, type DriverTraits } from '../../src/driver/driver.js';
import { registerDriver } from '../../src/driver/registry.js';
import { mustBeSame } from '../../src/driver/same_bytes.js';
import type { VolumeAddress } from './connection.js';
import type { GlusterEntry } from './native_volume.js';
import { GlusterVolume, type GlusterFile } from './volume.js';

const chunk_bytes_max = 1 << 30;
/** What a put or remove that never ended left behind is removed once it is older. */
const leftover_seconds_max = 3600;
const create_attempts_max = 6;
const create_pause_milliseconds = 20;
/** A key's part never begins with a dot, so that nothing of ours can be taken for a chunk. */
const witnessName = '.parts';

const settings = z.strictObject({
  host: z.string().regex(/^[\w.:-]+(?:,[\w.:-]+)*$/, 'must be a host name or address, or several with commas between'),
  port: z.coerce.number().int().min(1).max(65_535).default(24_007),
  volume: z.string().regex(/^[\w-]+$/, 'must be the name of a Gluster volume'),
  directory: z.string().startsWith('/', 'must be an absolute path inside the volume').default('/skerry'),
  mount: z.string().startsWith('/', 'must be an absolute path on this host').optional(),
  'timeout-seconds': z.coerce.number().int().min(1).max(600).default(30),
});

const glusterTraits: DriverTraits = {
  chunkBytesMax: chunk_bytes_max,
  inFlightMax: 32,
  readAfterWrite: true,
  refusesRewrite: true,
};

export const glusterDriver = registerDriver({
  name: 'gluster',
  description: 'Chunks as files of a Gluster volume, through libgfapi',
  settings,
  open: async (parsed) => GlusterDriver.open(optionsOf(parsed)),
  openToRead: async (parsed) => GlusterDriver.openToRead(optionsOf(parsed)),
  traitsWhileAway: ({ mount }) => (mount === undefined ? glusterTraits : null),
});

interface PlaceOptions extends VolumeAddress {
  /** Inside the volume. */
  readonly directory: string;
  /** Where the volume is mounted on this host. */
  readonly mount?: string;
  /** Of each call to the volume. */
  readonly timeoutMilliseconds: number;
}

function optionsOf(parsed: z.infer<typeof settings>): PlaceOptions {
  return {
    hosts: parsed.host.split(','),
    port: parsed.port,
    volume: parsed.volume,
    // Without a slash at its end, and empty for the root of the volume.
    directory: posix.resolve('/', parsed.directory).replace(/\/$/, ''),
    ...(parsed.mount === undefined ? {} : { mount: parsed.mount }),
    timeoutMilliseconds: parsed['timeout-seconds'] * 1000,
  };
}

export class GlusterDriver implements Driver {
  readonly traits: DriverTraits;
  readonly #volume: GlusterVolume;
  readonly #directory: string;
  readonly #readOnly: boolean;
  readonly #calls = new CallsUnderWay('the gluster driver');
  /** The last change under way of each key. */
  readonly #changing = new Map<ChunkKey, Promise<void>>();

  private constructor(volume: GlusterVolume, directory: string, direct: string | null, readOnly = false) {
    this.#volume = volume;
    this.#directory = directory;
    this.#readOnly = readOnly;
    this.traits = { ...glusterTraits, ...(direct === null ? {} : { directPath: { directory: direct } }) };
  }

  /** Makes the directory where absent. */
  static async open(options: PlaceOptions): Promise<GlusterDriver> {
    const volume = await openVolume(options);
    try {
      await volume.makeDirectories(`${options.directory}/${witnessName}/all`);
      const direct = options.mount === undefined ? null : join(options.mount, options.directory);
      if (direct !== null) await proveMount(volume, options, direct);
      return new GlusterDriver(volume, options.directory, direct);
    } catch (error) {
      volume.release();
      throw error;
    }
  }

  /** Of a directory that is there; nothing in it is touched, and so no mount is proved or used. */
  static async openToRead(options: PlaceOptions): Promise<GlusterDriver> {
    const volume = await openVolume(options);
    try {
      const found = await volume.stat(`${options.directory}/${witnessName}/all`);
      if (found === null) throw new SkerryError('not-found', `${options.directory} of volume ${options.volume} holds no pool`);
      return new GlusterDriver(volume, options.directory, null, true);
    } catch (error) {
      volume.release();
      throw error;
    }
  }

  put(key: ChunkKey, data: Uint8Array): Promise<void> {
    return this.#change(key, `chunk ${key} cannot be written`, async (path) => {
      if (data.length > chunk_bytes_max)
        throw new SkerryError('too-large', `chunk ${key} has ${data.length} bytes, at most ${chunk_bytes_max} are taken`);
      if (await this.#isThere(path, key, data)) return;
      const incoming = besides(path, randomBytes(16).toString('hex'));
      const file = await this.#create(incoming);
      try {
        await file.writeAll(data);
        await file.sync();
        await this.#volume.rename(incoming, path);
        await file.sync();
      } catch (error) {
        file.close();
        await this.#discard(incoming, error);
        // Its name was taken away by somebody else, and all is as before.
        throw isSkerryError(error, 'not-found') ? new SkerryError('io', error.message, { cause: error }) : error;
      }
      file.close();
    });
  }

  get(key: ChunkKey, offset: number, into: Uint8Array): Promise<number | null> {
    return this.#run(`chunk ${key} cannot be read`, async () => {
      const file = await this.#volume.openFile(this.#pathOf(key), 'to read');
      if (file === null) return null;
      try {
        return await file.read(offset, into);
      } finally {
        file.close();
      }
    });
  }

  stat(key: ChunkKey): Promise<ChunkStat | null> {
    return this.#run(`chunk ${key} cannot be looked at`, async () => {
      const found = await this.#volume.stat(this.#pathOf(key));
      return found?.isFile === true ? { key, bytes: found.bytes } : null;
    });
  }

  /** Under another name first: if the sync fails, the file by which it can be repeated is still there. */
  remove(key: ChunkKey): Promise<void> {
    return this.#change(key, `chunk ${key} cannot be removed`, async (path) => {
      const gone = besides(path, 'gone');
      const chunk = await this.#volume.openFile(path, 'to sync');
      const file = chunk ?? (await this.#volume.openFile(gone, 'to sync'));
      if (file === null) return;
      try {
        if (chunk !== null) await this.#volume.rename(path, gone).catch(undefinedIfAbsent);
        await file.sync();
      } finally {
        file.close();
      }
      await this.#volume.unlink(gone);
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
    await this.#calls.close(() => this.#volume.release());
  }

  async *#entries(begin: string): AsyncGenerator<WalkEntry> {
    const directory = `${this.#directory}/${begin}`;
    for await (const entry of this.#volume.entries(directory)) {
      this.#calls.refuseIfClosed();
      const { name, isFile, isDirectory, bytes } = entry;
      if (name.startsWith('.')) await this.#removeLeftover(directory, entry);
      else yield { name, kind: isDirectory ? 'directory' : isFile ? 'file' : 'other', bytes };
    }
  }

  /** True if the chunk is there with these bytes, durably. @throws SkerryError exists where it has others. */
  async #isThere(path: string, key: ChunkKey, data: Uint8Array): Promise<boolean> {
    const file = await this.#volume.openFile(path, 'to sync');
    if (file === null) return false;
    try {
      await mustBeSame(key, data, (offset, into) => file.read(offset, into));
      // Whoever wrote it may have died before its syncs.
      await file.sync();
      return true;
    } finally {
      file.close();
    }
  }

  async #create(path: string): Promise<GlusterFile> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#volume.createFile(path);
      } catch (error) {
        if (!isSkerryError(error, 'not-found')) throw error;
        // While others make it too, the client may go on for a moment to take the directory for absent.
        if (attempt === create_attempts_max) throw new SkerryError('io', error.message, { cause: error });
        if (attempt > 1) await pause(attempt * create_pause_milliseconds);
        await this.#volume.makeDirectories(posix.dirname(path));
      }
    }
  }

  /** Frees its room before the failure is told; a volume that does not answer is not waited for again. */
  async #discard(incoming: string, failure: unknown): Promise<void> {
    const removing = this.#volume.unlink(incoming).catch(() => false);
    if (!isSkerryError(failure, 'timeout')) await removing;
  }

  async #removeLeftover(directory: string, entry: GlusterEntry): Promise<void> {
    const ours = entry.isFile && /\.(?:gone|[0-9a-f]{32})$/.test(entry.name);
    if (this.#readOnly || !ours || Date.now() / 1000 - entry.changedSeconds <= leftover_seconds_max) return;
    await this.#volume.unlink(directory + entry.name);
  }

  #pathOf(key: ChunkKey): string {
    return `${this.#directory}/${chunkKey(key)}`;
  }

  /** One at a time for each key: after renames to one name at once the client may take that for absent, or its file for stale. */
  #change(key: ChunkKey, doing: string, work: (path: string) => Promise<void>): Promise<void> {
    return this.#run(doing, async () => {
      this.#refuseIfReadOnly();
      const path = this.#pathOf(key);
      const before = this.#changing.get(key) ?? Promise.resolve();
      const running = before.then(() => work(path));
      const ended = running.catch(() => undefined);
      this.#changing.set(key, ended);
      try {
        await running;
      } finally {
        if (this.#changing.get(key) === ended) this.#changing.delete(key);
      }
    });
  }

  #run<T>(doing: string, work: () => Promise<T>): Promise<T> {
    return this.#calls.run(work, (error) => {
      const { code, message } = toSkerryError(error);
      return new SkerryError(code, `${doing}: ${message}`, { cause: error });
    });
  }

  #refuseIfReadOnly(): void {
    if (this.#readOnly) throw new SkerryError('read-only', 'the pool was opened only to be read');
  }
}

async function openVolume({ hosts, port, volume, directory, timeoutMilliseconds }: PlaceOptions): Promise<GlusterVolume> {
  const options = { witness: `${directory}/${witnessName}`, milliseconds: timeoutMilliseconds };
  return GlusterVolume.open({ hosts, port, volume }, options);
}

/**
 * A name that is no chunk's, in the same directory. Gluster places such names (a dot, a name, a dot and a word) on the brick
 * of the name in them, so that a rename leaves nothing on another brick that no sync of the file would reach.
 */
function besides(path: string, word: string): string {
  return `${posix.dirname(path)}/.${posix.basename(path)}.${word}`;
}

/** @throws SkerryError invalid unless a file that is written to the volume is seen by the mount. */
async function proveMount(volume: GlusterVolume, options: PlaceOptions, direct: string): Promise<void> {
  const written = randomBytes(32);
  const name = besides('/mount', randomBytes(16).toString('hex')).slice(1);
  const path = `${options.directory}/${name}`;
  const file = await volume.createFile(path);
  try {
    await file.writeAll(written);
    await file.sync();
    const seen = await readFile(join(direct, name)).catch(() => null);
    if (seen?.equals(written) !== true)
      throw new SkerryError('invalid', `mount: ${options.mount} is not where volume ${options.volume} is mounted`);
  } finally {
    file.close();
    await volume.unlink(path);
  }
}

function undefinedIfAbsent(error: unknown): void {
  if (!isSkerryError(error, 'not-found')) throw error;
}
