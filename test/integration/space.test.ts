/** What the daemon says of space, against what is really there: while much is written, deleted and destaged. */
import { randomBytes } from 'node:crypto';
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';

const MiB = 1024 * 1024;
const block = 65_536;
let daemon: DaemonProcess;
let scratch: string;

interface Resource {
  readonly name: string;
  readonly kind: string;
  readonly logicalBytes: number;
  readonly allocatedBytes: number;
  readonly journalledBytes: number;
  readonly uniqueBytes: number;
  readonly sharedBytes: number;
  readonly storedBytes: number;
  readonly freedBytes: number;
  readonly freedWithSnapshotsBytes: number | null;
}
interface Space {
  readonly incomplete: string | null;
  readonly pool: {
    readonly uniqueBytes: number;
    readonly referencedBytes: number;
    readonly deadBytes: number;
    readonly overheadBytes: number;
    readonly storedBytes: number;
    readonly dedupRatio: number;
    readonly compressionRatio: number;
  };
  readonly resources: readonly Resource[];
}
interface Estimate {
  readonly fileBytes: number;
  readonly zeroBytes: number;
  readonly dataBytes: number;
  readonly distinctBytes: number;
  readonly knownBytes: number;
  readonly storedBytes: number;
  readonly exact: boolean;
}

const at = (name: string): string => join(scratch, name);
async function measured(): Promise<Space> {
  const { pools, ...space } = await daemon.json<Omit<Space, 'pool'> & { readonly pools: readonly Space['pool'][] }>('space');
  const [pool] = pools;
  if (pool === undefined || pools.length > 1) throw new Error('there is one pool');
  return { ...space, pool };
}

async function of(name: string): Promise<Resource> {
  const { resource } = await daemon.json<{ readonly resource: Resource }>('space', name);
  return resource;
}

/** When nothing is left in the journal that is not in a map. */
async function settled(): Promise<Space> {
  for (;;) {
    const space = await measured();
    if (space.resources.every(({ journalledBytes }) => journalledBytes === 0)) return space;
    await sleep(200);
  }
}

/** Writes distinct bytes of so many blocks to a volume, over NBD. */
async function write(volume: string, offset: number, blocks: number): Promise<void> {
  writeFileSync(at('piece'), randomBytes(blocks * block));
  const command = `write -q -s ${at('piece')} ${offset} ${blocks * block}`;
  await must('qemu-io', ['-f', 'raw', '-c', command, '-c', 'flush', await daemon.uri(volume)]);
}

/** Pages at odd places, so that blocks are made of old and new. */
async function scatter(volume: string, pages: number, within: number): Promise<void> {
  const places = Array.from({ length: pages }, () => Math.floor(Math.random() * (within / 4096)) * 4096);
  const commands = places.flatMap((place, index) => ['-c', `write -q -P ${1 + (index % 200)} ${place + 512} 5120`]);
  await must('qemu-io', ['-f', 'raw', ...commands, '-c', 'flush', await daemon.uri(volume)]);
}

async function snapshot(name: string): Promise<void> {
  await daemon.json('snapshot', 'create', name);
}

/** Frees of what is asked, then the deletion, then what the pool really lost: both must be the same. */
async function deletes(words: readonly string[], freed: number, before: Space): Promise<Space> {
  await daemon.json(...words);
  let after = await measured();
  // What has lost its name goes a moment later.
  while (after.pool.referencedBytes > before.pool.referencedBytes - freed) {
    await sleep(100);
    after = await measured();
  }
  expect(before.pool.referencedBytes - after.pool.referencedBytes).toBe(freed);
  expect(after.pool.deadBytes - before.pool.deadBytes).toBe(freed);
  return after;
}

const named = (space: Space, name: string): Resource => {
  const found = space.resources.find((resource) => resource.name === name);
  if (found === undefined) throw new Error(`${name} is not told of`);
  return found;
};

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-space-'));
  daemon = new DaemonProcess({});
  await daemon.start();
});

afterAll(async () => {
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

it('the same image imported again stores less than a hundredth more, and the estimate said so', async () => {
  const path = at('disk.raw');
  const file = openSync(path, 'w');
  writeSync(file, randomBytes(40 * MiB), 0, 40 * MiB, 0);
  ftruncateSync(file, 512 * MiB);
  closeSync(file);
  const before = (await measured()).pool.referencedBytes;
  const estimate = await daemon.json<Estimate>('pool', 'estimate', path);
  expect(estimate).toMatchObject({ fileBytes: 512 * MiB, zeroBytes: 472 * MiB, dataBytes: 40 * MiB, distinctBytes: 40 * MiB });
  expect(estimate).toMatchObject({ knownBytes: 0, exact: true });

  await daemon.json('image', 'import', path, 'one');
  const first = await settled();
  const taken = first.pool.referencedBytes - before;
  // Map nodes come to what the estimate counts.
  expect(taken).toBeGreaterThanOrEqual(estimate.storedBytes);
  expect(taken).toBeLessThan(estimate.storedBytes * 1.01);

  expect(await daemon.json<Estimate>('pool', 'estimate', path, path)).toMatchObject({
    dataBytes: 80 * MiB,
    distinctBytes: 40 * MiB,
    knownBytes: 40 * MiB,
    storedBytes: 0,
  });
  await daemon.json('image', 'import', path, 'two');
  const second = await settled();
  expect(second.pool.referencedBytes).toBe(first.pool.referencedBytes);
  expect(second.pool.storedBytes - first.pool.storedBytes).toBeLessThan(taken / 100);
  expect(named(second, 'two')).toMatchObject({ uniqueBytes: 0, sharedBytes: 40 * MiB, freedBytes: 0, allocatedBytes: 40 * MiB });
  expect((await daemon.json<{ readonly sharedWith: unknown }>('space', 'image/two')).sharedWith).toEqual([
    { kind: 'image', name: 'one', sharedBytes: 40 * MiB },
  ]);
});

it('a clone of a volume of a terabyte stores nothing', async () => {
  await daemon.json('volume', 'create', 'big', '--size', '1T');
  for (const place of [0, 300, 900]) await write('big', place * 1024 * MiB, 64);
  await snapshot('big@s');
  const before = await settled();
  await daemon.json('clone', 'big@s', 'copy');
  const after = await settled();
  expect(after.pool).toMatchObject({
    referencedBytes: before.pool.referencedBytes,
    storedBytes: before.pool.storedBytes,
    uniqueBytes: before.pool.uniqueBytes,
  });
  expect(named(after, 'copy')).toMatchObject({
    logicalBytes: 1024 * 1024 * MiB,
    allocatedBytes: 12 * MiB,
    uniqueBytes: 0,
    freedBytes: 0,
  });
});

it('what deleting a thing frees is what the pool then no longer refers to', async () => {
  await daemon.json('volume', 'create', 'vm', '--size', '1G');
  await write('vm', 0, 200);
  await snapshot('vm@a');
  await write('vm', 0, 50);
  await snapshot('vm@b');
  await write('vm', 20 * block, 100);
  await daemon.json('clone', 'vm@b', 'vm-copy');
  await write('vm-copy', 512 * MiB, 30);
  await daemon.json('volume', 'create', 'bystander', '--size', '64M');
  await scatter('bystander', 100, 32 * MiB);
  await snapshot('bystander@s');
  await scatter('bystander', 100, 32 * MiB);
  let space = await settled();
  expect(space.incomplete).toBeNull();
  expect(named(space, 'vm@a').uniqueBytes).toBe(50 * block);
  expect(named(space, 'vm').uniqueBytes).toBe(100 * block);
  expect(named(space, 'vm-copy').uniqueBytes).toBe(30 * block);
  // What the copy and vm@b have in common with nobody else goes with neither.
  expect(named(space, 'vm@b').uniqueBytes).toBe(0);

  space = await deletes(['snapshot', 'delete', 'bystander@s'], named(space, 'bystander@s').freedBytes, space);
  space = await deletes(['snapshot', 'delete', 'vm@a'], named(space, 'vm@a').freedBytes, space);
  space = await deletes(['volume', 'delete', 'vm-copy'], named(space, 'vm-copy').freedBytes, space);
  const together = named(space, 'vm').freedWithSnapshotsBytes ?? 0;
  expect(together).toBeGreaterThan(named(space, 'vm').freedBytes + named(space, 'vm@b').freedBytes);
  const before = space;
  space = await deletes(['snapshot', 'delete', 'vm@b'], named(space, 'vm@b').freedBytes, space);
  space = await deletes(['volume', 'delete', 'vm'], named(space, 'vm').freedBytes, space);
  expect(before.pool.referencedBytes - space.pool.referencedBytes).toBe(together);
  expect(space.pool.referencedBytes + space.pool.deadBytes + space.pool.overheadBytes).toBe(space.pool.storedBytes);
});

it('blocks that are journalled and in packs already do not make a ratio below one', async () => {
  await daemon.json('volume', 'create', 'fresh', '--size', '512M');
  await write('fresh', 0, 4000);
  const { pool } = await measured();
  expect(pool.dedupRatio).toBeGreaterThanOrEqual(1);
  expect(pool.compressionRatio).toBe(1);
  const text = await daemon.ok('space');
  expect(text).toMatch(/^saved by +deduplication [1-9][\d.]*x, compression 1x$/m);
  await daemon.json('volume', 'delete', 'fresh');
});

it('a measurement while guests write, and while it is destaged, keeps nobody waiting and counts nothing twice', async () => {
  await daemon.json('volume', 'create', 'busy', '--size', '256M');
  const asked = new AbortController();
  const writer = async (): Promise<void> => {
    for (let round = 0; !asked.signal.aborted; round += 1) {
      await write('busy', (round % 3) * 16 * MiB, 256);
      await scatter('busy', 40, 48 * MiB - 8192);
    }
  };
  const asker = async (): Promise<void> => {
    try {
      for (let time = 0; time < 8; time += 1) {
        if (time % 3 === 2) await snapshot(`busy@s${time}`);
        const busy = await of('busy');
        expect(busy.journalledBytes).toBeLessThanOrEqual(48 * MiB);
        expect(busy.allocatedBytes).toBeLessThanOrEqual(48 * MiB);
      }
    } finally {
      asked.abort();
    }
  };
  await Promise.all([writer(), asker()]);
  await daemon.json('snapshot', 'create', 'busy@end');
  const { pool, resources } = await settled();
  const allocated = resources.reduce((sum, { allocatedBytes }) => sum + allocatedBytes, 0);
  expect(pool.dedupRatio).toBeCloseTo(allocated / pool.uniqueBytes, 1);
  expect(resources.reduce((sum, { uniqueBytes }) => sum + uniqueBytes, 0)).toBeLessThanOrEqual(pool.uniqueBytes);
});

it('an estimate refuses what is no raw disk, and tells a file of a terabyte of holes in a moment', async () => {
  await must('qemu-img', ['create', '-q', '-f', 'qcow2', at('other.qcow2'), '1G']);
  const refused = await daemon.cli('pool', 'estimate', at('other.qcow2'));
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(/other\.qcow2 is a qcow2 file, and only raw disks can be estimated/);
  expect((await daemon.cli('pool', 'estimate', at('none'))).code).toBe(3);
  writeFileSync(at('holes'), randomBytes(1000));
  truncateSync(at('holes'), 1024 * 1024 * MiB);
  expect(await daemon.json<Estimate>('pool', 'estimate', at('holes'))).toMatchObject({
    fileBytes: 1024 * 1024 * MiB,
    zeroBytes: 1024 * 1024 * MiB - block,
    dataBytes: block,
  });
});
