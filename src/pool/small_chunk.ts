/** A chunk that is read whole. */
import { SkerryError } from '../core/errors.js';
import { small_chunk_bytes_max } from '../core/limits.js';
import type { ChunkKey, Driver } from '../driver/driver.js';

/** null where there is no such chunk. @throws SkerryError corrupt for one that is larger than it can be; else of the driver */
export async function readSmallChunk(driver: Pick<Driver, 'get'>, key: ChunkKey): Promise<Uint8Array | null> {
  const buffer = new Uint8Array(small_chunk_bytes_max + 1);
  const bytes = await driver.get(key, 0, buffer);
  if (bytes === null) return null;
  if (bytes > small_chunk_bytes_max) throw new SkerryError('corrupt', `chunk ${key} is larger than it can be`);
  return buffer.slice(0, bytes);
}
