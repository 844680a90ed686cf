/**
 * The seam's part that takes a resource from one pool to another while it is read and written (native/addon_switch.cc). The order:
 * hold; whoever copies brings what was told to the other pool and makes it durable there; expect; one catalog transaction gives the
 * record the other pool and root, and compares fence, lineage, applied sequence and old pool, and that no clone waits for the
 * resource; switch. Until that transaction a release, or a restart, leaves everything as it was; after it nothing but switch may follow.
 */
import type { TreeRootSpec } from './binding.js';

/** What a held resource was at one moment, all of which its pool has in this root. */
export interface HeldResource {
  /** That it is in. */
  readonly pool: string;
  readonly root: TreeRootSpec;
  /** Of a volume: the last write in the root. Later ones are in the journal, and lie over its copy as well. */
  readonly appliedSequence: number;
  readonly sizeBytes: number;
  readonly lineage: number;
  readonly fence: number;
}

export interface PoolSwitch {
  /**
   * Resolves once all that the resource held when this was called is in a committed root of its pool. From then on nothing of it is
   * destaged, what is written to it stays in the journal, which bounds how much that may be, and snapshots and rollbacks of it fail with
   * try-again. not-found, invalid: no such resource or pool, or it is there already. try-again: it is held. Where it rejects, or is
   * released before it resolves (not-found), the resource is held no longer.
   */
  switchPool(what: 'hold', resource: number, pool: string): Promise<HeldResource>;
  /**
   * `root`, in the pool that was named to hold, equals what was told, and is durable there: a collection leaves it there from here on.
   * no-space where that pool takes no writes; after it has resolved only a deleted resource keeps switch from succeeding.
   */
  switchPool(what: 'expect', resource: number, root: TreeRootSpec): Promise<void>;
  /**
   * The resource is in the other pool, as the catalog says by now. not-found: it was deleted. `logFence`: of a volume that flushes to its
   * pool, for its log there, which goes on after the sequence that is answered. From hold to here none of its flushes is answered, and
   * from here on none before a root there holds all up to that sequence.
   */
  switchPool(what: 'switch', resource: number, logFence?: number): Promise<number>;
  /** As before hold; not once the catalog says the other pool. */
  switchPool(what: 'release', resource: number): Promise<void>;
}
