/**
 * A client that gets the protocol wrong in every way, for half a minute, beside one that behaves. SKERRY_NBD_FUZZ_SECONDS makes
 * it longer, SKERRY_NBD_FUZZ_SEED says what it sends; the seed is printed.
 */
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { must, packageRoot, run } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { NbdSession } from '../harness/nbd_session.ts';

const seconds = Number(process.env['SKERRY_NBD_FUZZ_SECONDS'] ?? 30);
const seed = Number(process.env['SKERRY_NBD_FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const page_bytes = 4096;
const calm_bytes = 1 << 20;
const volume_bytes = 8 << 20;
/** What a daemon that has just served thousands of connections may keep above one that has served a hundred. */
const resident_growth_bytes_max = 192 << 20;
/** Buffers that are free and kept, and those of a connection that has nothing to say. */
const idle_buffer_bytes_max = 4 << 20;

interface Noise {
  readonly connections: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly endings: Readonly<Record<string, number>>;
}

let daemon: DaemonProcess;

beforeEach(async () => {
  daemon = new DaemonProcess({ config: { segmentBytes: '4M', ringBytes: '16M' } });
  await daemon.start();
  for (const name of ['noisy', 'calm']) await daemon.ok('volume', 'create', name, '--size', `${volume_bytes}`);
  await daemon.ok('snapshot', 'create', 'noisy@golden');
});

afterEach(async () => {
  await daemon.destroy();
});

async function noise(withSeed: number, forSeconds: number): Promise<Noise> {
  const script = join(packageRoot, 'test', 'harness', 'nbd_noise.py');
  const words = [script, join(daemon.directory, 'nbd.sock'), 'noisy', `${withSeed}`, `${forSeconds}`];
  return JSON.parse(await must('/usr/bin/python3', words, { timeoutSeconds: forSeconds + 120 })) as Noise;
}

/** Writes and reads its own pages until it is told to stop; what it reads is what it wrote. Returns how many times. */
async function behave(session: NbdSession, stopped: () => boolean): Promise<number> {
  const bytes = new Map<number, number>();
  let rounds = 0;
  for (; !stopped() || rounds === 0; rounds += 1) {
    const offset = ((rounds * 7) % (calm_bytes / page_bytes)) * page_bytes;
    const byte = (rounds % 255) + 1;
    expect(await session.ask('write', offset, page_bytes, byte)).toBe('');
    bytes.set(offset, byte);
    if (rounds % 16 === 0) expect(await session.ask('flush')).toBe('');
    for (const [at, expected] of [...bytes].slice(-4)) {
      expect(await session.ask('read', at, page_bytes)).toBe(`${expected.toString(16).padStart(2, '0')}x${page_bytes}`);
    }
  }
  return rounds;
}

/** Resolves once `holds`, or says what does not. What the daemon gives back, it gives back within its own time limits. */
async function settled(what: string, read: () => Promise<number>, holds: (value: number) => boolean): Promise<void> {
  const until = performance.now() + 60_000;
  let value = await read();
  while (!holds(value) && performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    value = await read();
  }
  expect(holds(value), `${what} is ${value} in the end`).toBe(true);
}

it('a client that breaks the protocol takes nothing from one that keeps it, and leaves nothing behind', async () => {
  console.log(`nbd_fuzz: SKERRY_NBD_FUZZ_SEED=${seed} SKERRY_NBD_FUZZ_SECONDS=${seconds}`);
  const session = await NbdSession.open(await daemon.uri('calm'));
  // Threads, caches and buffers that stay are there after the first.
  await noise(seed + 1, 2);
  const connections = 1;
  await settled(
    'the number of connections',
    () => daemon.metric('skerry_nbd_connections'),
    (value) => value === connections,
  );
  const before = {
    descriptors: daemon.openDescriptors,
    resident: await daemon.metric('process_resident_memory_bytes'),
    buffers: await daemon.metric('skerry_nbd_buffer_bytes'),
  };

  let over = false;
  const calm = behave(session, () => over);
  const sent = await noise(seed, seconds).finally(() => {
    over = true;
  });
  const rounds = await calm;
  console.log(`nbd_fuzz: ${JSON.stringify(sent)}, ${rounds} rounds beside it`);
  expect(sent.connections).toBeGreaterThan(seconds);
  expect(sent.receivedBytes).toBeGreaterThan(0);
  expect(rounds).toBeGreaterThan(10);

  await settled(
    'the number of connections',
    () => daemon.metric('skerry_nbd_connections'),
    (value) => value === connections,
  );
  await settled(
    'the number of descriptors',
    async () => daemon.openDescriptors,
    (value) => value <= before.descriptors + 4,
  );
  await settled(
    'the memory of requests',
    () => daemon.metric('skerry_nbd_buffer_bytes'),
    (value) => value <= before.buffers + idle_buffer_bytes_max,
  );
  await settled(
    'resident memory',
    () => daemon.metric('process_resident_memory_bytes'),
    (value) => value < before.resident + resident_growth_bytes_max,
  );
  expect(await daemon.metric('skerry_read_only')).toBe(0);
  await session.close();

  for (const name of ['calm', 'noisy', 'noisy@golden']) {
    const uri = name.includes('@') ? await daemon.ok('volume', 'uri', name) : await daemon.uri(name);
    expect((await must('nbdinfo', ['--size', uri])).trim()).toBe(`${volume_bytes}`);
    expect(JSON.parse(await must('qemu-img', ['info', '--output=json', uri]))).toMatchObject({ 'virtual-size': volume_bytes });
  }
  // Nothing was written to the snapshot, whoever asked for it.
  const golden = await run('qemu-io', [
    '-r',
    '-f',
    'raw',
    '-c',
    `read -P 0 0 ${volume_bytes}`,
    await daemon.ok('volume', 'uri', 'noisy@golden'),
  ]);
  expect(golden.stdout + golden.stderr).not.toMatch(/verification failed|error/i);
  expect(daemon.log).not.toMatch(/uncaught|unhandled/i);
});
