/** What rots or is lost while the daemon is dead: it costs itself alone, is said, and is said once. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';

import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { filesBelow, flipBit } from '../harness/damage.ts';
import { requests } from '../harness/requests.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
let daemon: DaemonProcess;
let scratch: string;

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-damage-'));
  daemon = new DaemonProcess({ config: { segmentBytes: '2M', ringBytes: '4M' } });
  await daemon.start();
});

afterEach(async () => {
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

/** The journal's files by the number of the segment they hold, as their headers say. */
function segments(): ReadonlyMap<number, string> {
  const found = new Map<number, string>();
  for (const path of filesBelow(join(daemon.directory, 'engine', 'journal'), '.segment')) {
    const header = readFileSync(path).subarray(0, 32);
    if (header.toString('latin1', 0, 4) === 'SKJG') found.set(Number(header.readBigUInt64LE(24)), path);
  }
  return found;
}
const segmentNumbers = () => [...segments().keys()];

function segmentOf(number: number): string {
  const path = segments().get(number);
  if (path === undefined) throw new Error(`no file holds segment ${number}`);
  return path;
}

async function untilResolved(snapshot: string): Promise<void> {
  const shown = await daemon.json<{ name: string; pending: boolean }[]>('snapshot', 'list');
  if (shown.find(({ name }) => name === snapshot)?.pending !== false) await untilResolved(snapshot);
}

describe('rot in a pack that was open when the daemon was killed', () => {
  /** A block of 16 pages, each full of a byte of its own. */
  const pages = Array.from({ length: 16 }, (_, page) => ['write', MiB + page * 4 * KiB, 4 * KiB, page + 1] as const);
  const read = (page: number) => ['read', MiB + page * 4 * KiB, 4 * KiB, page + 1] as const;

  async function expectOnePageLost(uri: string): Promise<void> {
    const outcomes = await requests(
      uri,
      pages.map((_, page) => read(page)),
    );
    expect(outcomes).toEqual(pages.map((_, page) => (page === 5 ? 'EIO' : 'ok')));
    expect(
      await requests(uri, [
        ['read', 0, 64 * KiB, 7],
        ['read', 2 * MiB, 64 * KiB, 8],
      ]),
    ).toEqual(['ok', 'ok']);
  }

  it('below a durable mark costs that page: EIO, counted, logged; the block keeps the others through destage and restarts', async () => {
    await daemon.ok('volume', 'create', 'v', '--size', '8M');
    await daemon.ok('volume', 'create', 'marks', '--size', '1M');
    const uri = await daemon.uri('v');
    // Written as pages and taken in by a snapshot, the block is put in the pack by destage; then its neighbours directly.
    await requests(uri, [...pages, ['write', 0, 64 * KiB, 7], ['write', 2 * MiB, 64 * KiB, 8], ['flush']]);
    await daemon.ok('snapshot', 'create', 'v@s');
    await untilResolved('v@s');
    await daemon.kill();
    const [pack] = filesBelow(join(daemon.directory, 'pool'), '.open');
    await flipBit(pack ?? '', readFileSync(pack ?? '').indexOf(Buffer.alloc(4 * KiB, 6)) + 100);
    await daemon.start();
    await expectOnePageLost(uri);
    await expectOnePageLost(await daemon.uri('v@s'));
    expect(await daemon.metric('skerry_corrupt_cells_total')).toBeGreaterThan(0);
    expect(daemon.log).toContain('have pages that fail their sums; their other pages can be read');
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      await daemon.kill(signal);
      await daemon.start();
      await expectOnePageLost(uri);
    }
    // Written again it is whole again, and nothing is saved by pointing at the rotten copy.
    expect(await requests(uri, [...pages, ['flush'], ...pages.map((_, page) => read(page))])).not.toContain('EIO');
    await daemon.kill();
    await daemon.start();
    expect(
      new Set(
        await requests(
          uri,
          pages.map((_, page) => read(page)),
        ),
      ),
    ).toEqual(new Set(['ok']));
  });

  it('of a large write that is still in the journal costs that page, below the mark', async () => {
    await daemon.ok('volume', 'create', 'v', '--size', '8M');
    const uri = await daemon.uri('v');
    const image = Buffer.concat(pages.map((_, page) => Buffer.alloc(4 * KiB, page + 1)));
    writeFileSync(join(scratch, 'block'), image);
    await must('qemu-io', ['-f', 'raw', '-c', `write -s ${join(scratch, 'block')} 1M 64k`, '-c', 'flush', uri]);
    // The second flush's batch carries the mark that vouches for the first.
    for (const write of [
      ['write', 0, 64 * KiB, 7],
      ['write', 2 * MiB, 64 * KiB, 8],
      ['write', 0, 64 * KiB, 7],
    ] as const)
      expect(await requests(uri, [write, ['flush']])).toEqual(['ok', 'ok']);
    await daemon.kill();
    daemon.wipeRing();
    const [pack] = filesBelow(join(daemon.directory, 'pool'), '.open');
    await flipBit(pack ?? '', readFileSync(pack ?? '').indexOf(Buffer.alloc(4 * KiB, 6)) + 100);
    await daemon.start();
    expect(await daemon.metric('skerry_corrupt_cells_total')).toBe(1);
    expect(daemon.log).toMatch(/1 pages of volume \d+ near offset 1048576 are damaged in the pool/);
    await expectOnePageLost(uri);
  });
});

describe('rot in the journal beside a later write to the same block', () => {
  const pages = Array.from({ length: 16 }, (_, page) => ['write', MiB + page * 4 * KiB, 4 * KiB, page + 1] as const);
  const later = ['write', MiB + 9 * 4 * KiB, 4 * KiB, 99] as const;
  const reads = pages.map(([, offset, length, byte], page) => ['read', offset, length, page === 9 ? 99 : byte] as const);
  const onePageLost = pages.map((_, page) => (page === 5 ? 'EIO' : 'ok'));

  it('costs that page, counted and logged: destage, snapshot and journal go on, and writing it again heals it', async () => {
    await daemon.ok('volume', 'create', 'v', '--size', '8M');
    await daemon.ok('volume', 'create', 'filler', '--size', '16M');
    const uri = await daemon.uri('v');
    await requests(uri, [...pages, ['flush']]);
    // Past the ring and two segments: what was written first stands in a sealed segment alone.
    const filler = Array.from({ length: 2500 }, (_, i) => ['write', i * 4 * KiB, 4 * KiB, 100 + (i % 100)] as const);
    expect(new Set(await requests(await daemon.uri('filler'), [...filler, ['flush']]))).toEqual(new Set(['ok']));
    expect(await requests(uri, [later, ['flush']])).toEqual(['ok', 'ok']);
    const rotten = filesBelow(join(daemon.directory, 'engine', 'journal'), '.segment')
      .map((path) => ({ path, at: readFileSync(path).indexOf(Buffer.alloc(4 * KiB, 6)) }))
      .filter(({ at }) => at >= 0);
    expect(rotten).toHaveLength(1);
    await flipBit(rotten[0]?.path ?? '', (rotten[0]?.at ?? 0) + 100);
    expect(await requests(uri, reads)).toEqual(onePageLost);
    for (const snapshot of ['filler@s', 'v@s']) {
      await daemon.ok('snapshot', 'create', snapshot);
      await untilResolved(snapshot);
    }
    expect(await daemon.metric('skerry_journal_bytes')).toBeLessThan(2 * MiB);
    expect(await daemon.metric('skerry_corrupt_cells_total')).toBeGreaterThan(0);
    expect(daemon.log).toMatch(/1 pages of volume \d+, the first at offset 1069056, rotted in the journal/);
    for (const signal of ['SIGKILL', 'SIGTERM', 'SIGKILL'] as const) {
      expect(await requests(uri, reads)).toEqual(onePageLost);
      expect(await requests(await daemon.uri('v@s'), reads)).toEqual(onePageLost);
      await daemon.kill(signal);
      await daemon.start();
    }
    // A later write beside it is destaged as well.
    expect(await requests(uri, [later, ['flush']])).toEqual(['ok', 'ok']);
    await daemon.ok('snapshot', 'create', 'v@t');
    await untilResolved('v@t');
    expect(await requests(uri, reads)).toEqual(onePageLost);
    expect(new Set(await requests(uri, [...pages, later, ['flush'], ...reads]))).toEqual(new Set(['ok']));
    await daemon.kill();
    daemon.wipeRing();
    await daemon.start();
    expect(new Set(await requests(uri, reads))).toEqual(new Set(['ok']));
    expect(await requests(await daemon.uri('v@s'), reads)).toEqual(onePageLost);
  });
});

describe('a journal segment that is wholly lost', () => {
  /** Some segments of flushed writes: `at` holds the offset of the write that begins each. */
  async function fillSegments(uri: string): Promise<void> {
    for (let round = 0; round < 5; round += 1) {
      const writes = Array.from({ length: 250 }, (_, i) => ['write', (round * 250 + i) * 4 * KiB, 4 * KiB, round + 1] as const);
      expect(new Set(await requests(uri, [...writes, ['flush']]))).toEqual(new Set(['ok']));
    }
  }

  it.each(['deleted', 'without a header'] as const)('%s: one start with --salvage-journal is enough', async (how) => {
    await daemon.ok('volume', 'create', 'v', '--size', '8M');
    await daemon.ok('volume', 'create', 'sound', '--size', '1M');
    const uri = await daemon.uri('v');
    expect(await requests(await daemon.uri('sound'), [['write', 0, 4 * KiB, 3], ['flush']])).toEqual(['ok', 'ok']);
    await fillSegments(uri);
    await daemon.kill();
    const path = segmentOf(1);
    if (how === 'deleted') rmSync(path);
    else await flipBit(path, 20);
    await expect(daemon.start()).rejects.toThrow(/damaged[^]*--salvage-journal/);
    await daemon.start(['--salvage-journal']);
    expect(daemon.log).toContain('salvage:');
    await daemon.kill();
    for (const signal of ['SIGKILL', 'SIGTERM', 'SIGKILL'] as const) {
      await daemon.start();
      expect(await requests(await daemon.uri('sound'), [['read', 0, 4 * KiB, 3]])).toEqual(['ok']);
      expect(
        await requests(uri, [['read', 0, 4 * KiB, 1], ['read', 4 * MiB, 4 * KiB, 5], ['write', 0, 4 * KiB, 1], ['flush']]),
      ).toEqual(['ok', 'ok', 'ok', 'ok']);
      await daemon.kill(signal);
    }
  });

  it('loses nothing that was flushed of a volume with durability pool, whenever the daemon dies', async () => {
    const far = `${daemon.directory}-far`;
    onTestFinished(() => rmSync(far, { recursive: true, force: true }));
    await daemon.ok('pool', 'create', 'far', '--driver', 'local', '--set', `directory=${far}`, '--set', 'direct-path=off');
    await daemon.ok('volume', 'create', 'ledger', '--size', '8M', '--pool', 'far', '--durability', 'pool');
    const uri = await daemon.uri('ledger');
    await fillSegments(uri);
    await daemon.kill();
    rmSync(segmentOf(1));
    await expect(daemon.start()).rejects.toThrow(/damaged[^]*--salvage-journal/);
    daemon.environment = { SKERRY_FAILPOINT: 'log-restored:1' };
    await expect(daemon.start(['--salvage-journal'])).rejects.toThrow();
    daemon.environment = {};
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      await daemon.start();
      const reads = Array.from({ length: 1250 }, (_, i) => ['read', i * 4 * KiB, 4 * KiB, Math.floor(i / 250) + 1] as const);
      expect(new Set(await requests(uri, [...reads, ['flush']]))).toEqual(new Set(['ok']));
      await daemon.kill(signal);
    }
  });

  it('with the barrier of a pending snapshot in it: the snapshot is gone, said so, and the daemon starts without it', async () => {
    await daemon.ok('volume', 'create', 'v', '--size', '256M');
    const uri = await daemon.uri('v');
    // So much to destage, a block for each page, that the kill comes before its root.
    const scattered = Array.from({ length: 3000 }, (_, i) => ['write', i * 64 * KiB, 4 * KiB, (i % 250) + 1] as const);
    expect(new Set(await requests(uri, [...scattered, ['flush']]))).toEqual(new Set(['ok']));
    await daemon.ok('snapshot', 'create', 'v@s');
    await daemon.kill();
    await flipBit(segmentOf(Math.max(...segmentNumbers())), 20);
    await expect(daemon.start()).rejects.toThrow(/damaged[^]*--salvage-journal/);
    await daemon.start(['--salvage-journal']);
    expect(daemon.log).toMatch(/v@s was lost with the damaged journal/);
    expect(await daemon.json('snapshot', 'list')).toEqual([]);
    await daemon.kill();
    await daemon.start();
    expect(await requests(uri, [['read', 0, 4 * KiB, 1]])).toEqual(['ok']);
    await daemon.ok('snapshot', 'create', 'v@s');
    await daemon.ok('snapshot', 'delete', 'v@s');
    await daemon.ok('volume', 'delete', 'v');
  });
});
