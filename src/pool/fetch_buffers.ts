/**
 * Memory that ranges of packs are fetched into, used again. Left to the collector of garbage it has that walk the whole heap after every few
 * mebibytes, which costs more than the fetches do.
 *
 * A buffer is free again when the engine says that it has read it. One whose fetch failed, or that nobody speaks of any more, is the
 * collector's as ever.
 */

/** Of memory that nobody uses: as much as one pool's fetches have in flight. */
const spare_bytes_max = 32 << 20;
/** Smaller ones cost nobody much. */
const small_bytes_max = 32 << 10;

export class FetchBuffers {
  /** By their sizes, which are powers of two. */
  readonly #spare = new Map<number, ArrayBuffer[]>();
  #spareBytes = 0;
  readonly #lent = new Map<number, ArrayBuffer>();
  /** What was taken; node gives out small buffers as parts of larger ones. */
  readonly #ours = new WeakSet<ArrayBuffer>();

  /** With anything in it. */
  take(bytes: number): Buffer {
    if (bytes <= small_bytes_max) return Buffer.allocUnsafe(bytes);
    const size = 2 ** Math.ceil(Math.log2(bytes));
    const spare = this.#spare.get(size)?.pop();
    if (spare !== undefined) this.#spareBytes -= size;
    const memory = spare ?? new ArrayBuffer(size);
    this.#ours.add(memory);
    return Buffer.from(memory, 0, bytes);
  }

  /** The engine reads the buffer, which was taken here, until it answers the errand with `returned`. */
  lend(errand: number, { buffer }: Buffer): void {
    if (buffer instanceof ArrayBuffer && this.#ours.has(buffer)) this.#lent.set(errand, buffer);
  }

  returned(errand: number): void {
    const memory = this.#lent.get(errand);
    if (memory === undefined) return;
    this.#lent.delete(errand);
    const size = memory.byteLength;
    // What was fetched in other sizes before is not fetched now.
    if (this.#spareBytes + size > spare_bytes_max) {
      this.#spare.clear();
      this.#spareBytes = 0;
    }
    const alike = this.#spare.get(size);
    if (alike === undefined) this.#spare.set(size, [memory]);
    else alike.push(memory);
    this.#spareBytes += size;
  }
}
