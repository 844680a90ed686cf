import { expect, test } from 'vitest';

import { SkerryError } from '../../../src/core/errors.js';
import { Ledger } from '../../../src/mapper/ledger.js';
import { KeyedLocks } from '../../../src/mapper/locks.js';
import { Upkeep } from '../../../src/upkeep/upkeep.js';
import { openWorld, root } from '../mapper/world.js';

const MiB = 1 << 20;

test('an anchor goes once the root of its clone is committed, not before', async () => {
  const world = await openWorld();
  const { id: vm1 } = await world.mapper.create({ name: 'vm1', sizeBytes: MiB });
  const clone = await world.mapper.clone('vm1', 'vm2');
  const anchor = clone.id - 1;
  await world.settle();
  expect(await world.ledger.get(anchor)).not.toBeNull();
  await world.commit({
    takers: [
      { id: vm1, appliedSequence: 1, fence: 1 },
      { id: anchor, appliedSequence: 1, fence: 0 },
      { id: clone.id, appliedSequence: 0, fence: 1 },
    ],
    root: root('a'),
  });
  const from = world.steps.length;
  await world.settle();
  expect(world.since(from)).toEqual([`pool.putTombstone ${anchor}`, `catalog -resource/${anchor}`, `engine.drop ${anchor}`]);
});

test('an anchor goes with its clone', async () => {
  const world = await openWorld();
  await world.mapper.create({ name: 'vm1', sizeBytes: MiB });
  await world.mapper.clone('vm1', 'vm2');
  await world.mapper.remove('volume', 'vm2');
  await world.settle();
  expect(world.ledger.nameless()).toEqual([]);
  await world.mapper.remove('volume', 'vm1');
});

test('what fails is told of once and tried again in a later round', async () => {
  const world = await openWorld();
  const { id } = await world.mapper.create({ name: 'vm1', sizeBytes: MiB });
  world.pool.failures.push(...Array.from({ length: 3 }, () => new SkerryError('unavailable', 'away')));
  await world.mapper.remove('volume', 'vm1');
  for (let round = 0; round < 4; round += 1) await world.settle();
  expect(world.logged.filter((line) => line.includes('cannot be removed yet'))).toHaveLength(1);
  expect(world.pool.tombstones.has(id)).toBe(true);
  expect(await world.ledger.get(id)).toBeNull();
});

test('a daemon that stops removes what was deleted first', async () => {
  const world = await openWorld();
  const { id } = await world.mapper.create({ name: 'vm1', sizeBytes: MiB });
  await world.mapper.remove('volume', 'vm1');
  await world.upkeep.stop();
  expect(await world.ledger.get(id)).toBeNull();
  expect(world.pool.tombstones.has(id)).toBe(true);
});

test('after stop nothing begins', async () => {
  const world = await openWorld();
  const { id } = await world.mapper.create({ name: 'vm1', sizeBytes: MiB });
  await world.mapper.remove('volume', 'vm1');
  world.pool.failures.push(new SkerryError('unavailable', 'away'));
  await world.upkeep.stop();
  world.upkeep.poke();
  await world.upkeep.idle();
  expect(await world.ledger.get(id)).not.toBeNull();
});

// A stream of unknown length is imported into volumes without a name that this process holds; a round that took them for
// leftovers would remove what is being written.
test('what has no name and is held stays, until it is let go', async () => {
  const world = await openWorld();
  const { id } = await world.mapper.create({ name: 'vm1', sizeBytes: MiB });
  const { id: other } = await world.mapper.create({ name: 'vm2', sizeBytes: MiB });
  await world.settle();
  const letGo = world.mapper.removal.hold(id);
  await world.mapper.remove('volume', 'vm1');
  await world.mapper.remove('volume', 'vm2');
  await world.settle();
  expect(world.fake.known.has(id)).toBe(true);
  expect(await world.ledger.get(id)).not.toBeNull();
  expect(await world.ledger.get(other)).toBeNull();
  letGo();
  await world.settle();
  expect(world.fake.known.has(id)).toBe(false);
  expect(await world.ledger.get(id)).toBeNull();
});

// A daemon that was killed between the two refused to start: the root that its volume had got meanwhile was committed without
// the snapshot, the journal was trimmed, and the snapshot went on waiting in the catalog.
test('the engine knows a pending snapshot for as long as the catalog does', async () => {
  const world = await openWorld();
  await world.mapper.create({ name: 'vm1', sizeBytes: MiB });
  const { id } = await world.mapper.snapshot('vm1@a');
  await world.settle();
  const recorded: boolean[] = [];
  world.fake.before = (step) => {
    if (step === 'engine.drop') recorded.push(world.steps.includes(`catalog -resource/${id}`));
    return undefined;
  };
  const from = world.steps.length;
  await world.mapper.remove('snapshot', 'vm1@a');
  world.pool.failures.push(new SkerryError('unavailable', 'away'));
  await world.settle();
  expect(world.since(from)).toEqual([`catalog +resource/${id} -name/snapshot/vm1@a`]);
  await world.settle();
  expect(world.since(from).slice(1)).toEqual([`pool.putTombstone ${id}`, `catalog -resource/${id}`, `engine.drop ${id}`]);
  expect(recorded).toEqual([true]);
});

test('a pool whose backend never answers keeps no other waiting, and no daemon from ending', async () => {
  const world = await openWorld();
  const { id: near } = await world.mapper.create({ name: 'near', sizeBytes: MiB });
  const { id: far } = await world.mapper.create({ name: 'far', sizeBytes: MiB });
  await world.ledger.update(far, (record) => ({ ...record, pool: 'far' }));
  const { ledger } = await Ledger.open(world.catalog);
  const put: string[] = [];
  const upkeep = new Upkeep({
    pools: () => ['far', 'default'],
    ledger,
    locks: new KeyedLocks(),
    removal: world.mapper.removal,
    log: () => {},
    gatherMilliseconds: 0,
    roots: {
      of: (pool) => ({
        putRoot: ({ id }) => (pool === 'far' ? new Promise(() => {}) : Promise.resolve(put.push(`${pool} ${id}`))),
        rootsSettled: () => Promise.resolve(),
        putTombstone: () => Promise.resolve(),
        mustTakeLogs: () => {},
        holdLog: () => () => {},
        forgetLog: () => Promise.resolve(),
      }),
    },
    stopMillisecondsMax: 50,
  });
  upkeep.poke();
  await expect.poll(() => put).toEqual([`default ${near}`]);
  await upkeep.stop();
});
