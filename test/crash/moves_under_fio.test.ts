/** The daemon dies at each place of a move, while fio writes what moves; what finished passes wrote is there, in one pool or the other. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { type Client, connect } from '../../src/control/client.js';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { moveFailpoints } from '../harness/failpoints.ts';
import { complaint, FioPasses } from '../harness/fio_passes.ts';

const MiB = 1 << 20;
const config = { journalBytesMax: '64M', segmentBytes: '4M', ringBytes: '16M', overlayBytesMax: '8M', gcSeconds: 0 };

let daemon: DaemonProcess;
let client: Client;
let scratch: string;
let fio: FioPasses;

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-moving-'));
  daemon = new DaemonProcess({ config });
  await start('');
  await client.createPool({ name: 'far', driver: 'local', settings: { directory: join(scratch, 'far'), 'direct-path': 'off' } });
  await client.createVolume({ name: 'vm1', sizeBytes: 16 * MiB });
  fio = new FioPasses({
    uri: async () => (await client.volumeUri('vm1')).uri,
    areas: [0, 1, 2, 3].map((area) => ({ offset: area * 3 * MiB, bytes: 3 * MiB })),
    verify: 'pattern',
    scratch,
    rateBytes: 24 * MiB,
  });
});

afterEach(async () => {
  await fio.kill();
  client.close();
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

async function start(failpoint: string): Promise<void> {
  daemon.environment = { SKERRY_FAILPOINT: failpoint };
  await daemon.start();
  client = connect({ dataDirectory: daemon.directory });
}

async function passes(count: number): Promise<void> {
  const end = fio.count + count;
  fio.start();
  while (fio.failure === null && fio.count <= end) await sleep(20);
  await fio.stop();
  expect(fio.failure).toBeNull();
}

async function verified(): Promise<void> {
  const { uri } = await client.volumeUri('vm1');
  expect(fio.finished.length).toBeGreaterThan(1);
  for (const pass of fio.finished) expect(await complaint(uri, pass, scratch)).toBeNull();
}

it.each(moveFailpoints)('killed at %s on the way there and back, it arrives', async (failpoint) => {
  await passes(4);
  for (const to of ['far', 'default']) {
    await client.createSnapshot({ name: `vm1@${to}` });
    await passes(1);
    client.close();
    await daemon.kill('SIGTERM');
    await start(`${failpoint}:1`);
    const life = daemon.gone();
    fio.start();
    await sleep(200);
    await client.beginMove('vm1', to).catch(() => undefined);
    expect(await life).toBe('SIGKILL');
    await fio.kill();
    client.close();
    // It goes on by itself.
    await start('');
    await verified();
    await expect.poll(async () => (await client.volume('vm1')).pool, { timeout: 60_000, interval: 100 }).toBe(to);
    await verified();
  }
  await passes(2);
  await verified();
  expect((await client.snapshots('vm1')).map(({ name, pool }) => `${name} ${pool}`)).toEqual([
    'vm1@default default',
    'vm1@far default',
  ]);
  await daemon.kill('SIGTERM');
  const { stdout } = await daemon.cli('pool', 'check', '--deep', '--json');
  expect(JSON.parse(stdout)).toMatchObject({ healthy: true, findingsTotal: 0 });
});
