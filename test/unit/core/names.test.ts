import { expect, test } from 'vitest';

import {
  checkDescription,
  checkImageName,
  checkPoolName,
  checkResourceName,
  checkVolumeName,
  parseSnapshotName,
} from '../../../src/core/names.js';

test('a volume name is 1 to 56 letters, digits and dashes', () => {
  for (const name of ['a', '0', 'vm1', 'web-01', 'a--b', 'x'.repeat(56)]) expect(checkVolumeName(name)).toBe(name);
});

test.each([
  ['', /empty/],
  ['x'.repeat(57), /57 characters, at most 56/],
  ['-a', /begin and end/],
  ['a-', /begin and end/],
  ['VM1', /"V" is not allowed, only a-z, 0-9 and -/],
  ['a.b', /"\." is not allowed/],
  ['a_b', /"_" is not allowed/],
  ['a b', /" " is not allowed/],
  ['a@b', /"@" is not allowed/],
  ['a/b', /"\/" is not allowed/],
  ['é', /is not allowed/],
  ['a\u0000', /is not allowed/],
  ['a\n', /is not allowed/],
])('%j is no volume name, and the refusal says why', (name, why) => {
  expect(() => checkVolumeName(name)).toThrow(why);
  expect(() => checkVolumeName(name)).toThrow(expect.objectContaining({ code: 'invalid' }));
});

test('image names also take dots and underscores, inside', () => {
  expect(checkImageName('debian-12.5_amd64.raw')).toBe('debian-12.5_amd64.raw');
  expect(() => checkImageName('.hidden')).toThrow(/begin and end/);
  expect(() => checkImageName('trailing.')).toThrow(/begin and end/);
  expect(() => checkImageName('../etc')).toThrow(/not allowed/);
});

test('a snapshot is named VOL@SNAP, each part by its own rule', () => {
  expect(parseSnapshotName('vm1@before-upgrade_2.0')).toEqual({ volume: 'vm1', snapshot: 'before-upgrade_2.0' });
  expect(() => parseSnapshotName('vm1')).toThrow(/write VOLUME@SNAPSHOT/);
  expect(() => parseSnapshotName('vm1@')).toThrow(/no snapshot name: it is empty/);
  expect(() => parseSnapshotName('@s')).toThrow(/no volume name: it is empty/);
  expect(() => parseSnapshotName('vm1@a@b')).toThrow(/"@" is not allowed/);
  expect(() => parseSnapshotName('vm.1@a')).toThrow(/no volume name/);
});

test('a resource name is checked by its kind', () => {
  expect(checkResourceName('snapshot', 'a@b')).toBe('a@b');
  expect(() => checkResourceName('volume', 'a@b')).toThrow(/not allowed/);
  expect(checkPoolName('default')).toBe('default');
});

test('a description is one line', () => {
  expect(checkDescription('Größe: 20 GiB')).toBe('Größe: 20 GiB');
  expect(() => checkDescription('a\nb')).toThrow(/one line/);
  expect(() => checkDescription('x'.repeat(1025))).toThrow(/at most 1024/);
});
