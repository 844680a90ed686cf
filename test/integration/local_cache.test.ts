/** Blocks of a remote pool on the local disk: found again by the next daemon, whatever became of the backend, and never believed unproven. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { PoolView, StatusView } from '../../src/api/shapes.ts';
import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { RiakCsServer } from '../services/riak_cs_server.ts';

const MiB = 1 << 20;
const volume_bytes = 24 * MiB;
const keys = { accessKey: 'AKLOCAL', secretKey: 'a secret' };
const bucket = 'skerry';
/** What is written in order lies in packs in order. */
const inOrder = ['--connections=1', '--requests=1'];
/** Memory holds next to nothing of what is read, and no copy of a pack stays. */
const config = {
  journalBytesMax: '64M',
  segmentBytes: '4M',
  ringBytes: '16M',
  overlayBytesMax: '8M',
  blockCacheBytesMax: '1M',
  poolKeptBytesMax: '1M',
  localCacheBytesMax: '64M',
  gcSeconds: 0,
};

let server: RiakCsServer;
let daemon: DaemonProcess;
let scratch: string;

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-cached-'));
  server = await RiakCsServer.start({ ...keys, bucket, listDelayMilliseconds: 0 });
  daemon = new DaemonProcess({ config });
  await daemon.start();
});
afterEach(async () => {
  await daemon.destroy();
  await server.stop();
  rmSync(scratch, { recursive: true, force: true });
});

const cacheDirectory = (): string => join(daemon.directory, 'cache');
const pool = (): Promise<PoolView> => daemon.json<PoolView>('pool', 'show', 'far');
const cache = async (): Promise<StatusView['localCache']> => (await daemon.json<StatusView>('status')).localCache;
const sumOf = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

async function readBack(): Promise<string> {
  const copy = join(scratch, 'copy');
  rmSync(copy, { force: true });
  await must('nbdcopy', [...inOrder, await daemon.uri('far'), copy]);
  return sumOf(copy);
}

/** A pool in a place of its own, and a volume in it that is on the backend alone; the sum of what it holds. */
async function farVolume(): Promise<string> {
  const place = { endpoint: server.endpoint, bucket, prefix: randomUUID() };
  const settings = { ...place, 'access-key': keys.accessKey, 'secret-key': keys.secretKey, 'on-outage': 'error' };
  const set = Object.entries(settings).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
  await daemon.ok('pool', 'create', 'far', '--driver', 'riak-cs', ...set);
  const file = join(scratch, 'content');
  writeFileSync(file, randomBytes(volume_bytes));
  await daemon.ok('volume', 'create', 'far', '--size', String(volume_bytes), '--pool', 'far');
  await must('nbdcopy', ['--flush', ...inOrder, file, await daemon.uri('far')]);
  // In order it seals and ships what is open.
  await daemon.kill('SIGTERM');
  await daemon.start();
  await expect
    .poll(async () => (await pool()).stagedBytes + (await pool()).keptBytes, { timeout: 60_000, interval: 200 })
    .toBeLessThanOrEqual(MiB);
  return sumOf(file);
}

/** Until all that was read is on the disk. */
async function written(): Promise<void> {
  await expect.poll(async () => (await cache()).bytes, { timeout: 30_000, interval: 100 }).toBeGreaterThan(volume_bytes);
}

it('a volume is read from the backend once: the next daemon has it on its disk, after kill -9 and with the backend away', async () => {
  const sum = await farVolume();
  const before = server.gets;
  expect(await readBack()).toBe(sum);
  const gets = server.gets - before;
  // In order, so a few records, then megabytes at a time; not a get for each of 384 blocks.
  expect(gets).toBeGreaterThan(2);
  expect(gets).toBeLessThan(48);
  expect((await pool()).fetchedBytes).toBeLessThan(volume_bytes * 1.2);
  await written();
  await daemon.ok('clone', 'far', 'branch');
  await daemon.kill();
  await daemon.start();
  server.away = true;
  const fetched = server.gets;
  expect(await readBack()).toBe(sum);
  expect(server.gets).toBe(fetched);
  expect(await cache()).toMatchObject({ damaged: 0, failed: false, bytesMax: 64 * MiB });
  expect((await cache()).hits).toBeGreaterThan(300);
  // A clone is the same blocks.
  await must('qemu-io', ['-f', 'raw', '-c', 'read 0 24M', await daemon.uri('branch')]);
  expect(server.gets).toBe(fetched);
  server.away = false;
});

it('bytes that change in its files are never handed out: what they were is fetched again', async () => {
  const sum = await farVolume();
  expect(await readBack()).toBe(sum);
  await written();
  await daemon.kill();
  for (const name of readdirSync(cacheDirectory())) {
    const path = join(cacheDirectory(), name);
    const content = readFileSync(path);
    for (let at = 1000; at < content.length; at += 300_000) content[at] = (content[at] ?? 0) ^ 0x40;
    writeFileSync(path, content);
  }
  await daemon.start();
  const before = server.gets;
  expect(await readBack()).toBe(sum);
  expect(server.gets).toBeGreaterThan(before);
  expect((await cache()).damaged).toBeGreaterThan(10);
  expect(await pool()).toMatchObject({ corruptPages: 0, healthy: true });
  expect(await daemon.cli('status')).toMatchObject({ code: 0, stdout: expect.stringMatching(/local cache +\d/) });
});

it('a pool that is made anew finds nothing of the one before, whose packs had the same numbers', async () => {
  const first = await farVolume();
  expect(await readBack()).toBe(first);
  await written();
  await daemon.ok('volume', 'delete', 'far');
  await daemon.ok('pool', 'delete', 'far');
  const second = await farVolume();
  expect(second).not.toBe(first);
  const before = server.gets;
  expect(await readBack()).toBe(second);
  expect(server.gets).toBeGreaterThan(before);
  expect((await cache()).damaged).toBe(0);
});

it('switched off it gives its room back, and all is read from the backend', async () => {
  const sum = await farVolume();
  expect(await readBack()).toBe(sum);
  await written();
  await daemon.kill('SIGTERM');
  const off = new DaemonProcess({ directory: daemon.directory, config: { ...config, localCacheBytesMax: 0 } });
  daemon = off;
  await daemon.start();
  await expect.poll(() => readdirSync(cacheDirectory())).toEqual([]);
  const before = server.gets;
  expect(await readBack()).toBe(sum);
  expect(server.gets).toBeGreaterThan(before);
  expect(await cache()).toMatchObject({ bytes: 0, bytesMax: 0, records: 0 });
});
