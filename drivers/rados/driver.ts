/**
 * Chunks as RADOS objects of one pool of a Ceph cluster, by librados. A chunk is one object, written by one operation that
 * makes it and fills it: RADOS carries out all of that or nothing, and answers once its OSDs have it on stable storage.
 */
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';

import { SkerryError } from '../../src/core/errors.js';
import { CallsUnderWay } from '../../src/driver/calls_under_way.js';
import { chunkKey, keyIfChunk, type ChunkKey, type ChunkStat, type Driver, type DriverTraits } from '../../src/driver/driver.js';
import { registerDriver } from '../../src/driver/registry.js';
import { mustBeSame } from '../../src/driver/same_bytes.js';
import { newCluster, type Cluster } from './cluster.js';
import { connectFailureOf, failureOf, hasErrno, nullIfAbsent } from './failures.js';
import { clientOptions, radosSettings, type RadosSettings } from './settings.js';

/** Less than what OSDs take by default in one object (128 MiB) and in one write (90 MB). */
const chunk_bytes_max = 64 << 20;
const in_flight_max = 32;
/** RADOS lists names alone: so many sizes are asked for at once. */
const listed_stats_in_flight_max = 16;

export const radosDriver = registerDriver({
  name: 'rados',
  description: 'Chunks as RADOS objects of a pool of a Ceph cluster',
  settings: radosSettings,
  open: async (settings) => RadosDriver.open(settings),
  traitsWhileAway: () => radosTraits,
});

/** As they are on a cluster whose OSDs were not told to take less. */
export const radosTraits: DriverTraits = {
  chunkBytesMax: chunk_bytes_max,
  inFlightMax: in_flight_max,
  readAfterWrite: true,
  refusesRewrite: true,
};

export class RadosDriver implements Driver {
  readonly traits: DriverTraits;
  readonly #cluster: Cluster;
  readonly #settings: RadosSettings;
  readonly #calls = new CallsUnderWay('the rados driver');

  private constructor(cluster: Cluster, settings: RadosSettings) {
    this.#cluster = cluster;
    this.#settings = settings;
    this.traits = { ...radosTraits, chunkBytesMax: chunkBytesMax(cluster) };
  }

  /** The pool must be there; nothing is made. @throws SkerryError that says what to look at, in bounded time */
  static async open(settings: RadosSettings): Promise<RadosDriver> {
    const { conf, keyring, user, pool, namespace } = settings;
    await mustBeReadable('conf', conf);
    if (keyring !== undefined) await mustBeReadable('keyring', keyring);
    const cluster = newCluster(user, settings['timeout-seconds']);
    try {
      await cluster.configure(conf, ...clientOptions(settings).flat()).catch((error: unknown) => {
        throw new SkerryError('invalid', `settings: conf: ${conf} is no configuration of Ceph`, { cause: error });
      });
      await cluster.connect().catch((error: unknown) => {
        throw connectFailureOf(error, cluster.option('mon_host') ?? '', settings);
      });
      await cluster.openPool(pool, namespace ?? '').catch((error: unknown) => {
        if (!hasErrno(error, 'ENOENT')) throw failureOf(error, `pool ${pool} cannot be opened`, settings);
        throw new SkerryError('not-found', `there is no pool ${pool}: \`ceph osd pool create ${pool}\``, { cause: error });
      });
      return new RadosDriver(cluster, settings);
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  put(key: ChunkKey, data: Uint8Array): Promise<void> {
    return this.#run(`chunk ${key} cannot be written`, async () => {
      const name = chunkKey(key);
      const { chunkBytesMax: bytesMax } = this.traits;
      if (data.length > bytesMax)
        throw new SkerryError('too-large', `chunk ${key} has ${data.length} bytes, at most ${bytesMax} are taken`);
      try {
        await this.#cluster.create(name, data);
      } catch (error) {
        // Perhaps an earlier put of the same, whose answer was lost.
        if (!hasErrno(error, 'EEXIST')) throw error;
        await this.#mustBe(name, data);
      }
    });
  }

  get(key: ChunkKey, offset: number, into: Uint8Array): Promise<number | null> {
    return this.#run(`chunk ${key} cannot be read`, async () => this.#read(chunkKey(key), offset, into));
  }

  stat(key: ChunkKey): Promise<ChunkStat | null> {
    return this.#run(`chunk ${key} cannot be looked at`, async () => this.#stat(chunkKey(key)));
  }

  remove(key: ChunkKey): Promise<void> {
    return this.#run(`chunk ${key} cannot be removed`, async () => {
      await this.#cluster.remove(chunkKey(key)).catch(nullIfAbsent);
    });
  }

  async *list(prefix: string): AsyncGenerator<ChunkStat> {
    this.#calls.refuseIfClosed();
    const listing = this.#cluster.beginListing(prefix);
    try {
      for (;;) {
        const names = await this.#run('chunks cannot be listed', () => this.#cluster.nextNames(listing));
        if (names === null) return;
        const keys = names.map(keyIfChunk).filter((key) => key !== null);
        for (let index = 0; index < keys.length; index += listed_stats_in_flight_max) {
          const some = keys.slice(index, index + listed_stats_in_flight_max);
          const stats = await this.#run('listed chunks cannot be looked at', () =>
            Promise.all(some.map((key) => this.#stat(key))),
          );
          // One that went meanwhile has none.
          yield* stats.filter((found) => found !== null);
        }
      }
    } finally {
      this.#cluster.endListing(listing);
    }
  }

  async close(): Promise<void> {
    await this.#calls.close(() => this.#cluster.close());
  }

  async #read(key: ChunkKey, offset: number, into: Uint8Array): Promise<number | null> {
    if (into.length > 0) return this.#cluster.read(key, offset, into).catch(nullIfAbsent);
    return (await this.#stat(key)) === null ? null : 0;
  }

  async #stat(key: ChunkKey): Promise<ChunkStat | null> {
    const bytes = await this.#cluster.stat(key).catch(nullIfAbsent);
    return bytes === null ? null : { key, bytes };
  }

  /** @throws SkerryError exists where the chunk has other bytes, try-again where it went meanwhile */
  async #mustBe(key: ChunkKey, data: Uint8Array): Promise<void> {
    await mustBeSame(key, data, async (offset, into) => {
      const bytes = await this.#read(key, offset, into);
      if (bytes === null) throw new SkerryError('try-again', `chunk ${key} was removed while it was put`);
      return bytes;
    });
  }

  #run<T>(doing: string, work: () => Promise<T>): Promise<T> {
    return this.#calls.run(work, (error) => failureOf(error, doing, this.#settings));
  }
}

/** What the OSDs take as one object and as one write, where this client's configuration says less than their defaults. */
function chunkBytesMax(cluster: Cluster): number {
  const objectBytes = Number(cluster.option('osd_max_object_size') ?? chunk_bytes_max);
  const writeMebibytes = Number(cluster.option('osd_max_write_size') ?? chunk_bytes_max >> 20);
  return Math.min(chunk_bytes_max, objectBytes, writeMebibytes * 2 ** 20);
}

async function mustBeReadable(setting: string, path: string): Promise<void> {
  await access(path, constants.R_OK).catch((error: unknown) => {
    throw new SkerryError('invalid', `settings: ${setting}: ${path} cannot be read`, { cause: error });
  });
}
