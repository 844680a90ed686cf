/** The body of a request on its way to whoever stores it: without its framing, and judged. */
import type { MakeSums } from '../../engine/body_sums.js';
import { StreamSums, sumsHere } from '../../object/sums.js';
import type { BodyPlan } from './authenticator.js';
import { ChunkDecoder } from './chunk_decoder.js';
import { S3Failure } from './errors.js';

export interface BodyDecoder {
  /**
   * Once. Whatever was read of it counts for nothing until it ends: what is wrong with a body may show last, and then it fails with an S3Failure
   * instead. Content-MD5 and the sums of trailers are the reader's to compare.
   */
  through(content: AsyncIterable<Buffer>): AsyncIterable<Buffer>;
  /** Headers that followed the body, by name in lower case. Whole once it has ended. */
  readonly trailers: ReadonlyMap<string, string>;
}

export interface DecodingOptions {
  /** How sums of large bodies are taken. */
  readonly sums?: MakeSums;
  readonly onSignedChunk?: (bytes: number) => void;
}

export function bodyDecoder(plan: BodyPlan, { sums = sumsHere, onSignedChunk }: DecodingOptions = {}): BodyDecoder {
  if (plan.form === 'plain') return new PlainBody(plan.sha256, sums);
  return new ChunkedBody(new ChunkDecoder({ ...plan, ...(onSignedChunk === undefined ? {} : { onSignedChunk }) }));
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
    return this.#sha256 === null ? content : this.#judged(content, this.#sha256);
  }

  async *#judged(content: AsyncIterable<Buffer>, given: string): AsyncGenerator<Buffer, void> {
    const sums = new StreamSums(['SHA256'], this.#make);
    for await (const piece of content) {
      await sums.add(piece);
      yield piece;
    }
    const [sum] = await sums.end();
    const computed = sum?.toString('hex') ?? null;
    if (computed !== given) throw sha256Differs(given, computed);
  }
}

class ChunkedBody implements BodyDecoder {
  readonly #decoder: ChunkDecoder;

  constructor(decoder: ChunkDecoder) {
    this.#decoder = decoder;
  }

  get trailers(): ReadonlyMap<string, string> {
    return this.#decoder.trailers;
  }

  async *through(content: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
    for await (const piece of content) yield* this.#decoder.push(piece);
    this.#decoder.end();
  }
}

function sha256Differs(given: string, computed: string | null): S3Failure {
  return new S3Failure('XAmzContentSHA256Mismatch', undefined, {
    details: { ClientComputedContentSHA256: given, S3ComputedContentSHA256: computed ?? '' },
  });
}
