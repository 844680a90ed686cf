/**
 * The secrets of a pool, and how those of an encrypted one are kept: wrapped under a key that only its operator has, so that changing
 * that key rewrites this and no data (docs/formats/pool_chunk.md, docs/decisions/0054-encryption-at-rest.md).
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

import { SkerryError } from '../core/errors.js';

export interface PoolSecrets {
  /** 32 bytes: of the ids of blocks and nodes. */
  readonly domainKey: Uint8Array;
  /** 32 bytes, that the keys of records and small chunks are derived from; null where the pool is not encrypted. */
  readonly dataKey: Uint8Array | null;
}

const wrapped_version = 1;
const secret_bytes = 32;
const nonce_bytes = 12;
const tag_bytes = 16;
const salt_bytes = 16;
const algorithm = 'aes-256-gcm';

/** Of a pool that is to be encrypted. */
export function newSecrets(): PoolSecrets & { readonly dataKey: Uint8Array } {
  return { domainKey: randomBytes(secret_bytes), dataKey: randomBytes(secret_bytes) };
}

export interface Wrapping {
  /** 32 bytes (key_source.ts). */
  readonly key: Uint8Array;
  /** 16 bytes: one key may wrap many pools' secrets, each under another key that is derived of it. */
  readonly poolUuid: Uint8Array;
}

/** Secrets and name of the pool, which stands nowhere else where its packs rest. */
export function wrapSecrets(
  { key, poolUuid }: Wrapping,
  { domainKey, dataKey }: PoolSecrets & { readonly dataKey: Uint8Array },
  name: string,
): Uint8Array {
  const nonce = randomBytes(nonce_bytes);
  const cipher = createCipheriv(algorithm, wrappingKey(key, poolUuid), nonce);
  cipher.setAAD(Buffer.concat([Buffer.of(wrapped_version), poolUuid]));
  const secret = Buffer.concat([domainKey, dataKey, Buffer.from(name, 'utf8')]);
  const sealed = Buffer.concat([cipher.update(secret), cipher.final()]);
  secret.fill(0);
  return Uint8Array.from(Buffer.concat([Buffer.of(wrapped_version), nonce, sealed, cipher.getAuthTag()]));
}

/** null where the key is another one, or what is wrapped was changed. @throws SkerryError unsupported for a newer version */
export function unwrapSecrets(
  { key, poolUuid }: Wrapping,
  wrapped: Uint8Array,
): { readonly secrets: PoolSecrets & { readonly dataKey: Uint8Array }; readonly name: string } | null {
  const bytes = Buffer.from(wrapped.buffer, wrapped.byteOffset, wrapped.length);
  if (bytes.length < 1 + nonce_bytes + 2 * secret_bytes + tag_bytes)
    throw new SkerryError('corrupt', 'the wrapped secrets of a pool are too short');
  if (bytes[0] !== wrapped_version)
    throw new SkerryError(
      'unsupported',
      `the secrets of a pool are wrapped as of version ${String(bytes[0])}, and this Skerry knows version ${wrapped_version}`,
    );
  const tagAt = bytes.length - tag_bytes;
  const decipher = createDecipheriv(algorithm, wrappingKey(key, poolUuid), bytes.subarray(1, 1 + nonce_bytes));
  decipher.setAAD(Buffer.concat([bytes.subarray(0, 1), poolUuid]));
  decipher.setAuthTag(bytes.subarray(tagAt));
  let secret: Buffer;
  try {
    secret = Buffer.concat([decipher.update(bytes.subarray(1 + nonce_bytes, tagAt)), decipher.final()]);
  } catch {
    return null;
  }
  const [domainKey, dataKey] = [secret.subarray(0, secret_bytes), secret.subarray(secret_bytes, 2 * secret_bytes)];
  const secrets = { domainKey: Uint8Array.from(domainKey), dataKey: Uint8Array.from(dataKey) };
  return { secrets, name: secret.toString('utf8', 2 * secret_bytes) };
}

function wrappingKey(key: Uint8Array, poolUuid: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', key, poolUuid, 'skerry pool secrets', secret_bytes));
}

/** Encrypts small chunks. Each has a key of its own, derived with a random salt: no key meets two nonces, however many there are. */
export class ChunkCipher {
  readonly #dataKey: Uint8Array;

  constructor(dataKey: Uint8Array) {
    this.#dataKey = dataKey;
  }

  /** `beside`: what is not encrypted, and has to be the same when it is opened. */
  seal(payload: Uint8Array, beside: Uint8Array): Uint8Array {
    const salt = randomBytes(salt_bytes);
    const { key, nonce } = this.#derived(salt);
    const cipher = createCipheriv(algorithm, key, nonce);
    cipher.setAAD(beside);
    return Buffer.concat([salt, cipher.update(payload), cipher.final(), cipher.getAuthTag()]);
  }

  /** null where it was not sealed so with this key. */
  open(sealed: Uint8Array, beside: Uint8Array): Uint8Array | null {
    const tagAt = sealed.length - tag_bytes;
    if (tagAt < salt_bytes) return null;
    const { key, nonce } = this.#derived(sealed.subarray(0, salt_bytes));
    const decipher = createDecipheriv(algorithm, key, nonce);
    decipher.setAAD(beside);
    decipher.setAuthTag(sealed.subarray(tagAt));
    try {
      return Buffer.concat([decipher.update(sealed.subarray(salt_bytes, tagAt)), decipher.final()]);
    } catch {
      return null;
    }
  }

  #derived(salt: Uint8Array): { readonly key: Buffer; readonly nonce: Buffer } {
    const bytes = Buffer.from(hkdfSync('sha256', this.#dataKey, salt, 'skerry small chunk', secret_bytes + nonce_bytes));
    return { key: bytes.subarray(0, secret_bytes), nonce: bytes.subarray(secret_bytes) };
  }
}

/** null where the pool is not encrypted. */
export function chunkCipherOf({ dataKey }: PoolSecrets): ChunkCipher | null {
  return dataKey === null ? null : new ChunkCipher(dataKey);
}
