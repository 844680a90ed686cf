import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { encodeHome, mayBeRingOf, settle } from '../../../src/daemon/home.js';
import { temporaryDirectory } from '../temporary_directory.js';

const first = randomUUID();

/** A data directory that was served once, with the ring `first`. */
function served(): string {
  const directory = join(temporaryDirectory(), 'data');
  mkdirSync(directory);
  expect(settle(directory, first)).toEqual({ ring: first, copyOf: null });
  return directory;
}

test('a data directory keeps its ring, whatever it is asked for later, and also where it was moved', () => {
  const directory = served();
  expect(settle(directory, randomUUID())).toEqual({ ring: first, copyOf: null });
  const moved = `${directory}-moved`;
  renameSync(directory, moved);
  expect(mayBeRingOf(moved)(first)).toBe(true);
  expect(settle(moved, randomUUID())).toEqual({ ring: first, copyOf: null });
  symlinkSync(moved, directory);
  expect(settle(directory, randomUUID())).toEqual({ ring: first, copyOf: null });
});

test('a copy gets a ring of its own and keeps that, and its original keeps its', () => {
  const directory = served();
  const copy = `${directory}-copy`;
  cpSync(directory, copy, { recursive: true });
  expect(mayBeRingOf(copy)(first)).toBe(false);
  const refuse = (of: string) => {
    throw new Error(`a copy of ${of}`);
  };
  // It stays a copy, however often it is refused.
  for (const again of [copy, copy]) expect(() => settle(again, first, refuse)).toThrow(`a copy of ${directory}`);
  const home = settle(copy, first);
  expect(home.copyOf).toBe(directory);
  expect(home.ring).not.toBe(first);
  expect(mayBeRingOf(copy)(home.ring)).toBe(true);
  expect(settle(copy, first)).toEqual({ ring: home.ring, copyOf: null });
  expect(settle(directory, first)).toEqual({ ring: first, copyOf: null });
  // Whichever of them goes, the other does not take its ring.
  rmSync(directory, { recursive: true });
  expect(settle(copy, first).ring).toBe(home.ring);
});

test('a copy whose original is gone has come in its place', () => {
  const directory = served();
  const copy = `${directory}-copy`;
  cpSync(directory, copy, { recursive: true });
  rmSync(directory, { recursive: true });
  expect(settle(copy, randomUUID())).toEqual({ ring: first, copyOf: null });
});

test('what was never served may have any ring', () => {
  expect(mayBeRingOf(temporaryDirectory())(randomUUID())).toBe(true);
});

test('a damaged home, and one of a newer version, is refused and stays', () => {
  const directory = served();
  const file = join(directory, 'home');
  const good = readFileSync(file, 'utf8');
  for (const bad of ['', '{}', good.replace('data', 'atad'), good.slice(0, -3), `${good.slice(0, 20)}\n`]) {
    writeFileSync(file, bad);
    expect(() => settle(directory, first)).toThrow(/home is damaged: put a copy of it back/);
    expect(readFileSync(file, 'utf8')).toBe(bad);
  }
  writeFileSync(file, encodeHome({ version: 2, path: directory, ring: first }));
  expect(() => settle(directory, first)).toThrow(/newer version of Skerry \(format 2\)/);
  expect(existsSync(`${file}.new`)).toBe(false);
});

test('version 1 is what its golden file says', () => {
  const golden = readFileSync(new URL('golden/home_v1', import.meta.url), 'utf8');
  const ring = '6f0f33f2-0b0c-4f2e-9a57-3d1f8a0c7b11';
  expect(encodeHome({ version: 1, path: '/var/lib/skerry', ring })).toBe(golden);
  const directory = temporaryDirectory();
  writeFileSync(join(directory, 'home'), golden);
  expect(settle(directory, first)).toEqual({ ring, copyOf: null });
});
