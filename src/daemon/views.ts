/** What the daemon tells of itself: status, pools, health. Read only when somebody asks. */
import { block_bytes } from '../core/limits.js';
import { SkerryError } from '../core/errors.js';
import type { PoolView, StatusView } from '../api/shapes.js';
import type { EngineStats, PoolStats } from '../engine/binding.js';
import type { Resources } from '../mapper/resources.js';
import type { PoolsView } from '../northbound/admin/views.js';
import type { Pools } from '../pool/pools.js';

export interface ViewSources {
  readonly version: string;
  readonly dataDirectory: string;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly now: () => number;
  readonly stats: () => EngineStats;
  readonly resources: Pick<Resources, 'total'>;
  readonly pools: Pick<Pools, 'names' | 'get' | 'record' | 'settings'>;
  readonly listeners: () => Readonly<Record<string, string>>;
}

export class DaemonViews implements PoolsView {
  readonly #sources: ViewSources;

  constructor(sources: ViewSources) {
    this.#sources = sources;
  }

  /** A sentence for each thing an operator should look at. */
  problems(): string[] {
    const { failure, pools } = this.#sources.stats();
    const problems: string[] = [];
    // The worst first: what an operator reads before anything else.
    if (failure !== '') problems.push(`READ-ONLY: ${failure}`);
    problems.push(...pools.map(fullness).filter((problem) => problem !== null));
    for (const pool of pools) {
      const problem = this.#poolProblem(pool.name);
      if (problem !== null) problems.push(problem);
      if (pool.corruptCells > 0)
        problems.push(`${pool.corruptCells} pages in pool ${pool.name} did not match their sums when they were read`);
    }
    return problems;
  }

  /** Whether it fails those it serves. Rot in the pool is a problem, but starting the daemon again does not mend it. */
  failing(): boolean {
    const { failure, pools } = this.#sources.stats();
    return failure !== '' || pools.some(({ name }) => this.#poolProblem(name) !== null);
  }

  async status(): Promise<StatusView> {
    const { version, dataDirectory, startedAt, now, listeners } = this.#sources;
    const stats = this.#sources.stats();
    const problems = this.problems();
    const { volumes, snapshots, images } = this.#totals();
    const { bytes, bytesMax, ringBytes, segments, failed } = stats.journal;
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
      destagedBytes: stats.destagedBytes,
    };
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
    'Reads, trims and deletions go on. Make room on its disk, or give it a larger one; writes go on by themselves then'
  );
}
