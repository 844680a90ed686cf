/** Volumes and images move to another pool while they are used, and the old one gets its space back. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { MoveView, PoolView, ResourceView } from '../../src/api/shapes.js';
import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { complaint, FioPasses } from '../harness/fio_passes.ts';

const MiB = 1 << 20;
const config = { journalBytesMax: '64M', segmentBytes: '4M', ringBytes: '16M', overlayBytesMax: '8M', gcSeconds: 0 };

let daemon: DaemonProcess;
let scratch: string;
let fio: FioPasses | null = null;

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-moves-'));
  daemon = new DaemonProcess({ config });
  await daemon.start();
  // One that is read and written as files, and one that is reached through its driver alone.
  await daemon.ok('pool', 'create', 'near', '--driver', 'local', '--set', `directory=${join(scratch, 'near')}`);
  await daemon.ok(
    'pool',
    'create',
    'far',
    '--driver',
    'local',
    '--set',
    `directory=${join(scratch, 'far')}`,
    '--set',
    'direct-path=off',
    '--compression',
    'lz4',
  );
});

afterEach(async () => {
  await fio?.kill();
  fio = null;
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

async function write(volume: string, offset: number, bytes: number): Promise<void> {
  writeFileSync(join(scratch, 'piece'), randomBytes(bytes));
  const commands = ['-c', `write -q -s ${join(scratch, 'piece')} ${offset} ${bytes}`, '-c', 'flush'];
  await must('qemu-io', ['-f', 'raw', ...commands, await daemon.uri(volume)]);
}

async function content(name: string): Promise<string> {
  const path = join(scratch, 'content');
  rmSync(path, { force: true });
  if (name === 'disk') await daemon.ok('image', 'export', name, path);
  else await must('nbdcopy', [await daemon.uri(name), path]);
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

const pool = (name: string): Promise<PoolView> => daemon.json<PoolView>('pool', 'show', name);
const volume = (name: string): Promise<ResourceView> => daemon.json<ResourceView>('volume', 'show', name);

/** Of pack files in the default pool, as the file system says. */
function stored(): number {
  const packs = join(daemon.directory, 'pool', 'packs');
  return readdirSync(packs).reduce((sum, name) => sum + statSync(join(packs, name)).blocks * 512, 0);
}

/** Until the journal names no pack that could go. */
async function collect(): Promise<void> {
  for (;;) {
    const run = await daemon.json<{ readonly state: string; readonly journalled: { readonly packs: number } }>('pool', 'gc');
    expect(run.state).toBe('done');
    if (run.journalled.packs === 0) return;
    await sleep(500);
  }
}

it('a volume with snapshots goes from pool to pool under fio, and back, and is the same everywhere', async () => {
  await daemon.ok('volume', 'create', 'vm1', '--size', '96M');
  await write('vm1', 48 * MiB, 40 * MiB);
  await daemon.ok('snapshot', 'create', 'vm1@a');
  await write('vm1', 60 * MiB, 4 * MiB);
  await must('qemu-io', ['-f', 'raw', '-d', 'unmap', '-c', 'discard 80M 4M', await daemon.uri('vm1')]);
  await daemon.ok('snapshot', 'create', 'vm1@b');
  await daemon.ok('clone', 'vm1@a', 'clone');
  const [a, b] = [await content('vm1@a'), await content('vm1@b')];
  fio = new FioPasses({
    uri: () => daemon.uri('vm1'),
    areas: [0, 1, 2].map((area) => ({ offset: area * 16 * MiB, bytes: 16 * MiB })),
    verify: 'pattern',
    scratch,
    rateBytes: 24 * MiB,
  });
  fio.start();
  for (const to of ['far', 'near', 'default', 'far']) {
    const begun = fio.count;
    const move = await daemon.json<MoveView>('volume', 'move', 'vm1', '--pool', to);
    expect(move).toMatchObject({ state: 'done', to, carried: 3, resources: 3, lostPages: 0, error: null });
    expect(await volume('vm1')).toMatchObject({ pool: to });
    expect([await content('vm1@a'), await content('vm1@b')]).toEqual([a, b]);
    while (fio.count <= begun + 1 && fio.failure === null) await sleep(20);
  }
  await fio.stop();
  expect(fio.failure).toBeNull();
  expect(fio.finished.length).toBeGreaterThan(1);
  for (const pass of fio.finished) expect(await complaint(await daemon.uri('vm1'), pass, scratch)).toBeNull();
  expect(await pool('far')).toMatchObject({ volumes: 1, snapshots: 2 });
  expect(await pool('default')).toMatchObject({ volumes: 1, snapshots: 0 });
  expect(await content('clone')).toBe(a);
  await daemon.ok('volume', 'rollback', 'vm1@b');
  expect(await content('vm1')).toBe(b);
  // Without the journal's ring, all is where the catalog says.
  await daemon.kill();
  await daemon.start();
  expect([await content('vm1'), await content('vm1@a'), await content('clone')]).toEqual([b, a, a]);
  for (const one of ['near', 'far', 'default']) await daemon.ok('pool', 'gc', one);
  expect([await content('vm1'), await content('vm1@a'), await content('clone')]).toEqual([b, a, a]);
});

it('the old pool gets its space back, and is free to go', async () => {
  await daemon.ok('volume', 'create', 'big', '--size', '200M');
  await daemon.ok('volume', 'create', 'empty', '--size', '1T');
  await write('big', 0, 192 * MiB);
  writeFileSync(join(scratch, 'disk.raw'), randomBytes(16 * MiB));
  await daemon.ok('image', 'import', join(scratch, 'disk.raw'), 'disk');
  const [big, disk] = [await content('big'), await content('disk')];
  const before = stored();
  const moves = await daemon.json<readonly MoveView[]>('pool', 'move', 'default', 'near');
  expect(moves.map(({ name, state }) => `${name} ${state}`).toSorted()).toEqual(['big done', 'disk done', 'empty done']);
  expect(await pool('default')).toMatchObject({ volumes: 0, images: 0 });
  await collect();
  // The newest pack stays.
  expect(stored()).toBeLessThanOrEqual(64 * MiB);
  expect(before - stored()).toBeGreaterThan(128 * MiB);
  expect([await content('big'), await content('disk')]).toEqual([big, disk]);
  await daemon.json('pool', 'move', 'near', 'far');
  await daemon.ok('pool', 'delete', 'near');
  expect([await content('big'), await content('disk')]).toEqual([big, disk]);
});

it('what is killed on the way goes on by itself, and can be cancelled', async () => {
  await daemon.ok('volume', 'create', 'vm1', '--size', '200M');
  await write('vm1', 0, 192 * MiB);
  const before = await content('vm1');
  const moving = daemon.cli('volume', 'move', 'vm1', '--pool', 'far');
  await expect
    .poll(async () => (await daemon.json<MoveView>('volume', 'move', 'vm1', '--status').catch(() => null))?.state, {
      interval: 20,
    })
    .toBe('running');
  await daemon.kill();
  expect((await moving).code).not.toBe(0);
  await daemon.start();
  await expect
    .poll(async () => (await daemon.json<MoveView>('volume', 'move', 'vm1', '--status')).state, {
      interval: 100,
      timeout: 60_000,
    })
    .toBe('done');
  expect(await volume('vm1')).toMatchObject({ pool: 'far' });
  expect(await content('vm1')).toBe(before);
  expect((await daemon.cli('volume', 'move', 'vm1', '--cancel')).stderr).toMatch(/not on its way/);
});

it('is refused with words', async () => {
  await daemon.ok('volume', 'create', 'vm1', '--size', '1M');
  await daemon.ok('snapshot', 'create', 'vm1@a');
  const refusal = async (...words: readonly string[]): Promise<string> => {
    const { code, stderr } = await daemon.cli(...words);
    expect(code).not.toBe(0);
    return stderr;
  };
  expect(await refusal('volume', 'move', 'vm1', '--pool', 'default')).toMatch(/in pool default already/);
  expect(await refusal('volume', 'move', 'vm1', '--pool', 'nowhere')).toMatch(/no pool/);
  expect(await refusal('volume', 'move', 'vm2', '--pool', 'far')).toMatch(/no volume/);
  expect(await refusal('volume', 'move', 'vm1')).toMatch(/--pool NAME, --status and --cancel/);
  expect(await refusal('volume', 'move', 'vm1', '--status')).toMatch(/not moved/);
  expect(await refusal('pool', 'move', 'default', 'default')).toMatch(/already/);
});
