/**
 * The verbs on resources, as everything above calls them (admin API, NBD look-up). The implementation is mapper.ts; the
 * outcome of each is durable when its promise resolves. Failures are SkerryError with a code of src/core/errors.ts.
 */

import type { Readable } from 'node:stream';

import type { ExportOrder, ImportOrder } from './transfer_job.js';

export type ResourceKind = 'volume' | 'snapshot' | 'image';

/** One named thing: (root, size) and what is known of it. Sizes in bytes, times in milliseconds since 1970. */
export interface Resource {
  /** Never reused. */
  readonly id: number;
  readonly kind: ResourceKind;
  /** `vm1`, `vm1@before-upgrade`, `debian-12.raw`. */
  readonly name: string;
  readonly pool: string;
  readonly sizeBytes: number;
  /** Its root is not yet in the pool: its content is in the journal, and is served from there. */
  readonly pending: boolean;
  /** Why it cannot be used yet, and what to do; null where it can. */
  readonly unavailable: string | null;
  readonly durability: 'local' | 'pool';
  readonly cache: 'writeback' | 'writethrough';
  readonly description: string;
  readonly createdAt: number;
  /** Name of what it was cloned or taken from, if any, as of then. */
  readonly parent: string | null;
  /** 64 hexadecimal digits, '' for an empty tree. */
  readonly rootId: string;
  readonly appliedSequence: number;
  readonly attachedConnections: number;
  readonly labels: Readonly<Record<string, string>>;
  /** What its connections may use together; 0 where there is no limit. */
  readonly limit: VolumeLimit;
  /** Of a volume: who may attach it and its snapshots; null: whoever can connect. */
  readonly access: VolumeAccess | null;
  /** Of blocks that are written from now on; `inherit`: as its pool does (src/core/compression.ts). */
  readonly compression: string;
}

/** No grant: nobody may. */
export interface VolumeAccess {
  readonly grants: readonly Grant[];
}

export interface Client {
  /** certificate: of TLS, by its common name or a DNS name. user: of a Unix socket, by its id in digits. */
  readonly kind: 'certificate' | 'user';
  readonly client: string;
}

export interface Grant extends Client {
  readonly readOnly: boolean;
}

/** `anyone` takes the list away. Else `deny` takes clients off it and `allow` puts them on; a list that was not there begins. */
export interface AccessChange {
  readonly allow?: readonly Grant[];
  readonly deny?: readonly Client[];
  readonly anyone?: boolean;
}

export interface VolumeLimit {
  /** Requests a second. */
  readonly iops: number;
  /** Bytes a second. */
  readonly bandwidth: number;
  /** Seconds of either that may be used at once after a rest. */
  readonly burst: number;
}

/** Where `to` differs from `from`. Past the end of the older one its bytes count as zeroes. */
export interface Difference {
  readonly fromBytes: number;
  readonly toBytes: number;
  /** Ascending. What is told may be equal after all within a block of 64 KiB; what is not told is. */
  readonly ranges: readonly {
    readonly offset: number;
    readonly length: number;
    /** It reads zero now. */
    readonly zero: boolean;
  }[];
  /** Where to go on asking; null at the end. */
  readonly next: number | null;
}

export interface TransferState {
  readonly id: number;
  /** Of the source; of a compressed one as it is. */
  readonly doneBytes: number;
  /** 0 where only the end will tell. */
  readonly totalBytes: number;
  /** Bytes that were not holes or zeroes. */
  readonly dataBytes: number;
  readonly state: 'running' | 'done' | 'failed' | 'cancelled';
  readonly error: { readonly code: string; readonly message: string } | null;
}

export interface Page {
  /** Only the snapshots of this volume. */
  readonly volume?: string;
  /** Only names that come after this one. */
  readonly after?: string;
  /** Only those whose labels it says yes to: a page of them may cost more than it holds. */
  readonly matching?: (labels: Resource['labels']) => boolean;
  readonly resourcesMax?: number;
}

export interface Resources {
  create(request: {
    readonly name: string;
    readonly sizeBytes: number;
    readonly pool?: string;
    readonly durability?: 'local' | 'pool';
    readonly cache?: 'writeback' | 'writethrough';
    readonly description?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly compression?: string;
  }): Promise<Resource>;
  /** `source`: a volume, VOL@SNAP or an image. The new volume has its size. */
  clone(
    source: string,
    name: string,
    options?: {
      readonly cache?: 'writeback' | 'writethrough';
      readonly durability?: 'local' | 'pool';
      readonly description?: string;
      readonly labels?: Readonly<Record<string, string>>;
      readonly compression?: string;
    },
  ): Promise<Resource>;
  /** `name` is VOL@SNAP. */
  snapshot(name: string, options?: { readonly description?: string }): Promise<Resource>;
  /**
   * Holds for new connections; those that are there keep the size they began with, and what lies past a smaller one is refused.
   * What was cut off reads zero when it grows again. A smaller size without `shrink`: invalid.
   */
  resize(name: string, sizeBytes: number, options?: { readonly shrink?: boolean }): Promise<Resource>;
  /** `name` is VOL@SNAP: the volume becomes what the snapshot is. Later snapshots stay. Attached: conflict. */
  rollback(name: string): Promise<Resource>;
  /** The new name serves at once, and connections go on. Snapshots of a volume follow. */
  rename(kind: 'volume' | 'image', name: string, to: string): Promise<Resource>;
  /** Of a volume. A null takes a label away. */
  set(
    name: string,
    settings: {
      readonly labels?: Readonly<Record<string, string | null>>;
      readonly description?: string;
      readonly limit?: VolumeLimit;
      /** Holds for new connections; those that are there go on. */
      readonly access?: AccessChange;
      /** Of blocks that are written from here on; none that is there is stored anew. */
      readonly compression?: string;
    },
  ): Promise<Resource>;
  /** Costs by what differs. `from`, `to`: any two of volume, VOL@SNAP and image. */
  changes(from: string, to: string, offset?: number): Promise<Difference>;
  /** The same with its data, as docs/formats/diff_stream.md says. An attached volume as `to`: conflict. */
  diffStream(from: string, to: string): Promise<AsyncIterable<Uint8Array>>;
  /**
   * Makes a volume that is what a stream began with what it ended with. Attached: conflict. So is one that neither has a snapshot
   * with the name of what the stream began with nor was cloned from one, or that changed since; `anyBase`: only its size counts.
   */
  applyStream(name: string, bytes: AsyncIterable<Uint8Array>, options?: { readonly anyBase?: boolean }): Promise<Resource>;
  get(kind: ResourceKind, name: string): Promise<Resource>;
  /** Ordered by name: a page costs what is on it. */
  list(kind: ResourceKind, page?: Page): Promise<readonly Resource[]>;
  /** How many there are to list, and their sizes together; costs nothing. */
  total(kind: ResourceKind, pool?: string): { readonly count: number; readonly sizeBytes: number };
  /** A volume that is attached, or that has snapshots: conflict (the message names them). What was cloned from it lives on. */
  remove(kind: ResourceKind, name: string): Promise<void>;
  /** Imports a disk as an image; the name appears when the content is whole. */
  importImage(order: ImportOrder): Promise<TransferState>;
  /** Exports any resource, a volume as of now. An existing file: exists, unless it may be overwritten. */
  exportResource(order: ExportOrder): Promise<TransferState>;
  /** The content of an import that is a stream; resolves when the import has ended, with how. */
  receiveContent(transfer: number, content: Readable): Promise<TransferState>;
  /** The content of an export that is a stream. */
  sendContent(transfer: number): Readable;
  transfer(id: number): TransferState;
  cancelTransfer(id: number): void;
}
