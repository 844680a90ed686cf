/** Compressed blocks in a real daemon: written over NBD, read after it was killed, beside blocks of every other setting. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';

const MiB = 1024 * 1024;
let daemon: DaemonProcess;
let scratch: string;

interface Pool {
  readonly compression: string;
  readonly storedBytes: number;
  readonly recordBytes: number;
  readonly uncompressedBytes: number;
  readonly compressionRatio: number;
  readonly dedupBytes: number;
  readonly blocks: number;
  readonly corruptPages: number;
}
interface Space {
  readonly pools: readonly { readonly compressionRatio: number }[];
  readonly resources: readonly { readonly journalledBytes: number }[];
}

const at = (name: string): string => join(scratch, name);
const pool = (): Promise<Pool> => daemon.json<Pool>('pool', 'show');

/** Lines of a log: no two alike, and all much alike. */
function text(bytes: number, seed: string): Buffer {
  const lines: string[] = [];
  for (let length = 0, at_line = 0; length < bytes; at_line += 1) {
    const line = `${seed} ${at_line}: the boats of the north harbour are back, ${(at_line * 7919) % 1009} of them with fish\n`;
    lines.push(line);
    length += line.length;
  }
  return Buffer.from(lines.join('')).subarray(0, bytes);
}

/** A mebibyte of text, then one of noise. */
const mixed = (bytes: number, seed: string): Buffer =>
  Buffer.concat(
    Array.from({ length: bytes / (2 * MiB) }, (_, index) => Buffer.concat([text(MiB, `${seed}.${index}`), randomBytes(MiB)])),
  );

/** In pieces of a mebibyte: whole blocks, which go to packs at once. */
async function write(volume: string, content: Buffer): Promise<void> {
  writeFileSync(at('content'), content);
  await must('nbdcopy', ['--flush', at('content'), await daemon.uri(volume)]);
}

/** Single pages, which ride the journal and are put together by destage. */
async function writePages(volume: string, content: Buffer): Promise<void> {
  writeFileSync(at('pages'), content);
  const commands: string[] = [];
  for (let offset = 0; offset < content.length; offset += 4096) {
    const piece = at(`page-${offset}`);
    writeFileSync(piece, content.subarray(offset, offset + 4096));
    commands.push('-c', `write -q -s ${piece} ${offset} 4096`);
  }
  await must('qemu-io', ['-f', 'raw', ...commands, '-c', 'flush', await daemon.uri(volume)]);
}

async function read(volume: string, bytes: number): Promise<Buffer> {
  await must('nbdcopy', [await daemon.uri(volume), at('copy')]);
  return readFileSync(at('copy')).subarray(0, bytes);
}

let snapshots = 0;
/** When nothing is left in the journal. A snapshot gets a volume's writes on their way at once. */
async function settled(): Promise<Space> {
  for (const { name } of await daemon.json<readonly { readonly name: string }[]>('volume', 'list')) {
    snapshots += 1;
    await daemon.ok('snapshot', 'create', `${name}@s${snapshots}`);
  }
  for (;;) {
    const space = await daemon.json<Space>('space');
    if (space.resources.every(({ journalledBytes }) => journalledBytes === 0)) return space;
    await sleep(200);
  }
}

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-compression-'));
  daemon = new DaemonProcess({});
  await daemon.start();
});
afterAll(async () => {
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

it('keeps what a compressing volume was given through kill -9, in fewer bytes than it has, and tells how many', async () => {
  expect(await pool()).toMatchObject({ compression: 'none', compressionRatio: 1 });
  const contents = new Map<string, Buffer>();
  for (const compression of ['lz4', 'zstd', 'zstd:9', 'none']) {
    const name = compression.replace(':', '-');
    await daemon.ok('volume', 'create', name, '--size', '16M', '--compression', compression);
    contents.set(name, mixed(8 * MiB, name));
    await write(name, contents.get(name) ?? Buffer.alloc(0));
  }
  await daemon.ok('volume', 'create', 'paged', '--size', '16M', '--compression', 'lz4');
  contents.set('paged', text(MiB, 'paged'));
  await writePages('paged', contents.get('paged') ?? Buffer.alloc(0));
  const check = async (): Promise<void> => {
    for (const [name, content] of contents) expect((await read(name, content.length)).equals(content), name).toBe(true);
  };
  await check();
  await daemon.kill();
  await daemon.start();
  await check();
  expect((await settled()).pools[0]?.compressionRatio).toBeGreaterThan(1.3);
  await daemon.kill();
  await daemon.start();
  await check();
  const after = await pool();
  // Of 33 MiB half is noise, and half of the text of one volume in four is not compressed.
  expect(after.uncompressedBytes).toBeGreaterThan(33 * MiB);
  expect(after.recordBytes).toBeLessThan(24 * MiB);
  expect(after.compressionRatio).toBeCloseTo(after.uncompressedBytes / after.recordBytes, 1);
  expect(after.corruptPages).toBe(0);
  expect(await daemon.metric('skerry_pool_record_bytes')).toBe(after.recordBytes);
  expect(await daemon.metric('skerry_pool_compressed_records')).toBeGreaterThan(0);
});

it('leaves what is there as it is when the setting changes, and finds it again whatever it is', async () => {
  const content = text(4 * MiB, 'again');
  for (const name of ['one', 'two', 'three']) await daemon.ok('volume', 'create', name, '--size', '8M');
  expect(await daemon.json('volume', 'show', 'one')).toMatchObject({ compression: 'inherit' });
  await write('one', content);
  await settled();
  const raw = await pool();
  expect(await daemon.ok('pool', 'set', 'default', '--compression', 'zstd')).toContain('zstd:3');
  await write('two', content);
  await settled();
  const again = await pool();
  // It was stored raw, and is not stored twice.
  expect(again.blocks).toBe(raw.blocks);
  expect(again.dedupBytes - raw.dedupBytes).toBeGreaterThanOrEqual(4 * MiB);
  const other = text(4 * MiB, 'other');
  await write('two', other);
  await daemon.ok('pool', 'set', 'default', '--compression', 'none');
  await daemon.ok('volume', 'set', 'three', '--compression', 'lz4');
  await write('three', text(4 * MiB, 'third'));
  await write('one', other);
  await settled();
  await daemon.kill();
  await daemon.start();
  expect(await daemon.json('volume', 'show', 'three')).toMatchObject({ compression: 'lz4' });
  expect((await read('one', other.length)).equals(other)).toBe(true);
  expect((await read('two', other.length)).equals(other)).toBe(true);
  expect((await read('three', other.length)).equals(text(4 * MiB, 'third'))).toBe(true);
  expect((await pool()).corruptPages).toBe(0);
});

it('tells before an import what compression would save, and an import keeps to it', async () => {
  interface Estimate {
    readonly storedBytes: number;
    readonly rawBytes: number;
    readonly lz4Bytes: number;
    readonly zstdBytes: number;
  }
  writeFileSync(at('disk.raw'), mixed(8 * MiB, 'disk'));
  const none = await daemon.json<Estimate>('pool', 'estimate', at('disk.raw'));
  expect(none.storedBytes).toBe(none.rawBytes);
  expect(none.zstdBytes).toBeLessThan(none.lz4Bytes);
  expect(none.lz4Bytes).toBeLessThan(none.rawBytes * 0.8);
  await daemon.ok('pool', 'set', 'default', '--compression', 'lz4');
  const lz4 = await daemon.json<Estimate>('pool', 'estimate', at('disk.raw'));
  expect(lz4).toMatchObject({ storedBytes: none.lz4Bytes, rawBytes: none.rawBytes });
  await settled();
  const before = await pool();
  await daemon.ok('image', 'import', at('disk.raw'), 'disk');
  await settled();
  const stored = (await pool()).recordBytes - before.recordBytes;
  expect(stored).toBeGreaterThanOrEqual(lz4.storedBytes);
  expect(stored).toBeLessThan(lz4.storedBytes * 1.02);
});

it('is found sound by an offline check, and refuses what is no compression', async () => {
  expect((await daemon.cli('volume', 'create', 'bad', '--size', '1M', '--compression', 'gzip')).code).toBe(2);
  expect((await daemon.cli('pool', 'set', 'default', '--compression', 'inherit')).code).toBe(2);
  expect((await daemon.cli('pool', 'set', 'nowhere', '--compression', 'lz4')).code).toBe(3);
  await daemon.kill('SIGTERM');
  const checked = await daemon.cli('pool', 'check', '--json');
  expect(checked.code, checked.stdout + checked.stderr).toBe(0);
  await daemon.start();
});
