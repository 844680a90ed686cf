/** The daemon dies at each named place of native/env/failpoints.h under random requests, and the next one has all that was acknowledged. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';

import { packageRoot } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import {
  type FailpointName,
  failpoints,
  goneFailpoint,
  logFailpoints,
  movedLogFailpoint,
  replicaFailpoint,
  moveFailpoints,
} from '../harness/failpoints.ts';
import { FsxWorld } from '../harness/fsx_world.ts';

const seed = Number(process.env['SKERRY_FSX_SEED'] ?? 20_261_122);
let world: FsxWorld | null = null;
let daemon: DaemonProcess | null = null;

afterEach(async () => {
  await world?.destroy();
  await daemon?.destroy();
  world = null;
  daemon = null;
});

/** What leads to the place, until the daemon has come there. */
async function approach(torn: FsxWorld, name: FailpointName): Promise<void> {
  const life = { over: false };
  const dying = torn.daemon.gone().then((signal) => {
    life.over = true;
    return signal;
  });
  while (!life.over && !torn.uncertain) {
    if (name === 'rollback-recorded') {
      const [volume = ''] = torn.volumes;
      await torn.snapshot(volume);
      await sleep(100);
      await torn.settle([volume]);
      const [snapshot] = torn.snapshotsOf(volume);
      if (snapshot !== undefined) await torn.rollback(volume, snapshot);
      if (!torn.uncertain) await torn.load([volume]);
    } else if (name.startsWith('gc-')) {
      await torn.collect(name === 'gc-listed' ? 'far' : 'default');
    } else {
      await torn.verbUnderLoad();
    }
    await sleep(20);
  }
  expect(await dying).toBe('SIGKILL');
}

describe('killed at a named place under random requests, the daemon comes back with all that was acknowledged', () => {
  it.each(Object.entries(failpoints) as [FailpointName, number][])('%s', async (name, times) => {
    world = new FsxWorld(seed);
    await world.begin();
    await world.daemon.kill();
    await world.start({ SKERRY_FAILPOINT: `${name}:${times}` });
    await world.load();
    await approach(world, name);
    await world.died();
    await world.start({ SKERRY_FAILPOINT: '' });
    await world.recovered();
    // It goes on from there, and a second death takes nothing away either.
    await world.load();
    for (let verbs = 0; verbs < 3; verbs += 1) await world.verbUnderLoad();
    await world.daemon.kill();
    await world.died();
    await world.start();
    await world.recovered();
    await world.checkSnapshots();
    expect(world.requests).toBeGreaterThan(50);
  });

  it('these are all there are', () => {
    const table = readFileSync(join(packageRoot, 'native', 'env', 'failpoints.h'), 'utf8');
    const names = [...table.matchAll(/FailpointName\{Failpoint::\w+, "([a-z-]+)"\}/g)].map(([, name]) => name);
    // lost_collector.test.ts comes to that of a list of what is gone, lost_host.test.ts to those of a log, moves_under_fio.test.ts to those of a move,
    // replications.test.ts to that of a replica.
    const passed = [
      ...Object.keys(failpoints),
      goneFailpoint,
      ...logFailpoints,
      ...moveFailpoints,
      movedLogFailpoint,
      replicaFailpoint,
    ];
    expect(new Set(names)).toEqual(new Set(passed));
    expect(names).toHaveLength(passed.length);
  });
});

it.each(['nowhere:1', 'root-committed:0'])('SKERRY_FAILPOINT=%s is refused with the names that there are', async (text) => {
  daemon = new DaemonProcess({ environment: { SKERRY_FAILPOINT: text } });
  await expect(daemon.start()).rejects.toThrow(/names no failpoint: write NAME:N[^\n]*journal-sealing, [^\n]*rollback-recorded/);
});
