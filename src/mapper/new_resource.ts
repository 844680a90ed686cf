/** Resources that are new: what a record says that was told no more, and how the catalog and the engine hear of it. */
import type { Write } from '../catalog/catalog.js';
import { emptyRoot, noLimit, type ResourceRecord } from '../catalog/records.js';
import type { NativeEngine } from '../engine/binding.js';
import type { Ledger } from './ledger.js';
import { resourceSpec } from './resource_spec.js';

/** Of what is first written here. It grows when another host takes over; a daemon with a catalog of its own is never taken over. */
export const first_fence = 1;

export type NewRecord = Pick<ResourceRecord, 'id' | 'kind' | 'name' | 'pool' | 'sizeBytes' | 'createdAt'> &
  Partial<ResourceRecord>;

export function newRecord(basis: NewRecord): ResourceRecord {
  return {
    state: 'ready',
    durability: 'local',
    cache: 'writeback',
    description: '',
    parentId: 0,
    parentName: '',
    root: emptyRoot,
    // Of the resource's own writes: those that a clone's root holds were another's.
    appliedSequence: 0,
    fence: first_fence,
    pendingOf: 0,
    lineage: 0,
    labels: {},
    limit: noLimit,
    access: null,
    compression: 'inherit',
    log: null,
    ...basis,
  };
}

/**
 * The catalog first: what the engine alone knew of would be nobody's after a crash.
 * `rootDue`: its content is known, so that upkeep puts its root chunk. `anchor`: what it waits for, which the engine has. `also`: of the same transaction.
 * @throws SkerryError exists; of the catalog
 */
export async function insertResource(
  { ledger, engine }: { readonly ledger: Ledger; readonly engine: Pick<NativeEngine, 'add'> },
  record: ResourceRecord,
  {
    rootDue = false,
    anchor,
    also,
  }: { readonly rootDue?: boolean; readonly anchor?: ResourceRecord; readonly also?: readonly Write[] } = {},
): Promise<void> {
  const before = anchor === undefined ? [] : [{ change: 'insert', record: anchor } as const];
  await ledger.commit([...before, { change: 'insert', record, rootDue }], also);
  engine.add(resourceSpec(record));
}
