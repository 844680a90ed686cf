/** Drivers that are broken on purpose, each in one way that a real one might be. Every one must break a law. */
import { MemoryDriver } from '../../drivers/memory/driver.js';
import { chunkKey, type ChunkKey, type ChunkStat, type Driver } from '../../src/driver/driver.js';

export interface Mutant {
  readonly title: string;
  make(): Driver;
}

/** A sound driver with some verbs replaced; each replacement gets the sound one to lean on. */
function mutate(title: string, change: (sound: Driver) => Partial<Driver>): Mutant {
  return {
    title,
    make() {
      const sound = new MemoryDriver();
      const verbs: Driver = {
        traits: sound.traits,
        put: (key, data) => sound.put(key, data),
        get: (key, offset, into) => sound.get(key, offset, into),
        stat: (key) => sound.stat(key),
        remove: (key) => sound.remove(key),
        list: (prefix) => sound.list(prefix),
        close: () => sound.close(),
      };
      return { ...verbs, ...change(verbs) };
    },
  };
}

export const mutants: readonly Mutant[] = [
  mutate('throws where a chunk is absent', (sound) => ({
    async get(key, offset, into) {
      const bytes = await sound.get(key, offset, into);
      if (bytes === null) throw new Error('no such chunk');
      return bytes;
    },
  })),
  mutate('throws where stat finds no chunk', (sound) => ({
    async stat(key) {
      const found = await sound.stat(key);
      if (found === null) throw new Error('no such chunk');
      return found;
    },
  })),
  mutate('throws where there is nothing to list', (sound) => ({
    async *list(prefix): AsyncGenerator<ChunkStat> {
      let found = false;
      for await (const stat of sound.list(prefix)) {
        found = true;
        yield stat;
      }
      if (!found) throw new Error('no such prefix');
    },
  })),
  mutate('takes an absent chunk for one of no bytes', (sound) => ({
    get: async (key, offset, into) => (await sound.get(key, offset, into)) ?? 0,
  })),
  mutate('takes a chunk of no bytes for an absent one', (sound) => ({
    stat: async (key) => {
      const found = await sound.stat(key);
      return found?.bytes === 0 ? null : found;
    },
  })),
  mutate('ignores the offset', (sound) => ({ get: (key, _offset, into) => sound.get(key, 0, into) })),
  mutate('reads short in the middle', (sound) => ({
    get: (key, offset, into) => sound.get(key, offset, into.subarray(0, 65_536)),
  })),
  mutate('says null for a read past the end', (sound) => ({
    get: async (key, offset, into) => {
      const bytes = await sound.get(key, offset, into);
      return bytes === 0 && offset > 0 ? null : bytes;
    },
  })),
  mutate('says it filled the buffer when it did not', (sound) => ({
    get: async (key, offset, into) => ((await sound.get(key, offset, into)) === null ? null : into.length),
  })),
  mutate('clears the rest of the buffer', (sound) => ({
    get: async (key, offset, into) => {
      const bytes = await sound.get(key, offset, into);
      into.fill(0, bytes ?? 0);
      return bytes;
    },
  })),
  mutate('writes into the whole buffer behind the part it was given', (sound) => ({
    get: (key, offset, into) => sound.get(key, offset, new Uint8Array(into.buffer, 0, into.length)).then((bytes) => bytes),
  })),
  mutate('flips a bit of large chunks', (sound) => ({
    put: (key, data) => {
      const changed = Uint8Array.from(data);
      if (changed.length > 4096) changed[4096] = (changed[4096] ?? 0) ^ 1;
      return sound.put(key, changed);
    },
  })),
  mutate('stores the whole buffer behind the part it was given', (sound) => ({
    put: (key, data) => sound.put(key, new Uint8Array(data.buffer)),
  })),
  mutate('keeps the caller’s buffer', () => {
    const chunks = new Map<ChunkKey, Uint8Array>();
    return {
      put: async (key, data) => {
        chunks.set(key, data);
      },
      get: async (key, offset, into) => {
        const part = chunks.get(key)?.subarray(offset, offset + into.length);
        if (part === undefined) return null;
        into.set(part);
        return part.length;
      },
    };
  }),
  mutate('refuses to write the same again', (sound) => ({
    put: async (key, data) => {
      if ((await sound.stat(key)) !== null) throw new Error('it is there');
      await sound.put(key, data);
    },
  })),
  mutate('rewrites a chunk in place', (sound) => ({
    put: async (key, data) => {
      await sound.remove(key);
      await sound.put(key, data);
    },
  })),
  mutate('shows the first half before the second', (sound) => ({
    put: async (key, data) => {
      if ((await sound.stat(key)) === null && data.length > 1_000_000) {
        await sound.put(key, data.subarray(0, data.length / 2));
        await new Promise((resolve) => {
          setTimeout(resolve, 5);
        });
        await sound.remove(key);
      }
      await sound.put(key, data);
    },
  })),
  mutate('resolves before it has written', (sound) => ({
    put: async (key, data) => {
      const copy = Uint8Array.from(data);
      setTimeout(() => void sound.put(key, copy).catch(() => undefined), 1);
    },
  })),
  mutate('takes chunks over its own limit', (sound) => ({
    put: (key, data) => sound.put(key, data.length > sound.traits.chunkBytesMax ? new Uint8Array(1) : data),
  })),
  mutate('cannot remove what is absent', (sound) => ({
    remove: async (key) => {
      if ((await sound.stat(key)) === null) throw new Error('no such chunk');
      await sound.remove(key);
    },
  })),
  mutate('removes nothing', () => ({ remove: async () => undefined })),
  mutate('removes by prefix', (sound) => ({
    remove: async (key) => {
      for await (const stat of sound.list(key)) await sound.remove(stat.key);
    },
  })),
  mutate('lists by parts, not by characters', (sound) => ({
    async *list(prefix): AsyncGenerator<ChunkStat> {
      for await (const stat of sound.list('')) {
        if (prefix === '' || stat.key === prefix || stat.key.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`)) yield stat;
      }
    },
  })),
  mutate('lists late and does not say so', (sound) => {
    let shown: ChunkStat[] = [];
    return {
      async *list(prefix): AsyncGenerator<ChunkStat> {
        const before = shown;
        shown = [];
        for await (const stat of sound.list('')) shown.push(stat);
        for (const stat of before) if (stat.key.startsWith(prefix)) yield stat;
      },
    };
  }),
  mutate('lists only one page', (sound) => ({
    async *list(prefix): AsyncGenerator<ChunkStat> {
      let left = 20;
      for await (const stat of sound.list(prefix)) {
        if (left === 0) return;
        left -= 1;
        yield stat;
      }
    },
  })),
  mutate('lists the chunk at the border of two pages twice', (sound) => ({
    async *list(prefix): AsyncGenerator<ChunkStat> {
      let count = 0;
      for await (const stat of sound.list(prefix)) {
        count += 1;
        yield stat;
        if (count % 16 === 0) yield stat;
      }
    },
  })),
  mutate('lists sizes as zero', (sound) => ({
    async *list(prefix): AsyncGenerator<ChunkStat> {
      for await (const stat of sound.list(prefix)) yield { ...stat, bytes: 0 };
    },
  })),
  mutate('drops the directory of a key', (sound) => {
    const flat = (key: string): ChunkKey => chunkKey(key.split('/').at(-1) ?? key);
    return {
      put: (key, data) => sound.put(flat(key), data),
      get: (key, offset, into) => sound.get(flat(key), offset, into),
      stat: async (key) => {
        const found = await sound.stat(flat(key));
        return found === null ? null : { ...found, key };
      },
      remove: (key) => sound.remove(flat(key)),
    };
  }),
  mutate('takes any key', (sound) => ({
    put: (key, data) =>
      sound.put(
        key.replaceAll(/[^a-z0-9]/g, 'x') === '' ? chunkKey('empty') : chunkKey(`k${Buffer.from(key).toString('hex')}`),
        data,
      ),
  })),
  mutate('goes on after it was closed', () => {
    const sound = new MemoryDriver();
    return {
      put: (key, data) => sound.put(key, data),
      get: (key, offset, into) => sound.get(key, offset, into),
      stat: (key) => sound.stat(key),
      remove: (key) => sound.remove(key),
      list: (prefix) => sound.list(prefix),
      close: async () => undefined,
    };
  }),
  mutate('cannot be closed twice', (sound) => {
    let closed = false;
    return {
      close: async () => {
        if (closed) throw new Error('closed already');
        closed = true;
        await sound.close();
      },
    };
  }),
];
