/** When space is given back, what is told to still want it, and what is told of it. The engine of these tests removes nothing. */
import { expect, it } from 'vitest';

import { MemoryDriver } from '../../../drivers/memory/driver.js';
import { SkerryError } from '../../../src/core/errors.js';
import type { EngineStats } from '../../../src/engine/binding.js';
import { Pool } from '../../../src/pool/pool.js';
import { encodeRootChunk, encodeTombstone, rootChunkKey, tombstoneKey } from '../../../src/pool/root_chunk.js';
import { keptRoot } from '../../../src/mapper/root_store.js';
import { Collections } from '../../../src/upkeep/collections.js';
import { openWorld, rootId } from '../mapper/world.js';
import { sampleRoot } from '../pool/samples.js';

const uuid = new Uint8Array(16).fill(7);

interface Told {
  readonly putBytes: number;
  readonly storedBytes: number;
  readonly freeBytes: number;
  readonly remote: boolean;
  readonly backendFull: boolean;
}

async function collected(told: Partial<Told> = {}) {
  const world = await openWorld();
  const driver = new MemoryDriver();
  const logged: string[] = [];
  const ends: string[] = [];
  const state = {
    time: 1e12,
    putFails: false,
    trims: 0,
    pool: { putBytes: 0, storedBytes: 10, freeBytes: 90, remote: false, backendFull: false, ...told },
  };
  const stats = (): EngineStats => {
    const { pools, ...rest } = world.fake.stats();
    const trim = { ...rest.nbd.trim, operations: state.trims };
    return { ...rest, nbd: { ...rest.nbd, trim }, pools: pools.map((pool) => ({ ...pool, ...state.pool, name: 'default' })) };
  };
  const collections = new Collections({
    engine: { stats, collect: world.fake.collect.bind(world.fake) },
    ledger: world.ledger,
    underWay: { rootsIn: () => [] },
    locks: world.locks,
    roots: {
      of: () => {
        if (state.putFails) throw new SkerryError('no-space', 'the disk is full');
        return new Pool({ name: 'default', driver: 'memory', settings: {}, poolUuid: uuid }, driver);
      },
    },
    pools: {
      names: () => ['default'],
      get: () => ({ poolUuid: uuid, chunks: driver, cipher: null }),
    },
    onEnd: ({ state: ended }) => void ends.push(ended),
    finishDeletions: async () => world.settle(),
    log: (level, message) => void logged.push(`${level} ${message}`),
    intervalMilliseconds: 3_600_000,
    now: () => state.time,
  });
  const runs = (): number => world.steps.filter((step) => step.startsWith('engine.collect run')).length;
  return { world, driver, collections, state, runs, logged, ends };
}

it('not while the log of a volume is still to be read from the pool: it may name what no root does', async () => {
  const { world, collections, state, runs } = await collected();
  world.ledger.unreadLogs.note(5, 'default', 'it is away');
  expect(() => collections.begin('default', { dryRun: false })).toThrow(
    /not collected before what 1 of its volumes have flushed/,
  );
  state.pool.putBytes += 1;
  await collections.round();
  expect(runs()).toBe(0);
  world.ledger.unreadLogs.forget(5);
  await collections.round();
  expect(runs()).toBe(1);
});

it('all that the catalog and root chunks name is told to be wanted, but for what a tombstone stands against', async () => {
  const { world, driver, collections } = await collected();
  const { id } = await world.mapper.create({ name: 'vm1', sizeBytes: 1 << 20 });
  const root = { id: rootId('a'), levels: 1, pack: 1, offset: 4096, storedBytes: 512 };
  await world.commit({ takers: [{ id, appliedSequence: 4, fence: 1 }], root });
  const chunk = (of: number, digit: string) => ({
    ...sampleRoot,
    id: of,
    fence: 1,
    number: 1,
    poolUuid: uuid,
    root: { ...root, id: Uint8Array.from(Buffer.from(rootId(digit), 'hex')) },
  });
  await driver.put(rootChunkKey(70, 1, 1), encodeRootChunk(chunk(70, 'b')));
  await driver.put(rootChunkKey(71, 1, 1), encodeRootChunk(chunk(71, 'c')));
  await driver.put(tombstoneKey(71), encodeTombstone({ poolUuid: uuid, id: 71, kind: 'volume', name: 'gone', deletedAt: 1 }));
  expect(collections.begin('default', { dryRun: false })).toMatchObject({ pool: 'default', state: 'running', dryRun: false });
  expect(await collections.view('default', 10_000)).toMatchObject({ state: 'done', error: null, nodesRead: 2 });
  const told = world.steps.find((step) => step.startsWith('engine.collect run')) ?? '';
  expect(told).toContain('aaaaaaaa');
  expect(told).toContain('bbbbbbbb');
  expect(told).not.toContain('cccccccc');
});

it('one at a time, and what fails is told', async () => {
  const { world, driver, collections, ends } = await collected();
  await expect(collections.view('default', 0)).rejects.toMatchObject({ code: 'not-found' });
  collections.begin('default', { dryRun: true });
  expect(() => collections.begin('default', { dryRun: true })).toThrow(/already/);
  expect(await collections.view('default', 10_000)).toMatchObject({ state: 'done', dryRun: true });
  expect(ends).toEqual([]);
  await driver.close();
  collections.begin('default', { dryRun: false });
  expect(await collections.view('default', 10_000)).toMatchObject({ state: 'failed' });
  expect(ends).toEqual(['failed']);
  collections.stop();
  expect(() => collections.begin('default', { dryRun: false })).toThrow(/stopping/);
  expect(world.steps.filter((step) => step.startsWith('engine.collect run'))).toHaveLength(1);
});

it('by itself where something was put or deleted since, at most once in the interval, more often where the pool is nearly full', async () => {
  const { collections, state, runs } = await collected({ putBytes: 5 });
  await collections.round();
  expect(runs()).toBe(1);
  state.time += 3_600_000;
  await collections.round();
  expect(runs()).toBe(1);
  collections.noteRemoval();
  state.time += 60_000;
  await collections.round();
  expect(runs()).toBe(2);
  state.pool.putBytes = 6;
  state.time += 60_000;
  await collections.round();
  expect(runs()).toBe(2);
  state.pool.freeBytes = 1;
  await collections.round();
  expect(runs()).toBe(3);
});

it('a deletion that comes too early for a run is seen to by the next one, once', async () => {
  const { collections, state, runs } = await collected({ putBytes: 5 });
  await collections.round();
  collections.noteRemoval();
  state.time += 60_000;
  await collections.round();
  expect(runs()).toBe(1);
  state.time += 3_600_000;
  await collections.round();
  expect(runs()).toBe(2);
  state.time += 3_600_000;
  await collections.round();
  expect(runs()).toBe(2);
});

it('what was trimmed is destaged before roots are read, and a trim alone is worth a round', async () => {
  const { world, collections, state, runs } = await collected({ putBytes: 5 });
  await collections.round();
  state.trims = 1;
  state.time += 3_600_000;
  await collections.round();
  expect(runs()).toBe(2);
  const asked = world.steps.filter((step) => step.startsWith('engine.collect')).map((step) => step.split(' ', 2)[1]);
  expect(asked).toEqual(['trims', 'run', 'trims', 'run']);
  world.fake.trimsWaiting = 3;
  collections.begin('default', { dryRun: true });
  expect(await collections.view('default', 10_000)).toMatchObject({ state: 'done', trimsWaiting: 3 });
  // A dry run changes nothing, and waits for nothing.
  expect(world.steps.findLast((step) => step.startsWith('engine.collect trims'))).toMatch(/ 0$/);
});

it('a pool on a backend is nearly full only where that says so, however little room this host has', async () => {
  const { collections, state, runs } = await collected({ putBytes: 5, remote: true, freeBytes: 1 });
  await collections.round();
  state.pool.putBytes = 6;
  state.time += 60_000;
  await collections.round();
  expect(runs()).toBe(1);
  state.pool.backendFull = true;
  await collections.round();
  expect(runs()).toBe(2);
});

it('what only the past of a volume that rests wants is wanted by nobody, once its root chunks are all of now', async () => {
  const { world, driver, collections } = await collected();
  const pool = new Pool({ name: 'default', driver: 'memory', settings: {}, poolUuid: uuid }, driver);
  const { id } = await world.mapper.create({ name: 'vm1', sizeBytes: 1 << 20 });
  const rootOf = (digit: string) => ({ id: rootId(digit), levels: 1, pack: 1, offset: 4096, storedBytes: 512 });
  for (const digit of ['a', 'b', 'c']) {
    await world.commit({ takers: [{ id, appliedSequence: digit.charCodeAt(0), fence: 1 }], root: rootOf(digit) });
    const entry = await world.ledger.get(id);
    if (entry === null) throw new Error('it is there');
    await pool.putRoot(keptRoot(entry.record));
  }
  const told = () => world.steps.findLast((step) => step.startsWith('engine.collect run')) ?? '';
  const collect = async (dryRun: boolean) => {
    collections.begin('default', { dryRun });
    expect(await collections.view('default', 10_000)).toMatchObject({ state: 'done', error: null });
  };
  // A dry run counts as if, and changes nothing.
  await collect(true);
  expect(told()).toContain('cccccccc');
  expect(told()).not.toMatch(/aaaaaaaa|bbbbbbbb/);
  const before = (await pool.readRoots(id)).roots;
  expect(before).toHaveLength(3);
  await collect(false);
  expect(told()).toContain('cccccccc');
  expect(told()).not.toMatch(/aaaaaaaa|bbbbbbbb/);
  const { roots } = await pool.readRoots(id);
  expect(roots).toHaveLength(3);
  expect(roots[2]).toEqual(before[0]);
  expect(new Set(roots.map(({ root }) => Buffer.from(root.id).toString('hex')))).toEqual(new Set([rootId('c')]));
  // What its chunks tell of and the catalog does not have yet is let alone.
  await world.commit({ takers: [{ id, appliedSequence: 200, fence: 1 }], root: rootOf('d') });
  await collect(false);
  expect(told()).toMatch(/cccccccc/);
  expect(told()).toMatch(/dddddddd/);
});

it('where root chunks cannot be put the run goes on, and what they would have superseded is wanted', async () => {
  const { world, driver, collections, state, logged } = await collected();
  const pool = new Pool({ name: 'default', driver: 'memory', settings: {}, poolUuid: uuid }, driver);
  const { id } = await world.mapper.create({ name: 'vm1', sizeBytes: 1 << 20 });
  for (const digit of ['a', 'b']) {
    const root = { id: rootId(digit), levels: 1, pack: 1, offset: 4096, storedBytes: 512 };
    await world.commit({ takers: [{ id, appliedSequence: digit.charCodeAt(0), fence: 1 }], root });
    const entry = await world.ledger.get(id);
    if (entry === null) throw new Error('it is there');
    await pool.putRoot(keptRoot(entry.record));
  }
  state.putFails = true;
  collections.begin('default', { dryRun: false });
  expect(await collections.view('default', 10_000)).toMatchObject({ state: 'done', error: null });
  const told = world.steps.findLast((step) => step.startsWith('engine.collect run')) ?? '';
  expect(told).toContain('aaaaaaaa');
  expect(told).toContain('bbbbbbbb');
  expect(logged).toContain('warn root chunks could not be renewed: their past is kept');
});
