/** Volumes that are resized, rolled back, renamed and held to a rate, while real clients look on and the daemon is killed. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { must, run } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { NbdSession } from '../harness/nbd_session.ts';

const MiB = 1024 * 1024;
let daemon: DaemonProcess;
let scratch: string;

interface View {
  readonly name: string;
  readonly sizeBytes: number;
  readonly pending: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly limit: { readonly iops: number };
}

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-reshape-'));
  daemon = new DaemonProcess();
  await daemon.start();
});

afterAll(async () => {
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

async function write(name: string, ...commands: readonly string[]): Promise<void> {
  await must('qemu-io', ['-f', 'raw', ...commands.flatMap((command) => ['-c', `write ${command}`]), await daemon.uri(name)]);
}

/** Every pattern, or the test fails with what qemu-io found. */
async function holds(name: string, ...commands: readonly string[]): Promise<void> {
  const words = commands.flatMap((command) => ['-c', `read ${command}`]);
  const { code, stdout, stderr } = await run('qemu-io', ['-r', '-f', 'raw', ...words, await daemon.uri(name)]);
  expect({ name, code, bad: (stdout + stderr).match(/.*(?:verification failed|error).*/gi) }).toEqual({
    name,
    code: 0,
    bad: null,
  });
}

async function sizeOf(name: string): Promise<number> {
  return Number(await must('nbdinfo', ['--size', await daemon.uri(name)]));
}

/** Until what was written is in the pool: a snapshot is destaged at once. */
async function destaged(volume: string): Promise<void> {
  await daemon.ok('snapshot', 'create', `${volume}@destage`);
  for (;;) {
    const [view] = (await daemon.json<View[]>('snapshot', 'list', volume)).filter(({ name }) => name === `${volume}@destage`);
    if (view?.pending === false) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await daemon.ok('snapshot', 'delete', `${volume}@destage`);
}

async function killed(): Promise<void> {
  await daemon.kill();
  await daemon.start();
}

describe('a volume that is resized', () => {
  it('reads zero where it was cut off, also after a destage, a kill and a power cut', async () => {
    await daemon.ok('volume', 'create', 'cut', '--size', '8M');
    await write('cut', '-P 0x11 0 8M');
    await daemon.ok('snapshot', 'create', 'cut@whole');
    const refused = await daemon.cli('volume', 'resize', 'cut', '3M');
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toContain('--shrink');
    // 3 MiB and a page: in the middle of a block.
    await daemon.ok('volume', 'resize', 'cut', String(3 * MiB + 4096), '--shrink');
    expect(await sizeOf('cut')).toBe(3 * MiB + 4096);
    await killed();
    expect(await sizeOf('cut')).toBe(3 * MiB + 4096);
    await daemon.ok('volume', 'resize', 'cut', '12M');
    const expected = [`-P 0x11 0 ${3 * MiB + 4096}`, `-P 0 ${3 * MiB + 4096} ${9 * MiB - 4096}`];
    await holds('cut', ...expected);
    await destaged('cut');
    await holds('cut', ...expected);
    await daemon.kill();
    daemon.wipeRing();
    await daemon.start();
    expect(await sizeOf('cut')).toBe(12 * MiB);
    await holds('cut', ...expected);
    await holds('cut@whole', '-P 0x11 0 8M');
    expect(await sizeOf('cut@whole')).toBe(8 * MiB);
  });

  it('serves those who attach it anew, and refuses those who stay what lies past its end', async () => {
    await daemon.ok('volume', 'create', 'seen', '--size', '8M');
    const old = await NbdSession.open(await daemon.uri('seen'));
    expect(await old.ask('write', 4 * MiB, 4096, 0x77)).toBe('');
    await daemon.ok('volume', 'resize', 'seen', '2M', '--shrink');
    expect(await old.ask('size')).toBe(String(8 * MiB));
    expect(await old.ask('write', 4 * MiB, 4096, 1)).toBe('error ENOSPC');
    expect(await old.ask('write', 2 * MiB - 512, 1024, 1)).toBe('error ENOSPC');
    expect(await old.ask('read', 4 * MiB, 4096)).toBe('error EINVAL');
    expect(await old.ask('trim', 4 * MiB, 4096)).toBe('error EINVAL');
    expect(await old.ask('write', 2 * MiB - 512, 512, 0x33)).toBe('');
    await daemon.ok('volume', 'resize', 'seen', '16M');
    const fresh = await NbdSession.open(await daemon.uri('seen'));
    expect(await fresh.ask('size')).toBe(String(16 * MiB));
    expect(await fresh.ask('read', 2 * MiB - 512, 1024)).toBe('33x512,00x512');
    expect(await fresh.ask('read', 4 * MiB, 4096)).toBe('00x4096');
    expect(await fresh.ask('write', 15 * MiB, 4096, 0x44)).toBe('');
    // The old connection was promised eight megabytes and no more.
    expect(await old.ask('write', 12 * MiB, 4096, 1)).toBe('error ENOSPC');
    expect(await old.ask('read', 7 * MiB, 512)).toBe('00x512');
    await Promise.all([old.close(), fresh.close()]);
  });

  it('passes fio verify over what was there when it grew, and across a kill', async () => {
    await daemon.ok('volume', 'create', 'fio', '--size', '24M');
    const fio = async (job: string, offset: string, ...words: readonly string[]) =>
      must(
        'fio',
        [
          `--name=${job}`,
          '--ioengine=nbd',
          `--uri=${await daemon.uri('fio')}`,
          '--rw=randwrite',
          '--bsrange=4k-128k',
          '--blockalign=4k',
          '--iodepth=16',
          '--verify=crc32c',
          '--verify_fatal=1',
          '--randseed=7',
          `--offset=${offset}`,
          '--size=16M',
          '--minimal',
          ...words,
        ],
        { cwd: scratch },
      );
    await fio('low', '8M', '--do_verify=0', '--end_fsync=1');
    await daemon.ok('volume', 'resize', 'fio', '64M');
    await fio('high', '40M', '--do_verify=0', '--end_fsync=1');
    await killed();
    await daemon.ok('volume', 'resize', 'fio', '56M', '--shrink');
    await fio('low', '8M', '--verify_only');
    await fio('high', '40M', '--verify_only');
    await destaged('fio');
    await killed();
    await fio('low', '8M', '--verify_only');
    await fio('high', '40M', '--verify_only');
  });
});

describe('a volume that is rolled back', () => {
  it('is what the snapshot is, with its size, and stays so when the daemon dies', async () => {
    await daemon.ok('volume', 'create', 'back', '--size', '4M');
    await write('back', '-P 0xa1 0 4M');
    await daemon.ok('snapshot', 'create', 'back@one');
    await write('back', '-P 0xa2 1M 2M');
    await daemon.ok('snapshot', 'create', 'back@two');
    await daemon.ok('volume', 'resize', 'back', '6M');
    await write('back', '-P 0xa3 5M 1M');
    await daemon.ok('volume', 'rollback', 'back@one');
    const one = ['-P 0xa1 0 4M'];
    expect(await sizeOf('back')).toBe(4 * MiB);
    await holds('back', ...one);
    await killed();
    expect(await sizeOf('back')).toBe(4 * MiB);
    await holds('back', ...one);
    // The later snapshot stays, and can be gone to as well.
    await holds('back@two', '-P 0xa1 0 1M', '-P 0xa2 1M 2M', '-P 0xa1 3M 1M');
    await write('back', '-P 0xa4 0 64k');
    await daemon.ok('volume', 'rollback', 'back@two');
    await daemon.ok('snapshot', 'delete', 'back@two');
    await killed();
    await holds('back', '-P 0xa1 0 1M', '-P 0xa2 1M 2M', '-P 0xa1 3M 1M');
    await write('back', '-P 0xa5 0 64k');
    await destaged('back');
    await killed();
    await holds('back', '-P 0xa5 0 64k', '-P 0xa1 64k 960k', '-P 0xa2 1M 2M', '-P 0xa1 3M 1M');
    await holds('back@one', ...one);
  });

  it('must not be attached', async () => {
    await daemon.ok('volume', 'create', 'held', '--size', '1M');
    await daemon.ok('snapshot', 'create', 'held@a');
    const session = await NbdSession.open(await daemon.uri('held'));
    expect(await session.ask('write', 0, 512, 9)).toBe('');
    const refused = await daemon.cli('volume', 'rollback', 'held@a');
    expect(refused).toMatchObject({ code: 4, stdout: '' });
    expect(refused.stderr).toContain('attached');
    expect(await session.ask('read', 0, 512)).toBe('09x512');
    await session.close();
    expect(await daemon.cli('volume', 'rollback', 'held@none')).toMatchObject({ code: 3 });
  });
});

describe('a volume that is renamed', () => {
  it('goes on serving its connections, under its new name at once, with its snapshots', async () => {
    await daemon.ok('volume', 'create', 'before', '--size', '1M');
    const session = await NbdSession.open(await daemon.uri('before'));
    await session.ask('write', 0, 4096, 1);
    await daemon.ok('snapshot', 'create', 'before@a');
    await daemon.ok('volume', 'rename', 'before', 'after');
    expect(await session.ask('write', 0, 4096, 2)).toBe('');
    await holds('after', '-P 2 0 4k');
    await holds('after@a', '-P 1 0 4k');
    expect(await daemon.cli('volume', 'show', 'before')).toMatchObject({ code: 3 });
    await daemon.ok('volume', 'create', 'before', '--size', '1M');
    expect(await daemon.cli('volume', 'rename', 'before', 'after')).toMatchObject({ code: 4 });
    await session.close();
    await killed();
    await holds('after', '-P 2 0 4k');
    await holds('after@a', '-P 1 0 4k');
    await holds('before', '-P 0 0 1M');
  });
});

describe('what is said of a volume', () => {
  it('is listed, kept, and shown to NBD clients', async () => {
    await daemon.ok(
      'volume',
      'create',
      'said',
      '--size',
      '1M',
      '--label',
      'role=db',
      '--label',
      'team=x',
      '--description',
      'one',
    );
    await daemon.ok('volume', 'set', 'said', '--label', 'role=web', '--unlabel', 'team', '--description', 'a web server');
    await killed();
    expect(await daemon.json<View>('volume', 'show', 'said')).toMatchObject({ labels: { role: 'web' } });
    const named = async (label: string) =>
      (await daemon.json<View[]>('volume', 'list', '--label', label)).map(({ name }) => name);
    expect(await named('role=web')).toEqual(['said']);
    expect(await named('role')).toEqual(['said']);
    expect(await named('role=db')).toEqual([]);
    const info = JSON.parse(await must('nbdinfo', ['--json', await daemon.uri('said')])) as { exports: unknown[] };
    expect(info.exports[0]).toMatchObject({ description: 'a web server' });
    expect(await daemon.cli('volume', 'set', 'said', '--label', 'Role=x')).toMatchObject({ code: 2 });
  });
});

describe('a volume with a limit', () => {
  it('takes no more requests a second than that, after a restart too, until it is lifted', async () => {
    await daemon.ok('volume', 'create', 'slow', '--size', '1M');
    const burst = await daemon.cli('volume', 'limit', 'slow', '--burst', '5');
    expect(burst).toMatchObject({ code: 2, stderr: 'skerry: a burst is of a rate: give --iops or --bandwidth with it\n' });
    await daemon.ok('volume', 'limit', 'slow', '--iops', '50');
    await killed();
    expect(await daemon.json<View>('volume', 'limit', 'slow')).toMatchObject({ limit: { iops: 50 } });
    const seconds = async (requests: number): Promise<number> => {
      const session = await NbdSession.open(await daemon.uri('slow'));
      const began = performance.now();
      for (let at = 0; at < requests; at += 1) await session.ask('write', 4096 * (at % 256), 512, at % 256);
      const taken = (performance.now() - began) / 1000;
      await session.close();
      return taken;
    };
    // A lower bound only: how slow the machine is makes no difference to it.
    expect(await seconds(100)).toBeGreaterThan(1.8);
    await daemon.ok('volume', 'limit', 'slow', '--iops', '0', '--bandwidth', '100K');
    expect(await seconds(600)).toBeGreaterThan(2.8);
    await daemon.ok('volume', 'limit', 'slow', '--bandwidth', '0');
    expect(await daemon.ok('volume', 'limit', 'slow')).toBe('volume slow: no limit');
    expect(await seconds(100)).toBeGreaterThan(0);
  });
});
