import { expect, it, onTestFinished } from 'vitest';

import { SkerryError } from '../../../src/core/errors.js';
import { KeyCache } from '../../../src/identity/key_cache.js';
import { MemoryCatalog } from './memory_catalog.js';

/** A cache over look-ups that end when the test says so. */
function world() {
  const reads: { readonly key: string; readonly answer: (value: string | null) => void }[] = [];
  const cache = new KeyCache<string>({
    catalog: new MemoryCatalog(),
    read: (key) => new Promise((resolve) => reads.push({ key, answer: resolve })),
  });
  const answer = (value: string | null): void => reads.shift()?.answer(value);
  return { cache, reads, answer };
}

it('what was read is kept, and what is not there is asked for again', async () => {
  const { cache, reads, answer } = world();
  const first = cache.get('a');
  answer('1');
  expect(await first).toBe('1');
  expect(await cache.get('a')).toBe('1');
  expect(reads).toHaveLength(0);
  const absent = cache.get('b');
  answer(null);
  expect(await absent).toBeNull();
  void cache.get('b');
  expect(reads).toHaveLength(1);
});

it.each(['forget', 'forgetAll'] as const)('what was read before %s, and comes after it, is not kept', async (how) => {
  const { cache, reads, answer } = world();
  const slow = cache.get('a');
  cache[how]('a');
  answer('old');
  expect(await slow).toBe('old');
  const next = cache.get('a');
  expect(reads).toHaveLength(1);
  answer('new');
  expect(await next).toBe('new');
});

it('those used longest ago go first, and none are kept after the end', async () => {
  const { cache, reads, answer } = world();
  const put = async (key: string): Promise<void> => {
    const asked = cache.get(key);
    answer(key);
    await asked;
  };
  for (let key = 0; key < 10_000; key += 1) await put(`k${key}`);
  await cache.get('k0');
  await put('more');
  expect(await cache.get('k0')).toBe('k0');
  expect(reads).toHaveLength(0);
  void cache.get('k1');
  expect(reads).toHaveLength(1);
  answer('k1');
  cache.close();
  void cache.get('k0');
  expect(reads).toHaveLength(1);
});

it('a catalog that cannot be watched is asked again after a while, and nothing is kept until it can be', async () => {
  const catalog = new MemoryCatalog();
  const watch = catalog.watch.bind(catalog);
  const askedAt: number[] = [];
  let fails = true;
  catalog.watch = (prefix, signal) => {
    if (!fails) return watch(prefix, signal);
    askedAt.push(performance.now());
    return (async function* failing() {
      yield* [];
      throw new SkerryError('io', 'the disk failed');
    })();
  };
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  let reads = 0;
  const cache = new KeyCache<string>({ catalog, read: async (key) => `${key}${(reads += 1)}` });
  onTestFinished(() => cache.close());
  await turn();
  expect([await cache.get('a'), await cache.get('a')]).toEqual(['a1', 'a2']);
  // Accounts, users and keys are watched by themselves: a second time each.
  while (askedAt.length < 6) await turn();
  expect((askedAt[3] ?? 0) - (askedAt[2] ?? 0)).toBeGreaterThan(50);
  fails = false;
  while ((await cache.get('a')) !== (await cache.get('a'))) await turn();
});
