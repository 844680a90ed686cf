/** The chain of signatures of a body in chunks: each signs the one before, so that none can be left out, added or moved. */
import { hash } from 'node:crypto';

import { sameSecret } from './same_secret.js';
import { scopeText, type Scope } from './v4_scope.js';
import { signV4 } from './v4_signature.js';

export interface ChunkSignaturesOptions {
  /** Derived: see signingKey. */
  readonly key: Buffer;
  readonly timestamp: string;
  readonly scope: Scope;
  /** The signature of the request. */
  readonly seed: string;
}

const emptySha256 = hash('sha256', '', 'hex');

export class ChunkSignatures {
  readonly #key: Buffer;
  readonly #timestamp: string;
  readonly #scope: string;
  #last: string;

  constructor({ key, timestamp, scope, seed }: ChunkSignaturesOptions) {
    this.#key = key;
    this.#timestamp = timestamp;
    this.#scope = scopeText(scope);
    this.#last = seed;
  }

  /** Whether this is the next chunk's signature; its SHA-256 is in hexadecimal. Goes on from it where it is. */
  takeChunk(sha256: string, signature: string): boolean {
    return this.#take(['AWS4-HMAC-SHA256-PAYLOAD', this.#timestamp, this.#scope, this.#last, emptySha256, sha256], signature);
  }

  /** Whether this is the signature of the trailers, which follow the last chunk. */
  takeTrailers(sha256: string, signature: string): boolean {
    return this.#take(['AWS4-HMAC-SHA256-TRAILER', this.#timestamp, this.#scope, this.#last, sha256], signature);
  }

  #take(lines: readonly string[], signature: string): boolean {
    const expected = signV4(this.#key, lines.join('\n'));
    if (!sameSecret(expected, signature)) return false;
    this.#last = expected;
    return true;
  }
}
