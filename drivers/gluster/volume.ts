/**
 * A Gluster volume through libgfapi: calls that end in bounded time and fail with codes of the one table. What the library
 * does not end in time is left to end by itself; it then works on buffers of ours, never on the caller's.
 */
import { isSkerryError, SkerryError, type ErrorCode } from '../../src/core/errors.js';
import { bounded } from './bounded.js';
import { Connection, type VolumeAddress } from './connection.js';
import type { GlusterEntry, NativeFile, NativeVolume } from './native_volume.js';

export interface GlusterOptions {
  /** A directory that has one in it, for whoever opens the volume to make: it shows whether all parts of the volume are there. */
  readonly witness: string;
  /** Bounds each call, and opening too. */
  readonly milliseconds: number;
}

/** Of one call of the library; larger transfers are made of several. */
const piece_bytes_max = 1 << 20;

export class GlusterVolume {
  readonly #connection: Connection;
  readonly #native: NativeVolume;
  readonly #witness: string;
  readonly #milliseconds: number;
  #released = false;

  private constructor(connection: Connection, native: NativeVolume, witness: string, milliseconds: number) {
    this.#connection = connection;
    this.#native = native;
    this.#witness = witness;
    this.#milliseconds = milliseconds;
  }

  /** @throws SkerryError unavailable, not-found, denied, timeout */
  static async open(address: VolumeAddress, { witness, milliseconds }: GlusterOptions): Promise<GlusterVolume> {
    const connection = Connection.to(address);
    try {
      const native = await bounded(connection.connecting, milliseconds);
      // Also of a connection from before: the volume may have been deleted and made anew since.
      await bounded(native.stat('/'), milliseconds);
      return new GlusterVolume(connection, native, witness, milliseconds);
    } catch (error) {
      connection.forget();
      connection.leave();
      throw explained(error, address);
    }
  }

  /** null where there is no such file. `toSync`: it will be synced. */
  async openFile(path: string, use: 'to read' | 'to sync'): Promise<GlusterFile | null> {
    const native = await this.#orAbsent(() => this.#native.open(path, use === 'to sync'));
    return native === null ? null : new GlusterFile(native, this.#milliseconds);
  }

  /** @throws SkerryError not-found where its directory is absent. */
  async createFile(path: string): Promise<GlusterFile> {
    return new GlusterFile(await this.#run(this.#native.create(path)), this.#milliseconds);
  }

  /** Replaces what is there. */
  async rename(from: string, to: string): Promise<void> {
    await this.#run(this.#native.rename(from, to));
  }

  /** False where there was no such file. */
  async unlink(path: string): Promise<boolean> {
    return (await this.#run(this.#native.unlink(path).then(() => true)).catch(nullIfAbsent)) ?? false;
  }

  /** With its parents; those that are there are fine. */
  async makeDirectories(path: string): Promise<void> {
    for (let end = path.indexOf('/', 1); ; end = path.indexOf('/', end + 1)) {
      const part = end < 0 ? path : path.slice(0, end);
      await this.#run(this.#native.makeDirectory(part)).catch((error: unknown) => {
        if (!isSkerryError(error, 'exists')) throw error;
      });
      if (end < 0) return;
    }
  }

  /** null where there is nothing. */
  async stat(path: string): Promise<GlusterEntry | null> {
    return (await this.#orAbsent(() => this.#native.stat(path)))?.[0] ?? null;
  }

  /** What is in a directory, but for . and ..; nothing where it is absent. */
  async *entries(path: string): AsyncGenerator<GlusterEntry> {
    const directory = await this.#orAbsent(() => this.#native.openDirectory(path));
    if (directory === null) return;
    try {
      await this.#reachAll();
      for (;;) {
        const entries = await this.#run(directory.read());
        await this.#reachAll();
        if (entries.length === 0) return;
        for (const entry of entries) if (entry.name !== '.' && entry.name !== '..') yield entry;
      }
    } finally {
      directory.close();
    }
  }

  /** Idempotent. */
  release(): void {
    if (!this.#released) this.#connection.leave();
    this.#released = true;
  }

  /**
   * null where it is absent. Of a distributed volume with a part away all that lies there looks absent, so that counts only
   * with all parts there; and they were there before the second look.
   */
  async #orAbsent<T>(look: () => Promise<T>): Promise<T | null> {
    const found = await this.#run(look()).catch(nullIfAbsent);
    if (found !== null) return found;
    await this.#reachAll();
    return this.#run(look()).catch(nullIfAbsent);
  }

  /** @throws SkerryError unavailable where a part of the volume is away */
  async #reachAll(): Promise<void> {
    await this.#run(this.#native.reach(this.#witness)).catch((error: unknown) => {
      if (!isSkerryError(error, 'not-found')) throw error;
      const message = `${this.#witness} is not as it was made when the pool was opened: open it again, to write`;
      throw new SkerryError('unavailable', message, { cause: error });
    });
  }

  async #run<T>(call: Promise<T>): Promise<T> {
    return bounded(call, this.#milliseconds);
  }
}

export class GlusterFile {
  readonly #native: NativeFile;
  readonly #milliseconds: number;

  constructor(native: NativeFile, milliseconds: number) {
    this.#native = native;
    this.#milliseconds = milliseconds;
  }

  /** Bytes read, short only at the end. */
  async read(offset: number, into: Uint8Array): Promise<number> {
    const buffer = Buffer.allocUnsafeSlow(Math.min(piece_bytes_max, into.length));
    let done = 0;
    while (done < into.length) {
      const piece = buffer.subarray(0, into.length - done);
      const bytes = await bounded(this.#native.read(piece, offset + done), this.#milliseconds);
      if (bytes === 0) break;
      into.set(piece.subarray(0, bytes), done);
      done += bytes;
    }
    return done;
  }

  async writeAll(data: Uint8Array): Promise<void> {
    const buffer = Buffer.allocUnsafeSlow(Math.min(piece_bytes_max, data.length));
    for (let offset = 0; offset < data.length; ) {
      const piece = buffer.subarray(0, data.length - offset);
      piece.set(data.subarray(offset, offset + piece.length));
      const bytes = await bounded(this.#native.write(piece, offset), this.#milliseconds);
      if (bytes === 0) throw new SkerryError('io', 'the volume took none of the bytes');
      offset += bytes;
    }
  }

  /** Once it failed the file is good for nothing more. */
  async sync(): Promise<void> {
    await bounded(this.#native.sync(), this.#milliseconds);
  }

  /** Of what is under way none is cut off. */
  close(): void {
    this.#native.close();
  }
}

function explained(error: unknown, { hosts, port, volume }: VolumeAddress): unknown {
  if (!isSkerryError(error)) return error;
  const where = `${hosts.join(',')}:${port}`;
  const messages: Partial<Record<ErrorCode, string>> = {
    'not-found': `there is no volume ${volume} on ${where}: see gluster volume info`,
    unavailable: `volume ${volume} cannot be reached by ${where}: see that glusterd runs there and gluster volume status shows its bricks online`,
    denied: `${where} refuses volume ${volume} to this host or user: see its options auth.allow and server.allow-insecure`,
    timeout: `${where} did not answer for volume ${volume} in time: its bricks are stopped, or refuse this host or user (see its options auth.allow, auth.reject and server.allow-insecure)`,
    // The library's own word for a volume that was not started.
    io: `volume ${volume} of ${where} cannot be opened: see in gluster volume info that it is started`,
  };
  const message = messages[error.code];
  return message === undefined ? error : new SkerryError(error.code, message, { cause: error });
}

function nullIfAbsent(error: unknown): null {
  if (isSkerryError(error, 'not-found')) return null;
  throw error;
}
