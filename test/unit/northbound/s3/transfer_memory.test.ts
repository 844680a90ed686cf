import { setImmediate } from 'node:timers/promises';

import { expect, test } from 'vitest';

import { TransferMemory } from '../../../../src/northbound/s3/transfer_memory.js';

test('those in line are served in their order, and never is more taken than there is', async () => {
  const memory = new TransferMemory({ bytesMax: 10, waitMilliseconds: 60_000 });
  const order: string[] = [];
  const first = await memory.take(1, 6);
  const second = await memory.take(2, 4);
  const third = memory.take(3, 8).then((giveBack) => {
    order.push('8');
    return giveBack;
  });
  // It would fit sooner than the one before it, and comes after it all the same.
  const fourth = memory.take(4, 1).then((giveBack) => {
    order.push('1');
    return giveBack;
  });
  second();
  second();
  await Promise.resolve();
  expect([memory.takenBytes, order]).toEqual([6, []]);
  first();
  (await third)();
  (await fourth)();
  expect([memory.takenBytes, order]).toEqual([0, ['8', '1']]);
});

test('who wants more than there is gets all there is', async () => {
  const memory = new TransferMemory({ bytesMax: 10, waitMilliseconds: 60_000 });
  const giveBack = await memory.take(1, 1000);
  expect(memory.takenBytes).toBe(10);
  giveBack();
  expect(memory.takenBytes).toBe(0);
});

test('who waits too long is told so, and those behind go on', async () => {
  const memory = new TransferMemory({ bytesMax: 10, waitMilliseconds: 20 });
  const giveBack = await memory.take(1, 5);
  const large = memory.take(2, 8);
  await expect(large).rejects.toMatchObject({ s3Code: 'SlowDown' });
  (await memory.take(3, 5))();
  expect(() => memory.takeNow(3, 6)).toThrow(expect.objectContaining({ s3Code: 'SlowDown' }));
  memory.takeNow(3, 5)();
  giveBack();
  expect(memory.takenBytes).toBe(0);
});

test('who asks for all there is leaves some for others, however many ask, and keeps none of them waiting', async () => {
  const memory = new TransferMemory({ bytesMax: 64, waitMilliseconds: 60_000 });
  const granted: number[] = [];
  const ask = (account: number) =>
    memory.take(account, 4).then((giveBack) => {
      granted.push(account);
      return giveBack;
    });
  const greedy = Array.from({ length: 30 }, () => ask(0));
  await setImmediate();
  expect(granted).toEqual(Array.from({ length: 12 }, () => 0));
  for (const account of [7, 7, 8]) void ask(account);
  await setImmediate();
  expect(granted.slice(12)).toEqual([7, 7, 8]);
  // What is given back goes to who has least.
  (await greedy[0]!)();
  await setImmediate();
  expect(granted.slice(15)).toEqual([]);
  void ask(9);
  await setImmediate();
  expect([granted.slice(15), memory.takenBytes]).toEqual([[9], 60]);
});

test('who holds nothing may have all there is, and what is under way is given more as long as there is some', async () => {
  const memory = new TransferMemory({ bytesMax: 16, waitMilliseconds: 60_000 });
  const upload = await memory.take(1, 7);
  const chunk = memory.takeNow(1, 8);
  expect(memory.takenBytes).toBe(15);
  chunk();
  upload();
  (await memory.take(1, 16))();
  expect(memory.takenBytes).toBe(0);
});
