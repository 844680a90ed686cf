import { expect, test } from 'vitest';

import { MemoryDriver } from '../../../drivers/memory/driver.js';
import { SkerryError } from '../../../src/core/errors.js';
import { chunkKey } from '../../../src/driver/driver.js';
import { withFault, type FaultRule } from '../../../src/driver/fault.js';
import { briefRetry, retryDefaults, withRetry, type RetryOptions } from '../../../src/driver/retry.js';

const key = chunkKey('a/b');
const data = Uint8Array.from([1, 2, 3]);
const patience = { pauseMillisecondsFirst: 100, pauseMillisecondsMax: 300, deadlineMilliseconds: 10_000 };

/** A clock and a sleep that agree, and take no time. */
function fakeTime() {
  const state = { milliseconds: 0, pauses: [] as number[] };
  return {
    pauses: state.pauses,
    now: () => state.milliseconds,
    pass: (milliseconds: number) => {
      state.milliseconds += milliseconds;
    },
    sleep: async (milliseconds: number) => {
      state.pauses.push(milliseconds);
      state.milliseconds += milliseconds;
    },
  };
}

/** A backend on which each call fails as the rules say, and takes so long. */
function failing(time: ReturnType<typeof fakeTime>, rule: Partial<FaultRule> = {}, callMilliseconds = 0) {
  const state = { calls: 0 };
  const faulty = withFault(new MemoryDriver(), { seed: 1, rules: [{ fault: 'before', ...rule }] });
  const stat: typeof faulty.stat = async (one) => {
    state.calls += 1;
    time.pass(callMilliseconds);
    return faulty.stat(one);
  };
  return { state, driver: { ...faulty, stat } };
}

test('pauses grow to their cap, with jitter, and go on until the deadline, at which the last attempt is', async () => {
  const time = fakeTime();
  const { driver, state } = failing(time);
  const retried = withRetry(driver, { ...patience, deadlineMilliseconds: 1000, ...time, random: () => 0.5 });
  await expect(retried.stat(key)).rejects.toMatchObject({ code: 'io' });
  expect(time.pauses).toEqual([50, 100, 150, 150, 150, 150, 150, 100]);
  expect(time.now()).toBe(1000);
  expect(state.calls).toBe(9);
});

test('full jitter takes any part of the pause', async () => {
  const time = fakeTime();
  const drawn = [0.999, 0, 0.25];
  const { driver } = failing(time, { times: 3 });
  await withRetry(driver, { ...patience, ...time, random: () => drawn.shift() ?? 0 }).stat(key);
  expect(time.pauses).toEqual([99.9, 0, 75]);
});

test.for([
  ['a backend that refuses at once', retryDefaults, 0, 30_000],
  ['one that is silent for ten seconds each time', retryDefaults, 10_000, 40_000],
  ['a backend that refuses at once, of who asks again by itself,', briefRetry, 0, 2000],
  ['one that is silent, of who asks again by itself,', briefRetry, 10_000, 10_000],
] as const)('%s is given its whole time and not more than one call besides', async ([, options, callMilliseconds, most]) => {
  for (const random of [0, 0.1, 0.5, 0.999]) {
    const time = fakeTime();
    const { driver } = failing(time, { code: 'unavailable' }, callMilliseconds);
    // Pauses of nothing would take for ever where calls take nothing: real calls do not.
    const atLeast = { ...time, sleep: (milliseconds: number) => time.sleep(Math.max(1, milliseconds)) };
    const retried = withRetry(driver, { ...options, ...atLeast, random: () => random });
    await expect(retried.stat(key)).rejects.toMatchObject({ code: 'unavailable' });
    expect(time.now()).toBeLessThanOrEqual(most);
    expect(time.now()).toBeGreaterThanOrEqual(options.deadlineMilliseconds);
  }
});

test('an outage that is shorter than the deadline costs time and no call, however it refuses', async () => {
  for (const outage of [1000, 10_000, 29_000]) {
    const time = fakeTime();
    const { driver: away } = failing(time);
    const there = new MemoryDriver();
    const driver = { ...away, stat: async (one: typeof key) => (time.now() < outage ? away.stat(one) : there.stat(one)) };
    const retried = withRetry(driver, { ...retryDefaults, ...time, random: () => 0.7 });
    expect(await retried.stat(key)).toBeNull();
    expect(time.now()).toBeLessThan(outage + retryDefaults.pauseMillisecondsMax);
  }
});

test('only what may pass is tried again', async () => {
  const time = fakeTime();
  for (const code of ['corrupt', 'no-space', 'invalid', 'denied', 'exists', 'not-found', 'closed'] as const) {
    const { driver } = failing(time, { code });
    await expect(withRetry(driver, { ...patience, ...time }).stat(key)).rejects.toMatchObject({ code });
  }
  expect(time.pauses).toEqual([]);
});

test('a put whose answer was lost is put again, and succeeds', async () => {
  const faulty = withFault(new MemoryDriver(), { seed: 1, rules: [{ verb: 'put', fault: 'after', times: 2 }] });
  const driver = withRetry(faulty, { ...patience, ...fakeTime() });
  await driver.put(key, data);
  expect((await driver.stat(key))?.bytes).toBe(3);
});

test('a listing that breaks off is begun anew, and yields nothing twice', async () => {
  const sound = new MemoryDriver();
  for (const name of ['x/1', 'x/2', 'x/3']) await sound.put(chunkKey(name), data);
  const driver = withRetry(withFault(sound, { seed: 1, rules: [{ verb: 'list', fault: 'after', times: 2 }] }), {
    ...patience,
    ...fakeTime(),
  });
  const seen: string[] = [];
  for await (const stat of driver.list('x/')) seen.push(stat.key);
  expect(seen).toEqual(['x/1', 'x/2', 'x/3']);
});

test('a listing that gets on between its failures may take longer than the deadline', async () => {
  const time = fakeTime();
  const sound = new MemoryDriver();
  const keys = Array.from({ length: 20 }, (_, index) => chunkKey(`x/${index}`));
  for (const one of keys) await sound.put(one, data);
  let tries = 0;
  const driver = {
    ...failing(time).driver,
    // Each time one more.
    async *list(prefix: string) {
      tries += 1;
      let left = tries;
      for await (const stat of sound.list(prefix)) {
        if (left === 0) throw new SkerryError('timeout', 'no answer');
        left -= 1;
        yield stat;
      }
    },
  };
  const seen: string[] = [];
  const retried = withRetry(driver, { ...patience, deadlineMilliseconds: 100, ...time, random: () => 0.9 });
  for await (const stat of retried.list('x/')) seen.push(stat.key);
  expect(seen).toEqual(keys);
  expect(time.now()).toBeGreaterThan(1000);
});

const forEver: RetryOptions = {
  pauseMillisecondsFirst: 3_600_000,
  pauseMillisecondsMax: 3_600_000,
  deadlineMilliseconds: 36_000_000,
  random: () => 1,
};

test('who gives up is told of the failure at once, and calls are made once from then on', async () => {
  const giveUp = new AbortController();
  const faulty = withFault(new MemoryDriver(), { seed: 1, rules: [{ fault: 'before', code: 'unavailable', times: 2 }] });
  const driver = withRetry(faulty, { ...forEver, giveUp: giveUp.signal });
  const waiting = expect(driver.put(key, data)).rejects.toMatchObject({ code: 'unavailable' });
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  giveUp.abort();
  await waiting;
  await expect(driver.put(key, data)).rejects.toMatchObject({ code: 'unavailable' });
  await driver.put(key, data);
});

test('closing ends a pause at once, and what is refused from then on is closed', async () => {
  const driver = withRetry(withFault(new MemoryDriver(), { seed: 1, rules: [{ fault: 'before' }] }), forEver);
  const waiting = expect(driver.put(key, data)).rejects.toMatchObject({ code: 'closed' });
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  await driver.close();
  await waiting;
  await expect(driver.stat(key)).rejects.toMatchObject({ code: 'closed' });
});
