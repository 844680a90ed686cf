/** What is told of, and by, a copy of a tree from one pool to another: native/carry/carrier.h, native/addon_carry.h. */
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
