/**
 * A configured, named place for chunks: its driver under its filters, the roots that it keeps of every resource, and how it
 * fares. Nothing above it knows which driver it talks to.
 */
import { SkerryError } from '../core/errors.js';
import { log_chunk_bytes_max } from '../core/limits.js';
import { chunkKey, type ChunkKey, type Driver, type DriverTraits } from '../driver/driver.js';
import { waiting_calls_max, withLimit } from '../driver/limit.js';
import { openDriver, openDriverOrAway, type DriverRegistry } from '../driver/registry.js';
import { briefRetry, retryDefaults, withRetry, type RetryOptions } from '../driver/retry.js';
import { withTrace, type TraceEvent } from '../driver/trace.js';
import { GoneKeeper } from './gone_keeper.js';
import { withGuard } from './guarded.js';
import { PoolHealth, type HealthReport } from './health.js';
import { LogKeeper, type LogKeeperOptions, type Outage } from './log_keeper.js';
import type { ChunkCipher } from './pool_secrets.js';
import {
  decodeRootChunk,
  decodeTombstone,
  encodeRootChunk,
  encodeTombstone,
  parseRootChunkKey,
  rootChunkKey,
  rootChunksPrefix,
  tombstoneKey,
  type RootChunk,
  type Tombstone,
} from './root_chunk.js';
import { readSmallChunk } from './small_chunk.js';

/** Superseded root chunks of a resource are removed but for this many: one whose put is not known elsewhere yet, and one before. */
export const root_chunks_kept = 3;

/** What a pool is made of; a PoolRecord of the catalog is one. */
export interface PoolConfiguration {
  readonly name: string;
  readonly driver: string;
  readonly settings: Readonly<Record<string, string>>;
  /** 16 bytes. */
  readonly poolUuid: Uint8Array;
  /** Of an encrypted pool. */
  readonly cipher?: ChunkCipher | null;
}

export interface PoolOptions {
  readonly registry: DriverRegistry;
  readonly retry?: RetryOptions;
  /** Told of every call to the backend, once it has ended for good. */
  readonly onCall?: (event: TraceEvent) => void;
  /** Where given, a backend that cannot be reached is looked for again at each call, and this is told why it cannot be. */
  readonly onAway?: (message: string) => void;
  /** From then on nothing is tried again. */
  readonly giveUp?: AbortSignal;
  /** How long flushes that reach the pool wait for a backend that is away before they fail; absent: not at all. */
  readonly stallMilliseconds?: number;
  readonly log?: LogKeeperOptions['log'];
  /** Told of failures that are tried again, the more seldom the longer they go on. */
  readonly onRetry?: (message: string) => void;
  /**
   * Of a pool that other hosts can reach: looks, through the driver it is given, whose the pool is, before anything is put there and from
   * time to time. The number of the owner chunk that says that it is ours: `fresh`, one that was put in this life.
   * @throws SkerryError conflict where it is another's
   */
  readonly guard?: (driver: Driver, fresh: boolean) => Promise<number>;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** A root to be kept; what the pool knows itself is left out. */
export type RootToPut = Omit<RootChunk, 'poolUuid' | 'number' | 'writtenAt'>;
export type TombstoneToPut = Omit<Tombstone, 'poolUuid' | 'deletedAt'>;

/** @throws SkerryError invalid for a driver or settings that there are not, else what the driver's open throws. */
export async function openPool(configuration: PoolConfiguration, options: PoolOptions): Promise<Pool> {
  const { registry, onAway } = options;
  const { name, driver: kind, settings } = configuration;
  const driver =
    onAway === undefined
      ? await openDriver(registry, kind, settings)
      : await openDriverOrAway(registry, kind, settings, (failure) =>
          onAway(`pool ${name} is away and is looked for again until it is back: ${failure.message}`),
        );
  return new Pool(configuration, driver, options);
}

export class Pool {
  readonly name: string;
  readonly poolUuid: Uint8Array;
  /** Of its small chunks; null where it is not encrypted. */
  readonly cipher: ChunkCipher | null;
  readonly #driver: Driver;
  /** The driver under its filters, for those who ask again by themselves: it gives up a backend that is away after two seconds. */
  readonly hasty: Driver;
  /** The logs of volumes whose flushes reach the pool. */
  readonly logs: LogKeeper;
  /** The list of packs that are gone from it. */
  readonly gone: GoneKeeper;
  readonly #health = new PoolHealth();
  readonly #now: () => number;
  readonly #rootChains = new Map<number, RootChain>();

  /** Takes the driver over: close() closes it. */
  constructor(configuration: PoolConfiguration, driver: Driver, options: Omit<PoolOptions, 'registry'> = {}) {
    this.name = configuration.name;
    this.poolUuid = configuration.poolUuid;
    this.cipher = configuration.cipher ?? null;
    this.#now = options.now ?? Date.now;
    const { giveUp } = options;
    const onRetry: RetryOptions['onRetry'] = (operation, error, attempt) => {
      // The first, second, fourth, eighth: an outage is no reason to fill a log.
      if ((attempt & (attempt - 1)) !== 0) return;
      options.onRetry?.(
        `pool ${this.name}: ${operation.verb} of ${operation.key} failed (attempt ${attempt}), trying again: ${error.message}`,
      );
    };
    // A pause between two attempts holds no place among those in flight, so retry is around limit.
    const unguarded = withLimit(driver, { inFlightMax: driver.traits.inFlightMax, waitingMax: waiting_calls_max });
    const { guard } = options;
    // Each attempt by itself: one that was made in vain may be made again by a daemon that was cut off meanwhile.
    const limited =
      guard === undefined ? unguarded : withGuard(unguarded, { check: async () => void (await guard(unguarded, false)) });
    const retried = (inner: Driver, retry: RetryOptions): Driver =>
      withRetry(inner, { ...retry, ...(giveUp === undefined ? {} : { giveUp }), onRetry });
    const filtered = (retry: RetryOptions): Driver =>
      withTrace(retried(limited, retry), (event) => {
        this.#health.observe(event, this.#now());
        options.onCall?.(event);
      });
    this.#driver = filtered(options.retry ?? retryDefaults);
    this.hasty = filtered(options.retry ?? briefRetry);
    this.logs = new LogKeeper({
      poolUuid: this.poolUuid,
      cipher: this.cipher,
      hasty: this.hasty,
      chunks: this.#driver,
      stallMilliseconds: options.stallMilliseconds ?? 0,
      outage: () => this.#outage(),
      log: options.log ?? (() => {}),
    });
    const looked = retried(unguarded, options.retry ?? briefRetry);
    this.gone = new GoneKeeper({
      identity: { poolUuid: this.poolUuid, cipher: this.cipher },
      chunks: this.hasty,
      look: async (fresh) => (guard === undefined ? 0 : guard(looked, fresh)),
    });
  }

  get traits(): DriverTraits {
    return this.#driver.traits;
  }

  /** The driver under its filters, for those who carry chunks of their own. */
  get chunks(): Driver {
    return this.#driver;
  }

  /**
   * Keeps the root durably: once this resolves, the pool alone tells of it. Calls for one resource take effect in order.
   * A call that rejects may have been kept or not; the next one supersedes it either way.
   * @throws SkerryError of the driver
   */
  async putRoot(root: RootToPut): Promise<ChunkKey> {
    return this.#chainOf(root.id).run(async (chain) => {
      chain.keys ??= await this.#rootKeys(root.id);
      const known = Math.max(chain.numberMax, ...chain.keys.map((one) => one.number));
      // A list may not show the newest, late as it is, or because the life before still has it on its way: no chunk goes over another.
      const number = Math.max(known + 1, this.#now());
      const key = rootChunkKey(root.id, root.fence, number);
      const data = encodeRootChunk({ ...root, poolUuid: this.poolUuid, number, writtenAt: this.#now() }, this.cipher);
      // Taken even where the put fails: it may have arrived, and other bytes must not go under its key.
      chain.numberMax = number;
      await this.#driver.put(key, data);
      chain.keys.push({ key, fence: root.fence, number });
      chain.keys.sort(byAge);
      // After this call, and before the next of this resource: who waits for a root does not wait for older ones to go.
      if (chain.keys.length > root_chunks_kept) void chain.run((later) => this.#removeSuperseded(later));
      return key;
    });
  }

  /** Resolves once the root chunks that were superseded so far are gone, or could not be removed. */
  async rootsSettled(id: number): Promise<void> {
    await this.#chainOf(id).idle();
  }

  /** Root chunks of the resource that can be read, the newest first; those that cannot are in `damaged`. */
  async readRoots(id: number): Promise<{ readonly roots: readonly RootChunk[]; readonly damaged: readonly string[] }> {
    const roots: RootChunk[] = [];
    const damaged: string[] = [];
    for (const { key } of (await this.#rootKeys(id)).reverse()) {
      const data = await readSmallChunk(this.#driver, key);
      if (data === null) continue;
      try {
        const root = decodeRootChunk(data, this.cipher);
        if (root.id === id && Buffer.compare(root.poolUuid, this.poolUuid) === 0) roots.push(root);
        else damaged.push(`${key}: it is of another resource or pool`);
      } catch (error) {
        damaged.push(`${key}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    return { roots, damaged };
  }

  /**
   * Marks the resource as gone, durably, then lets its root chunks go. Idempotent.
   * @throws SkerryError of the driver
   */
  async putTombstone(tombstone: TombstoneToPut): Promise<ChunkKey> {
    const key = tombstoneKey(tombstone.id);
    return this.#chainOf(tombstone.id).run(async (chain) => {
      // The time in it differs from call to call, so one that is there stays.
      if ((await this.#driver.stat(key)) === null) {
        await this.#driver.put(
          key,
          encodeTombstone({ ...tombstone, poolUuid: this.poolUuid, deletedAt: this.#now() }, this.cipher),
        );
      }
      for (const root of await this.#rootKeys(tombstone.id)) await this.#driver.remove(root.key).catch(ignoreForNow);
      chain.keys = [];
      this.#rootChains.delete(tombstone.id);
      return key;
    });
  }

  /** Lets all root chunks of a resource go that is another pool's now; it may come back. @throws SkerryError of the driver */
  async forgetRoots(id: number): Promise<void> {
    await this.#chainOf(id).run(async (chain) => {
      for (const root of await this.#rootKeys(id)) await this.#driver.remove(root.key);
      // A list that is late may show them yet: the next number stays above theirs.
      chain.keys = [];
    });
  }

  /** @throws SkerryError unsupported where the backend does not take chunks as large as those of a log */
  mustTakeLogs(): void {
    const { chunkBytesMax } = this.traits;
    if (chunkBytesMax >= log_chunk_bytes_max) return;
    throw new SkerryError(
      'unsupported',
      `pool ${this.name} can hold no volume with durability pool: its backend takes ${chunkBytesMax} bytes at once, and a log needs ${log_chunk_bytes_max}. Make the volume with --durability local, or let the backend take more`,
    );
  }

  /** Nothing of the volume's log is put until the answer is called. */
  holdLog(id: number): () => void {
    return this.logs.hold(id);
  }

  /** Removes what there is of the volume's log. Idempotent. @throws SkerryError of the driver */
  async forgetLog(id: number): Promise<void> {
    await this.logs.forget(id);
  }

  /** null where the resource has none. @throws SkerryError corrupt where it cannot be read */
  async readTombstone(id: number): Promise<Tombstone | null> {
    const data = await readSmallChunk(this.#driver, tombstoneKey(id));
    return data === null ? null : decodeTombstone(data, this.cipher);
  }

  /** How the backend has answered of late; asks it nothing. */
  health(): HealthReport {
    return this.#health.report();
  }

  /** Asks the backend for a chunk that is not there. @throws SkerryError where it does not answer */
  async check(): Promise<HealthReport> {
    await this.#driver.stat(chunkKey('health/probe'));
    return this.#health.report();
  }

  /** Gives up what waits to be tried again: the next start does it. Waits for what is under way. */
  async close(): Promise<void> {
    await this.logs.close();
    await Promise.all([this.#driver.close(), this.hasty.close()]);
    await Promise.allSettled([...this.#rootChains.values()].map((chain) => chain.idle()));
  }

  #outage(): Outage | null {
    const { failingSince, lastFailure } = this.#health.report();
    return failingSince === null ? null : { milliseconds: this.#now() - failingSince, why: lastFailure?.message ?? '' };
  }

  /** Oldest first. */
  async #rootKeys(id: number): Promise<RootKey[]> {
    const found: RootKey[] = [];
    for await (const { key } of this.#driver.list(rootChunksPrefix(id))) {
      const parsed = parseRootChunkKey(key);
      if (parsed !== null) found.push({ key, fence: parsed.fence, number: parsed.number });
    }
    return found.sort(byAge);
  }

  /** A superseded chunk that cannot be removed now is tried again after the next put. */
  async #removeSuperseded(chain: RootChain): Promise<void> {
    const keys = chain.keys ?? [];
    while (keys.length > root_chunks_kept) {
      const [oldest] = keys;
      if (oldest === undefined) return;
      try {
        await this.#driver.remove(oldest.key);
      } catch {
        return;
      }
      keys.shift();
    }
  }

  #chainOf(id: number): RootChain {
    let chain = this.#rootChains.get(id);
    if (chain === undefined) {
      chain = new RootChain();
      this.#rootChains.set(id, chain);
    }
    return chain;
  }
}

interface RootKey {
  readonly key: ChunkKey;
  readonly fence: number;
  readonly number: number;
}

/** The root chunks of one resource, written one after the other. */
class RootChain {
  /** null until they were listed. */
  keys: RootKey[] | null = null;
  numberMax = 0;
  #last: Promise<unknown> = Promise.resolve();

  run<T>(work: (chain: RootChain) => Promise<T>): Promise<T> {
    const running = this.#last.then(() => work(this));
    this.#last = running.catch(ignoreForNow);
    return running;
  }

  async idle(): Promise<void> {
    await this.#last;
  }
}

function byAge(a: RootKey, b: RootKey): number {
  return a.fence - b.fence || a.number - b.number;
}

function ignoreForNow(): void {
  // What is left behind here is found again by the next listing.
}
