import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { z } from 'zod';

import { MemoryDriver } from '../../../drivers/memory/driver.js';
import { SkerryError } from '../../../src/core/errors.js';
import { pools_max } from '../../../src/core/limits.js';
import type { Driver } from '../../../src/driver/driver.js';
import { registerDriver } from '../../../src/driver/registry.js';
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

function poolsOf(gate: Gate): Pools {
  return new Pools({
    registry: [gate.driver],
    engineDirectory: temporaryDirectory(),
    stagedBytesMax: 1 << 20,
    keptBytesMax: 1 << 20,
    log: () => undefined,
    placed: (settings) => settings,
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
