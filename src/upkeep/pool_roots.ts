/** Everything that may still be asked for in a pool, for runs over all of it. */
import type { ResourceRecord, RootRecord } from '../catalog/records.js';
import type { Driver } from '../driver/driver.js';
import type { TreeRootSpec } from '../engine/binding.js';
import type { Ledger } from '../mapper/ledger.js';
import { idLock, type KeyedLocks } from '../mapper/locks.js';
import { rootSpec } from '../mapper/resource_spec.js';
import { keptRoot, type RootStores } from '../mapper/root_store.js';
import { root_chunks_kept } from '../pool/pool.js';
import type { ChunkCipher } from '../pool/pool_secrets.js';
import { surveyPool, type PoolSurvey } from '../pool/pool_survey.js';

type Root = Pick<ResourceRecord, 'root'>;

export interface PoolSource {
  readonly ledger: Pick<Ledger, 'recordsIn'>;
  /** What is being copied to the pool or from it. */
  readonly underWay: { rootsIn(pool: string): readonly RootRecord[] };
  readonly pools: {
    names(): readonly string[];
    get(name: string): {
      readonly poolUuid: Uint8Array;
      readonly chunks: Pick<Driver, 'get' | 'list'>;
      /** Without it nothing that an encrypted pool says of its resources is understood. */
      readonly cipher: ChunkCipher | null;
    };
  };
}

export interface RenewalSource extends PoolSource {
  readonly ledger: Pick<Ledger, 'recordsIn' | 'get'>;
  readonly locks: KeyedLocks;
  readonly roots: RootStores;
  readonly log: (level: 'warn', message: string, fields?: Readonly<Record<string, unknown>>) => void;
}

/**
 * Of all records, of root chunks that no tombstone stands against, and of what is on its way to the pool or from it: what either names is
 * there for who recovers from it.
 */
export async function poolRoots(source: PoolSource, pool: string): Promise<readonly TreeRootSpec[]> {
  return rootsIn(source, pool, await survey(source, pool), new Set());
}

/**
 * The same, once nothing is kept for the past of resources that rest: their older root chunks, which are there should the newest rot, are
 * superseded by others of the root that it has now. `dryRun`: as if they were.
 */
export async function renewedRoots(
  source: RenewalSource,
  pool: string,
  { dryRun }: { readonly dryRun: boolean },
): Promise<readonly TreeRootSpec[]> {
  const found = await survey(source, pool);
  const renewed = new Set<number>();
  for (const [id, { roots }] of found.resources) {
    if (found.tombstones.has(id)) continue;
    try {
      if (await renew(source, id, roots, dryRun)) renewed.add(id);
    } catch (error) {
      // A disk without room for a root chunk needs the run all the more: what was not renewed counts with its past, here as for the others.
      source.log('warn', 'root chunks could not be renewed: their past is kept', { pool, id, error: String(error) });
      break;
    }
  }
  if (dryRun || renewed.size === 0) return rootsIn(source, pool, found, renewed);
  // What could not be removed still counts.
  return poolRoots(source, pool);
}

/** True where only the newest of its chunks counts, once the others have gone. */
async function renew(source: RenewalSource, id: number, chunks: readonly Root[], dryRun: boolean): Promise<boolean> {
  const [newest] = chunks;
  if (newest === undefined || chunks.every((chunk) => nameOf(chunk) === nameOf(newest))) return false;
  return source.locks.run([idLock(id)], async () => {
    const record = (await source.ledger.get(id))?.record;
    // One that changes has newer chunks soon, and what is not in the catalog has nothing but its chunks.
    if (record === undefined || record.name === '' || nameOf(record) !== nameOf(newest)) return false;
    if (dryRun) return true;
    const current = chunks.filter((chunk) => nameOf(chunk) === nameOf(newest)).length;
    const pool = source.roots.of(record.pool);
    for (let count = current; count < root_chunks_kept; count += 1) await pool.putRoot(keptRoot(record));
    await pool.rootsSettled(id);
    return true;
  });
}

async function survey({ pools }: PoolSource, pool: string): Promise<PoolSurvey> {
  const { poolUuid, chunks, cipher } = pools.get(pool);
  return surveyPool(chunks, poolUuid, cipher);
}

async function rootsIn(
  { ledger, underWay }: PoolSource,
  pool: string,
  { resources, tombstones }: PoolSurvey,
  renewed: ReadonlySet<number>,
): Promise<readonly TreeRootSpec[]> {
  const found = new Map<string, TreeRootSpec>();
  const add = (of: Root): void => {
    const spec = rootSpec(of.root);
    if (spec.id !== '') found.set(`${spec.id} ${spec.levels}`, spec);
  };
  for (const [id, { roots }] of resources) if (!tombstones.has(id) && !renewed.has(id)) roots.forEach(add);
  // Of one that is renewed the catalog has what its newest chunk has.
  for await (const record of ledger.recordsIn(pool)) add(record);
  for (const root of underWay.rootsIn(pool)) add({ root });
  return [...found.values()];
}

function nameOf({ root }: Root): string {
  const { id, levels } = rootSpec(root);
  return `${id} ${levels}`;
}
