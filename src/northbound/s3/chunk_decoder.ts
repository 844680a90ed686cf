/**
 * The framing of `aws-chunked`, as a state machine that does no I/O, and copies nothing. What is signed of a body it tells as claims, in their
 * order: who takes the bytes hands on none of them before the claim on its chunk was found right.
 */
import { hash } from 'node:crypto';

import type { ChunkSignatures } from './chunk_signatures.js';
import { S3Failure } from './errors.js';

/** Of a chunk that is signed, for it is held in memory. Clients make them of 64 KiB to 1 MiB. */
export const signed_chunk_bytes_max = 16 << 20;
/** Of a chunk that is signed and not the last that holds anything. */
export const signed_chunk_bytes_min = 8192;
/** The size of a chunk in hexadecimal, and its signature. */
const chunk_header_bytes_max = 128;
/** All lines that follow the chunks. */
const trailer_bytes_max = 8192;

export interface ChunkDecoderOptions {
  /** Of all chunks together. */
  readonly decodedBytes: number;
  /** Names, in lower case, of all the headers that follow; null where none may. */
  readonly trailers: readonly string[] | null;
  /** null where chunks are not signed. */
  readonly signatures: ChunkSignatures | null;
  /** Before a chunk of so many bytes is gathered. What it throws ends the decoding. */
  readonly onSignedChunk?: (bytes: number) => void;
}

/** A signature that came: of the last `bytes` that were taken, or of what this SHA-256, in hexadecimal, is of: the trailers. */
export type Claim =
  | { readonly of: 'chunk'; readonly bytes: number; readonly signature: string }
  | { readonly of: 'trailers'; readonly sha256: string; readonly signature: string };

/** Who takes a body apart from its framing, as it comes. */
export interface ChunkTaker {
  /** Part of what came in. */
  bytes(part: Buffer): void;
  claim(claim: Claim): void;
}

type State = 'header' | 'data' | 'after data' | 'trailers' | 'end' | 'failed';

const trailerSignatureName = 'x-amz-trailer-signature';

export class ChunkDecoder {
  readonly #options: ChunkDecoderOptions;
  /** By name in lower case, without the signature. Whole only once the end was reached. */
  readonly trailers = new Map<string, string>();
  #state: State = 'header';
  /** The line that is not whole yet, a character for each byte. */
  #line = '';
  #trailerBytes = 0;
  #trailerSignature: string | null = null;
  #received = 0;
  /** Of the chunk under way. */
  #left = 0;
  #size = 0;
  #signature = '';
  /** Whether a chunk came that only the last may be. */
  #short = false;

  constructor(options: ChunkDecoderOptions) {
    this.#options = options;
  }

  /** @throws S3Failure, or what `taker` throws, and nothing else is taken from then on */
  take(input: Buffer, taker: ChunkTaker): void {
    try {
      for (let at = 0; at < input.length; ) at = this.#step(input, at, taker);
    } catch (error) {
      this.#state = 'failed';
      throw error;
    }
  }

  /** @throws S3Failure IncompleteBody where the body is not whole */
  end(): void {
    if (this.#state !== 'end')
      throw new S3Failure('IncompleteBody', 'The body ended before its last chunk, or within its trailers');
  }

  /** Takes some of `input` from `at`, and says where it goes on. */
  #step(input: Buffer, at: number, taker: ChunkTaker): number {
    switch (this.#state) {
      case 'header':
        return this.#lineStep(input, at, chunk_header_bytes_max, (line) => this.#chunkHeader(line, taker));
      case 'data':
        return this.#dataStep(input, at, taker);
      case 'after data':
        return this.#lineStep(input, at, 2, (line) => {
          if (line !== '\r\n') throw malformed('a chunk is longer than its size says');
          this.#state = 'header';
        });
      case 'trailers':
        return this.#lineStep(input, at, trailer_bytes_max - this.#trailerBytes, (line) => this.#trailerLine(line, taker));
      case 'end':
        throw malformed('something follows its end');
      case 'failed':
        throw malformed('it failed before');
    }
  }

  /** Reads up to the end of a line of at most `bytesMax` with it, and has `take` judge it. */
  #lineStep(input: Buffer, at: number, bytesMax: number, take: (line: string) => void): number {
    const feed = input.indexOf(0x0a, at);
    const end = Math.min(feed < 0 ? input.length : feed + 1, at + bytesMax - this.#line.length);
    this.#line += input.toString('latin1', at, end);
    if (this.#line.endsWith('\n')) {
      const line = this.#line;
      this.#line = '';
      take(line);
    } else if (this.#line.length >= bytesMax) {
      throw this.#state === 'trailers'
        ? new S3Failure('MalformedTrailerError')
        : malformed('a chunk has no end, or no beginning');
    }
    return end;
  }

  #chunkHeader(line: string, taker: ChunkTaker): void {
    const { signatures, decodedBytes } = this.#options;
    const form = signatures === null ? /^([0-9A-Fa-f]{1,13})\r\n$/ : /^([0-9A-Fa-f]{1,13});chunk-signature=([0-9a-f]{64})\r\n$/;
    const [, digits, signature = ''] = form.exec(line) ?? [];
    if (digits === undefined) throw malformed('a chunk does not begin as it should');
    const size = Number.parseInt(digits, 16);
    if (this.#received + size > decodedBytes || (size === 0 && this.#received !== decodedBytes)) throw lengthDiffers();
    if (signatures !== null) {
      this.#checkSize(size);
      this.#signature = signature;
    }
    this.#size = size;
    this.#received += size;
    this.#left = size;
    this.#state = 'data';
    if (size > 0) return;
    this.#claimChunk(taker);
    this.#state = 'trailers';
  }

  /** What comes before the last has a size that makes checking each worth its while, and that can be held. */
  #checkSize(size: number): void {
    if (size > signed_chunk_bytes_max)
      throw new S3Failure('InvalidChunkSizeError', `A chunk has at most ${signed_chunk_bytes_max} bytes`);
    if (this.#short && size > 0) throw new S3Failure('InvalidChunkSizeError');
    this.#short ||= size < signed_chunk_bytes_min;
    this.#options.onSignedChunk?.(size);
  }

  #dataStep(input: Buffer, at: number, taker: ChunkTaker): number {
    const end = Math.min(input.length, at + this.#left);
    taker.bytes(input.subarray(at, end));
    this.#left -= end - at;
    if (this.#left > 0) return end;
    this.#claimChunk(taker);
    this.#state = 'after data';
    return end;
  }

  #claimChunk(taker: ChunkTaker): void {
    if (this.#options.signatures !== null) taker.claim({ of: 'chunk', bytes: this.#size, signature: this.#signature });
  }

  #trailerLine(line: string, taker: ChunkTaker): void {
    this.#trailerBytes += line.length;
    const { trailers, signatures } = this.#options;
    // AWS's own example ends a trailer's line with a line feed alone, and then with both.
    const text = line.replace(/\r?\n$/, '');
    if (text === '') return this.#blankLine(line, taker);
    const [, name, value] = /^([A-Za-z0-9-]+):[ \t]*([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)[ \t]*$/.exec(text) ?? [];
    if (name === undefined || value === undefined || this.#trailerSignature !== null)
      throw new S3Failure('MalformedTrailerError');
    const key = name.toLowerCase();
    if (signatures !== null && trailers !== null && key === trailerSignatureName) {
      this.#trailerSignature = value;
    } else if (trailers?.includes(key) === true && !this.trailers.has(key)) {
      this.trailers.set(key, value);
    } else {
      throw new S3Failure('MalformedTrailerError');
    }
  }

  #blankLine(line: string, taker: ChunkTaker): void {
    const { trailers, signatures } = this.#options;
    const announced = trailers ?? [];
    const awaitsSignature = signatures !== null && trailers !== null && this.#trailerSignature === null;
    if (awaitsSignature && announced.length > 0 && announced.every((name) => this.trailers.has(name))) return;
    if (line !== '\r\n' || awaitsSignature || announced.some((name) => !this.trailers.has(name)))
      throw new S3Failure('MalformedTrailerError');
    const signature = this.#trailerSignature;
    if (signature !== null) taker.claim({ of: 'trailers', sha256: this.#trailersSha256(), signature });
    this.#state = 'end';
  }

  #trailersSha256(): string {
    // By their names: a name that another begins with comes first, whatever the other goes on with.
    const lines = [...this.trailers].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => `${name}:${value}\n`);
    return hash('sha256', lines.join(''), 'hex');
  }
}

function malformed(what: string): S3Failure {
  return new S3Failure('InvalidRequest', `The body is not aws-chunked as it should be: ${what}`);
}

function lengthDiffers(): S3Failure {
  return new S3Failure('IncompleteBody', 'The chunks are not as long together as the x-amz-decoded-content-length header says');
}
