/**
 * The frame of small chunks: {magic, version, payload length} around a protobuf message, closed by an XXH3 over all before it:
 * fields may be added, and a torn or rotten chunk is never half believed.
 */
import type protobuf from 'protobufjs';
import xxhash from 'xxhash-addon';

import { SkerryError } from '../core/errors.js';
import { small_chunk_bytes_max } from '../core/limits.js';

export const chunk_version = 1;
const header_bytes = 16;
const sum_bytes = 8;

export interface ChunkFrame {
  /** Four characters. */
  readonly magic: string;
  /** For messages: `root chunk`. */
  readonly what: string;
  readonly type: protobuf.Type;
}

export function seal(frame: ChunkFrame, fields: Record<string, unknown>): Uint8Array {
  const payload = frame.type.encode(frame.type.fromObject(fields)).finish();
  const bytes = header_bytes + payload.length + sum_bytes;
  if (bytes > small_chunk_bytes_max) throw new RangeError(`a ${frame.what} of ${bytes} bytes is over ${small_chunk_bytes_max}`);
  const sealed = Buffer.alloc(bytes);
  sealed.write(frame.magic, 0, 'latin1');
  sealed.writeUInt32LE(chunk_version, 4);
  sealed.writeUInt32LE(payload.length, 8);
  sealed.set(payload, header_bytes);
  sumOf(sealed.subarray(0, bytes - sum_bytes)).copy(sealed, bytes - sum_bytes);
  return new Uint8Array(sealed.buffer, sealed.byteOffset, sealed.length);
}

/**
 * The message's fields as protobufjs gives them, with defaults; bytes are views of `data`.
 * @throws SkerryError corrupt, or unsupported for a newer version.
 */
export function unseal(frame: ChunkFrame, data: Uint8Array): Readonly<Record<string, unknown>> {
  const refuse = (why: string): never => {
    throw new SkerryError('corrupt', `a ${frame.what} cannot be read: ${why}`);
  };
  const sealed = Buffer.from(data.buffer, data.byteOffset, data.length);
  if (sealed.length < header_bytes + sum_bytes) return refuse('it is too short');
  if (sealed.toString('latin1', 0, 4) !== frame.magic) return refuse('it does not begin as one');
  // Where the sum stands may change with the version, so that is looked at first.
  const version = sealed.readUInt32LE(4);
  if (version > chunk_version) {
    throw new SkerryError('unsupported', `a ${frame.what} has version ${version}, and this Skerry reads up to ${chunk_version}`);
  }
  if (version === 0 || sealed.readUInt32LE(8) !== sealed.length - header_bytes - sum_bytes)
    return refuse('its length is not what it says');
  const end = sealed.length - sum_bytes;
  if (!sumOf(sealed.subarray(0, end)).equals(sealed.subarray(end))) return refuse('its sum does not match');
  let fields: Record<string, unknown>;
  try {
    const message = frame.type.decode(sealed.subarray(header_bytes, end));
    fields = frame.type.toObject(message, { longs: Number, defaults: true, objects: true, bytes: Uint8Array });
  } catch (cause) {
    throw new SkerryError('corrupt', `a ${frame.what} has a sound sum and cannot be decoded`, { cause });
  }
  if (!isExact(fields)) return refuse('a number in it is larger than any that is written');
  return fields;
}

/** Numbers of 64 bits come as doubles: past 2^53 they would be others. */
function isExact(value: unknown): boolean {
  if (typeof value === 'number') return Number.isSafeInteger(value);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return true;
  return Object.values(value).every(isExact);
}

/** XXH3-64 with seed 0, big-endian as the package gives it (XXH's canonical form). */
function sumOf(data: Buffer): Buffer {
  return xxhash.XXHash3.hash(data);
}
