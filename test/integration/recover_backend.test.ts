/** `skerry pool recover --driver`: a host is lost with all it had, and what its pool holds makes another data directory. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { DaemonProcess } from '../harness/daemon_process.ts';
import { flipBit } from '../harness/damage.ts';
import { contentsOf, populate, populated, recoverInto, recoverOnEmptyHost } from '../harness/lost_host.ts';
import { requests } from '../harness/requests.ts';
import { smallSettings } from '../harness/small_settings.ts';

const MiB = 1 << 20;
let scratch: string;
let lost: DaemonProcess;
let place: string;
let settings: readonly string[];
let keyFile: string;
const daemons: DaemonProcess[] = [];

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-lost-'));
  place = join(scratch, 'far');
  settings = ['--driver', 'local', '--set', `directory=${place}`];
  keyFile = join(scratch, 'key');
  writeFileSync(keyFile, randomBytes(32).toString('hex'), { mode: 0o600 });
  lost = served(join(scratch, 'lost'));
  await lost.start();
});

afterEach(async () => {
  for (const daemon of daemons.splice(0)) await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

function served(directory: string): DaemonProcess {
  const daemon = new DaemonProcess({ config: smallSettings, directory });
  daemons.push(daemon);
  return daemon;
}

async function recovered(words: readonly string[] = settings): Promise<DaemonProcess> {
  const directory = join(scratch, 'fresh');
  await recoverOnEmptyHost(directory, words);
  const daemon = served(directory);
  await daemon.start();
  return daemon;
}

it('all that its roots hold is there at once, names and labels too; what was deleted is not, and writing goes on', async () => {
  await lost.ok('pool', 'create', 'far', ...settings);
  await populate(lost);
  const before = await contentsOf(lost);
  await lost.destroy();
  const daemon = await recovered();
  for (const [name, bytes] of await contentsOf(daemon))
    expect(bytes.equals(before.get(name) ?? Buffer.alloc(0)), name).toBe(true);
  expect(await daemon.json('volume', 'show', 'v')).toMatchObject({ pool: 'far', labels: { role: 'db' } });
  expect((await daemon.json<{ name: string }[]>('volume', 'list')).map(({ name }) => name)).toEqual(['c', 'v']);
  await requests(await daemon.uri('v'), [['write', 8 * MiB, MiB, 9]]);
  await daemon.ok('snapshot', 'create', 'v@u');
  await daemon.ok('volume', 'create', 'own', '--size', '8M');
  // Whoever loses this host too finds it again.
  const later = await contentsOf(daemon);
  await daemon.kill('SIGTERM');
  await daemon.start();
  for (const [name, bytes] of await contentsOf(daemon)) expect(bytes.equals(later.get(name) ?? Buffer.alloc(0)), name).toBe(true);
});

it('an encrypted pool needs its key, which nothing at its place tells, and no name or host besides', async () => {
  await lost.ok('pool', 'create', 'far', ...settings, '--encrypt', '--key-file', keyFile);
  await populate(lost);
  const before = await contentsOf(lost);
  await lost.destroy();
  const fresh = join(scratch, 'fresh');
  expect(await recoverInto(fresh, ...settings, '--dry-run')).toMatchObject({ code: 1, view: null });
  const wrong = join(scratch, 'wrong');
  writeFileSync(wrong, randomBytes(32).toString('hex'), { mode: 0o600 });
  const denied = await recoverInto(fresh, ...settings, '--key-file', wrong, '--take-over');
  expect(denied.stderr).toContain('another key');
  expect(existsSync(join(fresh, 'catalog'))).toBe(false);
  rmSync(fresh, { recursive: true, force: true });
  const daemon = await recovered([...settings, '--key-file', keyFile]);
  for (const [name, bytes] of await contentsOf(daemon))
    expect(bytes.equals(before.get(name) ?? Buffer.alloc(0)), name).toBe(true);
  expect(await daemon.json('pool', 'show', 'far')).toMatchObject({ keyFrom: expect.stringContaining(keyFile) });
});

it('who had the pool changes nothing in it from then on, and does not serve it at its next start', async () => {
  await lost.ok('pool', 'create', 'far', ...settings);
  await populate(lost);
  const daemon = await recovered();
  const sums = new Map([...(await contentsOf(daemon))].map(([name, bytes]) => [name, sumOf(bytes)]));
  await lost.kill();
  await expect(lost.start()).rejects.toThrow(/pool far is not served here: it is in the hands of .*fresh/);
  for (const [name, bytes] of await contentsOf(daemon)) expect(sumOf(bytes), name).toBe(sums.get(name));
});

it('pools of one lost host go together again, one after the other, until they are served', async () => {
  const near = ['--driver', 'local', '--set', `directory=${join(scratch, 'near')}`];
  await lost.ok('pool', 'create', 'far', ...settings);
  await lost.ok('pool', 'create', 'near', ...near);
  for (const pool of ['far', 'near']) {
    await lost.ok('volume', 'create', `in-${pool}`, '--size', '8M', '--pool', pool);
    await requests(await lost.uri(`in-${pool}`), [['write', 0, MiB, pool.length]]);
    await lost.ok('snapshot', 'create', `in-${pool}@s`);
  }
  const pending = async () => (await lost.json<{ pending: boolean }[]>('snapshot', 'list')).some((one) => one.pending);
  await expect.poll(pending, { timeout: 60_000, interval: 100 }).toBe(false);
  await lost.destroy();
  const fresh = join(scratch, 'fresh');
  expect(await recoverInto(fresh, 'far', ...settings, '--take-over')).toMatchObject({ code: 0 });
  const again = await recoverInto(fresh, 'far', ...settings, '--take-over');
  expect(again.stderr).toContain('recovered already');
  expect(await recoverInto(fresh, 'near', ...near, '--take-over')).toMatchObject({ code: 0 });
  const daemon = served(fresh);
  await daemon.start();
  expect((await daemon.json<{ name: string; pool: string }[]>('volume', 'list')).map(({ name, pool }) => [name, pool])).toEqual([
    ['in-far', 'far'],
    ['in-near', 'near'],
  ]);
  for (const pool of ['far', 'near'])
    expect(await requests(await daemon.uri(`in-${pool}`), [['read', 0, MiB, pool.length]])).toEqual(['ok']);
  await daemon.kill('SIGTERM');
  await daemon.start();
  const late = await recoverInto(fresh, 'near', ...near, '--take-over');
  expect(late).toMatchObject({ code: 4, view: null });
});

it('a data directory that holds anything is refused, and so are another name, an empty place, and one without a pool', async () => {
  await lost.ok('pool', 'create', 'far', ...settings);
  await populate(lost);
  await lost.kill('SIGTERM');
  const refused = await recoverInto(lost.directory, ...settings, '--take-over');
  expect(refused).toMatchObject({ code: 4, view: null });
  expect(refused.stderr).toContain('--data');
  const fresh = join(scratch, 'fresh');
  const named = await recoverInto(fresh, 'near', ...settings, '--dry-run');
  expect(named).toMatchObject({ code: 3, view: null });
  expect(named.stderr).toContain('far');
  const empty = await recoverInto(fresh, '--driver', 'local', '--set', `directory=${join(scratch, 'empty')}`, '--dry-run');
  expect(empty).toMatchObject({ code: 3, view: null });
  expect(existsSync(join(scratch, 'empty'))).toBe(false);
  for (const copy of readdirSync(join(place, 'identity'))) await flipBit(join(place, 'identity', copy), 30);
  const unknown = await recoverInto(fresh, ...settings, '--dry-run');
  expect(unknown).toMatchObject({ code: 1, view: null });
  expect(unknown.stderr).toContain('key');
  // Nothing of it was made.
  expect(existsSync(fresh)).toBe(false);
  // The daemon that has its catalog makes good for them.
  await lost.start();
  expect((await recoverInto(fresh, ...settings, '--dry-run')).view?.resources).toHaveLength(populated.length);
});

const sumOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
