/** Disks of other programs come in and go out again, and every byte is the same: qemu-img, nbdcopy, nbdkit and qemu-nbd are asked. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { must, run } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';

const MiB = 1024 * 1024;
const diskBytes = 24 * MiB;
let daemon: DaemonProcess;
let scratch: string;
let disk: string;
let rootId: string;
const servers: ChildProcess[] = [];

interface Image {
  readonly sizeBytes: number;
  readonly rootId: string;
}

const at = (name: string): string => join(scratch, name);

/** Data at odd places, holes, and a last byte, so that a disk that is cut or shifted is noticed. */
async function makeDisk(path: string): Promise<void> {
  writeFileSync(path, '');
  truncateSync(path, diskBytes);
  const file = await open(path, 'r+');
  await file.write(randomBytes(MiB + 4096), 0, MiB + 4096, 0);
  await file.write(randomBytes(777), 0, 777, 5 * MiB + 333);
  await file.write(randomBytes(2 * MiB), 0, 2 * MiB, 17 * MiB - 4096);
  await file.write(Buffer.from('the end'), 0, 7, diskBytes - 7);
  await file.close();
}

async function sameAsDisk(name: string): Promise<void> {
  const outcome = await daemon.shell(`skerry image export ${name} - | cmp - '${disk}'`);
  expect(outcome.stdout + outcome.stderr).toMatch(/^exported \w+ \(24M\)\n$/m);
  expect(outcome.code).toBe(0);
}

/** A server of another project, which is ended after the test. */
async function serve(command: string, words: readonly string[], socket: string): Promise<void> {
  const server = spawn(command, words, { stdio: ['ignore', 'inherit', 'inherit'] });
  servers.push(server);
  while (!existsSync(socket)) {
    if (server.exitCode !== null) throw new Error(`${command} ended with ${server.exitCode}`);
    await sleep(10);
  }
}

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-interchange-'));
  disk = at('disk.raw');
  await makeDisk(disk);
  daemon = new DaemonProcess({ config: { nbdListen: '127.0.0.1:0' } });
  await daemon.start();
  ({ rootId } = await daemon.json<Image>('image', 'import', disk, 'raw'));
});

afterEach(() => {
  for (const server of servers.splice(0)) server.kill('SIGKILL');
});

afterAll(async () => {
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

describe('an image of qemu-img comes in', () => {
  it.each([
    ['qcow2', []],
    ['qcow2', ['-c']],
    ['qcow2', ['-c', '-o', 'compression_type=zstd']],
    ['qcow2', ['-o', 'compat=0.10']],
    ['qcow2', ['-o', 'extended_l2=on,cluster_size=128k']],
    ['vmdk', []],
    ['vmdk', ['-o', 'subformat=streamOptimized']],
    ['vpc', ['-o', 'force_size=on']],
    ['vpc', ['-o', 'subformat=fixed,force_size=on']],
    ['vhdx', []],
    ['vdi', []],
    ['vdi', ['-o', 'static=on']],
  ] as const)('%s %j, and is the same tree as the raw file', async (format, options) => {
    const path = at(`in.${format}`);
    await must('qemu-img', ['convert', '-f', 'raw', '-O', format, ...options, disk, path]);
    const image = await daemon.json<Image>('image', 'import', path, 'in');
    expect(image).toMatchObject({ sizeBytes: diskBytes, rootId });
    await sameAsDisk('in');
    await daemon.ok('image', 'delete', 'in');
  });

  it('with its backing file, where that is allowed', async () => {
    await must('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', disk, at('base.qcow2')]);
    await must('qemu-img', ['create', '-f', 'qcow2', '-b', 'base.qcow2', '-F', 'qcow2', at('top.qcow2')]);
    await must('qemu-io', ['-f', 'qcow2', '-c', 'write -P 0x77 8M 64k', at('top.qcow2')]);
    const refused = await daemon.cli('image', 'import', at('top.qcow2'), 'top');
    expect(refused).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/backing file "base.qcow2".*--allow-backing/) as string,
    });
    await daemon.ok('image', 'import', at('top.qcow2'), 'top', '--allow-backing');
    await daemon.ok('image', 'export', 'top', at('top.raw'));
    await must('qemu-img', ['compare', '-f', 'qcow2', '-F', 'raw', at('top.qcow2'), at('top.raw')]);
  });

  it('with its data in other files, where that is allowed', async () => {
    await must('qemu-img', ['convert', '-f', 'raw', '-O', 'vmdk', '-o', 'subformat=monolithicFlat', disk, at('flat.vmdk')]);
    await must('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', '-o', `data_file=${at('data')}`, disk, at('pointer.qcow2')]);
    for (const [path, role] of [
      [at('flat.vmdk'), 'extent'],
      [at('pointer.qcow2'), 'data file'],
    ] as const) {
      const refused = await daemon.cli('image', 'import', path, 'apart');
      expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining(`its ${role}`) as string });
      expect(await daemon.json('image', 'import', path, 'apart', '--allow-backing')).toMatchObject({ rootId });
      await daemon.ok('image', 'delete', 'apart');
    }
  });
});

describe('a block device comes in', () => {
  it('whole, its zeroes not stored, and one that looks like an image of another program only as a raw disk', async ({ skip }) => {
    if (process.getuid?.() !== 0) return skip('making a loop device takes root');
    const made = await run('losetup', ['--find', '--show', disk]);
    if (made.code !== 0) return skip(`no loop device can be made here: ${made.stderr.trim()}`);
    const device = made.stdout.trim();
    try {
      expect(await daemon.json('image', 'import', device, 'device')).toMatchObject({ sizeBytes: diskBytes, rootId });
      await sameAsDisk('device');
      const estimate = await daemon.json<{ fileBytes: number; newBytes: number }>('pool', 'estimate', device);
      expect(estimate).toMatchObject({ fileBytes: diskBytes, newBytes: 0 });
    } finally {
      await must('losetup', ['--detach', device]);
    }
    await must('qemu-img', ['create', '-f', 'qcow2', at('on-device.qcow2'), '16M']);
    const other = (await must('losetup', ['--find', '--show', at('on-device.qcow2')])).trim();
    try {
      const refused = await daemon.cli('image', 'import', other, 'looks');
      expect(refused).toMatchObject({ code: 2, stderr: expect.stringMatching(/holds a qcow2 image.*--format raw/) as string });
      await daemon.ok('image', 'import', other, 'looks', '--format', 'raw');
    } finally {
      await must('losetup', ['--detach', other]);
    }
  });
});

describe('a stream comes in', () => {
  const halves = (bytes: Buffer): [Buffer, Buffer] => [bytes.subarray(0, 7 * MiB + 1), bytes.subarray(7 * MiB + 1)];

  it.each(['raw', 'gzip', 'xz', 'zstd'])('%s, from a file and from standard input', async (format) => {
    const path = at(`stream.${format}`);
    const pack = { raw: 'cat', gzip: 'gzip -c', xz: 'xz -1 -c', zstd: 'cat' }[format] ?? '';
    if (format === 'zstd') writeFileSync(path, zstdCompressSync(readFileSync(disk)));
    else await must('/bin/sh', ['-c', `${pack} '${disk}' > '${path}'`]);
    expect(await daemon.json('image', 'import', path, 'file')).toMatchObject({ sizeBytes: diskBytes, rootId });
    const piped = await daemon.shell(`cat '${path}' | skerry image import - piped --json`);
    expect(JSON.parse(piped.stdout)).toMatchObject({ sizeBytes: diskBytes, rootId });
    await sameAsDisk('piped');
    await daemon.ok('image', 'delete', 'file');
    await daemon.ok('image', 'delete', 'piped');
  });

  it('of several gzip members, or several zstd frames', async () => {
    const bytes = readFileSync(disk);
    writeFileSync(at('two.gz'), Buffer.concat(halves(bytes).map((half) => gzipSync(half))));
    const skippable = Buffer.from([0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
    const frames = halves(bytes).map((half) => zstdCompressSync(half));
    writeFileSync(at('two.zst'), Buffer.concat([...frames, skippable]));
    expect(await daemon.json('image', 'import', at('two.gz'), 'two-gz')).toMatchObject({ rootId });
    expect(await daemon.json('image', 'import', at('two.zst'), 'two-zst')).toMatchObject({ rootId });
  });

  it('of a length that is no whole page, and the rest of that reads as zeroes', async () => {
    const outcome = await daemon.shell(`printf 'short' | skerry image import - short --json`);
    expect(JSON.parse(outcome.stdout)).toMatchObject({ sizeBytes: 4096 });
    const back = await daemon.shell(`skerry image export short - | od -An -c | head -1`);
    expect(back.stdout.replaceAll(/\s+/g, '')).toBe('short\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0');
  });

  it('of nothing is refused, and so is one that cannot be read from start to end', async () => {
    const empty = await daemon.shell('skerry image import - none < /dev/null');
    expect(empty).toMatchObject({ code: 2, stderr: 'skerry: the import of none failed: standard input is empty\n' });
    await must('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', disk, at('piped.qcow2')]);
    const qcow2 = await daemon.shell(`skerry image import - none < '${at('piped.qcow2')}'`);
    expect(qcow2).toMatchObject({ code: 2, stderr: expect.stringMatching(/put it in a file and import that/) as string });
    const packed = await daemon.shell(`gzip -c '${at('piped.qcow2')}' | skerry image import - none`);
    expect(packed).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/holds a qcow2 file, compressed with gzip/) as string,
    });
    expect((await daemon.cli('image', 'show', 'none')).code).toBe(3);
  });
});

describe('another NBD server is a source', () => {
  it('nbdkit', async () => {
    await serve('nbdkit', ['-f', '-r', '-U', at('nbdkit.sock'), 'file', disk], at('nbdkit.sock'));
    const uri = `nbd+unix:///?socket=${at('nbdkit.sock')}`;
    expect(await daemon.json('image', 'import', uri, 'nbdkit')).toMatchObject({ sizeBytes: diskBytes, rootId });
  });

  it('qemu-nbd, which serves a qcow2 file under a name', async () => {
    await must('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', disk, at('served.qcow2')]);
    await serve(
      'qemu-nbd',
      ['-r', '-t', '-k', at('qemu.sock'), '-f', 'qcow2', '-x', 'a disk', at('served.qcow2')],
      at('qemu.sock'),
    );
    const uri = `nbd+unix:///a%20disk?socket=${at('qemu.sock')}`;
    expect(await daemon.json('image', 'import', uri, 'qemu-nbd')).toMatchObject({ rootId });
  });

  it('a Skerry over TCP', async () => {
    await daemon.ok('clone', 'raw', 'served');
    const uri = await daemon.ok('volume', 'uri', 'served', '--tcp');
    expect(await daemon.json('image', 'import', uri, 'from-tcp')).toMatchObject({ rootId });
    await daemon.ok('volume', 'delete', 'served');
  });

  it('or says why not', async () => {
    const gone = await daemon.cli('image', 'import', `nbd+unix:///?socket=${at('nobody.sock')}`, 'gone');
    expect(gone).toMatchObject({ code: 1, stderr: expect.stringMatching(/cannot be read: .*nobody\.sock/) as string });
    const odd = await daemon.cli('image', 'import', 'nbd+unix:///x', 'gone');
    expect(odd).toMatchObject({ code: 2, stderr: expect.stringMatching(/names no socket/) as string });
  });

  it('and Skerry is one for nbdcopy and qemu-img', async () => {
    await daemon.ok('clone', 'raw', 'source');
    const uri = await daemon.uri('source');
    await must('nbdcopy', [uri, at('nbdcopied.raw')]);
    await must('cmp', [at('nbdcopied.raw'), disk]);
    await must('qemu-img', ['convert', '-f', 'raw', '-O', 'vdi', uri, at('converted.vdi')]);
    await must('qemu-img', ['compare', '-f', 'vdi', '-F', 'raw', at('converted.vdi'), disk]);
  });
});

describe('an export', () => {
  it('to a raw file keeps its holes', async () => {
    await daemon.ok('image', 'export', 'raw', at('out.raw'));
    await must('cmp', [at('out.raw'), disk]);
    expect(statSync(at('out.raw')).blocks * 512).toBeLessThan(6 * MiB);
  });

  it.each([[[]], [['--compress']]])('to qcow2 %j is what qemu-img reads, and comes back the same', async (options) => {
    await daemon.ok('image', 'export', 'raw', at('out.qcow2'), '--format', 'qcow2', '--force', ...options);
    await must('qemu-img', ['check', '-f', 'qcow2', at('out.qcow2')]);
    await must('qemu-img', ['compare', '-f', 'qcow2', '-F', 'raw', at('out.qcow2'), disk]);
    expect(await daemon.json('image', 'import', at('out.qcow2'), 'back')).toMatchObject({ rootId });
    await daemon.ok('image', 'delete', 'back');
  });

  it('of a volume is the volume as it was when it began', async () => {
    await daemon.ok('clone', 'raw', 'changing');
    const uri = await daemon.uri('changing');
    // The reader takes nothing until the volume has changed under it.
    const script = `skerry image export changing - | { head -c 4096; qemu-io -f raw -c 'write -P 0x55 1M 20M' '${uri}' >&2; cat; } | cmp - '${disk}'`;
    const outcome = await daemon.shell(script);
    expect(outcome.stdout).toBe('');
    expect(outcome.code).toBe(0);
    await must('qemu-io', ['-r', '-f', 'raw', '-c', 'read -P 0x55 1M 20M', uri]);
  });

  it('overwrites only with --force, and never half', async () => {
    writeFileSync(at('there'), 'precious');
    const refused = await daemon.cli('image', 'export', 'raw', at('there'));
    expect(refused).toMatchObject({ code: 4, stderr: expect.stringContaining('--force') as string });
    expect(readFileSync(at('there'), 'utf8')).toBe('precious');
    await daemon.ok('image', 'export', 'raw', at('there'), '--force');
    await must('cmp', [at('there'), disk]);
    expect((await daemon.cli('image', 'export', 'raw', scratch, '--force')).code).toBe(2);
    expect(readdirSync(scratch).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  it('that cannot be is refused with words', async () => {
    for (const [words, why] of [
      [['image', 'export', 'raw', '-', '--format', 'qcow2'], /name a file, not standard output/],
      [['image', 'export', 'raw', at('c.raw'), '--compress'], /take --format qcow2/],
    ] as const) {
      const refused = await daemon.cli(...words);
      expect(refused).toMatchObject({ code: 2, stderr: expect.stringMatching(why) as string });
    }
  });

  it('whose reader goes away fails, and lets go of the volume', async () => {
    await daemon.ok('clone', 'raw', 'read-in-part');
    const outcome = await daemon.shell('skerry image export read-in-part - | head -c 10 > /dev/null');
    expect(outcome.code).toBe(1);
    let deleted = await daemon.cli('volume', 'delete', 'read-in-part');
    for (let tries = 0; deleted.code === 4 && tries < 100; tries += 1)
      deleted = await daemon.cli('volume', 'delete', 'read-in-part');
    expect(deleted.code).toBe(0);
  });
});

describe('without the programs of others', () => {
  it('says which Debian package brings what is missing, and still reads what needs none', async () => {
    await must('qemu-img', ['convert', '-f', 'raw', '-O', 'vdi', disk, at('lonely.vdi')]);
    await must('/bin/sh', ['-c', `xz -1 -c '${disk}' > '${at('lonely.xz')}'; gzip -c '${disk}' > '${at('lonely.gz')}'`]);
    // What the daemon itself needs, and nothing else.
    mkdirSync(at('few'));
    symlinkSync((await must('/bin/sh', ['-c', 'command -v flock'])).trim(), at('few/flock'));
    const lonely = new DaemonProcess({ environment: { PATH: at('few') } });
    try {
      await lonely.start();
      const vdi = await lonely.cli('image', 'import', at('lonely.vdi'), 'vdi');
      expect(vdi).toMatchObject({ code: 1, stderr: expect.stringMatching(/qemu-img.*Debian package qemu-utils/) as string });
      const xz = await lonely.cli('image', 'import', at('lonely.xz'), 'xz');
      expect(xz).toMatchObject({ code: 1, stderr: expect.stringMatching(/Debian package xz-utils/) as string });
      await lonely.ok('image', 'import', at('lonely.gz'), 'gz');
      const qcow2 = await lonely.cli('image', 'export', 'gz', at('lonely.qcow2'), '--format', 'qcow2');
      expect(qcow2).toMatchObject({ code: 1, stderr: expect.stringContaining('qemu-utils') as string });
      expect(await lonely.json('image', 'list')).toHaveLength(1);
    } finally {
      await lonely.destroy();
    }
  });
});

it('nothing of all this was left over', async () => {
  const before = (await run('/bin/ls', [scratch])).stdout;
  expect(before).not.toContain('.part');
});
