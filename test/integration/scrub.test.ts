/**
 * Rot on the disk is found before a client needs the page: a disk of its own under the data directory, whose bytes are changed
 * beneath the file system, so that the page cache may still have what the disk has lost.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { must, run } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { filesBelow } from '../harness/damage.ts';
import { PinnedFiles } from '../harness/pinned_files.ts';
import { canMount, SmallDisk } from '../harness/small_disk.ts';

const MiB = 1 << 20;
const image_bytes = 72 * MiB;
const page_bytes = 4096;

interface Scrub {
  readonly state: string;
  readonly records: number;
  readonly damaged: number;
  readonly repaired: number;
  readonly lost: number;
  readonly open: number;
  readonly findings: readonly { readonly resource: { readonly name: string } | null; readonly repaired: boolean }[];
}

describe.skipIf(!canMount)('rot at rest (skipped: mounting a disk of its own takes root)', () => {
  let disk: SmallDisk;
  let daemon: DaemonProcess;
  let scratch: string;
  let content: Buffer;

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'skerry-scrub-'));
    disk = await SmallDisk.make(640 * MiB);
    daemon = new DaemonProcess({ directory: join(disk.path, 'data'), config: { gcSeconds: 0, scrubSeconds: 0 } });
    await daemon.start();
    // More than a pack, so that one is sealed.
    content = randomBytes(image_bytes);
    writeFileSync(join(scratch, 'image.raw'), content);
    await daemon.ok('image', 'import', join(scratch, 'image.raw'), 'image');
    await daemon.ok('clone', 'image', 'disk');
  });

  afterAll(async () => {
    await daemon.destroy();
    await disk.remove();
    rmSync(scratch, { recursive: true, force: true });
  });

  /** A bit of this page, where the device keeps it. The file system does not learn of it, nor does the page cache. */
  function rot(page: number): void {
    const wanted = content.subarray(page * page_bytes + 64, page * page_bytes + 128);
    const file = openSync(disk.device, 'r+');
    try {
      const piece = Buffer.alloc(8 * MiB);
      for (let at = 0; ; at += piece.length - wanted.length) {
        const got = readSync(file, piece, 0, piece.length, at);
        if (got < wanted.length) throw new Error('the page is not on the disk');
        const found = piece.subarray(0, got).indexOf(wanted);
        if (found < 0) continue;
        writeSync(file, Buffer.of((wanted[0] ?? 0) ^ 0x20), 0, 1, at + found);
        return;
      }
    } finally {
      closeSync(file);
    }
  }

  const read = async (): Promise<number[]> => {
    const wrong: number[] = [];
    const { stdout } = await run('/usr/bin/python3', [
      '-c',
      [
        'import nbd, sys',
        'h = nbd.NBD(); h.connect_uri(sys.argv[1]); want = open(sys.argv[2], "rb").read()',
        `for page in range(${image_bytes / page_bytes}):`,
        '  try: good = h.pread(4096, page * 4096) == want[page * 4096:page * 4096 + 4096]',
        '  except nbd.Error: good = None',
        '  if good is None: print(page)',
        '  elif not good: print(-1)',
      ].join('\n'),
      await daemon.uri('disk'),
      join(scratch, 'image.raw'),
    ]);
    for (const line of stdout.split('\n')) if (line !== '') wrong.push(Number(line));
    return wrong;
  };

  it('of a sound pool everything is read, and all is well', async () => {
    const text = await daemon.ok('pool', 'scrub');
    expect(text).toMatch(/all is well/);
    const view = await daemon.json<Scrub>('pool', 'scrub', '--status');
    expect(view).toMatchObject({ state: 'done', damaged: 0, open: 0, findings: [] });
    expect(view.records).toBeGreaterThan(900);
    expect(await daemon.metric('skerry_scrub_read_bytes_total')).toBeGreaterThan(60 * MiB);
  });

  it('what the page cache still has is put again, durably', async () => {
    expect(await read()).toEqual([]);
    const held = await PinnedFiles.pin(filesBelow(daemon.directory, '.pack'));
    rot(2050);
    // No reader has noticed: the cache has it.
    expect(await read()).toEqual([]);
    const outcome = await daemon.cli('pool', 'scrub', '--json');
    await held.release();
    expect(outcome.code).toBe(0);
    expect(JSON.parse(outcome.stdout)).toMatchObject({ damaged: 1, repaired: 1, lost: 0, open: 0 });
    await daemon.kill();
    await disk.mountAgain();
    await daemon.start();
    expect(await read()).toEqual([]);
    expect(await daemon.json('status')).toMatchObject({ healthy: true });
  });

  it('what nothing else has is told with who has it, stays an error for that page alone, and heals when it is written again', async () => {
    await daemon.kill('SIGTERM');
    rot(5000);
    await disk.mountAgain();
    await daemon.start();
    const outcome = await daemon.cli('pool', 'scrub');
    expect(outcome.code).toBe(1);
    expect(outcome.stdout).toMatch(/1 open finding/);
    const view = await daemon.json<Scrub>('pool', 'scrub', '--status').catch(() => null);
    expect(view).toBeNull(); // it ends with 1 as well
    const { stdout } = await daemon.cli('pool', 'scrub', '--status', '--json');
    const told = JSON.parse(stdout) as Scrub;
    expect(told).toMatchObject({ lost: 1, open: 1 });
    expect(told.findings.filter(({ repaired }) => !repaired).map(({ resource }) => resource?.name)).toEqual([
      expect.stringMatching(/^(image|disk)$/),
    ]);
    expect(await read()).toEqual([5000]);
    expect(await daemon.ok('status')).toMatch(/^DEGRADED {2}ROTTEN/);
    // The same content, from anywhere: what has rotted is never taken for it.
    await daemon.ok('image', 'import', join(scratch, 'image.raw'), 'again');
    expect(await read()).toEqual([]);
    expect((await daemon.cli('pool', 'scrub')).code).toBe(0);
  });

  it('a run beside fio disturbs neither, and a collection waits its turn', async () => {
    await daemon.ok('volume', 'create', 'busy', '--size', '64M');
    const fio = must('fio', [
      '--name=busy',
      '--ioengine=nbd',
      `--uri=${await daemon.uri('busy')}`,
      '--rw=randwrite',
      '--bs=16k',
      '--size=64m',
      '--io_size=96m',
      '--verify=crc32c',
      '--do_verify=1',
      '--verify_state_save=0',
      '--minimal',
    ]);
    for (let again = 0; again < 3; again += 1) expect((await daemon.cli('pool', 'scrub')).code).toBe(0);
    await fio;
    expect(await read()).toEqual([]);
  });
});
