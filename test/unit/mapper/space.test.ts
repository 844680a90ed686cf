import { expect, it } from 'vitest';

import type { Reached, SpaceReport } from '../../../src/engine/binding.js';
import { SkerryError } from '../../../src/core/errors.js';
import { Space } from '../../../src/mapper/space.js';
import { openWorld } from './world.js';

const MiB = 2 ** 20;
const now = { ageMilliseconds: -1, waitMilliseconds: 5000 };

function reached(blocks: number, nodes = 0): Reached {
  return { blocks, nodes, blockBytes: blocks * 66_048, nodeBytes: nodes * 1024 };
}

async function measuredWorld() {
  const world = await openWorld();
  const volume = await world.mapper.create({ name: 'vm1', sizeBytes: MiB });
  const first = await world.mapper.snapshot('vm1@a', {});
  const second = await world.mapper.snapshot('vm1@b', {});
  const other = await world.mapper.create({ name: 'vm2', sizeBytes: MiB });
  const ids = [volume.id, first.id, second.id, other.id];
  const report: SpaceReport = {
    resources: ids.map((id, index) => ({
      id,
      sizeBytes: MiB,
      mappedBytes: 10 * 65_536,
      journalledBytes: index === 0 ? 8192 : 0,
      reached: reached(8, 1),
      alone: reached(index, 1),
    })),
    pool: {
      reached: reached(16, 4),
      journalledUses: 8,
      uncompressedBytes: 24 * 66_048,
      recordBytes: 20 * 66_048,
      storedBytes: 2 * MiB,
      deadBytes: 1000,
    },
    nodesRead: 4,
    nodesUnread: 0,
    patternsCut: false,
  };
  world.fake.measured = report;
  world.fake.together = [reached(5, 3)];
  world.fake.shared = [
    { id: first.id, blocks: 7 },
    { id: 999_999, blocks: 3 },
  ];
  let time = 1_000_000;
  const clock = {
    pass: (milliseconds: number) => {
      time += milliseconds;
    },
  };
  const space = new Space({ ledger: world.ledger, engine: world.fake, pools: { names: () => ['default'] }, now: () => time });
  const walks = (): number => world.steps.filter((step) => step === 'engine.space measure "default"').length;
  return { world, space, report, clock, walks, ids };
}

it('tells of each resource by name, of a volume together with its snapshots, and of the pool', async () => {
  const { world, space, ids } = await measuredWorld();
  const view = await space.all(now);
  expect(view?.resources.map(({ name }) => name)).toEqual(['vm1', 'vm2', 'vm1@a', 'vm1@b']);
  expect(view?.resources[0]).toEqual({
    id: ids[0],
    kind: 'volume',
    name: 'vm1',
    pool: 'default',
    logicalBytes: MiB,
    allocatedBytes: 10 * 65_536,
    journalledBytes: 8192,
    uniqueBytes: 0,
    sharedBytes: 8 * 65_536,
    storedBytes: 8 * 66_048 + 1024,
    freedBytes: 1024,
    snapshots: 2,
    freedWithSnapshotsBytes: 5 * 66_048 + 3 * 1024,
  });
  expect(view?.resources[1]).toMatchObject({ name: 'vm2', snapshots: 0, freedWithSnapshotsBytes: null });
  expect(view?.pools).toHaveLength(1);
  expect(view?.pools[0]).toMatchObject({
    logicalBytes: 4 * MiB,
    uniqueBytes: 16 * 65_536,
    referencedBytes: 16 * 66_048 + 4 * 1024,
    deadBytes: 1000,
    overheadBytes: 2 * MiB - 20 * 66_048,
    dedupRatio: 3,
    compressionRatio: 1.5,
  });
  expect(view?.incomplete).toBeNull();
  const [volume, first, second] = ids.map(Number);
  expect(world.steps).toContain(`engine.space groups "default" [${volume},${first},${second}] [0,0,0] 1`);
});

it('tells of one with whom it shares, but for those that have no name', async () => {
  const { space } = await measuredWorld();
  const found = await space.one('vm1', now);
  expect(found?.resource.name).toBe('vm1');
  expect(found?.sharedWith).toEqual([{ kind: 'snapshot', name: 'vm1@a', sharedBytes: 7 * 65_536 }]);
  await expect(space.one('vm3', now)).rejects.toMatchObject({ code: 'not-found' });
});

it('keeps an answer for who takes one of that age, and one walk serves all who ask while it runs', async () => {
  const { space, clock, walks } = await measuredWorld();
  const together = await Promise.all([space.all(now), space.all(now), space.all(now)]);
  expect(walks()).toBe(1);
  expect(together[1]).toBe(together[0]);
  clock.pass(5000);
  expect(await space.all({ ...now, ageMilliseconds: 5000 })).toBe(together[0]);
  expect(walks()).toBe(1);
  await space.all({ ...now, ageMilliseconds: 4999 });
  expect(walks()).toBe(2);
});

it('has no answer for who does not wait long enough, and goes on for who asks later', async () => {
  const { world, walks } = await measuredWorld();
  const gate = Promise.withResolvers<SpaceReport>();
  const engine = {
    stats: () => world.fake.stats(),
    space: (async (what: string, ...asked: never[]) => {
      const answer = await (world.fake.space as (...given: unknown[]) => Promise<unknown>).call(world.fake, what, ...asked);
      return what === 'measure' ? gate.promise : answer;
    }) as typeof world.fake.space,
  };
  const slow = new Space({ ledger: world.ledger, engine, pools: { names: () => ['default'] } });
  expect(await slow.all({ ageMilliseconds: -1, waitMilliseconds: 1 })).toBeNull();
  const asked = slow.all({ ageMilliseconds: 60_000, waitMilliseconds: 5000 });
  gate.resolve(world.fake.measured);
  expect((await asked)?.resources).toHaveLength(4);
  expect(walks()).toBe(1);
});

it('measures again for what was made after the answer that is kept', async () => {
  const { world, space, report, walks } = await measuredWorld();
  await space.all(now);
  const fresh = await world.mapper.create({ name: 'vm3', sizeBytes: MiB });
  const [basis] = report.resources;
  if (basis === undefined) throw new Error('nothing was measured');
  world.fake.measured = { ...report, resources: [...report.resources, { ...basis, id: fresh.id }] };
  const found = await space.one('vm3', { ageMilliseconds: 60_000, waitMilliseconds: 5000 });
  expect(found?.resource.id).toBe(fresh.id);
  expect(walks()).toBe(2);
});

it('says why numbers are too low', async () => {
  const { world, space, report } = await measuredWorld();
  world.fake.measured = { ...report, nodesUnread: 2 };
  expect((await space.all(now))?.incomplete).toMatch(/^2 map nodes of pool default cannot be read/);
  world.fake.measured = { ...report, patternsCut: true };
  expect((await space.all(now))?.incomplete).toMatch(/shared in more ways/);
});

it('a pool that cannot be measured takes nothing from what is told of the others', async () => {
  const { world } = await measuredWorld();
  const engine = {
    stats: () => world.fake.stats(),
    space: (async (what: string, pool: string, ...asked: never[]) => {
      if (pool === 'far') throw new SkerryError('io', 'its backend is away');
      return (world.fake.space as (...given: unknown[]) => Promise<unknown>).call(world.fake, what, pool, ...asked);
    }) as typeof world.fake.space,
  };
  const space = new Space({ ledger: world.ledger, engine, pools: { names: () => ['far', 'default'] } });
  const view = await space.all(now);
  expect(view?.incomplete).toBe('pool far cannot be measured: its backend is away');
  expect(view?.pools.map(({ name }) => name)).toEqual(['default']);
  expect(view?.resources).toHaveLength(4);
});
