import { expect, test } from 'vitest';

import { rootDuePrefix } from '../../../src/catalog/keys.js';
import { SkerryError } from '../../../src/core/errors.js';
import { openWorld, root, rootId } from '../mapper/world.js';

const MiB = 1 << 20;

test('a root chunk that is due is put after a crash too', async () => {
  const first = await openWorld();
  const { id } = await first.mapper.create({ name: 'vm1', sizeBytes: MiB, description: 'web' });
  const world = await first.restart();
  expect(world.pool.roots.has(id)).toBe(false);
  await world.settle();
  expect(world.pool.roots.get(id)).toMatchObject({ kind: 'volume', name: 'vm1', description: 'web', sizeBytes: MiB });
  expect(await world.catalog.range(rootDuePrefix)).toEqual([]);
  const from = world.steps.length;
  await world.settle();
  expect(world.since(from)).toEqual([]);
});

test('many are put, and taken off the list together', async () => {
  const world = await openWorld();
  const made = await Promise.all(
    Array.from({ length: 600 }, (_, index) => world.mapper.create({ name: `v${index}`, sizeBytes: MiB })),
  );
  const from = world.steps.length;
  await world.settle();
  expect(new Set(world.pool.roots.keys())).toEqual(new Set(made.map(({ id }) => id)));
  expect(world.since(from).filter((step) => step.startsWith('catalog')).length).toBeLessThan(10);
});

test('one that a commit has overtaken does not put an older root above it', async () => {
  const world = await openWorld();
  const { id } = await world.mapper.create({ name: 'vm1', sizeBytes: MiB });
  await world.commit({ takers: [{ id, appliedSequence: 5, fence: 1 }], root: root('a') });
  await world.settle();
  expect(Buffer.from(world.pool.roots.get(id)?.root.id ?? []).toString('hex')).toBe(rootId('a'));
  expect(await world.catalog.range(rootDuePrefix)).toEqual([]);
});

test('what was deleted meanwhile gets a tombstone and no root chunk', async () => {
  const world = await openWorld();
  const { id } = await world.mapper.create({ name: 'vm1', sizeBytes: MiB });
  await world.mapper.remove('volume', 'vm1');
  await world.settle();
  expect(world.pool.roots.has(id)).toBe(false);
  expect(world.pool.tombstones.has(id)).toBe(true);
  expect(await world.catalog.range('r')).toEqual([]);
});

test('a pool that is away is told of once, holds up no verb, and gets all when it is back', async () => {
  const world = await openWorld();
  world.pool.failures.push(...Array.from({ length: 9 }, () => new SkerryError('unavailable', 'away')));
  for (const name of ['a', 'b', 'c']) {
    await world.mapper.create({ name, sizeBytes: MiB });
    await world.settle();
  }
  expect(world.logged.filter((line) => line.includes('root chunks cannot be put'))).toHaveLength(1);
  world.pool.failures.length = 0;
  await world.settle();
  expect(world.pool.roots.size).toBe(3);
});

test('a daemon that stops puts what is due first', async () => {
  const world = await openWorld();
  const { id } = await world.mapper.create({ name: 'vm1', sizeBytes: MiB });
  await world.upkeep.stop();
  expect(world.pool.roots.has(id)).toBe(true);
});

// Else a pool alone would know a tree under no root: the source has its tombstone, and the clone is not heard of yet.
test.each(['at once', 'after a crash'])(
  'the tombstone of what was cloned waits for the root chunk of the clone, %s',
  async (when) => {
    let world = await openWorld();
    const { id: vm1 } = await world.mapper.create({ name: 'vm1', sizeBytes: MiB });
    const { id: source } = await world.mapper.snapshot('vm1@a');
    await world.commit({
      takers: [
        { id: vm1, appliedSequence: 1, fence: 1 },
        { id: source, appliedSequence: 1, fence: 0 },
      ],
      root: root('a'),
    });
    await world.settle();
    const { id: clone } = await world.mapper.clone('vm1@a', 'vm2');
    await world.mapper.remove('snapshot', 'vm1@a');
    if (when === 'after a crash') world = await world.restart();
    world.pool.failures.push(new SkerryError('unavailable', 'away'));
    await world.settle();
    expect(world.pool.roots.has(clone)).toBe(false);
    expect(world.pool.tombstones.has(source)).toBe(false);
    const from = world.steps.length;
    for (let round = 0; round < 2; round += 1) await world.settle();
    expect(world.since(from).filter((step) => step.startsWith('pool'))).toEqual([
      `pool.putRoot ${clone}`,
      `pool.putTombstone ${source}`,
    ]);
    expect(await world.ledger.get(source)).toBeNull();
  },
);
