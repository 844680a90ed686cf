/** What the daemon tells of itself: status, pools, health. Read only when somebody asks. */
import { readFileSync } from 'node:fs';

import { block_bytes } from '../core/limits.js';
import { SkerryError } from '../core/errors.js';
import { formatSize } from '../core/sizes.js';
import type { ActivityView, PoolView, StatusView } from '../api/shapes.js';
import type { EngineStats, OperationCounters, PoolStats, ResourceActivity } from '../engine/binding.js';
import type { Resource, Resources } from '../mapper/resources.js';
import type { PoolsView } from '../northbound/admin/views.js';
import { toldSource } from '../pool/key_source.js';
import type { Pools } from '../pool/pools.js';
import type { Moves } from '../upkeep/moves.js';
import type { Replications } from '../upkeep/replications.js';
import { moveProblems, replicationProblems } from './copy_problems.js';

/** Of its limit, from which on a journal counts as nearly full: well inside the ramp that slows writers. */
const journal_full_share = 0.9;

export interface ViewSources {
  readonly version: string;
  readonly dataDirectory: string;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly memoryBytesMax: number;
  readonly now: () => number;
  readonly stats: () => EngineStats;
  readonly activities: () => readonly ResourceActivity[];
  /** null for what has no name. */
  readonly named: (id: number) => Promise<Pick<Resource, 'kind' | 'name'> | null>;
  readonly resources: Pick<Resources, 'total'>;
  readonly pools: Pick<Pools, 'names' | 'get' | 'record' | 'settings'>;
  /** How many volumes are not served before this pool answers. */
  readonly unreadLogs: () => ReadonlyMap<string, number>;
  /** Why no account's secrets can be used; null: they can. */
  readonly identityProblem: () => string | null;
  readonly replications: Pick<Replications, 'list'>;
  readonly moves: Pick<Moves, 'list'>;
  readonly listeners: () => Readonly<Record<string, string>>;
}

export class DaemonViews implements PoolsView {
  readonly #sources: ViewSources;

  constructor(sources: ViewSources) {
    this.#sources = sources;
  }

  /** A sentence for each thing an operator should look at. */
  async problems(): Promise<string[]> {
    // Asked for first: all that follows is of one moment.
    const replications = await this.#sources.replications.list();
    const { failure, journal, pools } = this.#sources.stats();
    const problems: string[] = [];
    // The worst first: what an operator reads before anything else.
    if (failure !== '') problems.push(`READ-ONLY: ${failure}`);
    for (const { name } of pools) {
      const problem = this.#poolProblem(name);
      if (problem !== null) problems.push(`POOL AWAY: ${problem}`);
    }
    for (const [pool, volumes] of this.#sources.unreadLogs()) {
      const which = volumes === 1 ? 'a volume is' : `${volumes} volumes are`;
      problems.push(
        `UNREAD: ${which} not served before pool ${pool} answers, for what was flushed to ${volumes === 1 ? 'it' : 'them'} is there. skerry volume list shows which; the rest goes on by itself`,
      );
    }
    problems.push(...pools.map(fullness).filter((problem) => problem !== null));
    problems.push(...pools.map(rot).filter((problem) => problem !== null));
    if (journal.bytes >= journal.bytesMax * journal_full_share)
      problems.push(
        `JOURNAL: ${formatSize(journal.bytes)} of ${formatSize(journal.bytesMax)} are taken, and writes wait for what was written to reach the pool. ` +
          'Where that lasts, the disk of the pool is too slow for what is written, or journalBytesMax is too small',
      );
    problems.push(...replicationProblems(replications), ...moveProblems(this.#sources.moves.list()));
    const identity = this.#sources.identityProblem();
    if (identity !== null) problems.push(`IDENTITY: ${identity}`);
    const held = heldBytes();
    const { memoryBytesMax } = this.#sources;
    if (held > memoryBytesMax)
      problems.push(
        `MEMORY: the daemon holds ${formatSize(held)}, over its memoryBytesMax of ${formatSize(memoryBytesMax)}. Allow it more, or lower overlayBytesMax or nbdBufferBytesMax`,
      );
    return problems;
  }

  /** Whether it fails those it serves. Rot in the pool is a problem, but starting the daemon again does not mend it. */
  failing(): boolean {
    const { failure, pools } = this.#sources.stats();
    return failure !== '' || pools.some(({ name }) => this.#poolProblem(name) !== null);
  }

  async status(): Promise<StatusView> {
    const { version, dataDirectory, startedAt, now, listeners } = this.#sources;
    const problems = await this.problems();
    const stats = this.#sources.stats();
    const { volumes, snapshots, images } = this.#totals();
    const { bytes, bytesMax, ringBytes, segments, failed } = stats.journal;
    const { records, hits, misses, damaged, ...cache } = stats.localCache;
    return {
      version,
      pid: process.pid,
      dataDirectory,
      startedAt: new Date(startedAt).toISOString(),
      uptimeSeconds: Math.max(0, (now() - startedAt) / 1000),
      healthy: problems.length === 0,
      problems,
      listeners: { ...listeners() },
      volumes: volumes.count,
      snapshots: snapshots.count,
      images: images.count,
      connections: stats.connections,
      journal: { bytes, bytesMax, ringBytes, segments, failed },
      memory: {
        rssBytes: process.memoryUsage.rss(),
        overlayBytes: stats.overlayBytes,
        nodeCacheBytes: stats.nodeCacheBytes,
        blockCacheBytes: stats.blockCache.bytes,
        nbdBufferBytes: stats.nbdBufferBytes,
      },
      localCache: { bytes: cache.bytes, bytesMax: cache.bytesMax, records, hits, misses, damaged, failed: cache.failed },
      destagedBytes: stats.destagedBytes,
    };
  }

  async activity(): Promise<ActivityView> {
    const { now, startedAt, activities, named } = this.#sources;
    const atSeconds = Math.max(0, (now() - startedAt) / 1000);
    const { bytes, bytesMax } = this.#sources.stats().journal;
    const found = await Promise.all(
      activities().map(async (one) => {
        const resource = await named(one.resource);
        return resource === null ? null : viewActivity(one, resource);
      }),
    );
    const resources = found.filter((one) => one !== null).sort((a, b) => (a.name < b.name ? -1 : 1));
    return { atSeconds, problems: await this.problems(), journal: { bytes, bytesMax }, resources };
  }

  async list(): Promise<readonly PoolView[]> {
    return Promise.all(this.#sources.pools.names().map((name) => this.get(name)));
  }

  async get(name: string): Promise<PoolView> {
    const { pools } = this.#sources;
    const pool = pools.get(name);
    const stats = this.#sources.stats().pools.find((candidate) => candidate.name === name);
    if (stats === undefined) throw new SkerryError('unavailable', `pool ${name} is not open yet`);
    const problem = this.#poolProblem(name) ?? fullness(stats);
    const { encryption } = pools.record(name);
    const { volumes, snapshots, images } = this.#totals(name);
    return {
      name,
      driver: pools.record(name).driver,
      settings: pools.settings(name),
      remote: stats.remote,
      healthy: problem === null,
      problem,
      warnings: pool.traits.forgets === true ? [`everything in pool ${name} is lost when the daemon ends`] : [],
      // Sums of many large volumes may leave the exact integers; the shape takes only those.
      logicalBytes: Math.min(volumes.sizeBytes + snapshots.sizeBytes + images.sizeBytes, Number.MAX_SAFE_INTEGER),
      uniqueBytes: stats.blocks * block_bytes,
      storedBytes: stats.storedBytes,
      freeBytes: stats.remote ? null : stats.freeBytes,
      dedupBytes: stats.dedupBytes,
      compression: pools.record(name).compression,
      encryption: encryption === null ? 'none' : 'aes-256-gcm',
      keyFrom: encryption === null ? null : toldSource(encryption.source),
      recordBytes: stats.recordBytes,
      uncompressedBytes: stats.uncompressedRecordBytes,
      compressionRatio: stats.recordBytes === 0 ? 1 : Math.round((stats.uncompressedRecordBytes / stats.recordBytes) * 100) / 100,
      volumes: volumes.count,
      snapshots: snapshots.count,
      images: images.count,
      packs: stats.packs,
      blocks: stats.blocks,
      nodes: stats.nodes,
      corruptPages: stats.corruptCells,
      stagedBytes: stats.stagedBytes,
      keptBytes: stats.keptBytes,
      fetchedBytes: stats.fetchedBytes,
      shippedBytes: stats.shippedBytes,
      removalsWaiting: stats.removalsWaiting,
    };
  }

  #poolProblem(name: string): string | null {
    const { state, lastFailure } = this.#sources.pools.get(name).health();
    if (state !== 'failing') return null;
    return `pool ${name} fails: ${lastFailure?.message ?? 'its backend does not answer'}`;
  }

  /** Of one pool, or of all. */
  #totals(pool?: string) {
    const { resources } = this.#sources;
    return {
      volumes: resources.total('volume', pool),
      snapshots: resources.total('snapshot', pool),
      images: resources.total('image', pool),
    };
  }
}

function viewActivity(
  activity: ResourceActivity,
  { kind, name }: Pick<Resource, 'kind' | 'name'>,
): ActivityView['resources'][number] {
  const counters = ({ operations, bytes, errors, latencySeconds }: Omit<OperationCounters, 'latencyBuckets'>) => ({
    operations,
    bytes,
    errors,
    latencySeconds,
  });
  const { resource: id, connections, journalBytes, read, write, flush, trim } = activity;
  return {
    id,
    kind,
    name,
    connections,
    journalBytes,
    read: counters(read),
    write: counters(write),
    flush: counters(flush),
    trim: counters(trim),
  };
}

/** Full is no failure: starting the daemon again makes no room. */
function fullness({ name, room, backendFull, freeBytes }: PoolStats): string | null {
  if (backendFull) {
    return (
      `FULL: pool ${name} takes no more data, its backend has no room: writes end with ENOSPC. ` +
      'Reads, trims and deletions go on. Make room there; writes go on by themselves then'
    );
  }
  if (room !== 'none') return null;
  return (
    `FULL: pool ${name} takes no more data (${freeBytes} bytes are free, the last of them kept in reserve): writes end with ENOSPC. ` +
    `Reads, trims and deletions go on. Make room: skerry pool gc ${name}, after deleting what is not wanted; or give it a larger disk. ` +
    'Writes go on by themselves then'
  );
}

function rot({ name, corruptCells }: PoolStats): string | null {
  if (corruptCells === 0) return null;
  return (
    `ROTTEN: ${corruptCells} page${corruptCells === 1 ? '' : 's'} of pool ${name} did not match their sums when they were read: who reads them gets an I/O error. ` +
    'The log names the places, in packs and in the journal. Look at the disk, and restore what lies there from a copy'
  );
}

/** Of this process, shared memory included. Mapped files are not: the system takes their pages back when it needs them. */
function heldBytes(): number {
  const status = readFileSync('/proc/self/status', 'utf8');
  const kibibytes = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
  return (kibibytes('RssAnon') + kibibytes('RssShmem')) * 1024;
}
