/** A volume is copied to another pool again and again, by what changed; where it is lost, a clone of the newest replica is a volume at once. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { ReplicationView, ResourceView, StatusView } from '../../src/api/shapes.js';
import { blockFolders } from '../harness/blocked_folders.ts';
import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { replicaFailpoint } from '../harness/failpoints.ts';
import { FioPasses } from '../harness/fio_passes.ts';
import { recoverInto } from '../harness/lost_host.ts';

const MiB = 1 << 20;
const config = { journalBytesMax: '64M', segmentBytes: '4M', ringBytes: '16M', overlayBytesMax: '8M', gcSeconds: 0 };

let daemon: DaemonProcess;
let scratch: string;
let far: readonly string[];
const daemons: DaemonProcess[] = [];

function daemonOn(directory?: string): DaemonProcess {
  const made = new DaemonProcess({ config, ...(directory === undefined ? {} : { directory }) });
  daemons.push(made);
  return made;
}

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-replicas-'));
  daemon = daemonOn();
  await daemon.start();
  far = ['--driver', 'local', '--set', `directory=${join(scratch, 'far')}`, '--set', 'direct-path=off'];
  await daemon.ok('pool', 'create', 'far', ...far);
  await daemon.ok('volume', 'create', 'vm1', '--size', '64M');
});

afterEach(async () => {
  for (const each of daemons.splice(0)) await each.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

async function write(offset: number, bytes: number, volume = 'vm1'): Promise<void> {
  writeFileSync(join(scratch, 'piece'), randomBytes(bytes));
  const commands = ['-c', `write -q -s ${join(scratch, 'piece')} ${offset} ${bytes}`, '-c', 'flush'];
  await must('qemu-io', ['-f', 'raw', ...commands, await daemon.uri(volume)]);
}

async function content(volume: string, of = daemon): Promise<string> {
  const path = join(scratch, 'content');
  rmSync(path, { force: true });
  await must('nbdcopy', [await of.uri(volume), path]);
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

const status = (volume = 'vm1'): Promise<ReplicationView> =>
  daemon.json<ReplicationView>('volume', 'replicate', volume, '--status');
const metrics = async (): Promise<string> => (await fetch(`http://${daemon.ready?.listeners['http']}/metrics`)).text();
const problems = async (): Promise<string> => (await daemon.json<StatusView>('status')).problems.join('\n');

/** One more, at once; `before`: the newest so far. */
async function replicate(before: string | null): Promise<ReplicationView> {
  await daemon.ok('volume', 'replicate', 'vm1', '--to', 'far', '--every', '1h', '--keep', '2');
  return replica(before);
}

/** The next one that comes about, asked for or by itself. */
async function replica(before: string | null): Promise<ReplicationView> {
  for (;;) {
    const view = await status();
    if (view.replica !== null && view.replica !== before && view.state !== 'running') return view;
    await sleep(100);
  }
}

it('each copy costs what changed, and is a volume at once where its source is lost', async () => {
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
  // The volume goes to another pool itself, and is replicated on.
  await daemon.ok('pool', 'create', 'near', '--driver', 'local', '--set', `directory=${join(scratch, 'near')}`);
  await daemon.ok('volume', 'move', 'vm1', '--pool', 'near');
  expect(await metrics()).toMatch(/^skerry_moves_total\{.*outcome="done".*\} 1$/m);
  expect(await metrics()).toMatch(/^skerry_replication_carried_bytes_total\{.*volume="vm1".*\} [1-9]/m);
  const third = await replicate((await status()).replica);
  expect(third.error).toBeNull();
  const images = await daemon.json<readonly ResourceView[]>('image', 'list');
  expect(images).toHaveLength(2);
  expect(images.every(({ pool }) => pool === 'far')).toBe(true);
  expect(await daemon.json('volume', 'replicate', 'vm1', '--stop')).toMatchObject({ state: 'stopped' });
  expect(await daemon.json('snapshot', 'list', 'vm1')).toEqual([]);
  await daemon.ok('volume', 'delete', 'vm1');
  await daemon.ok('clone', third.replica ?? '', 'vm1');
  expect(await content('vm1')).toBe(after);
  expect(await daemon.json('volume', 'show', 'vm1')).toMatchObject({ pool: 'far' });
});

it('killed under way, a copy is ended by the next start alone, which reads only what was missing', async () => {
  const data = 448 * MiB;
  /** That a copy is durable up to, again and again: native/carry/carrier.h. */
  const point = 128 * MiB;
  await daemon.ok('volume', 'create', 'big', '--size', '512M');
  const ask = ['volume', 'replicate', 'big', '--to', 'far', '--every', '1h'];
  await daemon.ok(...ask);
  await expect.poll(async () => (await status('big')).state, { timeout: 60_000, interval: 100 }).toBe('waiting');
  const empty = (await status('big')).replica;
  await write(0, data, 'big');
  const expected = await content('big');
  await daemon.kill('SIGTERM');
  daemon.environment = { SKERRY_FAILPOINT: `${replicaFailpoint}:1` };
  await daemon.start();
  const life = daemon.gone();
  await daemon.cli(...ask);
  expect(await life).toBe('SIGKILL');
  daemon.environment = {};
  await daemon.start();
  const snapshots = await daemon.json<readonly ResourceView[]>('snapshot', 'list', 'big');
  expect(snapshots).toHaveLength(2);
  // It is an hour till the next one, and nobody asks for it.
  const newest = async (): Promise<boolean> => ![null, empty].includes((await status('big')).replica);
  await expect.poll(newest, { timeout: 300_000, interval: 200 }).toBe(true);
  const ended = await status('big');
  expect(ended.replica).toBe(`big.${snapshots.at(-1)?.name.split('@')[1]}`);
  expect(ended.error).toBeNull();
  expect(ended.carriedBytes).toBeGreaterThan(0);
  expect(ended.carriedBytes).toBeLessThanOrEqual(data - point);
  await daemon.ok('clone', ended.replica ?? '', 'copy');
  expect(await content('copy')).toBe(expected);
});

it('a copy whose beginning was deleted while no daemon had it under way is made all the same', async () => {
  await write(0, 24 * MiB);
  const first = await replicate(null);
  await write(4 * MiB, 8 * MiB);
  const expected = await content('vm1');
  const bringBack = blockFolders(join(scratch, 'far'), ['roots', 'packs', 'pool', 'health']);
  await daemon.ok('volume', 'replicate', 'vm1', '--to', 'far', '--every', '1h', '--keep', '2');
  // Of what is copied, which nobody takes.
  const staged = async (): Promise<number> => (await daemon.json<{ stagedBytes: number }>('pool', 'show', 'far')).stagedBytes;
  await expect.poll(staged, { timeout: 60_000, interval: 100 }).toBeGreaterThanOrEqual(8 * MiB);
  const [base] = await daemon.json<readonly ResourceView[]>('snapshot', 'list', 'vm1');
  await daemon.ok('snapshot', 'delete', base?.name ?? '');
  // Which ends deletions first.
  await daemon.ok('pool', 'gc', 'default');
  expect((await status()).state).toBe('running');
  await daemon.kill();
  bringBack();
  await daemon.start();
  const second = await replica(first.replica);
  expect(second.error).toBeNull();
  expect(second.carriedBytes).toBeGreaterThanOrEqual(24 * MiB);
  await daemon.ok('clone', second.replica ?? '', 'copy');
  expect(await content('copy')).toBe(expected);
});

it('copies come about by themselves, one after the other, while the volume is written', async () => {
  const fio = new FioPasses({
    uri: () => daemon.uri('vm1'),
    areas: [0, 1, 2, 3].map((area) => ({ offset: area * 8 * MiB, bytes: 8 * MiB })),
    verify: 'crc32c',
    scratch,
    rateBytes: 24 * MiB,
  });
  fio.start();
  await daemon.ok('volume', 'replicate', 'vm1', '--to', 'far', '--every', '2s', '--keep', '3');
  const views: ReplicationView[] = [];
  const begun = fio.count;
  for (let copies = 0; copies < 4 || fio.count < begun + 4; copies += 1) {
    expect(fio.failure).toBeNull();
    views.push(await replica(views.at(-1)?.replica ?? null));
  }
  await fio.stop();
  expect(fio.failure).toBeNull();
  // All that was written meanwhile is in the one that comes after it.
  const expected = await content('vm1');
  const quiet = (await daemon.json<readonly ResourceView[]>('snapshot', 'list', 'vm1')).map(({ name }) => name);
  await expect
    .poll(
      async () =>
        (await daemon.json<readonly ResourceView[]>('snapshot', 'list', 'vm1')).some(({ name }) => quiet.includes(name)),
      {
        timeout: 120_000,
        interval: 200,
      },
    )
    .toBe(false);
  const last = await replica(views.at(-1)?.replica ?? null);
  await daemon.ok('volume', 'replicate', 'vm1', '--stop');
  for (const view of views) expect(view).toMatchObject({ error: null, lostPages: 0 });
  expect(views.some(({ carriedBytes }) => carriedBytes > 0)).toBe(true);
  expect(await daemon.json('image', 'list')).toHaveLength(3);
  await daemon.ok('clone', last.replica ?? '', 'copy');
  expect(await content('copy')).toBe(expected);
});

it('while the pool of the volume is away the operator is told, and it goes on once that is back', async () => {
  const near = join(scratch, 'near');
  await daemon.ok('pool', 'create', 'near', '--driver', 'local', '--set', `directory=${near}`, '--set', 'direct-path=off');
  await daemon.ok('volume', 'create', 'vm2', '--size', '64M', '--pool', 'near');
  await write(0, 8 * MiB, 'vm2');
  await daemon.ok('volume', 'replicate', 'vm2', '--to', 'far', '--every', '1s');
  await expect.poll(async () => (await status('vm2')).replica, { timeout: 60_000, interval: 100 }).not.toBeNull();
  const bringBack = blockFolders(near, ['logs', 'roots', 'packs', 'pool', 'health']);
  await write(4 * MiB, 16 * MiB, 'vm2');
  const expected = await content('vm2');
  await expect.poll(problems, { timeout: 60_000, interval: 200 }).toMatch(/REPLICATION: .* volume vm2 in pool far is as of/);
  const [listed, ...others] = await daemon.json<readonly ReplicationView[]>('volume', 'replicate', '--list');
  expect(listed).toMatchObject({ volume: 'vm2', to: 'far', late: true });
  expect(others).toEqual([]);
  expect((await daemon.cli('volume', 'replicate', '--list')).stdout).toMatch(/^vm2 +far .*late/m);
  expect(await metrics()).toContain('skerry_replication_late{volume="vm2",pool="far"} 1');
  const health = await fetch(`http://${daemon.ready?.listeners['http']}/health`);
  expect(await health.text()).toContain('REPLICATION');
  const stale = (await status('vm2')).replica;
  bringBack();
  await expect.poll(async () => (await status('vm2')).replica, { timeout: 240_000, interval: 200 }).not.toBe(stale);
  await expect.poll(problems, { timeout: 60_000, interval: 200 }).toBe('');
  expect(await metrics()).toContain('skerry_replication_late{volume="vm2",pool="far"} 0');
  await daemon.ok('volume', 'replicate', 'vm2', '--stop');
  const newest = (await daemon.json<readonly ResourceView[]>('image', 'list')).at(-1);
  await daemon.ok('clone', newest?.name ?? '', 'copy');
  expect(await content('copy')).toBe(expected);
});

it('a host that is lost with all it had leaves its replicas, which another one opens', async () => {
  await write(0, 24 * MiB);
  const first = await replicate(null);
  const before = await content('vm1');
  await write(4 * MiB, 8 * MiB);
  const second = await replicate(first.replica);
  const after = await content('vm1');
  // What comes after the last replica is what is lost.
  await write(0, 2 * MiB);
  await daemon.destroy();
  const fresh = join(scratch, 'fresh');
  const recovered = await recoverInto(fresh, ...far, '--take-over');
  expect(recovered.code, recovered.stderr).toBe(0);
  expect(recovered.view?.resources.map(({ name, state }) => `${name} ${state}`)).toEqual([
    `${first.replica} whole`,
    `${second.replica} whole`,
  ]);
  const other = daemonOn(fresh);
  await other.start();
  for (const [name, from, expected] of [
    ['copy-1', first, before],
    ['copy-2', second, after],
  ] as const) {
    await other.ok('clone', from.replica ?? '', name);
    expect(await content(name, other)).toBe(expected);
  }
});

it('is refused with words', async () => {
  const refusal = async (...words: readonly string[]): Promise<string> => {
    const { code, stderr } = await daemon.cli('volume', ...words);
    expect(code).not.toBe(0);
    return stderr;
  };
  expect(await refusal('replicate', 'vm1', '--to', 'default', '--every', '5m')).toMatch(/in pool default itself/);
  expect(await refusal('replicate', 'vm1', '--to', 'nowhere', '--every', '5m')).toMatch(/no pool/);
  expect(await refusal('replicate', 'vm1', '--to', 'far', '--every', '5 parsecs')).toMatch(/30s, 5m, 2h or 1d/);
  expect(await refusal('replicate', 'vm1', '--to', 'far')).toMatch(/--to POOL and --every TIME/);
  expect(await refusal('replicate', '--status')).toMatch(/name of the volume/);
  expect(await refusal('replicate', 'vm1', '--list')).toMatch(/no name/);
  expect(await refusal('replicate', 'vm1', '--status')).toMatch(/not replicated/);
  await replicate(null);
  expect(await refusal('move', 'vm1', '--pool', 'far')).toMatch(/replicated to pool far.*volume replicate vm1 --stop/);
  expect(await daemon.json('volume', 'show', 'vm1')).toMatchObject({ pool: 'default' });
});
