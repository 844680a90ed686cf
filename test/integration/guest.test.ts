/** A guest on a clone lives through a snapshot and the daemon's death; a referee outside judges what it wrote. */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { must, packageRoot } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { Guest, makeGuest } from '../harness/guest/guest.ts';

let daemon: DaemonProcess;
let scratch: string;
let guest: Guest | null = null;

const referee = async (image: string) =>
  (await must('bash', [join(packageRoot, 'test', 'harness', 'guest', 'referee.sh'), image])).trim();

beforeAll(async () => {
  await makeGuest();
  scratch = mkdtempSync(join(tmpdir(), 'skerry-guest-'));
  daemon = new DaemonProcess();
  await daemon.start();
});

afterAll(async () => {
  guest?.kill();
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

it('a guest on a clone survives a snapshot mid-write and kill -9 without an I/O error, and its disk passes a referee', async () => {
  const blank = join(scratch, 'blank.raw');
  writeFileSync(blank, '');
  truncateSync(blank, 128 * 1024 * 1024);
  await daemon.ok('image', 'import', blank, 'blank');
  await daemon.ok('clone', 'blank', 'vm1');
  const socketPath = join(daemon.directory, 'nbd.sock');
  guest = new Guest({ socketPath, exportName: 'vm1', task: 'spin', rounds: 60 });
  await guest.mark('TICK 20');
  await daemon.ok('snapshot', 'create', 'vm1@during');
  await guest.mark('TICK 30');
  await daemon.kill();
  await sleep(1500);
  await daemon.start();
  expect(await guest.mark('SPIN-DONE')).toBe('SPIN-DONE bad=0');
  await guest.ended();
  expect(guest.marks.filter((mark) => mark.startsWith('IOERR') || mark.startsWith('FAIL'))).toEqual([]);
  expect(guest.console).not.toMatch(/I\/O error|EXT4-fs error/);

  const disk = join(scratch, 'vm1.raw');
  await must('nbdcopy', [await daemon.uri('vm1'), disk]);
  expect(await referee(disk)).toBe('fsck=0 ok=8 bad=0');
  expect(await must('bash', ['-c', `dumpe2fs -h ${disk} 2>/dev/null`])).toMatch(/features:.* has_journal .*extent/);

  // A snapshot mid-write is what a power cut leaves: the guest's own recovery makes it whole, and then a referee agrees.
  await daemon.ok('clone', 'vm1@during', 'restored');
  guest = new Guest({ socketPath, exportName: 'restored', task: 'check' });
  expect(await guest.mark('CHECK-DONE')).toMatch(/^CHECK-DONE seen=[78] bad=[01]$/);
  await guest.ended();
  expect(guest.console).not.toMatch(/I\/O error|EXT4-fs error/);
  const restored = join(scratch, 'restored.raw');
  await must('nbdcopy', [await daemon.uri('restored'), restored]);
  // No repair of the host's beforehand: it would make good what a snapshot lost. One file was being written.
  const judged = await referee(restored);
  expect(judged).toMatch(/^fsck=0 ok=[78] bad=[01]$/);

  // The referee itself is shown to notice: one flipped bit in a file's data.
  const extents = await must('bash', ['-c', `debugfs -R 'blocks f3' ${disk} 2>/dev/null`]);
  const block = Number(extents.trim().split(/\s+/)[3]);
  const blockBytes = Number(/Block size:\s+(\d+)/.exec(await must('bash', ['-c', `debugfs -R stats ${disk} 2>/dev/null`]))?.[1]);
  const file = await open(disk, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, block * blockBytes + 100);
  byte[0] = (byte[0] ?? 0) ^ 1;
  await file.write(byte, 0, 1, block * blockBytes + 100);
  await file.close();
  expect(await referee(disk)).toBe('fsck=0 ok=7 bad=1');
});
