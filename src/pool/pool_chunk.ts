/**
 * What a pool says of itself, so that its packs can be read without a catalog: whose it is, and the key of its hashes
 * (docs/formats/pool_chunk.md). There are two copies, for without that key nothing in the pool can be told from rot.
 */
import protobuf from 'protobufjs';

import { SkerryError } from '../core/errors.js';
import { chunkKey, type ChunkKey, type Driver } from '../driver/driver.js';
import { seal, unseal } from './chunk_frame.js';
import { readSmallChunk } from './small_chunk.js';

export interface PoolChunk {
  /** 16 bytes. */
  readonly poolUuid: Uint8Array;
  readonly name: string;
  readonly domain: number;
  readonly keyId: number;
  /** 32 bytes, secret. */
  readonly domainKey: Uint8Array;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
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
      },
    },
  },
});
const poolFrame = { magic: 'SKPL', what: 'pool chunk', type: schema.lookupType('PoolChunk') };

export function encodePoolChunk(chunk: PoolChunk): Uint8Array {
  if (chunk.poolUuid.length !== 16) throw new RangeError('a pool uuid has 16 bytes');
  if (chunk.domainKey.length !== 32) throw new RangeError('a domain key has 32 bytes');
  const { poolUuid, name, domain, keyId, domainKey, createdAt } = chunk;
  return seal(poolFrame, { poolUuid, name, domain, keyId, domainKey, createdAt });
}

/** @throws SkerryError corrupt, or unsupported for a newer version. */
export function decodePoolChunk(data: Uint8Array): PoolChunk {
  const fields = unseal(poolFrame, data) as unknown as PoolChunk;
  if (fields.poolUuid.length !== 16 || fields.domainKey.length !== 32)
    throw new SkerryError('corrupt', 'a pool chunk has a sound sum, and fields that cannot be');
  return { ...fields, poolUuid: Uint8Array.from(fields.poolUuid), domainKey: Uint8Array.from(fields.domainKey) };
}

/** The first copy that can be read, and a sentence for each that is missing or cannot. */
export async function readPoolChunk(
  driver: Pick<Driver, 'get'>,
): Promise<{ readonly chunk: PoolChunk | null; readonly damaged: readonly string[] }> {
  let chunk: PoolChunk | null = null;
  const damaged: string[] = [];
  for (const key of poolChunkKeys) {
    try {
      const data = await readSmallChunk(driver, key);
      if (data === null) damaged.push(`${key}: it is not there`);
      else chunk ??= decodePoolChunk(data);
      if (data !== null) decodePoolChunk(data);
    } catch (error) {
      damaged.push(`${key}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { chunk, damaged };
}

/**
 * Both copies durable and as they should be: one that is missing or damaged is made anew.
 * @throws SkerryError conflict where the pool says that it is another one; else of the driver
 */
export async function keepPoolChunk(driver: Pick<Driver, 'get' | 'put' | 'remove'>, chunk: PoolChunk): Promise<void> {
  const wanted = encodePoolChunk(chunk);
  const { chunk: found } = await readPoolChunk(driver);
  if (found !== null && Buffer.compare(found.poolUuid, chunk.poolUuid) !== 0) {
    throw new SkerryError(
      'conflict',
      `what rests in pool ${chunk.name} belongs to another catalog than the one in this data directory: put that one back, or make one with skerry pool recover --replace`,
    );
  }
  for (const key of poolChunkKeys) {
    const data = await readSmallChunk(driver, key).catch(() => new Uint8Array(0));
    if (data !== null && Buffer.compare(data, wanted) === 0) continue;
    // Other bytes never go under a key that is taken; the other copy is there meanwhile.
    if (data !== null) await driver.remove(key);
    await driver.put(key, wanted);
  }
}
