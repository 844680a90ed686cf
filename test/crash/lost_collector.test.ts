/**
 * The host is lost while a collection takes packs off a backend, and what it had asked to be removed goes only when the next host is at work:
 * that one believes in nothing of it, though its backend lists it all.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { goneFailpoint } from '../harness/failpoints.ts';
import { recoverInto } from '../harness/lost_host.ts';
import { requests } from '../harness/requests.ts';
import { smallSettings } from '../harness/small_settings.ts';

const MiB = 1 << 20;
const written = randomBytes(40 * MiB);
let scratch: string;
let place: string;
let settings: readonly string[];
const daemons: DaemonProcess[] = [];

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-collector-'));
  place = join(scratch, 'far');
  // Files, and reached as a backend is.
  settings = ['--driver', 'local', '--set', `directory=${place}`, '--set', 'direct-path=off'];
});

afterEach(async () => {
  for (const daemon of daemons.splice(0)) await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

function daemonOn(name: string): DaemonProcess {
  const daemon = new DaemonProcess({ config: smallSettings, directory: join(scratch, name) });
  daemons.push(daemon);
  return daemon;
}

const packs = (): readonly string[] => readdirSync(join(place, 'packs')).toSorted();

/** By the list of the host that is lost, as docs/formats/gone_packs.md has it. */
function packsGone(lost: DaemonProcess): readonly string[] {
  const pools = join(lost.directory, 'engine', 'pools');
  const path = readdirSync(pools)
    .map((pool) => join(pools, pool, 'packs', 'gone'))
    .find((file) => existsSync(file));
  const list = readFileSync(path ?? '');
  const gone: string[] = [];
  for (let at = 40; at < list.length; at += 8) {
    for (let pack = list.readUInt32LE(at); pack <= list.readUInt32LE(at + 4); pack += 1)
      gone.push(`${pack.toString(16).padStart(8, '0')}.pack`);
  }
  return gone;
}

async function settled(daemon: DaemonProcess): Promise<void> {
  const pending = async () => (await daemon.json<{ pending: boolean }[]>('snapshot', 'list')).some((one) => one.pending);
  await expect.poll(pending, { timeout: 60_000, interval: 100 }).toBe(false);
}

/** A volume that holds what the one did that is deleted below. */
async function filled(daemon: DaemonProcess, name: string): Promise<void> {
  await daemon.ok('volume', 'create', name, '--size', '48M', '--pool', 'far');
  const file = join(scratch, 'written');
  writeFileSync(file, written);
  await must('qemu-io', ['-f', 'raw', '-c', `write -q -s ${file} 0 ${written.length}`, '-c', 'flush', await daemon.uri(name)]);
  await daemon.ok('snapshot', 'create', `${name}@s`);
  await settled(daemon);
}

async function lostWhileCollecting(): Promise<DaemonProcess> {
  const lost = daemonOn('lost');
  // The first list is put when the pool is made.
  lost.environment = { SKERRY_FAILPOINT: `${goneFailpoint}:2` };
  await lost.start();
  await lost.ok('pool', 'create', 'far', ...settings);
  await filled(lost, 'gone');
  await lost.ok('volume', 'create', 'stays', '--size', '8M', '--pool', 'far');
  await requests(await lost.uri('stays'), [['write', 0, MiB, 1]]);
  await lost.ok('snapshot', 'create', 'stays@s');
  await settled(lost);
  await lost.ok('snapshot', 'delete', 'gone@s');
  await lost.ok('volume', 'delete', 'gone');
  const dying = lost.gone();
  for (let ended = false; !ended; ) {
    // As long as the journal names the packs none goes.
    await sleep(500);
    ended = (await lost.cli('pool', 'gc', 'far')).code !== 0;
  }
  expect(await dying).toBe('SIGKILL');
  return lost;
}

it('what the lost host asked to be removed takes nothing of what the next one has written', async () => {
  const lost = await lostWhileCollecting();
  const doomed = packsGone(lost);
  expect(doomed.length).toBeGreaterThan(1);
  expect(packs()).toEqual(expect.arrayContaining([...doomed]));
  rmSync(lost.directory, { recursive: true });
  const next = daemonOn('next');
  expect(await recoverInto(next.directory, ...settings, '--take-over')).toMatchObject({ code: 0 });
  await next.start();
  await filled(next, 'again');
  // The removals come.
  for (const name of doomed) rmSync(join(place, 'packs', name), { force: true });
  await next.kill('SIGTERM');
  await next.start();
  const copy = join(scratch, 'copy');
  await must('nbdcopy', [await next.uri('again'), copy]);
  expect(readFileSync(copy).subarray(0, written.length).equals(written)).toBe(true);
  expect(await requests(await next.uri('stays'), [['read', 0, MiB, 1]])).toEqual(['ok']);
  expect(await next.json('pool', 'scrub', 'far')).toMatchObject({ damaged: 0 });
});

it('what it had not asked for yet the next host removes, and the one after that knows of it, too', async () => {
  const lost = await lostWhileCollecting();
  const doomed = packsGone(lost);
  rmSync(lost.directory, { recursive: true });
  for (const name of ['next', 'last']) {
    const daemon = daemonOn(name);
    expect(await recoverInto(daemon.directory, ...settings, '--take-over')).toMatchObject({ code: 0 });
    await daemon.start();
    await expect.poll(() => packs().filter((pack) => doomed.includes(pack)), { timeout: 60_000, interval: 100 }).toEqual([]);
    await daemon.kill();
  }
  const lists = readdirSync(join(place, 'gone'), { recursive: true, withFileTypes: true });
  expect(lists.filter((entry) => entry.isFile())).toHaveLength(1);
});
