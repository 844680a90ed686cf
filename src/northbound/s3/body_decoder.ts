/** The body of a request on its way to whoever stores it: without its framing, and judged. */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';

import type { MakeSums, Sha256OfRuns } from '../../engine/body_sums.js';
import { SmallContent } from '../../object/small_content.js';
import { StreamSums, sumOf, sumsHere } from '../../object/sums.js';
import type { BodyPlan } from './authenticator.js';
import { piecesOf, type Coming, type Framing } from './body_pieces.js';
import { ChunkDecoder, type Claim } from './chunk_decoder.js';
import type { ChunkSignatures } from './chunk_signatures.js';
import { S3Failure } from './errors.js';
import { HeldBytes } from './held_bytes.js';
import { checkClaim, sha256OfRunsHere, soundPieces } from './sound_pieces.js';

export interface BodyDecoder {
  /**
   * Once. Whatever was read of it counts for nothing until it ends: what is wrong with a body may show last, and then it fails with an S3Failure
   * instead. Content-MD5 and the sums of trailers are the reader's to compare.
   */
  through(content: AsyncIterable<Buffer>): AsyncIterable<Buffer>;
  /** The same of a large body that comes over a socket, in pieces as `coming` wants them. @throws Error where it ends early */
  pieces(incoming: Readable, coming: Omit<Coming, 'framing'>): AsyncIterable<Buffer>;
  /** Headers that followed the body, by name in lower case. Whole once it has ended. */
  readonly trailers: ReadonlyMap<string, string>;
}

export interface DecodingOptions {
  /** How sums of large bodies are taken. */
  readonly sums?: MakeSums;
  readonly runSums?: Sha256OfRuns;
  readonly onSignedChunk?: (bytes: number) => void;
}

export function bodyDecoder(plan: BodyPlan, options: DecodingOptions = {}): BodyDecoder {
  const { sums = sumsHere, runSums = sha256OfRunsHere, onSignedChunk } = options;
  if (plan.form === 'plain') return new PlainBody(plan.sha256, sums);
  const decoder = new ChunkDecoder({ ...plan, ...(onSignedChunk === undefined ? {} : { onSignedChunk }) });
  return new ChunkedBody(decoder, plan.signatures, runSums);
}

class PlainBody implements BodyDecoder {
  readonly trailers = new Map<string, string>();
  readonly #sha256: string | null;
  readonly #make: MakeSums;

  constructor(sha256: string | null, make: MakeSums) {
    this.#sha256 = sha256;
    this.#make = make;
  }

  through(content: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
    const given = this.#sha256;
    if (given === null) return content;
    return content instanceof SmallContent ? new SmallContent(() => judgedWhole(content, given)) : this.#judged(content, given);
  }

  pieces(incoming: Readable, coming: Coming): AsyncIterable<Buffer> {
    return this.through(piecesOf(incoming, coming));
  }

  async *#judged(content: AsyncIterable<Buffer>, given: string): AsyncGenerator<Buffer, void> {
    const sums = new StreamSums(['SHA256'], this.#make);
    for await (const piece of content) {
      await sums.add(piece);
      yield piece;
    }
    const [sum] = await sums.end();
    compareSha256(given, sum);
  }
}

async function judgedWhole(content: SmallContent<Buffer>, given: string): Promise<Buffer> {
  const whole = await content.whole();
  compareSha256(given, sumOf('SHA256', whole));
  return whole;
}

class ChunkedBody implements BodyDecoder {
  readonly #decoder: ChunkDecoder;
  readonly #signatures: ChunkSignatures | null;
  readonly #sums: Sha256OfRuns;
  /** Of a signed chunk that is not whole yet. */
  readonly #held = new HeldBytes();

  constructor(decoder: ChunkDecoder, signatures: ChunkSignatures | null, sums: Sha256OfRuns) {
    this.#decoder = decoder;
    this.#signatures = signatures;
    this.#sums = sums;
  }

  get trailers(): ReadonlyMap<string, string> {
    return this.#decoder.trailers;
  }

  async *through(content: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
    for await (const piece of content)
      yield* this.#signatures === null ? this.#taken(piece) : this.#judged(piece, this.#signatures);
    this.#decoder.end();
  }

  pieces(incoming: Readable, coming: Coming): AsyncIterable<Buffer> {
    const claims: Claim[] = [];
    const claim = (one: Claim): void => void claims.push(one);
    const framing: Framing = {
      unwrap: (chunk, bytes) => this.#decoder.take(chunk, { bytes, claim }),
      end: () => this.#decoder.end(),
    };
    const pieces = piecesOf(incoming, { ...coming, framing });
    return this.#signatures === null ? pieces : soundPieces(pieces, { signatures: this.#signatures, claims, sums: this.#sums });
  }

  /** Parts of what came in. */
  #taken(piece: Buffer): readonly Buffer[] {
    const out: Buffer[] = [];
    this.#decoder.take(piece, { bytes: (part) => void out.push(part), claim: () => undefined });
    return out;
  }

  /** Of chunks whose signatures were found right. */
  #judged(piece: Buffer, signatures: ChunkSignatures): readonly Buffer[] {
    const out: Buffer[] = [];
    const claim = (one: Claim): void => {
      const chunk = one.of === 'chunk' ? this.#held.take() : [];
      checkClaim(signatures, one, () => {
        const sum = createHash('sha256');
        for (const part of chunk) sum.update(part);
        return sum.digest('hex');
      });
      out.push(...chunk);
    };
    this.#decoder.take(piece, { bytes: (part) => this.#held.add(part), claim });
    return out;
  }
}

/** @throws S3Failure XAmzContentSHA256Mismatch */
function compareSha256(given: string, sum: Buffer | undefined): void {
  const computed = sum?.toString('hex') ?? '';
  if (computed === given) return;
  throw new S3Failure('XAmzContentSHA256Mismatch', undefined, {
    details: { ClientComputedContentSHA256: given, S3ComputedContentSHA256: computed },
  });
}
