import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';

import { CallsUnderWay } from '../../../src/driver/calls_under_way.js';

const asItIs = (error: unknown): unknown => error;

test('closing waits for what is under way, however it ends, then frees once', async () => {
  const calls = new CallsUnderWay('the driver');
  const [good, bad] = [Promise.withResolvers<number>(), Promise.withResolvers<number>()];
  const running = calls.run(() => good.promise, asItIs);
  const failing = expect(calls.run(() => bad.promise, asItIs)).rejects.toThrow('so');
  let freed = 0;
  const free = (): void => void (freed += 1);
  const closing = Promise.all([calls.close(free), calls.close(free)]);
  good.resolve(7);
  expect(await running).toBe(7);
  await nextTurn();
  expect(freed).toBe(0);
  bad.reject(new Error('so'));
  await failing;
  await closing;
  await calls.close(free);
  expect(freed).toBe(1);
});

test('what comes after is refused, and not begun', async () => {
  const calls = new CallsUnderWay('the tape driver');
  await calls.close();
  let begun = false;
  const late = calls.run(async () => {
    begun = true;
  }, asItIs);
  await expect(late).rejects.toMatchObject({ code: 'closed', message: 'the tape driver is closed' });
  expect(begun).toBe(false);
});

test('a failure is told in the words of the driver', async () => {
  const calls = new CallsUnderWay('the driver');
  const explained = (error: unknown): Error => new Error('chunk a cannot be read', { cause: error });
  await expect(calls.run(() => Promise.reject(new Error('EIO')), explained)).rejects.toThrow('chunk a cannot be read');
});
