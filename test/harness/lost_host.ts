/** Volumes in the pool `far` of a daemon whose host is lost, and how what is recovered of them is told. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';

import type { PoolRecoverView } from '../../src/api/offline.ts';
import { must, run } from './command.ts';
import { cliPath, type DaemonProcess } from './daemon_process.ts';
import { requests } from './requests.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

interface Shown {
  readonly name: string;
  readonly pending: boolean;
}

/** v with its snapshots s and t, a clone of s, and one that is deleted; all of it is in the pool when this resolves. */
export async function populate(daemon: DaemonProcess): Promise<void> {
  await daemon.ok('volume', 'create', 'v', '--size', '24M', '--pool', 'far', '--label', 'role=db');
  await requests(await daemon.uri('v'), [['write', 0, 4 * MiB, 1]]);
  await daemon.ok('snapshot', 'create', 'v@s');
  await daemon.ok('clone', 'v@s', 'c');
  await requests(await daemon.uri('c'), [['write', 5 * MiB, 4 * KiB, 2]]);
  await requests(await daemon.uri('v'), [['write', 2 * MiB, 256 * KiB, 3]]);
  await daemon.ok('volume', 'create', 'gone', '--size', '24M', '--pool', 'far');
  await requests(await daemon.uri('gone'), [['write', 0, MiB, 4]]);
  await daemon.ok('snapshot', 'create', 'v@t');
  // Their roots hold all that was written: from here on nothing is.
  await daemon.ok('snapshot', 'create', 'c@t');
  await daemon.ok('volume', 'delete', 'gone');
  const pending = async () => (await daemon.json<Shown[]>('snapshot', 'list')).filter((one) => one.pending).length;
  await expect.poll(pending, { timeout: 60_000, interval: 100 }).toBe(0);
  const left = async () => (await daemon.json<{ volumes: number }>('pool', 'show', 'far')).volumes;
  await expect.poll(left, { timeout: 60_000, interval: 100 }).toBe(2);
}

export const populated = ['v', 'v@s', 'v@t', 'c', 'c@t'] as const;

/** The bytes of each. */
export async function contentsOf(daemon: DaemonProcess): Promise<ReadonlyMap<string, Buffer>> {
  const scratch = mkdtempSync(join(tmpdir(), 'skerry-content-'));
  try {
    const found = new Map<string, Buffer>();
    for (const name of populated) {
      const file = join(scratch, 'content');
      await must('nbdcopy', [await daemon.uri(name), file]);
      found.set(name, readFileSync(file));
      rmSync(file);
    }
    return found;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

export interface RecoverOutcome {
  readonly code: number | null;
  readonly stderr: string;
  /** null where nothing was told. */
  readonly view: PoolRecoverView | null;
}

/** `skerry pool recover` into a data directory, which no daemon serves. */
export async function recoverInto(directory: string, ...words: readonly string[]): Promise<RecoverOutcome> {
  const { code, stdout, stderr } = await run(process.execPath, [
    cliPath,
    '--data',
    directory,
    'pool',
    'recover',
    '--json',
    ...words,
  ]);
  return { code, stderr, view: stdout === '' ? null : (JSON.parse(stdout) as PoolRecoverView) };
}

/** The same on a host that has nothing yet: told first, refused without a word about who had the pool, then done. */
export async function recoverOnEmptyHost(directory: string, words: readonly string[]): Promise<PoolRecoverView> {
  const would = await recoverInto(directory, ...words, '--dry-run');
  expect(would.code, would.stderr).toBe(0);
  expect(would.view).toMatchObject({ pool: 'far', done: false, movedTo: null });
  expect(would.view?.resources.map(({ name, state }) => `${name} ${state}`)).toEqual(
    ['v', 'v@s', 'c', 'v@t', 'c@t'].map((name) => `${name} whole`),
  );
  expect(existsSync(directory)).toBe(false);
  const refused = await recoverInto(directory, ...words);
  expect(refused).toMatchObject({ code: 4, view: null });
  expect(refused.stderr).toContain('--take-over');
  const done = await recoverInto(directory, ...words, '--take-over');
  if (done.code !== 0 || done.view === null) throw new Error(done.stderr);
  expect(done.view).toMatchObject({ pool: 'far', done: true, owner: would.view?.owner });
  return done.view;
}
