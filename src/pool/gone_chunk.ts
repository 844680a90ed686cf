/**
 * Lists of the packs that are gone from a remote pool, or were about to be (docs/formats/gone_packs.md), in the frame of chunk_frame.ts. What is
 * in one only the engine knows. Each is of an owner (owner_chunk.ts) and has a number; an owner's leave no number out, so that the last one is
 * found by asking.
 */
import protobuf from 'protobufjs';

import { SkerryError } from '../core/errors.js';
import { gone_chunk_bytes_max } from '../core/limits.js';
import { chunkKey, type ChunkKey, type Driver } from '../driver/driver.js';
import { seal, unseal } from './chunk_frame.js';
import type { PoolIdentity } from './owner_chunk.js';
import type { ChunkCipher } from './pool_secrets.js';

export interface GoneChunk {
  /** 16 bytes. */
  readonly poolUuid: Uint8Array;
  /** The number of the owner chunk of who kept it; 0 in a pool that has none. */
  readonly owner: number;
  /** From 1 on. */
  readonly number: number;
  /** As native/blocks/gone_packs.h has it. */
  readonly list: Uint8Array;
}

export type GonePlace = Pick<GoneChunk, 'owner' | 'number'>;

export const gonePrefix = 'gone/';

const schema = protobuf.Root.fromJSON({
  nested: {
    GoneChunk: {
      fields: {
        poolUuid: { type: 'bytes', id: 1 },
        owner: { type: 'uint64', id: 2 },
        number: { type: 'uint64', id: 3 },
        list: { type: 'bytes', id: 4 },
      },
    },
  },
});
const frame = {
  magic: 'SKGN',
  what: 'list of packs that are gone',
  type: schema.lookupType('GoneChunk'),
  bytesMax: gone_chunk_bytes_max,
};

export function goneKey({ owner, number }: GonePlace): ChunkKey {
  return chunkKey(`${gonePrefix}${hex(owner)}/${hex(number)}`);
}

/** `cipher`, here and below: of an encrypted pool. */
export function encodeGoneChunk(chunk: GoneChunk, cipher: ChunkCipher | null = null): Uint8Array {
  if (chunk.poolUuid.length !== 16) throw new RangeError('a pool uuid has 16 bytes');
  return seal(frame, { ...chunk }, cipher);
}

/** @throws SkerryError corrupt, or unsupported for a newer version, or denied without the cipher it takes. */
export function decodeGoneChunk(data: Uint8Array, cipher: ChunkCipher | null = null): GoneChunk {
  const { poolUuid, owner, number, list } = unseal(frame, data, cipher) as unknown as GoneChunk;
  if (poolUuid.length !== 16 || number === 0)
    throw new SkerryError('corrupt', 'a list of packs that are gone has a sound sum, and fields that cannot be');
  return { poolUuid: Uint8Array.from(poolUuid), owner, number, list: Uint8Array.from(list) };
}

/** null where there is none. @throws SkerryError corrupt naming the chunk where it cannot be read; else of the driver */
export async function readGone(
  driver: Pick<Driver, 'get' | 'stat'>,
  { poolUuid, cipher }: PoolIdentity,
  place: GonePlace,
): Promise<Uint8Array | null> {
  const key = goneKey(place);
  const stat = await driver.stat(key);
  if (stat === null) return null;
  if (stat.bytes > gone_chunk_bytes_max) throw new SkerryError('corrupt', `chunk ${key} is larger than it can be`);
  const buffer = new Uint8Array(stat.bytes);
  const bytes = await driver.get(key, 0, buffer);
  if (bytes === null) return null;
  let chunk: GoneChunk;
  try {
    chunk = decodeGoneChunk(buffer.subarray(0, bytes), cipher);
  } catch (error) {
    throw new SkerryError('corrupt', `chunk ${key}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  if (chunk.owner !== place.owner || chunk.number !== place.number || Buffer.compare(chunk.poolUuid, poolUuid) !== 0)
    throw new SkerryError('corrupt', `chunk ${key} is of another pool or place`);
  return chunk.list;
}

/**
 * The last list of the last owner, up to this one, that kept one: it holds all that was asked to be removed. null: none did.
 * @throws SkerryError corrupt where it cannot be read, unavailable where the backend lists what is not there any more; else of the driver
 */
export async function readLastGone(
  driver: Pick<Driver, 'get' | 'stat' | 'list'>,
  identity: PoolIdentity,
  ownerMax: number,
): Promise<Uint8Array | null> {
  const listed = new Map<number, number>();
  for (const { owner, number } of await listGone(driver)) listed.set(owner, Math.max(number, listed.get(owner) ?? 0));
  for (let owner = Math.max(ownerMax, ...listed.keys()); owner >= 0; owner -= 1) {
    const shown = listed.get(owner) ?? 0;
    let last = shown === 0 ? null : await readGone(driver, identity, { owner, number: shown });
    if (shown > 0 && last === null)
      throw new SkerryError(
        'unavailable',
        `the backend lists ${goneKey({ owner, number: shown })}, which is not there: its list is late`,
      );
    // A list that is late may not show the newest.
    for (let number = shown + 1; ; number += 1) {
      const next = await readGone(driver, identity, { owner, number });
      if (next === null) break;
      last = next;
    }
    if (last !== null) return last;
  }
  return null;
}

export async function listGone(driver: Pick<Driver, 'list'>): Promise<readonly GonePlace[]> {
  const places: GonePlace[] = [];
  for await (const { key } of driver.list(gonePrefix)) {
    const [, owner, number] = /^gone\/([0-9a-f]{16})\/([0-9a-f]{16})$/.exec(key) ?? [];
    if (owner === undefined || number === undefined) continue;
    const place = { owner: Number.parseInt(owner, 16), number: Number.parseInt(number, 16) };
    if (Number.isSafeInteger(place.owner) && Number.isSafeInteger(place.number) && place.number > 0) places.push(place);
  }
  return places;
}

function hex(value: number): string {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} cannot stand in a chunk key`);
  return value.toString(16).padStart(16, '0');
}
