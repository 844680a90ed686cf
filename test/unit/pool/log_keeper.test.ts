import { expect, test } from 'vitest';

import { SkerryError } from '../../../src/core/errors.js';
import type { ChunkKey, ChunkStat, Driver } from '../../../src/driver/driver.js';
import { logChunkKey } from '../../../src/pool/log_chunk.js';
import { LogKeeper, type Outage } from '../../../src/pool/log_keeper.js';
import { ChunkCipher } from '../../../src/pool/pool_secrets.js';
import { poolUuid, sampleLogChunk } from './samples.js';

/** Chunks in memory; `away` makes puts fail so. */
class Shelf implements Pick<Driver, 'put' | 'get' | 'stat' | 'remove' | 'list'> {
  readonly chunks = new Map<string, Uint8Array>();
  readonly attempts: Uint8Array[] = [];
  away: Error | null = null;
  /** Puts wait for it. */
  gate: Promise<void> = Promise.resolve();
  removing = 0;
  removingMax = 0;

  async put(key: ChunkKey, data: Uint8Array): Promise<void> {
    this.attempts.push(Uint8Array.from(data));
    if (this.away !== null) throw this.away;
    await this.gate;
    this.chunks.set(key, Uint8Array.from(data));
  }
  async get(key: ChunkKey, _offset: number, into: Uint8Array): Promise<number | null> {
    const found = this.chunks.get(key);
    if (found === undefined) return null;
    into.set(found);
    return found.length;
  }
  async stat(key: ChunkKey): Promise<ChunkStat | null> {
    const found = this.chunks.get(key);
    return found === undefined ? null : { key, bytes: found.length };
  }
  async remove(key: ChunkKey): Promise<void> {
    this.removing += 1;
    this.removingMax = Math.max(this.removingMax, this.removing);
    await Promise.resolve();
    this.chunks.delete(key);
    this.removing -= 1;
  }
  async *list(prefix: string): AsyncIterable<ChunkStat> {
    for (const [key, { length }] of this.chunks) if (key.startsWith(prefix)) yield { key: key as ChunkKey, bytes: length };
  }
}

interface World {
  readonly shelf: Shelf;
  readonly keeper: LogKeeper;
  readonly answers: string[];
  readonly put: (fence: number, number: number, settled?: number, of?: number) => void;
  readonly settled: () => Promise<void>;
  readonly tellIfAway: () => void;
}

function open(cipher: ChunkCipher | null = null, stallMilliseconds = 0, outage: Outage | null = null): World {
  const shelf = new Shelf();
  const driver = shelf as unknown as Driver;
  const answers: string[] = [];
  const keeper = new LogKeeper({
    poolUuid,
    cipher,
    hasty: driver,
    chunks: driver,
    stallMilliseconds,
    outage: () => outage,
    log: () => {},
  });
  const engine = {
    completeChange: (errand: number, failure: { readonly code: string } | null) =>
      void answers.push(`${errand} ${failure?.code ?? 'put'}`),
    volumeLog: async (what: string, volume: number) => void answers.push(`${what} ${volume}`),
  } as never;
  let errand = 0;
  return {
    shelf,
    keeper,
    answers,
    put(fence, number, settled = 0, of = sampleLogChunk.volume) {
      errand += 1;
      const { firstSequence, lastSequence, entries } = sampleLogChunk;
      const chunk = { volume: of, fence, number, firstSequence, lastSequence, settled, entries };
      keeper.take({ type: 'log-chunk', errand, pool: 'p', ...chunk }, engine);
    },
    tellIfAway: () => keeper.tellIfAway(sampleLogChunk.volume, engine),
    async settled() {
      await expect.poll(() => answers.length, { timeout: 5000 }).toBe(errand);
    },
  };
}

const { volume } = sampleLogChunk;

test('what is put is read again in its order, up to the first that is not there', async () => {
  const { put, keeper, settled, answers } = open();
  for (const number of [0, 1, 2, 4]) put(3, number);
  await settled();
  expect(answers.toSorted()).toEqual(['1 put', '2 put', '3 put', '4 put']);
  const numbers: number[] = [];
  for await (const chunk of keeper.chunks(volume, 3, 1)) {
    expect(chunk.entries).toEqual(sampleLogChunk.entries);
    numbers.push(chunk.number);
  }
  expect(numbers).toEqual([1, 2]);
  expect(await keeper.fenceMax(volume)).toBe(3);
  expect(await keeper.fenceMax(9)).toBe(0);
});

async function read({ keeper }: World, first: number): Promise<readonly number[]> {
  const numbers: number[] = [];
  for await (const chunk of keeper.chunks(volume, 3, first)) numbers.push(chunk.number);
  return numbers;
}

test('a chunk that is gone is told from one that never came', async () => {
  const world = open();
  for (const number of [0, 1, 2, 3, 4, 20]) world.put(3, number, Math.min(number, 4));
  await world.settled();
  expect(await read(world, 0)).toEqual([0, 1, 2, 3, 4]);
  for (const gone of [0, 2, 3]) {
    const key = logChunkKey({ volume, fence: 3, number: gone });
    const chunk = world.shelf.chunks.get(key);
    world.shelf.chunks.delete(key);
    await expect(read(world, 0), `${gone}`).rejects.toMatchObject({ code: 'corrupt', message: expect.stringContaining(key) });
    world.shelf.chunks.set(key, chunk ?? new Uint8Array(0));
  }
  world.shelf.chunks.delete(logChunkKey({ volume, fence: 3, number: 20 }));
  world.shelf.chunks.delete(logChunkKey({ volume, fence: 3, number: 4 }));
  expect(await read(world, 0)).toEqual([0, 1, 2, 3]);
});

test('a chunk of which nothing is left but its key is damaged, and not the end of the log', async () => {
  const world = open();
  world.put(3, 0);
  await world.settled();
  world.shelf.chunks.set(logChunkKey({ volume, fence: 3, number: 0 }), new Uint8Array(0));
  await expect(read(world, 0)).rejects.toMatchObject({ code: 'corrupt' });
});

test('an attempt that failed is repeated with the same bytes, and flushes that waited too long are told', async () => {
  const { put, shelf, answers } = open(new ChunkCipher(new Uint8Array(32).fill(1)));
  shelf.away = new SkerryError('unavailable', 'away');
  put(1, 0);
  await expect.poll(() => shelf.attempts.length, { timeout: 5000 }).toBeGreaterThan(1);
  shelf.away = null;
  await expect.poll(() => answers.includes('1 put'), { timeout: 5000 }).toBe(true);
  for (const attempt of shelf.attempts) expect(attempt).toEqual(shelf.attempts[0]);
  expect(answers.filter((answer) => answer === `late ${volume}`).length).toBeGreaterThan(0);
});

test('a daemon that ends gives up what is not there yet', async () => {
  const { put, keeper, shelf, answers } = open(null, 60_000);
  shelf.away = new SkerryError('unavailable', 'away');
  put(1, 0);
  await keeper.close();
  expect(answers).toEqual(['1 closed']);
});

test('a volume that is gone waits for no backend', async () => {
  const { put, keeper, shelf, answers } = open(null, 60_000);
  shelf.away = new SkerryError('exists', 'another chunk is there');
  put(1, 0);
  await expect.poll(() => answers, { timeout: 5000 }).toEqual([`late ${volume}`]);
  await keeper.forget(volume);
  expect(answers.at(-1)).toBe('1 closed');
});

test('what a volume that has moved left behind is given up, and what it puts when it is back is not', async () => {
  const { put, keeper, shelf, answers } = open(null, 60_000);
  shelf.away = new SkerryError('unavailable', 'away');
  put(1, 0);
  await expect.poll(() => shelf.attempts.length, { timeout: 5000 }).toBeGreaterThan(0);
  keeper.leave(volume, 3);
  put(1, 1);
  await expect.poll(() => answers.toSorted(), { timeout: 5000 }).toEqual(['1 closed', '2 closed']);
  expect(shelf.attempts).toHaveLength(1);
  shelf.away = null;
  put(5, 0);
  await expect.poll(() => answers, { timeout: 5000 }).toContain('3 put');
});

test('of a volume that is held nothing is put when the daemon ends, for the pool does not know of it', async () => {
  const { put, keeper, shelf, answers } = open(null, 60_000);
  keeper.hold(volume);
  put(1, 0);
  await keeper.close();
  expect(shelf.attempts).toEqual([]);
  expect(answers).toEqual(['1 closed']);
});

test('nothing is put of a volume that is held, and flushes are told when that takes too long', async () => {
  const { put, keeper, shelf, answers } = open();
  const release = keeper.hold(volume);
  put(1, 0);
  await expect.poll(() => answers, { timeout: 5000 }).toContain(`late ${volume}`);
  expect(shelf.attempts).toEqual([]);
  // Nor does anybody wait for it who removes what is not wanted.
  await keeper.sweep(volume, (fence) => fence === 1);
  release();
  await expect.poll(() => answers, { timeout: 5000 }).toContain('1 put');
});

test('a chunk under the key of another is refused', async () => {
  const { put, keeper, shelf, settled } = open();
  put(1, 0);
  await settled();
  const [chunk = new Uint8Array(0)] = shelf.chunks.values();
  shelf.chunks.set(logChunkKey({ volume, fence: 1, number: 1 }), chunk);
  await expect(keeper.read(volume, 1, 1)).rejects.toMatchObject({ code: 'corrupt' });
  expect(await keeper.read(volume, 1, 2)).toBeNull();
});

test('what a root holds is removed, and what a life before left behind', async () => {
  const { put, keeper, shelf, settled } = open();
  for (const number of [0, 1, 2, 3]) put(2, number);
  put(1, 7);
  await settled();
  await keeper.trim(volume, 2, 0, 2);
  expect(shelf.chunks.size).toBe(3);
  await keeper.sweep(volume, (fence) => fence >= 2);
  expect([...shelf.chunks.keys()]).toEqual([2, 3].map((number) => logChunkKey({ volume, fence: 2, number })));
  await keeper.forget(volume);
  expect(shelf.chunks.size).toBe(0);
});

test('while flushes of a volume of the pool wait for puts, chunks are removed one after the other', async () => {
  const { put, keeper, shelf, settled } = open();
  let openGate = (): void => {};
  shelf.gate = new Promise((resolve) => {
    openGate = resolve;
  });
  put(1, 0, 0, volume + 1);
  await keeper.trim(volume, 1, 0, 40);
  expect(shelf.removingMax).toBe(1);
  openGate();
  await settled();
  const quiet = open();
  await quiet.keeper.trim(volume, 1, 0, 40);
  expect(quiet.shelf.removingMax).toBeGreaterThan(1);
});

test('flushes that wait for no put are told where the backend is away for longer than the pool says', () => {
  for (const [milliseconds, answers] of [
    [999, []],
    [1000, [`late ${volume}`]],
  ] as const) {
    const world = open(null, 1000, { milliseconds, why: 'away' });
    world.tellIfAway();
    expect(world.answers).toEqual(answers);
  }
  const answering = open();
  answering.tellIfAway();
  expect(answering.answers).toEqual([]);
});
