/** A volume goes round from one real backend to the next, with a guest and fio on it, and the daemon is killed on each way. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { MoveView, ResourceView } from '../../src/api/shapes.js';
import { type Backend, setWords, startGluster, startNfs, startRados, startS3 } from '../harness/backends.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { complaint, FioPasses } from '../harness/fio_passes.ts';
import { Guest, makeGuest } from '../harness/guest/guest.ts';
import { whyMissing } from '../services/service.ts';

const MiB = 1 << 20;
const config = {
  journalBytesMax: '128M',
  segmentBytes: '4M',
  ringBytes: '16M',
  overlayBytesMax: '16M',
  blockCacheBytesMax: '4M',
};
const missing =
  (['ceph', 'radosgw', 'gluster', 'nfs'] as const).map((name) => whyMissing(name)).find((why) => why !== null) ?? null;

describe.skipIf(missing !== null)(`from backend to backend${missing === null ? '' : ` (skipped: ${missing})`}`, () => {
  const backends: Backend[] = [];
  let daemon: DaemonProcess;
  let scratch: string;
  let guest: Guest | null = null;
  let fio: FioPasses | null = null;

  beforeAll(async () => {
    await makeGuest();
    for (const start of [startRados, startS3, startGluster, startNfs]) backends.push(await start());
    scratch = mkdtempSync(join(tmpdir(), 'skerry-round-'));
    daemon = new DaemonProcess({ config });
    await daemon.start();
    for (const backend of backends) {
      const { driver } = backend;
      await daemon.ok('pool', 'create', driver, '--driver', driver, ...setWords(backend.settings('round')));
    }
  });

  afterAll(async () => {
    await fio?.kill();
    guest?.kill();
    await daemon.destroy();
    rmSync(scratch, { recursive: true, force: true });
    for (const backend of backends) await backend.stop();
  });

  it('a guest sees pauses and no error, and fio reads what it wrote, whatever is killed on the way', async () => {
    await daemon.ok('volume', 'create', 'vm1', '--size', '128M', '--pool', 'rados');
    await daemon.ok('volume', 'create', 'data', '--size', '64M', '--pool', 'rados');
    const passes = new FioPasses({
      uri: () => daemon.uri('data'),
      areas: [0, 1, 2].map((area) => ({ offset: area * 16 * MiB, bytes: 16 * MiB })),
      verify: 'crc32c',
      scratch,
      rateBytes: 16 * MiB,
    });
    fio = passes;
    const running = new Guest({ socketPath: join(daemon.directory, 'nbd.sock'), exportName: 'vm1', task: 'spin', rounds: 240 });
    guest = running;
    await running.mark('TICK 10');
    for (const to of ['s3', 'gluster', 'nfs', 'default', 'rados']) {
      const begun = passes.count;
      passes.start();
      while (passes.count <= begun + 1 && passes.failure === null) await sleep(20);
      for (const name of ['vm1', 'data']) void daemon.cli('volume', 'move', name, '--pool', to);
      // fio has no way to connect again, so it ends before the kill; the guest does not.
      await sleep(100 + Math.random() * 1500);
      await passes.stop();
      expect(passes.failure).toBeNull();
      await daemon.kill();
      await daemon.start();
      for (const name of ['vm1', 'data']) {
        // Where it had ended before the kill, the command says so; right after a start it may find a pool that is not open yet.
        const state = async (): Promise<string> => {
          const move = daemon.json<MoveView>('volume', 'move', name, '--pool', to);
          return (
            await move.catch((error: unknown) => ({
              state: /is in pool \w+ already/.test(String(error)) ? 'done' : String(error),
            }))
          ).state;
        };
        await expect.poll(state).toBe('done');
        expect(await daemon.json<ResourceView>('volume', 'show', name)).toMatchObject({ pool: to });
      }
      for (const pass of passes.finished) expect(await complaint(await daemon.uri('data'), pass, scratch)).toBeNull();
    }
    expect(await running.mark('SPIN-DONE')).toBe('SPIN-DONE bad=0');
    await running.ended();
    expect(running.marks.filter((mark) => mark.startsWith('IOERR') || mark.startsWith('FAIL'))).toEqual([]);
    expect(running.console).not.toMatch(/I\/O error|EXT4-fs error/);
    for (const { driver } of backends.slice(1)) {
      await daemon.ok('pool', 'gc', driver);
      // But for the newest pack nothing is left.
      const { storedBytes } = await daemon.json<{ readonly storedBytes: number }>('pool', 'show', driver);
      expect(storedBytes).toBeLessThanOrEqual(32 * MiB);
      await daemon.ok('pool', 'delete', driver);
    }
  });
});
