/** Replicas: what is copied from what, what becomes of it, and what stays of those before. */
import { expect, it } from 'vitest';

import { SkerryError } from '../../../src/core/errors.js';
import { IdAllocator } from '../../../src/mapper/id_allocator.js';
import { KeyedLocks } from '../../../src/mapper/locks.js';
import { ReplicationBook } from '../../../src/upkeep/replication_book.js';
import { Replications } from '../../../src/upkeep/replications.js';
import { openWorld, rootId, type World } from '../mapper/world.js';
import { FakeCarriage } from './fake_carriage.js';

class ReplicatedWorld {
  readonly world: World;
  readonly carriage = new FakeCarriage();
  readonly book: ReplicationBook;
  readonly replications: Replications;
  readonly volume: number;
  time = Date.UTC(2026, 10, 22, 10, 30);
  #digit = 0;

  private constructor(world: World, volume: number, book: ReplicationBook) {
    this.world = world;
    this.volume = volume;
    this.book = book;
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
          if (pool !== 'default' && pool !== 'far') throw new SkerryError('not-found', `there is no pool ${pool}`);
          return world.pool;
        },
      },
      onUpkeep: () => {},
      log: () => {},
      now: () => this.time,
    });
  }

  static async open(before?: ReplicatedWorld): Promise<ReplicatedWorld> {
    const world = before?.world ?? (await openWorld());
    const volume = before?.volume ?? (await world.mapper.create({ name: 'vm1', sizeBytes: 1 << 20 })).id;
    return new ReplicatedWorld(world, volume, await ReplicationBook.open(world.catalog));
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
