/** `skerry pool recover`: a catalog is lost, and what the pool and the journal tell makes another. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { PoolRecoverView, RecoveredView } from '../../src/api/offline.ts';
import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { filesBelow, flipBit } from '../harness/damage.ts';
import { requests } from '../harness/requests.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
interface Shown {
  readonly id: number;
  readonly name: string;
  readonly pending: boolean;
  readonly parent: string | null;
  readonly labels: Readonly<Record<string, string>>;
}
let daemon: DaemonProcess;
let scratch: string;

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-recover-'));
  daemon = new DaemonProcess({ config: { segmentBytes: '2M', ringBytes: '4M' } });
  await daemon.start();
});

afterEach(async () => {
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

const catalog = (): string => join(daemon.directory, 'catalog');
const rootsOf = (id: number): string => join(daemon.directory, 'pool', 'root', id.toString(16).padStart(16, '0'));
const list = (kind: string): Promise<Shown[]> => daemon.json<Shown[]>(kind, 'list');

async function settled(): Promise<void> {
  const found = [...(await list('volume')), ...(await list('snapshot'))];
  const known = found.every(({ id, pending }) => !pending && existsSync(rootsOf(id)));
  if (!known) await settled();
}

async function deletionKept(): Promise<void> {
  const tombs = join(daemon.directory, 'pool', 'tomb');
  while (!existsSync(tombs) || readdirSync(tombs).length === 0) await setTimeout(20);
}

async function content(name: string): Promise<Buffer> {
  const file = join(scratch, 'content');
  rmSync(file, { force: true });
  await must('nbdcopy', [await daemon.uri(name), file]);
  return readFileSync(file);
}

async function contents(names: readonly string[]): Promise<ReadonlyMap<string, Buffer>> {
  const found = new Map<string, Buffer>();
  for (const name of names) found.set(name, await content(name));
  return found;
}

async function expectSame(before: ReadonlyMap<string, Buffer>): Promise<void> {
  for (const [name, bytes] of before) expect((await content(name)).equals(bytes), name).toBe(true);
}

async function recover(...options: readonly string[]): Promise<PoolRecoverView & { readonly code: number }> {
  const { code, stdout, stderr } = await daemon.cli('pool', 'recover', '--json', ...options);
  if (stdout === '') throw new Error(stderr);
  return { ...(JSON.parse(stdout) as PoolRecoverView), code };
}

function of(view: PoolRecoverView, name: string): RecoveredView {
  const found = view.resources.find((one) => one.name === name);
  if (found === undefined) throw new Error(`${name} is not among ${view.resources.map((one) => one.name).join(', ')}`);
  return found;
}

/** v with its snapshots s and t, a clone of s, an image of v, a deleted volume; labels, a limit and a list of clients. */
async function populate(): Promise<void> {
  await daemon.ok('volume', 'create', 'old', '--size', '8M', '--label', 'role=db');
  await requests(await daemon.uri('old'), [
    ['write', 0, MiB, 1],
    ['write', 3 * MiB, 4 * KiB, 2],
  ]);
  await daemon.ok('snapshot', 'create', 'old@s');
  await daemon.ok('volume', 'rename', 'old', 'v');
  await requests(await daemon.uri('v'), [
    ['write', 0, 64 * KiB, 3],
    ['trim', 512 * KiB, 64 * KiB],
  ]);
  await daemon.ok('snapshot', 'create', 'v@t');
  await daemon.ok('clone', 'v@s', 'c');
  await requests(await daemon.uri('c'), [['write', 5 * MiB, 4 * KiB, 4]]);
  await daemon.ok('volume', 'create', 'gone', '--size', '8M');
  await requests(await daemon.uri('gone'), [['write', 0, MiB, 5]]);
  await daemon.ok('volume', 'limit', 'v', '--iops', '5000');
  await daemon.ok('volume', 'allow', 'c', '--uid', String(process.getuid?.() ?? 0));
  await settled();
  await daemon.ok('volume', 'delete', 'gone');
  await deletionKept();
}

describe('a catalog that is gone', () => {
  it('is made anew after a kill: every acknowledged byte, name, label, limit and client; what was deleted stays so', async () => {
    await populate();
    await requests(await daemon.uri('v'), [
      ['write', 6 * MiB, 4 * KiB, 6],
      ['write', 2 * MiB, MiB, 7],
    ]);
    const before = await contents(['v', 'v@s', 'v@t', 'c']);
    const ids = [...(await list('volume')), ...(await list('snapshot'))].map(({ id }) => id);
    await daemon.kill();
    rmSync(catalog(), { recursive: true });

    await expect(daemon.start()).rejects.toThrow(/pool recover/);
    const would = await recover('--dry-run');
    expect(would).toMatchObject({ code: 0, done: false, movedTo: null });
    expect(existsSync(catalog())).toBe(false);
    const view = await recover();
    expect(view).toMatchObject({ code: 0, done: true, pool: 'default', journal: 'replayed at the next start', deleted: 1 });
    expect(view.resources).toEqual(would.resources);
    expect(view.resources.map(({ name, state }) => `${name} ${state}`).sort()).toEqual(
      ['v whole', 'c whole', 'v@s whole', 'v@t whole'].sort(),
    );
    expect(of(view, 'v').journalRecords).toBeGreaterThan(0);
    expect(Date.parse(view.asOf ?? '')).toBeLessThanOrEqual(Date.now());

    await daemon.start();
    await expectSame(before);
    const volumes = await list('volume');
    expect(volumes.map(({ name }) => name)).toEqual(['c', 'v']);
    expect(volumes[1]?.labels).toEqual({ role: 'db' });
    expect(await daemon.json('volume', 'show', 'v')).toMatchObject({ limit: { iops: 5000 } });
    expect(await daemon.json('volume', 'show', 'c')).toMatchObject({ parent: 'v@s', access: { grants: [{ kind: 'user' }] } });
    const fresh = await daemon.json<Shown>('volume', 'create', 'fresh', '--size', '1M');
    expect(fresh.id).toBeGreaterThan(Math.max(...ids) + 1);
    await daemon.kill('SIGTERM');
    expect((await daemon.cli('pool', 'check', '--deep')).code).toBe(0);
  });

  it('is made anew from the pool alone: snapshots are whole, volumes as of their roots', async () => {
    await populate();
    await daemon.kill('SIGTERM');
    await daemon.start();
    await settled();
    const before = await contents(['v@s', 'v@t']);
    await daemon.kill();
    daemon.wipeRing();
    for (const part of ['catalog', 'engine']) rmSync(join(daemon.directory, part), { recursive: true });
    const view = await recover();
    expect(view).toMatchObject({ code: 0, journal: 'absent' });
    expect(view.notes.join()).toContain('there is no journal');
    await daemon.start();
    await expectSame(before);
    const v = await content('v');
    expect(v.subarray(0, 64 * KiB).equals(Buffer.alloc(64 * KiB, 3))).toBe(true);
  });

  it('keeps a snapshot whose root was still to come, and clones and volumes of the last moment', async () => {
    await daemon.ok('volume', 'create', 'v', '--size', '8M');
    await requests(await daemon.uri('v'), [['write', 0, MiB, 1]]);
    await settled();
    const [snapshot] = await Promise.all([
      daemon.json<Shown>('snapshot', 'create', 'v@s'),
      daemon.ok('volume', 'create', 'late', '--size', '4M'),
    ]);
    await requests(await daemon.uri('late'), [['write', 0, 4 * KiB, 8]]);
    await requests(await daemon.uri('v'), [['write', 0, MiB, 2]]);
    await daemon.kill();
    rmSync(catalog(), { recursive: true });
    const view = await recover();
    const found = view.resources.find(({ id }) => id === snapshot.id);
    // Whether its root was there already is a matter of milliseconds.
    expect(['v@s', `v@recovered-${snapshot.id}`]).toContain(found?.name);
    await daemon.start();
    expect((await content(found?.name ?? '')).subarray(0, MiB).equals(Buffer.alloc(MiB, 1))).toBe(true);
    expect((await content('v')).subarray(0, MiB).equals(Buffer.alloc(MiB, 2))).toBe(true);
    const late = view.resources.find(({ id, kind }) => kind === 'volume' && id !== of(view, 'v').id);
    if (late?.name !== 'late') await daemon.ok('volume', 'allow', late?.name ?? '', '--anyone');
    expect((await content(late?.name ?? '')).subarray(0, 4 * KiB).equals(Buffer.alloc(4 * KiB, 8))).toBe(true);
  });

  it('is made anew from the journal where all root chunks of a volume are gone too', async () => {
    await daemon.ok('volume', 'create', 'v', '--size', '8M');
    const { id } = await daemon.json<Shown>('volume', 'show', 'v');
    await requests(await daemon.uri('v'), [
      ['write', 0, 4 * KiB, 1],
      ['write', MiB, MiB, 2],
    ]);
    await daemon.kill();
    rmSync(catalog(), { recursive: true });
    rmSync(rootsOf(id), { recursive: true, force: true });
    const view = await recover();
    expect(view).toMatchObject({ code: 1, done: true });
    expect(of(view, `recovered-${id}`)).toMatchObject({ state: 'damaged', sizeBytes: 2 * MiB });
    await daemon.start();
    const refused = await requests(await daemon.uri(`recovered-${id}`), [['read', 0, 4 * KiB, 1]]).catch(() => 'refused');
    expect(refused).toBe('refused');
    await daemon.ok('volume', 'allow', `recovered-${id}`, '--anyone');
    const bytes = await content(`recovered-${id}`);
    expect(bytes.subarray(0, 4 * KiB).equals(Buffer.alloc(4 * KiB, 1))).toBe(true);
    expect(bytes.subarray(MiB).equals(Buffer.alloc(MiB, 2))).toBe(true);
  });
});

describe('what is damaged', () => {
  it('is told and kept, and costs nobody else anything', async () => {
    await daemon.ok('volume', 'create', 'a', '--size', '8M');
    await requests(await daemon.uri('a'), [['write', 0, MiB, 1]]);
    await daemon.ok('snapshot', 'create', 'a@s');
    await settled();
    await daemon.kill('SIGTERM');
    await daemon.start();
    const packsOfA = new Set(filesBelow(join(daemon.directory, 'pool'), '.pack'));
    await daemon.ok('volume', 'create', 'b', '--size', '8M');
    await requests(await daemon.uri('b'), [['write', 0, MiB, 2]]);
    await daemon.ok('snapshot', 'create', 'b@s');
    await settled();
    await daemon.kill('SIGTERM');
    for (const path of packsOfA) rmSync(path);
    rmSync(catalog(), { recursive: true });
    const view = await recover();
    expect(view.code).toBe(1);
    expect(of(view, 'a@s')).toMatchObject({ state: 'damaged' });
    expect(
      view.resources
        .filter(({ name }) => name.startsWith('a'))
        .flatMap(({ notes }) => notes)
        .join(),
    ).toContain('no pack holds it');
    expect(of(view, 'b@s')).toMatchObject({ state: 'whole' });
    await daemon.start();
    expect((await content('b@s')).subarray(0, MiB).equals(Buffer.alloc(MiB, 2))).toBe(true);
    expect(await requests(await daemon.uri('a@s'), [['read', 0, 4 * KiB, 1]])).toEqual(['EIO']);
  });

  it('as the newest root chunk is made good for by the one before and the journal, or else told', async () => {
    await populate();
    const { id } = await daemon.json<Shown>('volume', 'show', 'v');
    await daemon.kill('SIGTERM');
    const newest = join(rootsOf(id), readdirSync(rootsOf(id)).sort().at(-1) ?? '');
    await flipBit(newest, 40);
    renameSync(catalog(), join(scratch, 'catalog'));
    const view = await recover('--dry-run');
    expect(of(view, 'v').notes.join()).toContain('a root chunk of it cannot be read');
    rmSync(join(daemon.directory, 'engine', 'journal'), { recursive: true });
    expect(of(await recover('--dry-run'), 'v')).toMatchObject({ state: 'damaged' });
    for (const name of readdirSync(rootsOf(id))) if (join(rootsOf(id), name) !== newest) rmSync(join(rootsOf(id), name));
    const lost = await recover('--dry-run');
    expect(lost.resources.find((one) => one.id === id)).toMatchObject({ state: 'lost', name: '' });
  });
});

describe('a catalog that is there', () => {
  it('is left where it is sound, and moved aside where that is asked for', async () => {
    await populate();
    const before = await contents(['v', 'v@s', 'v@t', 'c']);
    await daemon.kill();
    const refused = await daemon.cli('pool', 'recover');
    expect(refused).toMatchObject({ code: 4, stdout: '' });
    expect(refused.stderr).toContain('--replace');
    // Twice, for recovering again is recovering once.
    const first = await recover('--replace');
    const second = await recover('--replace');
    expect(second.resources).toEqual(first.resources);
    expect(first.movedTo).not.toBe(second.movedTo);
    for (const { movedTo } of [first, second]) expect(existsSync(join(movedTo ?? '', 'data.mdb'))).toBe(true);
    await daemon.start();
    await expectSame(before);
    // The one that was set aside is still what it was.
    await daemon.kill();
    rmSync(catalog(), { recursive: true });
    renameSync(first.movedTo ?? '', catalog());
    await daemon.start();
    await expectSame(before);
  });

  it('is replaced where it is damaged', async () => {
    await populate();
    await daemon.kill('SIGTERM');
    const path = join(catalog(), 'data.mdb');
    await flipBit(path, 24);
    await flipBit(path, 4096 + 24);
    const view = await recover();
    expect(view).toMatchObject({ code: 0, done: true });
    expect(view.movedTo).toContain('catalog.before-');
    await daemon.start();
    expect((await list('volume')).map(({ name }) => name)).toEqual(['c', 'v']);
  });

  it('and is another pool’s is refused by the daemon, which would let go what the pool holds', async () => {
    await populate();
    await daemon.kill('SIGTERM');
    const other = new DaemonProcess();
    try {
      await other.start();
      await other.kill('SIGTERM');
      renameSync(catalog(), join(scratch, 'own'));
      await must('cp', ['-a', join(other.directory, 'catalog'), catalog()]);
      await expect(daemon.start()).rejects.toThrow(/belongs to another catalog/);
      const refused = await daemon.cli('pool', 'recover');
      expect(refused.code).toBe(4);
      expect(refused.stderr).toContain('is of another pool');
      rmSync(catalog(), { recursive: true });
      renameSync(join(scratch, 'own'), catalog());
      await daemon.start();
      expect((await list('volume')).map(({ name }) => name)).toEqual(['c', 'v']);
    } finally {
      await other.destroy();
    }
  });

  it('cannot be made anew where the pool does not tell its key, and then nothing changes', async () => {
    await populate();
    await daemon.kill('SIGTERM');
    rmSync(join(daemon.directory, 'pool', 'identity'), { recursive: true });
    renameSync(catalog(), join(scratch, 'own'));
    const { code, stderr } = await daemon.cli('pool', 'recover');
    expect(code).toBe(1);
    expect(stderr).toContain('key');
    expect(existsSync(catalog())).toBe(false);
  });
});
