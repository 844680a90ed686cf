import { describe, expect, test } from 'vitest';

import { SkerryError } from '../../../src/core/errors.js';
import { codedError } from './fake_engine.js';
import { openWorld, root, type World } from './world.js';

const GiB = 2 ** 30;
const failing = (code: string) => expect.objectContaining({ code });

async function withVolume(): Promise<{ world: World; vm1: number }> {
  const world = await openWorld();
  const { id } = await world.mapper.create({ name: 'vm1', sizeBytes: GiB });
  return { world, vm1: id };
}

describe('resizing', () => {
  test('is a journal record, and is seen at once', async () => {
    const { world, vm1 } = await withVolume();
    const from = world.steps.length;
    expect(await world.mapper.resize('vm1', 2 * GiB)).toMatchObject({ sizeBytes: 2 * GiB });
    expect(world.since(from)).toEqual([`engine.resize ${vm1} ${2 * GiB}`]);
    expect(await world.mapper.get('volume', 'vm1')).toMatchObject({ sizeBytes: 2 * GiB });
    expect(await world.mapper.list('volume')).toMatchObject([{ sizeBytes: 2 * GiB }]);
    // The catalog tells the size of the root that it holds, for that is what replay begins with.
    expect((await world.ledger.get(vm1))?.record.sizeBytes).toBe(GiB);
  });

  test('comes to the catalog and the pool with the next root', async () => {
    const { world, vm1 } = await withVolume();
    await world.mapper.resize('vm1', 2 * GiB);
    await world.commit({ takers: [{ id: vm1, appliedSequence: 4, fence: 1, sizeBytes: 2 * GiB }], root: root('a') });
    expect((await world.ledger.get(vm1))?.record.sizeBytes).toBe(2 * GiB);
    expect(world.pool.roots.get(vm1)).toMatchObject({ sizeBytes: 2 * GiB });
  });

  test('to less is refused unless it is confirmed', async () => {
    const { world } = await withVolume();
    await expect(world.mapper.resize('vm1', GiB / 2)).rejects.toThrow(/confirm with --shrink/);
    await expect(world.mapper.resize('vm1', GiB / 2)).rejects.toEqual(failing('invalid'));
    expect(await world.mapper.resize('vm1', GiB / 2, { shrink: true })).toMatchObject({ sizeBytes: GiB / 2 });
  });

  test('to the size that it has does nothing', async () => {
    const { world } = await withVolume();
    const from = world.steps.length;
    await world.mapper.resize('vm1', GiB);
    expect(world.since(from)).toEqual([]);
  });

  test('waits while the journal has no room, and passes other failures on', async () => {
    const { world, vm1 } = await withVolume();
    const failures = [codedError('try-again', 'full'), codedError('try-again', 'full')];
    world.fake.before = (step) => {
      const failure = step === 'engine.resize' ? failures.shift() : undefined;
      if (failure !== undefined) throw failure;
    };
    await world.mapper.resize('vm1', 2 * GiB);
    expect(world.steps.at(-1)).toBe(`engine.resize ${vm1} ${2 * GiB}`);
    failures.push(codedError('io', 'broken'));
    await expect(world.mapper.resize('vm1', 3 * GiB)).rejects.toEqual(failing('io'));
  });

  test('of what is not a volume, or to what is no size, is refused', async () => {
    const { world } = await withVolume();
    await world.mapper.snapshot('vm1@a');
    await expect(world.mapper.resize('vm1@a', GiB)).rejects.toEqual(failing('invalid'));
    await expect(world.mapper.resize('vm2', GiB)).rejects.toEqual(failing('not-found'));
    await expect(world.mapper.resize('vm1', 4097)).rejects.toEqual(failing('invalid'));
    await expect(world.mapper.resize('vm1', 0)).rejects.toEqual(failing('invalid'));
  });
});

describe('rolling back', () => {
  test('is a journal record, then a root of the new lineage', async () => {
    const { world, vm1 } = await withVolume();
    const { id: snapshot } = await world.mapper.snapshot('vm1@a');
    const from = world.steps.length;
    await world.mapper.rollback('vm1@a');
    expect(world.since(from)).toEqual([`engine.rollback ${vm1} ${snapshot}`, `engine.destage ${vm1}`]);
  });

  test('waits for the roots of snapshots that are pending', async () => {
    const { world, vm1 } = await withVolume();
    const { id: snapshot } = await world.mapper.snapshot('vm1@a');
    const failures = [codedError('try-again', 'pending')];
    world.fake.before = (step) => {
      const failure = step === 'engine.rollback' ? failures.shift() : undefined;
      if (failure !== undefined) throw failure;
    };
    const from = world.steps.length;
    await world.mapper.rollback('vm1@a');
    expect(world.since(from)).toEqual([`engine.destage ${vm1}`, `engine.rollback ${vm1} ${snapshot}`, `engine.destage ${vm1}`]);
  });

  test('of an attached volume is a conflict', async () => {
    const { world, vm1 } = await withVolume();
    await world.mapper.snapshot('vm1@a');
    world.fake.attachedTo.set(vm1, 2);
    await expect(world.mapper.rollback('vm1@a')).rejects.toEqual(failing('conflict'));
    await expect(world.mapper.rollback('vm1@a')).rejects.toThrow(/attached \(2 connections\)/);
    expect(world.steps.filter((step) => step.startsWith('engine.rollback'))).toEqual([]);
  });

  test('that attaches meanwhile is a conflict too', async () => {
    const { world, vm1 } = await withVolume();
    await world.mapper.snapshot('vm1@a');
    world.fake.before = (step) => {
      if (step === 'engine.rollback') throw codedError('try-again', 'pending');
      if (step === 'engine.destage') world.fake.attachedTo.set(vm1, 1);
    };
    await expect(world.mapper.rollback('vm1@a')).rejects.toEqual(failing('conflict'));
  });

  test('to what is not there is not found', async () => {
    const { world } = await withVolume();
    await expect(world.mapper.rollback('vm1@a')).rejects.toEqual(failing('not-found'));
    await expect(world.mapper.rollback('vm1')).rejects.toEqual(failing('invalid'));
  });

  test('lets no root of the old lineage be taken after one of the new', async () => {
    const { world, vm1 } = await withVolume();
    await world.commit({ takers: [{ id: vm1, appliedSequence: 7, fence: 1, lineage: 1 }], root: root('b') });
    await world.commit({ takers: [{ id: vm1, appliedSequence: 9, fence: 1, lineage: 0 }], root: root('a') });
    const record = (await world.ledger.get(vm1))?.record;
    expect(record).toMatchObject({ lineage: 1, appliedSequence: 7 });
    expect(Buffer.from(record?.root.id ?? []).toString('hex')).toBe(root('b').id);
    const restarted = await world.restart();
    expect(restarted.fake.started?.resources).toMatchObject([{ id: vm1, lineage: 1 }]);
  });
});

describe('renaming', () => {
  test('takes the snapshots along, in one transaction, after the pool was told', async () => {
    const { world, vm1 } = await withVolume();
    const a = await world.mapper.snapshot('vm1@a');
    const b = await world.mapper.snapshot('vm1@b');
    await world.mapper.create({ name: 'vm10', sizeBytes: GiB });
    const other = await world.mapper.snapshot('vm10@a');
    const from = world.steps.length;
    expect(await world.mapper.rename('volume', 'vm1', 'db')).toMatchObject({ id: vm1, name: 'db' });
    expect(world.since(from).map((step) => step.split(' ')[0])).toEqual(['pool.putRoot', 'catalog']);
    expect(world.pool.roots.get(vm1)).toMatchObject({ name: 'db' });
    expect((await world.mapper.list('snapshot')).map(({ id, name }) => [id, name])).toEqual([
      [a.id, 'db@a'],
      [b.id, 'db@b'],
      [other.id, 'vm10@a'],
    ]);
    await expect(world.mapper.get('volume', 'vm1')).rejects.toEqual(failing('not-found'));
    expect(await (await world.restart()).mapper.get('snapshot', 'db@b')).toMatchObject({ id: b.id });
  });

  test('to a name that is taken, or is none, is refused', async () => {
    const { world } = await withVolume();
    await world.mapper.create({ name: 'vm2', sizeBytes: GiB });
    await expect(world.mapper.rename('volume', 'vm1', 'vm2')).rejects.toEqual(failing('exists'));
    await expect(world.mapper.rename('volume', 'vm1', 'V')).rejects.toEqual(failing('invalid'));
    await expect(world.mapper.rename('volume', 'vm3', 'vm4')).rejects.toEqual(failing('not-found'));
    expect(await world.mapper.rename('volume', 'vm1', 'vm1')).toMatchObject({ name: 'vm1' });
  });

  test('goes on when a root commit of a snapshot comes between', async () => {
    const { world, vm1 } = await withVolume();
    const a = await world.mapper.snapshot('vm1@a');
    const put = world.pool.putRoot.bind(world.pool);
    let raced = false;
    world.pool.putRoot = async (kept) => {
      if (kept.id === vm1 && !raced) {
        raced = true;
        await world.ledger.update(a.id, (record) => ({ ...record, pendingOf: 0 }));
      }
      return put(kept);
    };
    await world.mapper.rename('volume', 'vm1', 'db');
    expect(await world.mapper.get('snapshot', 'db@a')).toMatchObject({ pending: false });
  });
});

describe('labels, description and limit', () => {
  test('are kept by catalog and pool, and what is not named stays', async () => {
    const { world, vm1 } = await withVolume();
    await world.mapper.set('vm1', { labels: { role: 'db', team: 'x' }, description: 'one' });
    await world.mapper.set('vm1', { labels: { team: null, zone: 'a=b' } });
    const expected = { labels: { role: 'db', zone: 'a=b' }, description: 'one' };
    expect(await world.mapper.get('volume', 'vm1')).toMatchObject(expected);
    expect(world.pool.roots.get(vm1)).toMatchObject(expected);
    expect(await (await world.restart()).mapper.get('volume', 'vm1')).toMatchObject(expected);
  });

  test('a limit is given to the engine at once and at every start', async () => {
    const { world, vm1 } = await withVolume();
    const limit = { iops: 100, bandwidth: 0, burst: 5 };
    expect(await world.mapper.set('vm1', { limit })).toMatchObject({ limit });
    expect(world.steps.at(-1)).toBe(`engine.limit ${vm1} 100 0 5`);
    expect((await world.restart()).fake.started?.resources).toMatchObject([{ id: vm1, limit }]);
  });

  test('compression is given to the engine once the pool is known to hold compressed records, and at every start', async () => {
    const { world, vm1 } = await withVolume();
    expect(await world.mapper.get('volume', 'vm1')).toMatchObject({ compression: 'inherit' });
    const from = world.steps.length;
    expect(await world.mapper.set('vm1', { compression: 'zstd' })).toMatchObject({ compression: 'zstd:3' });
    const steps = world.since(from);
    expect(steps[0]).toBe('pools.allowFrames default');
    expect(steps.at(-1)).toBe(`engine.compress ${vm1} zstd 3`);
    const resources = [{ id: vm1, compression: { codec: 'zstd', level: 3 } }];
    const again = await world.restart();
    expect(again.fake.started?.resources).toMatchObject(resources);
    expect(await again.mapper.set('vm1', { compression: 'inherit' })).toMatchObject({ compression: 'inherit' });
    expect(again.steps.at(-1)).toBe(`engine.compress ${vm1} inherit 0`);
    expect(await again.mapper.clone('vm1', 'vm2', { compression: 'lz4' })).toMatchObject({ compression: 'lz4' });
  });

  test('that break a rule are refused with the rule', async () => {
    const { world } = await withVolume();
    const refused = async (settings: Parameters<World['mapper']['set']>[1], words: RegExp) => {
      await expect(world.mapper.set('vm1', settings)).rejects.toEqual(failing('invalid'));
      await expect(world.mapper.set('vm1', settings)).rejects.toThrow(words);
    };
    await refused({ labels: { Role: 'x' } }, /is no label/);
    await refused({ labels: { role: 'a\nb' } }, /not one line/);
    await refused({ labels: { ['r'.repeat(64)]: 'x' } }, /over 63 characters/);
    await refused({ labels: Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`l${at}`, ''])) }, /at most 64 labels/);
    await refused({ description: 'a\nb' }, /one line/);
    await refused({ compression: 'zstd:0' }, /no compression of a volume: take inherit, none, lz4, zstd/);
    await refused({ limit: { iops: 1.5, bandwidth: 0, burst: 0 } }, /whole number/);
    await refused({ limit: { iops: 1, bandwidth: 0, burst: 9999 } }, /at most 3600/);
    await expect(world.mapper.create({ name: 'vm2', sizeBytes: GiB, labels: { Bad: '' } })).rejects.toBeInstanceOf(SkerryError);
  });
});
