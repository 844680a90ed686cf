import { expect, test } from 'vitest';

import { KeyedLocks } from '../../../src/mapper/locks.js';

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

test('work under one key is done one after the other, in order', async () => {
  const locks = new KeyedLocks();
  const seen: string[] = [];
  await Promise.all(
    ['a', 'b', 'c'].map((name) =>
      locks.run(['k'], async () => {
        seen.push(`${name} begins`);
        await turn();
        seen.push(`${name} ends`);
      }),
    ),
  );
  expect(seen).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
});

test('callers with keys in opposite orders do not wait for each other for ever', async () => {
  const locks = new KeyedLocks();
  let done = 0;
  const work = async (): Promise<void> => {
    await turn();
    done += 1;
  };
  await Promise.all([
    locks.run(['a', 'b'], work),
    locks.run(['b', 'a'], work),
    locks.run(['b', 'c', 'b'], work),
    locks.run(['c', 'a'], work),
  ]);
  expect(done).toBe(4);
});

test('a key is free again after work that failed, and is forgotten when nobody wants it', async () => {
  const locks = new KeyedLocks();
  await expect(locks.run(['a'], () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await locks.run(['a'], async () => 1)).toBe(1);
  expect(locks.size).toBe(0);
});

test('a key that others wait for is held by one of them at a time, also where the first held it alone', async () => {
  const locks = new KeyedLocks();
  const seen: string[] = [];
  const work = (name: string) => async (): Promise<void> => {
    seen.push(`${name} begins`);
    await turn();
    seen.push(`${name} ends`);
  };
  const first = locks.run(['a'], work('first'));
  const second = locks.run(['a', 'b'], work('second'));
  await first;
  const third = locks.run(['a'], work('third'));
  const fourth = locks.run(['b'], work('fourth'));
  await Promise.all([second, third, fourth]);
  expect(seen.slice(0, 4)).toEqual(['first begins', 'first ends', 'second begins', 'second ends']);
  expect(locks.size).toBe(0);
});
