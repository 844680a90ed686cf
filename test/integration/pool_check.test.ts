/** `skerry pool check`: what it finds in a data directory that no daemon has, and that it leaves every byte of it. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import type { PoolCheckView } from '../../src/api/offline.ts';
import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { filesBelow, flipBit } from '../harness/damage.ts';
import { requests } from '../harness/requests.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const pool = (daemon: DaemonProcess): string => join(daemon.directory, 'pool');

/** Volume v with 3 MiB, its snapshot, a clone of that, and one that was deleted; packs are sealed where `sealed`. */
async function fill(daemon: DaemonProcess, sealed: boolean): Promise<void> {
  await daemon.start();
  await daemon.ok('volume', 'create', 'v', '--size', '8M');
  await daemon.ok('volume', 'create', 'gone', '--size', '8M');
  const writes = [0, 1, 2].map((n) => ['write', n * MiB, MiB, n + 1] as const);
  await requests(await daemon.uri('v'), [...writes, ['flush']]);
  await daemon.ok('snapshot', 'create', 'v@s');
  await daemon.ok('clone', 'v@s', 'c');
  await daemon.ok('volume', 'delete', 'gone');
  await untilKept(daemon);
  if (!sealed) return;
  await daemon.kill('SIGTERM');
  await daemon.start();
  await daemon.kill('SIGTERM');
}

/** Until nothing is pending, and the pool knows of all and of the deletion. */
async function untilKept(daemon: DaemonProcess): Promise<void> {
  const snapshots = await daemon.json<{ pending: boolean }[]>('snapshot', 'list');
  const volumes = await daemon.json<{ pending: boolean }[]>('volume', 'list');
  const chunks = readdirSync(pool(daemon));
  const kept = chunks.includes('tomb') && readdirSync(join(pool(daemon), 'tomb')).length > 0;
  if (!kept || [...snapshots, ...volumes].some(({ pending }) => pending)) await untilKept(daemon);
}

/** Every file but the lock, which holds the pid of who has the directory. */
function contentOf(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => name !== 'lock' && statSync(join(directory, name)).isFile())
    .map(
      (name) =>
        `${name} ${createHash('sha256')
          .update(readFileSync(join(directory, name)))
          .digest('hex')}`,
    )
    .sort();
}

async function check(daemon: DaemonProcess, ...options: readonly string[]): Promise<PoolCheckView & { readonly code: number }> {
  const { code, stdout, stderr } = await daemon.cli('pool', 'check', '--json', ...options);
  if (stdout === '') throw new Error(stderr);
  return { ...(JSON.parse(stdout) as PoolCheckView), code };
}

const whats = ({ findings }: PoolCheckView): ReadonlySet<string> => new Set(findings.map(({ what }) => what));

describe('a pool that is whole', () => {
  let daemon: DaemonProcess;
  beforeEach(() => {
    daemon = new DaemonProcess({ config: { segmentBytes: '2M', ringBytes: '4M' } });
  });
  afterEach(() => daemon.destroy());

  it('is found so after a kill and after an orderly stop, however much is read, and no byte changes', async () => {
    await fill(daemon, false);
    await requests(await daemon.uri('v'), [['write', 4 * MiB, MiB, 9]]);
    await daemon.kill();
    for (const life of ['killed', 'stopped']) {
      const before = contentOf(daemon.directory);
      for (const option of ['--quick', '--deep', '']) {
        const view = await check(daemon, ...(option === '' ? [] : [option]));
        expect(view).toMatchObject({ code: 0, healthy: true, findings: [], damaged: [], resources: 3, tombstones: 1 });
        expect(view.blocksReached).toBeGreaterThan(0);
        expect(view.indexCompared && option !== '--quick').toBe(life === 'stopped' && option !== '--quick');
      }
      expect(contentOf(daemon.directory)).toEqual(before);
      await daemon.start();
      await daemon.kill('SIGTERM');
    }
    expect(await daemon.ok('pool', 'check')).toContain('all is well');
  });

  it('is left alone while a daemon has it, whose pid is named', async () => {
    await daemon.start();
    const { code, stderr } = await daemon.cli('pool', 'check');
    expect(code).toBe(4);
    expect(stderr).toContain(`pid ${daemon.pid}`);
    expect((await daemon.cli('pool', 'recover')).code).toBe(4);
  });

  it('that is not there is not made', async () => {
    rmSync(daemon.directory, { recursive: true });
    expect((await daemon.cli('pool', 'check')).code).toBe(3);
    expect((await daemon.cli('pool', 'recover')).code).toBe(3);
    expect(() => statSync(daemon.directory)).toThrow('ENOENT');
  });
});

describe('each damage is found', () => {
  let daemon: DaemonProcess;
  let copy: string;
  beforeAll(async () => {
    daemon = new DaemonProcess({ config: { segmentBytes: '2M', ringBytes: '4M' } });
    await fill(daemon, true);
    copy = `${daemon.directory}-whole`;
    await must('cp', ['-a', daemon.directory, copy]);
  });
  beforeEach(async () => {
    rmSync(daemon.directory, { recursive: true });
    await must('cp', ['-a', copy, daemon.directory]);
    // It is newer than the copy, where a test began the daemon; all that the copy needs is in its segments.
    daemon.wipeRing();
  });
  afterAll(async () => {
    rmSync(copy, { recursive: true, force: true });
    await daemon.destroy();
  });

  const packs = (): string[] => filesBelow(pool(daemon), '.pack').filter((path) => statSync(path).size > 64 * KiB);
  const rootOf = (id: number): string => join(pool(daemon), 'root', id.toString(16).padStart(16, '0'));
  const newestRoot = (id: number): string => join(rootOf(id), readdirSync(rootOf(id)).sort().at(-1) ?? '');

  it('nothing, where there is none', async () => {
    expect(await check(daemon, '--deep')).toMatchObject({ code: 0, findingsTotal: 0, indexCompared: true });
  });

  it('a page of a block', async () => {
    // Threads that met the same content at once may each have put it: every copy is damaged.
    const page = Buffer.alloc(4 * KiB, 2);
    const blockBytes = 16 * (page.length + 8);
    for (const path of packs()) {
      const bytes = readFileSync(path);
      for (let at = bytes.indexOf(page); at >= 0; at = bytes.indexOf(page, at + blockBytes)) await flipBit(path, at + 100);
    }
    const view = await check(daemon);
    expect(view).toMatchObject({ code: 1, healthy: false });
    expect(whats(view)).toEqual(new Set(['record', 'block']));
    expect(view.damaged.map(({ name }) => name)).toEqual(expect.arrayContaining(['v', 'v@s', 'c']));
    expect(view.findings.find(({ what }) => what === 'block')).toMatchObject({ missing: false, volumeOffset: MiB });
    expect(await check(daemon, '--quick')).toMatchObject({ code: 0 });
  });

  it('the header of a record, a footer, and a file header', async () => {
    const [path = ''] = packs();
    const header = readFileSync(path).indexOf('SKPR') + 40;
    await flipBit(path, header);
    expect(whats(await check(daemon))).toContain('record');
    await flipBit(path, header);
    await flipBit(path, statSync(path).size - 100);
    const footer = await check(daemon);
    expect(whats(footer)).toContain('footer');
    expect(footer.damaged).toEqual([]);
    await flipBit(path, statSync(path).size - 100);
    await flipBit(path, 20);
    expect(whats(await check(daemon, '--quick'))).toEqual(new Set(['pack']));
  });

  it('a pack that is gone', async () => {
    for (const path of packs()) rmSync(path);
    const view = await check(daemon, '--quick');
    expect(view.code).toBe(1);
    expect(view.findings.some(({ missing, what }) => missing && what === 'node')).toBe(true);
    expect(view.damaged.length).toBe(3);
  });

  it('the checkpoint of the index', async () => {
    const path = join(daemon.directory, 'engine', 'index.checkpoint');
    await flipBit(path, Math.floor(statSync(path).size / 2));
    const view = await check(daemon);
    expect(whats(view)).toEqual(new Set(['index']));
    expect(view.damaged).toEqual([]);
  });

  it('root chunks: rotten, gone, or of what the catalog does not have', async () => {
    await flipBit(newestRoot(1), 60);
    expect(whats(await check(daemon, '--quick'))).toEqual(new Set(['root-chunk']));
    rmSync(rootOf(1), { recursive: true });
    const gone = await check(daemon, '--quick');
    expect(gone.findings).toEqual([
      expect.objectContaining({ what: 'root-chunk', missing: true, resource: { id: 1, name: 'v' } }),
    ]);
    renameSync(rootOf(3), rootOf(77));
    expect((await check(daemon, '--quick')).findings.map(({ detail }) => detail)).toEqual(
      expect.arrayContaining([expect.stringContaining("it is another's")]),
    );
  });

  it('tombstones, and what the pool says of itself', async () => {
    const [tomb = ''] = readdirSync(join(pool(daemon), 'tomb'));
    await flipBit(join(pool(daemon), 'tomb', tomb), 30);
    await flipBit(join(pool(daemon), 'identity', '1'), 30);
    expect(whats(await check(daemon, '--quick'))).toEqual(new Set(['tombstone', 'pool-chunk']));
    rmSync(join(pool(daemon), 'identity'), { recursive: true });
    expect((await check(daemon, '--quick')).findings.filter(({ what }) => what === 'pool-chunk')).toHaveLength(2);
    // The next start makes both copies anew.
    await daemon.start();
    await daemon.kill('SIGTERM');
    expect(whats(await check(daemon, '--quick'))).toEqual(new Set(['tombstone']));
  });

  it('a catalog that is gone or rotten, and a journal that cannot be read', async () => {
    const catalog = join(daemon.directory, 'catalog', 'data.mdb');
    await flipBit(catalog, 24);
    await flipBit(catalog, 4096 + 24);
    expect((await check(daemon, '--quick')).findings).toEqual([expect.objectContaining({ what: 'catalog' })]);
    rmSync(join(daemon.directory, 'catalog'), { recursive: true });
    await flipBit(join(daemon.directory, 'engine', 'journal', 'identity'), 20);
    expect(whats(await check(daemon, '--quick'))).toEqual(new Set(['catalog', 'journal']));
  });
});
