/** What a law expects of a driver. Each throws an Error that says what was found instead. */
import { setTimeout as sleepFor } from 'node:timers/promises';

import { isSkerryError, type ErrorCode } from '../../src/core/errors.js';
import type { ChunkKey, Driver } from '../../src/driver/driver.js';

/** Until a list that may be late is as it should be. */
const list_milliseconds_max = 10_000;

export async function readAll(driver: Driver, one: ChunkKey, bytes: number): Promise<Uint8Array> {
  const into = new Uint8Array(bytes);
  same(await driver.get(one, 0, into), bytes, `bytes of ${one}`);
  return into;
}

export async function keysOf(driver: Driver, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const stat of driver.list(prefix)) keys.push(stat.key);
  return keys;
}

/** At once, or in the end where the driver says that its lists are late. */
export async function lists(driver: Driver, prefix: string, expected: readonly string[]): Promise<void> {
  const patience = driver.traits.listsLate === true ? list_milliseconds_max : 0;
  const began = performance.now();
  for (;;) {
    try {
      sameList(await keysOf(driver, prefix), expected, `keys under ${JSON.stringify(prefix)}`);
      return;
    } catch (error) {
      if (performance.now() - began >= patience) throw error;
      await sleepFor(20);
    }
  }
}

export async function refuses(code: ErrorCode, call: Promise<unknown>): Promise<void> {
  let result: unknown;
  try {
    result = await call;
  } catch (error) {
    if (isSkerryError(error, code)) return;
    throw new Error(`expected a refusal with ${code}, not ${String(error)}`, { cause: error });
  }
  throw new Error(`expected a refusal with ${code}, and it succeeded with ${String(result)}`);
}

export function same(found: unknown, expected: unknown, what = 'value'): void {
  if (found !== expected) throw new Error(`${what}: expected ${String(expected)}, found ${String(found)}`);
}

export function sameList(found: readonly string[], expected: readonly string[], what = 'keys'): void {
  same(found.toSorted().join(' '), expected.toSorted().join(' '), what);
}

export function equal(found: Uint8Array, expected: Uint8Array): void {
  if (Buffer.compare(found, expected) !== 0) throw new Error(`bytes differ: ${found.length} found, ${expected.length} expected`);
}
