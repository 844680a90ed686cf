/** The heap's share of the daemon's memory holds however the daemon was started. */
import { readFileSync, readlinkSync } from 'node:fs';
import { afterEach, expect, it } from 'vitest';

import { DaemonProcess } from '../harness/daemon_process.ts';

const MiB = 1 << 20;
let daemon: DaemonProcess;
afterEach(() => daemon.destroy());

it('bounds the heap of a daemon that is started without flags, under the pid that was started', async () => {
  daemon = new DaemonProcess();
  await daemon.start();
  // Of the process that we started ourselves, and will signal: no child stands between.
  expect(readlinkSync(`/proc/${daemon.pid}/exe`)).toBe(process.execPath);
  expect(await daemon.metric('skerry_heap_limit_bytes')).toBeLessThanOrEqual(304 * MiB);
  expect(
    readFileSync(`/proc/${daemon.pid}/cmdline`, 'utf8')
      .split('\0')
      .filter((word) => word.includes('old-space')),
  ).toHaveLength(1);
  expect(daemon.log).not.toMatch(/warning/i);
  expect(await daemon.json('status')).toMatchObject({ pid: daemon.pid });
  expect(await daemon.kill('SIGTERM')).toBe(0);
});

it('leaves a limit alone that somebody chose', async () => {
  daemon = new DaemonProcess({ environment: { NODE_OPTIONS: '--max-old-space-size=1000' } });
  await daemon.start();
  expect(await daemon.metric('skerry_heap_limit_bytes')).toBeGreaterThanOrEqual(1000 * MiB);
  expect(readFileSync(`/proc/${daemon.pid}/cmdline`, 'utf8')).not.toContain('old-space');
});
