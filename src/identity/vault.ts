/**
 * Wraps the secrets that the catalog keeps: AES-256-GCM under a key derived for each place from the data directory's identity key.
 * What is wrapped for one place opens at no other.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

import type { Catalog } from '../catalog/catalog.js';
import { decodeIdentityCheck, encodeIdentityCheck } from '../catalog/identity_records.js';
import { accountPrefix, identityCheckKey } from '../catalog/keys.js';
import { isSkerryError, SkerryError } from '../core/errors.js';
import { keyFileOf, makeKeyFile, readKeyFile } from './key_file.js';

const wrapped_version = 1;
const nonce_bytes = 12;
const tag_bytes = 16;
const key_bytes = 32;
const algorithm = 'aes-256-gcm';
const known = Buffer.from('skerry identity', 'ascii');

export class Vault {
  readonly #key: Uint8Array | null;
  /** Why nothing can be wrapped or opened; null: it can. */
  readonly problem: string | null;

  /** `key`: 32 bytes, or why there is none. */
  constructor(key: Uint8Array | { readonly problem: string }) {
    this.#key = key instanceof Uint8Array ? key : null;
    this.problem = key instanceof Uint8Array ? null : key.problem;
  }

  /** `place`: the catalog's key of the record, say. @throws SkerryError unavailable where there is no key */
  wrap(place: string, secret: Uint8Array): Uint8Array {
    const nonce = randomBytes(nonce_bytes);
    const cipher = createCipheriv(algorithm, this.#derived(place), nonce);
    cipher.setAAD(Buffer.of(wrapped_version));
    const sealed = [Buffer.of(wrapped_version), nonce, cipher.update(secret), cipher.final()];
    return Uint8Array.from(Buffer.concat([...sealed, cipher.getAuthTag()]));
  }

  /**
   * @throws SkerryError corrupt where it was wrapped for another place, under another key, or was changed since; unsupported for a
   * newer version; unavailable where there is no key
   */
  unwrap(place: string, wrapped: Uint8Array): Uint8Array {
    const key = this.#derived(place);
    const tagAt = wrapped.length - tag_bytes;
    if (tagAt < 1 + nonce_bytes) throw new SkerryError('corrupt', `the secret of ${place} in the catalog is too short`);
    if (wrapped[0] !== wrapped_version)
      throw new SkerryError(
        'unsupported',
        `the secret of ${place} is wrapped as of version ${String(wrapped[0])}, and this Skerry knows version ${wrapped_version}`,
      );
    const decipher = createDecipheriv(algorithm, key, wrapped.subarray(1, 1 + nonce_bytes));
    decipher.setAAD(wrapped.subarray(0, 1));
    decipher.setAuthTag(wrapped.subarray(tagAt));
    try {
      return Uint8Array.from(Buffer.concat([decipher.update(wrapped.subarray(1 + nonce_bytes, tagAt)), decipher.final()]));
    } catch (cause) {
      throw new SkerryError(
        'corrupt',
        `the secret of ${place} in the catalog does not open with this data directory’s identity key`,
        {
          cause,
        },
      );
    }
  }

  #derived(place: string): Uint8Array {
    if (this.#key === null) throw new SkerryError('unavailable', this.problem ?? 'there is no identity key');
    return new Uint8Array(hkdfSync('sha256', this.#key, place, 'skerry identity secrets', key_bytes));
  }
}

/**
 * The vault of a data directory, with a key made at its first start. A key that is gone, damaged or another one is never replaced
 * while an account's secrets are wrapped under it: the vault stays shut and says why, and what needs no secret goes on.
 * So is one for which there is no room: disks are served without it. @throws SkerryError of reading the catalog
 */
export async function openVault(catalog: Catalog, dataDirectory: string): Promise<Vault> {
  const file = keyFileOf(dataDirectory);
  let key: Uint8Array | null;
  try {
    key = readKeyFile(file);
  } catch (error) {
    if (!isSkerryError(error)) throw error;
    return new Vault({ problem: `no account's secrets can be used: ${error.message}` });
  }
  const check = await catalog.get(identityCheckKey);
  if (key !== null && check !== null && opens(key, decodeIdentityCheck(check.value))) return new Vault(key);
  // No check and accounts: a catalog that never was. No check and a key: a first start that was killed, or a catalog made anew.
  if ((await catalog.range(accountPrefix, { entriesMax: 1 })).length > 0) {
    const what = key === null ? 'is gone' : 'is not the one that they were wrapped under';
    return new Vault({
      problem: `no account's secrets can be used: ${file} ${what}. Put a copy of the right one back and restart`,
    });
  }
  try {
    const vault = new Vault(key ?? makeKeyFile(file));
    await catalog.transact([], [{ key: identityCheckKey, value: encodeIdentityCheck(vault.wrap(identityCheckKey, known)) }]);
    return vault;
  } catch (error) {
    if (!isSkerryError(error)) throw error;
    return new Vault({ problem: `no account can be made: ${error.message}. Restart when that is mended` });
  }
}

function opens(key: Uint8Array, wrapped: Uint8Array): boolean {
  try {
    return known.equals(new Vault(key).unwrap(identityCheckKey, wrapped));
  } catch (error) {
    if (isSkerryError(error, 'corrupt')) return false;
    throw error;
  }
}
