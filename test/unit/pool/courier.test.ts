import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

import { MemoryDriver } from '../../../drivers/memory/driver.js';
import { chunkKey, type Driver } from '../../../src/driver/driver.js';
import { withFault } from '../../../src/driver/fault.js';
import { encodeGoneChunk, goneKey } from '../../../src/pool/gone_chunk.js';
import { GoneKeeper } from '../../../src/pool/gone_keeper.js';
import { FetchBuffers } from '../../../src/pool/fetch_buffers.js';
import { Courier, packKey } from '../../../src/pool/courier.js';
import { Turns } from '../../../src/pool/turns.js';
import { FakeEngine } from '../mapper/fake_engine.js';
import { temporaryDirectory } from '../temporary_directory.js';

const poolUuid = new Uint8Array(16).fill(7);

function courierOver(chunks: Driver, stallMilliseconds = 0) {
  const engine = new FakeEngine();
  const logged: string[] = [];
  const buffers = new FetchBuffers();
  const courier = new Courier({
    chunks,
    gone: new GoneKeeper({ identity: { poolUuid, cipher: null }, chunks, look: async () => 1 }),
    engine,
    stallMilliseconds,
    listMilliseconds: () => null,
    shipTurns: new Turns(1),
    buffers,
    log: (level, message) => void logged.push(`${level} ${message}`),
  });
  onTestFinished(() => courier.close());
  const answered = async (count: number) => {
    while (engine.completed.length < count) await new Promise((resolve) => setTimeout(resolve, 1));
    return engine.completed;
  };
  return { courier, engine, buffers, logged, answered };
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

test('a pack has the same key on every backend', () => {
  expect(packKey(255)).toBe('packs/000000ff.pack');
});

test('what is asked for is fetched, short only at the end, and what is not there is told', async () => {
  const driver = new MemoryDriver();
  await driver.put(packKey(3), bytes(1, 2, 3, 4, 5));
  const { courier, answered } = courierOver(driver);
  courier.take({ type: 'fetch', errand: 1, pool: 'far', pack: 3, offset: 1, bytes: 3 });
  await answered(1);
  courier.take({ type: 'fetch', errand: 2, pool: 'far', pack: 3, offset: 3, bytes: 9 });
  await answered(2);
  courier.take({ type: 'fetch', errand: 3, pool: 'far', pack: 4, offset: 0, bytes: 9 });
  expect(await answered(3)).toMatchObject([
    { errand: 1, bytes: bytes(2, 3, 4), failure: null },
    { errand: 2, bytes: bytes(4, 5), failure: null },
    { errand: 3, bytes: null, failure: { code: 'not-found' } },
  ]);
});

test('what a range was fetched into takes another one once the engine has read it, and never where the fetch failed', async () => {
  const driver = new MemoryDriver();
  await driver.put(packKey(3), new Uint8Array(200_000));
  const used: ArrayBufferLike[] = [];
  const get: Driver['get'] = async (key, offset, into) => {
    used.push(into.buffer);
    return driver.get(key, offset, into);
  };
  const { courier, buffers, answered } = courierOver({ ...bound(driver), get });
  const fetch = (errand: number, pack: number): void =>
    courier.take({ type: 'fetch', errand, pool: 'far', pack, offset: 0, bytes: 100_000 });
  fetch(1, 3);
  await answered(1);
  fetch(2, 3);
  await answered(2);
  buffers.returned(1);
  fetch(3, 3);
  await answered(3);
  fetch(4, 4);
  await answered(4);
  buffers.returned(4);
  fetch(5, 3);
  await answered(5);
  expect(used[1]).not.toBe(used[0]);
  expect(used[2]).toBe(used[0]);
  expect(new Set([used[1], used[2], used[3], used[4]]).size).toBe(4);
});

/** Answers the first `count` reads with one byte of what was asked for. */
function cutShort(driver: MemoryDriver, count: number): Driver {
  let left = count;
  const get: Driver['get'] = async (key, offset, into) => {
    left -= 1;
    return left >= 0 ? driver.get(key, offset, into.subarray(0, 1)) : driver.get(key, offset, into);
  };
  return { ...bound(driver), get };
}

function bound(driver: MemoryDriver): Driver {
  return {
    traits: driver.traits,
    put: (key, data) => driver.put(key, data),
    get: (key, offset, into) => driver.get(key, offset, into),
    stat: (key) => driver.stat(key),
    remove: (key) => driver.remove(key),
    list: (prefix) => driver.list(prefix),
    close: () => driver.close(),
  };
}

test('an answer that is short though the chunk goes on is no answer: it is asked for again, and fails as the backend does', async () => {
  const driver = new MemoryDriver();
  await driver.put(packKey(3), bytes(1, 2, 3, 4, 5));
  const patient = courierOver(cutShort(driver, 3), 60_000);
  patient.courier.take({ type: 'fetch', errand: 1, pool: 'far', pack: 3, offset: 1, bytes: 3 });
  expect(await patient.answered(1)).toMatchObject([{ errand: 1, bytes: bytes(2, 3, 4), failure: null }]);
  const impatient = courierOver(cutShort(driver, 3));
  impatient.courier.take({ type: 'fetch', errand: 1, pool: 'far', pack: 3, offset: 1, bytes: 3 });
  expect(await impatient.answered(1)).toMatchObject([{ errand: 1, bytes: null, failure: { code: 'io' } }]);
});

test('a sealed file becomes a chunk; one that is not as it was sealed does not', async () => {
  const path = join(temporaryDirectory(), 'pack');
  writeFileSync(path, bytes(1, 2, 3));
  const driver = new MemoryDriver();
  const { courier, answered, logged } = courierOver(driver);
  courier.take({ type: 'ship', errand: 1, pool: 'far', pack: 1, path, bytes: 4 });
  await answered(1);
  expect(await driver.stat(packKey(1))).toBeNull();
  courier.take({ type: 'ship', errand: 2, pool: 'far', pack: 1, path, bytes: 3 });
  expect(await answered(2)).toMatchObject([
    { errand: 1, failure: { code: 'corrupt' } },
    { errand: 2, failure: null },
  ]);
  expect(await driver.stat(packKey(1))).toEqual({ key: packKey(1), bytes: 3 });
  expect(logged.map((line) => line.split(' ')[0])).toEqual(['warn', 'info']);
});

test('a pack is removed, be it there or not; a backend that cannot is told so once, and that it can again', async () => {
  const driver = new MemoryDriver();
  await driver.put(packKey(1), bytes(1));
  const faulty = withFault(driver, { seed: 1, rules: [{ verb: 'remove', fault: 'before', code: 'unavailable', times: 2 }] });
  const { courier, answered, logged } = courierOver(faulty);
  for (const errand of [1, 2, 3, 4]) {
    courier.take({ type: 'remove', errand, pool: 'far', pack: 1 });
    await answered(errand);
  }
  expect(await answered(4)).toMatchObject([
    { errand: 1, failure: { code: 'unavailable' } },
    { errand: 2, failure: { code: 'unavailable' } },
    { errand: 3, failure: null },
    { errand: 4, failure: null },
  ]);
  expect(await driver.stat(packKey(1))).toBeNull();
  expect(logged.map((line) => line.split(' ')[0])).toEqual(['warn', 'info']);
});

test('a full backend is told as full', async () => {
  const path = join(temporaryDirectory(), 'pack');
  writeFileSync(path, bytes(1));
  const faulty = withFault(new MemoryDriver(), { seed: 1, rules: [{ verb: 'put', fault: 'before', code: 'no-space' }] });
  const { courier, answered } = courierOver(faulty);
  courier.take({ type: 'ship', errand: 1, pool: 'far', pack: 1, path, bytes: 1 });
  expect(await answered(1)).toMatchObject([{ failure: { code: 'no-space' } }]);
});

test('packs are listed, and nothing else', async () => {
  const driver = new MemoryDriver();
  await driver.put(packKey(1), bytes(1, 2));
  await driver.put(packKey(0xabc), bytes(1));
  await driver.put(chunkKey('packs/something.else'), bytes(1));
  await driver.put(chunkKey('root/1'), bytes(1));
  const { courier, answered } = courierOver(driver);
  courier.take({ type: 'list', errand: 9, pool: 'far' });
  const [answer] = await answered(1);
  expect(answer?.packs?.toSorted((a, b) => a.pack - b.pack)).toEqual([
    { pack: 1, bytes: 2 },
    { pack: 0xabc, bytes: 1 },
  ]);
});

test('the list of what is gone is put, and read by who has none; a damaged one is told as that', async () => {
  const driver = new MemoryDriver();
  const faulty = withFault(driver, { seed: 1, rules: [{ verb: 'put', fault: 'before', code: 'unavailable', times: 1 }] });
  const { courier, answered, logged } = courierOver(faulty);
  courier.take({ type: 'open-gone', errand: 1, pool: 'far' });
  await answered(1);
  for (const errand of [2, 3]) {
    courier.take({ type: 'keep-gone', errand, pool: 'far', number: 1, list: bytes(1, 2) });
    await answered(errand);
  }
  courier.take({ type: 'open-gone', errand: 4, pool: 'far' });
  await answered(4);
  await driver.put(goneKey({ owner: 1, number: 2 }), encodeGoneChunk({ poolUuid, owner: 1, number: 3, list: bytes(1) }));
  courier.take({ type: 'open-gone', errand: 5, pool: 'far' });
  expect(await answered(5)).toMatchObject([
    { errand: 1, bytes: null, failure: { code: 'not-found' } },
    { errand: 2, failure: { code: 'unavailable' } },
    { errand: 3, failure: null },
    { errand: 4, bytes: bytes(1, 2), failure: null },
    { errand: 5, bytes: null, failure: { code: 'corrupt' } },
  ]);
  expect(logged.map((line) => line.split(' ')[0])).toEqual(['warn', 'info']);
});

test('an outage is waited out where the pool may stall, and told at once where it may not', async () => {
  const driver = new MemoryDriver();
  await driver.put(packKey(1), bytes(7));
  const away = withFault(driver, { seed: 1, rules: [{ verb: 'get', fault: 'before', code: 'unavailable', times: 2 }] });
  const impatient = courierOver(away);
  impatient.courier.take({ type: 'fetch', errand: 1, pool: 'far', pack: 1, offset: 0, bytes: 1 });
  expect(await impatient.answered(1)).toMatchObject([{ bytes: null, failure: { code: 'unavailable' } }]);
  const patient = courierOver(away, 60_000);
  patient.courier.take({ type: 'fetch', errand: 2, pool: 'far', pack: 1, offset: 0, bytes: 1 });
  expect(await patient.answered(1)).toMatchObject([{ bytes: bytes(7), failure: null }]);
  expect(away.struck).toBe(2);
});

test('closing ends the waiting, and every errand is answered', async () => {
  const away = withFault(new MemoryDriver(), { seed: 1, rules: [{ fault: 'before', code: 'unavailable' }] });
  const { courier, engine, answered } = courierOver(away, 60_000);
  courier.take({ type: 'fetch', errand: 1, pool: 'far', pack: 1, offset: 0, bytes: 1 });
  while (away.struck === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  await courier.close();
  expect(engine.completed).toHaveLength(1);
  expect(await answered(1)).toMatchObject([{ errand: 1, failure: { code: 'unavailable' } }]);
});

test('turns are given in the order of asking, no more at once than there are', async () => {
  const turns = new Turns(2);
  const order: number[] = [];
  let inside = 0;
  let most = 0;
  const work = (id: number) =>
    turns.run(async () => {
      inside += 1;
      most = Math.max(most, inside);
      order.push(id);
      await new Promise((resolve) => setTimeout(resolve, 1));
      inside -= 1;
      if (id === 2) throw new Error('one fails');
    });
  const outcomes = await Promise.allSettled([0, 1, 2, 3, 4, 5].map(work));
  expect(order).toEqual([0, 1, 2, 3, 4, 5]);
  expect(most).toBe(2);
  expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(1);
});
