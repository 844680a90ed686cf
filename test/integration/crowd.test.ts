/**
 * A thousand volumes and five hundred connections at once, most of which behave while some flood, stall in the middle of a request, take
 * no answers or vanish. SKERRY_CROWD_SECONDS makes it longer (an hour: 3600), SKERRY_CROWD_SEED says what is sent.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { type Client, connect } from '../../src/control/client.js';
import { inParallel } from '../../src/core/in_parallel.js';
import { packageRoot } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';

const seconds = Number(process.env['SKERRY_CROWD_SECONDS'] ?? 12);
const seed = Number(process.env['SKERRY_CROWD_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const MiB = 1 << 20;
const volumes_count = 1000;
const volume_bytes = 4 * MiB;
const ceiling_bytes = 1024 * MiB;
/** Of one run; all are attached at once. */
const crowd = { calm: 400, flood: 16, slow: 40, half: 40, vanish: 4 };
const connections_count = Object.values(crowd).reduce((a, b) => a + b);
/** What the second of two equal crowds may leave above what the first left: caches and arenas of threads fill by chance. */
const growth_bytes_max = 160 * MiB;

interface Outcome {
  /** Of each calm connection. */
  readonly rounds: readonly number[];
  readonly wrong: readonly string[];
  readonly floods: number;
  readonly vanished: number;
  readonly sentBytes: number;
}

let daemon: DaemonProcess;
let client: Client;
const names = Array.from({ length: volumes_count }, (_, i) => `v${i}`);

beforeAll(async () => {
  daemon = new DaemonProcess({ config: { memoryBytesMax: ceiling_bytes, gcSeconds: 0 } });
  await daemon.start();
  client = connect({ dataDirectory: daemon.directory });
  await inParallel(names, 16, async (name) => {
    await client.createVolume({ name, sizeBytes: volume_bytes });
  });
});

afterAll(async () => {
  client.close();
  await daemon.destroy();
});

/** The flood has one volume, who stalls has others, and each calm connection its own. */
function plan(): Readonly<Record<string, readonly string[]>> {
  const take = (from: number, count: number): readonly string[] => names.slice(from, from + count);
  return {
    calm: take(0, crowd.calm),
    flood: Array.from({ length: crowd.flood }, () => 'v900'),
    slow: take(500, crowd.slow),
    half: take(600, crowd.half),
    vanish: take(700, crowd.vanish),
  };
}

class Running {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor() {
    const script = join(packageRoot, 'test', 'harness', 'nbd_crowd.py');
    const words = [script, join(daemon.directory, 'nbd.sock'), `${seconds}`, `${seed}`, JSON.stringify(plan())];
    this.#child = spawn('/usr/bin/python3', words, { stdio: ['ignore', 'pipe', 'inherit'] });
    if (this.#child.stdout === null) throw new Error('the crowd has no output');
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async line(): Promise<string> {
    const next = await this.#lines.next();
    if (next.done === true) throw new Error(`the crowd ended\n${daemon.log.slice(-2000)}`);
    return next.value;
  }
}

/** Runs it once; what the daemon held at most meanwhile. */
async function run(): Promise<{ readonly outcome: Outcome; readonly most: number }> {
  let most = 0;
  const watch = setInterval(() => (most = Math.max(most, daemon.heldBytes)), 50);
  try {
    const running = new Running();
    expect(await running.line()).toBe('ready');
    expect(await daemon.metric('skerry_nbd_connections')).toBeGreaterThanOrEqual(connections_count - crowd.vanish);
    // Verbs go on meanwhile.
    await client.createSnapshot({ name: `v0@at-${performance.now().toFixed(0)}` });
    expect((await client.volumes()).length).toBe(volumes_count);
    return { outcome: JSON.parse(await running.line()) as Outcome, most };
  } finally {
    clearInterval(watch);
  }
}

async function settled(): Promise<{ readonly descriptors: number; readonly held: number; readonly buffers: number }> {
  await expect.poll(() => daemon.metric('skerry_nbd_connections'), { timeout: 60_000, interval: 100 }).toBe(0);
  return { descriptors: daemon.openDescriptors, held: daemon.heldBytes, buffers: await daemon.metric('skerry_nbd_buffer_bytes') };
}

it('serves all who behave, keeps to its memory, and keeps nothing of those who are gone', async () => {
  console.log(`crowd: SKERRY_CROWD_SEED=${seed} SKERRY_CROWD_SECONDS=${seconds}`);
  const before = daemon.openDescriptors;
  const ends: Awaited<ReturnType<typeof settled>>[] = [];
  for (let again = 0; again < 2; again += 1) {
    const { outcome, most } = await run();
    const least = Math.min(...outcome.rounds);
    console.log(
      `crowd: rounds of each ${least} to ${Math.max(...outcome.rounds)}, ${outcome.floods} floods, ${outcome.vanished} vanished, ` +
        `${Math.round(outcome.sentBytes / MiB)} MiB sent, at most ${Math.round(most / MiB)} MiB held`,
    );
    expect(outcome.wrong).toEqual([]);
    expect(outcome.floods).toBeGreaterThan(crowd.flood);
    expect(outcome.vanished).toBeGreaterThan(crowd.vanish);
    // Everybody was served, again and again, beside the flood and those who hold what they do not use.
    expect(least).toBeGreaterThan(8);
    expect(most).toBeLessThan(ceiling_bytes);
    ends.push(await settled());
  }
  const [first, second] = ends;
  if (first === undefined || second === undefined) throw new Error('there were two');
  expect(second.descriptors).toBeLessThanOrEqual(before + 4);
  expect(second.buffers).toBeLessThanOrEqual(Math.max(first.buffers, 4 * MiB));
  expect(second.held).toBeLessThan(first.held + growth_bytes_max);
  expect(await daemon.json('status')).toMatchObject({ healthy: true, problems: [] });
  expect(daemon.log).not.toMatch(/uncaught|unhandled/i);
});
