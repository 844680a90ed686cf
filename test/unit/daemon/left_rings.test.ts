import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

import { leftRings, OwnRing } from '../../../src/daemon/left_rings.js';
import { temporaryDirectory } from '../temporary_directory.js';

const named = (): string => `skerry-${randomUUID()}`;

test('rings that nobody has mapped are named and stay; our own, and what is no ring, is not', async () => {
  const directory = temporaryDirectory();
  const own = named();
  const left = named();
  for (const name of [own, left, 'skerry-other', `x${left}`]) writeFileSync(join(directory, name), 'ring');
  expect(await leftRings(own, directory)).toEqual([{ path: join(directory, left), bytes: 4 }]);
  expect(existsSync(join(directory, left))).toBe(true);
  rmSync(join(directory, left));
  expect(await leftRings(own, directory)).toEqual([]);
});

test('a ring that a living process has mapped is in use', async () => {
  const path = join(temporaryDirectory(), named());
  writeFileSync(path, Buffer.alloc(4096));
  const script =
    'import mmap,sys;f=open(sys.argv[1],"r+b");m=mmap.mmap(f.fileno(),4096);print("mapped",flush=True);sys.stdin.read()';
  const holder = spawn('/usr/bin/python3', ['-c', script, path]);
  onTestFinished(() => void holder.kill('SIGKILL'));
  await new Promise((resolve) => holder.stdout.once('data', resolve));
  expect(readFileSync(`/proc/${holder.pid}/maps`, 'utf8')).toContain(path);
  const directory = path.slice(0, path.lastIndexOf('/'));
  expect(await leftRings(named(), directory)).toEqual([]);
});

test('a ring goes with a data directory that was removed, not with one that was moved, nor with the lock alone', () => {
  const endAfter = (change: (data: string) => void): boolean => {
    const directory = temporaryDirectory();
    const data = join(directory, 'data');
    mkdirSync(data);
    writeFileSync(join(data, 'lock'), '');
    writeFileSync(join(directory, 'ring'), 'ring');
    const ring = new OwnRing(data, 'ring', directory);
    change(data);
    const removed = ring.close();
    expect(existsSync(join(directory, 'ring'))).toBe(!removed);
    return removed;
  };
  expect(endAfter(() => {})).toBe(false);
  expect(endAfter((data) => renameSync(data, `${data}.moved`))).toBe(false);
  expect(endAfter((data) => rmSync(join(data, 'lock')))).toBe(false);
  expect(endAfter((data) => rmSync(data, { recursive: true }))).toBe(true);
});
