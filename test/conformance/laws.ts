/** The driver contract as a list of laws. Each runs on a fresh, empty driver; what a driver does not claim, it is not asked. */
import { setImmediate as nextTurn } from 'node:timers/promises';

import { isSkerryError } from '../../src/core/errors.js';
import { chunkKey, type Driver, type DriverTraits } from '../../src/driver/driver.js';
import { equal, keysOf, lists, readAll, refuses, same, sameList } from './expectations.js';

export interface Law {
  readonly title: string;
  needs?(traits: DriverTraits): boolean;
  check(driver: Driver): Promise<void>;
}

const key = chunkKey('packs/0000000000000001.pack');
const other = chunkKey('root/0000000000000001/0000000000000001-0000000000000001');

export const laws: readonly Law[] = [
  {
    title: 'an absent chunk reads as null; it is not an error',
    async check(driver) {
      same(await driver.get(key, 0, new Uint8Array(8)), null);
      same(await driver.get(key, 4096, new Uint8Array(8)), null);
    },
  },
  {
    title: 'an absent chunk has no stat; it is not an error',
    async check(driver) {
      same(await driver.stat(key), null);
      same(await driver.stat(chunkKey('a/b/c/d')), null);
    },
  },
  {
    title: 'what was put is what is read',
    async check(driver) {
      const data = pattern(100_000, 1);
      await driver.put(key, data);
      equal(await readAll(driver, key, data.length), data);
    },
  },
  {
    title: 'every byte value survives',
    async check(driver) {
      const data = Uint8Array.from({ length: 1024 }, (_, index) => index % 256);
      await driver.put(key, data);
      equal(await readAll(driver, key, data.length), data);
    },
  },
  {
    title: 'a chunk of no bytes is there, and is not the same as none',
    async check(driver) {
      await driver.put(key, new Uint8Array(0));
      same(await driver.get(key, 0, new Uint8Array(4)), 0);
      same((await driver.stat(key))?.bytes, 0);
      await lists(driver, '', [key]);
    },
  },
  {
    title: 'a chunk of several megabytes is whole',
    needs: (traits) => traits.chunkBytesMax >= 9_000_001,
    async check(driver) {
      const data = pattern(9_000_001, 7);
      await driver.put(key, data);
      same((await driver.stat(key))?.bytes, data.length);
      equal(await readAll(driver, key, data.length), data);
    },
  },
  {
    title: 'a read begins at its offset',
    async check(driver) {
      const data = pattern(10_000, 3);
      await driver.put(key, data);
      for (const offset of [1, 511, 512, 4095, 4096, 9_999]) {
        const into = new Uint8Array(100);
        const expected = data.subarray(offset, offset + 100);
        same(await driver.get(key, offset, into), expected.length, `bytes at ${offset}`);
        equal(into.subarray(0, expected.length), expected);
      }
    },
  },
  {
    title: 'a read fills all of its buffer but at the end',
    async check(driver) {
      const data = pattern(300_000, 4);
      await driver.put(key, data);
      same(await driver.get(key, 0, new Uint8Array(299_999)), 299_999);
      same(await driver.get(key, 0, new Uint8Array(300_000)), 300_000);
      same(await driver.get(key, 0, new Uint8Array(300_001)), 300_000);
      same(await driver.get(key, 299_990, new Uint8Array(100)), 10);
    },
  },
  {
    title: 'a read at or past the end has no bytes, and is not null',
    async check(driver) {
      await driver.put(key, pattern(10, 5));
      same(await driver.get(key, 10, new Uint8Array(4)), 0);
      same(await driver.get(key, 1_000_000, new Uint8Array(4)), 0);
    },
  },
  {
    title: 'a read touches nothing of its buffer behind what it says it read',
    async check(driver) {
      await driver.put(key, pattern(10, 6));
      const into = new Uint8Array(64).fill(0xee);
      same(await driver.get(key, 4, into), 6);
      equal(into.subarray(6), new Uint8Array(58).fill(0xee));
    },
  },
  {
    title: 'a read into a part of a larger buffer stays in that part',
    async check(driver) {
      const data = pattern(64, 8);
      await driver.put(key, data);
      const whole = new Uint8Array(64).fill(0xaa);
      same(await driver.get(key, 0, whole.subarray(16, 32)), 16);
      equal(whole.subarray(0, 16), new Uint8Array(16).fill(0xaa));
      equal(whole.subarray(16, 32), data.subarray(0, 16));
      equal(whole.subarray(32), new Uint8Array(32).fill(0xaa));
    },
  },
  {
    title: 'a put of a part of a larger buffer writes that part',
    async check(driver) {
      const whole = pattern(256, 9);
      await driver.put(key, whole.subarray(100, 150));
      equal(await readAll(driver, key, 50), whole.subarray(100, 150));
      same((await driver.stat(key))?.bytes, 50);
    },
  },
  {
    title: 'a chunk keeps its bytes when the buffer it came from is used again',
    async check(driver) {
      const data = pattern(5000, 10);
      const before = Uint8Array.from(data);
      await driver.put(key, data);
      data.fill(0);
      equal(await readAll(driver, key, before.length), before);
    },
  },
  {
    title: 'what a read gave is the reader’s: changing it changes no chunk',
    async check(driver) {
      const data = pattern(500, 11);
      await driver.put(key, data);
      const into = await readAll(driver, key, 500);
      into.fill(0);
      equal(await readAll(driver, key, 500), data);
    },
  },
  {
    title: 'writing the same bytes again succeeds',
    async check(driver) {
      const data = pattern(70_000, 12);
      await driver.put(key, data);
      await driver.put(key, data);
      equal(await readAll(driver, key, data.length), data);
      await lists(driver, '', [key]);
    },
  },
  {
    title: 'puts of the same bytes at once all succeed',
    async check(driver) {
      const data = pattern(50_000, 13);
      await Promise.all(Array.from({ length: 8 }, () => driver.put(key, data)));
      equal(await readAll(driver, key, data.length), data);
      await lists(driver, '', [key]);
    },
  },
  {
    title: 'other bytes under a taken key are refused, and the chunk stays',
    needs: (traits) => traits.refusesRewrite,
    async check(driver) {
      const data = pattern(3000, 14);
      await driver.put(key, data);
      await refuses('exists', driver.put(key, pattern(3000, 15)));
      await refuses('exists', driver.put(key, pattern(2999, 14)));
      await refuses('exists', driver.put(key, new Uint8Array(0)));
      equal(await readAll(driver, key, data.length), data);
      same((await driver.stat(key))?.bytes, 3000);
    },
  },
  {
    title: 'a reader sees no chunk or all of it while it is put',
    needs: (traits) => traits.chunkBytesMax >= 4_000_000,
    async check(driver) {
      const data = pattern(4_000_000, 16);
      const state = { done: false };
      const putting = driver.put(key, data).finally(() => {
        state.done = true;
      });
      // What it says is looked at last.
      putting.catch(() => undefined);
      const into = new Uint8Array(data.length);
      try {
        do {
          const bytes = await driver.get(key, 0, into);
          if (bytes !== null) same(bytes, data.length, 'bytes seen during the put');
          const found = await driver.stat(key);
          if (found !== null) same(found.bytes, data.length, 'size seen during the put');
        } while (!state.done);
      } finally {
        await putting;
      }
      equal(await readAll(driver, key, data.length), data);
    },
  },
  {
    title: 'a chunk over the declared limit is refused, and leaves nothing',
    needs: (traits) => traits.chunkBytesMax < 100_000_000,
    async check(driver) {
      await refuses('too-large', driver.put(key, new Uint8Array(driver.traits.chunkBytesMax + 1)));
      same(await driver.stat(key), null);
    },
  },
  {
    title: 'stat tells the key and the size',
    async check(driver) {
      await driver.put(key, pattern(1234, 17));
      await driver.put(other, pattern(77, 18));
      const found = await driver.stat(key);
      same(found?.key, key);
      same(found?.bytes, 1234);
      same((await driver.stat(other))?.bytes, 77);
    },
  },
  {
    title: 'a removed chunk is gone from get, stat and list',
    needs: (traits) => traits.readAfterWrite,
    async check(driver) {
      await driver.put(key, pattern(100, 19));
      await driver.put(other, pattern(100, 20));
      await driver.remove(key);
      same(await driver.get(key, 0, new Uint8Array(8)), null);
      same(await driver.stat(key), null);
      await lists(driver, '', [other]);
    },
  },
  {
    title: 'removing an absent chunk succeeds',
    async check(driver) {
      await driver.remove(key);
      await driver.remove(chunkKey('never/was/there'));
      await driver.put(key, pattern(10, 21));
      await driver.remove(key);
      await driver.remove(key);
    },
  },
  {
    title: 'a removed key can be put again, with other bytes',
    needs: (traits) => traits.readAfterWrite,
    async check(driver) {
      await driver.put(key, pattern(100, 22));
      await driver.remove(key);
      const data = pattern(60, 23);
      await driver.put(key, data);
      equal(await readAll(driver, key, 60), data);
    },
  },
  {
    title: 'removing one chunk leaves those whose keys look like it',
    async check(driver) {
      const near = [
        'packs/0000000000000001.pack.old',
        'packs/0000000000000001',
        'packs/000000000000000',
        'root/packs/0000000000000001.pack',
      ].map(chunkKey);
      for (const neighbour of [key, ...near]) await driver.put(neighbour, pattern(20, neighbour.length));
      await driver.remove(key);
      await lists(driver, '', near);
      for (const neighbour of near) equal(await readAll(driver, neighbour, 20), pattern(20, neighbour.length));
    },
  },
  {
    title: 'a list is of all chunks, each once, with its size',
    needs: (traits) => traits.readAfterWrite,
    async check(driver) {
      const expected = new Map<string, number>();
      for (let index = 0; index < 50; index += 1) {
        const one = chunkKey(`set-${index % 3}/part.${index % 5}/n_${index}`);
        await driver.put(one, pattern(index * 10, index));
        expected.set(one, index * 10);
      }
      await lists(driver, '', [...expected.keys()]);
      const seen = new Map<string, number>();
      for await (const stat of driver.list('')) {
        if (seen.has(stat.key)) throw new Error(`${stat.key} is listed twice`);
        seen.set(stat.key, stat.bytes);
      }
      sameList([...seen.keys()], [...expected.keys()]);
      for (const [one, bytes] of expected) same(seen.get(one), bytes, `size of ${one}`);
    },
  },
  {
    title: 'a prefix is of characters, not of parts, and selects no other chunk',
    needs: (traits) => traits.readAfterWrite,
    async check(driver) {
      const all = ['a', 'ab', 'ab-c/d', 'ab-c/e', 'ab-cd/e', 'b/ab', 'b/ac/ab'].map(chunkKey);
      for (const one of all) await driver.put(one, pattern(5, 1));
      for (const prefix of ['', 'a', 'ab', 'ab-', 'ab-c', 'ab-c/', 'ab-c/d', 'ab-c/dd', 'b/a', 'b/ab', 'b/ac/', 'c', 'b']) {
        const expected = all.filter((one) => one.startsWith(prefix));
        await lists(driver, prefix, expected);
      }
    },
  },
  {
    title: 'a list of nothing is empty; it is not an error',
    async check(driver) {
      await lists(driver, '', []);
      await lists(driver, 'nothing/here/', []);
    },
  },
  {
    title: 'a list may be left before its end',
    async check(driver) {
      for (const name of ['a', 'b', 'c', 'd']) await driver.put(chunkKey(`x/${name}`), pattern(9, 2));
      for await (const stat of driver.list('x/')) {
        if (stat.key.startsWith('x/')) break;
      }
      await lists(driver, 'x/', ['x/a', 'x/b', 'x/c', 'x/d']);
    },
  },
  {
    title: 'a chunk may be removed by who lists it',
    needs: (traits) => traits.readAfterWrite,
    async check(driver) {
      const keys = Array.from({ length: 40 }, (_, index) => chunkKey(`gone/${index}`));
      for (const one of keys) await driver.put(one, pattern(9, 1));
      await lists(driver, 'gone/', keys);
      for await (const stat of driver.list('gone/')) await driver.remove(stat.key);
      await lists(driver, '', []);
    },
  },
  {
    title: 'many calls at once do not mix their chunks',
    async check(driver) {
      const keys = Array.from({ length: 100 }, (_, index) => chunkKey(`many/${index}`));
      await Promise.all(keys.map((one, index) => driver.put(one, pattern(1000 + index, index))));
      await Promise.all(
        keys.map(async (one, index) => {
          equal(await readAll(driver, one, 1000 + index), pattern(1000 + index, index));
          same((await driver.stat(one))?.bytes, 1000 + index);
        }),
      );
    },
  },
  {
    title: 'a key is taken as it is: dots, dashes and length make no difference',
    async check(driver) {
      const keys = [
        '0',
        'a.b.c',
        'a-b_c',
        'x..y',
        'x--',
        'p'.repeat(200),
        Array.from({ length: 20 }, () => 'deep').join('/'),
      ].map(chunkKey);
      for (const [index, one] of keys.entries()) await driver.put(one, pattern(30, index));
      for (const [index, one] of keys.entries()) equal(await readAll(driver, one, 30), pattern(30, index));
      await lists(driver, '', keys);
    },
  },
  {
    title: 'a key that could lead elsewhere is refused',
    async check(driver) {
      for (const bad of [
        '',
        '.',
        '..',
        '../x',
        'a/../../x',
        '/etc/passwd',
        'a//b',
        'a/',
        '.hidden',
        'a/.b',
        'A',
        'a b',
        'a\u0000b',
        'é',
      ]) {
        const forced = bad as ReturnType<typeof chunkKey>;
        await refuses('invalid', driver.put(forced, pattern(1, 1)));
        await refuses('invalid', driver.get(forced, 0, new Uint8Array(1)));
        await refuses('invalid', driver.remove(forced));
      }
    },
  },
  {
    title: 'chunks are read where the direct path says they are',
    needs: (traits) => traits.directPath !== undefined,
    async check(driver) {
      const { readFile } = await import('node:fs/promises');
      const data = pattern(12_345, 30);
      await driver.put(key, data);
      equal(new Uint8Array(await readFile(`${driver.traits.directPath?.directory}/${key}`)), data);
    },
  },
  {
    title: 'a chunk that came by the direct path is one like the others',
    needs: (traits) => traits.directPath !== undefined,
    async check(driver) {
      const { mkdir, writeFile } = await import('node:fs/promises');
      const directory = driver.traits.directPath?.directory ?? '';
      const data = pattern(5000, 31);
      await mkdir(`${directory}/packs`, { recursive: true });
      await writeFile(`${directory}/${key}`, data);
      equal(await readAll(driver, key, data.length), data);
      await lists(driver, 'packs/', [key]);
      await driver.remove(key);
      same(await driver.stat(key), null);
    },
  },
  {
    title: 'the traits are numbers that can be kept to',
    async check({ traits }) {
      if (!Number.isSafeInteger(traits.chunkBytesMax) || traits.chunkBytesMax < 64 << 10)
        throw new Error(`chunkBytesMax is ${traits.chunkBytesMax}`);
      if (!Number.isSafeInteger(traits.inFlightMax) || traits.inFlightMax < 1)
        throw new Error(`inFlightMax is ${traits.inFlightMax}`);
    },
  },
  {
    title: 'closing waits for what is under way',
    async check(driver) {
      let settled = false;
      // One that was refused because of the close is fine as well, if it is said so.
      const settle = (error: unknown = null): unknown => {
        settled = true;
        return isSkerryError(error, 'closed') ? null : error;
      };
      const putting = driver.put(key, pattern(1_000_000, 32)).then(settle, settle);
      await driver.close();
      // Filters pass on a little later what has ended.
      await nextTurn();
      same(settled, true);
      const failure = await putting;
      if (failure instanceof Error) throw failure;
    },
  },
  {
    title: 'a closed driver refuses every call with closed',
    async check(driver) {
      await driver.put(key, pattern(10, 33));
      await driver.close();
      await refuses('closed', driver.put(other, pattern(10, 34)));
      await refuses('closed', driver.get(key, 0, new Uint8Array(4)));
      await refuses('closed', driver.stat(key));
      await refuses('closed', driver.remove(key));
      await refuses('closed', keysOf(driver, ''));
    },
  },
  {
    title: 'closing twice is closing once',
    async check(driver) {
      await driver.close();
      await driver.close();
      await Promise.all([driver.close(), driver.close()]);
    },
  },
];

/** Bytes that differ with `seed` and have no short period. */
export function pattern(bytes: number, seed: number): Uint8Array {
  const data = new Uint8Array(bytes);
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  for (let index = 0; index < bytes; index += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    data[index] = state >>> 24;
  }
  return data;
}
