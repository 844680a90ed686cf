/** Space comes back: what is deleted, written over and trimmed, while others read and write, and whatever happens to the daemon. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { connect } from '../../src/control/client.js';
import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';

const MiB = 1024 * 1024;
let daemon: DaemonProcess;
let scratch: string;

interface Collection {
  readonly state: string;
  readonly packs: number;
  readonly packsRemoved: number;
  readonly removedBytes: number;
  readonly packsMoved: number;
  readonly freedBytes: number;
  readonly journalled: { readonly packs: number };
  readonly halfLive: { readonly packs: number };
}

/** Of pack files, as the file system says. */
function stored(): number {
  const packs = join(daemon.directory, 'pool', 'packs');
  return readdirSync(packs).reduce((sum, name) => sum + statSync(join(packs, name)).blocks * 512, 0);
}

async function write(volume: string, offset: number, bytes: number): Promise<void> {
  writeFileSync(join(scratch, 'piece'), randomBytes(bytes));
  await must('qemu-io', [
    '-f',
    'raw',
    '-c',
    `write -q -s ${join(scratch, 'piece')} ${offset} ${bytes}`,
    '-c',
    'flush',
    await daemon.uri(volume),
  ]);
}

async function content(volume: string): Promise<string> {
  const path = join(scratch, 'content');
  await must('nbdcopy', [await daemon.uri(volume), path]);
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

/** Until the journal names no pack that could go. */
async function collect(): Promise<Collection> {
  for (;;) {
    const run = await daemon.json<Collection>('pool', 'gc');
    expect(run.state).toBe('done');
    if (run.journalled.packs === 0) return run;
    await sleep(500);
  }
}

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-collect-'));
  daemon = new DaemonProcess({});
  await daemon.start();
});

afterAll(async () => {
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

it('what a deleted volume alone held comes back, and what its clones and snapshots share does not', async () => {
  await daemon.json('volume', 'create', 'gone', '--size', '256M');
  await daemon.json('volume', 'create', 'stays', '--size', '256M');
  await write('gone', 0, 200 * MiB);
  await write('stays', 0, 40 * MiB);
  await daemon.json('snapshot', 'create', 'gone@kept');
  await write('gone', 0, 150 * MiB);
  const [stays, kept] = [await content('stays'), await content('gone@kept')];
  await daemon.json('clone', 'gone@kept', 'clone');
  await daemon.json('snapshot', 'delete', 'gone@kept');
  await daemon.json('volume', 'delete', 'gone');
  const before = stored();
  const run = await collect();
  expect(before - stored()).toBeGreaterThan(100 * MiB);
  expect(run.packs).toBeGreaterThan(0);
  expect([await content('stays'), await content('clone')]).toEqual([stays, kept]);
  await daemon.json('volume', 'delete', 'clone');
  await collect();
  // The journal may name packs, the newest stays, and so do those of which half is wanted.
  expect(stored()).toBeLessThan(40 * MiB + 3 * 64 * MiB);
  expect(await content('stays')).toBe(stays);
});

it('what a hundred clones share comes back with the last of them', async () => {
  await daemon.json('volume', 'create', 'base', '--size', '128M');
  await write('base', 0, 128 * MiB);
  const base = await content('base');
  await daemon.json('snapshot', 'create', 'base@s');
  const clones = Array.from({ length: 100 }, (_, n) => `clone${n}`);
  const client = connect({ dataDirectory: daemon.directory });
  try {
    for (const name of clones) await client.clone({ source: 'base@s', name });
    const [last = '', ...others] = clones;
    await client.deleteSnapshot('base@s');
    await client.deleteVolume('base');
    for (const name of others) await client.deleteVolume(name);
    await collect();
    const shared = stored();
    expect(await content(last)).toBe(base);
    await client.deleteVolume(last);
    await collect();
    // The newest pack stays, and the journal may name another.
    expect(shared - stored()).toBeGreaterThan(64 * MiB);
  } finally {
    client.close();
  }
});

it('what was trimmed comes back, past a snapshot once that is gone', async () => {
  await daemon.json('volume', 'create', 'trimmed', '--size', '192M');
  await write('trimmed', 0, 192 * MiB);
  const before = await content('trimmed');
  await daemon.json('snapshot', 'create', 'trimmed@s');
  await must('qemu-io', ['-f', 'raw', '-d', 'unmap', '-c', 'discard 0 192M', '-c', 'flush', await daemon.uri('trimmed')]);
  // No root knows of the trim yet: a dry run says so, a run sees to it first.
  expect(await daemon.json('pool', 'gc', '--dry-run')).toMatchObject({ trimsWaiting: 1 });
  expect(await daemon.ok('pool', 'gc', '--dry-run')).toMatch(/1 volume gave back/);
  expect(await collect()).toMatchObject({ trimsWaiting: 0 });
  const kept = stored();
  expect(await content('trimmed@s')).toBe(before);
  await daemon.json('snapshot', 'delete', 'trimmed@s');
  await collect();
  expect(kept - stored()).toBeGreaterThan(128 * MiB);
  await must('qemu-io', ['-r', '-f', 'raw', '-c', 'read -P 0 0 192M', await daemon.uri('trimmed')]);
});

it('tells what it would do, and why the rest stays', async () => {
  const text = await daemon.ok('pool', 'gc', '--dry-run');
  expect(text).toMatch(/would free/);
  expect(await daemon.json<Collection>('pool', 'gc', '--status')).toMatchObject({ dryRun: true, state: 'done' });
  expect((await daemon.cli('pool', 'gc', 'nowhere')).code).not.toBe(0);
  expect((await daemon.cli('pool', 'gc', '--dry-run', '--status')).code).not.toBe(0);
  expect(await daemon.metric('skerry_gc_packs_removed_total')).toBeGreaterThan(0);
});

it('trimmed and overwritten, moved and killed: what is read stays what was written', async () => {
  await daemon.json('volume', 'create', 'busy', '--size', '192M');
  await write('busy', 0, 192 * MiB);
  for (let round = 0; round < 3; round += 1) {
    // Most of each pack dies, something in it lives.
    for (let offset = 0; offset < 192; offset += 16) await write('busy', offset * MiB, 12 * MiB);
    await must('qemu-io', [
      '-f',
      'raw',
      '-d',
      'unmap',
      '-c',
      `discard ${round * 8}M 4M`,
      '-c',
      'flush',
      await daemon.uri('busy'),
    ]);
    const expected = await content('busy');
    const collecting = daemon.cli('pool', 'gc');
    if (round > 0) await sleep(300 * round);
    await daemon.kill();
    await collecting;
    await daemon.start();
    expect(await content('busy')).toBe(expected);
    await collect();
    expect(await content('busy')).toBe(expected);
  }
  expect(stored()).toBeLessThan(192 * MiB * 2 + 4 * 64 * MiB);
  const { healthy } = JSON.parse((await checked()).stdout) as { readonly healthy: boolean };
  expect(healthy).toBe(true);
});

async function checked(): Promise<{ readonly stdout: string }> {
  await daemon.kill('SIGTERM');
  return daemon.cli('pool', 'check', '--deep', '--json');
}
