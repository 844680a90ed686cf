/** Writes and trims of shelves: what the engine has no room for right now waits. */
import { setImmediate as nextTurn } from 'node:timers/promises';

import { isSkerryError, SkerryError } from '../core/errors.js';
import { page_bytes } from '../core/limits.js';
import { pause } from '../core/pause.js';
import type { NativeEngine } from '../engine/binding.js';

const room_pause_milliseconds = 10;

export type ShelfEngine = Pick<NativeEngine, 'read' | 'write' | 'flush'>;

export class ShelfWriter {
  readonly #engine: ShelfEngine;
  readonly #onTrim: () => void;
  /** By shelf: asked for, and not begun. */
  readonly #flushes = new Map<number, Promise<void>>();

  /** `onTrim`: hears of each, when it is done. */
  constructor(engine: ShelfEngine, onTrim: () => void = () => undefined) {
    this.#engine = engine;
    this.#onTrim = onTrim;
  }

  /** Whole pages. `data` is read until it resolves. */
  write(shelf: number, offset: number, data: Uint8Array): Promise<void> {
    return this.#withRoom(shelf, offset, data);
  }

  /** Of all pages that these bytes have a part in. */
  async trim(shelf: number, offset: number, bytes: number): Promise<void> {
    await this.#withRoom(shelf, offset, Math.ceil(bytes / page_bytes) * page_bytes);
    this.#onTrim();
  }

  /**
   * Of all that was written before. It begins when the event loop has handed out what has come, so that whoever writes in this turn has the same one: a
   * flush of the first alone would have all others wait for a second.
   */
  flush(shelf: number): Promise<void> {
    let flush = this.#flushes.get(shelf);
    if (flush === undefined) {
      flush = this.#flushNextTurn(shelf);
      this.#flushes.set(shelf, flush);
    }
    return flush;
  }

  async #flushNextTurn(shelf: number): Promise<void> {
    await nextTurn();
    this.#flushes.delete(shelf);
    try {
      await this.#engine.flush(shelf);
    } catch (error) {
      throw shelfFailure(error, shelf);
    }
  }

  async #withRoom(shelf: number, offset: number, what: Uint8Array | number): Promise<void> {
    for (;;) {
      try {
        await this.#engine.write(shelf, offset, what);
        return;
      } catch (error) {
        // The journal makes room as fast as it is destaged; a pool that is full says so with another code.
        if (!isSkerryError(error, 'try-again')) throw shelfFailure(error, shelf);
        await pause(room_pause_milliseconds);
      }
    }
  }
}

/** A shelf that the catalog has and the engine has not is of a pool that is not open. What lies in it is there, and nobody is told that it is not. */
export function shelfFailure(error: unknown, shelf: number): unknown {
  if (!isSkerryError(error, 'not-found')) return error;
  const message = `shelf ${shelf} cannot be reached, for its pool is not open: make the pool available again`;
  return new SkerryError('unavailable', message, { cause: error });
}
