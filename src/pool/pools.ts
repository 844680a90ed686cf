/**
 * The pools of a daemon: each an opened driver, its place on this host, and, where native threads cannot read its packs
 * themselves, a courier. Which pools there are is the catalog's affair.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { compressionOf } from '../core/compression.js';
import { isSkerryError, SkerryError } from '../core/errors.js';
import { inParallel } from '../core/in_parallel.js';
import { pools_max } from '../core/limits.js';
import { pause } from '../core/pause.js';
import type { Driver } from '../driver/driver.js';
import { shownSettings, type DriverRegistry } from '../driver/registry.js';
import type { NativeEngine, PoolSpec } from '../engine/binding.js';
import type { LogChunkEvent } from '../engine/volume_log.js';
import { Courier, type Errand } from './courier.js';
import { FetchBuffers } from './fetch_buffers.js';
import { readKey, toldSource, type KeySource } from './key_source.js';
import { goneKey, listGone } from './gone_chunk.js';
import { openPool, type Pool, type PoolConfiguration, type PoolOptions } from './pool.js';
import { claimPool, readOwnership, type Owner } from './owner_chunk.js';
import { keepPoolChunk, poolChunkKeys, readPoolChunk, type PoolChunk } from './pool_chunk.js';
import { chunkCipherOf, unwrapSecrets, type ChunkCipher, type PoolSecrets } from './pool_secrets.js';
import { splitSettings } from './pool_settings.js';
import { Turns } from './turns.js';

/** Small enough for a put to hold whole, large enough for a backend of objects. */
const remote_pack_bytes = 16 << 20;
const sector_bytes = 4096;
const ships_in_flight_max = 2;
/** Of all pools together: each holds a pack in memory. */
const ships_in_memory_max = 4;
const fetches_in_flight_max = 16;
/** While the daemon starts, for one pool after the other: it is not waited twice for a backend that is away. */
const answer_milliseconds = 5000;
const away_answer_milliseconds = 100;

/** A PoolRecord of the catalog is one. */
export interface PoolRecordLike extends PoolConfiguration {
  readonly domain: number;
  readonly keyId: number;
  /** None where the pool is encrypted: then it is wrapped. */
  readonly domainKey: Uint8Array;
  readonly createdAt: number;
  readonly compression: string;
  readonly encryption: { readonly wrapped: Uint8Array; readonly source: KeySource } | null;
}

type Log = (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;

export interface PoolsOptions {
  readonly registry: DriverRegistry;
  /** Where the engine keeps what is its own: staged packs, copies, checkpoints. */
  readonly engineDirectory: string;
  readonly stagedBytesMax: number;
  readonly keptBytesMax: number;
  readonly log: Log;
  /** Puts the data directory's path in the place of its mark. */
  readonly placed: (settings: Readonly<Record<string, string>>) => Readonly<Record<string, string>>;
  /** Whose the pools are that others can reach, too: this data directory. Absent: nobody looks. */
  readonly owner?: Owner;
  readonly pool?: Omit<PoolOptions, 'registry' | 'onRetry' | 'giveUp' | 'guard' | 'stallMilliseconds' | 'log'>;
}

type Answers = Pick<NativeEngine, 'completeFetch' | 'completeChange' | 'completeList' | 'volumeLog'>;

interface Opened {
  record: PoolRecordLike;
  readonly pool: Pool;
  readonly spec: PoolSpec;
  readonly secrets: PoolSecrets;
  courier: Courier | null;
  /** Its backend was waited for when it was opened, in vain. */
  away: boolean;
}

export class Pools {
  readonly #options: PoolsOptions;
  readonly #pools = new Map<string, Opened>();
  readonly #shipTurns = new Turns(ships_in_memory_max);
  readonly #fetchBuffers = new FetchBuffers();
  readonly #ending = new AbortController();
  /** Uuids of the pools of which this life has put an owner chunk. */
  readonly #claimed = new Set<string>();
  #engine: Answers | null = null;
  #starting = true;

  constructor(options: PoolsOptions) {
    this.#options = options;
  }

  /** Of errands from here on. Before the engine starts. */
  serve(engine: Answers): void {
    this.#engine = engine;
  }

  /** The engine serves: from here on nobody waits for all pools at once. */
  started(): void {
    this.#starting = false;
  }

  /** The daemon ends: from here on nothing is waited for that has failed once. */
  giveUp(): void {
    this.#ending.abort();
  }

  /**
   * Opens those that are there already, at once; one whose backend is away is no reason to keep others from being served. They stand
   * in the order of the records.
   * @throws SkerryError naming a pool that cannot be opened, denied where its key is missing or another one; those that could stay
   * open until close()
   */
  async openAll(records: readonly PoolRecordLike[]): Promise<void> {
    const opened = new Map<string, Opened>();
    try {
      await inParallel(records, pools_max, async (record) => {
        opened.set(record.name, await this.#open(record, true));
      });
    } finally {
      for (const { name } of records) {
        const one = opened.get(name);
        if (one !== undefined) this.#pools.set(name, one);
      }
    }
    await inParallel(records, pools_max, async ({ name }) => this.#keepIdentityInTime(name));
  }

  /** A backend that does not answer keeps no daemon from serving: it is told, or refused, before anything is put there. */
  async #keepIdentityInTime(name: string): Promise<void> {
    const opened = this.#opened(name);
    if (opened.away) return;
    const keeping = this.keepIdentity(name);
    if (opened.pool.traits.directPath !== undefined) return keeping;
    const answered = new AbortController();
    const late = pause(answer_milliseconds, answered.signal).then(() => {
      opened.away ||= !answered.signal.aborted;
    });
    // What it says later the next put hears, too.
    keeping.catch(() => undefined);
    await Promise.race([keeping, late]).finally(() => answered.abort());
  }

  /** Opens the pool's driver. The engine is told by the caller, with the spec. @throws SkerryError naming the pool */
  async open(record: PoolRecordLike): Promise<PoolSpec> {
    const opened = await this.#open(record, false);
    this.#pools.set(record.name, opened);
    return opened.spec;
  }

  async #open(record: PoolRecordLike, mayBeAway: boolean): Promise<Opened> {
    const { registry, log } = this.#options;
    const { driver: settings, pool: own } = splitSettings(record.settings);
    const secrets = await secretsOf(record);
    const cipher = chunkCipherOf(secrets);
    let pool: Pool;
    let away = false;
    const onAway = (message: string): void => {
      away = true;
      log('error', message);
    };
    try {
      pool = await openPool(
        { ...record, settings: this.#options.placed(settings), cipher },
        {
          ...this.#options.pool,
          registry,
          giveUp: this.#ending.signal,
          onRetry: (message) => log('warn', message),
          stallMilliseconds: own.stallMilliseconds,
          log: (level, message, fields) => log(level, message, { pool: record.name, ...fields }),
          ...(mayBeAway ? { onAway } : {}),
          ...(this.#isShared(record) ? { guard: this.#guardOf(record, cipher) } : {}),
        },
      );
    } catch (error) {
      if (!(error instanceof SkerryError)) throw error;
      throw new SkerryError(error.code, `pool ${record.name}: ${error.message}`, { cause: error });
    }
    if (pool.traits.forgets === true) {
      log(
        'warn',
        `pool ${record.name} FORGETS: its driver ${record.driver} keeps everything in memory, and all of it is lost when this daemon ends`,
        {
          pool: record.name,
        },
      );
    }
    return { record, pool, spec: this.#specOf(record, pool, secrets), secrets, courier: null, away };
  }

  /**
   * The pool says of itself whose it is and what its key is, so that it can be recovered from what is there alone. What cannot be written
   * now is written before anything else is put there, or by the next start.
   * @throws SkerryError conflict where it says that it is another's
   */
  async keepIdentity(name: string): Promise<void> {
    const { record, pool } = this.#opened(name);
    if (pool.traits.forgets === true) return;
    try {
      // Whoever starts waits for it.
      await this.#tellIdentity(pool.hasty, record, pool.cipher);
    } catch (error) {
      if (isSkerryError(error, 'conflict')) throw error;
      this.#options.log('warn', `pool ${name} cannot be told its own name yet`, { pool: name, error: String(error) });
    }
  }

  async #tellIdentity(driver: Driver, record: PoolRecordLike, cipher: ChunkCipher | null): Promise<void> {
    await keepPoolChunk(driver, poolChunkOf(record));
    await this.#claim(driver, record, cipher, {});
  }

  /** Before anything is put: the pool says whose it is, and still says so. */
  #guardOf(opened: PoolRecordLike, cipher: ChunkCipher | null): NonNullable<PoolOptions['guard']> {
    let told = false;
    return async (driver, fresh) => {
      // A change of its key gives it another record.
      if (!told) await this.#tellIdentity(driver, this.#pools.get(opened.name)?.record ?? opened, cipher);
      told = true;
      return this.#claim(driver, opened, cipher, { held: true, fresh });
    };
  }

  /** The number of the owner chunk that says so; 0 where none has to. `fresh`: it is one that this life has put. */
  async #claim(
    driver: Driver,
    record: PoolRecordLike,
    cipher: ChunkCipher | null,
    { held = false, fresh = false },
  ): Promise<number> {
    const { owner } = this.#options;
    if (owner === undefined || !this.#isShared(record)) return 0;
    const uuid = Buffer.from(record.poolUuid).toString('hex');
    const renew = fresh && !this.#claimed.has(uuid);
    const claim = { own: owner, identity: { poolUuid: record.poolUuid, cipher }, now: Date.now(), held, renew };
    try {
      const claimed = await claimPool(driver, claim);
      if (claimed.fresh) this.#claimed.add(uuid);
      return claimed.number;
    } catch (error) {
      if (!isSkerryError(error, 'conflict')) throw error;
      throw new SkerryError('conflict', `pool ${record.name} is not served here: ${error.message}`, { cause: error });
    }
  }

  /** What other hosts or data directories can reach, too: all but what lies in this one. */
  #isShared({ settings }: PoolRecordLike): boolean {
    const placed = this.#options.placed(settings);
    return this.#options.owner !== undefined && Object.entries(settings).every(([key, value]) => placed[key] === value);
  }

  /** A pool that was not made after all leaves nothing at its place that says it was. */
  async forsake(name: string): Promise<void> {
    const { record, pool } = this.#opened(name);
    const { chunk } = await readPoolChunk(pool.hasty);
    if (chunk === null || Buffer.compare(chunk.poolUuid, record.poolUuid) !== 0) return;
    const { keys } = await readOwnership(pool.hasty, { poolUuid: record.poolUuid, cipher: pool.cipher });
    const lists = (await listGone(pool.hasty)).map(goneKey);
    for (const key of [...lists, ...poolChunkKeys, ...keys]) await pool.hasty.remove(key);
  }

  /** @throws SkerryError not-found */
  get(name: string): Pool {
    return this.#opened(name).pool;
  }

  /** Where the roots of a pool's resources are kept. @throws SkerryError not-found */
  of(name: string): Pool {
    return this.get(name);
  }

  has(name: string): boolean {
    return this.#pools.has(name);
  }

  /** Ordered by name. */
  names(): readonly string[] {
    return [...this.#pools.keys()].toSorted();
  }

  /** @throws SkerryError not-found */
  record(name: string): PoolRecordLike {
    return this.#opened(name).record;
  }

  /** The catalog has another record of the pool: it differs in nothing that opening it depends on. */
  renew(record: PoolRecordLike): void {
    this.#opened(record.name).record = record;
  }

  /** Those of a pool that is open. @throws SkerryError not-found */
  secrets(name: string): PoolSecrets {
    return this.#opened(name).secrets;
  }

  specs(): readonly PoolSpec[] {
    return [...this.#pools.values()].map(({ spec }) => spec);
  }

  /** As they may be shown. @throws SkerryError not-found */
  settings(name: string): Readonly<Record<string, string>> {
    const { record } = this.#opened(name);
    return shownSettings(this.#options.registry, record.driver, this.#options.placed(record.settings));
  }

  /** Both lead to the same place, as far as settings tell. */
  sameSettings(a: PoolRecordLike, b: PoolRecordLike): boolean {
    const place = ({ settings }: PoolRecordLike): string =>
      JSON.stringify(
        Object.entries(this.#options.placed(splitSettings(settings).driver)).toSorted(([left], [right]) =>
          left < right ? -1 : 1,
        ),
      );
    return place(a) === place(b);
  }

  /** What an engine asks of a remote pool's backend. */
  take(errand: Errand): void {
    const opened = this.#pools.get(errand.pool);
    if (opened === undefined || this.#engine === null) {
      const failure = { code: 'closed', message: `pool ${errand.pool} is not open` };
      if (errand.type === 'fetch' || errand.type === 'open-gone') this.#engine?.completeFetch(errand.errand, null, failure);
      else if (errand.type === 'list') this.#engine?.completeList(errand.errand, null, failure);
      else this.#engine?.completeChange(errand.errand, failure);
      return;
    }
    opened.courier ??= new Courier({
      chunks: opened.pool.hasty,
      gone: opened.pool.gone,
      engine: this.#engine,
      stallMilliseconds: splitSettings(opened.record.settings).pool.stallMilliseconds,
      listMilliseconds: () => (this.#starting ? (opened.away ? away_answer_milliseconds : answer_milliseconds) : null),
      shipTurns: this.#shipTurns,
      buffers: this.#fetchBuffers,
      log: (level, message, fields) => this.#options.log(level, message, { pool: errand.pool, ...fields }),
    });
    opened.courier.take(errand);
  }

  /** The engine has read what it was given for this errand. */
  fetched(errand: number): void {
    this.#fetchBuffers.returned(errand);
  }

  /** What an engine asks to be put into a pool for one of its volumes. */
  takeLog(chunk: LogChunkEvent): void {
    const failure = { code: 'closed', message: `pool ${chunk.pool} is not open` };
    if (this.#engine === null || !this.#pools.has(chunk.pool)) this.#engine?.completeChange(chunk.errand, failure);
    else this.get(chunk.pool).logs.take(chunk, this.#engine);
  }

  /** Closes it and removes what this host kept for it; the backend keeps its chunks. The engine has let it go before. */
  async remove(name: string): Promise<void> {
    const opened = this.#opened(name);
    this.#pools.delete(name);
    await opened.courier?.close();
    await opened.pool.close();
    rmSync(this.#placeOf(opened.record), { recursive: true, force: true });
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#pools.values()].map(async ({ courier }) => courier?.close()));
    await Promise.allSettled([...this.#pools.values()].map(({ pool }) => pool.close()));
  }

  #opened(name: string): Opened {
    const opened = this.#pools.get(name);
    if (opened === undefined) throw new SkerryError('not-found', `there is no pool ${JSON.stringify(name.slice(0, 60))}`);
    return opened;
  }

  /** By its uuid, so that a pool of the same name never finds what another one left. */
  #placeOf(record: PoolRecordLike): string {
    return placePath(this.#options.engineDirectory, record);
  }

  #specOf(record: PoolRecordLike, pool: Pool, { domainKey, dataKey }: PoolSecrets): PoolSpec {
    const { name, domain, keyId } = record;
    const { directPath, inFlightMax, chunkBytesMax } = pool.traits;
    const place = this.#placeOf(record);
    const directory = join(directPath?.directory ?? place, 'packs');
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const checkpoint = checkpointPath(this.#options.engineDirectory, record);
    mkdirSync(dirname(checkpoint), { recursive: true, mode: 0o700 });
    const compression = compressionOf(record.compression) ?? { codec: 'none' as const, level: 0 };
    const basis = { name, directory, checkpoint, domain, keyId, domainKey, dataKey, compression };
    if (directPath !== undefined) return { ...basis, remote: null };
    return {
      ...basis,
      remote: {
        uuid: record.poolUuid,
        packBytes: Math.min(remote_pack_bytes, chunkBytesMax - (chunkBytesMax % sector_bytes)),
        stagedBytesMax: this.#options.stagedBytesMax,
        keptBytesMax: this.#options.keptBytesMax,
        shipsInFlightMax: Math.min(ships_in_flight_max, inFlightMax),
        fetchesInFlightMax: Math.min(fetches_in_flight_max, inFlightMax),
      },
    };
  }
}

/** @throws SkerryError denied, with words that say what to do */
async function secretsOf({ name, poolUuid, domainKey, encryption }: PoolRecordLike): Promise<PoolSecrets> {
  if (encryption === null) return { domainKey, dataKey: null };
  const { source, wrapped } = encryption;
  const key = await readKey(source).catch((error: unknown) => {
    if (!(error instanceof SkerryError)) throw error;
    throw new SkerryError(
      error.code,
      `pool ${name} is encrypted and stays closed: ${error.message}. Put the key back there, as it was; nothing in the pool is lost meanwhile`,
      { cause: error },
    );
  });
  const unwrapped = unwrapSecrets({ key, poolUuid }, wrapped);
  if (unwrapped !== null) return unwrapped.secrets;
  throw new SkerryError(
    'denied',
    `pool ${name} is encrypted and stays closed: ${toldSource(source)} gives another key than the pool's. Put the right one there; nothing in the pool is lost meanwhile`,
  );
}

function poolChunkOf({ poolUuid, name, domain, keyId, domainKey, createdAt, encryption }: PoolRecordLike): PoolChunk {
  if (encryption === null) return { poolUuid, name, domain, keyId, domainKey, createdAt, wrapped: null };
  return { poolUuid, name: '', domain, keyId, domainKey, createdAt, wrapped: encryption.wrapped };
}

type Placed = Pick<PoolRecordLike, 'domain' | 'poolUuid'>;

/** Of the pool's location index. The first pool there ever was has it where it always was. */
export function checkpointPath(engineDirectory: string, record: Placed): string {
  return join(record.domain === 1 ? engineDirectory : placePath(engineDirectory, record), 'index.checkpoint');
}

export function placePath(engineDirectory: string, { poolUuid }: Placed): string {
  return join(engineDirectory, 'pools', Buffer.from(poolUuid).toString('hex'));
}
