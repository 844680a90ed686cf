/**
 * Random requests over several connections to several volumes, beside snapshots, clones, resizes, rollbacks and deletions, while the
 * daemon is killed: whatever was acknowledged is there, and snapshots are what their volumes were.
 * SKERRY_FSX_SECONDS: for longer. SKERRY_FSX_SEED: the dice of a run that failed; what the threads of the daemon did then is chance.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';

import { must, packageRoot } from '../harness/command.ts';
import { cliPath } from '../harness/daemon_process.ts';
import { FsxWorld } from '../harness/fsx_world.ts';

const seconds = Number(process.env['SKERRY_FSX_SECONDS'] ?? 40);
const seed = Number(process.env['SKERRY_FSX_SEED'] ?? Date.now() % 2 ** 31);
const fates = ['killed', 'power', 'settled', 'killed', 'settled', 'killed', 'power', 'settled'] as const;
let world: FsxWorld | null = null;

afterEach(async () => {
  await world?.destroy();
  world = null;
});

/** Requests on all volumes and verbs beside them, until the daemon is killed. */
async function kill(torn: FsxWorld, power: boolean): Promise<void> {
  await torn.load();
  const life = { over: false };
  const killing = sleep(40 + torn.roll(700)).then(async () => {
    await torn.daemon.kill();
    life.over = true;
  });
  while (!life.over && !torn.uncertain) {
    await sleep(torn.roll(40));
    await torn.verbUnderLoad();
  }
  await killing;
  await torn.died();
  if (power) torn.daemon.wipeRing();
  await torn.start();
  await torn.recovered({ flushed: power });
}

/** The same, ended in order; then verbs that want a volume without connections, one of them under a kill. */
async function settle(calm: FsxWorld): Promise<void> {
  await calm.load();
  for (let verbs = 1 + calm.roll(3); verbs > 0; verbs -= 1) {
    await calm.verbUnderLoad();
    await sleep(calm.roll(100));
  }
  await calm.settle();
  await calm.check();
  for (let verbs = 1 + calm.roll(3); verbs > 0; verbs -= 1) await calm.verbDetached();
  if (calm.roll(2) === 0) {
    const killing = sleep(calm.roll(30)).then(() => calm.daemon.kill());
    while (!calm.uncertain) await calm.verbDetached();
    await killing;
    await calm.died();
    await calm.start();
    await calm.recovered();
  }
  await calm.check();
  if (calm.roll(3) === 0) await calm.checkSnapshots();
}

it(`what fsx wrote is there through kills, losses of power and every verb, for ${seconds} s from seed ${seed}`, async () => {
  world = new FsxWorld(seed);
  await world.begin();
  const end = performance.now() + seconds * 1000;
  const rounds = { killed: 0, power: 0, settled: 0 };
  for (let round = 0; round < fates.length || performance.now() < end; round += 1) {
    const fate = fates[round % fates.length] ?? 'killed';
    if (fate === 'settled') await settle(world);
    else await kill(world, fate === 'power');
    rounds[fate] += 1;
  }
  await world.check();
  await world.checkSnapshots();
  await world.daemon.kill('SIGTERM');
  await must(process.execPath, [cliPath, '--data', world.daemon.directory, 'pool', 'check', '--deep'], { cwd: packageRoot });
  process.stdout.write(`fsx ${JSON.stringify({ seed, ...rounds, requests: world.requests, ...world.done })}\n`);
  // Else nothing was promised that could have been broken.
  expect(world.requests).toBeGreaterThan(100 * fates.length);
  expect(world.done).toMatchObject({
    snapshot: expect.any(Number),
    resize: expect.any(Number),
    'delete volume': expect.any(Number),
  });
});
