/** All that a pool's chunks tell of its resources, read once: for who has nothing else to go by, or wants to compare. */
import type { Driver } from '../driver/driver.js';
import type { ChunkCipher } from './pool_secrets.js';
import {
  decodeRootChunk,
  decodeTombstone,
  parseRootChunkKey,
  parseTombstoneKey,
  rootChunkPrefix,
  tombstonePrefix,
  type RootChunk,
} from './root_chunk.js';
import { readSmallChunk } from './small_chunk.js';

export interface PoolSurvey {
  /** By id: root chunks that can be read, the newest first, and those that cannot. */
  readonly resources: ReadonlyMap<number, ResourceChunks>;
  /** Ids of what was deleted, and when, in milliseconds since 1970; null where the tombstone cannot be read: its key says enough. */
  readonly tombstones: ReadonlyMap<number, number | null>;
  /** A sentence for each tombstone that cannot be read, and each chunk whose key or pool is none of these. */
  readonly damaged: readonly string[];
}

export interface ResourceChunks {
  readonly roots: readonly RootChunk[];
  readonly damaged: readonly DamagedRootChunk[];
}

export interface DamagedRootChunk {
  /** As its key says. */
  readonly fence: number;
  readonly number: number;
  /** A sentence that names the key. */
  readonly why: string;
}

/** Above 0 where `a` came after `b`. */
export function compareAge(a: Pick<RootChunk, 'fence' | 'number'>, b: Pick<RootChunk, 'fence' | 'number'>): number {
  return a.fence - b.fence || a.number - b.number;
}

/** `cipher`: of an encrypted pool. @throws SkerryError of the driver, where chunks cannot be listed */
export async function surveyPool(
  driver: Pick<Driver, 'get' | 'list'>,
  poolUuid: Uint8Array,
  cipher: ChunkCipher | null = null,
): Promise<PoolSurvey> {
  const resources = new Map<number, { roots: RootChunk[]; damaged: DamagedRootChunk[] }>();
  const tombstones = new Map<number, number | null>();
  const damaged: string[] = [];
  for await (const { key } of driver.list(rootChunkPrefix)) {
    const parsed = parseRootChunkKey(key);
    if (parsed === null || !Number.isSafeInteger(parsed.id) || parsed.id === 0) {
      damaged.push(`${key}: no root chunk has such a key`);
      continue;
    }
    const found = resources.get(parsed.id) ?? { roots: [], damaged: [] };
    resources.set(parsed.id, found);
    const refuse = (why: string): void =>
      void found.damaged.push({ fence: parsed.fence, number: parsed.number, why: `${key}: ${why}` });
    try {
      const data = await readSmallChunk(driver, key);
      if (data === null) continue;
      const root = decodeRootChunk(data, cipher);
      const { id, fence, number } = parsed;
      if (root.id !== id || root.fence !== fence || root.number !== number) refuse("it is another's");
      else if (Buffer.compare(root.poolUuid, poolUuid) === 0) found.roots.push(root);
      else refuse("it is another pool's");
    } catch (error) {
      refuse(error instanceof Error ? error.message : String(error));
    }
  }
  for (const { roots } of resources.values()) roots.sort((a, b) => compareAge(b, a));
  for await (const { key } of driver.list(tombstonePrefix)) {
    const id = parseTombstoneKey(key);
    if (id === null) {
      damaged.push(`${key}: no tombstone has such a key`);
      continue;
    }
    try {
      const data = await readSmallChunk(driver, key);
      if (data === null) continue;
      const tombstone = decodeTombstone(data, cipher);
      if (Buffer.compare(tombstone.poolUuid, poolUuid) === 0) tombstones.set(id, tombstone.deletedAt);
      else damaged.push(`${key}: it is another pool's`);
    } catch (error) {
      tombstones.set(id, null);
      damaged.push(`${key}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { resources, tombstones, damaged };
}
