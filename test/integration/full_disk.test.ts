/** A disk that fills up: writes are refused with ENOSPC and nothing that was acknowledged is lost; all else goes on. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { must, packageRoot, run } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { requests } from '../harness/requests.ts';
import { canMount, SmallDisk } from '../harness/small_disk.ts';

const MiB = 1 << 20;
const diskBytes = 384 * MiB;
/** What the daemon keeps for trims, deletions and roots. */
const reserveBytes = 64 * MiB;
const volumeBytes = 512 * MiB;

interface Filled {
  readonly acked: number;
  readonly refused: number;
  readonly errors: Readonly<Record<string, number>>;
}

describe.skipIf(!canMount)('a full disk (skipped: mounting a small one takes root)', () => {
  let disk: SmallDisk;
  let daemon: DaemonProcess;
  let scratch: string;

  beforeEach(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'skerry-full-'));
    disk = await SmallDisk.make(diskBytes);
    // Small segments of a large journal: it would grow into the reserve, were that not guarded.
    const config = { segmentBytes: '8M', ringBytes: '16M', journalBytesMax: '512M' };
    daemon = new DaemonProcess({ directory: join(disk.path, 'data'), config });
    await daemon.start();
  });

  afterEach(async () => {
    await daemon.destroy();
    await disk.remove();
    rmSync(scratch, { recursive: true, force: true });
  });

  const filler = async (...words: readonly string[]) =>
    JSON.parse(await must('/usr/bin/python3', [join(packageRoot, 'test', 'harness', 'filler.py'), ...words])) as unknown;
  const ledger = () => join(scratch, 'ledger.json');
  const fill = async (name: string, seed: number, refusals = 200) =>
    (await filler('fill', await daemon.uri(name), ledger(), String(volumeBytes), String(seed), String(refusals))) as Filled;
  const expectAllThere = async (name: string) =>
    expect(await filler('check', await daemon.uri(name), ledger())).toMatchObject({ wrong: [] });
  /** The daemon looks at its disk now and then: it need not see at once that somebody made room. */
  const expectRoomAgain = () => expect.poll(() => daemon.metric('skerry_pool_full'), { timeout: 60_000, interval: 100 }).toBe(0);
  const expectFull = async () => {
    expect(await daemon.ok('status')).toMatch(
      /^DEGRADED {2}FULL: pool default takes no more data[^\n]*ENOSPC[^\n]*skerry pool gc default/,
    );
    expect(await daemon.metric('skerry_pool_full')).toBe(1);
  };

  it('refuses writes with ENOSPC, never EIO, and keeps every one that it acknowledged', async () => {
    await daemon.ok('volume', 'create', 'v', '--size', String(volumeBytes));
    const filled = await fill('v', 1);
    expect(filled.errors).toEqual({ ENOSPC: filled.refused });
    expect(filled.acked).toBeGreaterThan(1000);
    await expectFull();
    // The journal and the packs together have left the reserve alone, give or take the roots that were paid from it.
    expect(await disk.freeBytes()).toBeGreaterThan(reserveBytes / 2);
    await expectAllThere('v');
    expect(await requests(await daemon.uri('v'), [['flush']])).toEqual(['ok']);

    await daemon.kill();
    await daemon.start();
    await expectAllThere('v');
    await expectFull();
    await daemon.kill('SIGTERM');
    daemon.wipeRing();
    await daemon.start();
    await expectAllThere('v');
  });

  it('goes on with reads, trims, flushes, snapshots and deletions, and starts again as often as it is killed', async () => {
    await daemon.ok('volume', 'create', 'v', '--size', String(volumeBytes));
    await daemon.ok('volume', 'create', 'other', '--size', '1M');
    await fill('v', 2);
    await daemon.ok('snapshot', 'create', 'v@full');
    await daemon.ok('volume', 'create', 'more', '--size', '1M');
    const uri = await daemon.uri('v');
    const trims = Array.from({ length: 32 }, (_, i) => ['trim', i * 2 * MiB, MiB] as const);
    expect(new Set(await requests(uri, [...trims, ['zero', 64 * MiB, MiB], ['flush'], ['read', 2 * MiB, MiB, 0]]))).toEqual(
      new Set(['ok']),
    );
    expect(await requests(await daemon.uri('other'), [['write', 0, 4096, 1]])).toEqual(['ENOSPC']);
    await expectAllThere('v@full');
    for (let again = 0; again < 4; again += 1) {
      await daemon.kill();
      await daemon.start();
    }
    expect(await requests(uri, [['read', 2 * MiB, MiB, 0]])).toEqual(['ok']);
    await expectAllThere('v@full');
    await daemon.ok('snapshot', 'delete', 'v@full');
    for (const name of ['v', 'other', 'more']) await daemon.ok('volume', 'delete', name);
    expect(await daemon.json('volume', 'list')).toEqual([]);
  });

  it('ends an import with a clear error, and nothing of it is left', async () => {
    const image = join(scratch, 'image.raw');
    writeFileSync(image, Buffer.concat(Array.from({ length: 6 }, () => randomBytes(64 * MiB))));
    const outcome = await daemon.cli('image', 'import', image, 'image');
    expect(outcome).toMatchObject({ code: 1, stdout: '' });
    expect(outcome.stderr).toMatch(/the import of image failed: [^\n]*disk is full/i);
    expect(await daemon.json('image', 'list')).toEqual([]);
    expect(readdirSync(join(disk.path, 'data')).some((name) => name.includes('image'))).toBe(false);
    // Its name is free, and the daemon as sound as before.
    writeFileSync(image, Buffer.alloc(MiB));
    await daemon.ok('image', 'import', image, 'image');
    expect((await run('qemu-io', ['-r', '-f', 'raw', '-c', 'read -P 0 0 1M', await clone('image')])).code).toBe(0);
  });

  it('takes writes again by itself once there is room', async () => {
    const ballast = join(disk.path, 'ballast');
    await must('fallocate', ['-l', String(160 * MiB), ballast]);
    await daemon.ok('volume', 'create', 'v', '--size', String(volumeBytes));
    await fill('v', 3);
    await expectFull();
    rmSync(ballast);
    await expectRoomAgain();
    const more = await fill('v', 4);
    expect(more.acked).toBeGreaterThan(1000);
    expect(more.errors).toEqual({ ENOSPC: more.refused });
    await expectAllThere('v');
  });

  it('gives space back where there is none: what half lives is moved, and can be written again', async () => {
    await daemon.ok('volume', 'create', 'v', '--size', String(volumeBytes));
    await fill('v', 8);
    await expectFull();
    const uri = await daemon.uri('v');
    const before = await copied(uri, 'before');
    // Of each pack a quarter stays wanted.
    const trims = Array.from({ length: volumeBytes / (4 * MiB) }, (_, i) => ['trim', (4 * i + 1) * MiB, 3 * MiB] as const);
    expect(new Set(await requests(uri, [...trims, ['flush']]))).toEqual(new Set(['ok']));
    await expect
      .poll(
        async () => {
          const { state, freedBytes } = await daemon.json<{ state: string; freedBytes: number }>('pool', 'gc');
          expect(state).toBe('done');
          return freedBytes;
        },
        { timeout: 120_000, interval: 500 },
      )
      .toBeGreaterThan(32 * MiB);
    await expectRoomAgain();
    const after = await copied(uri, 'after');
    const zeroes = Buffer.alloc(3 * MiB);
    for (let at = 0; at < volumeBytes; at += 4 * MiB) {
      expect(after.subarray(at, at + MiB).equals(before.subarray(at, at + MiB)), `at ${at}`).toBe(true);
      expect(after.subarray(at + MiB, at + 4 * MiB).equals(zeroes), `at ${at}`).toBe(true);
    }
    await daemon.ok('volume', 'create', 'w', '--size', String(volumeBytes));
    rmSync(ledger());
    const more = await fill('w', 9);
    expect(more.acked).toBeGreaterThan(1000);
    await expectAllThere('w');
    await daemon.kill();
    await daemon.start();
    await expectAllThere('w');
  });

  it('that somebody else fills to the last byte loses nothing either', async () => {
    await daemon.ok('volume', 'create', 'v', '--size', String(volumeBytes));
    await must('fallocate', ['-l', String(150 * MiB), join(disk.path, 'ballast')]);
    await fill('v', 5, 1);
    // Gone with it: the reserve.
    await run('dd', ['if=/dev/zero', `of=${join(disk.path, 'thief')}`, 'bs=1M']);
    const filled = await fill('v', 6);
    expect(filled.errors).toEqual({ ENOSPC: filled.refused });
    await expectAllThere('v');
    await daemon.kill();
    await daemon.start();
    await expectAllThere('v');
    await expectFull();
    rmSync(join(disk.path, 'thief'));
    rmSync(join(disk.path, 'ballast'));
    await expectRoomAgain();
    const more = await fill('v', 7);
    expect(more.acked).toBeGreaterThan(100);
    await expectAllThere('v');
  });

  const copied = async (uri: string, name: string) => {
    await must('nbdcopy', [uri, join(scratch, name)]);
    return readFileSync(join(scratch, name));
  };
  const clone = async (image: string) => {
    await daemon.ok('clone', image, 'of-image');
    return daemon.uri('of-image');
  };
});
