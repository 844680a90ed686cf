import { expect, test } from 'vitest';

import { walkChunks, type WalkEntry } from '../../../src/driver/directory_walk.js';
import type { ChunkKey, ChunkStat } from '../../../src/driver/driver.js';

const files = ['a', 'ab', 'ab-c/d', 'ab-c/e', 'b/ac/ab', 'b/.hidden', '.incoming/x', 'b/UPPER', 'b/a b', 'Dir/x'];

/** `tells`: whether a listing says what each entry is, and of how many bytes. */
function directoriesOf(tells: boolean) {
  const seen = { walked: [] as string[], looked: [] as string[] };
  return {
    seen,
    async *entries(begin: string): AsyncGenerator<WalkEntry> {
      seen.walked.push(begin);
      const inside = files.filter((file) => file.startsWith(begin)).map((file) => file.slice(begin.length).split('/'));
      for (const name of new Set(inside.map(([first]) => first ?? ''))) {
        const isFile = inside.some((parts) => parts.length === 1 && parts[0] === name);
        yield tells ? { name, kind: isFile ? 'file' : 'directory', bytes: 5 } : { name, kind: null, bytes: null };
      }
      yield { name: 'socket', kind: 'other', bytes: 0 };
    },
    async stat(key: ChunkKey): Promise<ChunkStat | null> {
      seen.looked.push(key);
      return files.includes(key) ? { key, bytes: 5 } : null;
    },
  };
}

async function keysOf(directories: ReturnType<typeof directoriesOf>, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key, bytes } of walkChunks(directories, prefix)) {
    expect(bytes).toBe(5);
    keys.push(key);
  }
  return keys;
}

const chunks = files.slice(0, 5);

test.for([true, false])(
  'keys with the prefix are found, each once, and what is no key is not (told what is what: %s)',
  async (tells) => {
    for (const prefix of [
      '',
      'a',
      'ab',
      'ab-',
      'ab-c',
      'ab-c/',
      'ab-c/d',
      'ab-c/dd',
      'b/a',
      'b/ac/',
      'c',
      'b',
      '.',
      '.inc',
      '/',
      '../a',
      'b/../a',
    ])
      expect(await keysOf(directoriesOf(tells), prefix)).toEqual(chunks.filter((key) => key.startsWith(prefix)));
  },
);

test('no directory is looked into that can hold no such key, nor a file at whose size is known', async () => {
  const directories = directoriesOf(true);
  await keysOf(directories, 'b/a');
  await keysOf(directories, '.incoming/');
  await keysOf(directories, '../');
  expect(directories.seen).toEqual({ walked: ['b/', 'b/ac/'], looked: [] });
});
