/**
 * Root chunks and tombstones: what a pool alone must hold to tell of every resource (docs/formats/root_chunk.md). A frame
 * {magic, version, payload length} around a protobuf message, closed by an XXH3 over all before it: fields may be added,
 * and a torn or rotten chunk is never half believed.
 */
import protobuf from 'protobufjs';
import xxhash from 'xxhash-addon';

import { SkerryError } from '../core/errors.js';
import { small_chunk_bytes_max } from '../core/limits.js';
import { chunkKey, type ChunkKey } from '../driver/driver.js';

export const root_chunk_version = 1;
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
const header_bytes = 16;
const sum_bytes = 8;

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
type Frame = typeof rootFrame;

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

export function encodeRootChunk(chunk: RootChunk): Uint8Array {
  if (chunk.poolUuid.length !== 16) throw new RangeError('a pool uuid has 16 bytes');
  if (chunk.root.id.length !== 0 && chunk.root.id.length !== 32) throw new RangeError('a root id has 32 bytes or none');
  const { lineage, labels, ...fields } = chunk;
  // Later than the first fields: left out where they say nothing.
  const later = { ...(lineage === 0 ? {} : { lineage }), ...(Object.keys(labels).length === 0 ? {} : { labels }) };
  return seal(rootFrame, { ...fields, ...later, kind: kinds.indexOf(chunk.kind) + 1 });
}

/** @throws SkerryError corrupt, or unsupported for a newer version. */
export function decodeRootChunk(data: Uint8Array): RootChunk {
  const fields = unseal(rootFrame, data);
  const kind = kinds[fields.kind - 1];
  if (kind === undefined || fields.id === 0 || fields.poolUuid.length !== 16 || ![0, 32].includes(fields.root?.id.length ?? -1)) {
    throw new SkerryError('corrupt', 'a root chunk has a sound sum, and fields that cannot be');
  }
  return { ...fields, kind };
}

export function encodeTombstone(tombstone: Tombstone): Uint8Array {
  if (tombstone.poolUuid.length !== 16) throw new RangeError('a pool uuid has 16 bytes');
  return seal(tombstoneFrame, { ...tombstone, kind: kinds.indexOf(tombstone.kind) + 1 });
}

/** @throws SkerryError corrupt, or unsupported for a newer version. */
export function decodeTombstone(data: Uint8Array): Tombstone {
  const { poolUuid, id, kind: kindNumber, name, deletedAt } = unseal(tombstoneFrame, data);
  const kind = kinds[kindNumber - 1];
  if (kind === undefined || id === 0 || poolUuid.length !== 16) {
    throw new SkerryError('corrupt', 'a tombstone has a sound sum, and fields that cannot be');
  }
  return { poolUuid, id, kind, name, deletedAt };
}

function seal(frame: Frame, fields: Record<string, unknown>): Uint8Array {
  const payload = frame.type.encode(frame.type.fromObject(fields)).finish();
  const bytes = header_bytes + payload.length + sum_bytes;
  if (bytes > small_chunk_bytes_max) throw new RangeError(`a ${frame.what} of ${bytes} bytes is over ${small_chunk_bytes_max}`);
  const sealed = Buffer.alloc(bytes);
  sealed.write(frame.magic, 0, 'latin1');
  sealed.writeUInt32LE(root_chunk_version, 4);
  sealed.writeUInt32LE(payload.length, 8);
  sealed.set(payload, header_bytes);
  sumOf(sealed.subarray(0, bytes - sum_bytes)).copy(sealed, bytes - sum_bytes);
  return new Uint8Array(sealed.buffer, sealed.byteOffset, sealed.length);
}

type Decoded = Omit<RootChunk, 'kind'> & Omit<Tombstone, 'kind'> & { readonly kind: number };

function unseal(frame: Frame, data: Uint8Array): Decoded {
  const refuse = (why: string): never => {
    throw new SkerryError('corrupt', `a ${frame.what} cannot be read: ${why}`);
  };
  const sealed = Buffer.from(data.buffer, data.byteOffset, data.length);
  if (sealed.length < header_bytes + sum_bytes) return refuse('it is too short');
  if (sealed.toString('latin1', 0, 4) !== frame.magic) return refuse('it does not begin as one');
  // Where the sum stands may change with the version, so that is looked at first.
  const version = sealed.readUInt32LE(4);
  if (version > root_chunk_version) {
    throw new SkerryError(
      'unsupported',
      `a ${frame.what} has version ${version}, and this Skerry reads up to ${root_chunk_version}`,
    );
  }
  if (version === 0 || sealed.readUInt32LE(8) !== sealed.length - header_bytes - sum_bytes)
    return refuse('its length is not what it says');
  const end = sealed.length - sum_bytes;
  if (!sumOf(sealed.subarray(0, end)).equals(sealed.subarray(end))) return refuse('its sum does not match');
  try {
    const message = frame.type.decode(sealed.subarray(header_bytes, end));
    const fields = frame.type.toObject(message, { longs: Number, defaults: true, objects: true, bytes: Uint8Array }) as Decoded;
    return unpooled(fields);
  } catch (cause) {
    throw new SkerryError('corrupt', `a ${frame.what} has a sound sum and cannot be decoded`, { cause });
  }
}

/** The byte fields as plain arrays of their own, for they are views of what was read. */
function unpooled(fields: Decoded): Decoded {
  const poolUuid = Uint8Array.from(fields.poolUuid);
  const root = fields.root as RootOfChunk | null | undefined;
  return root === null || root === undefined
    ? { ...fields, poolUuid }
    : { ...fields, poolUuid, root: { ...root, id: Uint8Array.from(root.id) } };
}

/** XXH3-64 with seed 0, big-endian as the package gives it (XXH's canonical form). */
function sumOf(data: Buffer): Buffer {
  return xxhash.XXHash3.hash(data);
}

function hex(value: number): string {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} cannot stand in a chunk key`);
  return value.toString(16).padStart(16, '0');
}
