/** A volume is copied to another pool again and again, by what changed; where it is lost, a clone of the newest replica is a volume at once. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { ReplicationView, ResourceView } from '../../src/api/shapes.js';
import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';

const MiB = 1 << 20;
const config = { journalBytesMax: '64M', segmentBytes: '4M', ringBytes: '16M', overlayBytesMax: '8M', gcSeconds: 0 };

let daemon: DaemonProcess;
let scratch: string;

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-replicas-'));
  daemon = new DaemonProcess({ config });
  await daemon.start();
  const far = ['--set', `directory=${join(scratch, 'far')}`, '--set', 'direct-path=off'];
  await daemon.ok('pool', 'create', 'far', '--driver', 'local', ...far);
  await daemon.ok('volume', 'create', 'vm1', '--size', '64M');
});

afterEach(async () => {
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

async function write(offset: number, bytes: number): Promise<void> {
  writeFileSync(join(scratch, 'piece'), randomBytes(bytes));
  const commands = ['-c', `write -q -s ${join(scratch, 'piece')} ${offset} ${bytes}`, '-c', 'flush'];
  await must('qemu-io', ['-f', 'raw', ...commands, await daemon.uri('vm1')]);
}

async function content(volume: string): Promise<string> {
  const path = join(scratch, 'content');
  rmSync(path, { force: true });
  await must('nbdcopy', [await daemon.uri(volume), path]);
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

const status = (): Promise<ReplicationView> => daemon.json<ReplicationView>('volume', 'replicate', 'vm1', '--status');

/** One more, at once; `before`: the newest so far. */
async function replicate(before: string | null): Promise<ReplicationView> {
  await daemon.ok('volume', 'replicate', 'vm1', '--to', 'far', '--every', '1h', '--keep', '2');
  return replica(before);
}

async function replica(before: string | null): Promise<ReplicationView> {
  for (;;) {
    const view = await status();
    if (view.replica !== null && view.replica !== before && view.state !== 'running') return view;
    await sleep(100);
  }
}

it('each copy costs what changed, survives kill -9, and is a volume at once where its source is lost', async () => {
  await write(0, 48 * MiB);
  const first = await replicate(null);
  expect(first).toMatchObject({ to: 'far', keep: 2, state: 'waiting', error: null, lostPages: 0 });
  expect(first.carriedBytes).toBeGreaterThanOrEqual(48 * MiB);
  const before = await content('vm1');
  await write(8 * MiB, 2 * MiB);
  const after = await content('vm1');
  const second = await replicate(first.replica);
  expect(second.carriedBytes).toBeGreaterThanOrEqual(2 * MiB);
  expect(second.carriedBytes).toBeLessThanOrEqual(3 * MiB);
  for (const [name, from, expected] of [
    ['copy-1', first, before],
    ['copy-2', second, after],
  ] as const) {
    await daemon.ok('clone', from.replica ?? '', name);
    expect(await content(name)).toBe(expected);
  }
  // Killed in the midst of one, or right after: the next daemon ends it by itself.
  await write(32 * MiB, 8 * MiB);
  const last = await content('vm1');
  const asked = daemon.cli('volume', 'replicate', 'vm1', '--to', 'far', '--every', '1h', '--keep', '2');
  await sleep(300);
  await daemon.kill();
  await asked;
  await daemon.start();
  const third = await replicate(second.replica);
  expect(third.error).toBeNull();
  // The volume goes to another pool itself, and is replicated on.
  await daemon.ok('pool', 'create', 'near', '--driver', 'local', '--set', `directory=${join(scratch, 'near')}`);
  await daemon.ok('volume', 'move', 'vm1', '--pool', 'near');
  const fourth = await replicate((await status()).replica);
  expect(fourth.error).toBeNull();
  const images = await daemon.json<readonly ResourceView[]>('image', 'list');
  expect(images).toHaveLength(2);
  expect(images.every(({ pool }) => pool === 'far')).toBe(true);
  expect(await daemon.json('volume', 'replicate', 'vm1', '--stop')).toMatchObject({ state: 'stopped' });
  expect(await daemon.json('snapshot', 'list', 'vm1')).toEqual([]);
  await daemon.ok('volume', 'delete', 'vm1');
  await daemon.ok('clone', fourth.replica ?? '', 'vm1');
  expect(await content('vm1')).toBe(last);
  expect(await daemon.json('volume', 'show', 'vm1')).toMatchObject({ pool: 'far' });
});

it('is refused with words', async () => {
  const refusal = async (...words: readonly string[]): Promise<string> => {
    const { code, stderr } = await daemon.cli('volume', 'replicate', ...words);
    expect(code).not.toBe(0);
    return stderr;
  };
  expect(await refusal('vm1', '--to', 'default', '--every', '5m')).toMatch(/in pool default itself/);
  expect(await refusal('vm1', '--to', 'nowhere', '--every', '5m')).toMatch(/no pool/);
  expect(await refusal('vm1', '--to', 'far', '--every', '5 parsecs')).toMatch(/30s, 5m, 2h or 1d/);
  expect(await refusal('vm1', '--to', 'far')).toMatch(/--to POOL and --every TIME/);
  expect(await refusal('vm1', '--status')).toMatch(/not replicated/);
});
