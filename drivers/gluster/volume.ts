/**
 * A Gluster volume through libgfapi: calls that end in bounded time and fail with codes of the one table. What the library
 * does not end in time is left to end by itself; it then works on buffers of ours, never on the caller's.
 */
import { isSkerryError, SkerryError, toSkerryError, type ErrorCode } from '../../src/core/errors.js';
import { loadNativeBinding } from '../../src/driver/native_binding.js';

export interface VolumeAddress {
  /** Tried in turn for what the volume consists of; its bricks are then asked directly. */
  readonly hosts: readonly string[];
  readonly port: number;
  readonly volume: string;
}

export interface GlusterEntry {
  readonly name: string;
  readonly isFile: boolean;
  readonly isDirectory: boolean;
  readonly bytes: number;
  /** Since 1970, of the last change of the file or its name. */
  readonly changedSeconds: number;
}

interface NativeFile {
  read(into: Uint8Array, offset: number): Promise<number>;
  write(from: Uint8Array, offset: number): Promise<number>;
  sync(): Promise<unknown>;
  close(): void;
}

interface NativeDirectory {
  read(): Promise<readonly GlusterEntry[]>;
  close(): void;
}

interface NativeVolume {
  open(path: string, toSync: boolean): Promise<NativeFile>;
  create(path: string): Promise<NativeFile>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  makeDirectory(path: string): Promise<void>;
  stat(path: string): Promise<readonly GlusterEntry[]>;
  openDirectory(path: string): Promise<NativeDirectory>;
  release(): void;
}

interface GlusterBinding {
  connect(hosts: readonly string[], port: number, volume: string): Promise<NativeVolume>;
}

/** Of one call of the library; larger transfers are made of several. */
const piece_bytes_max = 1 << 20;
/** A connection takes long to end, so one that nobody uses is kept for who opens the volume again. */
const idle_milliseconds_max = 60_000;

interface Connection {
  readonly connecting: Promise<NativeVolume>;
  users: number;
  idle: NodeJS.Timeout | null;
}

/** Of this process, by address: one for all who have the volume open. */
const connections = new Map<string, Connection>();

export class GlusterVolume {
  readonly #connection: Connection;
  readonly #native: NativeVolume;
  readonly #milliseconds: number;
  #released = false;

  private constructor(connection: Connection, native: NativeVolume, milliseconds: number) {
    this.#connection = connection;
    this.#native = native;
    this.#milliseconds = milliseconds;
  }

  /** `milliseconds`: bounds each call, this one too. @throws SkerryError unavailable, not-found, denied, timeout */
  static async open(address: VolumeAddress, milliseconds: number): Promise<GlusterVolume> {
    const key = JSON.stringify(address);
    const connection = connections.get(key) ?? connect(key, address);
    if (connection.idle !== null) clearTimeout(connection.idle);
    connection.idle = null;
    connection.users += 1;
    try {
      const native = await bounded(connection.connecting, milliseconds);
      // Also of a connection from before: the volume may have been deleted and made anew since.
      await bounded(native.stat('/'), milliseconds);
      return new GlusterVolume(connection, native, milliseconds);
    } catch (error) {
      leave(connection);
      // One that does not serve is not found again by the next, but for one that is still being made.
      if (!isSkerryError(error, 'timeout') && connections.get(key) === connection) connections.delete(key);
      throw explained(error, address);
    }
  }

  /** null where there is no such file. `toSync`: it will be synced. */
  async openFile(path: string, use: 'to read' | 'to sync'): Promise<GlusterFile | null> {
    const native = await this.#run(this.#native.open(path, use === 'to sync')).catch(nullIfAbsent);
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
    return (await this.#run(this.#native.stat(path)).catch(nullIfAbsent))?.[0] ?? null;
  }

  /** What is in a directory, but for . and ..; nothing where it is absent. */
  async *entries(path: string): AsyncGenerator<GlusterEntry> {
    const directory = await this.#run(this.#native.openDirectory(path)).catch(nullIfAbsent);
    if (directory === null) return;
    try {
      for (;;) {
        const entries = await this.#run(directory.read());
        if (entries.length === 0) return;
        for (const entry of entries) if (entry.name !== '.' && entry.name !== '..') yield entry;
      }
    } finally {
      directory.close();
    }
  }

  /** Idempotent. */
  release(): void {
    if (!this.#released) leave(this.#connection);
    this.#released = true;
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

function connect(key: string, address: VolumeAddress): Connection {
  const binding = loadNativeBinding({ driver: 'gluster', package: 'libglusterfs-dev' }) as GlusterBinding;
  const connecting = binding.connect(address.hosts, address.port, address.volume);
  const connection: Connection = { connecting, users: 0, idle: null };
  connections.set(key, connection);
  connecting.catch(() => {
    if (connections.get(key) === connection) connections.delete(key);
  });
  return connection;
}

function leave(connection: Connection): void {
  connection.users -= 1;
  if (connection.users > 0) return;
  connection.idle = setTimeout(() => {
    for (const [key, one] of connections) if (one === connection) connections.delete(key);
    connection.connecting.then(
      (native) => native.release(),
      () => undefined,
    );
  }, idle_milliseconds_max);
  connection.idle.unref();
}

/** Rejects with timeout where the call takes longer; it then goes on by itself, and its outcome is nobody's. */
async function bounded<T>(call: Promise<T>, milliseconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const seconds = milliseconds / 1000;
    timer = setTimeout(
      () => reject(new SkerryError('timeout', `the Gluster volume did not answer within ${seconds} s`)),
      milliseconds,
    );
  });
  try {
    return await Promise.race([call, late]);
  } catch (error) {
    throw fromLibrary(error);
  } finally {
    clearTimeout(timer);
  }
}

/** Beside what the table knows: how the library says that bricks are away. */
const errnoCodes: Readonly<Record<string, ErrorCode>> = { ENOTCONN: 'unavailable', EBADFD: 'unavailable' };

function fromLibrary(error: unknown): SkerryError {
  const name = error instanceof Error && 'code' in error ? String(error.code) : '';
  const code = errnoCodes[name];
  if (code === undefined) return toSkerryError(error);
  return new SkerryError(code, `bricks of the Gluster volume cannot be reached (${name})`, { cause: error });
}

function explained(error: unknown, { hosts, port, volume }: VolumeAddress): unknown {
  if (!isSkerryError(error)) return error;
  const where = `${hosts.join(',')}:${port}`;
  const messages: Partial<Record<ErrorCode, string>> = {
    'not-found': `there is no volume ${volume} on ${where}, or it is not started: see gluster volume info`,
    unavailable: `volume ${volume} cannot be reached by ${where}: see that glusterd runs there and gluster volume status shows bricks online`,
    denied: `${where} refuses volume ${volume} to this host or user: see its options auth.allow and server.allow-insecure`,
    timeout: `${where} did not answer for volume ${volume} in time`,
  };
  const message = messages[error.code];
  return message === undefined ? error : new SkerryError(error.code, message, { cause: error });
}

function nullIfAbsent(error: unknown): null {
  if (isSkerryError(error, 'not-found')) return null;
  throw error;
}
