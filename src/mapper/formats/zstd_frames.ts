/**
 * Whether a zstd stream is whole. Node's decompressor takes a stream that was cut off, or that ends in something else, for
 * one that ended: this walks the frames beside it (RFC 8878, section 3.1), without unpacking anything, and tells.
 */
import { Transform, type TransformCallback } from 'node:stream';

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

export class ZstdFrames {
  #state: State = { at: 'magic' };
  /** Bytes of the field that is being read, once it is whole. */
  readonly #field = Buffer.alloc(magic_bytes);
  #fieldBytes = 0;
  /** Bytes to pass over before the next field. */
  #skip = 0;
  #checksum = false;
  #frames = 0;

  /** @throws SkerryError invalid where something else stands than a frame. */
  walk(data: Uint8Array): void {
    for (let at = 0; at < data.length; ) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, data.length - at);
        this.#skip -= skipped;
        at += skipped;
        continue;
      }
      this.#field[this.#fieldBytes] = data[at] ?? 0;
      this.#fieldBytes += 1;
      at += 1;
      if (this.#fieldBytes < this.#wanted()) continue;
      this.#fieldBytes = 0;
      this.#state = this.#next();
    }
  }

  /** @throws SkerryError invalid where the stream ends inside a frame. */
  end(): void {
    if (this.#frames === 0 || this.#state.at !== 'magic' || this.#fieldBytes > 0 || this.#skip > 0)
      throw new SkerryError('invalid', 'the zstd stream is cut off');
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
    if (magic === frame_magic) return { at: 'descriptor' };
    // The low four bits are the user's.
    if ((magic & ~0xf) >>> 0 === skippable_magic) return { at: 'skippable length' };
    throw new SkerryError('invalid', 'something else than zstd stands behind the end of the zstd stream');
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
    if (type === blockType.reserved) throw new SkerryError('invalid', 'the zstd stream is damaged');
    const last = (header & 1) !== 0;
    this.#skip = (type === blockType.rle ? 1 : header >> 3) + (last && this.#checksum ? 4 : 0);
    return { at: last ? 'magic' : 'block header' };
  }
}

/** Passes on what it gets, and fails where that is not whole. */
export class ZstdCheck extends Transform {
  readonly #frames = new ZstdFrames();

  override _transform(data: Uint8Array, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      this.#frames.walk(data);
      done(null, data);
    } catch (error) {
      done(error as Error);
    }
  }

  override _flush(done: TransformCallback): void {
    try {
      this.#frames.end();
      done();
    } catch (error) {
      done(error as Error);
    }
  }
}
