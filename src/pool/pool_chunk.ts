/**
 * What a pool says of itself, so that its packs can be read without a catalog: whose it is, and the key of its hashes
 * (docs/formats/pool_chunk.md). There are two copies, for without that key nothing in the pool can be told from rot. Of an encrypted
 * pool name and keys are wrapped.
 */
import protobuf from 'protobufjs';

import { isSkerryError, SkerryError } from '../core/errors.js';
import { chunkKey, type ChunkKey, type Driver } from '../driver/driver.js';
import { encrypted_chunk_version, seal, unseal } from './chunk_frame.js';
import { readSmallChunk } from './small_chunk.js';

export interface PoolChunk {
  /** 16 bytes. */
  readonly poolUuid: Uint8Array;
  /** '' where it is wrapped. */
  readonly name: string;
  readonly domain: number;
  readonly keyId: number;
  /** 32 bytes, secret; none where it is wrapped. */
  readonly domainKey: Uint8Array;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** Of an encrypted pool (pool_secrets.ts); else null. */
  readonly wrapped: Uint8Array | null;
}

export const poolChunkKeys: readonly ChunkKey[] = [chunkKey('identity/1'), chunkKey('identity/2')];

const schema = protobuf.Root.fromJSON({
  nested: {
    PoolChunk: {
      fields: {
        poolUuid: { type: 'bytes', id: 1 },
        name: { type: 'string', id: 2 },
        domain: { type: 'uint32', id: 3 },
        keyId: { type: 'uint32', id: 4 },
        domainKey: { type: 'bytes', id: 5 },
        createdAt: { type: 'uint64', id: 6 },
        wrapped: { type: 'bytes', id: 7 },
      },
    },
  },
});
const poolFrame = { magic: 'SKPL', what: 'pool chunk', type: schema.lookupType('PoolChunk') };
const encryptedPoolFrame = { ...poolFrame, version: encrypted_chunk_version };

export function encodePoolChunk(chunk: PoolChunk): Uint8Array {
  if (chunk.poolUuid.length !== 16) throw new RangeError('a pool uuid has 16 bytes');
  const { poolUuid, name, domain, keyId, domainKey, createdAt, wrapped } = chunk;
  if (wrapped !== null) return seal(encryptedPoolFrame, { poolUuid, domain, keyId, createdAt, wrapped });
  if (domainKey.length !== 32) throw new RangeError('a domain key has 32 bytes');
  return seal(poolFrame, { poolUuid, name, domain, keyId, domainKey, createdAt });
}

/** @throws SkerryError corrupt, or unsupported for a newer version. */
export function decodePoolChunk(data: Uint8Array): PoolChunk {
  const encrypted = data.length >= 8 && data[4] === encrypted_chunk_version && data[5] === 0;
  const fields = unseal(encrypted ? encryptedPoolFrame : poolFrame, data) as unknown as Omit<PoolChunk, 'wrapped'> & {
    readonly wrapped: Uint8Array;
  };
  const key_bytes = encrypted ? 0 : 32;
  if (fields.poolUuid.length !== 16 || fields.domainKey.length !== key_bytes || fields.wrapped.length > 0 !== encrypted)
    throw new SkerryError('corrupt', 'a pool chunk has a sound sum, and fields that cannot be');
  return {
    ...fields,
    poolUuid: Uint8Array.from(fields.poolUuid),
    domainKey: Uint8Array.from(fields.domainKey),
    wrapped: encrypted ? Uint8Array.from(fields.wrapped) : null,
  };
}

/**
 * The first copy that can be read, and a sentence for each that is missing or cannot. `wrapped`: of each copy of an encrypted pool, for a
 * change of its key that was interrupted leaves them different.
 */
export async function readPoolChunk(driver: Pick<Driver, 'get'>): Promise<{
  readonly chunk: PoolChunk | null;
  readonly wrapped: readonly Uint8Array[];
  readonly damaged: readonly string[];
}> {
  let chunk: PoolChunk | null = null;
  const wrapped: Uint8Array[] = [];
  const damaged: string[] = [];
  for (const key of poolChunkKeys) {
    try {
      const data = await readSmallChunk(driver, key);
      if (data === null) {
        damaged.push(`${key}: it is not there`);
        continue;
      }
      const copy = decodePoolChunk(data);
      chunk ??= copy;
      if (copy.wrapped !== null) wrapped.push(copy.wrapped);
    } catch (error) {
      damaged.push(`${key}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { chunk, wrapped, damaged };
}

/**
 * Both copies durable and as they should be: one that is missing or damaged is made anew.
 * @throws SkerryError conflict where the pool says that it is another one; unsupported where a newer version wrote that; else of the driver
 */
export async function keepPoolChunk(driver: Pick<Driver, 'get' | 'put' | 'remove'>, chunk: PoolChunk): Promise<void> {
  const wanted = encodePoolChunk(chunk);
  const copies: { readonly key: ChunkKey; readonly data: Uint8Array | null }[] = [];
  let isOwn = false;
  let failure: Error | null = null;
  for (const key of poolChunkKeys) {
    try {
      const data = await readSmallChunk(driver, key);
      if (data !== null && isOf(chunk, data)) isOwn = true;
      copies.push({ key, data });
    } catch (error) {
      if (isSkerryError(error, 'conflict') || isSkerryError(error, 'unsupported')) throw error;
      if (!(error instanceof Error)) throw error;
      if (!isSkerryError(error, 'corrupt')) failure = error;
      copies.push({ key, data: new Uint8Array(0) });
    }
  }
  // A copy that nobody could read now may be sound, and another pool's.
  if (failure !== null && !isOwn) throw failure;
  for (const { key, data } of copies) {
    if (data !== null && Buffer.compare(data, wanted) === 0) continue;
    // Other bytes never go under a key that is taken; the other copy is there meanwhile.
    if (data !== null) await driver.remove(key);
    await driver.put(key, wanted);
  }
}

/** @throws SkerryError conflict where it is of another pool, corrupt, or unsupported */
function isOf({ poolUuid, name }: PoolChunk, data: Uint8Array): boolean {
  if (Buffer.compare(decodePoolChunk(data).poolUuid, poolUuid) === 0) return true;
  throw new SkerryError(
    'conflict',
    `what rests in pool ${name} belongs to another catalog than the one in this data directory: put that one back, or make one with skerry pool recover --replace`,
  );
}
