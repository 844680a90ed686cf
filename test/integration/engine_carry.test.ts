/** Copies between pools by the engine itself: what arrives, what is told on the way, and what is held until it is released. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { CarryOrder, PoolSpec, TreeRootSpec } from '../../src/engine/binding.ts';
import { Engine, loadNativeModule } from '../../src/engine/engine.ts';

const MiB = 1 << 20;
const blockBytes = 64 << 10;
const volume = 1;
const copy = 2;
const sizeBytes = 4 * MiB;
const empty: TreeRootSpec = { id: '', levels: 0, pack: 0, offset: 0, storedBytes: 0 };
const limit = { iops: 0, bandwidth: 0, burst: 0 };
const facts = {
  sizeBytes,
  writethrough: false,
  flushesToPool: false,
  appliedSequence: 0,
  fence: 1,
  pendingOf: 0,
  lineage: 0,
  limit,
  compression: null,
  domain: 0,
} as const;
let directory: string;
let ringName: string;
let engine: Engine;
let root: TreeRootSpec;

function pool(name: string, fill: number): PoolSpec {
  const places = { directory: join(directory, name), checkpoint: join(directory, `${name}.index`), remote: null };
  const domainKey = new Uint8Array(32).fill(fill);
  return { name, ...places, domain: fill, keyId: 1, domainKey, dataKey: null, compression: { codec: 'none', level: 0 } };
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'skerry-engine-'));
  ringName = `skerry-${directory.slice(directory.lastIndexOf('/') + 1)}`;
  const sizes = { ringBytes: 4 * MiB, segmentBytes: 2 * MiB, journalBytesMax: 16 * MiB, overlayBytesMax: 8 * MiB };
  const limits = {
    nodeCacheBytesMax: MiB,
    blockCacheBytesMax: MiB,
    localCacheBytesMax: 0,
    cacheDirectory: join(directory, 'cache'),
    nbdBufferBytesMax: 64 * MiB,
    socketThreads: 1,
    blockingThreads: 1,
  };
  engine = new Engine(
    loadNativeModule(),
    { directory: join(directory, 'engine'), ringName, ...sizes, ...limits, salvageJournal: false },
    (event, error) => {
      throw new Error(`${event}: ${String(error)}`);
    },
  );
  engine.on('commit', ({ commit }) => {
    root = commit.root;
    engine.committed(commit.token, true);
  });
  root = empty;
  await engine.start([pool('first', 1), pool('second', 2)], [{ id: volume, kind: 'volume', pool: 'first', root, ...facts }]);
});

afterEach(async () => {
  await engine.stop(false);
  rmSync(directory, { recursive: true, force: true });
  rmSync(join('/dev/shm', ringName), { force: true });
});

/** A megabyte, each block of it unlike the others. */
function content(seed: number): Uint8Array {
  return Uint8Array.from({ length: MiB }, (_, i) => (seed + (i >> 16) * 7 + i) & 0xff);
}

async function write(offset: number, data: Uint8Array): Promise<TreeRootSpec> {
  await engine.write(volume, offset, data);
  await engine.destage(volume);
  return root;
}

function order(to: TreeRootSpec, more: Partial<CarryOrder> = {}): CarryOrder {
  const nothing = { from: empty, have: empty, next: 0, compression: null, hurry: true };
  return { source: 'first', target: 'second', to, blocks: sizeBytes / blockBytes, ...nothing, ...more };
}

it('copies what a volume holds, then what has changed since', async () => {
  const before = await write(MiB, content(1));
  const first = await engine.carry('carry', 7, order(before));
  expect(first).toMatchObject({
    blocks: 64,
    blocksDone: 64,
    carriedBlocks: 16,
    putBlocks: 16,
    lostPages: 0,
    firstLostPage: null,
  });
  expect(await engine.carry('carried', 7)).toEqual(first);
  expect(await engine.carry('keep', 7)).toEqual(first.point);
  expect(first.point?.root.id).not.toBe(before.id);

  const after = await write(2 * MiB, content(2).subarray(0, 2 * blockBytes));
  const have = first.point?.root ?? empty;
  const second = await engine.carry('carry', 7, order(after, { from: before, have }));
  expect(second.carriedBlocks).toBe(2);
  engine.add({ id: copy, kind: 'volume', pool: 'second', root: second.point?.root ?? empty, ...facts });
  expect(Buffer.from(await engine.read(copy, MiB, MiB)).equals(content(1))).toBe(true);
  expect(Buffer.from(await engine.read(copy, 2 * MiB, 2 * blockBytes)).equals(content(2).subarray(0, 2 * blockBytes))).toBe(true);
  expect(Buffer.from(await engine.read(copy, 3 * MiB, MiB)).equals(new Uint8Array(MiB))).toBe(true);
});

it('holds what it made until it is released, and refuses what nothing has any more', async () => {
  const before = await write(0, content(3));
  await engine.carry('carry', 7, order(before));
  const invalid = expect.objectContaining({ code: 'invalid' });
  await expect(engine.removePool('second')).rejects.toThrowError(invalid);
  await engine.carry('release', 7);
  await engine.carry('release', 7);
  await write(0, content(4));
  const unknown = expect.objectContaining({ code: 'not-found' });
  await expect(engine.carry('carry', 7, order(before))).rejects.toThrowError(unknown);
  await expect(engine.carry('carried', 8)).rejects.toThrowError(unknown);
  await expect(engine.carry('carry', 8, order(root, { target: 'third' }))).rejects.toThrowError(unknown);
  await engine.carry('release', 7);
  await engine.carry('release', 8);
  await engine.removePool('second');
});

it('goes on in rounds while the volume is written and both pools are collected, and ends with all that was written', async () => {
  const expected = Buffer.alloc(sizeBytes);
  const over = new AbortController();
  const write = async (): Promise<void> => {
    for (let i = 0; !over.signal.aborted; i += 1) {
      const offset = ((i * 37) % (sizeBytes / blockBytes)) * blockBytes + (i % 3) * 4096;
      const data = content(i).subarray(0, Math.min(blockBytes * (1 + (i % 4)), sizeBytes - offset));
      await engine.write(volume, offset, data);
      expected.set(data, offset);
      if (i % 4 === 3) await engine.destage(volume);
    }
  };
  const collect = async (): Promise<void> => {
    for (const how = { dryRun: false, liveMax: 1, hurry: true }; !over.signal.aborted; ) {
      await engine.collect('run', 'first', [root], how);
      await engine.collect('run', 'second', [], how);
    }
  };
  let from = empty;
  let have = empty;
  const round = async (): Promise<void> => {
    const to = root;
    try {
      const { point } = await engine.carry('carry', 7, order(to, { from, have }));
      from = to;
      have = point?.root ?? empty;
    } catch (error) {
      // A newer root may have been committed before this one was held.
      expect(error).toMatchObject({ code: 'not-found' });
    }
  };
  const others = [write(), collect()];
  for (let i = 0; i < 12; i += 1) await round();
  over.abort();
  await Promise.all(others);
  await engine.destage(volume);
  while (from.id !== root.id) await round();
  engine.add({ id: copy, kind: 'volume', pool: 'second', root: have, ...facts });
  await engine.carry('release', 7);
  await engine.collect('run', 'second', [], { dryRun: false, liveMax: 1, hurry: true });
  expect(Buffer.from(await engine.read(copy, 0, sizeBytes)).equals(expected)).toBe(true);
  expect(Buffer.from(await engine.read(volume, 0, sizeBytes)).equals(expected)).toBe(true);
});

it('makes a tree of parts of others in the same pool, and stores no block for it', async () => {
  const from = await write(MiB, content(5));
  const blocks = sizeBytes / blockBytes;
  const stored = (): number | undefined => engine.stats().pools.find(({ name }) => name === 'first')?.blocks;
  const before = stored();
  const parts = [
    { from, first: 24, blocks: 8, at: 0 },
    { from, first: 16, blocks: 8, at: 8 },
    // Holes, and beyond them again.
    { from, first: 0, blocks: 20, at: 20 },
  ];
  const made = await engine.carry('splice', 9, { pool: 'first', blocks, parts });
  expect(made).toMatchObject({ blocks, blocksDone: blocks, carriedBlocks: 20, putBlocks: 0 });
  expect(await engine.carry('keep', 9)).toEqual(made.point);
  expect(stored()).toBe(before);
  engine.add({ id: copy, kind: 'volume', pool: 'first', root: made.point?.root ?? empty, ...facts });
  await engine.carry('release', 9);
  const half = MiB / 2;
  expect(Buffer.from(await engine.read(copy, 0, half)).equals(content(5).subarray(half))).toBe(true);
  expect(Buffer.from(await engine.read(copy, half, half)).equals(content(5).subarray(0, half))).toBe(true);
  expect(
    Buffer.from(await engine.read(copy, 36 * blockBytes, 4 * blockBytes)).equals(content(5).subarray(0, 4 * blockBytes)),
  ).toBe(true);
  const invalid = expect.objectContaining({ code: 'invalid' });
  await expect(engine.carry('splice', 10, { pool: 'first', blocks: 10, parts })).rejects.toThrowError(invalid);
  await engine.carry('release', 10);
});
