/** A daemon that stands still, and one whose file system goes read-only under it, while random requests run. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';

import { DaemonProcess } from '../harness/daemon_process.ts';
import { FsxWorld } from '../harness/fsx_world.ts';
import { canMount, SmallDisk } from '../harness/small_disk.ts';

const MiB = 1 << 20;
const seed = Number(process.env['SKERRY_FSX_SEED'] ?? 20_261_123);
let world: FsxWorld | null = null;
let disk: SmallDisk | null = null;

afterEach(async () => {
  await world?.destroy();
  await disk?.remove();
  world = null;
  disk = null;
});

const answered = async (running: FsxWorld): Promise<number> => Number(await running.fsx.ask('stall', ...running.volumes));

it('a daemon that is stopped and goes on loses nothing, and no second one takes its place meanwhile', async () => {
  world = new FsxWorld(seed);
  await world.begin();
  await world.load();
  for (let round = 0; round < 5; round += 1) {
    await sleep(200);
    process.kill(world.daemon.pid, 'SIGSTOP');
    // What was answered before it stopped may still be on its way to the client; then nothing comes any more.
    let before = -1;
    for (let now = await answered(world); now !== before; now = await answered(world)) {
      before = now;
      await sleep(400);
    }
    if (round === 0) {
      const second = new DaemonProcess({ directory: world.daemon.directory });
      await expect(second.start()).rejects.toThrow(/another daemon|in use|locked/i);
    }
    process.kill(world.daemon.pid, 'SIGCONT');
    await expect.poll(() => answered(world as FsxWorld), { timeout: 120_000, interval: 50 }).toBeGreaterThan(before);
    if (round === 2) await world.verbUnderLoad();
  }
  await world.settle();
  await world.check();
  await world.load();
  await sleep(100);
  process.kill(world.daemon.pid, 'SIGSTOP');
  await world.daemon.kill();
  await world.died();
  await world.start();
  await world.recovered();
  await world.checkSnapshots();
});

describe.skipIf(!canMount)('a file system that goes read-only (skipped: mounting one takes root)', () => {
  it('makes every write an error, is told by status, and nothing flushed is missing once it is writable again', async () => {
    disk = await SmallDisk.make(1024 * MiB);
    world = new FsxWorld(seed, { directory: join(disk.path, 'data') });
    await world.begin();
    await world.load();
    await sleep(500);
    await world.snapshot(world.volumes[0] ?? '');
    // Whether writes to such a file system end with EIO or with EROFS is up to its state; NBD's word for EROFS is EPERM.
    await world.fsx.ask('tolerate', 'EIO', 'ENOSPC', 'EPERM');
    await disk.goReadOnly();
    await expect
      .poll(async () => (await world?.fsx.ask('refused')) ?? '', { timeout: 120_000, interval: 100 })
      .toMatch(/(EIO|EPERM)=\d+/);
    expect(await world.daemon.ok('status')).toMatch(/^DEGRADED {2}READ-ONLY: nothing is written any more/);
    await world.settle();
    await world.fsx.ask('tolerate');
    await world.daemon.kill();
    await world.died();
    await disk.mountAgain();
    await world.start();
    // The file system died with what it had not written: to it that was the death of the host. A large write that no flush covered may
    // be missing, and then all that the volume was told after it, never what was flushed.
    await world.recovered({ flushed: true });
    await world.checkSnapshots();
    expect(await world.daemon.json('status')).toMatchObject({ healthy: true });
  });
});
