/** The daemon dies at each named place while fio writes a volume of this host and one of a backend; what finished passes wrote is there. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { type Client, connect } from '../../src/control/client.js';
import { isSkerryError } from '../../src/core/errors.js';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { type FailpointName, failpoints } from '../harness/failpoints.ts';
import { complaint, FioPasses } from '../harness/fio_passes.ts';

const MiB = 1 << 20;
/** A pool of this host, and one that is reached through its driver alone. */
const pools = ['default', 'far'] as const;
/** A rollback wants the volume without clients, so fio has nothing to say about it. */
const names = Object.entries(failpoints).filter(([name]) => name !== 'rollback-recorded') as [FailpointName, number][];
/** Small, so that segments are recycled, packs sealed and roots committed meanwhile. */
const config = { journalBytesMax: '64M', segmentBytes: '4M', ringBytes: '16M', overlayBytesMax: '8M', gcSeconds: 0 };

let daemon: DaemonProcess;
let client: Client;
let scratch: string;
let fio: readonly FioPasses[] = [];

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-fio-'));
  daemon = new DaemonProcess({ config });
  await start('');
  await client.createPool({ name: 'far', driver: 'local', settings: { directory: join(scratch, 'far'), 'direct-path': 'off' } });
  for (const pool of pools) await client.createVolume({ name: pool, sizeBytes: 16 * MiB, pool });
  const areas = [0, 1, 2, 3].map((area) => ({ offset: area * 3 * MiB, bytes: 3 * MiB }));
  fio = pools.map(
    (name) =>
      new FioPasses({
        uri: async () => (await client.volumeUri(name)).uri,
        areas,
        verify: 'pattern',
        scratch,
        rateBytes: 24 * MiB,
      }),
  );
});

afterEach(async () => {
  await Promise.all(fio.map((passes) => passes.kill()));
  client.close();
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

async function start(failpoint: string): Promise<void> {
  daemon.environment = { SKERRY_FAILPOINT: failpoint };
  await daemon.start();
  client = connect({ dataDirectory: daemon.directory });
}

/** So many passes over each volume, none of which may fail. */
async function passes(count: number): Promise<void> {
  const ends = fio.map((one) => one.count + count);
  for (const one of fio) one.start();
  while (fio.some((one, index) => one.failure === null && one.count <= (ends[index] ?? 0))) await sleep(20);
  await Promise.all(fio.map((one) => one.stop()));
  expect(fio.map(({ failure }) => failure)).toEqual(fio.map(() => null));
}

/** Verbs that lead to the place, beside fio, until the daemon has come there. */
async function approach(name: FailpointName): Promise<NodeJS.Signals | null> {
  const life = { over: false };
  const dying = daemon.gone().then((signal) => {
    life.over = true;
    return signal;
  });
  for (const one of fio) one.start();
  for (let round = 0; !life.over; round += 1) {
    const pool = pools[round % pools.length] ?? 'default';
    try {
      if (name.startsWith('gc-')) {
        await client.collectPool(pool);
        await client.collection(pool, 5);
      } else {
        await client.createSnapshot({ name: `${pool}@${round}` });
        if (round > 3) await client.deleteSnapshot(`${pool}@${round - 4}`);
      }
      await sleep(50);
    } catch (error) {
      if (!isSkerryError(error, 'unavailable')) throw error;
    }
  }
  await Promise.all(fio.map((one) => one.kill()));
  return dying;
}

it.each(names)('killed at %s while fio writes, the daemon has what it had acknowledged, and goes on', async (name, times) => {
  await passes(3);
  client.close();
  await daemon.kill('SIGTERM');
  await start(`${name}:${times}`);
  expect(await approach(name)).toBe('SIGKILL');
  client.close();
  await start('');
  const checks = pools.flatMap((pool, index) => (fio[index]?.finished ?? []).map((pass) => ({ pool, pass })));
  expect(checks.length).toBeGreaterThan(3);
  for (const { pool, pass } of checks) expect(await complaint((await client.volumeUri(pool)).uri, pass, scratch)).toBeNull();
  await passes(1);
  await daemon.kill('SIGTERM');
  const { stdout } = await daemon.cli('pool', 'check', '--deep', '--json');
  expect(JSON.parse(stdout)).toMatchObject({ healthy: true, findingsTotal: 0 });
});
