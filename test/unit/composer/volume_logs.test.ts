import { describe, expect, test } from 'vitest';

import { VolumeLogs } from '../../../src/composer/volume_logs.js';
import type { LogRecord } from '../../../src/catalog/log_record.js';
import { isSkerryError, SkerryError } from '../../../src/core/errors.js';
import type { LogChunk } from '../../../src/pool/log_chunk.js';
import { openWorld, type World } from '../mapper/world.js';

const mine = new Uint8Array(16).fill(7);
const another = new Uint8Array(16).fill(8);

interface Lives {
  readonly world: World;
  readonly logs: VolumeLogs;
  readonly kept: string[];
  readonly id: number;
  readonly log: () => Promise<LogRecord | null>;
  /** As the catalog says it before a start. */
  readonly say: (log: Partial<LogRecord>, appliedSequence?: number) => Promise<void>;
  readonly start: () => Promise<void>;
}

/** `failure`: how the pool fails just now; one that passes by itself shows in every answer of the backend. */
async function open(
  chunks: readonly Pick<LogChunk, 'firstSequence' | 'lastSequence'>[] = [],
  failure: () => Error | null = () => null,
): Promise<Lives> {
  const world = await openWorld();
  const { id } = await world.mapper.create({ name: 'vm1', sizeBytes: 1 << 20, durability: 'pool' });
  const kept: string[] = [];
  const keeper = {
    ask: async () => {
      const failed = failure();
      if (isSkerryError(failed) && failed.retry) throw failed;
    },
    async *chunks(_volume: number, fence: number, first: number) {
      kept.push(`read ${fence} from ${first}`);
      const failed = failure();
      if (failed !== null) throw failed;
      for (const chunk of chunks) yield { ...chunk, entries: new Uint8Array(10) } as LogChunk;
    },
    fenceMax: async () => 11,
    trim: async (_volume: number, fence: number, from: number, to: number) => void kept.push(`trim ${fence} ${from}-${to}`),
    sweep: async () => void kept.push('sweep'),
    tellIfAway: () => void kept.push('tell if away'),
    leave: (_volume: number, fence: number) => void kept.push(`leave below ${fence}`),
    hold: () => {
      kept.push('hold');
      return () => void kept.push('released');
    },
  };
  const logs = new VolumeLogs({
    ledger: world.ledger,
    engine: world.fake,
    keeper: () => keeper,
    roots: { of: () => world.pool },
    locks: world.locks,
    listsLate: () => false,
    log: () => {},
  });
  const record = async () => {
    const found = (await world.ledger.get(id))?.record;
    if (found === undefined) throw new Error('the volume is gone');
    return found;
  };
  return {
    world,
    logs,
    kept,
    id,
    log: async () => (await record()).log,
    async say(log, appliedSequence = 0) {
      await world.ledger.update(id, (now) => ({ ...now, appliedSequence, log: { ...(now.log as LogRecord), ...log } }));
    },
    start: async () => logs.start([await record()]),
  };
}

test('on the same host the next life begins where the journal ends, and nothing is read', async () => {
  const { world, kept, id, log, start, logs } = await open();
  world.fake.lastSequence = 90;
  await start();
  await expect.poll(() => kept, { timeout: 5000 }).toContain('released');
  await logs.stop();
  // The root is older: flushes wait for it.
  expect(new Set(kept)).toEqual(new Set(['hold', 'released', 'sweep', 'tell if away']));
  // Before any chunk of the new life, the pool alone tells where it is.
  expect(world.pool.roots.get(id)?.log).toMatchObject({ fence: 2, from: 91 });
  expect(await log()).toEqual({ journal: mine, fence: 2, from: 91, first: 0, older: { fence: 1, from: 1, first: 0, until: 90 } });
  expect(world.steps).toContain(`engine.volumeLog begin ${id} 2 90`);
});

test('where the journal is another one, the log is read on from the root before the next life begins', async () => {
  const { world, kept, id, log, say, start } = await open([
    { firstSequence: 41, lastSequence: 60 },
    { firstSequence: 61, lastSequence: 80 },
  ]);
  await say({ journal: another, fence: 5, from: 31, first: 3 }, 40);
  world.fake.lastSequence = 80;
  await start();
  expect(kept[0]).toBe('read 5 from 3');
  expect(kept.indexOf('hold')).toBeGreaterThan(0);
  expect(world.steps.filter((step) => step.includes('restore'))).toHaveLength(2);
  expect(await log()).toMatchObject({ journal: mine, fence: 12, from: 81, older: { fence: 5, first: 3, until: 80 } });
  expect(world.steps).toContain(`engine.volumeLog begin ${id} 12 80`);
});

test('a life that answered no flush is passed over for the one before, as far as that counts', async () => {
  const { world, kept, say, start } = await open([
    { firstSequence: 10, lastSequence: 50 },
    { firstSequence: 51, lastSequence: 70 },
  ]);
  await say({ journal: another, fence: 5, from: 51, first: 0, older: { fence: 4, from: 10, first: 2, until: 50 } }, 20);
  world.fake.lastSequence = 50;
  await start();
  expect(kept[0]).toBe('read 4 from 2');
  expect(world.steps.filter((step) => step.includes('restore'))).toEqual([expect.stringMatching(/ 10 50$/)]);
});

test('of a catalog that was made anew the journal is believed where it goes on from the root, and no other', async () => {
  const goesOn = await open([{ firstSequence: 41, lastSequence: 60 }]);
  await goesOn.say({ journal: new Uint8Array(0) }, 40);
  goesOn.world.fake.lastSequence = 55;
  await goesOn.start();
  expect(goesOn.kept).not.toContain('read 1 from 0');
  const stranger = await open([{ firstSequence: 41, lastSequence: 60 }]);
  await stranger.say({ journal: new Uint8Array(0) }, 40);
  stranger.world.fake.lastSequence = 40;
  await stranger.start();
  expect(stranger.kept).toContain('read 1 from 0');
});

test('a journal of which something may be given up is not believed, though it is the same one', async () => {
  const { world, logs, kept, say, start, log } = await open([{ firstSequence: 41, lastSequence: 60 }]);
  await say({ journal: mine, fence: 5, from: 31, first: 3 }, 40);
  world.fake.lastSequence = 60;
  const records = (await world.ledger.list('volume')).map(({ record }) => record);
  await logs.distrustJournal(records);
  // From here on, whenever the daemon dies.
  expect((await log())?.journal).toEqual(new Uint8Array(16));
  await start();
  expect(kept[0]).toBe('read 5 from 3');
  expect((await log())?.journal).toEqual(mine);
});

test.each([
  ['a journal of which a part may be missing', mine],
  ['any journal where the catalog knows of none', new Uint8Array(0)],
])('%s is not believed, for flushes waited for no sync of it', async (_what, journal) => {
  const { world, logs, kept, say, start, log } = await open([{ firstSequence: 41, lastSequence: 60 }]);
  await say({ journal, fence: 5, from: 31, first: 3 }, 40);
  world.fake.lastSequence = 60;
  const records = async () => (await world.ledger.list('volume')).map(({ record }) => record);
  await logs.distrustPartialJournal(await records());
  expect((await log())?.journal).toEqual(journal);
  world.fake.whole = new Uint8Array(16);
  await logs.distrustPartialJournal(await records());
  // From here on, whenever the daemon dies.
  expect((await log())?.journal).toEqual(new Uint8Array(16));
  world.fake.whole = mine;
  await start();
  expect(kept[0]).toBe('read 5 from 3');
  expect((await log())?.journal).toEqual(mine);
});

test('a log that is damaged keeps the daemon from starting, with words', async () => {
  const { say, start, log, world } = await open([], () => new SkerryError('corrupt', 'it is damaged'));
  await say({ journal: another });
  await expect(start()).rejects.toMatchObject({
    code: 'corrupt',
    message: expect.stringMatching(/volume vm1 flushes to pool default, .*it is damaged/) as string,
  });
  expect((await log())?.journal).toEqual(another);
  expect(world.ledger.unreadLogs.counts().size).toBe(0);
});

describe('a volume whose log is to be read while its pool is away', () => {
  const away = new SkerryError('unavailable', 'nobody is there');

  test('is known and not served, and nothing of it is touched, until the pool answers: then it is read and served', async () => {
    let failure: Error | null = away;
    const { world, kept, say, start, log, logs, id } = await open([{ firstSequence: 41, lastSequence: 60 }], () => failure);
    const { mapper, ledger } = world;
    await mapper.create({ name: 'plain', sizeBytes: 1 << 20 });
    await say({ journal: another, fence: 5, from: 31, first: 3 }, 40);
    world.fake.lastSequence = 60;
    const before = world.steps.length;
    await start();
    expect(ledger.unreadLogs.counts()).toEqual(new Map([['default', 1]]));
    const refused = {
      code: 'unavailable',
      retry: true,
      message: expect.stringMatching(/vm1.*nobody is there.*skerry pool show default/) as string,
    };
    const verbs = [
      () => mapper.snapshot('vm1@a'),
      () => mapper.clone('vm1', 'vm2'),
      () => mapper.resize('vm1', 2 << 20),
      () => mapper.remove('volume', 'vm1'),
      () => mapper.changes('vm1', 'plain'),
      () => mapper.exportResource({ source: 'vm1', stream: true, format: 'raw' }),
    ];
    for (const verb of verbs) await expect(verb()).rejects.toMatchObject(refused);
    expect(await mapper.get('volume', 'vm1')).toMatchObject({ unavailable: refused.message });
    expect(await mapper.list('volume')).toMatchObject([
      { name: 'plain', unavailable: null },
      { name: 'vm1', unavailable: refused.message },
    ]);
    await mapper.snapshot('plain@a');
    // Nothing was asked of the engine for it, and nothing of its log was read or removed.
    expect(world.steps.slice(before).filter((step) => step.startsWith('engine.') && step.includes(` ${id}`))).toEqual([]);
    expect(kept).toEqual([]);
    expect((await log())?.journal).toEqual(another);

    failure = null;
    await expect.poll(() => ledger.unreadLogs.counts().size, { timeout: 10_000 }).toBe(0);
    expect(kept[0]).toBe('read 5 from 3');
    expect(await log()).toMatchObject({ journal: mine, fence: 12, from: 61 });
    expect((await mapper.get('volume', 'vm1')).unavailable).toBeNull();
    await mapper.resize('vm1', 2 << 20);
    await logs.stop();
  });

  test('waits on where its log is damaged, and the daemon goes on', async () => {
    let failure = away;
    const { world, say, start, logs } = await open([], () => failure);
    await say({ journal: another });
    const before = world.steps.length;
    await start();
    failure = new SkerryError('corrupt', 'a chunk is gone');
    const reason = async () => (await world.mapper.get('volume', 'vm1')).unavailable;
    await expect.poll(reason, { timeout: 10_000 }).toMatch(/a chunk is gone/);
    await logs.stop();
    expect(world.steps.slice(before).some((step) => step.includes('volumeLog begin'))).toBe(false);
  });

  test('is one only where the journal here may lack something: else the pool is not asked', async () => {
    const { world, say, start, logs } = await open([], () => away);
    await say({ journal: mine });
    const before = world.steps.length;
    await start();
    expect(world.ledger.unreadLogs.counts().size).toBe(0);
    expect(world.steps.slice(before).some((step) => step.includes('volumeLog begin'))).toBe(true);
    await logs.stop();
  });

  test('is waited for no longer once the daemon ends', async () => {
    const { say, start, logs, world } = await open([], () => away);
    await say({ journal: another });
    await start();
    await logs.stop();
    expect(world.ledger.unreadLogs.counts().size).toBe(1);
  });
});

test('a root takes chunks off the log, and a life before with all of its own', async () => {
  const { logs, kept, world, id } = await open();
  const record = (await world.ledger.get(id))?.record;
  if (record === undefined) throw new Error('the volume is gone');
  const before = { journal: mine, fence: 2, from: 91, first: 3, older: { fence: 1, from: 1, first: 0, until: 90 } };
  logs.shorten(record, before, { ...before, first: 9, older: null });
  await logs.stop();
  expect(kept).toEqual(['sweep', 'trim 2 3-9']);
  logs.shorten(record, before, before);
  await logs.stop();
  expect(kept).toHaveLength(2);
});

test('in another pool a log is released once catalog and pool know where it goes on', async () => {
  const { world, kept, id, log, say, logs } = await open();
  await say({ fence: 9, from: 41, first: 0, older: null }, 40);
  const release = () => void kept.push(`released, from ${world.pool.roots.get(id)?.log?.from}`);
  logs.moved({ id, from: 'left', fence: 9, sequence: 50, release });
  await expect.poll(() => kept, { timeout: 5000 }).toContain('released, from 51');
  expect(kept[0]).toBe('leave below 9');
  expect(await log()).toEqual({
    journal: mine,
    fence: 9,
    from: 51,
    first: 0,
    older: { fence: 8, from: 41, first: 0, until: 50 },
  });
  await logs.stop();
});

test('it is not released while the catalog takes nothing, nor where the daemon ends before that', async () => {
  const { world, kept, id, say, logs } = await open();
  await say({ fence: 9, from: 41, first: 0, older: null }, 40);
  for (let failure = 0; failure < 100; failure += 1) world.transactFailures.push(new SkerryError('io', 'the disk is gone'));
  logs.moved({ id, from: 'left', fence: 9, sequence: 50, release: () => void kept.push('released') });
  await expect.poll(() => world.transactFailures.length, { timeout: 5000 }).toBeLessThan(100);
  await logs.stop();
  expect(kept).toEqual(['leave below 9']);
});

test('nor is it where the pool does not hear of it before the daemon ends', async () => {
  const { world, kept, id, log, say, logs } = await open();
  await say({ fence: 9, from: 41, first: 0, older: null }, 40);
  for (let failure = 0; failure < 100; failure += 1) world.pool.failures.push(new SkerryError('unavailable', 'away'));
  logs.moved({ id, from: 'left', fence: 9, sequence: 50, release: () => void kept.push('released') });
  await expect.poll(() => world.pool.failures.length, { timeout: 5000 }).toBeLessThan(100);
  await logs.stop();
  expect(await log()).toMatchObject({ from: 51 });
  expect(kept).not.toContain('released');
});

test('in its new pool it has a fence above all that there is, and above one that nothing has', async () => {
  const { logs, id } = await open();
  const log = { journal: mine, fence: 4, from: 1, first: 0, older: null };
  expect(await logs.fenceIn('far', id, log)).toBe(13);
  expect(await logs.fenceIn('far', id, { ...log, fence: 20 })).toBe(22);
});
