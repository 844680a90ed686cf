/** Where roots are kept so that a pool alone tells of its resources. The pool is one; the mapper asks no more of it. */
import type { ResourceKind, ResourceRecord } from '../catalog/records.js';

export interface KeptRoot
  extends Pick<
    ResourceRecord,
    | 'id'
    | 'kind'
    | 'name'
    | 'fence'
    | 'sizeBytes'
    | 'appliedSequence'
    | 'root'
    | 'durability'
    | 'cache'
    | 'description'
    | 'createdAt'
    | 'parentId'
    | 'parentName'
    | 'pendingOf'
    | 'lineage'
    | 'labels'
  > {}

export interface RootStore {
  /** Resolves once it is durable. */
  putRoot(root: KeptRoot): Promise<unknown>;
  /** Resolves once it is durable. Idempotent. */
  putTombstone(tombstone: { readonly id: number; readonly kind: ResourceKind; readonly name: string }): Promise<unknown>;
}

/** The stores of all pools. */
export interface RootStores {
  /** @throws SkerryError not-found where there is no such pool */
  of(pool: string): RootStore;
}

export function keptRoot(record: ResourceRecord): KeptRoot {
  const {
    id,
    kind,
    name,
    fence,
    sizeBytes,
    appliedSequence,
    root,
    durability,
    cache,
    description,
    createdAt,
    parentId,
    parentName,
    pendingOf,
    lineage,
    labels,
  } = record;
  return {
    id,
    kind,
    name,
    fence,
    sizeBytes,
    appliedSequence,
    root,
    durability,
    cache,
    description,
    createdAt,
    parentId,
    parentName,
    pendingOf,
    lineage,
    labels,
  };
}
