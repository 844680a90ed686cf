/**
 * Pools whose driver gives native threads no path of their own, over a backend that is slow, throttles, rots, or is away:
 * the real engine with real clients, the caches far smaller than the data, the faults put in by the fault filter.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { allDrivers } from '../../drivers/all.ts';
import { connect, type Client } from '../../src/control/client.ts';
import { serve, type RunningDaemon } from '../../src/daemon/serve.ts';
import { ChunkFiles } from '../../src/driver/chunk_files.ts';
import { withFault, type FaultDriver, type FaultRule } from '../../src/driver/fault.ts';
import type { DriverRegistry } from '../../src/driver/registry.ts';
import { must, run } from '../harness/command.ts';

const MiB = 1 << 20;

let scratch: string;
let daemon: RunningDaemon;
let client: Client;
let faults: FaultDriver;
/** In force from the moment the driver is opened. */
let rulesAtOpen: readonly FaultRule[] = [];

/** The local driver as if it were far away, under the fault filter. */
const registry: DriverRegistry = [
  ...allDrivers,
  {
    name: 'faulty',
    description: 'for tests',
    secrets: ['token'],
    async open(settings) {
      faults = withFault(await ChunkFiles.open(settings['directory'] ?? '', false), { seed: 7, rules: rulesAtOpen });
      return faults;
    },
  },
];

async function start(): Promise<void> {
  daemon = await serve(
    {
      dataDirectory: join(scratch, 'data'),
      httpPort: 0,
      s3Listen: '127.0.0.1:0',
      ringBytes: '16M',
      segmentBytes: '4M',
      journalBytesMax: '64M',
      overlayBytesMax: '8M',
      blockCacheBytesMax: '1M',
      poolKeptBytesMax: '1M',
      localCacheBytesMax: 0,
    },
    { logger: pino({ level: 'silent' }), registry },
  );
  client = connect({ dataDirectory: join(scratch, 'data') });
}

async function stop(): Promise<void> {
  client.close();
  await daemon.stop();
}

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-far-'));
  await start();
});

afterEach(async () => {
  await stop();
  rmSync(scratch, { recursive: true, force: true });
});

async function createFar(settings: Record<string, string> = {}): Promise<void> {
  await client.createPool({ name: 'far', driver: 'faulty', settings: { directory: join(scratch, 'far'), ...settings } });
}

async function volume(name: string, sizeBytes: number): Promise<string> {
  await client.createVolume({ name, sizeBytes, pool: 'far' });
  return (await client.volumeUri(name)).uri;
}

/** Until all packs are on the backend, and next to nothing of them is left here. */
async function shipped(): Promise<void> {
  for (;;) {
    const { packs, stagedBytes, keptBytes } = await client.pool('far');
    if (stagedBytes === 0 && keptBytes <= MiB && readdirSync(join(scratch, 'far', 'packs')).length === packs) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Data in a new volume that is on the backend alone when this resolves, and its sum. */
async function farData(
  name: string,
  mebibytes: number,
): Promise<{ readonly uri: string; readonly sum: string; readonly file: string }> {
  const file = join(scratch, `${name}.raw`);
  writeFileSync(file, randomBytes(mebibytes * MiB));
  const uri = await volume(name, mebibytes * MiB);
  await must('nbdcopy', ['--flush', file, uri]);
  // A restart seals what is open.
  await stop();
  await start();
  await shipped();
  return { uri: (await client.volumeUri(name)).uri, sum: sumOf(file), file };
}

const sumOf = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

async function readBack(uri: string): Promise<string> {
  const copy = join(scratch, `copy-${randomBytes(4).toString('hex')}.raw`);
  await must('nbdcopy', ['--connections=4', uri, copy]);
  return sumOf(copy);
}

/** fio over four connections, each on a part of its own, every block verified; the verifying reads go to the backend. */
async function verified(uri: string): Promise<void> {
  const jobs = [0, 1, 2, 3].flatMap((job) => [`--name=part${job}`, `--offset=${job * 16}M`, '--size=16M']);
  await must(
    'fio',
    [
      '--ioengine=nbd',
      `--uri=${uri}`,
      '--rw=randwrite',
      '--bsrange=4k-128k',
      '--iodepth=16',
      '--verify=crc32c',
      '--verify_fatal=1',
      '--fsync=64',
      '--minimal',
      ...jobs,
    ],
    { cwd: scratch },
  );
}

describe('a volume on a remote pool', () => {
  it('passes fio verify with caches far smaller than its data, and reads the same after a restart', async () => {
    await createFar();
    const uri = await volume('fio', 64 * MiB);
    await verified(uri);
    const before = await readBack(uri);
    await stop();
    await start();
    expect(await readBack((await client.volumeUri('fio')).uri)).toBe(before);
    await shipped();
    expect(await readBack((await client.volumeUri('fio')).uri)).toBe(before);
    const pool = await client.pool('far');
    expect(pool.fetchedBytes).toBeGreaterThan(16 * MiB);
    expect(pool).toMatchObject({ remote: true, corruptPages: 0, freeBytes: null });
    expect(readdirSync(join(scratch, 'far', 'packs')).length).toBe(pool.packs);
  });

  it('passes fio verify while the backend is slow and throttles', async () => {
    await createFar();
    faults.inject({ verb: 'get', fault: 'delay', delayMilliseconds: 15, chance: 0.3 });
    faults.inject({ fault: 'before', code: 'try-again', chance: 0.2 });
    faults.inject({ verb: 'put', fault: 'after', code: 'timeout', chance: 0.3 });
    await verified(await volume('slow', 64 * MiB));
    expect(faults.struck).toBeGreaterThan(0);
  });

  it('never hands out a byte that came wrong', async () => {
    await createFar();
    const { uri, sum } = await farData('rot', 32);
    for (let round = 0; round < 5; ++round) {
      faults.inject({ verb: 'get', keyPrefix: 'packs/', fault: 'corrupt', skip: round, times: 1 });
      expect(await readBack(uri)).toBe(sum);
    }
    expect(faults.struck).toBe(5);
    expect((await client.pool('far')).corruptPages).toBe(0);
    faults.inject({ verb: 'get', keyPrefix: 'packs/', fault: 'corrupt' });
    const refused = await run('nbdcopy', [uri, join(scratch, 'refused.raw')]);
    expect(refused.code).not.toBe(0);
    expect((await client.pool('far')).corruptPages).toBeGreaterThan(0);
  });

  it('is cloned and snapshotted like any other, and its clone begins equal', async () => {
    await createFar();
    const { sum, file } = await farData('source', 16);
    await client.createSnapshot({ name: 'source@one' });
    await client.clone({ source: 'source@one', name: 'branch' });
    expect((await client.volume('branch')).pool).toBe('far');
    const { uri } = await client.volumeUri('branch');
    expect(await readBack(uri)).toBe(sum);
    await must('qemu-io', ['-f', 'raw', '-c', 'write -P 0x77 4M 8M', '-c', 'flush', uri]);
    const snapshot = (await client.volumeUri('source@one')).uri;
    await must('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', file, snapshot]);
    await must('qemu-io', ['-r', '-f', 'raw', '-c', 'read -P 0x77 4M 8M', uri]);
  });

  it('stores nothing again that is on the backend already', async () => {
    await createFar();
    const { file } = await farData('first', 16);
    const before = await client.pool('far');
    await must('nbdcopy', ['--flush', file, await volume('second', 16 * MiB)]);
    const after = await client.pool('far');
    expect(after.blocks).toBe(before.blocks);
    expect(after.dedupBytes).toBe(16 * MiB);
  });
});

describe('collecting a pool on a backend', () => {
  const packsThere = (): number => readdirSync(join(scratch, 'far', 'packs')).length;
  async function collect(dryRun: boolean) {
    await client.collectPool('far', { dryRun });
    for (;;) {
      const view = await client.collection('far', 2);
      if (view.state !== 'running') return view;
    }
  }
  /** Once the journal names nothing any more. */
  async function collected() {
    await expect.poll(async () => (await collect(true)).journalled.packs, { timeout: 60_000 }).toBe(0);
    return collect(false);
  }

  it('removes there what nothing wants, moves what little is wanted, and all else reads the same', async () => {
    await createFar();
    const stays = await farData('stays', 16);
    const { uri } = await farData('goes', 192);
    // Of a pack and a half a few blocks are left, in a snapshot of their own.
    await must('qemu-io', ['-f', 'raw', '-c', 'discard 1M 190M', '-c', 'flush', uri]);
    await client.clone({ source: 'goes', name: 'rest' });
    await client.deleteVolume('goes');
    const rest = await readBack((await client.volumeUri('rest')).uri);
    await stop();
    await start();
    await shipped();
    const before = packsThere();
    const view = await collected();
    expect(view).toMatchObject({ state: 'done', error: null });
    expect(view.packsRemoved).toBeGreaterThan(1);
    expect(view.packsMoved).toBeGreaterThan(0);
    expect(view.freedBytes).toBeGreaterThan(128 * MiB);
    expect(packsThere()).toBeLessThan(before);
    const pool = await client.pool('far');
    expect(pool).toMatchObject({ removalsWaiting: 0, stagedBytes: 0, packs: packsThere() });
    for (const life of ['this', 'the next']) {
      if (life === 'the next') {
        await stop();
        await start();
      }
      expect(await readBack((await client.volumeUri('stays')).uri)).toBe(stays.sum);
      expect(await readBack((await client.volumeUri('rest')).uri)).toBe(rest);
    }
  });

  it('tells what the backend has not removed, does not believe in it after a restart, and removes it when it can', async () => {
    await createFar();
    const { file } = await farData('goes', 96);
    await farData('stays', 8);
    await client.deleteVolume('goes');
    rulesAtOpen = [{ verb: 'remove', keyPrefix: 'packs/', fault: 'before', code: 'unavailable' }];
    await stop();
    await start();
    const before = packsThere();
    const view = await collected();
    expect(view.state).toBe('done');
    expect(view.packsRemoved).toBeGreaterThan(0);
    const { removalsWaiting, problem } = await client.pool('far');
    expect(removalsWaiting).toBe(view.packsRemoved);
    expect(problem).toContain('far');
    await stop();
    rulesAtOpen = [];
    await start();
    await expect.poll(async () => (await client.pool('far')).removalsWaiting, { timeout: 60_000 }).toBe(0);
    expect(packsThere()).toBeLessThan(before);
    // What was there is stored anew.
    const uri = await volume('again', 96 * MiB);
    await must('nbdcopy', ['--flush', file, uri]);
    expect(await readBack(uri)).toBe(sumOf(file));
  });
});

it('a scrub finds what has rotted on the backend, repairs what this host has a copy of, and names who has the rest', async () => {
  await createFar({ 'on-outage': 'error' });
  const { uri, sum } = await farData('rots', 96);
  const chunks = readdirSync(join(scratch, 'far', 'packs')).toSorted();
  const [first] = chunks;
  if (first === undefined) throw new Error('nothing was shipped');
  const scrubbed = async () => {
    await client.scrubPool('far');
    for (;;) {
      const view = await client.scrubbing('far', 2);
      if (view.state !== 'running') return view;
    }
  };
  expect(await scrubbed()).toMatchObject({ state: 'done', damaged: 0, open: 0, findings: [] });
  const path = join(scratch, 'far', 'packs', first);
  const sound = readFileSync(path);
  const rotten = Buffer.from(sound);
  const middle = sound.length >> 1;
  rotten[middle] = (rotten[middle] ?? 0) ^ 1;
  writeFileSync(path, rotten);
  const view = await scrubbed();
  expect(view).toMatchObject({ state: 'done', damaged: 1, lost: 1, repaired: 0 });
  expect(view.findings).toMatchObject([
    { what: 'record', pack: Number.parseInt(first, 16), wanted: true, repaired: false, resource: { name: 'rots' } },
  ]);
  // Told as rot until it is healed or written again: never handed out.
  expect((await run('nbdcopy', [uri, join(scratch, 'refused.raw')])).code).not.toBe(0);
  writeFileSync(path, sound);
  expect(await readBack(uri)).toBe(sum);
  const heal = faults.inject({ verb: 'get', keyPrefix: 'packs/', fault: 'before', code: 'unavailable' });
  expect(await scrubbed()).toMatchObject({ state: 'failed', damaged: 0, error: expect.stringContaining('does not answer') });
  heal();
});

describe('a backend that is away', () => {
  it('makes reads wait and go on; writes and flushes do not notice', async () => {
    await createFar();
    const { uri, sum } = await farData('waits', 16);
    const heal = faults.inject({ fault: 'before', code: 'unavailable' });
    let ended = false;
    const reading = readBack(uri).finally(() => (ended = true));
    // It is heard at the end.
    reading.catch(() => undefined);
    // All of it while the backend is away, on the volume that is being read and on the pool that is local.
    await must('qemu-io', ['-f', 'raw', '-c', 'write -P 0x31 0 4k', '-c', 'flush', uri]);
    await client.createVolume({ name: 'near', sizeBytes: 8 * MiB });
    const near = (await client.volumeUri('near')).uri;
    await must('qemu-io', ['-f', 'raw', '-c', 'write -P 0x32 0 8M', '-c', 'flush', '-c', 'read -P 0x32 0 8M', near]);
    await expect.poll(async () => (await client.pool('far')).healthy, { timeout: 30_000 }).toBe(false);
    expect((await client.pool('far')).problem).toContain('far');
    expect(ended).toBe(false);
    heal();
    const read = await reading;
    // The first page may have been read before or after it was written.
    await must('qemu-io', ['-r', '-f', 'raw', '-c', 'read -P 0x31 0 4k', uri]);
    expect([sum, await readBack(uri)]).toContain(read);
  });

  it('fails reads where the pool is told to, and serves them when it is back', async () => {
    await createFar({ 'on-outage': 'error' });
    const { uri, sum } = await farData('fails', 8);
    const heal = faults.inject({ verb: 'get', fault: 'before', code: 'unavailable' });
    expect((await run('nbdcopy', [uri, join(scratch, 'refused.raw')])).code).not.toBe(0);
    heal();
    expect(await readBack(uri)).toBe(sum);
  });

  it('holds up no start: what this host knows is enough, and the rest comes when it is back', async () => {
    await createFar();
    const { sum } = await farData('known', 8);
    await stop();
    rulesAtOpen = [{ fault: 'before', code: 'unavailable', times: 40 }];
    await start();
    rulesAtOpen = [];
    expect((await client.pool('far')).packs).toBeGreaterThan(0);
    await client.createVolume({ name: 'near', sizeBytes: MiB });
    await must('qemu-io', ['-f', 'raw', '-c', 'write -P 0x32 0 1M', (await client.volumeUri('near')).uri]);
    expect(await readBack((await client.volumeUri('known')).uri)).toBe(sum);
    expect(faults.struck).toBe(40);
  });
});

describe('pools', () => {
  it('are made and deleted, show no secret, and share no place', async () => {
    await createFar({ token: 'hunter2' });
    const shown = JSON.stringify([await client.pool('far'), await client.pools(), await client.status()]);
    expect(shown).not.toContain('hunter2');
    expect((await client.pool('far')).settings).toMatchObject({ token: '(hidden)', directory: join(scratch, 'far') });
    await expect(client.createPool({ name: 'far', driver: 'faulty', settings: {} })).rejects.toMatchObject({ code: 'exists' });
    await expect(
      client.createPool({ name: 'twin', driver: 'local', settings: { directory: join(scratch, 'far') } }),
    ).rejects.toMatchObject({ code: 'conflict' });
    await expect(client.createPool({ name: 'x', driver: 'none', settings: {} })).rejects.toMatchObject({ code: 'invalid' });
    await expect(client.createVolume({ name: 'v', sizeBytes: MiB, pool: 'none' })).rejects.toMatchObject({ code: 'not-found' });
    await volume('v', MiB);
    await expect(client.deletePool('far')).rejects.toMatchObject({ code: 'conflict' });
    await client.deleteVolume('v');
    await client.deletePool('far');
    expect((await client.pools()).map(({ name }) => name)).toEqual(['default']);
    await expect(client.deletePool('default')).rejects.toMatchObject({ code: 'invalid' });
    expect(existsSync(join(scratch, 'far'))).toBe(true);
    await stop();
    await start();
    expect((await client.pools()).map(({ name }) => name)).toEqual(['default']);
  });

  it('in memory say loudly that they forget, and serve until then', async () => {
    const view = await client.createPool({ name: 'brief', driver: 'memory', settings: {} });
    expect(view.warnings).toEqual([expect.stringContaining('lost')]);
    await client.createVolume({ name: 'v', sizeBytes: 32 * MiB, pool: 'brief' });
    const { uri } = await client.volumeUri('v');
    await must('qemu-io', ['-f', 'raw', '-c', 'write -P 0x42 0 32M', '-c', 'flush', '-c', 'read -P 0x42 0 32M', uri]);
  });

  it('of several kinds serve volumes side by side', async () => {
    await createFar();
    await client.createPool({ name: 'disk', driver: 'local', settings: { directory: join(scratch, 'disk') } });
    for (const pool of ['default', 'far', 'disk']) {
      await client.createVolume({ name: `on-${pool}`, sizeBytes: 8 * MiB, pool });
      const { uri } = await client.volumeUri(`on-${pool}`);
      await must('qemu-io', ['-f', 'raw', '-c', `write -P ${pool.length} 1M 4M`, '-c', 'flush', uri]);
    }
    await stop();
    await start();
    for (const pool of ['default', 'far', 'disk']) {
      const { uri } = await client.volumeUri(`on-${pool}`);
      await must('qemu-io', ['-r', '-f', 'raw', '-c', `read -P ${pool.length} 1M 4M`, '-c', 'read -P 0 5M 3M', uri]);
    }
    expect((await client.pool('disk')).remote).toBe(false);
    expect((await client.pool('disk')).volumes).toBe(1);
  });
});
