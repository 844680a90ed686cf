/** What differs between two resources: as ranges, over NBD, and as a stream that makes one of the other. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { NbdSession } from '../harness/nbd_session.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
let daemon: DaemonProcess;
let scratch: string;

interface Range {
  readonly offset: number;
  readonly length: number;
  readonly kind: string;
}

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-diff-'));
  daemon = new DaemonProcess();
  await daemon.start();
});

afterAll(async () => {
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

async function write(name: string, ...commands: readonly string[]): Promise<void> {
  await must('qemu-io', ['-f', 'raw', ...commands.flatMap((command) => ['-c', command]), await daemon.uri(name)]);
}

async function ranges(from: string, to: string): Promise<readonly Range[]> {
  return (await daemon.json<{ ranges: Range[] }>('snapshot', 'diff', from, to)).ranges;
}

async function resolved(snapshot: string): Promise<void> {
  const [volume] = snapshot.split('@');
  for (;;) {
    const all = await daemon.json<{ name: string; pending: boolean }[]>('snapshot', 'list', volume ?? '');
    if (all.find(({ name }) => name === snapshot)?.pending === false) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function bytesOf(name: string): Promise<Buffer> {
  const file = join(scratch, 'bytes.raw');
  rmSync(file, { force: true });
  await must('nbdcopy', [await daemon.uri(name), file]);
  return readFileSync(file);
}

/** A volume of 16 MiB with two snapshots; between them a page, a block, a trim and a growth. */
async function makeHistory(name: string): Promise<void> {
  await daemon.ok('volume', 'create', name, '--size', '16M');
  await write(name, 'write -P 1 0 12M', 'flush');
  await daemon.ok('snapshot', 'create', `${name}@a`);
  await write(name, 'write -P 2 1M 4k', 'write -P 3 2M 64k', 'discard 4M 1M', 'discard 13M 1M', 'flush');
  await daemon.ok('volume', 'resize', name, '20M');
  await write(name, 'write -P 4 17M 512', 'flush');
  await daemon.ok('snapshot', 'create', `${name}@b`);
}

/** In blocks where the pages are not known any more. */
const changedBlocks: readonly Range[] = [
  { offset: MiB, length: 64 * KiB, kind: 'data' },
  { offset: 2 * MiB, length: 64 * KiB, kind: 'data' },
  { offset: 4 * MiB, length: MiB, kind: 'zero' },
  { offset: 17 * MiB, length: 64 * KiB, kind: 'data' },
];
const changedPages = changedBlocks.map((range) =>
  range.offset === 2 * MiB || range.kind === 'zero' ? range : { ...range, length: 4 * KiB },
);

describe('what differs between two snapshots', () => {
  it('is told while they are pending, by the page, and when they are in the pool, by the block', async () => {
    await makeHistory('vm');
    const early = await ranges('vm@a', 'vm@b');
    expect([changedPages, changedBlocks]).toContainEqual(early);
    await resolved('vm@b');
    expect(await ranges('vm@a', 'vm@b')).toEqual(changedBlocks);
    expect(await ranges('vm@b', 'vm@b')).toEqual([]);
    expect(await ranges('vm@b', 'vm')).toEqual([]);
    await daemon.ok('clone', 'vm@b', 'branch');
    await write('branch', 'write -P 9 8M 8k', 'flush');
    expect(await ranges('vm@b', 'branch')).toEqual([{ offset: 8 * MiB, length: 8 * KiB, kind: 'data' }]);
    const text = await daemon.ok('snapshot', 'diff', 'vm@a', 'vm@b');
    expect(text).toContain('4 ranges');
    expect(await daemon.cli('snapshot', 'diff', 'vm@a', 'vm@none')).toMatchObject({ code: 3 });
  });

  it('is told over NBD, to nbdinfo and to any client, with or without base:allocation', async () => {
    const uri = await daemon.uri('vm');
    const map = JSON.parse(await must('nbdinfo', ['--json', '--map=skerry:changed:a', uri])) as {
      offset: number;
      length: number;
      type: number;
    }[];
    const told = map
      .filter(({ type }) => (type & 1) !== 0)
      .map(({ offset, length, type }) => ({ offset, length, kind: (type & 2) !== 0 ? 'zero' : 'data' }));
    expect(told).toEqual(changedBlocks);
    expect(map.reduce((sum, { length }) => sum + length, 0)).toBe(20 * MiB);
    const info = JSON.parse(await must('nbdinfo', ['--json', uri])) as { exports: { contexts: string[] }[] };
    expect(info.exports[0]?.contexts).toEqual(['base:allocation', 'skerry:changed:a', 'skerry:changed:b']);
    const session = await NbdSession.open(uri, 'base:allocation', 'skerry:changed:b', 'skerry:changed:nothing');
    expect(await session.ask('contexts')).toBe('base:allocation,skerry:changed:b');
    expect(await session.ask('status', 'skerry:changed:b', 0, 20 * MiB)).toBe(`${20 * MiB}:0`);
    expect(await session.ask('write', 6 * MiB, 4096, 7)).toBe('');
    expect(await session.ask('status', 'skerry:changed:b', 6 * MiB - 4096, 12 * KiB)).toBe('4096:0,4096:1,4096:0');
    expect(await session.ask('status', 'base:allocation', 6 * MiB, 4096)).toBe('4096:0');
    await session.close();
    await write('vm', 'write -P 1 6M 4k', 'flush');
  });

  it('is what an incremental backup has to copy: the stream makes an older copy equal, also in another daemon', async () => {
    const stream = join(scratch, 'a-to-b.diff');
    await daemon.ok('snapshot', 'diff', 'vm@a', 'vm@b', '--stream', stream);
    expect(statSync(stream).size).toBeLessThan(256 * KiB);
    await daemon.ok('clone', 'vm@a', 'copy');
    await daemon.ok('volume', 'apply', 'copy', stream);
    const expected = await bytesOf('vm@b');
    expect((await bytesOf('copy')).equals(expected)).toBe(true);
    const other = new DaemonProcess();
    try {
      await other.start();
      const raw = join(scratch, 'a.raw');
      await daemon.ok('image', 'export', 'vm@a', raw);
      await other.ok('image', 'import', raw, 'a');
      await other.ok('clone', 'a', 'far');
      await other.ok('volume', 'apply', 'far', stream);
      await other.kill();
      await other.start();
      const copied = join(scratch, 'far.raw');
      await must('nbdcopy', [await other.uri('far'), copied]);
      expect(readFileSync(copied).equals(expected)).toBe(true);
    } finally {
      await other.destroy();
    }
  });

  it('is not put into a volume that merely has the same size, nor into one that was written since', async () => {
    const stream = join(scratch, 'a-to-b.diff');
    await daemon.ok('volume', 'create', 'other', '--size', '16M');
    await write('other', 'write -P 7 0 16M', 'flush');
    const before = await bytesOf('other');
    const unrelated = await daemon.cli('volume', 'apply', 'other', stream);
    expect(unrelated).toMatchObject({ code: 4, stdout: '' });
    expect(unrelated.stderr).toContain('volume other has no snapshot other@a: apply it to one that has');
    await daemon.ok('clone', 'vm@a', 'kept');
    await daemon.ok('snapshot', 'create', 'kept@a');
    await write('kept', 'write -P 5 3M 4k', 'flush');
    const written = await daemon.cli('volume', 'apply', 'kept', stream);
    expect(written).toMatchObject({ code: 4, stdout: '' });
    expect(written.stderr).toContain('volume kept was written since it was kept@a');
    expect(written.stderr).toContain('skerry volume rollback kept@a');
    expect((await bytesOf('other')).equals(before)).toBe(true);
    await daemon.ok('volume', 'rollback', 'kept@a');
    await daemon.ok('volume', 'apply', 'kept', stream);
    expect((await bytesOf('kept')).equals(await bytesOf('vm@b'))).toBe(true);
    await daemon.ok('volume', 'apply', 'other', stream, '--any-base');
  });

  it('is not taken from a damaged stream, nor put into what is attached or of another size', async () => {
    const stream = join(scratch, 'a-to-b.diff');
    const bytes = readFileSync(stream);
    const cut = join(scratch, 'cut.diff');
    writeFileSync(cut, bytes.subarray(0, -20));
    await daemon.ok('clone', 'vm@a', 'broken');
    const refused = await daemon.cli('volume', 'apply', 'broken', cut);
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toContain('ends too early');
    expect(refused.stderr).toContain('volume broken may hold a part of it: apply the whole stream with --any-base');
    expect(await daemon.cli('volume', 'apply', 'broken', stream)).toMatchObject({ code: 4 });
    await daemon.ok('volume', 'apply', 'broken', stream, '--any-base');
    expect((await bytesOf('broken')).equals(await bytesOf('vm@b'))).toBe(true);
    await daemon.ok('volume', 'create', 'small', '--size', '1M');
    const small = await daemon.cli('volume', 'apply', 'small', stream, '--any-base');
    expect(small).toMatchObject({ code: 4 });
    expect(small.stderr).toContain('begins with 16777216 bytes, and volume small has 1048576');
    const session = await NbdSession.open(await daemon.uri('broken'));
    expect(await daemon.cli('volume', 'apply', 'broken', stream)).toMatchObject({ code: 4 });
    expect(await daemon.cli('snapshot', 'diff', 'vm@a', 'broken', '--stream', join(scratch, 'no.diff'))).toMatchObject({
      code: 4,
    });
    await session.close();
    expect(await daemon.cli('snapshot', 'diff', 'vm@a', 'vm@b', '--stream', stream)).toMatchObject({
      code: 4,
      stderr: `skerry: ${stream} is there already: name another file\n`,
    });
    const absent = join(scratch, 'absent.diff');
    expect(await daemon.cli('volume', 'apply', 'broken', absent)).toMatchObject({
      code: 3,
      stderr: `skerry: there is no file ${absent}\n`,
    });
  });
});
