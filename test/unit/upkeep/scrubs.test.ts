/** When a pool is read whole, one run at a time, and what is told of it. The engine of these tests finds what it is given. */
import { expect, it } from 'vitest';

import { MemoryDriver } from '../../../drivers/memory/driver.js';
import type { EngineStats, ScrubReport } from '../../../src/engine/binding.js';
import { Scrubs } from '../../../src/upkeep/scrubs.js';
import { openWorld } from '../mapper/world.js';

const sound: ScrubReport = {
  packs: 2,
  packsInAll: 2,
  records: 100,
  bytes: 6_604_800,
  nodesReached: 3,
  blocksReached: 90,
  damaged: 0,
  repaired: 0,
  lost: 0,
  reindexed: 0,
  open: 0,
  findings: [],
  findingsTotal: 0,
};

async function scrubbed() {
  const world = await openWorld();
  const driver = new MemoryDriver();
  const logged: string[] = [];
  const ends: string[] = [];
  const state = { remote: false, report: sound, runs: 0 };
  const stats = (): EngineStats => {
    const { pools, ...rest } = world.fake.stats();
    return { ...rest, pools: pools.map((pool) => ({ ...pool, remote: state.remote, name: 'default' })) };
  };
  const scrub = async (what: string): Promise<ScrubReport> => {
    if (what === 'scrub') state.runs += 1;
    return state.report;
  };
  const scrubs = new Scrubs({
    engine: { stats, scrub },
    ledger: world.ledger,
    underWay: { rootsIn: () => [] },
    pools: { names: () => ['default'], get: () => ({ poolUuid: new Uint8Array(16).fill(7), chunks: driver, cipher: null }) },
    onEnd: ({ state: ended }) => void ends.push(ended),
    log: (level, message) => void logged.push(`${level} ${message}`),
    intervalMilliseconds: 3_600_000,
  });
  return { world, driver, scrubs, state, logged, ends };
}

it('one at a time; what fails is told', async () => {
  const { driver, scrubs, ends } = await scrubbed();
  await expect(scrubs.view('default', 0)).rejects.toMatchObject({ code: 'not-found' });
  expect(scrubs.begin('default')).toMatchObject({ pool: 'default', state: 'running', findings: [] });
  expect(() => scrubs.begin('default')).toThrow(/already/);
  expect(await scrubs.view('default', 10_000)).toMatchObject({ state: 'done', records: 100, error: null });
  await driver.close();
  scrubs.begin('default');
  expect(await scrubs.view('default', 10_000)).toMatchObject({ state: 'failed' });
  expect(ends).toEqual(['done', 'failed']);
  scrubs.stop();
  expect(() => scrubs.begin('default')).toThrow(/stopping/);
});

it('findings name who has what is damaged, and are logged', async () => {
  const { world, scrubs, state, logged } = await scrubbed();
  const { id } = await world.mapper.create({ name: 'vm1', sizeBytes: 1 << 20 });
  const finding = { what: 'record', missing: false, pack: 3, offset: 4096, id: 'ab', wanted: true } as const;
  state.report = {
    ...sound,
    damaged: 2,
    repaired: 1,
    lost: 1,
    open: 1,
    findings: [
      { ...finding, resource: id, detail: 'first', repaired: false },
      { ...finding, resource: 0, detail: 'second', repaired: true },
    ],
    findingsTotal: 2,
  };
  scrubs.begin('default');
  const view = await scrubs.view('default', 10_000);
  expect(view.findings.map(({ resource }) => resource)).toEqual([{ id, name: 'vm1' }, null]);
  expect(logged).toEqual(['error scrub: first', 'warn scrub: second', 'info a pool was scrubbed']);
});

it('by itself, but of pools on a backend only when somebody asks', async () => {
  const { scrubs, state } = await scrubbed();
  await scrubs.round();
  expect(state.runs).toBe(1);
  state.remote = true;
  await scrubs.round();
  expect(state.runs).toBe(1);
  scrubs.begin('default');
  expect(await scrubs.view('default', 10_000)).toMatchObject({ state: 'done' });
});
