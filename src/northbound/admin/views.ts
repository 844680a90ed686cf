/**
 * What this API shows of the things below, and what it asks of the daemon for the numbers that no verb yields. Wire fields
 * are named one by one, so that a change below never renames a field above.
 */
import type { ActivityView, KeySourceText, PoolView, ResourceView, StatusView, TransferView } from '../../api/shapes.js';
import type { Resource, TransferState } from '../../mapper/resources.js';

export interface PoolsView {
  /** Ordered by name. */
  list(): Promise<readonly PoolView[]>;
  /** @throws SkerryError not-found */
  get(name: string): Promise<PoolView>;
}

export interface PoolsVerbs {
  create(request: {
    readonly key?: KeySourceText;
    readonly name: string;
    readonly driver: string;
    readonly settings: Readonly<Record<string, string>>;
    readonly compression?: string;
  }): Promise<void>;
  set(name: string, settings: { readonly compression: string }): Promise<void>;
  changeKey(name: string, source: KeySourceText): Promise<void>;
  remove(name: string): Promise<void>;
}

export type StatusSource = () => Promise<StatusView>;
export type ActivitySource = () => Promise<ActivityView>;

export function viewResource(resource: Resource): ResourceView {
  return {
    id: resource.id,
    kind: resource.kind,
    name: resource.name,
    pool: resource.pool,
    sizeBytes: resource.sizeBytes,
    pending: resource.pending,
    unavailable: resource.unavailable,
    durability: resource.durability,
    cache: resource.cache,
    description: resource.description,
    createdAt: new Date(resource.createdAt).toISOString(),
    parent: resource.parent,
    rootId: resource.rootId,
    appliedSequence: resource.appliedSequence,
    attachedConnections: resource.attachedConnections,
    labels: { ...resource.labels },
    limit: { iops: resource.limit.iops, bandwidth: resource.limit.bandwidth, burst: resource.limit.burst },
    access:
      resource.access === null
        ? null
        : { grants: resource.access.grants.map(({ kind, client, readOnly }) => ({ kind, client, readOnly })) },
    compression: resource.compression,
  };
}

export function viewTransfer(transfer: TransferState): TransferView {
  return {
    id: transfer.id,
    state: transfer.state,
    doneBytes: transfer.doneBytes,
    totalBytes: transfer.totalBytes,
    dataBytes: transfer.dataBytes,
    error: transfer.error === null ? null : { code: transfer.error.code, message: transfer.error.message },
  };
}
