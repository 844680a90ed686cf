/**
 * Pieces of a body whose chunks are signed. Each is handed on when the signatures of all chunks that have a part in it were found right; a chunk is
 * summed where it lies, on another thread where there is much of it.
 */
import { createHash } from 'node:crypto';

import type { Sha256OfRuns } from '../../engine/body_sums.js';
import { pieceBuffers } from '../../object/piece_buffers.js';
import type { Claim } from './chunk_decoder.js';
import type { ChunkSignatures } from './chunk_signatures.js';
import { S3Failure } from './errors.js';

/** Below it another thread costs more than it spares. */
const here_bytes_max = 128 << 10;
const sha256_bytes = 32;

export interface SoundPiecesOptions {
  readonly signatures: ChunkSignatures;
  /** Those that came and were not judged, in their order; what is taken off here was. Its bytes come no later than a claim. */
  readonly claims: Claim[];
  readonly sums: Sha256OfRuns;
}

/** Each yielded piece stays until the next is asked for. @throws S3Failure SignatureDoesNotMatch; what `pieces` throw */
export async function* soundPieces(pieces: AsyncIterable<Buffer>, options: SoundPiecesOptions): AsyncGenerator<Buffer, void> {
  const judging = new Judging(options);
  try {
    for await (const piece of pieces) {
      judging.add(piece);
      await judging.judge();
      yield* judging.sound();
    }
    // That of the chunk without bytes that ends the body, and of its trailers.
    await judging.judge();
    yield* judging.sound();
    if (judging.heldBytes > 0) throw new S3Failure('IncompleteBody');
  } finally {
    judging.stop();
  }
}

/** In their order. `chunkSha256`: in hexadecimal, asked of a chunk. @throws S3Failure SignatureDoesNotMatch */
export function checkClaim(signatures: ChunkSignatures, claim: Claim, chunkSha256: () => string): void {
  const right =
    claim.of === 'trailers'
      ? signatures.takeTrailers(claim.sha256, claim.signature)
      : signatures.takeChunk(chunkSha256(), claim.signature);
  if (!right) throw new S3Failure('SignatureDoesNotMatch');
}

/** In this thread. */
export const sha256OfRunsHere: Sha256OfRuns = async (pieces, lengths) => {
  const sums = Buffer.alloc(sha256_bytes * lengths.length);
  let offset = 0;
  for (const [at, bytes] of lengths.entries()) {
    const sum = createHash('sha256');
    for (const range of ranges(pieces, offset, bytes)) sum.update(range);
    sum.digest().copy(sums, at * sha256_bytes);
    offset += bytes;
  }
  return sums;
};

class Judging {
  readonly #options: SoundPiecesOptions;
  /** Not handed on yet. */
  readonly #held: Buffer[] = [];
  heldBytes = 0;
  /** Of these, from the first on. */
  #soundBytes = 0;

  constructor(options: SoundPiecesOptions) {
    this.#options = options;
  }

  add(piece: Buffer): void {
    pieceBuffers.hold(piece);
    this.#held.push(piece);
    this.heldBytes += piece.length;
  }

  /** What is claimed of bytes that are all here. */
  async judge(): Promise<void> {
    const claims = this.#due();
    const lengths = claims.flatMap((claim) => (claim.of === 'chunk' ? [claim.bytes] : []));
    const bytes = lengths.reduce((sum, length) => sum + length, 0);
    const sumsOf = bytes <= here_bytes_max ? sha256OfRunsHere : this.#options.sums;
    const sums = Buffer.from(await sumsOf(ranges(this.#held, this.#soundBytes, bytes), lengths));
    let at = 0;
    for (const claim of claims) checkClaim(this.#options.signatures, claim, () => sums.toString('hex', at, (at += sha256_bytes)));
    this.#soundBytes += bytes;
  }

  /** Those that may be handed on; each is let go of then. */
  *sound(): Generator<Buffer, void> {
    for (let [piece] = this.#held; piece !== undefined && piece.length <= this.#soundBytes; [piece] = this.#held) {
      yield piece;
      this.#held.shift();
      this.heldBytes -= piece.length;
      this.#soundBytes -= piece.length;
      pieceBuffers.letGo(piece);
    }
  }

  stop(): void {
    for (const piece of this.#held.splice(0)) pieceBuffers.letGo(piece);
  }

  #due(): readonly Claim[] {
    const { claims } = this.#options;
    let room = this.heldBytes - this.#soundBytes;
    const count = claims.findIndex((claim) => (room -= claim.of === 'chunk' ? claim.bytes : 0) < 0);
    return claims.splice(0, count < 0 ? claims.length : count);
  }
}

/** Where these bytes of the pieces, one after another, lie. */
function ranges(pieces: readonly Uint8Array[], offset: number, bytes: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  let [from, left] = [offset, bytes];
  for (const piece of pieces) {
    if (left === 0) break;
    const range = piece.subarray(Math.min(from, piece.length), Math.min(from + left, piece.length));
    from = Math.max(from - piece.length, 0);
    left -= range.length;
    if (range.length > 0) found.push(range);
  }
  return found;
}
