/** A volume with durability `pool` is on its way to another pool when the daemon dies, and its host is lost: what was flushed is in one of the two. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { connect } from '../../src/control/client.js';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { movedLogFailpoint, moveFailpoints } from '../harness/failpoints.ts';
import { Stamper } from '../harness/stamper.ts';

const MiB = 1 << 20;
const sizeBytes = 24 * MiB;
/** A small journal, so that roots are committed while the writes go on. */
const config = { journalBytesMax: '64M', segmentBytes: '4M', ringBytes: '16M', overlayBytesMax: '8M', poolKeptBytesMax: '1M' };

let daemon: DaemonProcess;
let scratch: string;
let stamper: Stamper;

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-moved-log-'));
  daemon = new DaemonProcess({ config });
  await daemon.start();
  for (const pool of ['near', 'far']) {
    const directory = `directory=${join(scratch, pool)}`;
    await daemon.ok('pool', 'create', pool, '--driver', 'local', '--set', directory, '--set', 'direct-path=off');
  }
  await daemon.ok('volume', 'create', 'stamped', '--size', String(sizeBytes), '--durability', 'pool', '--pool', 'near');
  stamper = new Stamper(await daemon.uri('stamped'), sizeBytes, 20_261_123);
});

afterEach(async () => {
  stamper.close();
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

const poolOf = async (): Promise<string> => (await daemon.json<{ pool: string }>('volume', 'show', 'stamped')).pool;
const logsIn = (pool: string): readonly string[] =>
  readdirSync(join(scratch, pool, 'logs'), { recursive: true, encoding: 'utf8' }).filter((name) => name.length > 49);

/** Stamps while it moves, and until the daemon dies: by itself, or so many milliseconds after the move was asked for. */
async function moveUntilDeath(to: string, milliseconds: number | null): Promise<void> {
  const running = stamper.ask('run');
  await sleep(200);
  const client = connect({ dataDirectory: daemon.directory });
  await client.beginMove('stamped', to).catch(() => undefined);
  client.close();
  if (milliseconds === null) expect(await daemon.gone()).toBe('SIGKILL');
  else {
    await sleep(milliseconds);
    await daemon.kill();
  }
  expect((await running).split(' ')[0]).toBe('broken');
}

/** However long it takes until a flush was answered. */
async function flushUntilHostIsLost(): Promise<void> {
  let flushed = 0;
  for (let milliseconds = 600; flushed === 0; milliseconds *= 2) {
    const running = stamper.ask('run');
    await sleep(milliseconds);
    await daemon.kill();
    flushed = Number((await running).split(' ')[2]);
    daemon.loseHost();
    await daemon.start();
    expect(await stamper.ask('check-flushed')).toBe('ok');
  }
}

async function arrives(at: string): Promise<void> {
  await expect.poll(poolOf, { timeout: 60_000, interval: 100 }).toBe(at);
  // Where the daemon was started since, it knows nothing of a move that had ended.
  const ended = async (): Promise<boolean> => {
    const { code, stdout } = await daemon.cli('volume', 'move', 'stamped', '--status', '--json');
    return code !== 0 || (JSON.parse(stdout) as { state: string }).state === 'done';
  };
  await expect.poll(ended, { timeout: 60_000, interval: 100 }).toBe(true);
}

it.each([...moveFailpoints, movedLogFailpoint])(
  'killed at %s on the way there and back, it has what was flushed with or without its host',
  async (failpoint) => {
    for (const [to, lost] of [
      ['far', true],
      ['near', false],
    ] as const) {
      await daemon.kill();
      daemon.environment = { SKERRY_FAILPOINT: `${failpoint}:1` };
      await daemon.start();
      await moveUntilDeath(to, null);
      if (lost) daemon.loseHost();
      daemon.environment = {};
      await daemon.start();
      expect(await stamper.ask(lost ? 'check-flushed' : 'check')).toBe('ok');
      // It goes on by itself, and what is flushed there is there.
      await arrives(to);
      await flushUntilHostIsLost();
      expect(logsIn(to === 'far' ? 'near' : 'far')).toEqual([]);
    }
  },
);

it('moved to and fro under flushes, with a death of the host at any moment, it loses nothing that was flushed', async () => {
  for (const milliseconds of [0, 50, 100, 200, 300, 500, 800]) {
    const to = (await poolOf()) === 'near' ? 'far' : 'near';
    await moveUntilDeath(to, milliseconds);
    daemon.loseHost();
    await daemon.start();
    expect(`${milliseconds}: ${await stamper.ask('check-flushed')}`).toBe(`${milliseconds}: ok`);
    // One that had not begun, or met a root that was replaced just then, is asked for again.
    const asked = async (): Promise<string> => {
      await daemon.cli('volume', 'move', 'stamped', '--pool', to);
      return poolOf();
    };
    await expect.poll(asked, { timeout: 60_000, interval: 100 }).toBe(to);
    await arrives(to);
  }
});
