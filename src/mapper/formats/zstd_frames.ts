/**
 * Where the frames of a zstd stream begin and end (RFC 8878, section 3.1), found without unpacking anything. Node's
 * decompressor stops behind the first frame without a word, and takes a stream that was cut off for one that ended: so it is
 * given one frame at a time, and what is not whole is told here.
 */
import { SkerryError } from '../../core/errors.js';

const frame_magic = 0xfd2f_b528;
const skippable_magic = 0x184d_2a50;
const magic_bytes = 4;
const block_header_bytes = 3;
const blockType = { raw: 0, rle: 1, compressed: 2, reserved: 3 } as const;

type State =
  /** Between frames: here it may end. */
  | { readonly at: 'magic' }
  | { readonly at: 'skippable length' }
  | { readonly at: 'descriptor' }
  | { readonly at: 'block header' };

/** A run of bytes of one frame; those of skippable frames are left out. */
export interface FramePart {
  /** Counts up from 1. */
  readonly frame: number;
  readonly bytes: Uint8Array;
}

export class ZstdFrames {
  #state: State = { at: 'magic' };
  /** Bytes of the field that is being read, once it is whole. */
  readonly #field = Buffer.alloc(magic_bytes);
  #fieldBytes = 0;
  /** Bytes to pass over before the next field. */
  #skip = 0;
  #checksum = false;
  #frames = 0;
  /** Whether the frame that is being read, or was read last, holds nothing of the content. */
  #skippable = false;
  /** The begin of a frame, until its magic number is whole. */
  readonly #kept: Uint8Array[] = [];

  /** @throws SkerryError invalid where something else stands than a frame. */
  walk(data: Uint8Array): readonly FramePart[] {
    const parts: FramePart[] = [];
    let begin = 0;
    let at = 0;
    while (at < data.length) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, data.length - at);
        this.#skip -= skipped;
        at += skipped;
      } else {
        this.#field[this.#fieldBytes] = data[at] ?? 0;
        this.#fieldBytes += 1;
        at += 1;
        if (this.#fieldBytes === this.#wanted()) {
          this.#fieldBytes = 0;
          this.#state = this.#next();
        }
      }
      if (this.#state.at !== 'magic' || this.#fieldBytes > 0 || this.#skip > 0) continue;
      // Between two frames.
      this.#take(parts, data.subarray(begin, at));
      begin = at;
    }
    this.#take(parts, data.subarray(begin));
    return parts;
  }

  /** A magic number may come in several pieces, and only its end says whether its frame is one to skip. */
  #take(parts: FramePart[], bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const undecided = this.#state.at === 'magic' && this.#fieldBytes > 0;
    if (undecided) {
      this.#kept.push(Uint8Array.from(bytes));
      return;
    }
    const kept = this.#kept.splice(0);
    if (this.#skippable) return;
    for (const part of [...kept, bytes]) parts.push({ frame: this.#frames, bytes: part });
  }

  /** @throws SkerryError invalid where the stream ends inside a frame. */
  end(): void {
    if (this.#frames === 0 || this.#state.at !== 'magic' || this.#fieldBytes > 0 || this.#skip > 0)
      throw new SkerryError('corrupt', 'the zstd stream is cut off');
  }

  #wanted(): number {
    switch (this.#state.at) {
      case 'magic':
      case 'skippable length':
        return magic_bytes;
      case 'descriptor':
        return 1;
      case 'block header':
        return block_header_bytes;
    }
  }

  #next(): State {
    switch (this.#state.at) {
      case 'magic':
        return this.#magic();
      case 'skippable length':
        this.#skip = this.#field.readUInt32LE(0);
        return { at: 'magic' };
      case 'descriptor':
        return this.#descriptor(this.#field[0] ?? 0);
      case 'block header':
        return this.#block(this.#field.readUIntLE(0, block_header_bytes));
    }
  }

  #magic(): State {
    const magic = this.#field.readUInt32LE(0);
    this.#frames += 1;
    // The low four bits are the user's.
    this.#skippable = (magic & ~0xf) >>> 0 === skippable_magic;
    if (this.#skippable) return { at: 'skippable length' };
    if (magic === frame_magic) return { at: 'descriptor' };
    throw new SkerryError('corrupt', 'something else than zstd stands behind the end of the zstd stream');
  }

  #descriptor(descriptor: number): State {
    const singleSegment = (descriptor & 0x20) !== 0;
    this.#checksum = (descriptor & 0x04) !== 0;
    const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0;
    const size = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
    this.#skip = (singleSegment ? 0 : 1) + dictionary + size;
    return { at: 'block header' };
  }

  #block(header: number): State {
    const type = (header >> 1) & 3;
    if (type === blockType.reserved) throw new SkerryError('corrupt', 'the zstd stream is damaged');
    const last = (header & 1) !== 0;
    this.#skip = (type === blockType.rle ? 1 : header >> 3) + (last && this.#checksum ? 4 : 0);
    return { at: last ? 'magic' : 'block header' };
  }
}
