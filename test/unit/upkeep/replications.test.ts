/** Replicas: what is copied from what, what becomes of it, and what stays of those before. */
import { expect, it } from 'vitest';

import { SkerryError } from '../../../src/core/errors.js';
import { IdAllocator } from '../../../src/mapper/id_allocator.js';
import { KeyedLocks } from '../../../src/mapper/locks.js';
import { MoveBook } from '../../../src/upkeep/move_book.js';
import { ReplicationBook } from '../../../src/upkeep/replication_book.js';
import { Replications } from '../../../src/upkeep/replications.js';
import { openWorld, rootId, type World } from '../mapper/world.js';
import { FakeCarriage } from './fake_carriage.js';

class ReplicatedWorld {
  readonly world: World;
  readonly carriage = new FakeCarriage();
  readonly book: ReplicationBook;
  readonly moves: MoveBook;
  readonly replications: Replications;
  readonly volume: number;
  time = Date.UTC(2026, 10, 22, 10, 30);
  carried = 0;
  /** Pools that take the root chunks of replicas. */
  telling = ['far', 'third'];
  #digit = 0;

  private constructor(world: World, volume: number, book: ReplicationBook, moves: MoveBook) {
    this.world = world;
    this.volume = volume;
    this.book = book;
    this.moves = moves;
    // The root of every snapshot is a new one.
    const snapshot: World['mapper']['snapshot'] = async (...asked) => {
      const made = await world.mapper.snapshot(...asked);
      this.#digit += 1;
      const appliedSequence = this.#digit * 10;
      const root = { id: rootId(String(this.#digit)), levels: 1, pack: 1, offset: 4096, storedBytes: 512 };
      const pending = world.ledger.waitingOn(volume).map((id) => ({ id, appliedSequence, fence: 0 }));
      await world.commit({ takers: [{ id: volume, appliedSequence, fence: 1 }, ...pending], root });
      return made;
    };
    this.replications = new Replications({
      ledger: world.ledger,
      locks: new KeyedLocks(),
      ids: new IdAllocator(world.catalog),
      engine: { add: (spec) => world.fake.add(spec) },
      resources: { snapshot, remove: (kind, name) => world.mapper.remove(kind, name) },
      carriage: this.carriage,
      book,
      pools: {
        of: (pool) => {
          if (!['default', 'far', 'third'].includes(pool)) throw new SkerryError('not-found', `there is no pool ${pool}`);
          return world.pool;
        },
      },
      moves,
      onUpkeep: () => {
        for (const pool of this.telling) void world.ledger.rootsKept(world.ledger.rootsDue(pool, 100));
      },
      onCarried: (_volume, _to, { carriedBytes }) => {
        this.carried += carriedBytes;
      },
      log: () => {},
      now: () => this.time,
    });
  }

  static async open(before?: ReplicatedWorld): Promise<ReplicatedWorld> {
    const world = before?.world ?? (await openWorld());
    const volume = before?.volume ?? (await world.mapper.create({ name: 'vm1', sizeBytes: 1 << 20 })).id;
    const books = [await ReplicationBook.open(world.catalog), await MoveBook.open(world.catalog)] as const;
    const opened = new ReplicatedWorld(world, volume, ...books);
    if (before !== undefined) opened.#digit = before.#digit;
    return opened;
  }

  async images(): Promise<readonly string[]> {
    return (await this.world.mapper.list('image')).map(({ name, pool }) => `${name} in ${pool}`);
  }

  async snapshots(): Promise<readonly string[]> {
    return (await this.world.mapper.list('snapshot')).map(({ name }) => name);
  }

  copies(): readonly string[] {
    return this.carriage.steps.filter((step) => step.startsWith('carry'));
  }
}

it('a snapshot becomes an image there, the next by its difference, and so many stay', async () => {
  const it = await ReplicatedWorld.open();
  await it.replications.set('vm1', { to: 'far', everySeconds: 60, keep: 2 });
  expect(await it.replications.view('vm1', 10_000)).toMatchObject({
    state: 'waiting',
    error: null,
    replica: 'vm1.replica-20261122t103000',
    lastAt: 1000,
  });
  it.replications.look();
  expect(it.copies()).toEqual(['carry none-11 on none at 0']);
  for (let minute = 1; minute <= 3; minute += 1) {
    it.time += 60_000;
    it.replications.look();
    expect(await it.replications.view('vm1', 10_000)).toMatchObject({ state: 'waiting', error: null });
  }
  expect(it.copies().slice(1)).toEqual(['carry 11-22 on 12 at 0', 'carry 22-33 on 23 at 0', 'carry 33-44 on 34 at 0']);
  expect(await it.snapshots()).toEqual(['vm1@replica-20261122t103300']);
  expect((await it.images()).at(-1)).toBe('vm1.replica-20261122t103300 in far');
  expect(await it.images()).toHaveLength(2);
  expect(await it.replications.remove('vm1')).toMatchObject({ state: 'stopped' });
  expect(await it.snapshots()).toEqual([]);
  expect(await it.images()).toHaveLength(2);
  await expect(it.replications.view('vm1', 0)).rejects.toThrow(/not replicated/);
});

it('what is interrupted goes on with its snapshot, where it was', async () => {
  const first = await ReplicatedWorld.open();
  first.carriage.between = async () => void first.replications.stop();
  await first.replications.set('vm1', { to: 'far', everySeconds: 60, keep: 2 });
  await first.replications.view('vm1', 10_000);
  expect(await first.images()).toEqual([]);
  expect(first.book.rootsIn('far').map(({ id }) => id[0])).toEqual([0x13]);
  const second = await ReplicatedWorld.open(first);
  second.replications.look();
  await second.replications.view('vm1', 10_000);
  expect(second.copies()).toEqual(['carry none-11 on 13 at 100']);
  expect(await second.images()).toEqual(['vm1.replica-20261122t103000 in far']);
  expect(await second.snapshots()).toEqual(['vm1@replica-20261122t103000']);
});

it('what is interrupted begins anew where the snapshot that it began from was deleted', async () => {
  const first = await ReplicatedWorld.open();
  await first.replications.set('vm1', { to: 'far', everySeconds: 60, keep: 2 });
  await first.replications.view('vm1', 10_000);
  first.time += 60_000;
  first.carriage.between = async () => void first.replications.stop();
  first.replications.look();
  await first.replications.view('vm1', 10_000);
  await first.world.mapper.remove('snapshot', 'vm1@replica-20261122t103000');
  const second = await ReplicatedWorld.open(first);
  second.time = first.time;
  second.carriage.gone.add('11');
  second.replications.look();
  expect(await second.replications.view('vm1', 10_000)).toMatchObject({ state: 'waiting', error: null });
  expect(second.copies()).toEqual(['carry 11-22 on 24 at 100', 'carry none-22 on none at 0']);
  expect(await second.images()).toEqual(['vm1.replica-20261122t103000 in far', 'vm1.replica-20261122t103100 in far']);
  // The next one is by the difference again.
  second.carriage.gone.clear();
  second.time += 60_000;
  second.replications.look();
  expect(await second.replications.view('vm1', 10_000)).toMatchObject({ state: 'waiting', error: null });
  expect(second.copies().at(-1)).toBe('carry 22-33 on 23 at 0');
});

it('what a former daemon began by an order goes on at once, though the next copy is not due', async () => {
  const first = await ReplicatedWorld.open();
  await first.replications.set('vm1', { to: 'far', everySeconds: 3600, keep: 2 });
  await first.replications.view('vm1', 10_000);
  first.time += 1000;
  first.carriage.between = async () => void first.replications.stop();
  await first.replications.set('vm1', { to: 'far', everySeconds: 3600, keep: 2 });
  await first.replications.view('vm1', 10_000);
  // In this world snapshots are of 1970.
  const record = first.book.get(first.volume);
  if (record !== null) await first.book.put({ ...record, lastAt: first.time });
  const second = await ReplicatedWorld.open(first);
  second.time = first.time;
  second.replications.look();
  await second.replications.view('vm1', 10_000);
  expect(second.copies()).toEqual(['carry 11-22 on 24 at 100']);
});

it('a replica counts once its pool tells of it, and is not carried again where that was interrupted', async () => {
  const first = await ReplicatedWorld.open();
  first.telling = [];
  await first.replications.set('vm1', { to: 'far', everySeconds: 60, keep: 2 });
  await expect.poll(() => first.images()).toHaveLength(1);
  expect(await first.replications.view('vm1', 0)).toMatchObject({ state: 'running', replica: null, lastAt: null });
  await first.replications.stop();
  const second = await ReplicatedWorld.open(first);
  second.telling = [];
  second.replications.look();
  await second.world.ledger.rootsKept(second.world.ledger.rootsDue('far', 100));
  expect(await second.replications.view('vm1', 10_000)).toMatchObject({
    state: 'waiting',
    error: null,
    replica: 'vm1.replica-20261122t103000',
  });
  expect(second.copies()).toEqual([]);
  expect(await second.images()).toHaveLength(1);
});

it('one that is ended while a replica waits to be told of leaves no more than are to stay', async () => {
  const it = await ReplicatedWorld.open();
  await it.replications.set('vm1', { to: 'far', everySeconds: 60, keep: 2 });
  await it.replications.view('vm1', 10_000);
  it.time += 60_000;
  it.replications.look();
  await it.replications.view('vm1', 10_000);
  it.telling = [];
  it.time += 60_000;
  it.replications.look();
  await expect.poll(() => it.images()).toHaveLength(3);
  await it.replications.remove('vm1');
  expect(await it.images()).toEqual(['vm1.replica-20261122t103100 in far', 'vm1.replica-20261122t103200 in far']);
  expect(await it.snapshots()).toEqual([]);
});

it('how often and how many may be changed while a copy is under way', async () => {
  const it = await ReplicatedWorld.open();
  it.carriage.between = async () => {
    it.carriage.between = async () => {};
    await it.replications.set('vm1', { to: 'far', everySeconds: 600, keep: 5 });
  };
  await it.replications.set('vm1', { to: 'far', everySeconds: 60, keep: 2 });
  expect(await it.replications.view('vm1', 10_000)).toMatchObject({ everySeconds: 600, keep: 5, nextAt: it.time + 600_000 });
  expect(it.book.get(it.volume)).toMatchObject({ everySeconds: 600, keep: 5, lastAt: 1000 });
});

it('so many stay whatever the volume is called, and those in another pool are not counted', async () => {
  const it = await ReplicatedWorld.open();
  const copy = async (name: string): Promise<void> => {
    it.time += 60_000;
    it.replications.look();
    expect(await it.replications.view(name, 10_000)).toMatchObject({ state: 'waiting', error: null });
  };
  await it.replications.set('vm1', { to: 'far', everySeconds: 60, keep: 2 });
  await it.replications.view('vm1', 10_000);
  await copy('vm1');
  await it.world.mapper.rename('volume', 'vm1', 'vm2');
  await copy('vm2');
  expect(await it.images()).toEqual(['vm1.replica-20261122t103100 in far', 'vm2.replica-20261122t103200 in far']);
  await it.replications.remove('vm2');
  it.time += 60_000;
  await it.replications.set('vm2', { to: 'third', everySeconds: 60, keep: 1 });
  await it.replications.view('vm2', 10_000);
  await copy('vm2');
  expect(await it.images()).toEqual([
    'vm1.replica-20261122t103100 in far',
    'vm2.replica-20261122t103200 in far',
    'vm2.replica-20261122t103400 in third',
  ]);
});

it('is refused for the pool that the volume is on its way to; of one that got there it tells what to do', async () => {
  const it = await ReplicatedWorld.open();
  const move = { id: it.volume, from: 'default', to: 'far', startedAt: 1, switched: false };
  await it.moves.put(move);
  const asked = { to: 'far', everySeconds: 60, keep: 2 };
  await expect(it.replications.set('vm1', asked)).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('skerry volume move vm1 --cancel'),
  });
  expect(it.book.all()).toEqual([]);
  await it.moves.remove(it.volume);
  // A daemon from before there was that refusal let it be asked for, and moved.
  await it.world.ledger.update(it.volume, (record) => ({ ...record, pool: 'far' }));
  await it.book.put({ id: it.volume, ...asked, startedAt: 1, lastAt: 0, snapshot: 0, replica: 0 });
  it.replications.look();
  expect(await it.replications.view('vm1', 10_000)).toMatchObject({
    state: 'failing',
    error: expect.stringContaining('skerry volume replicate vm1 --stop'),
  });
  expect(await it.snapshots()).toEqual([]);
});

it('all are listed, and one is late once its newest replica is older than two intervals', async () => {
  const it = await ReplicatedWorld.open();
  expect(await it.replications.list()).toEqual([]);
  await it.world.mapper.create({ name: 'idle', sizeBytes: 1 << 20 });
  let late: boolean | undefined;
  it.carriage.between = async () => {
    // A first copy takes as long as it takes.
    it.time += 600_000;
    late = (await it.replications.list())[0]?.late;
  };
  await it.replications.set('vm1', { to: 'far', everySeconds: 60, keep: 2 });
  await it.replications.view('vm1', 10_000);
  expect(late).toBe(false);
  // Snapshots of this world are of its first second.
  const of = (seconds: number): void => void (it.time = 1000 + seconds * 1000);
  of(119);
  expect(await it.replications.list()).toMatchObject([{ volume: 'vm1', to: 'far', lagSeconds: 119, late: false, error: null }]);
  of(121);
  expect(await it.replications.list()).toMatchObject([{ volume: 'vm1', lagSeconds: 121, late: true, error: null }]);
  expect(it.carried).toBe(100 << 20);
});

it('tells why it fails, and tries again; is refused with words', async () => {
  const it = await ReplicatedWorld.open();
  it.carriage.failures.push(new SkerryError('no-space', 'pool far is full'));
  await it.replications.set('vm1', { to: 'far', everySeconds: 60, keep: 2 });
  expect(await it.replications.view('vm1', 10_000)).toMatchObject({ state: 'failing', error: 'pool far is full' });
  it.time += 5000;
  it.replications.look();
  expect(await it.replications.view('vm1', 10_000)).toMatchObject({ state: 'waiting', error: null });
  expect(await it.images()).toHaveLength(1);
  await expect(it.replications.set('vm1', { to: 'default', everySeconds: 60, keep: 2 })).rejects.toThrow(
    /in pool default itself/,
  );
  await expect(it.replications.set('vm1', { to: 'nowhere', everySeconds: 60, keep: 2 })).rejects.toThrow(/no pool/);
  await expect(it.replications.set('vm2', { to: 'far', everySeconds: 60, keep: 2 })).rejects.toMatchObject({ code: 'not-found' });
});
