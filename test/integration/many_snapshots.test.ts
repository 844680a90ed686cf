/** Many snapshots of one volume, and clones whose parents are gone. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { type Client, connect } from '../../src/control/client.js';
import { isSkerryError } from '../../src/core/errors.js';
import { pause } from '../../src/core/pause.js';
import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { NbdSession } from '../harness/nbd_session.ts';

/** The long form is of 10,000: `npm run test:snapshots`. */
const snapshots_count = Number(process.env['SKERRY_TEST_SNAPSHOTS'] ?? 400);
const page = 4096;
let daemon: DaemonProcess;
let client: Client;

beforeAll(async () => {
  daemon = new DaemonProcess();
  await daemon.start();
  client = connect({ dataDirectory: daemon.directory });
});

afterAll(async () => {
  client.close();
  await daemon.destroy();
});

async function restart(): Promise<void> {
  client.close();
  await daemon.kill();
  await daemon.start();
  client = connect({ dataDirectory: daemon.directory });
}

/** The byte that page `at` of `name` begins with. */
async function reads(name: string, at: number): Promise<string> {
  const session = await NbdSession.open((await client.volumeUri(name)).uri);
  const answer = await session.ask('read', at * page, page);
  await session.close();
  // The daemon hears of it a moment later, and until then it may not be deleted.
  const attached = async (): Promise<boolean> =>
    (await client.activity()).resources.some((resource) => resource.name === name && resource.connections > 0);
  await expect.poll(attached, { timeout: 60_000, interval: 10 }).toBe(false);
  return answer;
}

/** Takes it; where too many wait for their roots already, a moment later, as the daemon says. */
async function snapshot(name: string): Promise<void> {
  for (;;) {
    try {
      await client.createSnapshot({ name });
      return;
    } catch (error) {
      if (!isSkerryError(error, 'try-again')) throw error;
      await pause(200);
    }
  }
}

const whole = (byte: number): string => `${byte.toString(16).padStart(2, '0')}x${page}`;
/** The same order at every run. */
const shuffled = (numbers: readonly number[]): number[] =>
  numbers.toSorted((a, b) => ((a * 7919) % 1009) - ((b * 7919) % 1009) || a - b);

describe('many snapshots of one volume', () => {
  it('are made while it is written, keep what was there, and are deleted in any order', async () => {
    await client.createVolume({ name: 'vm', sizeBytes: 256 * page });
    const guest = await NbdSession.open((await client.volumeUri('vm')).uri);
    const all = Array.from({ length: snapshots_count }, (_, at) => at);
    for (const at of all) {
      // Page 0 tells which snapshot it is, another page changes now and then.
      expect(await guest.ask('write', 0, page, 1 + (at % 255))).toBe('');
      if (at % 10 === 0) expect(await guest.ask('write', (1 + (at % 200)) * page, page, 1 + (at % 255))).toBe('');
      await snapshot(`vm@s${at}`);
    }
    expect((await client.snapshots('vm')).map(({ name }) => name).sort()).toEqual(all.map((at) => `vm@s${at}`).sort());
    expect(await reads('vm@s0', 0)).toBe(whole(1));
    expect(await reads('vm@s0', 11)).toBe(whole(0));
    const order = shuffled(all);
    const [gone, left] = [order.slice(0, snapshots_count / 2), order.slice(snapshots_count / 2)];
    for (const at of gone) await client.deleteSnapshot(`vm@s${at}`);
    await guest.close();
    await restart();
    expect((await client.snapshots('vm')).map(({ name }) => name).sort()).toEqual(left.map((at) => `vm@s${at}`).sort());
    for (const at of left.slice(0, 20)) expect(await reads(`vm@s${at}`, 0)).toBe(whole(1 + (at % 255)));
    for (const at of left) await client.deleteSnapshot(`vm@s${at}`);
    expect(await client.snapshots('vm')).toEqual([]);
    expect(await reads('vm', 0)).toBe(whole(1 + ((snapshots_count - 1) % 255)));
    await client.deleteVolume('vm');
  });
});

describe('a clone', () => {
  it('of a clone outlives everything that it came from', async () => {
    const write = async (name: string, command: string) =>
      must('qemu-io', ['-f', 'raw', '-c', command, (await client.volumeUri(name)).uri]);
    await client.createVolume({ name: 'parent', sizeBytes: 1 << 20 });
    await write('parent', 'write -P 1 0 512k');
    await client.clone({ source: 'parent', name: 'child' });
    await write('child', 'write -P 2 128k 128k');
    await client.createSnapshot({ name: 'child@a' });
    await client.clone({ source: 'child@a', name: 'grandchild' });
    await write('grandchild', 'write -P 3 192k 4k');
    await client.deleteVolume('parent');
    await client.deleteSnapshot('child@a');
    await client.deleteVolume('child');
    const check = async () =>
      must('qemu-io', [
        '-r',
        '-f',
        'raw',
        ...[
          'read -P 1 0 128k',
          'read -P 2 128k 64k',
          'read -P 3 192k 4k',
          'read -P 2 196k 60k',
          'read -P 1 256k 256k',
          'read -P 0 512k 512k',
        ].flatMap((command) => ['-c', command]),
        (await client.volumeUri('grandchild')).uri,
      ]);
    await check();
    await restart();
    await check();
    expect(await client.volume('grandchild')).toMatchObject({ parent: 'child@a' });
  });
});
