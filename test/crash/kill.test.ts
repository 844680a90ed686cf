/** The daemon is killed at random moments under stamped writes; the client stays alive and knows what it was promised. */
import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';

import { DaemonProcess } from '../harness/daemon_process.ts';
import { Stamper } from '../harness/stamper.ts';

const sizeBytes = 24 * 1024 * 1024;

/** A small generator, so that a failing run can be repeated. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

let daemon: DaemonProcess | null = null;
let stamper: Stamper | null = null;

afterEach(async () => {
  stamper?.close();
  await daemon?.destroy();
  if (daemon !== null) rmSync(`${daemon.directory}-far`, { recursive: true, force: true });
  daemon = null;
  stamper = null;
});

interface Torture {
  /** The ring goes with each kill, as a power loss would take it. */
  readonly power?: boolean;
  readonly far?: boolean;
  readonly writethrough?: boolean;
}

async function torture(rounds: number, { power = false, far = false, writethrough = false }: Torture = {}): Promise<void> {
  // A small journal, so that segments are recycled and roots are committed while the writes go on; of what is on a backend
  // next to nothing stays here, so that most of it is read from there.
  const journal = { journalBytesMax: '64M', segmentBytes: '4M', ringBytes: '16M', overlayBytesMax: '8M' };
  daemon = new DaemonProcess({ config: { ...journal, blockCacheBytesMax: '1M', poolKeptBytesMax: '1M' } });
  await daemon.start();
  if (far) {
    const place = `directory=${daemon.directory}-far`;
    await daemon.ok('pool', 'create', 'far', '--driver', 'local', '--set', place, '--set', 'direct-path=off');
  }
  const how = ['--pool', far ? 'far' : 'default', '--cache', writethrough ? 'writethrough' : 'writeback'];
  await daemon.ok('volume', 'create', 'stamped', '--size', String(sizeBytes), ...how);
  const seed = 20261121;
  stamper = new Stamper(await daemon.uri('stamped'), sizeBytes, seed);
  const random = dice(seed);
  let acked = 0;
  let flushed = 0;
  for (let round = 0; round < rounds; ++round) {
    const running = stamper.ask('run');
    await sleep(50 + random() * 400);
    if (round % 5 === 2) await daemon.ok('snapshot', 'create', `stamped@s${round}`);
    await daemon.kill();
    const [word, ackedNow, flushedNow] = (await running).split(' ');
    expect(word).toBe('broken');
    acked += Number(ackedNow);
    flushed += Number(flushedNow);
    if (power) daemon.wipeRing();
    await daemon.start();
    expect(`round ${round}: ${await stamper.ask(power && !writethrough ? 'check-flushed' : 'check')}`).toBe(`round ${round}: ok`);
  }
  // Rounds in which nothing was promised would show nothing.
  expect(acked).toBeGreaterThan(rounds * 20);
  if (!writethrough) expect(flushed).toBeGreaterThan(rounds / 5);
}

describe('kill -9 at random moments', () => {
  it('loses no acknowledged write in 50 rounds', () => torture(50));
  it('loses none on a remote pool in 25 rounds', () => torture(25, { far: true }));
  it('loses no flushed write on a remote pool in 10 rounds with the ring wiped', () => torture(10, { power: true, far: true }));
  it('with the ring wiped as a power loss would, loses no flushed write in 15 rounds', () => torture(15, { power: true }));
  it('with the ring wiped, loses no acknowledged write of a writethrough volume in 10 rounds', () =>
    torture(10, { power: true, writethrough: true }));
});
