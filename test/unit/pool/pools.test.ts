import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { z } from 'zod';

import { MemoryDriver } from '../../../drivers/memory/driver.js';
import { SkerryError } from '../../../src/core/errors.js';
import { pools_max } from '../../../src/core/limits.js';
import { chunkKey, type Driver } from '../../../src/driver/driver.js';
import { registerDriver } from '../../../src/driver/registry.js';
import { goneKey } from '../../../src/pool/gone_chunk.js';
import { claimPool, ownerKey, type Owner } from '../../../src/pool/owner_chunk.js';
import { poolChunkKeys } from '../../../src/pool/pool_chunk.js';
import { Pools, type PoolRecordLike } from '../../../src/pool/pools.js';
import { temporaryDirectory } from '../temporary_directory.js';

/** Opens when the test says so. */
class Gate {
  readonly asked: string[] = [];
  readonly opened = new Map<string, MemoryDriver>();
  readonly #openings = new Map<string, PromiseWithResolvers<void>>();

  readonly driver = registerDriver({
    name: 'gated',
    description: 'Opens when the test says so',
    settings: z.strictObject({ place: z.string() }),
    open: ({ place }) => this.#open(place),
  });

  of(place: string): PromiseWithResolvers<void> {
    const opening = this.#openings.get(place) ?? Promise.withResolvers<void>();
    this.#openings.set(place, opening);
    return opening;
  }

  async #open(place: string): Promise<Driver> {
    this.asked.push(place);
    await this.of(place).promise;
    const driver = new MemoryDriver();
    this.opened.set(place, driver);
    return driver;
  }
}

function recordOf(name: string, index: number): PoolRecordLike {
  const poolUuid = new Uint8Array(16).fill(index + 1);
  const identity = { domain: index + 1, keyId: 1, domainKey: new Uint8Array(32), poolUuid, createdAt: 0 };
  return { ...identity, name, driver: 'gated', settings: { place: name }, compression: 'none', encryption: null };
}

function poolsOf(gate: Gate, owner?: Owner): Pools {
  return new Pools({
    registry: [gate.driver],
    engineDirectory: temporaryDirectory(),
    stagedBytesMax: 1 << 20,
    keptBytesMax: 1 << 20,
    log: () => undefined,
    placed: (settings) => settings,
    ...(owner === undefined ? {} : { owner }),
  });
}

test('as many pools as there may be are opened at once, and they stand in the order of their records', async () => {
  const gate = new Gate();
  const pools = poolsOf(gate);
  const names = Array.from({ length: pools_max }, (_, index) => `p${String(index).padStart(2, '0')}`).toReversed();
  const opening = pools.openAll(names.map(recordOf));
  await sleep(1);
  expect(gate.asked).toEqual(names);
  // The last of them first.
  for (const name of names.toReversed()) {
    gate.of(name).resolve();
    await sleep(1);
  }
  await opening;
  expect(pools.specs().map(({ name }) => name)).toEqual(names);
  await pools.close();
});

test('one that cannot be opened is named, and those that were opened beside it are closed with the others', async () => {
  const gate = new Gate();
  const pools = poolsOf(gate);
  const opening = expect(pools.openAll(['good', 'bad'].map(recordOf))).rejects.toMatchObject({
    code: 'invalid',
    message: 'pool bad: no such place',
  });
  gate.of('bad').reject(new SkerryError('invalid', 'no such place'));
  gate.of('good').resolve();
  await opening;
  expect(pools.names()).toEqual(['good']);
  await pools.close();
  await expect(gate.opened.get('good')?.stat('x' as never)).rejects.toMatchObject({ code: 'closed' });
});

const here = { id: '0d3f4a52-7f1e-4a51-9a55-3f6f3f1c2b10', host: 'alpha', directory: '/var/lib/skerry' };

async function keysOf(driver: Driver): Promise<readonly string[]> {
  const keys: string[] = [];
  for await (const { key } of driver.list('')) keys.push(key);
  return keys.toSorted();
}

async function openedBeside(gate: Gate, owner: Owner): Promise<Pools> {
  const pools = poolsOf(gate, owner);
  gate.of('far').resolve();
  await pools.open(recordOf('far', 1));
  return pools;
}

test('before anything is put into a pool that others can reach it says whose it is, and what its key is', async () => {
  const gate = new Gate();
  const pools = await openedBeside(gate, here);
  const place = gate.opened.get('far');
  if (place === undefined) throw new Error('the pool is not open');
  expect(await keysOf(place)).toEqual([]);
  const put = chunkKey('root/0000000000000001/0000000000000001-0000000000000001');
  await pools.get('far').chunks.put(put, Uint8Array.of(1));
  expect(await keysOf(place)).toEqual([...poolChunkKeys, ownerKey(1), put].toSorted());
  await pools.get('far').gone.keep(1, Uint8Array.of(1));
  expect(await keysOf(place)).toEqual([...poolChunkKeys, goneKey({ owner: 1, number: 1 }), ownerKey(1), put].toSorted());
  // One that was not made after all is not anybody's.
  await pools.forsake('far');
  expect(await keysOf(place)).toEqual([put]);
  await pools.close();
});

test('a life that has lost its list of what is gone puts an owner chunk first, once, and one that has made the pool need not', async () => {
  const gate = new Gate();
  const pools = await openedBeside(gate, here);
  const place = gate.opened.get('far');
  if (place === undefined) throw new Error('the pool is not open');
  const identity = { poolUuid: recordOf('far', 1).poolUuid, cipher: null };
  await claimPool(place, { own: here, identity, now: 0 });
  const { gone } = pools.get('far');
  expect(await gone.open()).toBeNull();
  expect(await gone.open()).toBeNull();
  await gone.keep(1, Uint8Array.of(1));
  expect(await keysOf(place)).toEqual([...poolChunkKeys, goneKey({ owner: 2, number: 1 }), ownerKey(1), ownerKey(2)].toSorted());
  await pools.close();
});

test('a pool that is in other hands is not written to, and may be read', async () => {
  const gate = new Gate();
  const pools = await openedBeside(gate, here);
  const place = gate.opened.get('far');
  if (place === undefined) throw new Error('the pool is not open');
  const key = chunkKey('packs/00000001.pack');
  const identity = { poolUuid: recordOf('far', 1).poolUuid, cipher: null };
  await claimPool(place, { own: { ...here, id: 'another', host: 'beta' }, identity, now: 0 });
  await expect(pools.get('far').chunks.put(key, Uint8Array.of(1))).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('pool far is not served here'),
  });
  expect(await pools.get('far').chunks.stat(key)).toBeNull();
  await expect(pools.get('far').gone.open()).rejects.toMatchObject({ code: 'conflict' });
  await expect(pools.get('far').gone.keep(1, Uint8Array.of(1))).rejects.toMatchObject({ code: 'conflict' });
  await pools.close();
});
