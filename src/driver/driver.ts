/**
 * Southbound: what a backend must do to hold a pool. Drivers know chunks and nothing above them. Each clause here is a law
 * of test/conformance/laws.ts, which runs on every driver, every filter and stacks of them.
 */
import { chunk_key_characters_max } from '../core/limits.js';
import { SkerryError } from '../core/errors.js';

declare const brand: unique symbol;

/**
 * Parts of a-z 0-9 . _ - joined by slashes; each part begins with a letter or digit. No key is the beginning of another
 * one's path: where there is `a`, there is no `a/b`.
 */
export type ChunkKey = string & { readonly [brand]: 'chunk key' };

export interface ChunkStat {
  readonly key: ChunkKey;
  readonly bytes: number;
}

/** What a driver can do. Declared, never sniffed. */
export interface DriverTraits {
  /** Largest chunk that put takes. A larger one is refused with too-large. */
  readonly chunkBytesMax: number;
  /** Calls that are worth having under way at once; the limit filter keeps to it. */
  readonly inFlightMax: number;
  /** A get, stat or list that begins after a put or remove resolved sees its outcome. */
  readonly readAfterWrite: boolean;
  /** Of lists, readAfterWrite says nothing: one shows a put or remove in the end, and until then may be as it was before. */
  readonly listsLate?: boolean;
  /** A put of other bytes under a taken key is refused with exists. Where false, such a put must never be made. */
  readonly refusesRewrite: boolean;
  /** A chunk with key K is the plain file `directory/K`: native threads may read it themselves, and place packs there. */
  readonly directPath?: { readonly directory: string };
  /** What is put is gone when the process ends: for trying things out. */
  readonly forgets?: boolean;
}

/**
 * One open place for immutable chunks. Failures are SkerryError with a code of the one table; every call ends in bounded
 * time; any number may be under way at once; after close() all but close() reject with closed.
 */
export interface Driver {
  readonly traits: DriverTraits;
  /**
   * Resolves once the chunk would survive a power cut. Until then a reader sees no chunk, or all of it, never a part.
   * Writing the same key with the same bytes again succeeds. `data` is not used after it settled.
   */
  put(key: ChunkKey, data: Uint8Array): Promise<void>;
  /**
   * Bytes read into `into` from `offset`, short only at the end (0 at or past it); null where there is no such chunk. Nothing is written to
   * `into` after it settled, whatever came of it: it is used again.
   */
  get(key: ChunkKey, offset: number, into: Uint8Array): Promise<number | null>;
  /** null where there is no such chunk. */
  stat(key: ChunkKey): Promise<ChunkStat | null>;
  /** Resolves once the chunk would stay away after a power cut. Removing an absent chunk succeeds. */
  remove(key: ChunkKey): Promise<void>;
  /**
   * Chunks whose key begins with `prefix` (of characters, not of parts), each once, in no promised order. One that comes
   * or goes meanwhile may be there or not; all others are.
   */
  list(prefix: string): AsyncIterable<ChunkStat>;
  /** Waits for what is under way, then frees everything. Idempotent. */
  close(): Promise<void>;
}

const key_part_characters_max = 200;
const keyPattern = new RegExp(
  `^[a-z0-9][a-z0-9._-]{0,${key_part_characters_max - 1}}(?:/[a-z0-9][a-z0-9._-]{0,${key_part_characters_max - 1}})*$`,
);

/** @throws SkerryError invalid for what is no chunk key. */
export function chunkKey(text: string): ChunkKey {
  const key = keyIfChunk(text);
  if (key === null) throw new SkerryError('invalid', `${JSON.stringify(text.slice(0, 80))} is no chunk key`);
  return key;
}

/** null for what is no chunk key: it lies where chunks do, and is somebody else's. */
export function keyIfChunk(text: string): ChunkKey | null {
  return text.length <= chunk_key_characters_max && keyPattern.test(text) ? (text as ChunkKey) : null;
}
