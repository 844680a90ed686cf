/** The body of a request on its way to whoever stores it: without its framing, and judged. */
import { Transform, type TransformCallback } from 'node:stream';

import type { MakeSums } from '../../engine/body_sums.js';
import { StreamSums, sumsHere } from '../../object/sums.js';
import type { BodyPlan } from './authenticator.js';
import { ChunkDecoder } from './chunk_decoder.js';
import { S3Failure } from './errors.js';

/**
 * A transform over Buffers. Whatever was read from it counts for nothing until it ends: what is wrong with a body may show last, and then it
 * fails with an S3Failure instead. Content-MD5 and the sums of trailers are the reader's to compare.
 */
export abstract class BodyDecoder extends Transform {
  /** Headers that followed the body, by name in lower case. Whole once the stream has ended. */
  abstract readonly trailers: ReadonlyMap<string, string>;
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

class PlainBody extends BodyDecoder {
  readonly trailers = new Map<string, string>();
  readonly #sha256: string | null;
  readonly #sums: StreamSums | null;

  constructor(sha256: string | null, make: MakeSums) {
    super();
    this.#sha256 = sha256;
    this.#sums = sha256 === null ? null : new StreamSums(['SHA256'], make);
  }

  override _transform(piece: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    if (this.#sums === null) callback(null, piece);
    else this.#sums.add(piece).then(() => callback(null, piece), callback);
  }

  override _flush(callback: TransformCallback): void {
    if (this.#sums === null) callback();
    else this.#sums.end().then(([sum]) => callback(this.#judged(sum?.toString('hex') ?? null)), callback);
  }

  #judged(computed: string | null): S3Failure | null {
    return this.#sha256 === computed ? null : sha256Differs(this.#sha256, computed);
  }
}

class ChunkedBody extends BodyDecoder {
  readonly #decoder: ChunkDecoder;

  constructor(decoder: ChunkDecoder) {
    super();
    this.#decoder = decoder;
  }

  get trailers(): ReadonlyMap<string, string> {
    return this.#decoder.trailers;
  }

  override _transform(piece: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    try {
      for (const decoded of this.#decoder.push(piece)) this.push(decoded);
      callback();
    } catch (error) {
      callback(error as S3Failure);
    }
  }

  override _flush(callback: TransformCallback): void {
    try {
      this.#decoder.end();
      callback();
    } catch (error) {
      callback(error as S3Failure);
    }
  }
}

function sha256Differs(given: string | null, computed: string | null): S3Failure {
  return new S3Failure('XAmzContentSHA256Mismatch', undefined, {
    details: { ClientComputedContentSHA256: given ?? '', S3ComputedContentSHA256: computed ?? '' },
  });
}
