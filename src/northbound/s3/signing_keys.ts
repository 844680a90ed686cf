/** Derived keys of late: deriving one costs four hashes, and each is good for a day. */
import { signingKey } from './v4_signature.js';
import { scopeText, type Credential } from './v4_scope.js';

interface Derived {
  readonly secretKey: string;
  readonly key: Buffer;
}

export class SigningKeys {
  readonly #countMax: number;
  /** By credential, the least recently used first. */
  readonly #derived = new Map<string, Derived>();

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  get count(): number {
    return this.#derived.size;
  }

  keyFor(credential: Credential, secretKey: string): Buffer {
    const known = this.#derived.get(nameOf(credential));
    // A secret that was replaced makes another key.
    return known?.secretKey === secretKey ? known.key : signingKey(secretKey, credential.scope);
  }

  /** To be told only of what signed well: else anybody could drive out those of others. */
  remember(credential: Credential, secretKey: string, key: Buffer): void {
    const name = nameOf(credential);
    this.#derived.delete(name);
    this.#derived.set(name, { secretKey, key });
    const oldest = this.#derived.keys().next();
    if (this.#derived.size > this.#countMax && oldest.done !== true) this.#derived.delete(oldest.value);
  }
}

function nameOf({ accessKey, scope }: Credential): string {
  return `${accessKey}/${scopeText(scope)}`;
}
