/** The body of a request on its way to whoever stores it: without its framing, and judged. */
import { createHash, type Hash } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';

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

export function bodyDecoder(plan: BodyPlan, onSignedChunk?: (bytes: number) => void): BodyDecoder {
  if (plan.form === 'plain') return new PlainBody(plan.sha256);
  return new ChunkedBody(new ChunkDecoder({ ...plan, ...(onSignedChunk === undefined ? {} : { onSignedChunk }) }));
}

class PlainBody extends BodyDecoder {
  readonly trailers = new Map<string, string>();
  readonly #sha256: string | null;
  readonly #hash: Hash | null;

  constructor(sha256: string | null) {
    super();
    this.#sha256 = sha256;
    this.#hash = sha256 === null ? null : createHash('sha256');
  }

  override _transform(piece: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    this.#hash?.update(piece);
    callback(null, piece);
  }

  override _flush(callback: TransformCallback): void {
    const computed = this.#hash?.digest('hex') ?? null;
    callback(this.#sha256 === computed ? null : sha256Differs(this.#sha256, computed));
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
