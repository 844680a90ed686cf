import { expect, test } from 'vitest';

import { TransferMemory } from '../../../../src/northbound/s3/transfer_memory.js';

test('those in line are served in their order, and never is more taken than there is', async () => {
  const memory = new TransferMemory({ bytesMax: 10, waitMilliseconds: 60_000 });
  const order: string[] = [];
  const first = await memory.take(6);
  const second = await memory.take(4);
  const third = memory.take(8).then((giveBack) => {
    order.push('8');
    return giveBack;
  });
  // It would fit sooner than the one before it, and comes after it all the same.
  const fourth = memory.take(1).then((giveBack) => {
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
  const giveBack = await memory.take(1000);
  expect(memory.takenBytes).toBe(10);
  giveBack();
  expect(memory.takenBytes).toBe(0);
});

test('who waits too long is told so, and those behind go on', async () => {
  const memory = new TransferMemory({ bytesMax: 10, waitMilliseconds: 20 });
  const giveBack = await memory.take(5);
  const large = memory.take(8);
  await expect(large).rejects.toMatchObject({ s3Code: 'SlowDown' });
  (await memory.take(5))();
  expect(() => memory.takeNow(6)).toThrow(expect.objectContaining({ s3Code: 'SlowDown' }));
  memory.takeNow(5)();
  giveBack();
  expect(memory.takenBytes).toBe(0);
});
