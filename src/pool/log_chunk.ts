/**
 * Log chunks: what was written to a volume and flushed, and is in no root yet (docs/formats/log_chunk.md), in the frame of
 * chunk_frame.ts. What an entry is only the engine knows.
 */
import protobuf from 'protobufjs';

import { SkerryError } from '../core/errors.js';
import { log_chunk_bytes_max } from '../core/limits.js';
import { chunkKey, type ChunkKey } from '../driver/driver.js';
import { seal, unseal } from './chunk_frame.js';
import type { ChunkCipher } from './pool_secrets.js';

export interface LogChunk {
  /** 16 bytes: a chunk that strayed in from another pool is refused. */
  readonly poolUuid: Uint8Array;
  readonly volume: number;
  readonly fence: number;
  /** From 0, without gaps under one fence. */
  readonly number: number;
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** Chunks below this number were in the pool, or in a root, when this one was sealed: whoever misses one of them has lost it. */
  readonly settled: number;
  /** Records of the volume's journal, as native/volume/log_entry.h has them. */
  readonly entries: Uint8Array;
}

const schema = protobuf.Root.fromJSON({
  nested: {
    LogChunk: {
      fields: {
        poolUuid: { type: 'bytes', id: 1 },
        volume: { type: 'uint64', id: 2 },
        fence: { type: 'uint64', id: 3 },
        number: { type: 'uint64', id: 4 },
        firstSequence: { type: 'uint64', id: 5 },
        lastSequence: { type: 'uint64', id: 6 },
        entries: { type: 'bytes', id: 7 },
        settled: { type: 'uint64', id: 8 },
      },
    },
  },
});

const frame = { magic: 'SKLC', what: 'log chunk', type: schema.lookupType('LogChunk'), bytesMax: log_chunk_bytes_max };

/** Of the keys of all log chunks of one volume. */
export function logPrefix(volume: number): string {
  return `logs/${hex(volume)}/`;
}

export function logChunkKey({ volume, fence, number }: Pick<LogChunk, 'volume' | 'fence' | 'number'>): ChunkKey {
  return chunkKey(`${logPrefix(volume)}${hex(fence)}/${hex(number)}`);
}

/** What a log chunk's key says, or null for a key that is not one. */
export function parseLogChunkKey(key: string): Pick<LogChunk, 'volume' | 'fence' | 'number'> | null {
  const match = /^logs\/([0-9a-f]{16})\/([0-9a-f]{16})\/([0-9a-f]{16})$/.exec(key);
  if (match === null) return null;
  const [volume = 0, fence = 0, number = 0] = match.slice(1).map((digits) => Number.parseInt(digits, 16));
  return { volume, fence, number };
}

/** `cipher`, here and below: of an encrypted pool. */
export function encodeLogChunk(chunk: LogChunk, cipher: ChunkCipher | null = null): Uint8Array {
  if (chunk.poolUuid.length !== 16) throw new RangeError('a pool uuid has 16 bytes');
  return seal(frame, { ...chunk }, cipher);
}

/** @throws SkerryError corrupt, or unsupported for a newer version, or denied without the cipher it takes. */
export function decodeLogChunk(data: Uint8Array, cipher: ChunkCipher | null = null): LogChunk {
  const chunk = unseal(frame, data, cipher) as unknown as LogChunk;
  if (
    chunk.poolUuid.length !== 16 ||
    chunk.volume === 0 ||
    chunk.firstSequence > chunk.lastSequence ||
    chunk.settled > chunk.number
  )
    throw new SkerryError('corrupt', 'a log chunk has a sound sum, and fields that cannot be');
  const { buffer, byteOffset, length } = chunk.entries;
  return { ...chunk, poolUuid: Uint8Array.from(chunk.poolUuid), entries: new Uint8Array(buffer, byteOffset, length) };
}

function hex(value: number): string {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} cannot stand in a chunk key`);
  return value.toString(16).padStart(16, '0');
}
