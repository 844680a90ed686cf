/**
 * Memory for bodies on their way, used again. What is left to the collector of garbage instead has it walk the whole heap after every few
 * bodies, which costs more than all else that is done for them.
 *
 * Each piece has holders: who took it is the first, and whoever needs it past the moment that it was handed on is one more. Each lets it go
 * once; the last gives the memory back. A piece that somebody forgets, or that was never taken here, is the collector's as ever.
 */
export const piece_bytes = 1 << 20;
/** Of memory that nobody uses. */
const spare_bytes_max = 32 << 20;
/** Smaller ones cost nobody much. */
const small_bytes_max = 64 << 10;

export class PieceBuffers {
  readonly #holders = new WeakMap<ArrayBufferLike, number>();
  readonly #spare: ArrayBuffer[] = [];

  /** Up to piece_bytes, with anything in them. */
  take(bytes: number): Buffer {
    if (bytes > piece_bytes) throw new RangeError(`a piece has at most ${piece_bytes} bytes`);
    if (bytes <= small_bytes_max) return Buffer.allocUnsafe(bytes);
    const memory = this.#spare.pop() ?? Buffer.allocUnsafeSlow(piece_bytes).buffer;
    this.#holders.set(memory, 1);
    return Buffer.from(memory, 0, bytes);
  }

  /** The piece, or any view of it, stays as it is until that is let go, too. */
  hold(piece: Uint8Array): void {
    const holders = this.#holders.get(piece.buffer);
    if (holders !== undefined) this.#holders.set(piece.buffer, holders + 1);
  }

  /** Nobody who lets it go may look at it again. */
  letGo(piece: Uint8Array): void {
    const memory = piece.buffer;
    const holders = this.#holders.get(memory);
    if (holders === undefined) return;
    if (holders > 1) {
      this.#holders.set(memory, holders - 1);
      return;
    }
    this.#holders.delete(memory);
    if (memory instanceof ArrayBuffer && (this.#spare.length + 1) * piece_bytes <= spare_bytes_max) this.#spare.push(memory);
  }
}

export const pieceBuffers = new PieceBuffers();

/** Frees memory that a chunk has for itself at once. Nobody may have a view of it any more. */
export function freeChunk({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength) buffer.transfer(0);
}
