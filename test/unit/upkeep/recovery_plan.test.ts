import { describe, expect, test } from 'vitest';

import type { JournalSurvey } from '../../../src/engine/surveys.js';
import type { PoolSurvey } from '../../../src/pool/pool_survey.js';
import type { RootChunk } from '../../../src/pool/root_chunk.js';
import { ids_skipped, planRecovery, type Recovered, type RecoveryPlan } from '../../../src/upkeep/recovery_plan.js';
import { sampleRoot } from '../pool/samples.js';

const MiB = 2 ** 20;
const volume = (id: number, fields: Partial<RootChunk> = {}): RootChunk => ({
  ...sampleRoot,
  id,
  kind: 'volume',
  name: `v${id}`,
  fence: 1,
  number: 1,
  sizeBytes: 8 * MiB,
  appliedSequence: 10,
  parentId: 0,
  parentName: '',
  writtenAt: 1000 + id,
  ...fields,
});
const snapshot = (id: number, parentId: number, name: string, fields: Partial<RootChunk> = {}): RootChunk =>
  volume(id, { kind: 'snapshot', name, parentId, parentName: name.split('@')[0] ?? '', fence: 0, ...fields });

/** Chunks of resources, the newest first; `gone`: ids with a tombstone. */
function pool(chunks: readonly RootChunk[], gone: readonly number[] = []): PoolSurvey {
  const resources = new Map<number, { roots: RootChunk[]; damaged: [] }>();
  for (const chunk of chunks) {
    const found = resources.get(chunk.id) ?? { roots: [], damaged: [] };
    found.roots.push(chunk);
    resources.set(chunk.id, found);
  }
  return { resources, tombstones: new Map(gone.map((id) => [id, 5000])), damaged: [] };
}

function damaged(survey: PoolSurvey, id: number, number: number): PoolSurvey {
  const { roots } = survey.resources.get(id) ?? { roots: [] };
  const resources = new Map(survey.resources).set(id, { roots, damaged: [{ fence: 1, number, why: 'its sum does not match' }] });
  return { ...survey, resources };
}

type JournalOf = JournalSurvey['resources'][number];
function journal(
  resources: readonly (Partial<JournalOf> & { readonly id: number })[],
  barriers: JournalSurvey['barriers'] = [],
): JournalSurvey {
  const blank = { records: 1, firstSequence: 0, lastSequence: 0, fence: 1, endBytes: 0, dropped: false };
  return {
    present: true,
    ringName: '',
    resources: resources.map((one) => ({ ...blank, ...one })),
    barriers,
    records: 0,
    ringRecords: 0,
    ringUsed: false,
    segments: 1,
    notes: [],
  };
}

function planOf(survey: PoolSurvey, held: JournalSurvey | null = null): RecoveryPlan {
  return planRecovery({ pool: 'default', survey, journal: held, now: 9999 });
}

function the(plan: RecoveryPlan, id: number): Recovered {
  const found = plan.resources.find((one) => one.id === id);
  if (found === undefined) throw new Error(`resource ${id} is not in the plan`);
  return found;
}

describe('from the pool alone', () => {
  test('each resource is as its newest root chunk says', () => {
    const chunk = volume(3, { appliedSequence: 20, number: 2, labels: { a: 'b' }, limit: { iops: 5, bandwidth: 0, burst: 0 } });
    const plan = planOf(pool([chunk, volume(3)]));
    const { poolUuid: _uuid, number: _number, writtenAt: _written, ...kept } = chunk;
    expect(the(plan, 3)).toMatchObject({ damaged: false, rootDue: false, rootFrom: 1003, notes: [] });
    expect(the(plan, 3).record).toEqual({ ...kept, pool: 'default', state: 'ready', compression: 'inherit' });
    expect(plan.asOf).toBe(1003);
  });

  test('what was deleted stays deleted, and its id is not given again', () => {
    const plan = planOf(pool([volume(3), volume(70)], [70, 90]));
    expect(plan.resources.map(({ id }) => id)).toEqual([3]);
    expect(plan.nextId).toBe(91 + ids_skipped);
    expect(plan.asOf).toBe(5000);
  });

  test('ids are not given again that only a parent or the journal tells of', () => {
    expect(planOf(pool([volume(3, { parentId: 50 })])).nextId).toBe(51 + ids_skipped);
    const barriers = [{ volume: 3, snapshot: 80, sequence: 11, sizeBytes: 0 }];
    expect(planOf(pool([volume(3)]), journal([{ id: 60, dropped: true }], barriers)).nextId).toBe(81 + ids_skipped);
  });

  test('a snapshot has the name of its volume as that is now', () => {
    const plan = planOf(pool([volume(3, { name: 'renamed' }), snapshot(4, 3, 'old@monday')]));
    expect(the(plan, 4)).toMatchObject({ name: 'renamed@monday', notes: [] });
  });

  test('a shelf stays one, and takes nobody’s name', () => {
    const plan = planOf(pool([volume(1, { name: 'shelf-1', shelf: true }), volume(2, { name: 'shelf-1' })]));
    expect(the(plan, 1)).toMatchObject({ name: 'shelf-1', record: { name: 'shelf-1', shelf: true } });
    expect(the(plan, 2)).toMatchObject({ name: 'shelf-1', record: { name: 'shelf-1' } });
  });

  test('of two with one name the younger has it, and the other a name that says what it was', () => {
    const plan = planOf(pool([volume(3, { name: 'vm' }), volume(9, { name: 'vm' }), snapshot(5, 3, 'vm@a')]));
    expect(the(plan, 9).name).toBe('vm');
    expect(the(plan, 3)).toMatchObject({ name: 'vm-recovered-3', notes: [expect.stringContaining('"vm"')] });
    expect(the(plan, 5).name).toBe('vm-recovered-3@a');
    const long = 'x'.repeat(56);
    const names = planOf(pool([volume(3, { name: long }), volume(9, { name: long })])).resources.map(({ name }) => name);
    expect(names).toEqual([`${'x'.repeat(44)}-recovered-3`, long]);
  });

  test('no root that can be read: the resource is lost, and told', () => {
    const plan = planOf(damaged(pool([volume(3)]), 7, 2));
    expect(the(plan, 7)).toMatchObject({
      record: null,
      damaged: true,
      notes: ['its sum does not match', expect.stringContaining('no root')],
    });
  });

  test('a newest root that cannot be read costs what came after the one before, and that is told', () => {
    const survey = damaged(pool([volume(3)]), 3, 2);
    expect(the(planOf(survey), 3)).toMatchObject({ damaged: true, record: { appliedSequence: 10 } });
    // What the journal still holds of it makes good for that.
    expect(the(planOf(survey, journal([{ id: 3, firstSequence: 4, lastSequence: 30 }])), 3)).toMatchObject({
      damaged: false,
      journalRecords: 20,
    });
    expect(the(planOf(damaged(pool([volume(3, { number: 2 })]), 3, 1)), 3).damaged).toBe(false);
  });
});

describe('with a journal', () => {
  test('its records go on from the root', () => {
    const plan = planOf(pool([volume(3)]), journal([{ id: 3, firstSequence: 2, lastSequence: 15 }]));
    expect(the(plan, 3)).toMatchObject({ damaged: false, journalRecords: 5, record: { appliedSequence: 10 } });
  });

  test('an older root is taken where the journal goes on from that one alone', () => {
    const barriers = [{ volume: 3, snapshot: 4, sequence: 15, sizeBytes: 0 }];
    const roots = [volume(3, { number: 2, appliedSequence: 18 }), volume(3)];
    const plan = planOf(pool(roots), journal([{ id: 3, firstSequence: 11, lastSequence: 20 }], barriers));
    expect(the(plan, 3)).toMatchObject({ record: { appliedSequence: 10 }, journalRecords: 10, damaged: false });
    expect(the(plan, 4)).toMatchObject({
      name: 'v3@recovered-4',
      record: { pendingOf: 3, sizeBytes: 8 * MiB, parentId: 3, fence: 0 },
    });
  });

  test('a root of the volume that ends with the barrier is the snapshot’s', () => {
    const barriers = [{ volume: 3, snapshot: 4, sequence: 10, sizeBytes: 0 }];
    const plan = planOf(pool([volume(3)]), journal([{ id: 3, firstSequence: 11, lastSequence: 20 }], barriers));
    expect(the(plan, 4)).toMatchObject({ rootDue: true, record: { pendingOf: 0, root: sampleRoot.root, appliedSequence: 10 } });
  });

  test('a snapshot of which neither tells enough is lost, and told', () => {
    const barriers = [{ volume: 3, snapshot: 4, sequence: 8, sizeBytes: 0 }];
    const plan = planOf(pool([volume(3)]), journal([{ id: 3, firstSequence: 5, lastSequence: 20 }], barriers));
    expect(the(plan, 4)).toMatchObject({
      record: null,
      notes: expect.arrayContaining([expect.stringContaining('no longer holds')]),
    });
    expect(the(plan, 3)).toMatchObject({ record: { appliedSequence: 10 } });
  });

  test('barriers of what is known or deleted make no snapshots', () => {
    const barriers = [4, 5].map((id) => ({ volume: 3, snapshot: id, sequence: 11, sizeBytes: 0 }));
    const survey = pool([volume(3), snapshot(4, 3, 'v3@a')], [5]);
    const plan = planOf(survey, journal([{ id: 3, firstSequence: 11, lastSequence: 12 }], barriers));
    expect(plan.resources.map(({ name }) => name)).toEqual(['v3', 'v3@a']);
  });

  test('records that begin later than the root ends are kept, and the gap is told', () => {
    const plan = planOf(pool([volume(3)]), journal([{ id: 3, firstSequence: 14, lastSequence: 20, endBytes: 9 * MiB + 1 }]));
    expect(the(plan, 3)).toMatchObject({
      damaged: true,
      rootDue: true,
      journalRecords: 7,
      record: { appliedSequence: 13, sizeBytes: 9 * MiB + 4096 },
      notes: [expect.stringContaining('changes 11 to 13')],
    });
  });

  test('what only the journal knows is kept as far as it goes, and nobody may attach it yet', () => {
    const plan = planOf(pool([]), journal([{ id: 12, firstSequence: 1, lastSequence: 4, endBytes: 5000 }]));
    expect(the(plan, 12)).toMatchObject({
      name: 'recovered-12',
      damaged: true,
      rootDue: true,
      record: { kind: 'volume', sizeBytes: 8192, appliedSequence: 0, access: { grants: [] } },
    });
    const later = planOf(pool([]), journal([{ id: 12, firstSequence: 9, lastSequence: 9 }]));
    expect(the(later, 12)).toMatchObject({
      record: { appliedSequence: 8 },
      notes: expect.arrayContaining(['changes 1 to 8 of it are lost']),
    });
  });

  test('what the journal says is deleted is ended by upkeep, without a name', () => {
    const plan = planOf(
      pool([volume(3)]),
      journal([
        { id: 3, dropped: true },
        { id: 4, dropped: true },
      ]),
    );
    expect(plan.resources).toEqual([]);
    expect(plan.deleting).toEqual([expect.objectContaining({ id: 3, name: '', state: 'deleting' })]);
  });
});

test('ten thousand resources with barriers are planned at once', () => {
  const ids = Array.from({ length: 10_000 }, (_, index) => index + 1);
  const barriers = ids.map((id) => ({ volume: id, snapshot: 20_000 + id, sequence: 11, sizeBytes: 0 }));
  const held = journal(
    ids.map((id) => ({ id, firstSequence: 11, lastSequence: 12 })),
    barriers,
  );
  expect(planOf(pool(ids.map((id) => volume(id))), held).resources).toHaveLength(20_000);
});
