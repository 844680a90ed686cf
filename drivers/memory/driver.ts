/** Chunks in this process's memory, gone with it: for tests, and the shortest example of a driver. */
import { z } from 'zod';

import { SkerryError } from '../../src/core/errors.js';
import { chunkKey, type ChunkKey, type ChunkStat, type Driver, type DriverTraits } from '../../src/driver/driver.js';
import { registerDriver } from '../../src/driver/registry.js';

const chunk_bytes_max = 64 << 20;

export const memoryDriver = registerDriver({
  name: 'memory',
  description: 'Chunks in the memory of the daemon: everything is lost when it ends. For trying things out',
  settings: z.strictObject({}),
  open: async () => new MemoryDriver(),
});

export class MemoryDriver implements Driver {
  readonly traits: DriverTraits = {
    chunkBytesMax: chunk_bytes_max,
    inFlightMax: 64,
    readAfterWrite: true,
    refusesRewrite: true,
    forgets: true,
  };
  readonly #chunks = new Map<ChunkKey, Uint8Array>();
  #closed = false;

  async put(key: ChunkKey, data: Uint8Array): Promise<void> {
    this.#check(key);
    if (data.length > chunk_bytes_max)
      throw new SkerryError('too-large', `chunk ${key} has ${data.length} bytes, at most ${chunk_bytes_max} are taken`);
    const present = this.#chunks.get(key);
    if (present !== undefined && Buffer.compare(present, data) !== 0)
      throw new SkerryError('exists', `chunk ${key} is there with other bytes`);
    this.#chunks.set(key, Uint8Array.from(data));
  }

  async get(key: ChunkKey, offset: number, into: Uint8Array): Promise<number | null> {
    this.#check(key);
    const chunk = this.#chunks.get(key);
    if (chunk === undefined) return null;
    const part = chunk.subarray(offset, offset + into.length);
    into.set(part);
    return part.length;
  }

  async stat(key: ChunkKey): Promise<ChunkStat | null> {
    this.#check(key);
    const chunk = this.#chunks.get(key);
    return chunk === undefined ? null : { key, bytes: chunk.length };
  }

  async remove(key: ChunkKey): Promise<void> {
    this.#check(key);
    this.#chunks.delete(key);
  }

  async *list(prefix: string): AsyncGenerator<ChunkStat> {
    if (this.#closed) throw new SkerryError('closed', 'the memory driver is closed');
    for (const [key, chunk] of this.#chunks) {
      if (key.startsWith(prefix)) yield { key, bytes: chunk.length };
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#chunks.clear();
  }

  #check(key: ChunkKey): void {
    if (this.#closed) throw new SkerryError('closed', 'the memory driver is closed');
    chunkKey(key);
  }
}
