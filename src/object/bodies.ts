/**
 * What objects hold, as the object layer sees it: bytes that are written once, read in ranges, and shared by copies. A body's
 * bytes are durable before anything names them; what is never named, and what is named no more, is taken back.
 */
import type { Compare, TransactOutcome, Write } from '../catalog/catalog.js';
import type { Segment } from '../catalog/object_records.js';

/** A buffer that a reader of a body is handed has at most so many bytes. */
export const read_bytes_max = 1 << 20;

export interface BodyOrder {
  readonly pool: string;
  /** Who brings it; null: nobody knows. */
  readonly account: number | null;
  /** In whose course it comes, for logs; absent: of none. */
  readonly requestId?: string;
  /** Where it is known. Content of another length is refused. */
  readonly bytes: number | null;
  /** Taken as fast as it can be stored, and no faster; a chunk of pieceBuffers is held as long as it is needed; SmallContent is asked for once. What it throws ends the writing, and nothing of it stays. */
  readonly content: AsyncIterable<Uint8Array>;
  /** Of the content, to be found by: it goes into the record of the extent, where all of the body lies in one. */
  readonly sum?: Uint8Array;
}

/** `stale`: what it relies on is not so any more, and nothing was written; the body is to be stored once more. */
export type Naming = TransactOutcome | 'stale';

/** Durable, and not yet named. Exactly one of kept, abandon and leave is called. */
export interface StoredBody {
  readonly bytes: number;
  readonly segments: readonly Segment[];
  /** To be part of the transaction that names the segments. */
  readonly writes: readonly Write[];
  /** Makes the transaction that names the segments, where more has to hold than it says. Absent: it is one as any other. */
  readonly commit?: (compares: readonly Compare[], writes: readonly Write[]) => Promise<Naming>;
  /** That transaction was made. */
  kept(): void;
  /** It was not, and never will be. Rejects never. */
  abandon(): Promise<void>;
  /** Nobody knows: the next start finds out. */
  leave(): void;
}

export interface Bodies {
  /** @throws SkerryError invalid (incomplete-body) for content of another length than told; no-space; else of the engine. */
  write(order: BodyOrder): Promise<StoredBody>;
  /**
   * The segments' bytes one after another, in pieces that the reader may give back to pieceBuffers. Whoever reads holds the body for as long
   * (BodyHolds). Ends early without harm.
   */
  read(segments: Iterable<Segment> | AsyncIterable<Segment>): AsyncGenerator<Buffer, void>;
}
