import { describe, expect, test } from 'vitest';

import { resourceKey } from '../../../src/catalog/keys.js';
import { decodeResource, encodeResource } from '../../../src/catalog/records.js';
import { SkerryError } from '../../../src/core/errors.js';
import { openWorld, root, rootId, type World } from '../mapper/world.js';

const MiB = 1 << 20;

async function withVolume(): Promise<{ world: World; vm1: number }> {
  const world = await openWorld();
  const { id } = await world.mapper.create({ name: 'vm1', sizeBytes: MiB });
  await world.settle();
  return { world, vm1: id };
}

describe('a commit', () => {
  test('puts the root chunk, then records it, then tells the engine', async () => {
    const { world, vm1 } = await withVolume();
    const from = world.steps.length;
    await world.commit({ takers: [{ id: vm1, appliedSequence: 5, fence: 1 }], root: root('a') });
    expect(world.since(from)).toEqual([`pool.putRoot ${vm1}`, `catalog +resource/${vm1}`, 'engine.committed 1 true']);
    expect(await world.mapper.get('volume', 'vm1')).toMatchObject({ rootId: rootId('a'), appliedSequence: 5 });
    expect(world.pool.roots.get(vm1)).toMatchObject({ name: 'vm1', appliedSequence: 5, pendingOf: 0 });
  });

  test('resolves volume, snapshots and clones in one transaction', async () => {
    const { world, vm1 } = await withVolume();
    const snapshot = await world.mapper.snapshot('vm1@a');
    const clone = await world.mapper.clone('vm1@a', 'vm2');
    const from = world.steps.length;
    await world.commit({
      takers: [
        { id: vm1, appliedSequence: 5, fence: 1 },
        { id: snapshot.id, appliedSequence: 5, fence: 0 },
        { id: clone.id, appliedSequence: 0, fence: 1 },
      ],
      root: root('a'),
    });
    expect(world.since(from).filter((step) => step.startsWith('catalog'))).toEqual([
      `catalog +resource/${vm1} +resource/${snapshot.id} +resource/${clone.id}`,
    ]);
    for (const [kind, name] of [
      ['snapshot', 'vm1@a'],
      ['volume', 'vm2'],
    ] as const) {
      expect(await world.mapper.get(kind, name)).toMatchObject({ pending: false, rootId: rootId('a') });
    }
  });

  test('reaches clones that were made after the engine put it together', async () => {
    const { world, vm1 } = await withVolume();
    const snapshot = await world.mapper.snapshot('vm1@a');
    const late = await world.mapper.clone('vm1@a', 'late');
    await world.commit({
      takers: [
        { id: vm1, appliedSequence: 5, fence: 1 },
        { id: snapshot.id, appliedSequence: 5, fence: 0 },
      ],
      root: root('a'),
    });
    expect(await world.mapper.get('volume', 'late')).toMatchObject({
      id: late.id,
      pending: false,
      rootId: rootId('a'),
      appliedSequence: 0,
    });
    // What waits for the volume's own next root is not resolved by this one.
    await world.mapper.snapshot('vm1@b');
    await world.commit({ takers: [{ id: vm1, appliedSequence: 6, fence: 1 }], root: root('b') });
    expect(await world.mapper.get('snapshot', 'vm1@b')).toMatchObject({ pending: true });
  });

  test('that resolves a snapshot waits until the snapshot has its name', async () => {
    const { world, vm1 } = await withVolume();
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    let frozen = 0;
    world.fake.before = async (step, _volume, id) => {
      if (step !== 'engine.snapshot') return;
      frozen = id as number;
      // The engine destages so fast that the commit comes before snapshot() has answered.
      world.composer.handle({
        token: 9,
        pool: 'default',
        takers: [
          { id: vm1, appliedSequence: 5, fence: 1, sizeBytes: 4096, lineage: 0, log: null },
          { id: frozen, appliedSequence: 5, fence: 0, sizeBytes: 4096, lineage: 0, log: null },
        ],
        root: root('a'),
      });
      await held;
    };
    const making = world.mapper.snapshot('vm1@a');
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(world.steps).not.toContain('engine.committed 9 true');
    release();
    await making;
    while (!world.steps.includes('engine.committed 9 true')) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(await world.mapper.get('snapshot', 'vm1@a')).toMatchObject({ pending: false, rootId: rootId('a') });
  });

  test('skips takers that are gone, and puts no root chunk for what has no name', async () => {
    const { world, vm1 } = await withVolume();
    const clone = await world.mapper.clone('vm1', 'vm2');
    const anchor = clone.id - 1;
    await world.commit({
      takers: [
        { id: vm1, appliedSequence: 5, fence: 1 },
        { id: anchor, appliedSequence: 5, fence: 0 },
        { id: 999, appliedSequence: 5, fence: 1 },
      ],
      root: root('a'),
    });
    expect(world.steps.at(-1)).toBe('engine.committed 1 true');
    expect([...world.pool.roots.keys()].sort((a, b) => a - b)).toEqual([vm1, clone.id]);
  });

  test('never takes a root back: one with fewer writes is passed over', async () => {
    const { world, vm1 } = await withVolume();
    await world.commit({ takers: [{ id: vm1, appliedSequence: 9, fence: 1 }], root: root('b') });
    const from = world.steps.length;
    await world.commit({ takers: [{ id: vm1, appliedSequence: 5, fence: 1 }], root: root('a') });
    await world.commit({ takers: [{ id: vm1, appliedSequence: 9, fence: 1 }], root: root('b') });
    expect(world.since(from)).toEqual(['engine.committed 2 true', 'engine.committed 3 true']);
    expect(await world.mapper.get('volume', 'vm1')).toMatchObject({ rootId: rootId('b'), appliedSequence: 9 });
  });

  test('with a fence of the past is refused', async () => {
    const { world, vm1 } = await withVolume();
    const entry = await world.catalog.get(resourceKey(vm1));
    const record = decodeResource(entry?.value ?? new Uint8Array());
    await world.catalog.transact([], [{ key: resourceKey(vm1), value: encodeResource({ ...record, fence: 2 }) }]);
    await world.commit({ takers: [{ id: vm1, appliedSequence: 5, fence: 1 }], root: root('a') });
    expect(world.steps.at(-1)).toBe('engine.committed 1 false');
    expect(world.pool.roots.get(vm1)?.appliedSequence).toBe(0);
  });

  test('is tried again while the failure may pass, and in vain tells the engine', async () => {
    const { world, vm1 } = await withVolume();
    world.pool.failures.push(new SkerryError('unavailable', 'away'), new SkerryError('io', 'away'));
    world.transactFailures.push(new SkerryError('io', 'disk'));
    await world.commit({ takers: [{ id: vm1, appliedSequence: 5, fence: 1 }], root: root('a') });
    expect(world.steps.at(-1)).toBe('engine.committed 1 true');
    world.pool.failures.push(new SkerryError('corrupt', 'never'));
    await world.commit({ takers: [{ id: vm1, appliedSequence: 6, fence: 1 }], root: root('b') });
    expect(world.steps.at(-1)).toBe('engine.committed 2 false');
    expect(await world.mapper.get('volume', 'vm1')).toMatchObject({ rootId: rootId('a') });
  });

  test('that is being tried again does not keep the daemon from stopping', async () => {
    const { world, vm1 } = await withVolume();
    world.pool.failures.push(...Array.from({ length: 99 }, () => new SkerryError('io', 'away')));
    world.composer.handle({
      token: 1,
      pool: 'default',
      takers: [{ id: vm1, appliedSequence: 5, fence: 1, sizeBytes: 4096, lineage: 0, log: null }],
      root: root('a'),
    });
    await new Promise((resolve) => setTimeout(resolve, 10));
    await world.composer.stop();
    expect(world.steps.some((step) => step.startsWith('engine.committed'))).toBe(false);
  });

  test('of a pool whose backend does not answer keep those of no other waiting', async () => {
    const world = await openWorld();
    const made: number[] = [];
    for (let index = 0; index < 7; index += 1) made.push((await world.mapper.create({ name: `v${index}`, sizeBytes: 4096 })).id);
    await world.settle();
    const near = made.pop() ?? 0;
    const put = world.pool.putRoot.bind(world.pool);
    world.pool.putRoot = (kept) => (kept.id === near ? put(kept) : new Promise(() => {}));
    const offer = (id: number, pool: string): void =>
      world.composer.handle({
        token: id,
        pool,
        takers: [{ id, appliedSequence: 5, fence: 1, sizeBytes: 4096, lineage: 0, log: null }],
        root: root('a'),
      });
    for (const id of made) offer(id, 'far');
    offer(near, 'default');
    await expect
      .poll(() => world.steps.filter((step) => step.startsWith('engine.committed')))
      .toEqual([`engine.committed ${near} true`]);
  });

  test('and a verb that meet on one record both take effect', async () => {
    const { world, vm1 } = await withVolume();
    const removing = world.mapper.remove('volume', 'vm1');
    await world.commit({ takers: [{ id: vm1, appliedSequence: 5, fence: 1 }], root: root('a') });
    await removing;
    world.upkeep.poke();
    await world.upkeep.idle();
    expect(await world.ledger.get(vm1)).toBeNull();
    expect(world.steps).toContain('engine.committed 1 true');
  });
});

describe('start', () => {
  test('gives the engine every record, with what waits after what it waits for, and logs its notes', async () => {
    const { world: first, vm1 } = await withVolume();
    const snapshot = await first.mapper.snapshot('vm1@a');
    const clone = await first.mapper.clone('vm1@a', 'vm2');
    const world = await first.restart();
    expect(world.fake.started?.resources.map(({ id, kind, pendingOf }) => [id, kind, pendingOf])).toEqual([
      [vm1, 'volume', 0],
      [snapshot.id, 'snapshot', vm1],
      [clone.id, 'volume', snapshot.id],
    ]);
    expect(world.logged).toContain('warn a note');
  });

  test('refuses a catalog in which something waits for what is not there', async () => {
    const { world } = await withVolume();
    const snapshot = await world.mapper.snapshot('vm1@a');
    const entry = await world.ledger.get(snapshot.id);
    if (entry === null) throw new Error('there is no record');
    await world.catalog.transact(
      [],
      [{ key: resourceKey(snapshot.id), value: encodeResource({ ...entry.record, pendingOf: 777 }) }],
    );
    await expect(world.restart()).rejects.toMatchObject({ code: 'corrupt', message: expect.stringContaining('vm1@a') });
  });
});
