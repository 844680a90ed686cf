/**
 * The sparse stream of what differs between two resources (docs/formats/diff_stream.md). Reading is a state machine without
 * I/O: it is fed bytes as they come, and gives out frames whose sums hold.
 */
import xxhash from 'xxhash-addon';

import { SkerryError } from '../core/errors.js';

export const diff_stream_version = 1;
/** Of the payload of one frame. */
export const frame_data_bytes_max = 1 << 20;

const magic = 'SKDF';
const header_bytes = 32;
const frame_header_bytes = 24;
const sum_bytes = 8;
const kinds = { data: 1, zero: 2, end: 3 } as const;

export interface DiffHeader {
  /** Size of the older one, which the stream is to be applied to. */
  readonly fromBytes: number;
  /** Size of the newer one. */
  readonly toBytes: number;
}

export type DiffFrame =
  | { readonly kind: 'data'; readonly offset: number; readonly data: Uint8Array }
  | { readonly kind: 'zero'; readonly offset: number; readonly length: number };

export function encodeHeader({ fromBytes, toBytes }: DiffHeader): Uint8Array {
  const bytes = Buffer.alloc(header_bytes);
  bytes.write(magic, 0, 'latin1');
  bytes.writeUInt32LE(diff_stream_version, 4);
  bytes.writeBigUInt64LE(BigInt(fromBytes), 8);
  bytes.writeBigUInt64LE(BigInt(toBytes), 16);
  sumOf(bytes.subarray(0, header_bytes - sum_bytes)).copy(bytes, header_bytes - sum_bytes);
  return bytes;
}

export function encodeFrame(frame: DiffFrame): Uint8Array {
  if (frame.kind === 'zero') return seal(kinds.zero, frame.offset, frame.length);
  if (frame.data.length > frame_data_bytes_max) throw new RangeError(`a frame of ${frame.data.length} bytes is too long`);
  return seal(kinds.data, frame.offset, frame.data.length, frame.data);
}

/** `frames`: how many came before; `changedBytes`: what they cover. */
export function encodeEnd(end: { readonly frames: number; readonly changedBytes: number }): Uint8Array {
  return seal(kinds.end, end.frames, end.changedBytes);
}

export class DiffReader {
  #rest: Buffer = Buffer.alloc(0);
  #header: DiffHeader | null = null;
  #frames = 0;
  #changedBytes = 0;
  #from = 0;
  #ended = false;

  /** Null until it has come. */
  get header(): DiffHeader | null {
    return this.#header;
  }

  /** Frames that are whole now, in order. @throws SkerryError corrupt, or unsupported for a newer version. */
  feed(bytes: Uint8Array): DiffFrame[] {
    this.#rest = this.#rest.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#rest, bytes]);
    const frames: DiffFrame[] = [];
    if (this.#header === null) {
      if (this.#rest.length < header_bytes) return frames;
      this.#header = readHeader(this.#rest.subarray(0, header_bytes));
      this.#rest = this.#rest.subarray(header_bytes);
    }
    for (let frame = this.#next(); frame !== null; frame = this.#next()) frames.push(frame);
    return frames;
  }

  /** After the last byte. @throws SkerryError corrupt where it is not whole. */
  finish(): void {
    if (!this.#ended) throw damaged('it ends too early');
  }

  #next(): DiffFrame | null {
    if (this.#ended) {
      if (this.#rest.length > 0) throw damaged('it goes on behind its end');
      return null;
    }
    if (this.#rest.length < frame_header_bytes) return null;
    const kind = this.#rest.readUInt32LE(0);
    const offset = exact(this.#rest.readBigUInt64LE(8));
    const length = exact(this.#rest.readBigUInt64LE(16));
    if (kind === kinds.data && length > frame_data_bytes_max) throw damaged('a frame is longer than frames are');
    const payload = kind === kinds.data ? length : 0;
    const whole = frame_header_bytes + payload + sum_bytes;
    if (this.#rest.length < whole) return null;
    const frame = this.#rest.subarray(0, whole);
    this.#rest = this.#rest.subarray(whole);
    if (!sumOf(frame.subarray(0, whole - sum_bytes)).equals(frame.subarray(whole - sum_bytes)))
      throw damaged('the sum of a frame does not match');
    if (kind === kinds.end) {
      if (offset !== this.#frames || length !== this.#changedBytes) throw damaged('frames are missing');
      this.#ended = true;
      return this.#next();
    }
    if (kind !== kinds.data && kind !== kinds.zero) throw damaged('a frame is of no known kind');
    if (length === 0 || offset < this.#from || offset + length > (this.#header?.toBytes ?? 0))
      throw damaged('a frame is out of its place');
    this.#frames += 1;
    this.#changedBytes += length;
    this.#from = offset + length;
    if (kind === kinds.zero) return { kind: 'zero', offset, length };
    return { kind: 'data', offset, data: frame.subarray(frame_header_bytes, frame_header_bytes + payload) };
  }
}

function readHeader(bytes: Buffer): DiffHeader {
  if (bytes.toString('latin1', 0, 4) !== magic)
    throw new SkerryError('invalid', 'this is no diff stream: make one with skerry snapshot diff A B --stream FILE');
  const version = bytes.readUInt32LE(4);
  if (version > diff_stream_version) {
    throw new SkerryError(
      'unsupported',
      `the diff stream has version ${version}, and this Skerry reads up to ${diff_stream_version}: use a newer Skerry`,
    );
  }
  const end = header_bytes - sum_bytes;
  if (version === 0 || !sumOf(bytes.subarray(0, end)).equals(bytes.subarray(end)))
    throw damaged('the sum of its header does not match');
  return { fromBytes: exact(bytes.readBigUInt64LE(8)), toBytes: exact(bytes.readBigUInt64LE(16)) };
}

function seal(kind: number, offset: number, length: number, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const bytes = Buffer.alloc(frame_header_bytes + data.length + sum_bytes);
  bytes.writeUInt32LE(kind, 0);
  bytes.writeBigUInt64LE(BigInt(offset), 8);
  bytes.writeBigUInt64LE(BigInt(length), 16);
  bytes.set(data, frame_header_bytes);
  const end = bytes.length - sum_bytes;
  sumOf(bytes.subarray(0, end)).copy(bytes, end);
  return bytes;
}

function exact(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged('a number in it is too large');
  return Number(value);
}

function damaged(why: string): SkerryError {
  return new SkerryError('corrupt', `the diff stream is damaged: ${why}`);
}

/** XXH3-64 with seed 0, in XXH's canonical (big-endian) form. */
function sumOf(data: Buffer): Buffer {
  return xxhash.XXHash3.hash(data);
}
