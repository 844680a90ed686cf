/**
 * A host is booted, in order or after a power cut, while a pool of its volumes is away: whether the daemon serves them, and that nothing of what
 * was flushed is missing once it does.
 */
import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { blockFolders } from '../harness/blocked_folders.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { NbdSession } from '../harness/nbd_session.ts';
import { Stamper } from '../harness/stamper.ts';

const MiB = 1 << 20;
const sizeBytes = 24 * MiB;
/** A small journal, so that roots are committed while the writes go on. */
const config = { journalBytesMax: '64M', segmentBytes: '4M', ringBytes: '16M', overlayBytesMax: '8M', poolKeptBytesMax: '1M' };

let daemon: DaemonProcess;
let stamper: Stamper;

beforeEach(async () => {
  daemon = new DaemonProcess({ config });
  await daemon.start();
  const place = `directory=${daemon.directory}-far`;
  await daemon.ok('pool', 'create', 'far', '--driver', 'local', '--set', place, '--set', 'direct-path=off');
  await daemon.ok('volume', 'create', 'stamped', '--size', String(sizeBytes), '--durability', 'pool', '--pool', 'far');
  await daemon.ok('volume', 'create', 'near', '--size', '16M');
  stamper = new Stamper(await daemon.uri('stamped'), sizeBytes, 20_261_123);
});

afterEach(async () => {
  stamper.close();
  await daemon.destroy();
  rmSync(`${daemon.directory}-far`, { recursive: true, force: true });
});

/** Until the daemon is killed under it; at least one flush was answered. */
async function stampUntilKilled(): Promise<void> {
  for (let milliseconds = 600; ; milliseconds *= 2) {
    const running = stamper.ask('run');
    await sleep(milliseconds);
    await daemon.kill();
    if (Number((await running).split(' ')[2]) > 0) return;
    await daemon.start();
    expect(await stamper.ask('check')).toBe('ok');
  }
}

/** From here on nothing can be put there or read, as if the backend failed. */
const takeAway = (): (() => void) => blockFolders(`${daemon.directory}-far`, ['logs', 'roots', 'packs', 'pool', 'health']);

const metrics = async (): Promise<string> => (await fetch(`http://${daemon.ready?.listeners['http']}/metrics`)).text();

interface Shown {
  readonly unavailable: string | null;
}
const unavailable = async (): Promise<string | null> => (await daemon.json<Shown>('volume', 'show', 'stamped')).unavailable;

async function flushTo(name: string): Promise<void> {
  const session = await NbdSession.open(await daemon.uri(name));
  expect(await session.ask('write', 0, 4096, 7)).toBe('');
  expect(await session.ask('flush')).toBe('');
  await session.close();
}

it('after a power cut all else is served, and the volume by itself once the pool answers, with every flushed write', async () => {
  await stampUntilKilled();
  daemon.wipeRing();
  const bringBack = takeAway();
  await daemon.start();
  const why = await unavailable();
  expect(why).toMatch(/volume stamped is not served yet.*pool far.*skerry pool show far/);
  expect((await daemon.cli('volume', 'list')).stdout).toMatch(/stamped .*unavailable/);
  expect(await daemon.ok('volume', 'show', 'stamped')).toContain('skerry pool show far');
  expect((await daemon.cli('status')).stdout).toMatch(/UNREAD: a volume is not served before pool far answers/);
  expect(await metrics()).toContain('skerry_volumes_unread{pool="far"} 1');
  for (const words of [
    ['snapshot', 'create', 'stamped@a'],
    ['volume', 'create', 'copy', '--from', 'stamped'],
    ['volume', 'resize', 'stamped', '48M'],
    ['volume', 'move', 'stamped', '--pool', 'default'],
    ['volume', 'delete', 'stamped'],
    ['pool', 'gc', 'far'],
  ]) {
    const { code, stderr } = await daemon.cli(...words);
    expect(`${words.join(' ')}: ${code} ${stderr}`).toMatch(/: 1 .*pool (show )?far/s);
  }
  await flushTo('near');
  // A kill, another power cut and an orderly end change nothing of that.
  for (const end of ['kill', 'power', 'order']) {
    await daemon.kill(end === 'order' ? 'SIGTERM' : 'SIGKILL');
    if (end === 'power') daemon.wipeRing();
    await daemon.start();
    expect(`${end}: ${await unavailable()}`).toContain('pool far');
  }
  bringBack();
  await expect.poll(unavailable, { timeout: 60_000, interval: 100 }).toBeNull();
  expect(await stamper.ask('check-flushed')).toBe('ok');
  expect(await metrics()).not.toContain('skerry_volumes_unread{');
  await daemon.ok('snapshot', 'create', 'stamped@a');
  // And it is written to again, and loses nothing with its host.
  await stampUntilKilled();
  daemon.loseHost();
  await daemon.start();
  expect(await stamper.ask('check-flushed')).toBe('ok');
});

it('a daemon that ended in order serves it after a boot while its pool is away', async () => {
  await stampUntilKilled();
  await daemon.start();
  expect(await stamper.ask('check')).toBe('ok');
  expect(await daemon.kill('SIGTERM')).toBe(0);
  daemon.wipeRing();
  const bringBack = takeAway();
  const before = daemon.log.length;
  await daemon.start();
  expect(await unavailable()).toBeNull();
  expect(daemon.log.slice(before)).not.toMatch(/the journal here may lack/);
  const session = await NbdSession.open(await daemon.uri('stamped'));
  expect(await session.ask('size')).toBe(String(sizeBytes));
  await session.close();
  bringBack();
  // What lies in packs that only the pool has can be read once it is seen to be back.
  const healthy = async (): Promise<boolean> => (await daemon.json<{ healthy: boolean }>('pool', 'show', 'far')).healthy;
  await expect.poll(healthy, { timeout: 60_000, interval: 100 }).toBe(true);
  expect(await stamper.ask('check')).toBe('ok');
});

it('what was flushed since is read from the pool again after a kill and a power cut, though the life before ended in order', async () => {
  expect(await daemon.kill('SIGTERM')).toBe(0);
  daemon.wipeRing();
  await daemon.start();
  // Life after life: what the mark of an end says holds for the start after it alone.
  for (let life = 0; life < 3; life += 1) {
    await stampUntilKilled();
    daemon.wipeRing();
    const before = daemon.log.length;
    await daemon.start();
    expect(daemon.log.slice(before)).toMatch(/the journal here may lack what its log has/);
    expect(await stamper.ask('check-flushed')).toBe('ok');
    expect(await daemon.kill('SIGTERM')).toBe(0);
    daemon.wipeRing();
    const ended = daemon.log.length;
    await daemon.start();
    expect(daemon.log.slice(ended)).not.toMatch(/the journal here may lack/);
    expect(await stamper.ask('check')).toBe('ok');
  }
});
