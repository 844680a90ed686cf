import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';

import type { TransferState } from '../../../src/mapper/resources.js';
import { codedError } from './fake_engine.js';
import { openWorld, root, type World } from './world.js';

async function withFile(bytes = 5000): Promise<{ world: World; path: string }> {
  const world = await openWorld();
  const path = join(world.directory, 'disk.raw');
  writeFileSync(path, Buffer.alloc(bytes, 1));
  return { world, path };
}

async function ended(world: World, { id }: TransferState): Promise<TransferState> {
  for (;;) {
    const state = world.mapper.transfer(id);
    if (state.state !== 'running') return state;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

describe('import', () => {
  test('reserves the name, copies, destages, puts the root chunk, and only then is there', async () => {
    const { world, path } = await withFile();
    let finish: () => void = () => {};
    world.fake.transferOutcome = new Promise((resolve) => (finish = resolve));
    const transfer = await world.mapper.importImage({ path, name: 'debian-12.raw' });
    expect(transfer).toMatchObject({ state: 'running', totalBytes: 5000 });
    await expect(world.mapper.get('image', 'debian-12.raw')).rejects.toMatchObject({ code: 'not-found' });
    expect(await world.mapper.list('image')).toEqual([]);
    await expect(world.mapper.importImage({ path, name: 'debian-12.raw' })).rejects.toMatchObject({ code: 'exists' });
    await expect(world.mapper.clone('debian-12.raw', 'vm1')).rejects.toMatchObject({ code: 'not-found' });

    finish();
    expect(await ended(world, transfer)).toMatchObject({ state: 'done', error: null });
    const { id, sizeBytes } = await world.mapper.get('image', 'debian-12.raw');
    expect(sizeBytes).toBe(8192);
    expect(world.steps.slice(2)).toEqual([
      `catalog +resource/${id} +name/image/debian-12.raw`,
      `engine.add ${id}`,
      `engine.importFile ${id} ${path}`,
      `engine.destage ${id}`,
      `pool.putRoot ${id}`,
      `catalog +resource/${id}`,
    ]);
  });

  test('a root of a half imported image is recorded, and no root chunk tells of it', async () => {
    const { world, path } = await withFile();
    let finish: () => void = () => {};
    world.fake.transferOutcome = new Promise((resolve) => (finish = resolve));
    const transfer = await world.mapper.importImage({ path, name: 'img' });
    await world.commit({ takers: [{ id: 1, appliedSequence: 3, fence: 1 }], root: root('b') });
    expect(world.pool.roots.size).toBe(0);
    finish();
    await ended(world, transfer);
    expect(world.pool.roots.get(1)).toMatchObject({ name: 'img', appliedSequence: 3 });
    const clone = await world.mapper.clone('img', 'vm1');
    expect(clone).toMatchObject({ pending: false, rootId: root('b').id, parent: 'img' });
  });

  test('that fails leaves nothing, and says why', async () => {
    const { world, path } = await withFile();
    world.fake.transferOutcome = Promise.reject(codedError('no-space', 'the pool is full'));
    world.fake.transferOutcome.catch(() => {});
    const transfer = await world.mapper.importImage({ path, name: 'img' });
    expect(await ended(world, transfer)).toMatchObject({
      state: 'failed',
      error: { code: 'no-space', message: 'the pool is full' },
    });
    expect(world.fake.known.size).toBe(0);
    expect(world.pool.tombstones.size).toBe(1);
    world.fake.transferOutcome = Promise.resolve();
    expect(await ended(world, await world.mapper.importImage({ path, name: 'img' }))).toMatchObject({ state: 'done' });
  });

  test('that is cancelled leaves nothing', async () => {
    const { world, path } = await withFile();
    let fail: (error: Error) => void = () => {};
    world.fake.transferOutcome = new Promise((_resolve, reject) => (fail = reject));
    const transfer = await world.mapper.importImage({ path, name: 'img' });
    world.mapper.cancelTransfer(transfer.id);
    expect(world.steps.at(-1)).toBe('engine.transferCancel 1');
    fail(codedError('closed', 'cancelled'));
    expect(await ended(world, transfer)).toMatchObject({ state: 'cancelled', error: null });
    await expect(world.mapper.get('image', 'img')).rejects.toMatchObject({ code: 'not-found' });
    expect(world.fake.known.size).toBe(0);
  });

  test('that a crash interrupted is removed at the next start', async () => {
    const { world: first, path } = await withFile();
    first.fake.transferOutcome = new Promise(() => {});
    await first.mapper.importImage({ path, name: 'img' });
    const world = await first.restart();
    expect(world.logged).toContain('warn the import of image img was interrupted: start it again');
    world.upkeep.poke();
    await world.upkeep.idle();
    expect(world.fake.known.size).toBe(0);
    expect(world.pool.tombstones.size).toBe(1);
    expect(await ended(world, await world.mapper.importImage({ path, name: 'img' }))).toMatchObject({ state: 'done' });
  });

  test('refuses what is no file, is empty, is a damaged qcow2, is not there, or has no absolute path', async () => {
    const { world, path } = await withFile();
    const at = (name: string, content: string): string => {
      writeFileSync(join(world.directory, name), content, 'latin1');
      return join(world.directory, name);
    };
    await expect(world.mapper.importImage({ path: world.directory, name: 'img' })).rejects.toMatchObject({ code: 'invalid' });
    await expect(world.mapper.importImage({ path: at('empty', ''), name: 'img' })).rejects.toMatchObject({ code: 'invalid' });
    await expect(world.mapper.importImage({ path: at('q', 'QFI\xfb and more'), name: 'img' })).rejects.toMatchObject({
      code: 'corrupt',
    });
    await expect(world.mapper.importImage({ path: `${path}-not`, name: 'img' })).rejects.toMatchObject({ code: 'not-found' });
    await expect(world.mapper.importImage({ path: 'disk.raw', name: 'img' })).rejects.toMatchObject({ code: 'invalid' });
    await expect(world.mapper.importImage({ path, name: 'No Name' })).rejects.toMatchObject({ code: 'invalid' });
    expect(world.steps).toEqual(['start ']);
  });

  test('many at once are refused beyond the limit, and an ended one makes room', async () => {
    const { world, path } = await withFile();
    let finish: () => void = () => {};
    world.fake.transferOutcome = new Promise((resolve) => (finish = resolve));
    const running = await Promise.all(
      Array.from({ length: 16 }, (_, index) => world.mapper.importImage({ path, name: `img-${index}` })),
    );
    await expect(world.mapper.importImage({ path, name: 'one-more' })).rejects.toMatchObject({ code: 'try-again' });
    finish();
    await Promise.all(running.map((transfer) => ended(world, transfer)));
    expect(await ended(world, await world.mapper.importImage({ path, name: 'one-more' }))).toMatchObject({ state: 'done' });
  });
});

describe('export', () => {
  test('holds the resource while it runs', async () => {
    const { world } = await withFile();
    const { id } = await world.mapper.create({ name: 'vm1', sizeBytes: 1 << 20 });
    let finish: () => void = () => {};
    world.fake.transferOutcome = new Promise((resolve) => (finish = resolve));
    const out = join(world.directory, 'out.raw');
    const transfer = await world.mapper.exportResource({ source: 'vm1', path: out });
    await vi.waitFor(() => expect(world.steps.at(-1)).toMatch(/^engine\.exportFile 2 \S+\/\.out\.raw\.[0-9a-f]{12}\.part$/));
    // It is of a snapshot without a name, which upkeep leaves alone for as long as it is read.
    expect(world.steps).toContain(`engine.snapshot ${id} 2`);
    world.upkeep.poke();
    await world.upkeep.idle();
    expect(world.fake.known.has(2)).toBe(false);
    expect(await world.ledger.get(2)).toMatchObject({ record: { name: '', parentName: 'vm1' } });
    expect(world.mapper.transfer(transfer.id)).toMatchObject({ state: 'running', doneBytes: 10, totalBytes: 20, dataBytes: 5 });
    await expect(world.mapper.remove('volume', 'vm1')).rejects.toMatchObject({ code: 'conflict' });
    const part =
      world.steps
        .findLast((step) => step.startsWith('engine.exportFile'))
        ?.split(' ')
        .at(-1) ?? '';
    writeFileSync(part, 'the disk');
    finish();
    expect(await ended(world, transfer)).toMatchObject({ state: 'done' });
    expect(readFileSync(out, 'utf8')).toBe('the disk');
    expect(existsSync(part)).toBe(false);
    expect(await world.catalog.range('unfinished-file/')).toEqual([]);
    await world.mapper.remove('volume', 'vm1');
  });

  test('that is killed leaves a file that the next start removes, and the snapshot with it', async () => {
    const { world: first } = await withFile();
    await first.mapper.create({ name: 'vm1', sizeBytes: 1 << 20 });
    first.fake.transferOutcome = new Promise(() => {});
    await first.mapper.exportResource({ source: 'vm1', path: join(first.directory, 'out.raw') });
    await vi.waitFor(() => expect(first.steps.at(-1)).toMatch(/^engine\.exportFile/));
    const part = first.steps.at(-1)?.split(' ').at(-1) ?? '';
    writeFileSync(part, 'half of');
    const world = await first.restart();
    await world.mapper.removeLeftFiles();
    expect(existsSync(part)).toBe(false);
    expect(world.logged).toContain('info an export was interrupted: what it had written is removed');
    await world.commit({ takers: [{ id: 2, appliedSequence: 0, fence: 0 }], root: root('a') });
    world.upkeep.poke();
    await world.upkeep.idle();
    expect(await world.ledger.get(2)).toBeNull();
  });

  test('refuses a file that is there, a directory that is not, and a relative path', async () => {
    const { world, path } = await withFile();
    await world.mapper.create({ name: 'vm1', sizeBytes: 1 << 20 });
    mkdirSync(join(world.directory, 'dir'));
    await expect(world.mapper.exportResource({ source: 'vm1', path: path })).rejects.toMatchObject({ code: 'exists' });
    await expect(world.mapper.exportResource({ source: 'vm1', path: join(world.directory, 'dir') })).rejects.toMatchObject({
      code: 'exists',
    });
    await expect(world.mapper.exportResource({ source: 'vm1', path: join(world.directory, 'no', 'out') })).rejects.toMatchObject({
      code: 'not-found',
    });
    await expect(world.mapper.exportResource({ source: 'vm1', path: join(path, 'out') })).rejects.toMatchObject({
      code: 'invalid',
    });
    await expect(world.mapper.exportResource({ source: 'vm1', path: 'out' })).rejects.toMatchObject({ code: 'invalid' });
    await expect(world.mapper.exportResource({ source: 'nowhere', path: join(world.directory, 'out') })).rejects.toMatchObject({
      code: 'not-found',
    });
  });

  test('where a volume and an image share a name, the kind says which', async () => {
    const { world, path } = await withFile();
    await world.mapper.create({ name: 'both', sizeBytes: 1 << 20 });
    await ended(world, await world.mapper.importImage({ path, name: 'both' }));
    await expect(world.mapper.clone('both', 'vm2')).rejects.toMatchObject({ code: 'conflict' });
    expect(await world.mapper.clone('image/both', 'vm2')).toMatchObject({ sizeBytes: 8192 });
    expect(await world.mapper.clone('volume/both', 'vm3')).toMatchObject({ sizeBytes: 1 << 20 });
  });
});
