/**
 * Pools coming and going. What makes each safe is its order: a new pool is opened and known to the engine before the catalog
 * names it; a pool leaves the catalog only when no resource is in it and none is being made there.
 */
import { randomBytes } from 'node:crypto';

import type { Catalog } from '../catalog/catalog.js';
import { poolKey, poolPrefix } from '../catalog/keys.js';
import { decodePool, encodePool, type PoolRecord } from '../catalog/records.js';
import { compressionOf, compressionText, compresses } from '../core/compression.js';
import { SkerryError } from '../core/errors.js';
import { pools_max } from '../core/limits.js';
import { checkPoolName } from '../core/names.js';
import { chunkKey, type ChunkKey } from '../driver/driver.js';
import type { NativeEngine } from '../engine/binding.js';
import { checkKeySource, readKey, type KeySource } from '../pool/key_source.js';
import { newSecrets, unwrapSecrets, wrapSecrets } from '../pool/pool_secrets.js';
import type { Pools } from '../pool/pools.js';
import type { Ledger } from './ledger.js';
import { poolLock, type KeyedLocks } from './locks.js';
import type { RootStores } from './root_store.js';

/** What makers of resources ask of pools. */
export interface PoolUsers extends RootStores {
  /** Of what is made without saying where. */
  readonly defaultName: string;
  /** Runs `work` while the pool stays. @throws SkerryError not-found */
  using<T>(pool: string, work: () => Promise<T>): Promise<T>;
  /** Packs of the pool may hold compressed records from here on; known durably when it resolves. Before one does. */
  allowFrames(pool: string): Promise<void>;
}

export interface NewPool {
  readonly name: string;
  readonly driver: string;
  readonly settings: Readonly<Record<string, string>>;
  /** Of what its volumes do not decide themselves; absent: none. */
  readonly compression?: string;
  /** Where the key of an encrypted pool comes from; absent: the pool is not encrypted, and never will be. */
  readonly key?: KeySource;
}

export interface PoolVerbsOptions {
  readonly catalog: Catalog;
  readonly ledger: Ledger;
  readonly locks: KeyedLocks;
  readonly engine: Pick<NativeEngine, 'addPool' | 'removePool' | 'compressPool'>;
  readonly pools: Pools;
  readonly defaultName: string;
  /** Ends what was deleted in the pool, as far as a short while allows. */
  readonly finishDeletions?: (pool: string) => Promise<void>;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export class PoolVerbs implements PoolUsers {
  readonly defaultName: string;
  readonly #options: PoolVerbsOptions;
  /** How many verbs are making something in each pool. */
  readonly #users = new Map<string, number>();
  /** Pools that the catalog does not have yet: nothing is made there before it has. */
  readonly #coming = new Set<string>();
  /** Pools that are going: nothing new is made there. */
  readonly #going = new Set<string>();

  constructor(options: PoolVerbsOptions) {
    this.#options = options;
    this.defaultName = options.defaultName;
  }

  of(pool: string) {
    return this.#options.pools.of(pool);
  }

  async using<T>(pool: string, work: () => Promise<T>): Promise<T> {
    this.#options.pools.get(pool);
    if (this.#coming.has(pool)) throw new SkerryError('conflict', `pool ${pool} is being made: try again`);
    if (this.#going.has(pool)) throw new SkerryError('conflict', `pool ${pool} is being deleted`);
    this.#users.set(pool, (this.#users.get(pool) ?? 0) + 1);
    try {
      return await work();
    } finally {
      const left = (this.#users.get(pool) ?? 1) - 1;
      if (left === 0) this.#users.delete(pool);
      else this.#users.set(pool, left);
    }
  }

  /**
   * @throws SkerryError invalid, exists, conflict where its place holds chunks already, denied where its key cannot be had, and what
   * opening its driver throws
   */
  async create(request: NewPool): Promise<void> {
    const name = checkPoolName(request.name);
    const compression = compressionText(request.compression ?? 'none');
    const { catalog, locks, pools } = this.#options;
    // One at a time, for each takes a domain of its own.
    await locks.run([poolLock('*'), poolLock(name)], async () => {
      const records = await readPools(catalog);
      if (records.some((record) => record.name === name)) throw new SkerryError('exists', `there is a pool ${name} already`);
      if (records.length >= pools_max)
        throw new SkerryError('conflict', `there are ${pools_max} pools already, the most there can be`);
      const record: PoolRecord = {
        name,
        driver: request.driver,
        settings: request.settings,
        domain: Math.max(...records.map(({ domain }) => domain)) + 1,
        keyId: 1,
        createdAt: (this.#options.now ?? Date.now)(),
        compression,
        framed: compresses(compression),
        ...(await newIdentity(name, request.key)),
      };
      const twin = records.find((other) => other.driver === record.driver && pools.sameSettings(other, record));
      if (twin !== undefined) throw new SkerryError('conflict', `pool ${twin.name} is at the same place: take another one`);
      this.#coming.add(name);
      try {
        await this.#make(record);
      } finally {
        this.#coming.delete(name);
      }
    });
  }

  /** All of it or nothing. */
  async #make(record: PoolRecord): Promise<void> {
    const { catalog, engine, pools, log } = this.#options;
    const { name } = record;
    const spec = await pools.open(record);
    let claimed = false;
    try {
      await this.#refuseTaken(name);
      claimed = true;
      await this.#markPlace(record);
      await engine.addPool(spec);
      const outcome = await catalog.transact(
        [{ key: poolKey(name), revision: 0 }],
        [{ key: poolKey(name), value: encodePool(record) }],
      );
      if (outcome.outcome === 'conflict') throw new SkerryError('exists', `there is a pool ${name} already`);
    } catch (error) {
      await engine.removePool(name).catch(() => undefined);
      // Where these cannot be removed they only make the place look taken, and say by whom.
      if (claimed) {
        const { chunks } = pools.get(name);
        await chunks.remove(markKey(record)).catch(() => undefined);
        await pools.forsake(name).catch(() => undefined);
      }
      await pools.remove(name);
      throw error;
    }
    // From here on the pool is there; the next start tries again.
    await pools.keepIdentity(name).catch((error: unknown) => {
      log('warn', `pool ${name} cannot say of itself yet whose it is`, { error: String(error) });
    });
  }

  /** Of blocks that are written from here on. @throws SkerryError not-found, invalid */
  async set(name: string, { compression }: { readonly compression: string }): Promise<void> {
    const { locks, engine, pools } = this.#options;
    const text = compressionText(compression);
    await locks.run([poolLock(name)], async () => {
      pools.get(name);
      await this.#change(name, (record) => ({ ...record, compression: text, framed: record.framed || compresses(text) }));
      engine.compressPool(name, compressionOf(text) ?? { codec: 'none', level: 0 });
    });
  }

  async allowFrames(pool: string): Promise<void> {
    await this.#change(pool, (record) => ({ ...record, framed: true }));
  }

  /**
   * Wraps the secrets of an encrypted pool under another key; no data is rewritten. The catalog comes first: it alone decides which key a
   * start needs, and a start makes the pool's own copies follow it.
   * @throws SkerryError not-found, invalid, conflict for a pool that is not encrypted, denied where the key cannot be had
   */
  async changeKey(name: string, source: KeySource): Promise<void> {
    const { locks, pools } = this.#options;
    checkKeySource(source);
    await locks.run([poolLock(name)], async () => {
      const { domainKey, dataKey } = pools.secrets(name);
      if (dataKey === null)
        throw new SkerryError(
          'conflict',
          `pool ${name} is not encrypted, and cannot become so: make one with --encrypt, and copy its volumes there`,
        );
      const wrapping = { key: await readKey(source, { strict: true }), poolUuid: pools.get(name).poolUuid };
      const wrapped = wrapSecrets(wrapping, { domainKey, dataKey }, name);
      // What was read may have been a key of one moment only, such as a file that is being written.
      const again = unwrapSecrets({ ...wrapping, key: await readKey(source) }, wrapped);
      if (again === null) throw new SkerryError('denied', 'the key source gave two different keys, one after the other');
      await this.#change(name, (record) => ({ ...record, encryption: { wrapped, source } }));
      await pools.keepIdentity(name);
    });
  }

  async #change(name: string, change: (record: PoolRecord) => PoolRecord): Promise<void> {
    const { catalog, pools } = this.#options;
    const key = poolKey(name);
    for (;;) {
      const entry = await catalog.get(key);
      if (entry === null) throw new SkerryError('not-found', `there is no pool ${name}`);
      const before = decodePool(entry.value);
      const record = change(before);
      if (record.compression === before.compression && record.framed === before.framed && record.encryption === before.encryption)
        return;
      const outcome = await catalog.transact([{ key, revision: entry.revision }], [{ key, value: encodePool(record) }]);
      if (outcome.outcome === 'conflict') continue;
      pools.renew(record);
      return;
    }
  }

  /** The backend keeps its chunks. @throws SkerryError not-found, conflict while a resource is in it */
  async remove(name: string): Promise<void> {
    const { catalog, ledger, locks, engine, pools } = this.#options;
    if (name === this.defaultName)
      throw new SkerryError('invalid', `the pool ${name} stays: what is made without --pool is made there`);
    await locks.run([poolLock('*'), poolLock(name)], async () => {
      pools.get(name);
      this.#going.add(name);
      try {
        if (this.#users.has(name)) throw new SkerryError('conflict', `something is being made in pool ${name}: try again`);
        let held = await ledger.anyIn(name);
        if (held?.name === '') {
          await this.#options.finishDeletions?.(name);
          held = await ledger.anyIn(name);
        }
        if (held !== null) {
          const what = held.name === '' ? 'something that is still being deleted: try again soon' : `${held.kind} ${held.name}`;
          throw new SkerryError('conflict', `pool ${name} holds ${what}; what is in it is deleted first`);
        }
        await engine.removePool(name);
        await catalog.transact([], [{ key: poolKey(name), value: null }]);
        await pools.remove(name);
      } finally {
        this.#going.delete(name);
      }
    });
  }

  /** Packs and roots of two pools under one roof would be taken for each other's: what is not empty is somebody's. */
  async #refuseTaken(name: string): Promise<void> {
    const { chunks } = this.#options.pools.get(name);
    for await (const { key } of chunks.list('')) {
      throw new SkerryError(
        'conflict',
        `the place of pool ${name} is not empty, it holds ${key} for one: take another directory, bucket or prefix`,
      );
    }
  }

  async #markPlace(record: PoolRecord): Promise<void> {
    const { name } = record;
    const { chunks } = this.#options.pools.get(name);
    // Nothing where an encrypted pool rests tells its name.
    await chunks.put(markKey(record), new TextEncoder().encode(record.encryption === null ? `${name}\n` : 'an encrypted pool\n'));
  }
}

/** What a pool is for ever, and its secrets. @throws SkerryError invalid, denied */
async function newIdentity(
  name: string,
  source: KeySource | undefined,
): Promise<Pick<PoolRecord, 'domainKey' | 'poolUuid' | 'encryption'>> {
  const poolUuid = randomBytes(16);
  if (source === undefined) return { domainKey: randomBytes(32), poolUuid, encryption: null };
  const key = await readKey(checkKeySource(source), { strict: true });
  return {
    domainKey: new Uint8Array(0),
    poolUuid,
    encryption: { wrapped: wrapSecrets({ key, poolUuid }, newSecrets(), name), source },
  };
}

/** A chunk that says whose place it is. */
function markKey({ poolUuid }: PoolRecord): ChunkKey {
  return chunkKey(`pool/${Buffer.from(poolUuid).toString('hex')}`);
}

/** Every pool that the catalog names. @throws SkerryError corrupt */
export async function readPools(catalog: Catalog): Promise<readonly PoolRecord[]> {
  return (await catalog.range(poolPrefix)).map(({ value }) => decodePool(value));
}
