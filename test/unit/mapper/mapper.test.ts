import { describe, expect, test } from 'vitest';

import { SkerryError } from '../../../src/core/errors.js';
import { codedError } from './fake_engine.js';
import { openWorld, root, rootId, type World } from './world.js';

const MiB = 1 << 20;

async function idOf(world: World, kind: 'volume' | 'snapshot' | 'image', name: string): Promise<number> {
  return (await world.mapper.get(kind, name)).id;
}

async function withVolume(): Promise<{ world: World; vm1: number; from: number }> {
  const world = await openWorld();
  const { id } = await world.mapper.create({ name: 'vm1', sizeBytes: MiB });
  await world.settle();
  return { world, vm1: id, from: world.steps.length };
}

describe('create', () => {
  test('takes an id durably, then names the volume and notes that its root chunk is due, then tells the engine', async () => {
    const world = await openWorld();
    const { id: vm1 } = await world.mapper.create({ name: 'vm1', sizeBytes: MiB });
    expect(world.steps).toEqual([
      'start ',
      'catalog +counter/resource',
      `catalog +resource/${vm1} +root-due/${vm1} +name/volume/vm1`,
      `engine.add ${vm1}`,
    ]);
    const from = world.steps.length;
    await world.settle();
    expect(world.since(from)).toEqual([`pool.putRoot ${vm1}`, `catalog -root-due/${vm1}`]);
    expect(world.fake.known.get(vm1)).toMatchObject({
      kind: 'volume',
      sizeBytes: MiB,
      writethrough: false,
      appliedSequence: 0,
      fence: 1,
      pendingOf: 0,
    });
    expect(await world.mapper.get('volume', 'vm1')).toMatchObject({
      name: 'vm1',
      sizeBytes: MiB,
      pending: false,
      parent: null,
      rootId: '',
      createdAt: 1000,
    });
  });

  test.each([
    ['a taken name', { name: 'vm1', sizeBytes: MiB }, 'exists'],
    ['a wrong name', { name: 'VM 1', sizeBytes: MiB }, 'invalid'],
    ['a size of 0', { name: 'a', sizeBytes: 0 }, 'invalid'],
    ['a negative size', { name: 'a', sizeBytes: -4096 }, 'invalid'],
    ['a size that is no whole number of pages', { name: 'a', sizeBytes: 5000 }, 'invalid'],
    ['a size over the limit', { name: 'a', sizeBytes: 2 ** 60 }, 'invalid'],
    ['an unknown pool', { name: 'a', sizeBytes: MiB, pool: 'other' }, 'not-found'],
    ['a description of two lines', { name: 'a', sizeBytes: MiB, description: 'a\nb' }, 'invalid'],
  ])('refuses %s and leaves nothing', async (_what, request, code) => {
    const { world, from } = await withVolume();
    await expect(world.mapper.create(request)).rejects.toMatchObject({ code });
    expect(world.since(from)).toEqual([]);
  });

  test('of one name by two at once makes one volume', async () => {
    const world = await openWorld();
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => world.mapper.create({ name: 'vm1', sizeBytes: MiB })));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await world.mapper.list('volume')).toHaveLength(1);
    expect(world.locks.size).toBe(0);
  });

  test('that fails in the catalog leaves no name, and a tombstone', async () => {
    const { world, from } = await withVolume();
    world.transactFailures.push(new SkerryError('io', 'disk'));
    await expect(world.mapper.create({ name: 'vm2', sizeBytes: MiB })).rejects.toMatchObject({ code: 'io' });
    await expect(world.mapper.get('volume', 'vm2')).rejects.toMatchObject({ code: 'not-found' });
    const [id] = [...world.pool.tombstones];
    expect(world.since(from)).toEqual([`engine.drop ${id}`, `pool.putTombstone ${id}`]);
  });

  test('that the engine refuses is undone', async () => {
    const { world } = await withVolume();
    world.fake.before = (step) => {
      if (step === 'engine.add') throw codedError('invalid', 'no');
    };
    await expect(world.mapper.create({ name: 'vm2', sizeBytes: MiB })).rejects.toMatchObject({ code: 'invalid' });
    expect(await world.mapper.list('volume')).toHaveLength(1);
    expect(world.ledger.nameless()).toEqual([]);
  });
});

describe('ids', () => {
  test('are never used again, not after a removal and not after a crash', async () => {
    const seen = new Set<number>();
    let world = await openWorld();
    for (let round = 0; round < 3; round += 1) {
      for (const name of ['a', 'b']) {
        const { id } = await world.mapper.create({ name, sizeBytes: MiB });
        expect(seen.has(id)).toBe(false);
        seen.add(id);
        await world.mapper.remove('volume', name);
      }
      world = await world.restart();
    }
  });

  test('are reserved before the last is taken, so that no verb waits for that', async () => {
    const world = await openWorld();
    for (let round = 0; round < 256; round += 1) await world.mapper.create({ name: `v${round}`, sizeBytes: MiB });
    const from = world.steps.length;
    await world.mapper.create({ name: 'next', sizeBytes: MiB });
    expect(world.since(from).filter((step) => step.includes('counter'))).toEqual([]);
  });

  test('go on when a reservation is used up', async () => {
    const world = await openWorld();
    const ids = await Promise.all(
      Array.from({ length: 300 }, async (_, index) => (await world.mapper.create({ name: `v${index}`, sizeBytes: MiB })).id),
    );
    expect(new Set(ids).size).toBe(300);
    expect(world.steps.filter((step) => step === 'catalog +counter/resource')).toHaveLength(2);
  });
});

describe('snapshot', () => {
  test('makes the barrier durable before the name, and is pending until a commit', async () => {
    const { world, vm1, from } = await withVolume();
    const snapshot = await world.mapper.snapshot('vm1@a', { description: 'before' });
    expect(world.since(from)).toEqual([
      `engine.snapshot ${vm1} ${snapshot.id}`,
      `catalog +resource/${snapshot.id} +name/snapshot/vm1@a`,
    ]);
    expect(snapshot).toMatchObject({ kind: 'snapshot', pending: true, parent: 'vm1', sizeBytes: MiB, description: 'before' });
    expect(await world.mapper.list('snapshot', { volume: 'vm1' })).toHaveLength(1);
  });

  test('without its barrier gets no name', async () => {
    const { world } = await withVolume();
    world.fake.before = (step) => {
      if (step === 'engine.snapshot') throw codedError('io', 'the journal failed');
    };
    await expect(world.mapper.snapshot('vm1@a')).rejects.toMatchObject({ code: 'io' });
    expect(await world.mapper.list('snapshot')).toEqual([]);
  });

  test('whose name cannot be committed is dropped from the engine', async () => {
    const { world, from } = await withVolume();
    world.transactFailures.push(new SkerryError('no-space', 'full'));
    await expect(world.mapper.snapshot('vm1@a')).rejects.toMatchObject({ code: 'no-space' });
    expect(world.since(from).some((step) => step.startsWith('engine.drop'))).toBe(true);
  });

  test.each([
    ['vm1', 'invalid'],
    ['vm1@', 'invalid'],
    ['vm1@A', 'invalid'],
    ['vm2@a', 'not-found'],
  ])('named %s is refused', async (name, code) => {
    const { world, from } = await withVolume();
    await expect(world.mapper.snapshot(name)).rejects.toMatchObject({ code });
    expect(world.since(from)).toEqual([]);
  });

  test('of a name that is taken freezes nothing', async () => {
    const { world } = await withVolume();
    await world.mapper.snapshot('vm1@a');
    const from = world.steps.length;
    await expect(world.mapper.snapshot('vm1@a')).rejects.toMatchObject({ code: 'exists' });
    expect(world.since(from)).toEqual([]);
  });
});

describe('clone', () => {
  test('of a volume is of an anchor; both are recorded in one transaction', async () => {
    const { world, vm1, from } = await withVolume();
    const clone = await world.mapper.clone('vm1', 'vm2', { cache: 'writethrough' });
    const anchor = clone.id - 1;
    expect(world.since(from)).toEqual([
      `engine.snapshot ${vm1} ${anchor}`,
      `catalog +resource/${anchor} +resource/${clone.id} +name/volume/vm2`,
      `engine.add ${clone.id}`,
    ]);
    expect(clone).toMatchObject({ pending: true, parent: 'vm1', cache: 'writethrough', sizeBytes: MiB });
    expect(world.fake.known.get(clone.id)).toMatchObject({
      kind: 'volume',
      pendingOf: anchor,
      appliedSequence: 0,
      writethrough: true,
    });
    expect(await world.mapper.list('snapshot')).toEqual([]);
  });

  test('of a resolved snapshot copies its root, and the pool hears of it soon after', async () => {
    const { world, vm1 } = await withVolume();
    const snapshot = await world.mapper.snapshot('vm1@a');
    await world.commit({
      takers: [
        { id: vm1, appliedSequence: 5, fence: 1 },
        { id: snapshot.id, appliedSequence: 5, fence: 0 },
      ],
      root: root('a'),
    });
    const from = world.steps.length;
    const clone = await world.mapper.clone('vm1@a', 'vm2');
    expect(world.since(from)).toEqual([
      `catalog +resource/${clone.id} +root-due/${clone.id} +name/volume/vm2`,
      `engine.add ${clone.id}`,
    ]);
    await world.settle();
    expect(world.pool.roots.get(clone.id)).toMatchObject({ name: 'vm2', parentName: 'vm1@a', pendingOf: 0 });
    expect(clone).toMatchObject({ pending: false, rootId: rootId('a'), parent: 'vm1@a', appliedSequence: 0 });
  });

  test('of a pending snapshot waits for that snapshot', async () => {
    const { world } = await withVolume();
    const snapshot = await world.mapper.snapshot('vm1@a');
    const from = world.steps.length;
    const clone = await world.mapper.clone('vm1@a', 'vm2');
    expect(world.since(from)).toEqual([`catalog +resource/${clone.id} +name/volume/vm2`, `engine.add ${clone.id}`]);
    expect(world.fake.known.get(clone.id)?.pendingOf).toBe(snapshot.id);
    // A root chunk now would say that the clone is empty.
    expect(world.pool.roots.has(clone.id)).toBe(false);
  });

  test('of a clone that is pending itself works the same', async () => {
    const { world } = await withVolume();
    await world.mapper.clone('vm1', 'vm2');
    expect(await world.mapper.clone('vm2', 'vm3')).toMatchObject({ pending: true, parent: 'vm2' });
    const again = await world.restart();
    const ids = (again.fake.started?.resources ?? []).map(({ id, pendingOf }) => [id, pendingOf]);
    expect(ids.every(([id, pendingOf]) => pendingOf === 0 || (pendingOf ?? 0) < (id ?? 0))).toBe(true);
  });

  test.each([
    ['nowhere', 'vm2', 'not-found'],
    ['vm1@nowhere', 'vm2', 'not-found'],
    ['vm1', 'vm1', 'exists'],
    ['vm1', 'VM', 'invalid'],
    ['s3://bucket/key', 'vm2', 'invalid'],
  ])('of %s as %s is refused', async (source, name, code) => {
    const { world, from } = await withVolume();
    await expect(world.mapper.clone(source, name)).rejects.toMatchObject({ code });
    expect(world.since(from)).toEqual([]);
  });
});

describe('remove', () => {
  test('frees the name; then upkeep drops, puts the tombstone, and forgets last', async () => {
    const { world, vm1, from } = await withVolume();
    await world.mapper.remove('volume', 'vm1');
    expect(world.since(from)).toEqual([`catalog +resource/${vm1} -name/volume/vm1`]);
    await world.settle();
    expect(world.since(from)).toEqual([
      `catalog +resource/${vm1} -name/volume/vm1`,
      `engine.drop ${vm1}`,
      `pool.putTombstone ${vm1}`,
      `catalog -resource/${vm1}`,
    ]);
    await expect(world.mapper.get('volume', 'vm1')).rejects.toMatchObject({ code: 'not-found' });
  });

  test('of an attached volume is a conflict', async () => {
    const { world, vm1 } = await withVolume();
    world.fake.attachedTo.set(vm1, 2);
    await expect(world.mapper.remove('volume', 'vm1')).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('2 connections'),
    });
  });

  test('of a volume with snapshots is a conflict that names up to five', async () => {
    const { world } = await withVolume();
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) await world.mapper.snapshot(`vm1@${name}`);
    const refusal = world.mapper.remove('volume', 'vm1');
    await expect(refusal).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('vm1@a, vm1@b, vm1@c, vm1@d, vm1@e and more'),
    });
  });

  test('of what something waits for keeps all but the name until that is resolved, also over a crash', async () => {
    const { world: first, vm1 } = await withVolume();
    const clone = await first.mapper.clone('vm1', 'vm2');
    const anchor = clone.id - 1;
    const from = first.steps.length;
    await first.mapper.remove('volume', 'vm1');
    await first.settle();
    expect(first.since(from)).toEqual([`catalog +resource/${vm1} -name/volume/vm1`]);
    // The name is free at once.
    await first.mapper.create({ name: 'vm1', sizeBytes: MiB });

    const world = await first.restart();
    expect(world.fake.known.has(vm1)).toBe(true);
    await world.settle();
    expect(world.fake.known.has(vm1)).toBe(true);
    await world.commit({
      takers: [
        { id: vm1, appliedSequence: 5, fence: 1 },
        { id: anchor, appliedSequence: 5, fence: 0 },
        { id: clone.id, appliedSequence: 0, fence: 1 },
      ],
      root: root('a'),
    });
    await world.settle();
    expect(world.fake.known.has(vm1)).toBe(false);
    expect(world.fake.known.has(anchor)).toBe(false);
    expect([...world.pool.tombstones].sort((a, b) => a - b)).toEqual([vm1, anchor]);
    expect(await world.mapper.get('volume', 'vm2')).toMatchObject({ pending: false, rootId: rootId('a') });
    expect(world.ledger.nameless()).toEqual([]);
  });

  test('goes on after a crash between any two of its steps', async () => {
    for (const stage of ['engine.drop', 'tombstone']) {
      const { world: first, vm1 } = await withVolume();
      if (stage === 'engine.drop')
        first.fake.before = (step) => (step === stage ? Promise.reject(codedError('io', 'gone')) : undefined);
      else first.pool.failures.push(new SkerryError('io', 'gone'));
      // The name is durably gone, so this is done as far as the caller is concerned.
      await first.mapper.remove('volume', 'vm1');
      await first.settle();
      expect(first.logged.some((line) => line.startsWith('warn'))).toBe(true);
      const world = await first.restart();
      expect(world.fake.started?.resources.map(({ id }) => id)).toEqual([vm1]);
      await world.settle();
      expect(world.steps.slice(-3)).toEqual([`engine.drop ${vm1}`, `pool.putTombstone ${vm1}`, `catalog -resource/${vm1}`]);
    }
  });

  test('of a snapshot and of a clone works in any order', async () => {
    for (const order of [
      ['snapshot vm1@a', 'volume vm2', 'volume vm1'],
      ['volume vm2', 'snapshot vm1@a', 'volume vm1'],
    ]) {
      const { world, vm1 } = await withVolume();
      const snapshot = await world.mapper.snapshot('vm1@a');
      const clone = await world.mapper.clone('vm1@a', 'vm2');
      for (const one of order) {
        const [kind, name] = one.split(' ');
        await world.mapper.remove(kind as 'volume' | 'snapshot', name ?? '');
      }
      await world.settle();
      expect(world.ledger.nameless()).toEqual([]);
      expect(world.pool.tombstones).toEqual(new Set([vm1, snapshot.id, clone.id]));
      const dropped = world.steps.filter((step) => step.startsWith('engine.drop'));
      // What waits for a root goes before what the root is of.
      expect(dropped).toEqual([`engine.drop ${clone.id}`, `engine.drop ${snapshot.id}`, `engine.drop ${vm1}`]);
    }
  });
});

describe('list', () => {
  test('comes in pages, ordered by name', async () => {
    const world = await openWorld();
    const names = Array.from({ length: 700 }, (_, index) => `v${String(index).padStart(4, '0')}`);
    await Promise.all(names.map((name) => world.mapper.create({ name, sizeBytes: MiB })));
    const namesOf = async (page?: Parameters<typeof world.mapper.list>[1]) =>
      (await world.mapper.list('volume', page)).map(({ name }) => name);
    expect(await namesOf()).toEqual(names);
    expect(await namesOf({ resourcesMax: 10 })).toEqual(names.slice(0, 10));
    expect(await namesOf({ after: 'v0009', resourcesMax: 600 })).toEqual(names.slice(10, 610));
    expect(await namesOf({ after: 'v0699' })).toEqual([]);
    // A name that is gone meanwhile is a place to go on from all the same.
    await world.mapper.remove('volume', 'v0009');
    expect(await namesOf({ after: 'v0009', resourcesMax: 1 })).toEqual(['v0010']);
  });

  test('of snapshots keeps to the volume, page by page', async () => {
    const { world } = await withVolume();
    await world.mapper.create({ name: 'vm10', sizeBytes: MiB });
    for (const name of ['vm1@a', 'vm1@b', 'vm10@a']) await world.mapper.snapshot(name);
    const list = async (after?: string) =>
      (await world.mapper.list('snapshot', { volume: 'vm1', resourcesMax: 1, ...(after === undefined ? {} : { after }) })).map(
        ({ name }) => name,
      );
    expect([await list(), await list('vm1@a'), await list('vm1@b')]).toEqual([['vm1@a'], ['vm1@b'], []]);
  });

  test('has a total that follows every change, also over a restart', async () => {
    const { world: first } = await withVolume();
    await first.mapper.snapshot('vm1@a');
    await first.mapper.clone('vm1', 'vm2');
    await first.mapper.create({ name: 'vm3', sizeBytes: 3 * MiB });
    await first.mapper.remove('volume', 'vm3');
    for (const world of [first, await first.restart()]) {
      // The clone's anchor has no name, and is not there for anybody.
      expect(world.mapper.total('volume')).toEqual({ count: 2, sizeBytes: 2 * MiB });
      expect(world.mapper.total('snapshot')).toEqual({ count: 1, sizeBytes: MiB });
      expect(world.mapper.total('image')).toEqual({ count: 0, sizeBytes: 0 });
    }
  });
});

describe('stop', () => {
  test('refuses what comes after it', async () => {
    const { world } = await withVolume();
    await world.mapper.stop();
    await expect(world.mapper.create({ name: 'a', sizeBytes: MiB })).rejects.toMatchObject({ code: 'closed' });
    expect(await idOf(world, 'volume', 'vm1').catch((error: SkerryError) => error.code)).toBe('closed');
  });
});
