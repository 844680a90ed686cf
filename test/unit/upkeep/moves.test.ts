/** How a volume gets from one pool to another: in which order, and what is left of it wherever it ends. */
import { expect, it } from 'vitest';

import { SkerryError } from '../../../src/core/errors.js';
import { KeyedLocks } from '../../../src/mapper/locks.js';
import { MoveBook } from '../../../src/upkeep/move_book.js';
import { Moves } from '../../../src/upkeep/moves.js';
import { ReplicationBook } from '../../../src/upkeep/replication_book.js';
import { openWorld, rootId, type World } from '../mapper/world.js';
import { FakeCarriage } from './fake_carriage.js';

const rootOf = (digit: string) => ({ id: rootId(digit), levels: 1, pack: 1, offset: 4096, storedBytes: 512 });

async function moving(world: World, carriage = new FakeCarriage(), logless: Error | null = null) {
  const forgotten: string[] = [];
  const kept: string[] = [];
  const book = await MoveBook.open(world.catalog);
  const replications = await ReplicationBook.open(world.catalog);
  const moves = new Moves({
    ledger: world.ledger,
    locks: new KeyedLocks(),
    book,
    replications,
    carriage,
    pools: {
      of: (pool) => {
        if (pool !== 'default' && pool !== 'far') throw new SkerryError('not-found', `there is no pool ${pool}`);
        return {
          putRoot: async ({ id }) => void kept.push(`${pool} ${id}`),
          rootsSettled: async () => {},
          putTombstone: async () => {},
          mustTakeLogs: () => {
            if (logless !== null) throw logless;
          },
          holdLog: () => () => {},
          forgetLog: async () => {},
        };
      },
      allowFrames: async () => {},
      using: (_pool, work) => work(),
    },
    logs: {
      fenceIn: async (_pool, _id, log) => log.fence + 7,
      hold(pool, id) {
        carriage.steps.push(`hold the log of ${id} in ${pool}`);
        return () => {};
      },
      moved: ({ id, from, sequence }) => void carriage.steps.push(`the log of ${id} left ${from} after ${sequence}`),
      forget: async (pool, id) => void forgotten.push(`log of ${id} in ${pool}`),
    },
    forgetRoots: async (pool, id) => void forgotten.push(`${pool} ${id}`),
    onMoved: () => {},
    log: () => {},
  });
  return { moves, book, replications, carriage, forgotten, kept };
}

async function volumeWithSnapshot(world: World): Promise<{ readonly volume: number; readonly snapshot: number }> {
  const { id: volume } = await world.mapper.create({ name: 'vm1', sizeBytes: 1 << 20 });
  const { id: snapshot } = await world.mapper.snapshot('vm1@a');
  await world.commit({
    takers: [
      { id: volume, appliedSequence: 4, fence: 1 },
      { id: snapshot, appliedSequence: 4, fence: 0 },
    ],
    root: rootOf('a'),
  });
  await world.commit({ takers: [{ id: volume, appliedSequence: 9, fence: 1 }], root: rootOf('b') });
  return { volume, snapshot };
}

it('snapshots first, each by its difference from the one before; then one transaction for all of them', async () => {
  const world = await openWorld();
  const { volume, snapshot } = await volumeWithSnapshot(world);
  const { moves, book, carriage, forgotten, kept } = await moving(world);
  expect(await moves.begin('vm1', 'far')).toMatchObject({ state: 'running', from: 'default', to: 'far' });
  expect(await moves.view('vm1', 10_000)).toMatchObject({ state: 'done', error: null, carried: 2, resources: 2 });
  expect(carriage.steps).toEqual([
    `renew ${volume}`,
    'carry none-aa on none at 0',
    'carry aa-bb on ab at 0',
    `renew ${volume}`,
    `hold ${volume} for far`,
    `hold ${snapshot} for far`,
    `expect ${snapshot} as ab`,
    `expect ${volume} as bc`,
    `switch ${snapshot}`,
    `switch ${volume}`,
  ]);
  expect(kept).toEqual([`far ${snapshot}`, `far ${volume}`]);
  expect(forgotten).toEqual([`default ${snapshot}`, `default ${volume}`]);
  for (const id of [volume, snapshot]) expect((await world.ledger.get(id))?.record).toMatchObject({ pool: 'far' });
  expect(book.all()).toEqual([]);
  expect((await MoveBook.open(world.catalog)).rootsIn('far')).toEqual([]);
});

it('a volume with a log has an empty one over its root in the new pool, and nothing is put there before it is known where it goes on', async () => {
  const world = await openWorld();
  const { id } = await world.mapper.create({ name: 'ledger', sizeBytes: 1 << 20, durability: 'pool' });
  await world.commit({ takers: [{ id, appliedSequence: 9, fence: 1 }], root: rootOf('b') });
  const carriage = new FakeCarriage();
  carriage.sequence = 12;
  const { moves, forgotten } = await moving(world, carriage);
  await moves.begin('ledger', 'far');
  expect(await moves.view('ledger', 10_000)).toMatchObject({ state: 'done', error: null });
  expect(carriage.steps.slice(-4)).toEqual([
    `expect ${id} as bc`,
    `hold the log of ${id} in far`,
    `switch ${id} with 8`,
    `the log of ${id} left default after 12`,
  ]);
  expect((await world.ledger.get(id))?.record).toMatchObject({
    pool: 'far',
    appliedSequence: 9,
    log: { fence: 8, from: 10, first: 0, older: null },
  });
  // A root chunk that names a log without chunks would be refused where the pool alone is left.
  expect(forgotten).toEqual([`default ${id}`, `log of ${id} in default`]);
});

it('a volume does not move to the pool of its replicas, where no copy of it could be made any more', async () => {
  const world = await openWorld();
  const { id } = await world.mapper.create({ name: 'vm1', sizeBytes: 1 << 20 });
  const { moves, book, replications } = await moving(world);
  const replication = { id, to: 'far', everySeconds: 60, keep: 2, startedAt: 1, lastAt: 0, snapshot: 0, replica: 0 };
  await replications.put(replication);
  await expect(moves.begin('vm1', 'far')).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('skerry volume replicate vm1 --stop'),
  });
  expect(book.all()).toEqual([]);
  await replications.remove(id);
  await moves.begin('vm1', 'far');
  expect(await moves.view('vm1', 10_000)).toMatchObject({ state: 'done' });
});

it('those under way are listed, and those that failed until they are cancelled', async () => {
  const world = await openWorld();
  await volumeWithSnapshot(world);
  const { moves, carriage } = await moving(world);
  expect(moves.list()).toEqual([]);
  carriage.failures.push(new SkerryError('no-space', 'pool far is full'));
  await moves.begin('vm1', 'far');
  expect(moves.list()).toMatchObject([{ name: 'vm1', state: 'running' }]);
  await moves.view('vm1', 10_000);
  expect(moves.list()).toMatchObject([{ name: 'vm1', state: 'failed', error: 'pool far is full' }]);
  await moves.cancel('vm1');
  expect(moves.list()).toEqual([]);
});

it('a volume with a log is refused by a pool that cannot hold one, and others are not', async () => {
  const world = await openWorld();
  await world.mapper.create({ name: 'ledger', sizeBytes: 1 << 20, durability: 'pool' });
  await world.mapper.create({ name: 'vm1', sizeBytes: 1 << 20 });
  const { moves, book } = await moving(world, new FakeCarriage(), new SkerryError('unsupported', 'takes 1 MiB at once'));
  await expect(moves.begin('ledger', 'far')).rejects.toMatchObject({ code: 'unsupported', message: 'takes 1 MiB at once' });
  expect(book.all()).toEqual([]);
  await moves.begin('vm1', 'far');
  expect(await moves.view('vm1', 10_000)).toMatchObject({ state: 'done' });
});

it('what is written meanwhile goes by its difference, and what was begun is ended first after a restart', async () => {
  const world = await openWorld();
  const { volume } = await volumeWithSnapshot(world);
  const first = await moving(world);
  let copies = 0;
  // The daemon dies in the midst of the volume's copy, and a root comes before it is back.
  first.carriage.between = async () => {
    copies += 1;
    if (copies === 2) void first.moves.stop();
  };
  await first.moves.begin('vm1', 'far');
  expect(await first.moves.view('vm1', 10_000)).toMatchObject({ state: 'failed' });
  const wanted = (pool: string) => first.book.rootsIn(pool).map(({ id }) => Buffer.from(id).toString('hex').slice(0, 2));
  expect(wanted('far')).toEqual(['ab', 'bd']);
  expect(wanted('default')).toEqual(['', 'aa', 'aa', 'bb']);
  await world.commit({ takers: [{ id: volume, appliedSequence: 12, fence: 1 }], root: rootOf('c') });
  const second = await moving(world);
  await second.moves.start();
  expect(await second.moves.view('vm1', 10_000)).toMatchObject({ state: 'done' });
  expect(second.carriage.steps.filter((step) => step.startsWith('carry'))).toEqual([
    'carry aa-bb on bd at 100',
    'carry bb-cc on bc at 0',
  ]);
  expect((await world.ledger.get(volume))?.record).toMatchObject({ pool: 'far', appliedSequence: 12 });
});

it('where the last difference cannot be copied, the volume is released and stays', async () => {
  const world = await openWorld();
  const { volume, snapshot } = await volumeWithSnapshot(world);
  const { moves, carriage, book } = await moving(world);
  carriage.whenHeld = async () => {
    carriage.whenHeld = async () => {};
    await world.commit({ takers: [{ id: volume, appliedSequence: 10, fence: 1 }], root: rootOf('c') });
    carriage.failures.push(new SkerryError('no-space', 'pool far is full'));
  };
  await moves.begin('vm1', 'far');
  expect(await moves.view('vm1', 10_000)).toMatchObject({ state: 'failed', error: 'pool far is full' });
  expect(carriage.steps.slice(-2)).toEqual([`release ${volume}`, `release ${snapshot}`]);
  expect((await world.ledger.get(volume))?.record.pool).toBe('default');
  // Asked for again, it goes on; cancelled, it is forgotten.
  expect(book.get(volume)).not.toBeNull();
  await moves.begin('vm1', 'far');
  expect(await moves.view('vm1', 10_000)).toMatchObject({ state: 'done' });
  expect((await world.ledger.get(volume))?.record.pool).toBe('far');
});

it('cancelled, it stays where it is, and nothing is wanted because of it', async () => {
  const world = await openWorld();
  const { volume } = await volumeWithSnapshot(world);
  const { moves, carriage, book } = await moving(world);
  let cancelled: Promise<unknown> = Promise.resolve();
  carriage.between = async () => {
    cancelled = moves.cancel('vm1');
  };
  await moves.begin('vm1', 'far');
  expect(await moves.view('vm1', 10_000)).toMatchObject({ state: 'cancelled' });
  await cancelled;
  expect(book.all()).toEqual([]);
  expect(book.rootsIn('far')).toEqual([]);
  expect((await world.ledger.get(volume))?.record.pool).toBe('default');
  await expect(moves.cancel('vm1')).rejects.toMatchObject({ code: 'not-found' });
});

it('is refused with words where it cannot be', async () => {
  const world = await openWorld();
  await volumeWithSnapshot(world);
  const { moves, carriage } = await moving(world);
  await expect(moves.begin('vm1@a', 'far')).rejects.toThrow(/goes with its volume/);
  await expect(moves.begin('vm1', 'default')).rejects.toThrow(/in pool default already/);
  await expect(moves.begin('vm1', 'nowhere')).rejects.toMatchObject({ code: 'not-found' });
  await expect(moves.view('vm1', 0)).rejects.toMatchObject({ code: 'not-found' });
  carriage.failures.push(new SkerryError('corrupt', 'a map node cannot be read'));
  await moves.begin('vm1', 'far');
  expect(await moves.view('vm1', 10_000)).toMatchObject({ state: 'failed' });
  await expect(moves.begin('vm1', 'elsewhere')).rejects.toThrow(/there is no pool|on its way to pool far/);
});
