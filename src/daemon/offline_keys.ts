/** The secrets of a pool that no daemon serves: as they stand, or, of an encrypted one, unwrapped with its key. */
import type { EncryptionRecord, PoolRecord } from '../catalog/records.js';
import { SkerryError } from '../core/errors.js';
import { checkKeySource, readKey, toldSource, type KeySource } from '../pool/key_source.js';
import type { PoolChunk } from '../pool/pool_chunk.js';
import { unwrapSecrets, type PoolSecrets } from '../pool/pool_secrets.js';

export interface Unlocked {
  readonly secrets: PoolSecrets;
  /** As it was wrapped with them; undefined where the pool is not encrypted. */
  readonly name?: string;
  /** What a catalog has to know of it. */
  readonly encryption: EncryptionRecord | null;
}

interface Locked {
  readonly chunk: PoolChunk | null;
  /** Of each copy of the pool chunk. */
  readonly wrapped: readonly Uint8Array[];
  readonly fromCatalog: PoolRecord | null;
  readonly key?: KeySource;
}

/** null where nothing tells of the pool. @throws SkerryError denied without the key that is needed */
export async function unlock({ chunk, wrapped, fromCatalog, key: given }: Locked): Promise<Unlocked | null> {
  const identity = chunk ?? fromCatalog;
  if (identity === null) return null;
  const known = fromCatalog?.encryption ?? null;
  if ((chunk === null ? known : chunk.wrapped) === null)
    return { secrets: { domainKey: identity.domainKey, dataKey: null }, encryption: null };
  const source = given ?? known?.source;
  if (source === undefined) throw new SkerryError('denied', 'the pool is encrypted: say --key-file or --key-command');
  const key = await readKey(checkKeySource(source));
  // A change of the key that was interrupted leaves some of these as they were.
  for (const one of [...(known === null ? [] : [known.wrapped]), ...wrapped]) {
    const unwrapped = unwrapSecrets({ key, poolUuid: identity.poolUuid }, one);
    if (unwrapped !== null) return { ...unwrapped, encryption: { wrapped: one, source } };
  }
  throw new SkerryError('denied', `the pool is encrypted, and ${toldSource(source)} gives another key than the pool's`);
}
