/** The directory of an export over one connection: files by their paths, of which no part begins with a dot but our own. */
import { lookup } from 'node:dns/promises';

import { SkerryError, toSkerryError } from '../../src/core/errors.js';
import { errnoName, newConnection, type Attributes, type Connection, type Handle, type Page } from './connection.js';
import type { Location } from './location.js';

const mount_program = 100_005;
const nfs_program = 100_003;
/** Remote calls at once for one file, so that one answer is on its way while the next is made. */
const pieces_in_flight_max = 2;
/** Beyond these all are looked up anew. */
const directories_known_max = 65_536;

export interface Found {
  readonly handle: Handle;
  readonly attributes: Attributes;
}

export interface Limits {
  readonly readBytesMax: number;
  readonly writeBytesMax: number;
}

export class MountedExport {
  readonly #connection: Connection;
  readonly #root: Handle;
  readonly #limits: Limits;
  readonly #directories = new Map<string, Handle>();

  constructor(connection: Connection, root: Handle, limits: Limits) {
    this.#connection = connection;
    this.#root = root;
    this.#limits = limits;
  }

  /** @throws SkerryError that tells which step failed and what may help */
  static async connect(location: Location, timeoutMilliseconds: number): Promise<MountedExport> {
    const { host, path } = location;
    const { address } = await lookup(host).catch((error: unknown) => {
      throw new SkerryError('unavailable', `host ${host} of the url cannot be found`, { cause: error });
    });
    const mounting = await connected('mount', location, address, timeoutMilliseconds, (made) => made.mount(path));
    mounting.connection.close();
    const root = mounting.result;
    const { result, connection } = await connected('nfs', location, address, timeoutMilliseconds, (made) => made.limits(root));
    return new MountedExport(connection, root, result);
  }

  /** null where there is no such file. */
  async find(path: string): Promise<Found | null> {
    const { directory, name } = split(path);
    const handle = await this.#directory(directory);
    if (handle === null) return null;
    const found = await this.#lookup(handle, name);
    return found?.attributes.kind === 'file' ? found : null;
  }

  /** Bytes read into `into` from `offset`, fewer only at the end. */
  async read(file: Found, offset: number, into: Uint8Array): Promise<number> {
    const bytes = Math.max(0, Math.min(into.length, file.attributes.bytes - offset));
    await inPieces(bytes, this.#limits.readBytesMax, async (begin, end) => {
      for (let at = begin; at < end; ) {
        const read = await this.#connection.read(file.handle, offset + at, into.subarray(at, end));
        if (read === 0) throw new SkerryError('io', 'the file ends before where the server said');
        at += read;
      }
    });
    return bytes;
  }

  /** A new file, whose content is on stable storage once this resolves. Its directory is made where absent. */
  async write(path: string, data: Uint8Array): Promise<void> {
    const { directory, name } = split(path);
    const inside = await this.makeDirectory(directory);
    await this.#connection.create(inside, name);
    const { handle } = await this.#connection.lookup(inside, name);
    // Each start of a server has a verifier of its own. What one start took and the next was asked to commit may be lost.
    const verifiers = new Set<bigint>();
    await inPieces(data.length, this.#limits.writeBytesMax, async (begin, end) => {
      for (let at = begin; at < end; ) {
        const written = await this.#connection.write(handle, at, data.subarray(at, end));
        if (!written.stable) verifiers.add(written.verifier);
        at += written.bytes;
      }
    });
    if (verifiers.size > 0) verifiers.add(await this.#connection.commit(handle));
    if (verifiers.size > 1) throw new SkerryError('io', 'the server started anew meanwhile and may have lost a part');
  }

  /** Its bytes are on stable storage, whoever wrote them. */
  async commit(file: Found): Promise<void> {
    await this.#connection.commit(file.handle);
  }

  /** Atomically, in place of a file that is there already. The directory is made where absent. */
  async rename(path: string, toPath: string): Promise<void> {
    const from = split(path);
    const to = split(toPath);
    const fromDirectory = await this.makeDirectory(from.directory);
    await this.#connection.rename(fromDirectory, from.name, await this.makeDirectory(to.directory), to.name);
  }

  /** False where there was no such file. */
  async remove(path: string): Promise<boolean> {
    const { directory, name } = split(path);
    const handle = await this.#directory(directory);
    if (handle === null) return false;
    return (await this.#connection.remove(handle, name).then(() => true, nullIfAbsent)) ?? false;
  }

  /** The directory and its parents, where absent. */
  async makeDirectory(path: string): Promise<Handle> {
    const known = await this.#directory(path);
    if (known !== null) return known;
    const { directory, name } = split(path);
    const parent = await this.makeDirectory(directory);
    await this.#connection.makeDirectory(parent, name).catch((error: unknown) => {
      if (errnoName(error) !== 'EEXIST') throw error;
    });
    const made = await this.#directory(path);
    if (made === null) throw new SkerryError('invalid', `${path} is there, and is no directory`);
    return made;
  }

  /** The first page after none, else the one behind `after`; null where there is no such directory. */
  async page(path: string, after: Page | null): Promise<Page | null> {
    const handle = await this.#directory(path);
    if (handle === null) return null;
    return this.#connection.list(handle, after?.cookie ?? 0n, after?.verifier ?? 0n).catch(nullIfAbsent);
  }

  /** Directories are looked up anew from here on. */
  forget(): void {
    this.#directories.clear();
  }

  close(): void {
    this.#connection.close();
  }

  /** null where there is no such directory. */
  async #directory(path: string): Promise<Handle | null> {
    if (path === '') return this.#root;
    const known = this.#directories.get(path);
    if (known !== undefined) return known;
    const { directory, name } = split(path);
    const parent = await this.#directory(directory);
    const found = parent === null ? null : await this.#lookup(parent, name);
    if (found?.attributes.kind !== 'directory') return null;
    if (this.#directories.size >= directories_known_max) this.#directories.clear();
    this.#directories.set(path, found.handle);
    return found.handle;
  }

  async #lookup(directory: Handle, name: string): Promise<Found | null> {
    const found = await this.#connection.lookup(directory, name).catch(nullIfAbsent);
    if (found === null) return null;
    return { handle: found.handle, attributes: found.attributes ?? (await this.#connection.attributes(found.handle)) };
  }
}

/** A new connection to one service of the server, over which `first` succeeded. */
async function connected<T>(
  service: 'mount' | 'nfs',
  { host, path, mountPort, nfsPort, uid, gid }: Location,
  address: string,
  timeoutMilliseconds: number,
  first: (connection: Connection) => Promise<T>,
): Promise<{ readonly result: T; readonly connection: Connection }> {
  const [program, port] = service === 'mount' ? [mount_program, mountPort] : [nfs_program, nfsPort];
  const connection = newConnection({ uid, gid }, timeoutMilliseconds);
  let doing = `the ${service} service of ${host}, ${port === null ? `found through its portmapper` : `port ${port}`}, cannot be reached (is the server up, and ${service}port= of the url right?)`;
  try {
    await connection.connect(address, port ?? 0, program);
    doing = `${host} does not let this host mount ${path} (is that a directory there, and exported to this host and user?)`;
    return { result: await first(connection), connection };
  } catch (error) {
    connection.close();
    throw toSkerryError(error, doing);
  }
}

/** Runs `piece` for each part of so many bytes, a few at once. Settles when none is under way any more. */
async function inPieces(bytes: number, pieceBytes: number, piece: (begin: number, end: number) => Promise<void>): Promise<void> {
  let next = 0;
  const oneAfterTheOther = async (): Promise<void> => {
    while (next < bytes) {
      const begin = next;
      next = Math.min(bytes, begin + pieceBytes);
      try {
        await piece(begin, next);
      } catch (error) {
        next = bytes;
        throw error;
      }
    }
  };
  const settled = await Promise.allSettled(Array.from({ length: pieces_in_flight_max }, oneAfterTheOther));
  for (const one of settled) if (one.status === 'rejected') throw one.reason;
}

function split(path: string): { readonly directory: string; readonly name: string } {
  const slash = path.lastIndexOf('/');
  return { directory: path.slice(0, Math.max(0, slash)), name: path.slice(slash + 1) };
}

/** null for an error that says there is no such file or directory; any other is thrown on. */
function nullIfAbsent(error: unknown): null {
  if (['ENOENT', 'ENOTDIR'].includes(errnoName(error))) return null;
  throw error;
}
