/** Copies by the engine itself: how their end is told, and that nothing of them stays. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { Engine, loadNativeModule } from '../../src/engine/engine.ts';

const MiB = 1 << 20;
const image = 1;
let directory: string;
let ringName: string;
let engine: Engine;

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
  const failed = (event: string, error: unknown): never => {
    throw new Error(`${event}: ${String(error)}`);
  };
  engine = new Engine(
    loadNativeModule(),
    { directory: join(directory, 'engine'), ringName, ...sizes, ...limits, salvageJournal: false },
    failed,
  );
  const places = { directory: join(directory, 'pool'), checkpoint: join(directory, 'index'), remote: null };
  const compression = { codec: 'none', level: 0 } as const;
  const pool = { name: 'default', ...places, domain: 1, keyId: 1, domainKey: new Uint8Array(32), dataKey: null, compression };
  const root = { id: '', levels: 0, pack: 0, offset: 0, storedBytes: 0 };
  const limit = { iops: 0, bandwidth: 0, burst: 0 };
  const facts = {
    sizeBytes: MiB,
    writethrough: false,
    flushesToPool: false,
    appliedSequence: 0,
    fence: 1,
    pendingOf: 0,
    lineage: 0,
  };
  await engine.start(
    [pool],
    [{ id: image, kind: 'volume', pool: 'default', root, limit, compression: null, domain: 0, ...facts }],
  );
  writeFileSync(join(directory, 'disk.raw'), Buffer.alloc(MiB, 7));
});

afterEach(async () => {
  await engine.stop(false);
  rmSync(directory, { recursive: true, force: true });
  rmSync(join('/dev/shm', ringName), { force: true });
});

const unknown = expect.objectContaining({ code: 'not-found' });

it('tells whoever waits for the end what was copied, and knows the copy no more', async () => {
  const copy = engine.importFile(image, join(directory, 'disk.raw'));
  const all = { doneBytes: MiB, totalBytes: MiB, dataBytes: MiB, finished: true };
  expect(await Promise.all([engine.transferDone(copy), engine.transferDone(copy)])).toEqual([all, all]);
  expect(() => engine.transferProgress(copy)).toThrowError(unknown);
  await expect(engine.transferDone(copy)).rejects.toThrowError(unknown);
  engine.transferCancel(copy);
});

it('keeps the end of a copy that nobody waited for until somebody asks', async () => {
  const copy = engine.exportFile(image, join(directory, 'out.raw'));
  await expect.poll(() => engine.transferProgress(copy).finished).toBe(true);
  expect(await engine.transferDone(copy)).toMatchObject({ doneBytes: MiB, dataBytes: 0, finished: true });
  expect(() => engine.transferProgress(copy)).toThrowError(unknown);
});

it('tells of a failure once, too', async () => {
  const copy = engine.importFile(image, join(directory, 'absent.raw'));
  await expect(engine.transferDone(copy)).rejects.toThrowError(unknown);
  expect(() => engine.transferProgress(copy)).toThrowError(unknown);
});
