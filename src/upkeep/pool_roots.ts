/** Everything that may still be asked for in a pool, for runs over all of it. */
import type { ResourceRecord } from '../catalog/records.js';
import type { Driver } from '../driver/driver.js';
import type { TreeRootSpec } from '../engine/binding.js';
import type { Ledger } from '../mapper/ledger.js';
import { rootSpec } from '../mapper/resource_spec.js';
import { surveyPool } from '../pool/pool_survey.js';

export interface PoolSource {
  readonly ledger: Pick<Ledger, 'recordsIn'>;
  readonly pools: {
    names(): readonly string[];
    get(name: string): { readonly poolUuid: Uint8Array; readonly chunks: Pick<Driver, 'get' | 'list'> };
  };
}

/** Of all records, and of root chunks that no tombstone stands against: what either names is there for who recovers from it. */
export async function poolRoots({ ledger, pools }: PoolSource, pool: string): Promise<readonly TreeRootSpec[]> {
  const { poolUuid, chunks } = pools.get(pool);
  const survey = await surveyPool(chunks, poolUuid);
  const found = new Map<string, TreeRootSpec>();
  const add = ({ root }: Pick<ResourceRecord, 'root'>): void => {
    const spec = rootSpec(root);
    if (spec.id !== '') found.set(`${spec.id} ${spec.levels}`, spec);
  };
  for (const [id, { roots }] of survey.resources) if (!survey.tombstones.has(id)) roots.forEach(add);
  for await (const record of ledger.recordsIn(pool)) add(record);
  return [...found.values()];
}
