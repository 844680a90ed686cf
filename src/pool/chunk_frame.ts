/**
 * The frame of small chunks: {magic, version, payload length} around a protobuf message, closed by an XXH3 over all before it:
 * fields may be added, and a torn or rotten chunk is never half believed. In an encrypted pool the message is encrypted, and one that is
 * not is refused.
 */
import type protobuf from 'protobufjs';
import xxhash from 'xxhash-addon';

import { SkerryError } from '../core/errors.js';
import { small_chunk_bytes_max } from '../core/limits.js';
import type { ChunkCipher } from './pool_secrets.js';

export const chunk_version = 1;
/** Of a chunk in an encrypted pool. */
export const encrypted_chunk_version = 2;
const header_bytes = 16;
const sum_bytes = 8;

export interface ChunkFrame {
  /** Four characters. */
  readonly magic: string;
  /** For messages: `root chunk`. */
  readonly what: string;
  readonly type: protobuf.Type;
  /** Its version where it is not encrypted as a whole; absent: chunk_version. */
  readonly version?: number;
  /** Absent: small_chunk_bytes_max. */
  readonly bytesMax?: number;
}

export function seal(frame: ChunkFrame, fields: Record<string, unknown>, cipher: ChunkCipher | null = null): Uint8Array {
  const message = frame.type.encode(frame.type.fromObject(fields)).finish();
  if (cipher === null) return framed(frame, message, frame.version ?? chunk_version);
  return framed(frame, cipher.seal(message, Buffer.from(frame.magic, 'latin1')), encrypted_chunk_version);
}

function framed(frame: ChunkFrame, payload: Uint8Array, version: number): Uint8Array {
  const bytes = header_bytes + payload.length + sum_bytes;
  const bytesMax = frame.bytesMax ?? small_chunk_bytes_max;
  if (bytes > bytesMax) throw new RangeError(`a ${frame.what} of ${bytes} bytes is over ${bytesMax}`);
  const sealed = Buffer.alloc(bytes);
  sealed.write(frame.magic, 0, 'latin1');
  sealed.writeUInt32LE(version, 4);
  sealed.writeUInt32LE(payload.length, 8);
  sealed.set(payload, header_bytes);
  sumOf(sealed.subarray(0, bytes - sum_bytes)).copy(sealed, bytes - sum_bytes);
  return new Uint8Array(sealed.buffer, sealed.byteOffset, sealed.length);
}

/**
 * The message's fields as protobufjs gives them, with defaults; bytes are views of `data` or of nobody else.
 * @throws SkerryError corrupt, or unsupported for a newer version, or denied for one that is encrypted where there is no cipher.
 */
export function unseal(
  frame: ChunkFrame,
  data: Uint8Array,
  cipher: ChunkCipher | null = null,
): Readonly<Record<string, unknown>> {
  const refuse = (why: string): never => {
    throw new SkerryError('corrupt', `a ${frame.what} cannot be read: ${why}`);
  };
  const sealed = Buffer.from(data.buffer, data.byteOffset, data.length);
  if (sealed.length < header_bytes + sum_bytes) return refuse('it is too short');
  if (sealed.toString('latin1', 0, 4) !== frame.magic) return refuse('it does not begin as one');
  // Where the sum stands may change with the version, so that is looked at first.
  const version = sealed.readUInt32LE(4);
  if (version > encrypted_chunk_version) {
    throw new SkerryError(
      'unsupported',
      `a ${frame.what} has version ${version}, and this Skerry reads up to ${encrypted_chunk_version}`,
    );
  }
  if (version === 0 || sealed.readUInt32LE(8) !== sealed.length - header_bytes - sum_bytes)
    return refuse('its length is not what it says');
  const end = sealed.length - sum_bytes;
  if (!sumOf(sealed.subarray(0, end)).equals(sealed.subarray(end))) return refuse('its sum does not match');
  const expected = frame.version ?? (cipher === null ? chunk_version : encrypted_chunk_version);
  if (version === encrypted_chunk_version && expected === chunk_version)
    throw new SkerryError('denied', `a ${frame.what} is encrypted: the pool's key is needed to read it`);
  // Whoever can write where the pool rests must not be believed without its key.
  if (version !== expected) return refuse('it is not encrypted, as all is in this pool');
  const payload = sealed.subarray(header_bytes, end);
  const opened = cipher === null ? payload : cipher.open(payload, sealed.subarray(0, 4));
  if (opened === null) return refuse('it was not written with the key of this pool');
  let fields: Record<string, unknown>;
  try {
    const message = frame.type.decode(opened);
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
