/**
 * Root chunks and tombstones: what a pool alone must hold to tell of every resource (docs/formats/root_chunk.md), in the frame
 * of chunk_frame.ts.
 */
import protobuf from 'protobufjs';

import { SkerryError } from '../core/errors.js';
import { chunkKey, type ChunkKey } from '../driver/driver.js';
import { seal, unseal } from './chunk_frame.js';
import type { ChunkCipher } from './pool_secrets.js';

export const rootChunkPrefix = 'root/';
export const tombstonePrefix = 'tomb/';

/** A resource as of one committed root: all that `pool recover` needs to make its catalog record again. */
export interface RootChunk {
  /** 16 bytes: a chunk that strayed in from another pool is refused. */
  readonly poolUuid: Uint8Array;
  readonly id: number;
  readonly kind: 'volume' | 'snapshot' | 'image';
  readonly name: string;
  readonly fence: number;
  /** Grows with each root chunk of the resource under one fence. The highest (fence, number) is the truth. */
  readonly number: number;
  readonly sizeBytes: number;
  /** Last write that the root holds. */
  readonly appliedSequence: number;
  readonly root: RootOfChunk;
  readonly durability: string;
  readonly cache: string;
  readonly description: string;
  /** Milliseconds since 1970: of the resource, and of this chunk. */
  readonly createdAt: number;
  readonly writtenAt: number;
  readonly parentId: number;
  readonly parentName: string;
  /** Id of what the root is still to come from; 0 where `root` is the content. */
  readonly pendingOf: number;
  /** Grows with each rollback of the volume. */
  readonly lineage: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Requests and bytes a second, and seconds; 0: none. */
  readonly limit: { readonly iops: number; readonly bandwidth: number; readonly burst: number };
  /** Who may attach it; null: whoever can connect. */
  readonly access: { readonly grants: readonly GrantOfChunk[] } | null;
  /** A volume that nobody sees: bodies of objects lie in it. */
  readonly shelf?: boolean;
  /** Where its log is, for one whose flushes reach the pool; else null. */
  readonly log: LogOfChunk | null;
}

/** As the catalog has it (src/catalog/log_record.ts), but for the journal, of which a pool knows nothing. */
export interface LogOfChunk {
  readonly fence: number;
  readonly from: number;
  readonly first: number;
  readonly older: { readonly fence: number; readonly from: number; readonly first: number; readonly until: number } | null;
}

export interface GrantOfChunk {
  readonly kind: (typeof grantKinds)[number];
  readonly client: string;
  readonly readOnly: boolean;
}

export interface RootOfChunk {
  /** 32 bytes, or none for an empty tree. */
  readonly id: Uint8Array;
  readonly levels: number;
  readonly pack: number;
  readonly offset: number;
  readonly storedBytes: number;
}

/** The resource is gone: nothing of it may be recovered, and GC may free what only it reached. */
export interface Tombstone {
  readonly poolUuid: Uint8Array;
  readonly id: number;
  readonly kind: 'volume' | 'snapshot' | 'image';
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly deletedAt: number;
}

const kinds = ['volume', 'snapshot', 'image'] as const;
const grantKinds = ['certificate', 'user'] as const;

const schema = protobuf.Root.fromJSON({
  nested: {
    Root: {
      fields: {
        id: { type: 'bytes', id: 1 },
        levels: { type: 'uint32', id: 2 },
        pack: { type: 'uint64', id: 3 },
        offset: { type: 'uint64', id: 4 },
        storedBytes: { type: 'uint64', id: 5 },
      },
    },
    RootChunk: {
      fields: {
        poolUuid: { type: 'bytes', id: 1 },
        id: { type: 'uint64', id: 2 },
        kind: { type: 'uint32', id: 3 },
        name: { type: 'string', id: 4 },
        fence: { type: 'uint64', id: 5 },
        number: { type: 'uint64', id: 6 },
        sizeBytes: { type: 'uint64', id: 7 },
        appliedSequence: { type: 'uint64', id: 8 },
        root: { type: 'Root', id: 9 },
        durability: { type: 'string', id: 10 },
        cache: { type: 'string', id: 11 },
        description: { type: 'string', id: 12 },
        createdAt: { type: 'uint64', id: 13 },
        writtenAt: { type: 'uint64', id: 14 },
        parentId: { type: 'uint64', id: 15 },
        parentName: { type: 'string', id: 16 },
        pendingOf: { type: 'uint64', id: 17 },
        lineage: { type: 'uint64', id: 18 },
        labels: { keyType: 'string', type: 'string', id: 19 } as protobuf.IMapField,
        limit: { type: 'Limit', id: 20 },
        access: { type: 'Access', id: 21 },
        shelf: { type: 'bool', id: 23 },
        log: { type: 'Log', id: 22 },
      },
    },
    Log: {
      fields: {
        fence: { type: 'uint64', id: 1 },
        from: { type: 'uint64', id: 2 },
        first: { type: 'uint64', id: 3 },
        older: { type: 'OlderLog', id: 4 },
      },
    },
    OlderLog: {
      fields: {
        fence: { type: 'uint64', id: 1 },
        from: { type: 'uint64', id: 2 },
        first: { type: 'uint64', id: 3 },
        until: { type: 'uint64', id: 4 },
      },
    },
    Limit: {
      fields: {
        iops: { type: 'uint64', id: 1 },
        bandwidth: { type: 'uint64', id: 2 },
        burst: { type: 'uint64', id: 3 },
      },
    },
    Access: { fields: { grants: { rule: 'repeated', type: 'Grant', id: 1 } } },
    Grant: {
      fields: {
        kind: { type: 'uint32', id: 1 },
        client: { type: 'string', id: 2 },
        readOnly: { type: 'bool', id: 3 },
      },
    },
    Tombstone: {
      fields: {
        poolUuid: { type: 'bytes', id: 1 },
        id: { type: 'uint64', id: 2 },
        kind: { type: 'uint32', id: 3 },
        name: { type: 'string', id: 4 },
        deletedAt: { type: 'uint64', id: 5 },
      },
    },
  },
});

const rootFrame = { magic: 'SKRT', what: 'root chunk', type: schema.lookupType('RootChunk') };
const tombstoneFrame = { magic: 'SKTB', what: 'tombstone', type: schema.lookupType('Tombstone') };

export function rootChunkKey(id: number, fence: number, number: number): ChunkKey {
  return chunkKey(`${rootChunksPrefix(id)}${hex(fence)}-${hex(number)}`);
}

/** Of the keys of all root chunks of one resource. */
export function rootChunksPrefix(id: number): string {
  return `${rootChunkPrefix}${hex(id)}/`;
}

export function tombstoneKey(id: number): ChunkKey {
  return chunkKey(`${tombstonePrefix}${hex(id)}`);
}

/** What a root chunk's key says, or null for a key that is not one. */
export function parseRootChunkKey(key: string): { readonly id: number; readonly fence: number; readonly number: number } | null {
  const match = /^root\/([0-9a-f]{16})\/([0-9a-f]{16})-([0-9a-f]{16})$/.exec(key);
  if (match === null) return null;
  const [id = 0, fence = 0, number = 0] = match.slice(1).map((digits) => Number.parseInt(digits, 16));
  return { id, fence, number };
}

/** The id that a tombstone's key names, or null for a key that is not one. */
export function parseTombstoneKey(key: string): number | null {
  const match = /^tomb\/([0-9a-f]{16})$/.exec(key);
  const id = Number.parseInt(match?.[1] ?? '0', 16);
  return Number.isSafeInteger(id) && id > 0 ? id : null;
}

/** `cipher`, here and below: of an encrypted pool. */
export function encodeRootChunk(chunk: RootChunk, cipher: ChunkCipher | null = null): Uint8Array {
  if (chunk.poolUuid.length !== 16) throw new RangeError('a pool uuid has 16 bytes');
  if (chunk.root.id.length !== 0 && chunk.root.id.length !== 32) throw new RangeError('a root id has 32 bytes or none');
  const { lineage, labels, limit, access, shelf, log, ...fields } = chunk;
  // Later than the first fields: left out where they say nothing.
  const later = {
    ...(lineage === 0 ? {} : { lineage }),
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
    ...(limit.iops === 0 && limit.bandwidth === 0 ? {} : { limit }),
    ...(access === null ? {} : { access: { grants: access.grants.map(numbered) } }),
    ...(shelf === true ? { shelf } : {}),
    ...(log === null
      ? {}
      : { log: { fence: log.fence, from: log.from, first: log.first, ...(log.older === null ? {} : { older: log.older }) } }),
  };
  return seal(rootFrame, { ...fields, ...later, kind: kinds.indexOf(chunk.kind) + 1 }, cipher);
}

/** @throws SkerryError corrupt, or unsupported for a newer version, or denied without the cipher it takes. */
export function decodeRootChunk(data: Uint8Array, cipher: ChunkCipher | null = null): RootChunk {
  const { shelf, ...fields } = unseal(rootFrame, data, cipher) as unknown as DecodedRoot;
  const kind = kinds[fields.kind - 1];
  const rootBytes = fields.root?.id.length ?? -1;
  if (
    kind === undefined ||
    fields.root === null ||
    fields.id === 0 ||
    fields.poolUuid.length !== 16 ||
    ![0, 32].includes(rootBytes)
  )
    throw impossible('root chunk');
  return {
    ...fields,
    kind,
    // Plain arrays of their own, for they are views of what was read.
    poolUuid: Uint8Array.from(fields.poolUuid),
    root: { ...fields.root, id: Uint8Array.from(fields.root.id) },
    limit: fields.limit ?? { iops: 0, bandwidth: 0, burst: 0 },
    access: fields.access === null ? null : { grants: fields.access.grants.map(grantOf) },
    ...(shelf === true ? { shelf } : {}),
  };
}

export function encodeTombstone(tombstone: Tombstone, cipher: ChunkCipher | null = null): Uint8Array {
  if (tombstone.poolUuid.length !== 16) throw new RangeError('a pool uuid has 16 bytes');
  return seal(tombstoneFrame, { ...tombstone, kind: kinds.indexOf(tombstone.kind) + 1 }, cipher);
}

/** @throws SkerryError corrupt, or unsupported for a newer version, or denied without the cipher it takes. */
export function decodeTombstone(data: Uint8Array, cipher: ChunkCipher | null = null): Tombstone {
  const { poolUuid, id, kind: kindNumber, name, deletedAt } = unseal(tombstoneFrame, data, cipher) as unknown as DecodedTombstone;
  const kind = kinds[kindNumber - 1];
  if (kind === undefined || id === 0 || poolUuid.length !== 16) throw impossible('tombstone');
  return { poolUuid: Uint8Array.from(poolUuid), id, kind, name, deletedAt };
}

/** As the schema has them: choices are numbers, and what a writer left out is null. */
type DecodedGrant = Omit<GrantOfChunk, 'kind'> & { readonly kind: number };
type DecodedRoot = Omit<RootChunk, 'kind' | 'root' | 'limit' | 'access'> & {
  readonly kind: number;
  readonly root: RootOfChunk | null;
  readonly limit: RootChunk['limit'] | null;
  readonly access: { readonly grants: readonly DecodedGrant[] } | null;
};
type DecodedTombstone = Omit<Tombstone, 'kind'> & { readonly kind: number };

function numbered({ kind, client, readOnly }: GrantOfChunk): DecodedGrant {
  return { kind: grantKinds.indexOf(kind) + 1, client, readOnly };
}

function grantOf({ kind: number, client, readOnly }: DecodedGrant): GrantOfChunk {
  const kind = grantKinds[number - 1];
  if (kind === undefined) throw impossible('root chunk');
  return { kind, client, readOnly };
}

function impossible(what: string): SkerryError {
  return new SkerryError('corrupt', `a ${what} has a sound sum, and fields that cannot be`);
}

function hex(value: number): string {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} cannot stand in a chunk key`);
  return value.toString(16).padStart(16, '0');
}
