/**
 * Who has a pool: the data directory whose daemon puts and removes things there (docs/formats/owner_chunk.md,
 * docs/decisions/0057-recovering-from-a-backend.md). The newest such chunk counts. No backend is asked for compare-and-swap, so this keeps
 * a pool from being taken by accident; it is no lock between two who both want it.
 */
import protobuf from 'protobufjs';

import { isSkerryError, SkerryError } from '../core/errors.js';
import { chunkKey, type ChunkKey, type Driver } from '../driver/driver.js';
import { seal, unseal } from './chunk_frame.js';
import type { ChunkCipher } from './pool_secrets.js';
import { readSmallChunk } from './small_chunk.js';

export interface Owner {
  /** Of the data directory: the uuid that its ring is called by. */
  readonly id: string;
  readonly host: string;
  /** Its path there. */
  readonly directory: string;
}

export interface OwnerChunk extends Owner {
  /** 16 bytes. */
  readonly poolUuid: Uint8Array;
  /** Grows with each that is written. */
  readonly number: number;
  /** Milliseconds since 1970. */
  readonly since: number;
}

export interface PoolIdentity {
  readonly poolUuid: Uint8Array;
  /** Of an encrypted pool: else whoever reads the backend would be told of hosts and paths. */
  readonly cipher: ChunkCipher | null;
}

/** What the owner chunks of a pool tell. */
export interface Ownership {
  /** As the newest says that can be read; null where none does. */
  readonly owner: OwnerChunk | null;
  /** A sentence for each that cannot be read. */
  readonly damaged: readonly string[];
  readonly keys: readonly ChunkKey[];
  readonly numberMax: number;
}

export const ownerPrefix = 'owner/';

const schema = protobuf.Root.fromJSON({
  nested: {
    OwnerChunk: {
      fields: {
        poolUuid: { type: 'bytes', id: 1 },
        number: { type: 'uint64', id: 2 },
        id: { type: 'string', id: 3 },
        host: { type: 'string', id: 4 },
        directory: { type: 'string', id: 5 },
        since: { type: 'uint64', id: 6 },
      },
    },
  },
});
const ownerFrame = { magic: 'SKOW', what: 'owner chunk', type: schema.lookupType('OwnerChunk') };

export function ownerKey(number: number): ChunkKey {
  return chunkKey(`${ownerPrefix}${number.toString(16).padStart(16, '0')}`);
}

export function encodeOwnerChunk(chunk: OwnerChunk, cipher: ChunkCipher | null = null): Uint8Array {
  if (chunk.poolUuid.length !== 16) throw new RangeError('a pool uuid has 16 bytes');
  return seal(ownerFrame, { ...chunk }, cipher);
}

/** @throws SkerryError corrupt, or unsupported for a newer version, or denied without the cipher it takes */
export function decodeOwnerChunk(data: Uint8Array, cipher: ChunkCipher | null = null): OwnerChunk {
  const fields = unseal(ownerFrame, data, cipher) as unknown as OwnerChunk;
  if (fields.poolUuid.length !== 16 || fields.number === 0 || fields.id === '')
    throw new SkerryError('corrupt', 'an owner chunk has a sound sum, and fields that cannot be');
  const { number, id, host, directory, since } = fields;
  return { poolUuid: Uint8Array.from(fields.poolUuid), number, id, host, directory, since };
}

/** @throws SkerryError unsupported where a newer version says whose it is; else of the driver */
export async function readOwnership(
  driver: Pick<Driver, 'get' | 'list'>,
  { poolUuid, cipher }: PoolIdentity,
): Promise<Ownership> {
  const numbers = await ownerNumbers(driver);
  const damaged: string[] = [];
  let owner: OwnerChunk | null = null;
  for (const number of numbers) {
    const key = ownerKey(number);
    const data = await readSmallChunk(driver, key);
    if (data === null) continue;
    try {
      const chunk = decodeOwnerChunk(data, cipher);
      if (chunk.number === number && Buffer.compare(chunk.poolUuid, poolUuid) === 0) owner = chunk;
      else damaged.push(`${key}: it is another's`);
    } catch (error) {
      if (isSkerryError(error, 'unsupported')) throw error;
      damaged.push(`${key}: ${error instanceof Error ? error.message : String(error)}`);
    }
    if (owner !== null) break;
  }
  return { owner, damaged, keys: numbers.map(ownerKey), numberMax: numbers[0] ?? 0 };
}

/** The highest first. */
async function ownerNumbers(driver: Pick<Driver, 'get' | 'list'>): Promise<readonly number[]> {
  const numbers: number[] = [];
  for await (const { key } of driver.list(ownerPrefix)) {
    const number = Number.parseInt(/^owner\/([0-9a-f]{16})$/.exec(key)?.[1] ?? '0', 16);
    if (Number.isSafeInteger(number) && number > 0) numbers.push(number);
  }
  numbers.sort((a, b) => b - a);
  // A list that is late may not show the newest, and numbers leave no gaps.
  for (let next = (numbers[0] ?? 0) + 1; (await readSmallChunk(driver, ownerKey(next))) !== null; next += 1)
    numbers.unshift(next);
  return numbers;
}

export interface Claim {
  readonly own: Owner;
  readonly identity: PoolIdentity;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Whoever has it: the operator says that they have ended. */
  readonly takeOver?: boolean;
  /** This daemon has found it its own before: where it has moved since, somebody serves a copy of this data directory. */
  readonly held?: boolean;
  /** A new chunk says so, though the last one does already. */
  readonly renew?: boolean;
}

export interface Claimed {
  /** Of the owner chunk. */
  readonly number: number;
  /** It was put by this call. */
  readonly fresh: boolean;
}

/**
 * The pool is this data directory's, durably; so it was, or nobody's, unless it is taken over. Idempotent.
 * @throws SkerryError conflict where it is another's; else of the driver
 */
export async function claimPool(driver: Pick<Driver, 'get' | 'list' | 'put' | 'remove'>, claim: Claim): Promise<Claimed> {
  const { own, identity, now, takeOver = false, held = false, renew = false } = claim;
  const before = await readOwnership(driver, identity);
  const isOwn = before.owner?.id === own.id;
  const moved = before.owner !== null && hasMoved(before.owner, own);
  if (before.owner !== null && isOwn && !moved && !renew) return { number: before.owner.number, fresh: false };
  if (before.owner !== null && (!isOwn || (held && moved)) && !takeOver) throw ownedByAnother(before.owner);
  const number = before.numberMax + 1;
  const key = ownerKey(number);
  const data = encodeOwnerChunk({ ...own, poolUuid: identity.poolUuid, number, since: now }, identity.cipher);
  await driver.put(key, data);
  // Of two who came at the same time one may have written over the other's: who finds another's there has lost.
  const after = await readOwnership(driver, identity);
  if (after.owner !== null && after.owner.id !== own.id) throw ownedByAnother(after.owner);
  // The one before stays: a list that is late shows at least that.
  for (const older of before.keys.slice(1)) await driver.remove(older);
  return { number, fresh: true };
}

export function ownedByAnother(owner: OwnerChunk): SkerryError {
  return new SkerryError(
    'conflict',
    `it is ${toldOwner(owner)}: two daemons that write to one pool lose what is in it. Where this one is to have it again, end the other for good, and remove the chunk ${ownerKey(owner.number)} from the backend`,
  );
}

export function toldOwner({ host, directory, since }: OwnerChunk): string {
  return `in the hands of ${directory} on host ${host}, since ${new Date(since).toISOString()}`;
}

function hasMoved(a: Owner, b: Owner): boolean {
  return a.host !== b.host || a.directory !== b.directory;
}
