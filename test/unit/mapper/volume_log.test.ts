import { describe, expect, test } from 'vitest';

import { SkerryError } from '../../../src/core/errors.js';
import { firstLog, logAfterMove, logOverRoot, movedLog, nextLog, readableLog } from '../../../src/mapper/volume_log.js';
import { openWorld } from './world.js';

const journal = new Uint8Array(16).fill(7);
const another = new Uint8Array(16).fill(8);

describe('the log of a volume', () => {
  test('is read on from the root, and in the next life up to where that life began', () => {
    const first = firstLog(journal);
    expect(readableLog(first, 0)).toMatchObject({ fence: 1, from: 1, first: 0, until: Number.MAX_SAFE_INTEGER });
    const second = nextLog(first, 0, { journal, sequence: 90, fence: 2 });
    expect(second).toEqual({ journal, fence: 2, from: 91, first: 0, older: { fence: 1, from: 1, first: 0, until: 90 } });
    expect(readableLog(second, 89)).toMatchObject({ fence: 1, until: 90 });
    expect(readableLog(second, 90)).toMatchObject({ fence: 2, from: 91 });
  });

  test('of a life that saw no root of what was there before is forgotten, for it has answered no flush', () => {
    const second = nextLog(firstLog(journal), 0, { journal, sequence: 90, fence: 2 });
    const third = nextLog(second, 10, { journal, sequence: 120, fence: 3 });
    expect(third).toEqual({ journal, fence: 3, from: 121, first: 0, older: { fence: 1, from: 1, first: 0, until: 90 } });
  });

  test('has nothing older where the root holds all that was there', () => {
    expect(nextLog(firstLog(journal), 90, { journal: another, sequence: 90, fence: 5 })).toEqual({
      journal: another,
      fence: 5,
      from: 91,
      first: 0,
      older: null,
    });
  });

  test('gets shorter with a root, and never longer', () => {
    const second = nextLog(firstLog(journal), 0, { journal, sequence: 90, fence: 2 });
    expect(logOverRoot(second, 89, { fence: 2, first: 0 })).toEqual(second);
    const over = logOverRoot(second, 90, { fence: 2, first: 3 });
    expect(over).toEqual({ ...second, first: 3, older: null });
    expect(logOverRoot(over, 90, { fence: 2, first: 2 })).toEqual(over);
  });

  test('stays as it is with a root that knows nothing of it', () => {
    const log = firstLog(journal);
    expect(logOverRoot(log, 5, null)).toBe(log);
    expect(logOverRoot(log, 5, { fence: 9, first: 4 })).toBe(log);
    expect(logOverRoot(null, 5, { fence: 1, first: 4 })).toBeNull();
  });
});

describe('the log of a volume that moved to another pool', () => {
  const before = nextLog(firstLog(journal), 0, { journal, sequence: 90, fence: 2 });
  const moved = movedLog(before, 120, 9);

  test('is an empty one over the root there, until it is known where it goes on', () => {
    expect(moved).toEqual({ journal, fence: 9, from: 121, first: 0, older: null });
    // A daemon that dies now reads nothing there, and its next life begins under a fence of its own.
    expect(nextLog(moved, 120, { journal, sequence: 150, fence: 10 })).toEqual({
      journal,
      fence: 10,
      from: 151,
      first: 0,
      older: { fence: 9, from: 121, first: 0, until: 150 },
    });
  });

  test('is read past what was written while it was held only over a root that has that', () => {
    const goesOn = logAfterMove(moved, 120, 150);
    expect(readableLog(goesOn, 120)).toEqual({ fence: 8, from: 121, first: 0, until: 150 });
    expect(readableLog(goesOn, 149)).toMatchObject({ fence: 8 });
    const over = logOverRoot(goesOn, 150, { fence: 9, first: 2 });
    expect(over).toEqual({ journal, fence: 9, from: 151, first: 2, older: null });
    expect(logAfterMove(moved, 120, 120)).toEqual(moved);
  });

  test('is the same where that root comes before the word of where it goes on', () => {
    const over = logOverRoot(moved, 160, { fence: 9, first: 2 }) ?? moved;
    expect(over).toMatchObject({ first: 2, older: null });
    expect(logAfterMove(over, 160, 150)).toEqual({ journal, fence: 9, from: 151, first: 2, older: null });
  });
});

describe('a volume with durability pool', () => {
  test('has its root chunk in the pool and its log begun before it is answered, and neither is owed any more', async () => {
    const world = await openWorld();
    const { id } = await world.mapper.create({ name: 'vm1', sizeBytes: 1 << 20, durability: 'pool' });
    expect(world.pool.roots.get(id)?.log).toMatchObject({ fence: 1, from: 1, first: 0, older: null });
    expect(world.steps).toContain(`engine.volumeLog begin ${id} 1 0`);
    expect(world.ledger.rootsDue('default', 10)).toEqual([]);
    // Its name was known before that: nobody's flush is answered out of a log that the pool knows nothing of.
    const steps = [`pool.holdLog ${id}`, `engine.volumeLog begin ${id} 1 0`, `pool.putRoot ${id}`, `pool.letLogGo ${id}`];
    expect(world.steps.filter((step) => steps.includes(step))).toEqual(steps);
  });

  test('is not made where the pool cannot hold its log, and its clones are not', async () => {
    const world = await openWorld();
    await world.mapper.create({ name: 'plain', sizeBytes: 1 << 20 });
    world.pool.logless = new SkerryError('unsupported', 'its chunks are too small');
    const refused = { code: 'unsupported', message: 'its chunks are too small' };
    await expect(world.mapper.create({ name: 'vm1', sizeBytes: 1 << 20, durability: 'pool' })).rejects.toMatchObject(refused);
    await expect(world.mapper.clone('plain', 'vm2', { durability: 'pool' })).rejects.toMatchObject(refused);
    expect((await world.mapper.list('volume')).map(({ name }) => name)).toEqual(['plain']);
  });

  test('loses its log with its name, after the tombstone', async () => {
    const world = await openWorld();
    const { id } = await world.mapper.create({ name: 'vm1', sizeBytes: 1 << 20, durability: 'pool' });
    await world.mapper.remove('volume', 'vm1');
    await world.settle();
    const [tombstone, forgotten] = [`pool.putTombstone ${id}`, `pool.forgetLog ${id}`].map((step) => world.steps.indexOf(step));
    expect(tombstone).toBeGreaterThan(0);
    expect(forgotten).toBeGreaterThan(tombstone ?? 0);
  });

  test('has its snapshots and clones answered once what they are made of has been destaged', async () => {
    const world = await openWorld();
    const { id } = await world.mapper.create({ name: 'vm1', sizeBytes: 1 << 20, durability: 'pool' });
    const snapshot = await world.mapper.snapshot('vm1@a');
    expect(world.steps.at(-1)).toBe(`engine.destage ${snapshot.id}`);
    expect(snapshot.id).not.toBe(id);
    const clone = await world.mapper.clone('vm1', 'vm2');
    expect(clone.durability).toBe('pool');
    expect(world.steps.slice(-4)).toEqual([
      `pool.holdLog ${clone.id}`,
      `engine.volumeLog begin ${clone.id} 1 0`,
      `engine.destage ${clone.id}`,
      `pool.letLogGo ${clone.id}`,
    ]);
    expect((await world.mapper.clone('vm1@a', 'vm3', { durability: 'local' })).durability).toBe('local');
  });
});
