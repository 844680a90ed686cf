/** Real NBD clients of other projects against a real daemon: what they write is what they read, and they like what they see. */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { must, run } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';

const MiB = 1024 * 1024;
let daemon: DaemonProcess;
let scratch: string;

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const part of createReadStream(path)) hash.update(part as Buffer);
  return hash.digest('hex');
}

/** A sparse image with data at odd places, some of it repeated. */
async function makeImage(path: string, sizeBytes: number): Promise<void> {
  writeFileSync(path, '');
  truncateSync(path, sizeBytes);
  const file = await open(path, 'r+');
  const repeated = randomBytes(3 * MiB);
  await file.write(repeated, 0, repeated.length, 0);
  await file.write(repeated, 0, repeated.length, 20 * MiB);
  await file.write(randomBytes(5 * MiB + 777), 0, 5 * MiB + 777, 40 * MiB + 333);
  await file.write(Buffer.from('the end'), 0, 7, sizeBytes - 7);
  await file.close();
}

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-nbd-'));
  daemon = new DaemonProcess();
  await daemon.start();
});

afterAll(async () => {
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

describe('an imported image', () => {
  it('equals its file when it is cloned, read by qemu-img and nbdcopy, and exported', async () => {
    const image = join(scratch, 'disk.raw');
    await makeImage(image, 64 * MiB);
    await daemon.ok('image', 'import', image, 'disk');
    await daemon.ok('clone', 'disk', 'fromimage');
    const uri = await daemon.uri('fromimage');
    await must('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', image, uri]);
    const copied = join(scratch, 'copied.raw');
    await must('nbdcopy', [uri, copied]);
    const exported = join(scratch, 'exported.raw');
    await daemon.ok('image', 'export', 'disk', exported);
    const expected = await sha256(image);
    expect(await sha256(copied)).toBe(expected);
    expect(await sha256(exported)).toBe(expected);
  });

  it('shares its blocks with a second import of the same file', async () => {
    const image = join(scratch, 'disk.raw');
    interface PoolView {
      readonly storedBytes: number;
    }
    const before = await daemon.json<PoolView>('pool', 'show', 'default');
    await daemon.ok('image', 'import', image, 'disk-again');
    const after = await daemon.json<PoolView>('pool', 'show', 'default');
    expect(after.storedBytes - before.storedBytes).toBeLessThan(0.01 * before.storedBytes);
  });
});

describe('a volume', () => {
  it('takes what nbdcopy writes over several connections and gives it back', async () => {
    const source = join(scratch, 'disk.raw');
    await daemon.ok('volume', 'create', 'copied', '--size', '64M');
    const uri = await daemon.uri('copied');
    await must('nbdcopy', ['--connections=4', '--flush', source, uri]);
    const back = join(scratch, 'back.raw');
    await must('nbdcopy', ['--connections=4', uri, back]);
    expect(await sha256(back)).toBe(await sha256(source));
  });

  it('tells nbdinfo what it can do, and where it holds data', async () => {
    await daemon.ok('volume', 'create', 'told', '--size', '16M', '--description', 'for nbdinfo');
    const uri = await daemon.uri('told');
    const info = JSON.parse(await must('nbdinfo', ['--json', uri])) as {
      exports: Record<string, unknown>[];
      structured: boolean;
    };
    expect(info.structured).toBe(true);
    expect(info.exports[0]).toMatchObject({
      'export-name': 'told',
      'export-size': 16 * MiB,
      is_read_only: false,
      can_multi_conn: true,
      can_flush: true,
      can_fua: true,
      can_trim: true,
      can_zero: true,
      can_fast_zero: true,
      can_cache: true,
      can_df: true,
      block_size_minimum: 1,
      block_size_preferred: 4096,
      block_size_maximum: 32 * MiB,
      contexts: ['base:allocation'],
    });
    await must('qemu-io', ['-f', 'raw', '-c', 'write -P 0x5a 1M 64k', '-c', 'flush', uri]);
    const map = JSON.parse(await must('nbdinfo', ['--json', '--map', uri])) as { offset: number; length: number; type: number }[];
    expect(map).toEqual([
      { offset: 0, length: MiB, type: 3, description: 'hole,zero' },
      { offset: MiB, length: 65536, type: 0, description: 'data' },
      { offset: MiB + 65536, length: 15 * MiB - 65536, type: 3, description: 'hole,zero' },
    ]);
    const list = await must('nbdinfo', ['--list', uri.replace('/told?', '/?')]);
    expect(list).toContain('export="told"');
    expect(list).toContain('description: for nbdinfo');
  });

  it('keeps the patterns of qemu-io at odd offsets, zeroed, discarded and rewritten', async () => {
    await daemon.ok('volume', 'create', 'patterns', '--size', '32M');
    const uri = await daemon.uri('patterns');
    const words = [
      'write -P 0x11 0 4M',
      'write -P 0x22 12345 100',
      'write -P 0x33 65530 20',
      'write -P 0x44 1000000 1000000',
      'write -z 2M 1M',
      'discard 3M 512k',
      'write -P 0x55 3200000 4096',
      'flush',
      'read -P 0x11 0 12345',
      'read -P 0x22 12345 100',
      'read -P 0x11 12445 53085',
      'read -P 0x33 65530 20',
      'read -P 0x44 1000000 1000000',
      'read -P 0 2097152 1048576',
      'read -P 0x55 3200000 4096',
      'read -P 0x11 3670016 524288',
    ];
    const checks = words.flatMap((word) => ['-c', word]);
    const first = await run('qemu-io', ['-f', 'raw', ...checks, uri]);
    expect(first.stdout + first.stderr).not.toMatch(/verification failed|error/i);
    expect(first.code).toBe(0);
    const reads = words.filter((word) => word.startsWith('read')).flatMap((word) => ['-c', word]);
    await daemon.kill();
    await daemon.start();
    const second = await run('qemu-io', ['-r', '-f', 'raw', ...reads, uri]);
    expect(second.stdout + second.stderr).not.toMatch(/verification failed|error/i);
    expect(second.code).toBe(0);
  });

  it('passes fio verify with four connections', async () => {
    await daemon.ok('volume', 'create', 'fio', '--size', '64M');
    const uri = await daemon.uri('fio');
    const jobs = [0, 1, 2, 3].flatMap((job) => [`--name=part${job}`, `--offset=${job * 16}M`, '--size=16M']);
    await must(
      'fio',
      [
        '--ioengine=nbd',
        `--uri=${uri}`,
        '--rw=randwrite',
        '--bsrange=512-128k',
        '--bs_unaligned=0',
        '--blockalign=512',
        '--iodepth=16',
        '--verify=crc32c',
        '--verify_fatal=1',
        '--fsync=64',
        '--minimal',
        ...jobs,
      ],
      { cwd: scratch },
    );
  });
});

describe('a snapshot', () => {
  it('does not change when its volume does, is read-only, and outlives a kill', async () => {
    await daemon.ok('volume', 'create', 'live', '--size', '8M');
    const uri = await daemon.uri('live');
    await must('qemu-io', ['-f', 'raw', '-c', 'write -P 0xaa 0 8M', uri]);
    await daemon.ok('snapshot', 'create', 'live@one');
    await must('qemu-io', ['-f', 'raw', '-c', 'write -P 0xbb 1M 4M', uri]);
    await daemon.ok('clone', 'live@one', 'branch');
    const snapshot = await daemon.uri('live@one');
    const branch = await daemon.uri('branch');
    const check = async () => {
      await must('qemu-io', ['-r', '-f', 'raw', '-c', 'read -P 0xaa 0 8M', snapshot]);
      await must('qemu-io', [
        '-r',
        '-f',
        'raw',
        '-c',
        'read -P 0xaa 0 1M',
        '-c',
        'read -P 0xbb 1M 4M',
        '-c',
        'read -P 0xaa 5M 3M',
        uri,
      ]);
    };
    await check();
    await must('qemu-io', ['-f', 'raw', '-c', 'read -P 0xaa 0 8M', '-c', 'write -P 0xcc 2M 64k', branch]);
    const refused = await run('qemu-io', ['-f', 'raw', '-c', 'write -P 0 0 4k', snapshot]);
    expect(refused.code).not.toBe(0);
    await daemon.kill();
    await daemon.start();
    await check();
    await must('qemu-io', ['-r', '-f', 'raw', '-c', 'read -P 0xcc 2M 64k', '-c', 'read -P 0xaa 4M 4M', branch]);
  });

  it('can go in any order, and what was cloned from it stays', async () => {
    const attached = await daemon.cli('volume', 'delete', 'live');
    expect(attached.code).toBe(4);
    expect(attached.stderr).toContain('live@one');
    await daemon.ok('snapshot', 'delete', 'live@one');
    await daemon.ok('volume', 'delete', 'live');
    const branch = await daemon.uri('branch');
    await must('qemu-io', ['-r', '-f', 'raw', '-c', 'read -P 0xcc 2M 64k', '-c', 'read -P 0xaa 4M 4M', branch]);
    expect((await daemon.cli('volume', 'show', 'live')).code).toBe(3);
  });
});
