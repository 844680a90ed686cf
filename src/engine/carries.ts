/** Copies of trees from one pool to another, and trees made of parts of others: native/carry/, native/addon_carry.h. */
import type { CompressionSpec, TreeRootSpec } from './binding.js';

export interface CarryOrder {
  /** Names of pools. */
  readonly source: string;
  readonly target: string;
  /** Of the source. `from` is what `have` holds already; both empty at first. Each is a resource's root, or held by a copy that was not released. */
  readonly from: TreeRootSpec;
  readonly to: TreeRootSpec;
  /** Of the target: what the last copy made, or a point that was kept. */
  readonly have: TreeRootSpec;
  /** Block below which `have` equals `to` already: of a point that was kept, else 0. */
  readonly next: number;
  /** Of the volume at `to`. */
  readonly blocks: number;
  /** null: as the target pool does. */
  readonly compression: CompressionSpec | null;
  /** Without resting. */
  readonly hurry: boolean;
}

/** No block is read or put for it: native/carry/splicer.h. */
export interface SpliceOrder {
  /** Name of the pool that all roots are in. */
  readonly pool: string;
  /** Blocks of the new volume. */
  readonly blocks: number;
  /** In the order of `at`, none over another. Roots as those of CarryOrder. */
  readonly parts: readonly SplicePart[];
}

export interface SplicePart {
  readonly from: TreeRootSpec;
  /** Blocks [first, first + blocks) of it become blocks from `at` on. */
  readonly first: number;
  readonly blocks: number;
  readonly at: number;
}

/** A root of the target that equals the source's in all blocks below `next`, and holds what `from` does in the others. */
export interface CarryPoint {
  readonly root: TreeRootSpec;
  readonly next: number;
}

export interface CarryReport {
  readonly blocks: number;
  readonly blocksDone: number;
  /** Read: some the target had, the others it has now, in so many bytes of packs. */
  readonly carriedBlocks: number;
  readonly foundBlocks: number;
  readonly putBlocks: number;
  readonly putBytes: number;
  /** Of holes that were none before. */
  readonly cutRanges: number;
  /** Rotten in the source, and from now on lost in the target: whoever gives up the source looks here first. */
  readonly lostPages: number;
  readonly firstLostPage: number | null;
  readonly nodesCompared: number;
  /** How far it is; at the end the whole root, which is durable. null before the first step. */
  readonly point: CarryPoint | null;
}

export interface TreeCarrier {
  /**
   * Copies a tree to another pool, under a number of the caller's choice; resolves once its root is durable there. 'try-again' while a copy
   * runs under it, 'not-found' where a pool or a root of the source is gone, 'closed' once released. What ended, well or not, stays held until
   * it is released, or followed by another copy under its number.
   */
  carry(what: 'carry', id: number, order: CarryOrder): Promise<CarryReport>;
  /** Makes a tree of parts of others of one pool, under a number as a copy has it, which is then kept and released as one. */
  carry(what: 'splice', id: number, order: SpliceOrder): Promise<CarryReport>;
  /** How far it is; 'not-found' where there is none. */
  carry(what: 'carried', id: number): Promise<CarryReport>;
  /**
   * The last durable point, which a later life may go on from; null before the first. It is held until two later ones were asked for:
   * who asks for the next has put this one into the catalog, and gives it to `collect` as a root.
   */
  carry(what: 'keep', id: number): Promise<CarryPoint | null>;
  /** Ends it if it runs, and holds nothing of it any more. */
  carry(what: 'release', id: number): Promise<void>;
}
