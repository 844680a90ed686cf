/** What the daemon tells of itself: status, pools, health. Read only when somebody asks. */
import { block_bytes } from '../core/limits.js';
import { SkerryError } from '../core/errors.js';
import type { PoolView, StatusView } from '../api/shapes.js';
import type { EngineStats } from '../engine/binding.js';
import type { Resources } from '../mapper/resources.js';
import type { PoolsView } from '../northbound/admin/views.js';
import type { HealthReport } from '../pool/health.js';

export interface ViewSources {
  readonly version: string;
  readonly dataDirectory: string;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly now: () => number;
  readonly stats: () => EngineStats;
  readonly resources: Pick<Resources, 'total'>;
  readonly pool: { readonly name: string; readonly driver: string; health(): HealthReport };
  readonly listeners: () => Readonly<Record<string, string>>;
}

export class DaemonViews implements PoolsView {
  readonly #sources: ViewSources;

  constructor(sources: ViewSources) {
    this.#sources = sources;
  }

  /** A sentence for each thing an operator should look at. */
  problems(): string[] {
    const { failure, packs, room } = this.#sources.stats();
    const problems: string[] = [];
    // The worst first: what an operator reads before anything else.
    if (failure !== '') problems.push(`READ-ONLY: ${failure}`);
    if (room === 'none') {
      const { name } = this.#sources.pool;
      problems.push(
        `FULL: pool ${name} takes no more data (${packs.freeBytes} bytes are free, the last of them kept in reserve): writes end with ENOSPC. ` +
          'Reads, trims and deletions go on. Make room on its disk, or give it a larger one; writes go on by themselves then',
      );
    }
    const poolProblem = this.#poolProblem();
    if (poolProblem !== null) problems.push(poolProblem);
    if (packs.corruptCells > 0)
      problems.push(`${packs.corruptCells} pages in the pool did not match their sums when they were read`);
    return problems;
  }

  /** Whether it fails those it serves. Rot in the pool is a problem, but starting the daemon again does not mend it. */
  failing(): boolean {
    return this.#sources.stats().failure !== '' || this.#poolProblem() !== null;
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
        nbdBufferBytes: stats.nbdBufferBytes,
      },
      destagedBytes: stats.destagedBytes,
    };
  }

  async list(): Promise<readonly PoolView[]> {
    return [await this.get(this.#sources.pool.name)];
  }

  async get(name: string): Promise<PoolView> {
    const { pool } = this.#sources;
    if (name !== pool.name) throw new SkerryError('not-found', `there is no pool ${JSON.stringify(name.slice(0, 60))}`);
    const { packs } = this.#sources.stats();
    const problem = this.#poolProblem();
    const { volumes, snapshots, images } = this.#totals();
    return {
      name: pool.name,
      driver: pool.driver,
      healthy: problem === null,
      problem,
      // Sums of many large volumes may leave the exact integers; the shape takes only those.
      logicalBytes: Math.min(volumes.sizeBytes + snapshots.sizeBytes + images.sizeBytes, Number.MAX_SAFE_INTEGER),
      uniqueBytes: packs.blocks * block_bytes,
      storedBytes: packs.storedBytes,
      freeBytes: packs.freeBytes,
      dedupBytes: packs.dedupBytes,
      volumes: volumes.count,
      snapshots: snapshots.count,
      images: images.count,
      packs: packs.packs,
      blocks: packs.blocks,
      nodes: packs.nodes,
      corruptPages: packs.corruptCells,
    };
  }

  #poolProblem(): string | null {
    const { state, lastFailure } = this.#sources.pool.health();
    if (state !== 'failing') return null;
    return `pool ${this.#sources.pool.name} fails: ${lastFailure?.message ?? 'its backend does not answer'}`;
  }

  #totals() {
    const { resources } = this.#sources;
    return { volumes: resources.total('volume'), snapshots: resources.total('snapshot'), images: resources.total('image') };
  }
}
