/**
 * The sparse stream of what differs between two resources (docs/formats/diff_stream.md). Reading is a state machine without
 * I/O: it is fed bytes as they come, and gives out frames whose sums hold.
 */
import xxhash from 'xxhash-addon';

import { SkerryError } from '../core/errors.js';

export const diff_stream_version = 2;
/** Of the payload of one frame. */
export const frame_data_bytes_max = 1 << 20;

const magic = 'SKDF';
/** Of version 1, which ends here; of version 2 the names come before the sum. */
const header_bytes = 32;
const header_names_at = 28;
const name_bytes_max = 128;
const frame_header_bytes = 24;
const sum_bytes = 8;
const kinds = { data: 1, zero: 2, end: 3 } as const;

export interface DiffHeader {
  /** Name of the older one: VOL, VOL@SNAP or an image's. Null in a stream of version 1, which has no names. */
  readonly from: string | null;
  /** Name of the newer one. */
  readonly to: string | null;
  /** Size of the older one, which the stream is to be applied to. */
  readonly fromBytes: number;
  /** Size of the newer one. */
  readonly toBytes: number;
}

export type DiffFrame =
  | { readonly kind: 'data'; readonly offset: number; readonly data: Uint8Array }
  | { readonly kind: 'zero'; readonly offset: number; readonly length: number };

export function encodeHeader({
  from,
  to,
  fromBytes,
  toBytes,
}: DiffHeader & { readonly from: string; readonly to: string }): Uint8Array {
  const bytes = Buffer.alloc(header_names_at + from.length + to.length + sum_bytes);
  bytes.write(magic, 0, 'latin1');
  bytes.writeUInt32LE(diff_stream_version, 4);
  bytes.writeBigUInt64LE(BigInt(fromBytes), 8);
  bytes.writeBigUInt64LE(BigInt(toBytes), 16);
  bytes.writeUInt16LE(from.length, 24);
  bytes.writeUInt16LE(to.length, 26);
  bytes.write(from + to, header_names_at, 'latin1');
  const end = bytes.length - sum_bytes;
  sumOf(bytes.subarray(0, end)).copy(bytes, end);
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
      const length = headerLength(this.#rest);
      if (length === null || this.#rest.length < length) return frames;
      this.#header = readHeader(this.#rest.subarray(0, length));
      this.#rest = this.#rest.subarray(length);
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

/** Null while too little of it has come to tell. @throws SkerryError */
function headerLength(bytes: Buffer): number | null {
  if (bytes.length < header_bytes) return null;
  if (bytes.toString('latin1', 0, 4) !== magic)
    throw new SkerryError('invalid', 'this is no diff stream: make one with skerry snapshot diff A B --stream FILE');
  const version = bytes.readUInt32LE(4);
  if (version > diff_stream_version) {
    throw new SkerryError(
      'unsupported',
      `the diff stream has version ${version}, and this Skerry reads up to ${diff_stream_version}: use a newer Skerry`,
    );
  }
  if (version === 0) throw damaged('its version is 0');
  if (version === 1) return header_bytes;
  const [from, to] = [bytes.readUInt16LE(24), bytes.readUInt16LE(26)];
  if (from > name_bytes_max || to > name_bytes_max) throw damaged('a name in it is longer than names are');
  return header_names_at + from + to + sum_bytes;
}

/** `bytes`: as many as headerLength said. */
function readHeader(bytes: Buffer): DiffHeader {
  const end = bytes.length - sum_bytes;
  if (!sumOf(bytes.subarray(0, end)).equals(bytes.subarray(end))) throw damaged('the sum of its header does not match');
  const sizes = { fromBytes: exact(bytes.readBigUInt64LE(8)), toBytes: exact(bytes.readBigUInt64LE(16)) };
  if (bytes.readUInt32LE(4) === 1) return { from: null, to: null, ...sizes };
  const split = header_names_at + bytes.readUInt16LE(24);
  return { from: readName(bytes.subarray(header_names_at, split)), to: readName(bytes.subarray(split, end)), ...sizes };
}

/** It comes from elsewhere and is shown to people, so it is a name or nothing. */
function readName(bytes: Buffer): string {
  const name = bytes.toString('latin1');
  if (!/^[a-z0-9][a-z0-9._@-]*$/.test(name)) throw damaged('a name in it is none');
  return name;
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
