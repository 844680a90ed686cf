/**
 * One body on its way into shelves. It has one buffer that fills, and a bounded number that are being written, its own or what came as a
 * whole piece: so however long a body is, and however slowly it comes, it takes no more memory than that.
 */
import type { ShelfPlace } from '../catalog/object_keys.js';
import type { Segment } from '../catalog/object_records.js';
import { SkerryError } from '../core/errors.js';
import { page_bytes } from '../core/limits.js';
import { pieceBuffers, piece_bytes } from './piece_buffers.js';
import { unknown_extent_bytes, type Allocation, type ShelfSpace } from './shelf_space.js';
import type { ShelfWriter } from './shelf_writer.js';

const pieces_in_flight_max = 4;

export interface BodyWritingOptions {
  readonly place: ShelfPlace;
  /** null where nobody knows. */
  readonly bytes: number | null;
  readonly space: ShelfSpace;
  readonly writer: ShelfWriter;
  /** Hears of each piece that a shelf has taken. */
  readonly onWritten?: (shelf: number, bytes: number) => void;
}

interface Run {
  readonly allocation: Allocation;
  /** Written, or being written. */
  bytes: number;
}

export class BodyWriting {
  readonly #options: BodyWritingOptions;
  readonly #runs: Run[] = [];
  readonly #pieceBytes: number;
  #piece: Buffer | null = null;
  readonly #inFlight = new Set<Promise<void>>();
  #filled = 0;
  #bytes = 0;
  #failure: { readonly error: unknown } | null = null;

  constructor(options: BodyWritingOptions) {
    this.#options = options;
    const wanted = options.bytes === null ? piece_bytes : Math.min(piece_bytes, Math.max(options.bytes, 1));
    this.#pieceBytes = Math.ceil(wanted / page_bytes) * page_bytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get allocations(): readonly Allocation[] {
    return this.#runs.map(({ allocation }) => allocation);
  }

  /** What was written so far. */
  get segments(): readonly Segment[] {
    return this.#runs.map(({ allocation: { shelf, offset }, bytes }) => ({ shelf, extent: offset, start: 0, bytes }));
  }

  /** Durable when it resolves. @throws whatever content or engine do, once nothing of it is under way any more */
  async take(content: AsyncIterable<Uint8Array>): Promise<void> {
    try {
      for await (const chunk of content) await this.#add(chunk);
      this.#checkLength(this.#bytes === (this.#options.bytes ?? this.#bytes));
      await this.#writePiece(true);
    } finally {
      await Promise.all(this.#inFlight);
    }
    this.#throwIfFailed();
    for (const shelf of new Set(this.#runs.map(({ allocation }) => allocation.shelf))) await this.#options.writer.flush(shelf);
  }

  async #add(chunk: Uint8Array): Promise<void> {
    this.#bytes += chunk.length;
    this.#checkLength(this.#bytes <= (this.#options.bytes ?? this.#bytes));
    if (this.#isPiece(chunk)) {
      pieceBuffers.hold(chunk);
      this.#piece = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
      this.#filled = chunk.length;
      return await this.#writePiece(false);
    }
    for (let at = 0; at < chunk.length; ) {
      if (this.#filled === this.#pieceBytes) await this.#writePiece(false);
      this.#piece ??= pieceBuffers.take(this.#pieceBytes);
      const part = chunk.subarray(at, at + this.#pieceBytes - this.#filled);
      this.#piece.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
    }
  }

  /** It can be written as it is. Where nobody knows the length, only the end tells which is the last. */
  #isPiece(chunk: Uint8Array): boolean {
    return this.#options.bytes !== null && chunk.length === this.#pieceBytes && (this.#piece === null || this.#filled === 0);
  }

  #checkLength(sound: boolean): void {
    if (sound) return;
    const { bytes } = this.#options;
    throw new SkerryError('invalid', `a body of ${bytes} bytes was announced, and ${this.#bytes} or more came`, {
      reason: 'incomplete-body',
    });
  }

  async #writePiece(last: boolean): Promise<void> {
    const piece = this.#piece;
    if (piece === null) return;
    while (this.#inFlight.size >= pieces_in_flight_max) await Promise.race(this.#inFlight);
    this.#throwIfFailed();
    const bytes = this.#filled;
    const run = await this.#room(bytes, last);
    const padded = Math.ceil(bytes / page_bytes) * page_bytes;
    piece.fill(0, bytes, padded);
    this.#piece = null;
    this.#filled = 0;
    const { shelf, offset } = run.allocation;
    const at = offset + run.bytes;
    run.bytes += bytes;
    const writing = this.#options.writer
      .write(shelf, at, piece.subarray(0, padded))
      .then(() => this.#options.onWritten?.(shelf, bytes))
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#inFlight.delete(writing);
        // A write that waited for room reads it until now.
        pieceBuffers.letGo(piece);
      });
    this.#inFlight.add(writing);
  }

  /** Extents are whole numbers of pieces but for the last of a body, so no piece lies in two. */
  async #room(bytes: number, last: boolean): Promise<Run> {
    const current = this.#runs.at(-1);
    if (current !== undefined && current.bytes + bytes <= current.allocation.bytes) return current;
    const before = this.#runs.reduce((sum, run) => sum + run.bytes, 0);
    const { place, space, bytes: announced } = this.#options;
    const wanted =
      announced !== null
        ? announced - before
        : last
          ? bytes
          : Math.max(unknown_extent_bytes, 2 ** Math.ceil(Math.log2(Math.max(before, 1))));
    const allocation = await space.allocate(place, Math.min(wanted, space.extentBytesMax));
    const run = { allocation, bytes: 0 };
    this.#runs.push(run);
    return run;
  }

  #throwIfFailed(): void {
    if (this.#failure !== null) throw this.#failure.error;
  }
}
