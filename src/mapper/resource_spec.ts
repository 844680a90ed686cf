/** A catalog record as the engine wants to hear of it. */
import type { ResourceRecord, RootRecord } from '../catalog/records.js';
import { compressionOf } from '../core/compression.js';
import type { ResourceSpec, TreeRootSpec } from '../engine/binding.js';

export function resourceSpec(record: ResourceRecord): ResourceSpec {
  const { id, kind, pool, sizeBytes, appliedSequence, fence, pendingOf, lineage, limit } = record;
  return {
    id,
    kind,
    pool,
    sizeBytes,
    writethrough: record.cache === 'writethrough',
    flushesToPool: record.log !== null,
    root: rootSpec(record.root),
    appliedSequence,
    fence,
    pendingOf,
    lineage,
    limit,
    compression: compressionOf(record.compression),
    domain: record.domain ?? 0,
  };
}

export function rootSpec(root: RootRecord): TreeRootSpec {
  return { id: rootIdText(root), levels: root.levels, pack: root.pack, offset: root.offset, storedBytes: root.storedBytes };
}

/** 64 hexadecimal digits, '' for an empty tree. */
export function rootIdText(root: RootRecord): string {
  return Buffer.from(root.id).toString('hex');
}

/** Whether both are the same tree, wherever its top node was last seen. */
export function sameRoot(a: RootRecord, b: RootRecord): boolean {
  return a.levels === b.levels && rootIdText(a) === rootIdText(b);
}

export function rootRecord(root: TreeRootSpec): RootRecord {
  return {
    id: Uint8Array.from(Buffer.from(root.id, 'hex')),
    levels: root.levels,
    pack: root.pack,
    offset: root.offset,
    storedBytes: root.storedBytes,
  };
}
