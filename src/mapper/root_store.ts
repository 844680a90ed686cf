/** Where roots are kept so that a pool alone tells of its resources. The pool is one; the mapper asks no more of it. */
import type { ResourceKind, ResourceRecord } from '../catalog/records.js';

/** What a pool keeps of a resource beside its root: enough to tell what it is without the catalog. */
const keptFields = [
  'id',
  'kind',
  'name',
  'fence',
  'sizeBytes',
  'appliedSequence',
  'root',
  'durability',
  'cache',
  'description',
  'createdAt',
  'parentId',
  'parentName',
  'pendingOf',
  'lineage',
  'labels',
  'limit',
  'access',
  'log',
  'shelf',
] as const satisfies readonly (keyof ResourceRecord)[];

export type KeptRoot = Pick<ResourceRecord, (typeof keptFields)[number]>;

export interface RootStore {
  /** Resolves once it is durable. */
  putRoot(root: KeptRoot): Promise<unknown>;
  /** Resolves once the root chunks that were superseded so far are gone, or could not be removed. */
  rootsSettled(id: number): Promise<void>;
  /** Resolves once it is durable. Idempotent. */
  putTombstone(tombstone: { readonly id: number; readonly kind: ResourceKind; readonly name: string }): Promise<unknown>;
  /** @throws SkerryError unsupported where the backend does not take chunks as large as those of a log */
  mustTakeLogs(): void;
  /** Until the answer is called no chunk of the volume's log is put: a pool that is to be enough alone has to know of the volume first. */
  holdLog(id: number): () => void;
  /** Removes what there is of the volume's log. Idempotent. */
  forgetLog(id: number): Promise<void>;
}

/** The stores of all pools. */
export interface RootStores {
  /** @throws SkerryError not-found where there is no such pool */
  of(pool: string): RootStore;
}

export function keptRoot(record: ResourceRecord): KeptRoot {
  // Every field is there, which the compiler cannot see of entries.
  return Object.fromEntries(keptFields.map((field) => [field, record[field]])) as unknown as KeptRoot;
}
