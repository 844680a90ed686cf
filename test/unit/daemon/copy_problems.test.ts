/** What an operator reads of copies to other pools that do not get on. */
import { expect, it } from 'vitest';

import { moveProblems, replicationProblems } from '../../../src/daemon/copy_problems.js';
import type { MoveView } from '../../../src/upkeep/moves.js';
import type { ReplicationView } from '../../../src/upkeep/replications.js';

const replication = (volume: string, more: Partial<ReplicationView> = {}): ReplicationView => ({
  volume,
  to: 'far',
  everySeconds: 300,
  keep: 3,
  state: 'waiting',
  lastAt: Date.UTC(2026, 10, 22, 10),
  nextAt: Date.UTC(2026, 10, 22, 10, 5),
  lagSeconds: 60,
  late: false,
  replica: `${volume}.replica-20261122t100000`,
  error: null,
  carriedBytes: 0,
  putBytes: 0,
  lostPages: 0,
  ...more,
});

const move = (state: MoveView['state'], error: string | null): MoveView => ({
  name: 'vm1',
  kind: 'volume',
  from: 'default',
  to: 'far',
  state,
  startedAt: 0,
  seconds: 1,
  error,
  phase: 'copying',
  carriedBytes: 0,
  putBytes: 0,
  lostPages: 0,
  carried: 0,
  resources: 1,
});

it('a replication that is in time is none, one that is late or fails is', () => {
  expect(replicationProblems([replication('vm1')])).toEqual([]);
  expect(replicationProblems([replication('vm1', { late: true, lagSeconds: 700 })])).toEqual([
    expect.stringMatching(
      /^REPLICATION: .*vm1 in pool far is as of 2026-11-22T10:00:00.000Z, .*every 300 s; copies take longer.*replicate --list/,
    ),
  ]);
  expect(replicationProblems([replication('vm1', { error: 'pool far is full', lastAt: null, replica: null })])).toEqual([
    expect.stringMatching(/vm1 in pool far has not come about yet.*failed: pool far is full/),
  ]);
});

it('a pool that is away is one sentence, of the volume that would lose most', () => {
  const error = 'no answer';
  const views = [
    replication('a', { error, lagSeconds: 400 }),
    replication('b', { error, lagSeconds: 900 }),
    replication('c'),
    replication('d', { error, to: 'third' }),
  ];
  expect(replicationProblems(views)).toEqual([
    expect.stringMatching(/volume b in pool far \(and those of 1 other volume there\)/),
    expect.stringMatching(/volume d in pool third is as of/),
  ]);
});

it('a move that is tried again is told of, and one that failed with what to do', () => {
  expect(moveProblems([move('running', null)])).toEqual([]);
  expect(moveProblems([move('running', 'no answer'), move('failed', 'pool far is full')])).toEqual([
    expect.stringMatching(/^MOVE: volume vm1 does not get on to pool far: no answer\. It is tried again by itself/),
    expect.stringMatching(
      /could not be moved to pool far: pool far is full\. skerry volume move vm1 --pool far goes on, --cancel/,
    ),
  ]);
});
