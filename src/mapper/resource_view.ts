/** A record as those above the mapper see it. */
import type { ResourceRecord } from '../catalog/records.js';
import type { NativeEngine } from '../engine/binding.js';
import { rootIdText } from './resource_spec.js';
import type { Resource } from './resources.js';
import type { UnreadLogs } from './unread_logs.js';

export function viewOf(
  record: ResourceRecord,
  engine: Pick<NativeEngine, 'sizeBytes' | 'attached'>,
  unread: UnreadLogs,
): Resource {
  return {
    id: record.id,
    kind: record.kind,
    name: record.name,
    pool: record.pool,
    // A volume may have been resized since its last root was committed.
    sizeBytes: engine.sizeBytes(record.id) ?? record.sizeBytes,
    pending: record.pendingOf !== 0,
    unavailable: unread.reasonOf(record),
    durability: record.durability,
    cache: record.cache,
    description: record.description,
    createdAt: record.createdAt,
    parent: record.parentName === '' ? null : record.parentName,
    rootId: rootIdText(record.root),
    appliedSequence: record.appliedSequence,
    attachedConnections: engine.attached(record.id),
    labels: record.labels,
    limit: record.limit,
    access: record.access,
    compression: record.compression,
  };
}
