/** Bodies in shelves: written through the engine's own path, so that what is proven of volumes holds of them. */
import type { Segment } from '../catalog/object_records.js';
import { extentKey, type ShelfPlace } from '../catalog/object_keys.js';
import { encodeExtent } from '../catalog/shelf_records.js';
import { page_bytes } from '../core/limits.js';
import { read_bytes_max, type Bodies, type BodyOrder, type StoredBody } from './bodies.js';
import { BodyWriting, type BodyWritingOptions } from './body_writing.js';
import { pieceBuffers } from './piece_buffers.js';
import type { Allocation, ShelfSpace } from './shelf_space.js';
import { SmallContent } from './small_content.js';
import { shelfFailure, type ShelfEngine, type ShelfWriter } from './shelf_writer.js';

/** Of one reader: the next piece is fetched while it takes the one before. */
const pieces_ahead_max = 2;

/** The domain of the blocks of who brings a body; `account` null: of all whom nobody knows. */
export type BlockDomain = (account: number | null) => number;

export interface EngineBodiesOptions extends Pick<BodyWritingOptions, 'onWritten'> {
  readonly engine: Pick<ShelfEngine, 'read'>;
  readonly writer: ShelfWriter;
  readonly space: ShelfSpace;
  /** Absent: all blocks are of their pool's own domain. */
  readonly blockDomain: BlockDomain | undefined;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
}

export class EngineBodies implements Bodies {
  readonly #options: EngineBodiesOptions;

  constructor(options: EngineBodiesOptions) {
    this.#options = options;
  }

  async write(order: BodyOrder): Promise<StoredBody> {
    const { pool, account, bytes, content } = order;
    const place = { pool, domain: this.#options.blockDomain?.(account) ?? null };
    if (content instanceof SmallContent) {
      const whole = await content.whole();
      if (whole.length > 0 && whole.length === bytes) return this.#writeWhole(order, place, whole);
      return this.#writePieces(order, place, new SmallContent(async () => whole));
    }
    return this.#writePieces(order, place, content);
  }

  async #writePieces(order: BodyOrder, place: ShelfPlace, content: BodyOrder['content']): Promise<StoredBody> {
    const writing = new BodyWriting({ ...this.#options, place, bytes: order.bytes });
    try {
      await writing.take(content);
    } catch (error) {
      await this.#trim(writing.allocations, order.requestId);
      throw error;
    }
    const { bytes, segments, allocations } = writing;
    return this.#stored(order, bytes, segments, allocations);
  }

  /** What is there at once needs no buffers, and one extent. */
  async #writeWhole(order: BodyOrder, place: ShelfPlace, whole: Uint8Array): Promise<StoredBody> {
    const { space, writer, onWritten } = this.#options;
    const bytes = whole.length;
    const allocation = await space.allocate(place, bytes);
    const { shelf, offset } = allocation;
    try {
      await writer.write(shelf, offset, inPages(whole));
      onWritten?.(shelf, bytes);
      await writer.flush(shelf);
    } catch (error) {
      await this.#trim([allocation], order.requestId);
      throw error;
    }
    return this.#stored(order, bytes, [{ shelf, extent: offset, start: 0, bytes }], [allocation]);
  }

  #stored(
    { sum, requestId }: BodyOrder,
    bytes: number,
    segments: readonly Segment[],
    allocations: readonly Allocation[],
  ): StoredBody {
    const known = sum === undefined || segments.length !== 1 ? {} : { sum };
    return {
      bytes,
      segments,
      writes: segments.map(({ shelf, extent, bytes: length }) => ({
        key: extentKey(shelf, extent),
        value: encodeExtent({ bytes: length, owners: 1, ...known }),
      })),
      kept: () => settle(allocations, true),
      abandon: () => this.#trim(allocations, requestId),
      leave: () => settle(allocations, false),
    };
  }

  async *read(segments: Iterable<Segment> | AsyncIterable<Segment>): AsyncGenerator<Buffer, void> {
    const ahead: Promise<Buffer>[] = [];
    try {
      for await (const { shelf, extent, start, bytes } of segments) {
        for (let at = 0; at < bytes; at += read_bytes_max) {
          const piece = this.#readPiece(shelf, extent + start + at, Math.min(read_bytes_max, bytes - at));
          // Its failure is told when its turn comes, or to nobody where the reader has left.
          piece.catch(() => undefined);
          ahead.push(piece);
          if (ahead.length > pieces_ahead_max) yield await next(ahead);
        }
      }
      while (ahead.length > 0) yield await next(ahead);
    } finally {
      // Whoever held the body lets it go when this ends: no read of it may come later.
      for (const piece of await Promise.allSettled(ahead)) if (piece.status === 'fulfilled') pieceBuffers.letGo(piece.value);
    }
  }

  async #readPiece(shelf: number, offset: number, bytes: number): Promise<Buffer> {
    const piece = pieceBuffers.take(bytes);
    try {
      await this.#options.engine.read(shelf, offset, piece);
      return piece;
    } catch (error) {
      throw shelfFailure(error, shelf);
    }
  }

  async #trim(allocations: readonly Allocation[], requestId: string | undefined): Promise<void> {
    for (const allocation of allocations) {
      const { shelf, offset, bytes } = allocation;
      try {
        await this.#options.writer.trim(shelf, offset, bytes);
        allocation.settle(true);
      } catch (error) {
        allocation.settle(false);
        this.#options.log('warn', 'what was left of a body is taken back at the next start', {
          shelf,
          offset,
          ...(requestId === undefined ? {} : { requestId }),
          error: String(error),
        });
      }
    }
  }
}

/** With zeros behind it, as far as its last page goes. */
function inPages(whole: Uint8Array): Uint8Array {
  const bytes = Math.ceil(whole.length / page_bytes) * page_bytes;
  if (bytes === whole.length) return whole;
  const padded = Buffer.allocUnsafe(bytes);
  padded.set(whole);
  return padded.fill(0, whole.length);
}

function settle(allocations: readonly Allocation[], known: boolean): void {
  for (const allocation of allocations) allocation.settle(known);
}

function next(ahead: Promise<Buffer>[]): Promise<Buffer> {
  const piece = ahead.shift();
  if (piece === undefined) throw new Error('nothing is read ahead');
  return piece;
}
