/** What of a disk can be taken over by naming blocks that are stored already, and what has to be copied. */
import { block_bytes } from '../core/limits.js';

/** Bytes of a resource, which follow those of the stretch before in the disk that is made. */
export interface Stretch {
  /** Resource id. */
  readonly resource: number;
  readonly offset: number;
  readonly bytes: number;
}

/** Blocks [first, first + blocks) of a resource, which become blocks from `at` on. */
export interface NamedBlocks {
  readonly resource: number;
  readonly first: number;
  readonly blocks: number;
  readonly at: number;
}

export interface SplicePlan {
  /** Of all stretches together. */
  readonly bytes: number;
  readonly named: readonly NamedBlocks[];
  /** What no block is named for. They begin at blocks, and end at blocks or where the disk does. */
  readonly copied: readonly { readonly offset: number; readonly bytes: number }[];
}

/** A block is named where all of it lies in one stretch, as a whole block of its resource. */
export function splicePlan(stretches: Iterable<Stretch>): SplicePlan {
  const named: NamedBlocks[] = [];
  const copied: { offset: number; bytes: number }[] = [];
  let at = 0;
  let covered = 0;
  const copyUntil = (end: number): void => {
    if (covered < end) copied.push({ offset: covered, bytes: end - covered });
  };
  for (const { resource, offset, bytes } of stretches) {
    const first = Math.ceil(at / block_bytes);
    const end = Math.floor((at + bytes) / block_bytes);
    const shift = (offset - at) / block_bytes;
    if (Number.isInteger(shift) && first < end) {
      copyUntil(first * block_bytes);
      named.push({ resource, first: first + shift, blocks: end - first, at: first });
      covered = end * block_bytes;
    }
    at += bytes;
  }
  copyUntil(at);
  return { bytes: at, named, copied };
}
