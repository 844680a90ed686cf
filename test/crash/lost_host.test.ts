/** The daemon is killed under stamped writes and its host is lost, disk and all: what a volume with durability `pool` flushed is in its pool. */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { DaemonProcess } from '../harness/daemon_process.ts';
import { logFailpoints } from '../harness/failpoints.ts';
import { Stamper } from '../harness/stamper.ts';

const MiB = 1 << 20;
const sizeBytes = 24 * MiB;
/** A small journal, so that roots are committed while the writes go on. */
const config = { journalBytesMax: '64M', segmentBytes: '4M', ringBytes: '16M', overlayBytesMax: '8M', poolKeptBytesMax: '1M' };

let daemon: DaemonProcess;
let stamper: Stamper | null = null;

beforeEach(async () => {
  daemon = new DaemonProcess({ config });
  await daemon.start();
});

afterEach(async () => {
  stamper?.close();
  stamper = null;
  await daemon.destroy();
  rmSync(`${daemon.directory}-far`, { recursive: true, force: true });
});

async function stamped(...how: readonly string[]): Promise<Stamper> {
  await daemon.ok('volume', 'create', 'stamped', '--size', String(sizeBytes), '--durability', 'pool', ...how);
  stamper = new Stamper(await daemon.uri('stamped'), sizeBytes, 20_261_123);
  return stamper;
}

async function onFarPool(): Promise<Stamper> {
  const place = `directory=${daemon.directory}-far`;
  await daemon.ok('pool', 'create', 'far', '--driver', 'local', '--set', place, '--set', 'direct-path=off');
  return stamped('--pool', 'far');
}

/** Stamps for a while, until the daemon is killed or has killed itself; how many flushes were answered. */
async function run(client: Stamper, milliseconds: number): Promise<number> {
  const running = client.ask('run');
  if (milliseconds > 0) await sleep(milliseconds);
  if (milliseconds > 0) await daemon.kill();
  else expect(await daemon.gone()).toBe('SIGKILL');
  const [word, , flushed] = (await running).split(' ');
  expect(word).toBe('broken');
  return Number(flushed);
}

describe('a volume with durability pool', () => {
  it('loses no flushed write with its host, a power cut or a kill, in any order', async () => {
    const client = await onFarPool();
    let flushed = 0;
    for (const end of ['host', 'kill', 'host', 'power', 'host', 'host', 'kill', 'power', 'kill', 'host']) {
      flushed += await run(client, 600);
      if (end === 'power') daemon.wipeRing();
      if (end === 'host') daemon.loseHost();
      await daemon.start();
      expect(`${end}: ${await client.ask(end === 'kill' ? 'check' : 'check-flushed')}`).toBe(`${end}: ok`);
    }
    expect(flushed).toBeGreaterThan(10);
    // What is in a root is no longer in the log.
    await daemon.ok('snapshot', 'create', 'stamped@end');
    const logs = (): readonly string[] =>
      readdirSync(`${daemon.directory}-far/logs`, { recursive: true, encoding: 'utf8' }).filter((name) => name.length > 49);
    await expect.poll(() => logs().length, { timeout: 20_000 }).toBeLessThan(3);
  });

  it.each(logFailpoints)('loses none where the daemon dies at %s too', async (name) => {
    const client = await onFarPool();
    if (name === 'log-chunk-put') {
      await daemon.kill();
      daemon.environment = { SKERRY_FAILPOINT: `${name}:20` };
      await daemon.start();
      expect(await client.ask('check-flushed')).toBe('ok');
      await run(client, 0);
    } else {
      await run(client, 600);
    }
    daemon.loseHost();
    if (name !== 'log-chunk-put') {
      daemon.environment = { SKERRY_FAILPOINT: `${name}:1` };
      await expect(daemon.start()).rejects.toThrow(/SIGKILL/);
    }
    daemon.environment = {};
    await daemon.start();
    expect(await client.ask('check-flushed')).toBe('ok');
  });

  it('has its snapshots and its size where its host is lost right after they were answered', async () => {
    await onFarPool();
    await daemon.ok('snapshot', 'create', 'stamped@a');
    await daemon.ok('volume', 'resize', 'stamped', '48M');
    await daemon.kill();
    daemon.loseHost();
    await daemon.start();
    expect(await daemon.json('volume', 'show', 'stamped')).toMatchObject({ sizeBytes: 48 * MiB, durability: 'pool' });
    expect(await daemon.json('snapshot', 'list', 'stamped')).toMatchObject([{ name: 'stamped@a', sizeBytes, pending: false }]);
  });

  it('is recovered from the pool alone with all that was flushed', async () => {
    const client = await stamped();
    // Another life than the one that made the volume, of which the pool must know too.
    await daemon.kill();
    await daemon.start();
    const flushed = await run(client, 1500);
    expect(flushed).toBeGreaterThan(0);
    daemon.loseHost();
    rmSync(join(daemon.directory, 'catalog'), { recursive: true });
    const recovered = await daemon.cli('pool', 'recover');
    expect(recovered.stderr + recovered.stdout).toContain('stamped');
    await daemon.start();
    expect(await client.ask('check-flushed')).toBe('ok');
  });
});
