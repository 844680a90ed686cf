import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';

import { MemoryDriver } from '../../../drivers/memory/driver.js';
import { SkerryError } from '../../../src/core/errors.js';
import { chunkKey, type Driver } from '../../../src/driver/driver.js';
import { openOrReopen } from '../../../src/driver/reopening.js';

const key = chunkKey('packs/00000001.pack');
const { traits } = new MemoryDriver();
const away = (): SkerryError => new SkerryError('unavailable', 'nobody answers');

/** Openings that end as the test says, and what was heard. */
class Openings {
  readonly ends: { resolve(driver: Driver): void; reject(error: Error): void }[] = [];
  readonly heard: string[] = [];
  clock = 0;

  readonly options = {
    traits,
    open: () => new Promise<Driver>((resolve, reject) => this.ends.push({ resolve, reject })),
    patienceMilliseconds: 20,
    pauseMilliseconds: 1000,
    closeMilliseconds: 20,
    onAway: (failure: SkerryError) => this.heard.push(failure.message),
    now: () => this.clock,
  };
}

test('a backend that answers is opened as ever', async () => {
  const openings = new Openings();
  const opening = openOrReopen(openings.options);
  const memory = new MemoryDriver();
  openings.ends[0]?.resolve(memory);
  expect(await opening).toBe(memory);
  expect(openings.heard).toEqual([]);
});

test('one that does not is told of once, calls fail as its opening did, and it is looked for again after a pause', async () => {
  const openings = new Openings();
  const opening = openOrReopen(openings.options);
  openings.ends[0]?.reject(away());
  const driver = await opening;
  expect(openings.heard).toEqual(['nobody answers']);
  await expect(driver.stat(key)).rejects.toMatchObject({ code: 'unavailable' });
  await expect(driver.list('')[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'unavailable' });
  expect(openings.ends).toHaveLength(1);
  openings.clock = 1001;
  const both = [driver.put(key, new Uint8Array(3)), driver.stat(key)];
  expect(openings.ends).toHaveLength(2);
  openings.ends[1]?.resolve(new MemoryDriver());
  await Promise.all(both);
  expect(await driver.stat(key)).toMatchObject({ bytes: 3 });
  expect(openings.heard).toHaveLength(1);
  await driver.close();
  await expect(driver.stat(key)).rejects.toMatchObject({ code: 'closed' });
});

test('one that is slow to answer is there once it has', async () => {
  const openings = new Openings();
  const driver = await openOrReopen(openings.options);
  expect(openings.heard).toEqual(['the backend has not answered for 0.02 s']);
  const asked = driver.stat(key);
  openings.ends[0]?.resolve(new MemoryDriver());
  expect(await asked).toBeNull();
  expect(openings.ends).toHaveLength(1);
});

test('closing waits for an opening that is under way, and closes what it opened', async () => {
  const openings = new Openings();
  const driver = await openOrReopen({ ...openings.options, closeMilliseconds: 60_000 });
  const memory = new MemoryDriver();
  const closing = driver.close();
  await sleep(1);
  openings.ends[0]?.resolve(memory);
  await closing;
  await expect(memory.stat(key)).rejects.toMatchObject({ code: 'closed' });
});

test('closing waits for an opening for a while only, and what it opens then is closed all the same', async () => {
  const openings = new Openings();
  const driver = await openOrReopen(openings.options);
  await driver.close();
  await expect(driver.stat(key)).rejects.toMatchObject({ code: 'closed' });
  const memory = new MemoryDriver();
  openings.ends[0]?.resolve(memory);
  await sleep(1);
  await expect(memory.stat(key)).rejects.toMatchObject({ code: 'closed' });
});
