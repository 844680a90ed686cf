/**
 * The embedded catalog: LMDB under `DIRECTORY/catalog`, one process at a time. A value is kept behind its revision, which
 * is the number of the commit that wrote it; the number of the last commit is part of the same transaction.
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

import { open, type Database, type RootDatabase } from 'lmdb';

import { isSkerryError, SkerryError } from '../core/errors.js';
import { Roster } from '../core/roster.js';
import type {
  Catalog,
  CatalogChange,
  CatalogEntry,
  Compare,
  Lease,
  LeaseOutcome,
  RangeOptions,
  TransactOutcome,
  Write,
} from './catalog.js';
import { lockDirectory, type DirectoryLock } from './directory_lock.js';
import { KeptEntries } from './kept_entries.js';

const format_version = 1;
/** LMDB's own bound is 1978 bytes. An object's key of 1024 bytes has 1366 characters here (object_keys.ts). */
const key_characters_max = 1536;
const value_bytes_max = 1 << 20;
/** A volume that is renamed takes its snapshots with it: three writes each, all in one transaction. */
const writes_per_transaction_max = 32_768;
const watch_changes_max = 65_536;
const revision_bytes = 8;

/** A page header of 24 bytes, then the mark of a meta page; there are two such pages. */
const lmdb_header_bytes = 8192;
const lmdb_magic_offset = 24;
const lmdb_magic = 0xbeefc0de;

const formatKey = 'format';
const revisionKey = 'revision';

/** What lmdb says went wrong in a commit: its error only points to a promise that is rejected with that. */
async function commitFailure(thrown: unknown): Promise<unknown> {
  if (!(thrown instanceof Error) || !('commitError' in thrown)) return thrown;
  try {
    await thrown.commitError;
    return thrown;
  } catch (cause) {
    return cause;
  }
}

/** A value behind room for its revision; null: it is removed. */
interface PackedWrite {
  readonly key: string;
  readonly packed: Buffer | null;
}

interface Watcher {
  readonly prefix: string;
  push(change: CatalogChange): void;
  end(error: SkerryError | null): void;
}

/**
 * Opens the catalog of a data directory, made where absent, and locks that directory for this process.
 * @throws SkerryError conflict naming the pid of the daemon that has it; corrupt; unsupported where a newer Skerry made it.
 */
export async function openLmdbCatalog(options: { readonly directory: string }): Promise<Catalog> {
  const lock = lockDirectory(options.directory);
  const path = join(options.directory, 'catalog');
  let environment: RootDatabase<Buffer, string> | undefined;
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    checkHeader(join(path, 'data.mdb'));
    environment = open<Buffer, string>({
      path,
      encoding: 'binary',
      cache: false,
      maxDbs: 4,
      // Overlapped syncs report their failure to nobody; so a commit here ends with its own sync, and fails with it.
      overlappingSync: false,
      // It commits by a promise of its own, which nobody can hear: where a commit fails, that would end the process. What is asked
      // for in one turn goes into one transaction all the same.
      eventTurnBatching: false,
    });
    const catalog = new LmdbCatalog(environment, lock);
    await catalog.prepare();
    // LMDB syncs its file, but not the directories that were perhaps just made to hold it.
    for (const directory of [path, options.directory, dirname(resolve(options.directory))]) syncDirectory(directory);
    return catalog;
  } catch (error) {
    await environment?.close();
    lock.release();
    if (isSkerryError(error)) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new SkerryError(
      /corrupt|invalid|not an? (?:lmdb|mdb)|version/i.test(message) ? 'corrupt' : 'io',
      `the catalog in ${path} cannot be opened: ${message}`,
      {
        cause: error,
      },
    );
  }
}

/** LMDB's binding does not survive opening what is no LMDB file, so that is refused before. @throws SkerryError corrupt */
function checkHeader(path: string): void {
  if (!existsSync(path)) return;
  const header = Buffer.alloc(lmdb_header_bytes);
  const descriptor = openSync(path, 'r');
  try {
    const bytes = readSync(descriptor, header, 0, header.length, 0);
    // A file of no bytes is one that a crash kept from becoming more: LMDB begins it.
    if (bytes === 0) return;
    if (bytes === header.length && header.readUInt32LE(lmdb_magic_offset) === lmdb_magic) return;
  } finally {
    closeSync(descriptor);
  }
  throw new SkerryError('corrupt', `${path} is no catalog, or its beginning was overwritten: put a copy of it back`);
}

function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

class LmdbCatalog implements Catalog {
  readonly #environment: RootDatabase<Buffer, string>;
  readonly #entries: Database<Buffer, string>;
  readonly #meta: Database<Buffer, string>;
  readonly #lock: DirectoryLock;
  readonly #kept = new KeptEntries();
  readonly #watchers = new Set<Watcher>();
  readonly #holders = new Map<string, string>();
  readonly #underWay = new Roster<Promise<unknown>>();
  /** Of the last commit that was begun. Nobody else writes this catalog, so it is read once. */
  #revision = 0;
  #closing: Promise<void> | null = null;

  constructor(environment: RootDatabase<Buffer, string>, lock: DirectoryLock) {
    this.#environment = environment;
    this.#lock = lock;
    this.#entries = environment.openDB<Buffer, string>({ name: 'entries', encoding: 'binary', cache: false });
    this.#meta = environment.openDB<Buffer, string>({ name: 'meta', encoding: 'binary', cache: false });
  }

  /** Writes or checks the version of the format, and finds where the last life ended. */
  async prepare(): Promise<void> {
    const last = this.#meta.get(revisionKey);
    this.#revision = last === undefined ? 0 : unpackNumber(last);
    const found = this.#meta.get(formatKey);
    if (found === undefined) {
      await this.#commit(() => this.#meta.putSync(formatKey, packNumber(format_version)));
      return;
    }
    const version = unpackNumber(found);
    if (version !== format_version) {
      throw new SkerryError(
        'unsupported',
        `the catalog has format ${version}, and this Skerry reads format ${format_version}: start the Skerry that wrote it, or a newer one`,
      );
    }
  }

  async get(key: string): Promise<CatalogEntry | null> {
    this.#refuseIfClosed();
    return this.#kept.get(checkKey(key), this.#read);
  }

  kept(key: string): CatalogEntry | null | undefined {
    // get() says what is wrong.
    return this.#closing === null ? this.#kept.known(key) : undefined;
  }

  async range(prefix: string, options: RangeOptions = {}): Promise<readonly CatalogEntry[]> {
    this.#refuseIfClosed();
    if (prefix !== '') checkKey(prefix);
    const after = options.after ?? '';
    // LMDB takes nothing longer to begin at; no key is as long as what is left, so the same ones come after it.
    const start = (after > prefix ? after : prefix).slice(0, key_characters_max + 1);
    const found: CatalogEntry[] = [];
    const entriesMax = options.entriesMax ?? Number.POSITIVE_INFINITY;
    if (entriesMax <= 0) return found;
    // A read transaction of LMDB sees one commit, however many keys it walks.
    const scan = start === '' ? this.#entries.getRange({ snapshot: true }) : this.#entries.getRange({ start, snapshot: true });
    for (const { key, value } of scan) {
      if (!key.startsWith(prefix)) break;
      if (key === after) continue;
      found.push(unpackEntry(key, value));
      if (found.length >= entriesMax) break;
    }
    return found;
  }

  async transact(compares: readonly Compare[], writes: readonly Write[]): Promise<TransactOutcome> {
    this.#refuseIfClosed();
    for (const { key } of compares) checkKey(key);
    if (writes.length > writes_per_transaction_max) {
      throw new SkerryError(
        'too-large',
        `a transaction of the catalog has at most ${writes_per_transaction_max} writes, not ${writes.length}`,
      );
    }
    const keys = new Set<string>();
    for (const { key, value } of writes) {
      checkKey(key);
      if (keys.has(key)) throw new SkerryError('invalid', `a transaction of the catalog writes ${key} twice`);
      keys.add(key);
      if (value !== null && value.length > value_bytes_max) {
        throw new SkerryError(
          'too-large',
          `${key} of the catalog would have ${value.length} bytes, at most ${value_bytes_max} are allowed`,
        );
      }
    }
    // The caller may go on using its buffers as soon as it waits.
    const copies = writes.map(({ key, value }) => ({ key, packed: value === null ? null : packedValue(value) }));
    return this.#track(this.#transact(compares, copies));
  }

  async #transact(compares: readonly Compare[], writes: readonly PackedWrite[]): Promise<TransactOutcome> {
    const keys = writes.map(({ key }) => key);
    this.#kept.begin(keys);
    const outcome = await this.#committed(compares, writes).finally(() => this.#kept.end(keys));
    if (outcome.outcome === 'committed')
      for (const watcher of this.#watchers) {
        const seen = writes.filter(({ key }) => key.startsWith(watcher.prefix)).map(plainWrite);
        if (seen.length > 0) watcher.push({ revision: outcome.revision, writes: seen });
      }
    return outcome;
  }

  #committed(compares: readonly Compare[], writes: readonly PackedWrite[]): Promise<TransactOutcome> {
    return this.#commit((): TransactOutcome => {
      for (const { key, revision } of compares) {
        const found = this.#revisionOf(key);
        if (found !== revision) return { outcome: 'conflict', key, revision: found };
      }
      const revision = this.#nextRevision();
      for (const { key, packed } of writes) {
        if (packed === null) {
          this.#entries.removeSync(key);
          continue;
        }
        writeNumber(packed, revision);
        this.#entries.putSync(key, packed);
      }
      return { outcome: 'committed', revision };
    });
  }

  watch(prefix: string, signal?: AbortSignal): AsyncIterable<CatalogChange> {
    this.#refuseIfClosed();
    const queue: CatalogChange[] = [];
    let ended = false;
    const failures: SkerryError[] = [];
    let wake: (() => void) | null = null;
    const watcher: Watcher = {
      prefix,
      push(change) {
        if (ended) return;
        if (queue.length >= watch_changes_max) {
          watcher.end(
            new SkerryError(
              'try-again',
              `a watcher of ${prefix} in the catalog fell ${watch_changes_max} changes behind: read the range again`,
            ),
          );
          return;
        }
        queue.push(change);
        wake?.();
      },
      end: (error) => {
        if (ended) return;
        ended = true;
        if (error !== null) failures.push(error);
        this.#watchers.delete(watcher);
        wake?.();
      },
    };
    const stop = (): void => watcher.end(null);
    this.#watchers.add(watcher);
    if (signal?.aborted === true) stop();
    signal?.addEventListener('abort', stop, { once: true });
    return (async function* changes(): AsyncGenerator<CatalogChange> {
      try {
        for (;;) {
          const next = queue.shift();
          if (next !== undefined) yield next;
          else if (ended) {
            const [failure] = failures;
            if (failure !== undefined) throw failure;
            return;
          } else {
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
            wake = null;
          }
        }
      } finally {
        signal?.removeEventListener('abort', stop);
        stop();
      }
    })();
  }

  async lease(key: string, holder: string): Promise<LeaseOutcome> {
    this.#refuseIfClosed();
    checkKey(key);
    const fenceKey = `fence/${key}`;
    const current = this.#holders.get(key);
    if (current !== undefined) {
      const found = this.#meta.get(fenceKey);
      return { outcome: 'held', holder: current, fence: found === undefined ? 0 : unpackNumber(found) };
    }
    // Taken before the commit, so that of two calls in one turn one is refused.
    this.#holders.set(key, holder);
    try {
      const fence = await this.#track(
        this.#commit(() => {
          const found = this.#meta.get(fenceKey);
          const next = (found === undefined ? 0 : unpackNumber(found)) + 1;
          this.#meta.putSync(fenceKey, packNumber(next));
          return next;
        }),
      );
      let held = true;
      const lease: Lease = {
        key,
        fence,
        release: async () => {
          if (held) this.#holders.delete(key);
          held = false;
        },
      };
      return { outcome: 'granted', lease };
    } catch (error) {
      this.#holders.delete(key);
      throw error;
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#underWay);
    for (const watcher of this.#watchers) watcher.end(null);
    await this.#environment.close();
    this.#lock.release();
  }

  /** Runs `work` in one write transaction; resolves once that is synced. `work` must not throw after its first write. */
  async #commit<T>(work: () => T): Promise<T> {
    try {
      return await this.#environment.transaction(work);
    } catch (thrown) {
      if (isSkerryError(thrown)) throw thrown;
      const error = await commitFailure(thrown);
      const message = error instanceof Error ? error.message : String(error);
      if (/no space|ENOSPC|MDB_MAP_FULL|disk quota/i.test(message)) {
        throw new SkerryError('no-space', `the catalog cannot be written: ${message}`, { cause: error });
      }
      throw new SkerryError('io', `the catalog cannot be written: ${message}`, { cause: error });
    }
  }

  /** Whatever becomes of the commit: one that fails leaves a number out. */
  #nextRevision(): number {
    this.#revision += 1;
    this.#meta.putSync(revisionKey, packNumber(this.#revision));
    return this.#revision;
  }

  /** 0: there is no such key. Asked within a transaction, of which KeptEntries has nothing that it or one before it writes. */
  #revisionOf(key: string): number {
    const kept = this.#kept.known(key);
    if (kept !== undefined) return kept?.revision ?? 0;
    const found = this.#entries.getBinaryFast(key);
    return found === undefined ? 0 : revisionOf(key, found);
  }

  readonly #read = (key: string): CatalogEntry | null => {
    // In memory that the next read has as well: unpackEntry copies it.
    const found = this.#entries.getBinaryFast(key);
    return found === undefined ? null : unpackEntry(key, found);
  };

  #track<T>(work: Promise<T>): Promise<T> {
    const done = this.#underWay.add(work);
    work.then(done, done);
    return work;
  }

  #refuseIfClosed(): void {
    if (this.#closing !== null) throw new SkerryError('closed', 'the catalog is closed');
  }
}

/** Keys are printable ASCII, so that their order as bytes, as strings and in LMDB is the same. */
function checkKey(key: string): string {
  if (key === '' || key.length > key_characters_max || !/^[!-~]+$/.test(key)) {
    throw new SkerryError(
      'invalid',
      `${JSON.stringify(key.slice(0, 80))} is no key of the catalog: 1 to ${key_characters_max} printable characters without spaces`,
    );
  }
  return key;
}

/** A copy, with room for the revision before it. */
function packedValue(value: Uint8Array): Buffer {
  const packed = Buffer.allocUnsafe(revision_bytes + value.length);
  packed.set(value, revision_bytes);
  return packed;
}

function plainWrite({ key, packed }: PackedWrite): Write {
  return { key, value: packed === null ? null : Uint8Array.from(packed.subarray(revision_bytes)) };
}

function revisionOf(key: string, packed: Buffer): number {
  if (packed.length < revision_bytes) throw new SkerryError('corrupt', `${key} of the catalog is too short to have a revision`);
  return readNumber(packed);
}

function unpackEntry(key: string, packed: Buffer): CatalogEntry {
  // LMDB lends memory of its map: what is handed on is a copy.
  return {
    key,
    revision: revisionOf(key, packed),
    value: new Uint8Array(packed.buffer, packed.byteOffset + revision_bytes, packed.length - revision_bytes).slice(),
  };
}

function packNumber(value: number): Buffer {
  const packed = Buffer.allocUnsafe(8);
  writeNumber(packed, value);
  return packed;
}

/** Into the first eight bytes. */
function writeNumber(packed: Buffer, value: number): void {
  packed.writeUInt32LE(value % 2 ** 32, 0);
  packed.writeUInt32LE(Math.floor(value / 2 ** 32), 4);
}

function unpackNumber(packed: Buffer): number {
  if (packed.length !== 8) throw new SkerryError('corrupt', 'a number of the catalog cannot be read');
  return readNumber(packed);
}

/** Of the first eight bytes. */
function readNumber(packed: Buffer): number {
  const value = packed.readUInt32LE(0) + packed.readUInt32LE(4) * 2 ** 32;
  if (!Number.isSafeInteger(value)) throw new SkerryError('corrupt', 'a number of the catalog cannot be read');
  return value;
}
