/** Lists chunks that are files: a key's parts but the last are directories. For every driver whose backend has directories. */
import { keyIfChunk, type ChunkKey, type ChunkStat } from './driver.js';

export interface WalkEntry {
  readonly name: string;
  /** null where the backend does not tell in a listing. */
  readonly kind: 'file' | 'directory' | 'other' | null;
  /** null where it does not tell that. */
  readonly bytes: number | null;
}

export interface WalkedDirectories {
  /** What is in the directory of keys that begin with `begin`, which ends with a slash or is empty; nothing where that is absent. */
  entries(begin: string): AsyncIterable<WalkEntry>;
  /** null where there is no such file, or no file. */
  stat(key: ChunkKey): Promise<ChunkStat | null>;
}

/** As Driver.list has it. Names that are no part of a key, such as those with a dot before them, are none of a pool's chunks. */
export async function* walkChunks(directories: WalkedDirectories, prefix: string): AsyncGenerator<ChunkStat> {
  // Only the directories that the prefix names whole can be descended into at once; its last part is the beginning of names.
  const begin = prefix.slice(0, prefix.lastIndexOf('/') + 1);
  if (begin !== '' && keyIfChunk(begin.slice(0, -1)) === null) return;
  yield* walk(directories, begin, prefix);
}

async function* walk(directories: WalkedDirectories, begin: string, prefix: string): AsyncGenerator<ChunkStat> {
  for await (const { name, kind, bytes } of directories.entries(begin)) {
    const key = keyIfChunk(begin + name);
    if (key === null || kind === 'other') continue;
    const inside = `${key}/`;
    if (kind !== 'file' && (inside.startsWith(prefix) || prefix.startsWith(inside))) yield* walk(directories, inside, prefix);
    if (kind === 'directory' || !key.startsWith(prefix)) continue;
    const found = kind === 'file' && bytes !== null ? { key, bytes } : await directories.stat(key);
    if (found !== null) yield found;
  }
}
