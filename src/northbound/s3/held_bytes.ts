/** Bytes that wait for a signature, as they came: copied only where they came so small that the pieces would cost more than the bytes. */

const small_piece_bytes = 4096;
const gathered_bytes = 65_536;

export class HeldBytes {
  #pieces: Buffer[] = [];
  /** Where small pieces go; the last of the pieces, up to #used. */
  #gathering: Buffer | null = null;
  #used = 0;

  add(piece: Buffer): void {
    if (piece.length >= small_piece_bytes) {
      this.#close();
      this.#pieces.push(piece);
      return;
    }
    if (this.#gathering === null || this.#used + piece.length > this.#gathering.length) {
      this.#close();
      this.#gathering = Buffer.allocUnsafeSlow(gathered_bytes);
    }
    this.#used += piece.copy(this.#gathering, this.#used);
  }

  /** All of them, in order; holds nothing afterwards. */
  take(): Buffer[] {
    this.#close();
    const pieces = this.#pieces;
    this.#pieces = [];
    return pieces;
  }

  #close(): void {
    if (this.#gathering !== null && this.#used > 0) this.#pieces.push(this.#gathering.subarray(0, this.#used));
    this.#gathering = null;
    this.#used = 0;
  }
}
