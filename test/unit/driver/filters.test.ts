import { expect, test } from 'vitest';

import { MemoryDriver } from '../../../drivers/memory/driver.js';
import { allDrivers } from '../../../drivers/all.js';
import { SkerryError } from '../../../src/core/errors.js';
import { chunkKey, type ChunkStat, type Driver } from '../../../src/driver/driver.js';
import { withFault } from '../../../src/driver/fault.js';
import { withLimit } from '../../../src/driver/limit.js';
import { openDriver } from '../../../src/driver/registry.js';
import { withTrace, type TraceEvent } from '../../../src/driver/trace.js';

const key = chunkKey('a/b');
const data = Uint8Array.from([1, 2, 3]);

test('limit lets no more calls through than it may, and each in its turn', async () => {
  let inFlight = 0;
  let most = 0;
  const order: string[] = [];
  const slow: Driver = Object.assign(new MemoryDriver(), {
    stat: async (one: string): Promise<ChunkStat | null> => {
      inFlight += 1;
      most = Math.max(most, inFlight);
      order.push(one);
      await new Promise((resolve) => {
        setTimeout(resolve, 1);
      });
      inFlight -= 1;
      return null;
    },
  });
  const driver = withLimit(slow, { inFlightMax: 3, waitingMax: 100 });
  const keys = Array.from({ length: 20 }, (_, index) => chunkKey(`k${index}`));
  await Promise.all(keys.map((one) => driver.stat(one)));
  expect(most).toBe(3);
  expect(order).toEqual(keys);
});

test('limit refuses what would wait behind too many', async () => {
  const faulty = withFault(new MemoryDriver(), { seed: 1, rules: [{ fault: 'delay', delayMilliseconds: 20 }] });
  const driver = withLimit(faulty, { inFlightMax: 1, waitingMax: 2 });
  const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => driver.stat(key)));
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'rejected']);
  await expect(driver.stat(key)).resolves.toBeNull();
});

test('a call that fails gives its place on', async () => {
  const faulty = withFault(new MemoryDriver(), { seed: 1, rules: [{ fault: 'before', times: 3 }] });
  const driver = withLimit(faulty, { inFlightMax: 1, waitingMax: 10 });
  const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => driver.stat(key)));
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected', 'fulfilled', 'fulfilled']);
});

test('trace tells of each call how it went', async () => {
  const events: TraceEvent[] = [];
  const faulty = withFault(new MemoryDriver(), { seed: 1, rules: [{ verb: 'remove', fault: 'before', code: 'timeout' }] });
  const driver = withTrace(
    faulty,
    (event) => events.push(event),
    () => 0,
  );
  await driver.put(key, data);
  await driver.get(key, 1, new Uint8Array(10));
  await driver.stat(key);
  for await (const stat of driver.list('')) expect(stat.key).toBe(key);
  await expect(driver.remove(key)).rejects.toBeInstanceOf(SkerryError);
  expect(events.map(({ verb, bytes, chunks, code }) => ({ verb, bytes, chunks, code }))).toEqual([
    { verb: 'put', bytes: 3, chunks: 0, code: null },
    { verb: 'get', bytes: 2, chunks: 0, code: null },
    { verb: 'stat', bytes: 0, chunks: 0, code: null },
    { verb: 'list', bytes: 0, chunks: 1, code: null },
    { verb: 'remove', bytes: 0, chunks: 0, code: 'timeout' },
  ]);
});

test('a fault comes where its script says, and by the same chances from the same seed', async () => {
  const driver = withFault(new MemoryDriver(), { seed: 1 });
  const end = driver.inject({ verb: 'put', keyPrefix: 'root/', fault: 'before', skip: 1, times: 1, code: 'no-space' });
  await driver.put(chunkKey('root/1'), data);
  await driver.put(chunkKey('packs/1'), data);
  await expect(driver.put(chunkKey('root/2'), data)).rejects.toMatchObject({ code: 'no-space' });
  await driver.put(chunkKey('root/2'), data);
  end();
  const run = async (seed: number): Promise<string> => {
    const chancy = withFault(new MemoryDriver(), { seed, rules: [{ fault: 'before', chance: 0.5 }] });
    const outcomes = [];
    for (let index = 0; index < 40; index += 1)
      outcomes.push(
        await chancy.stat(key).then(
          () => '.',
          () => 'x',
        ),
      );
    return outcomes.join('');
  };
  expect(await run(5)).toBe(await run(5));
  expect(await run(5)).not.toBe(await run(6));
});

test('a corrupt read is wrong in one bit', async () => {
  const driver = withFault(new MemoryDriver(), { seed: 3, rules: [{ verb: 'get', fault: 'corrupt' }] });
  await driver.put(key, new Uint8Array(100));
  const into = new Uint8Array(100);
  await driver.get(key, 0, into);
  const bits = into.reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0);
  expect(bits).toBe(1);
});

test('drivers are opened by name, their settings checked with words', async () => {
  const driver = await openDriver(allDrivers, 'memory', {});
  await driver.close();
  await expect(openDriver(allDrivers, 'tape', {})).rejects.toThrow(
    /no driver "tape": known are local, rados, gluster, nfs, s3, riak-cs, memory/,
  );
  await expect(openDriver(allDrivers, 'local', {})).rejects.toMatchObject({
    code: 'invalid',
    message: expect.stringMatching(/directory/),
  });
  await expect(openDriver(allDrivers, 'local', { directory: 'relative' })).rejects.toThrow(/absolute path/);
  await expect(openDriver(allDrivers, 'memory', { size: '1' })).rejects.toMatchObject({ code: 'invalid' });
  await expect(openDriver(allDrivers, 'local', { directory: '/dev/null/pool' })).rejects.toBeInstanceOf(SkerryError);
});
