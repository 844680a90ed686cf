/** What a disk could not keep is never tried again: the daemon says so at once, serves reads, and changes nothing any more. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { DaemonProcess } from '../harness/daemon_process.ts';
import { Faults, type Fault } from '../harness/faults.ts';
import { requests } from '../harness/requests.ts';

const KiB = 1024;
let faults: Faults;
let daemon: DaemonProcess;
let scratch: string;

beforeAll(async () => {
  faults = await Faults.build();
});

afterAll(() => faults.remove());

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-failed-'));
  faults.set();
  daemon = new DaemonProcess({ config: { segmentBytes: '4M', ringBytes: '16M' }, environment: faults.environment });
  await daemon.start();
});

afterEach(async () => {
  faults.set();
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

/** Lines of the daemon's log at a level, as pino numbers it. */
function logged(level: number): readonly { readonly msg: string }[] {
  return daemon.log
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as { level: number; msg: string })
    .filter((line) => line.level === level);
}

const refused = ['EIO', 'EIO', 'EIO', 'EIO', 'EIO', 'EIO'];
const changes = [
  ['write', 0, 4 * KiB, 9],
  ['write', 64 * KiB, 64 * KiB, 9],
  ['write-fua', 0, 4 * KiB, 9],
  ['zero', 0, 4 * KiB],
  ['trim', 64 * KiB, 64 * KiB],
  ['flush'],
] as const;

/** Two volumes with flushed content and content that is only acknowledged, a snapshot; then the fault, and a flush that meets it. */
async function fail(fault: Fault): Promise<{ readonly a: string; readonly b: string }> {
  await daemon.ok('volume', 'create', 'a', '--size', '8M');
  await daemon.ok('volume', 'create', 'b', '--size', '8M');
  const [a, b] = [await daemon.uri('a'), await daemon.uri('b')];
  const flushed = [['write', 0, 4 * KiB, 1], ['write', 64 * KiB, 64 * KiB, 2], ['flush']] as const;
  expect(await requests(a, flushed)).toEqual(['ok', 'ok', 'ok']);
  expect(await requests(b, flushed)).toEqual(['ok', 'ok', 'ok']);
  await daemon.ok('snapshot', 'create', 'b@s');
  const acknowledged = [
    ['write', 4 * KiB, 4 * KiB, 3],
    ['write', 1024 * KiB, 64 * KiB, 4],
  ] as const;
  expect(await requests(a, acknowledged)).toEqual(['ok', 'ok']);
  faults.set(fault);
  // A whole block too: what was written before may have been synced by now.
  const last = [['write', 2048 * KiB, 4 * KiB, 5], ['write', 3072 * KiB, 64 * KiB, 6], ['flush']] as const;
  expect((await requests(a, last)).at(-1)).toBe('EIO');
  return { a, b };
}

const content = [
  ['read', 0, 4 * KiB, 1],
  ['read', 4 * KiB, 4 * KiB, 3],
  ['read', 64 * KiB, 64 * KiB, 2],
  ['read', 1024 * KiB, 64 * KiB, 4],
] as const;
const whole = ['ok', 'ok', 'ok', 'ok'];

describe.each([
  ['a sync of the journal', 'sync /journal/'],
  ['a sync of a pack', 'sync .open'],
  ['a write to the journal', 'write /journal/'],
] as const)('%s that failed', (_, fault) => {
  it('makes every volume read-only at once, and reads go on', async () => {
    const { a, b } = await fail(fault);
    expect(await requests(a, changes)).toEqual(refused);
    // Nothing of b was at stake, and it shares the journal: it must not be told that its writes are safe either.
    expect(await requests(b, changes.slice(0, 5))).toEqual(refused.slice(0, 5));
    expect(await requests(a, content)).toEqual(whole);
    expect(await requests(await daemon.uri('b@s'), [['read', 64 * KiB, 64 * KiB, 2]])).toEqual(['ok']);
  });

  it('is told by status first, by a metric, by health, and by one line of the log', async () => {
    const { a } = await fail(fault);
    await requests(a, changes);
    const status = await daemon.ok('status');
    expect(status).toMatch(
      /^DEGRADED {2}READ-ONLY: nothing is written any more[^\n]*Input\/output error[^\n]*start the daemon again/,
    );
    expect(await daemon.json('status')).toMatchObject({ healthy: false, journal: { failed: true } });
    expect(await daemon.metric('skerry_read_only')).toBe(1);
    expect((await fetch(`http://${daemon.ready?.listeners['http']}/health`)).status).toBe(503);
    expect(logged(50).filter(({ msg }) => msg.includes('READ-ONLY'))).toHaveLength(1);
  });

  it('refuses what promises to last, and says why', async () => {
    await fail(fault);
    writeFileSync(join(scratch, 'image.raw'), Buffer.alloc(128 * KiB, 5));
    for (const words of [
      ['snapshot', 'create', 'a@later'],
      ['snapshot', 'delete', 'b@s'],
      ['volume', 'create', 'c', '--size', '1M'],
      ['volume', 'delete', 'a'],
      ['volume', 'resize', 'a', '16M'],
      ['volume', 'rename', 'a', 'd'],
      ['volume', 'rollback', 'b@s'],
      ['clone', 'b@s', 'c'],
      ['image', 'import', join(scratch, 'image.raw'), 'image'],
    ]) {
      const outcome = await daemon.cli(...words);
      expect({ words, ...outcome }).toMatchObject({ words, code: 1, stdout: '' });
      expect(outcome.stderr).toMatch(/^skerry: [^\n]*could not be made durable[^\n]*start the daemon again\n$/);
    }
    expect(await daemon.json('volume', 'list')).toMatchObject([{ name: 'a' }, { name: 'b' }]);
    await daemon.ok('image', 'export', 'a', join(scratch, 'a.raw'));
    expect(readFileSync(join(scratch, 'a.raw')).subarray(4 * KiB, 8 * KiB)).toEqual(Buffer.alloc(4 * KiB, 3));
  });

  it('stays so when the disk works again; after a restart nothing acknowledged is missing and writes go on', async () => {
    const { a } = await fail(fault);
    faults.set();
    expect(await requests(a, changes)).toEqual(refused);
    await daemon.kill();
    await daemon.start();
    expect(await requests(a, content)).toEqual(whole);
    expect(await requests(a, [['write', 0, 4 * KiB, 7], ['flush'], ['read', 0, 4 * KiB, 7]])).toEqual(['ok', 'ok', 'ok']);
    expect(await daemon.json('status')).toMatchObject({ healthy: true, problems: [] });
  });
});

it('a writethrough volume is told of the failure by the write that met it', async () => {
  await daemon.ok('volume', 'create', 'w', '--size', '1M', '--cache', 'writethrough');
  const uri = await daemon.uri('w');
  expect(await requests(uri, [['write', 0, 4 * KiB, 1]])).toEqual(['ok']);
  faults.set('sync /journal/');
  expect(
    await requests(uri, [
      ['write', 4 * KiB, 4 * KiB, 2],
      ['read', 0, 4 * KiB, 1],
    ]),
  ).toEqual(['EIO', 'ok']);
});

it('ends with SIGTERM after a failure, with a status that says so', async () => {
  await fail('sync /journal/');
  expect(await daemon.kill('SIGTERM')).not.toBeNull();
});

describe('a sync of the catalog that failed', () => {
  it('names nothing and unnames nothing, and the volumes that are there go on', async () => {
    await daemon.ok('volume', 'create', 'a', '--size', '8M');
    await daemon.ok('snapshot', 'create', 'a@s');
    const a = await daemon.uri('a');
    expect(await requests(a, [['write', 0, 64 * KiB, 1], ['flush']])).toEqual(['ok', 'ok']);
    faults.set('sync /catalog/');
    for (const words of [
      ['volume', 'create', 'c', '--size', '1M'],
      ['volume', 'rename', 'a', 'd'],
      ['snapshot', 'create', 'a@later'],
      ['snapshot', 'delete', 'a@s'],
    ]) {
      const outcome = await daemon.cli(...words);
      expect({ words, ...outcome }).toMatchObject({ words, code: 1, stdout: '' });
      expect(outcome.stderr).toMatch(/^skerry: [^\n]*catalog cannot be written[^\n]*\n$/);
    }
    expect(await requests(a, [['write', 4 * KiB, 4 * KiB, 2], ['flush'], ['read', 4 * KiB, 4 * KiB, 2]])).toEqual([
      'ok',
      'ok',
      'ok',
    ]);
    expect(await daemon.json('volume', 'list')).toMatchObject([{ name: 'a' }]);
    expect(await daemon.json('snapshot', 'list', 'a')).toMatchObject([{ name: 'a@s' }]);
    faults.set();
    for (const again of [false, true]) {
      if (again) {
        await daemon.kill();
        await daemon.start();
      }
      expect(await daemon.json('volume', 'list')).toHaveLength(again ? 2 : 1);
      if (!again) await daemon.ok('volume', 'create', 'c', '--size', '1M');
      expect(await daemon.json('snapshot', 'list', 'a')).toMatchObject([{ name: 'a@s' }]);
      expect(await requests(await daemon.uri('a'), [['read', 4 * KiB, 4 * KiB, 2]])).toEqual(['ok']);
    }
  });
});
