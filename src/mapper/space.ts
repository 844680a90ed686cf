/**
 * Who holds how much of which pool. One walk over the maps of all resources tells everything; it costs by the pool's distinct
 * map nodes, so its answer is kept, with the time it is of, and one walk serves all who ask while it runs.
 */
import type { ResourceKind, ResourceRecord } from '../catalog/records.js';
import { block_bytes } from '../core/limits.js';
import type { NativeEngine, Reached, SpaceReport } from '../engine/binding.js';
import { SkerryError, toSkerryError } from '../core/errors.js';
import { parseSnapshotName } from '../core/names.js';
import type { Ledger } from './ledger.js';
import { findSource } from './sources.js';
import { settledWithin } from './verbs.js';

const shared_with_max = 16;
const kinds: readonly ResourceKind[] = ['volume', 'snapshot', 'image'];

/** Bytes. What is freed is so once it is collected. */
export interface ResourceSpace {
  readonly id: number;
  readonly kind: ResourceKind;
  readonly name: string;
  readonly pool: string;
  readonly logicalBytes: number;
  /** Mapped by its own map, in whole blocks, as often as it maps them. */
  readonly allocatedBytes: number;
  /** Written and not yet in its map. */
  readonly journalledBytes: number;
  /** Of its distinct blocks, those that nothing else reaches. */
  readonly uniqueBytes: number;
  /** Of its distinct blocks, those that something else reaches too. */
  readonly sharedBytes: number;
  /** What the records that it reaches take in the pool, map nodes included. */
  readonly storedBytes: number;
  /** Of these, what would go with it. */
  readonly freedBytes: number;
  readonly snapshots: number;
  /** What would go with the volume and all its snapshots; null where there are none. */
  readonly freedWithSnapshotsBytes: number | null;
}

export interface SharedWith {
  readonly kind: ResourceKind;
  readonly name: string;
  /** Distinct blocks that both reach. */
  readonly sharedBytes: number;
}

export interface PoolSpace {
  readonly name: string;
  readonly logicalBytes: number;
  readonly allocatedBytes: number;
  readonly journalledBytes: number;
  /** Distinct blocks that any resource reaches, by its map or by a journalled write that put them in a pack. */
  readonly uniqueBytes: number;
  /** What everything that is reached takes in packs. */
  readonly referencedBytes: number;
  /** Of records that nothing reaches any more. */
  readonly deadBytes: number;
  /** Heads, footers and padding of packs. */
  readonly overheadBytes: number;
  /** All pack files: referenced, dead and overhead. */
  readonly storedBytes: number;
  /** How often a block is used, on average: by maps, and by journalled writes that put it in a pack. At least 1. */
  readonly dedupRatio: number;
  /** What the blocks' records would take uncompressed over what they take: 1 where none is compressed. */
  readonly compressionRatio: number;
}

export interface SpaceView {
  /** Milliseconds since 1970, when the walk began. */
  readonly asOf: number;
  readonly seconds: number;
  /** Why the numbers are too low, or null. */
  readonly incomplete: string | null;
  /** Of all volumes of the daemon. */
  readonly journal: { readonly bytes: number; readonly bytesMax: number };
  /** Those that could be measured. */
  readonly pools: readonly PoolSpace[];
  /** Volumes, then snapshots, then images, each by name. */
  readonly resources: readonly ResourceSpace[];
}

export interface SpaceAsk {
  /** An answer this old will do. */
  readonly ageMilliseconds: number;
  /** How long to wait for a new one. */
  readonly waitMilliseconds: number;
}

export interface SpaceOptions {
  readonly ledger: Ledger;
  readonly engine: Pick<NativeEngine, 'space' | 'stats'>;
  readonly pools: { names(): readonly string[] };
  readonly now?: () => number;
}

export class Space {
  readonly #options: SpaceOptions;
  readonly #now: () => number;
  #last: SpaceView | null = null;
  #measuring: Promise<SpaceView> | null = null;
  /** Of the last walk. */
  #distinctBytes: ReadonlyMap<number, number> = new Map();

  constructor(options: SpaceOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Of everything; null where no answer is there in time. A walk that was begun goes on, for who asks later. */
  async all({ ageMilliseconds, waitMilliseconds }: SpaceAsk): Promise<SpaceView | null> {
    if (this.#last !== null && this.#now() - this.#last.asOf <= ageMilliseconds) return this.#last;
    const measuring = this.#measure();
    let measured: SpaceView | null = null;
    let failure: { readonly error: unknown } | null = null;
    const told = measuring.then(
      (view) => {
        measured = view;
      },
      (error: unknown) => {
        failure = { error };
      },
    );
    await settledWithin([told], waitMilliseconds);
    if (failure !== null) throw (failure as { readonly error: unknown }).error;
    return measured;
  }

  /** Of one, a source as for a clone, with those it shares most with. @throws SkerryError not-found */
  async one(
    source: string,
    ask: SpaceAsk,
  ): Promise<{
    readonly view: SpaceView;
    readonly pool: PoolSpace;
    readonly resource: ResourceSpace;
    readonly sharedWith: readonly SharedWith[];
  } | null> {
    const { record } = await findSource(this.#options.ledger, source);
    let view = await this.all(ask);
    // Made after what is kept was measured: it is worth a walk of its own.
    if (view !== null && !view.resources.some(({ id }) => id === record.id))
      view = await this.all({ ...ask, ageMilliseconds: -1 });
    if (view === null) return null;
    const resource = view.resources.find(({ id }) => id === record.id);
    if (resource === undefined) throw new SkerryError('not-found', `there is no ${record.kind} ${record.name} any more`);
    const pool = view.pools.find(({ name }) => name === resource.pool);
    if (pool === undefined) throw new SkerryError('internal', `resource ${resource.id} was measured in no pool`);
    const shared = await this.#options.engine.space('shared', pool.name, record.id, shared_with_max);
    const known = new Map(view.resources.map((one) => [one.id, one]));
    const sharedWith = shared.flatMap(({ id, blocks }) => {
      const other = known.get(id);
      // What has no name is being made or deleted: nobody can ask for it.
      return other === undefined ? [] : [{ kind: other.kind, name: other.name, sharedBytes: blocks * block_bytes }];
    });
    return { view, pool, resource, sharedWith };
  }

  /** Of each resource, by its id, the distinct blocks that it reaches, in bytes; null where no answer is there in time, or a pool could not be measured. */
  async distinctBytes(ask: SpaceAsk): Promise<ReadonlyMap<number, number> | null> {
    const view = await this.all(ask);
    return view === null || view.incomplete !== null ? null : this.#distinctBytes;
  }

  #measure(): Promise<SpaceView> {
    this.#measuring ??= this.#walk().finally(() => {
      this.#measuring = null;
    });
    return this.#measuring;
  }

  async #walk(): Promise<SpaceView> {
    const { engine, ledger, pools } = this.#options;
    const asOf = this.#now();
    const begun = performance.now();
    const reports = new Map<string, SpaceReport>();
    const problems: string[] = [];
    for (const pool of pools.names()) {
      try {
        const report = await engine.space('measure', pool);
        reports.set(pool, report);
        problems.push(...incompleteness(pool, report));
      } catch (error) {
        // The others are there all the same.
        const { code, message } = toSkerryError(error);
        if (code === 'closed') throw error;
        problems.push(`pool ${pool} cannot be measured: ${message}`);
      }
    }
    const records = (await Promise.all(kinds.map((kind) => ledger.list(kind)))).flat().map(({ record }) => record);
    const resources: ResourceSpace[] = [];
    const totals: PoolSpace[] = [];
    for (const [pool, report] of reports) {
      const held = await this.#resourcesOf(pool, report, records);
      for (const resource of held) resources.push(resource);
      totals.push(poolSpace(pool, report, held));
    }
    const measured = [...reports.values()].flatMap((report) => report.resources);
    this.#distinctBytes = new Map(measured.map(({ id, reached }) => [id, reached.blocks * block_bytes]));
    const { bytes, bytesMax } = engine.stats().journal;
    this.#last = {
      asOf,
      seconds: (performance.now() - begun) / 1000,
      incomplete: problems.length === 0 ? null : problems.join('; '),
      journal: { bytes, bytesMax },
      pools: totals,
      resources: resources.sort((a, b) => kinds.indexOf(a.kind) - kinds.indexOf(b.kind) || (a.name < b.name ? -1 : 1)),
    };
    return this.#last;
  }

  async #resourcesOf(pool: string, report: SpaceReport, all: readonly ResourceRecord[]): Promise<readonly ResourceSpace[]> {
    const records = all.filter((record) => record.pool === pool);
    const families = familiesOf(records);
    const reached = await this.#options.engine.space('groups', pool, families.ids, families.groups, families.volumes.size);
    const measured = new Map(report.resources.map((resource) => [resource.id, resource]));
    return records.flatMap((record) => {
      const found = measured.get(record.id);
      if (record.state !== 'ready' || found === undefined) return [];
      const family = families.volumes.get(record.id);
      const together = family === undefined ? undefined : reached[family.group];
      return [resourceSpace(record, found, family?.snapshots ?? 0, together ?? null)];
    });
  }
}

const stored = ({ blockBytes, nodeBytes }: Reached): number => blockBytes + nodeBytes;

function resourceSpace(
  { id, kind, name, pool }: ResourceRecord,
  found: SpaceReport['resources'][number],
  snapshots: number,
  together: Reached | null,
): ResourceSpace {
  return {
    id,
    kind,
    name,
    pool,
    logicalBytes: found.sizeBytes,
    allocatedBytes: found.mappedBytes,
    journalledBytes: found.journalledBytes,
    uniqueBytes: found.alone.blocks * block_bytes,
    sharedBytes: (found.reached.blocks - found.alone.blocks) * block_bytes,
    storedBytes: stored(found.reached),
    freedBytes: stored(found.alone),
    snapshots,
    freedWithSnapshotsBytes: together === null ? null : stored(together),
  };
}

function poolSpace(name: string, { pool }: SpaceReport, resources: readonly ResourceSpace[]): PoolSpace {
  const sum = (of: (resource: ResourceSpace) => number): number =>
    Math.min(
      resources.reduce((total, resource) => total + of(resource), 0),
      Number.MAX_SAFE_INTEGER,
    );
  const allocatedBytes = sum((resource) => resource.allocatedBytes);
  const uniqueBytes = pool.reached.blocks * block_bytes;
  return {
    name,
    logicalBytes: sum((resource) => resource.logicalBytes),
    allocatedBytes,
    journalledBytes: sum((resource) => resource.journalledBytes),
    uniqueBytes,
    referencedBytes: stored(pool.reached),
    deadBytes: pool.deadBytes,
    overheadBytes: Math.max(0, pool.storedBytes - pool.recordBytes),
    storedBytes: pool.storedBytes,
    dedupRatio: ratio(allocatedBytes + pool.journalledUses * block_bytes, uniqueBytes),
    compressionRatio: ratio(pool.uncompressedBytes, pool.reached.blockBytes),
  };
}

/** To two places; 1 of nothing. */
function ratio(whole: number, part: number): number {
  return whole === 0 || part === 0 ? 1 : Math.round((whole / part) * 100) / 100;
}

/** Volumes that have snapshots, each with its snapshots a group. */
function familiesOf(records: readonly ResourceRecord[]) {
  const byVolume = new Map<string, number[]>();
  for (const { kind, name, id } of records) {
    if (kind !== 'snapshot') continue;
    const { volume } = parseSnapshotName(name);
    const known = byVolume.get(volume);
    if (known === undefined) byVolume.set(volume, [id]);
    else known.push(id);
  }
  const ids: number[] = [];
  const groups: number[] = [];
  const volumes = new Map<number, { readonly group: number; readonly snapshots: number }>();
  for (const { kind, name, id } of records) {
    const snapshots = kind === 'volume' ? byVolume.get(name) : undefined;
    if (snapshots === undefined) continue;
    const group = volumes.size;
    volumes.set(id, { group, snapshots: snapshots.length });
    for (const member of [id, ...snapshots]) {
      ids.push(member);
      groups.push(group);
    }
  }
  return { ids, groups, volumes };
}

function incompleteness(pool: string, { nodesUnread, patternsCut }: SpaceReport): readonly string[] {
  if (nodesUnread > 0) return [`${nodesUnread} map nodes of pool ${pool} cannot be read, and what they lead to is not counted`];
  if (!patternsCut) return [];
  return [
    `blocks of pool ${pool} are shared in more ways than are kept apart: what volumes free with their snapshots may be more`,
  ];
}
