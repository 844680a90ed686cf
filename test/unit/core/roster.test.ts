import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { expect, test } from 'vitest';

import { Roster } from '../../../src/core/roster.ts';

test('a roster has those who were added and did not leave', () => {
  const roster = new Roster<string>();
  const leave = ['a', 'b', 'c'].map((name) => roster.add(name));
  leave[1]?.();
  expect([...roster].toSorted()).toEqual(['a', 'c']);
  expect(roster.size).toBe(2);
});

test('leaving twice takes nobody else off who has the place by now', () => {
  const roster = new Roster<string>();
  const leave = roster.add('a');
  leave();
  roster.add('b');
  leave();
  expect([...roster]).toEqual(['b']);
  expect(roster.size).toBe(1);
});

test('the same member can be there twice', () => {
  const roster = new Roster<string>();
  const leave = roster.add('a');
  roster.add('a');
  leave();
  expect([...roster]).toEqual(['a']);
});

test('whoever leaves while the roster is walked is not met any more, and all others are met once', () => {
  const roster = new Roster<number>();
  const leave = [0, 1, 2, 3].map((number) => roster.add(number));
  const met: number[] = [];
  for (const number of roster) {
    met.push(number);
    if (number === 1) leave[2]?.();
  }
  expect(met).toEqual([0, 1, 3]);
});

// With a Set, what requests left was moved to the old heap, 4 KiB of each, and V8 went through all of that heap once a second.
test('what left is taken by a quick collection, however old the roster is', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (options: { readonly type: 'major' | 'minor' }) => void;
  const member_bytes = 8 << 10;
  const members = 2000;
  const at_once = 8;
  const roster = new Roster<number[]>();
  const member = Array.from({ length: member_bytes / 8 }, () => 0.5);
  const leave: (() => void)[] = [];
  const come = (): void => {
    leave.push(roster.add(member.slice()));
    if (leave.length > at_once) leave.shift()?.();
  };
  for (let count = 0; count < 100; count += 1) come();
  collect({ type: 'major' });
  const before = process.memoryUsage().heapUsed;
  for (let count = 0; count < members; count += 1) {
    come();
    if (count % 100 === 0) collect({ type: 'minor' });
  }
  collect({ type: 'minor' });
  expect(process.memoryUsage().heapUsed - before).toBeLessThan((members * member_bytes) / 4);
});
