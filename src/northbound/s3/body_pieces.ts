/** A body that comes over a socket, in pieces as large as they are stored in. */
import type { Readable } from 'node:stream';

import { freeChunk, piece_bytes, pieceBuffers } from '../../object/piece_buffers.js';
import { ClientGone } from './client_gone.js';

/** Filled, and not asked for yet. */
const ahead_max = 1;

export interface Coming {
  /** Expected; more are taken all the same. */
  readonly bytes: number;
  /** What is yielded is of pieceBuffers, and let go when the next is asked for; or left to who gets it. */
  readonly pieces: 'kept' | 'let go';
  readonly onReceived: (bytes: number) => void;
  /** What it is wrapped in; absent: it comes as it stands. */
  readonly framing?: Framing;
}

export interface Framing {
  /** The body's own of what came, in its order, goes to `onBytes`. @throws whatever is wrong with it, and takes nothing more then */
  unwrap(chunk: Buffer, onBytes: (part: Buffer) => void): void;
  /** @throws where the body is not whole */
  end(): void;
}

/** What is left where the reader ends early stays in the stream. @throws Error where that ends early */
export async function* piecesOf(incoming: Readable, coming: Coming): AsyncGenerator<Buffer, void> {
  const filling = new Filling(incoming, coming);
  try {
    for (;;) {
      const piece = await filling.next();
      if (piece === null) return;
      yield piece;
      if (coming.pieces === 'let go') pieceBuffers.letGo(piece);
    }
  } finally {
    filling.stop();
  }
}

class Filling {
  readonly #incoming: Readable;
  readonly #onReceived: (bytes: number) => void;
  readonly #framing: Framing | null;
  readonly #full: Buffer[] = [];
  #left: number;
  #piece: Buffer | null = null;
  #filled = 0;
  #ended = false;
  #failure: Error | null = null;
  #wake: () => void = () => undefined;

  constructor(incoming: Readable, { bytes, onReceived, framing }: Coming) {
    this.#incoming = incoming;
    this.#left = bytes;
    this.#onReceived = onReceived;
    this.#framing = framing ?? null;
    if (incoming.destroyed) this.#failure = incoming.errored ?? new ClientGone();
    incoming.on('end', this.#onEnd).on('error', this.#onFailure).on('close', this.#onFailure).on('data', this.#onChunk);
    incoming.resume();
  }

  /** null at its end. */
  async next(): Promise<Buffer | null> {
    for (;;) {
      const piece = this.#full.shift();
      if (piece !== undefined) {
        if (this.#incoming.isPaused()) this.#incoming.resume();
        return piece;
      }
      if (this.#ended) return this.#rest();
      if (this.#failure !== null) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  stop(): void {
    const incoming = this.#incoming;
    incoming.off('end', this.#onEnd).off('error', this.#onFailure).off('close', this.#onFailure).off('data', this.#onChunk);
    incoming.pause();
  }

  #rest(): Buffer | null {
    const piece = this.#piece;
    this.#piece = null;
    return piece === null ? null : piece.subarray(0, this.#filled);
  }

  readonly #onChunk = (chunk: Buffer): void => {
    this.#onReceived(chunk.length);
    if (this.#failure !== null) return;
    if (this.#framing === null) this.#fill(chunk);
    else this.#unwrap(this.#framing, chunk);
    freeChunk(chunk);
  };

  #unwrap(framing: Framing, chunk: Buffer): void {
    try {
      framing.unwrap(chunk, this.#fill);
    } catch (error) {
      this.#fail(error);
    }
  }

  readonly #fill = (bytes: Buffer): void => {
    for (let at = 0; at < bytes.length; ) {
      this.#piece ??= pieceBuffers.take(this.#left > 0 ? Math.min(this.#left, piece_bytes) : piece_bytes);
      const copied = bytes.copy(this.#piece, this.#filled, at);
      this.#filled += copied;
      this.#left -= copied;
      at += copied;
      if (this.#filled < this.#piece.length) continue;
      this.#full.push(this.#piece);
      this.#piece = null;
      this.#filled = 0;
      if (this.#full.length >= ahead_max) this.#incoming.pause();
      this.#wake();
    }
  };

  readonly #onEnd = (): void => {
    try {
      this.#framing?.end();
      this.#ended = true;
      this.#wake();
    } catch (error) {
      this.#fail(error);
    }
  };

  readonly #onFailure = (error?: Error): void => this.#fail(error ?? new ClientGone());

  #fail(failure: unknown): void {
    if (!this.#ended) this.#failure ??= failure instanceof Error ? failure : new Error(String(failure));
    this.#wake();
  }
}
