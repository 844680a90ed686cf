/** What a volume must be whatever its pool rests on: the same clients, kills and outages on every real server. */
import { createHash } from 'node:crypto';
import { createReadStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import type { PoolView } from '../../src/api/shapes.js';
import { packs_skipped } from '../../src/daemon/recover_backend.ts';
import { type Backend, setWords } from './backends.ts';
import { must } from './command.ts';
import { DaemonProcess } from './daemon_process.ts';
import { filesBelow } from './damage.ts';
import { complaint, FioPasses } from './fio_passes.ts';
import { Guest, makeGuest } from './guest/guest.ts';
import { contentsOf, populate, recoverOnEmptyHost } from './lost_host.ts';
import { smallSettings } from './small_settings.ts';
import { Stamper } from './stamper.ts';

const MiB = 1 << 20;
const outage_milliseconds = 20_000;

/** `missing`: why the server cannot be started here. */
export function backendSuite(name: string, missing: string | null, start: () => Promise<Backend>): void {
  describe.skipIf(missing !== null)(`a volume on ${name}${missing === null ? '' : ` (skipped: ${missing})`}`, () => {
    let started: Backend | null = null;
    let places = 0;
    let daemon: DaemonProcess;
    let settings: readonly string[];
    let scratch: string;
    let stamper: Stamper | null = null;
    let guest: Guest | null = null;

    beforeAll(async () => {
      await makeGuest();
      started = await start();
    });
    afterAll(async () => {
      await started?.stop();
    });
    beforeEach(async () => {
      scratch = mkdtempSync(join(tmpdir(), 'skerry-far-'));
      daemon = new DaemonProcess({ config: smallSettings });
      await daemon.start();
      places += 1;
      const silence = { 'timeout-seconds': '10' };
      settings = ['--driver', server().driver, ...setWords({ ...server().settings(`place${places}`), ...silence })];
      await daemon.ok('pool', 'create', 'far', ...settings);
    });
    afterEach(async () => {
      stamper?.close();
      guest?.kill();
      stamper = null;
      guest = null;
      await daemon.destroy();
      rmSync(scratch, { recursive: true, force: true });
    });

    const server = (): Backend => {
      if (started === null) throw new Error(`${name} was not started`);
      return started;
    };
    const sumOf = async (volume: string): Promise<string> => {
      const copy = join(scratch, 'copy');
      rmSync(copy, { force: true });
      await must('nbdcopy', ['--connections=4', await daemon.uri(volume), copy]);
      const hash = createHash('sha256');
      for await (const part of createReadStream(copy)) hash.update(part as Buffer);
      return hash.digest('hex');
    };
    const pool = (): Promise<PoolView> => daemon.json<PoolView>('pool', 'show', 'far');
    const passesOver = (volume: string): FioPasses =>
      new FioPasses({
        uri: () => daemon.uri(volume),
        areas: [0, 1, 2].map((area) => ({ offset: area * 16 * MiB, bytes: 16 * MiB })),
        verify: 'crc32c',
        scratch,
        rateBytes: 16 * MiB,
      });

    it('passes fio verify, and after a restart and a kill reads the same from the server', async () => {
      await daemon.ok('volume', 'create', 'fio', '--size', '48M', '--pool', 'far');
      const fio = passesOver('fio');
      fio.start();
      while (fio.count <= 3 && fio.failure === null) await sleep(20);
      await fio.stop();
      expect(fio.failure).toBeNull();
      const before = await sumOf('fio');
      // In order it seals and ships what is open.
      await daemon.kill('SIGTERM');
      await daemon.start();
      await expect.poll(async () => (await pool()).stagedBytes, { timeout: 120_000, interval: 200 }).toBe(0);
      expect(await sumOf('fio')).toBe(before);
      await daemon.kill();
      await daemon.start();
      expect(await sumOf('fio')).toBe(before);
      expect(await pool()).toMatchObject({ driver: server().driver, corruptPages: 0 });
      expect((await pool()).fetchedBytes).toBeGreaterThan(16 * MiB);
    });

    it('loses nothing acknowledged by kill -9, and nothing flushed where the ring is gone too', async () => {
      await daemon.ok('volume', 'create', 'stamped', '--size', '24M', '--pool', 'far');
      stamper = new Stamper(await daemon.uri('stamped'), 24 * MiB, 20_261_122);
      let acked = 0;
      for (const power of [false, false, true, false, true, false]) {
        const running = stamper.ask('run');
        await sleep(400);
        await daemon.kill();
        const [word, count] = (await running).split(' ');
        expect(word).toBe('broken');
        acked += Number(count);
        if (power) daemon.wipeRing();
        await daemon.start();
        expect(await stamper.ask(power ? 'check-flushed' : 'check')).toBe('ok');
      }
      expect(acked).toBeGreaterThan(200);
    });

    it('with durability pool loses nothing flushed where the host is lost with its disk', async () => {
      await daemon.ok('volume', 'create', 'stamped', '--size', '24M', '--pool', 'far', '--durability', 'pool');
      stamper = new Stamper(await daemon.uri('stamped'), 24 * MiB, 20_261_123);
      let flushed = 0;
      for (let round = 0; round < 3; round += 1) {
        const running = stamper.ask('run');
        await sleep(800);
        await daemon.kill();
        const [word, , count] = (await running).split(' ');
        expect(word).toBe('broken');
        flushed += Number(count);
        daemon.loseHost();
        await daemon.start();
        expect(await stamper.ask('check-flushed')).toBe('ok');
      }
      expect(flushed).toBeGreaterThan(2);
    });

    it('is served before its server answers, beside others, and goes on when it does', async () => {
      await daemon.ok('volume', 'create', 'far', '--size', '16M', '--pool', 'far');
      await daemon.ok('volume', 'create', 'here', '--size', '16M');
      for (const volume of ['far', 'here'])
        await must('qemu-io', ['-f', 'raw', '-c', 'write -P 1 0 8M', await daemon.uri(volume)]);
      await daemon.kill('SIGTERM');
      await server().pause();
      try {
        await daemon.start();
        await must('qemu-io', ['-f', 'raw', '-c', 'read -P 1 0 8M', '-c', 'write -P 2 8M 8M', await daemon.uri('here')]);
        await must('qemu-io', ['-f', 'raw', '-c', 'write -P 2 8M 8M', '-c', 'flush', await daemon.uri('far')]);
        await expect.poll(() => daemon.json('status'), { timeout: 60_000, interval: 200 }).toMatchObject({ healthy: false });
        expect(daemon.log).toMatch(
          /pool far is away and is looked for again|does not say which packs it (?:holds|was told to remove)/,
        );
      } finally {
        await server().goOn();
      }
      for (const volume of ['far', 'here']) {
        await must('qemu-io', ['-r', '-f', 'raw', '-c', 'read -P 1 0 8M', '-c', 'read -P 2 8M 8M', await daemon.uri(volume)]);
      }
      await expect.poll(() => daemon.json('status'), { timeout: 120_000, interval: 200 }).toMatchObject({ healthy: true });
    });

    it('is there on another host that has nothing but the way to its server', async () => {
      await populate(daemon);
      const before = await contentsOf(daemon);
      await daemon.destroy();
      const directory = join(scratch, 'fresh');
      await recoverOnEmptyHost(directory, settings);
      daemon = new DaemonProcess({ config: smallSettings, directory });
      await daemon.start();
      for (const [volume, bytes] of await contentsOf(daemon))
        expect(bytes.equals(before.get(volume) ?? Buffer.alloc(0)), volume).toBe(true);
      // What it writes gets numbers that nothing which is still on its way to the server has.
      await must('qemu-io', ['-f', 'raw', '-c', 'write -P 7 8M 4M', '-c', 'flush', await daemon.uri('v')]);
      await daemon.ok('snapshot', 'create', 'v@later');
      await must('qemu-io', ['-r', '-f', 'raw', '-c', 'read -P 7 8M 4M', await daemon.uri('v@later')]);
      const pending = async () => (await daemon.json<{ pending: boolean }[]>('snapshot', 'list', 'v')).some((one) => one.pending);
      await expect.poll(pending, { timeout: 120_000, interval: 200 }).toBe(false);
      const packs = filesBelow(join(directory, 'engine', 'pools'), '').map((path) => Number.parseInt(basename(path), 16));
      expect(packs.some((number) => number > packs_skipped + 1)).toBe(true);
    });

    it('carries a guest through twenty seconds without an answer and a kill of the daemon, as a pause', async () => {
      await daemon.ok('volume', 'create', 'vm1', '--size', '128M', '--pool', 'far');
      await daemon.ok('volume', 'create', 'beside', '--size', '48M', '--pool', 'far');
      const fio = passesOver('beside');
      fio.start();
      guest = new Guest({ socketPath: join(daemon.directory, 'nbd.sock'), exportName: 'vm1', task: 'spin', rounds: 60 });
      await guest.mark('TICK 10');
      while (fio.count <= 1 && fio.failure === null) await sleep(20);
      await server().pause();
      try {
        await sleep(outage_milliseconds);
      } finally {
        await server().goOn();
      }
      await guest.mark('TICK 40');
      await fio.stop();
      expect(fio.failure).toBeNull();
      await daemon.kill();
      await daemon.start();
      expect(await guest.mark('SPIN-DONE')).toBe('SPIN-DONE bad=0');
      await guest.ended();
      expect(guest.marks.filter((mark) => mark.startsWith('IOERR') || mark.startsWith('FAIL'))).toEqual([]);
      expect(guest.console).not.toMatch(/I\/O error|EXT4-fs error/);
      const where = await daemon.uri('beside');
      expect(fio.finished.length).toBeGreaterThan(1);
      for (const pass of fio.finished) expect(await complaint(where, pass, scratch)).toBeNull();
    });
  });
}
