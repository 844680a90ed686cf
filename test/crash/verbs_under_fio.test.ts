/**
 * Every verb while fio writes and verifies the volume it is done to, or one beside it; and kill -9 in the middle of the verbs.
 * fio knows what its finished passes wrote, the stamper which of its writes were acknowledged, and the sums of what was read
 * before are those of what is read after.
 */
import { createHash } from 'node:crypto';
import { createReadStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { DifferenceView, ResourceView } from '../../src/api/shapes.js';
import { type Client, connect } from '../../src/control/client.js';
import { isSkerryError } from '../../src/core/errors.js';
import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { complaint, FioPasses, type Pass } from '../harness/fio_passes.ts';
import { NbdSession } from '../harness/nbd_session.ts';
import { Stamper } from '../harness/stamper.ts';

const MiB = 1024 * 1024;
let daemon: DaemonProcess;
let client: Client;
let scratch: string;
let stamper: Stamper | null = null;
const at = (name: string): string => join(scratch, name);

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-fio-'));
  // Small, so that segments are recycled and roots are committed meanwhile.
  daemon = new DaemonProcess({ config: { journalBytesMax: '64M', segmentBytes: '4M', ringBytes: '16M', overlayBytesMax: '8M' } });
  await daemon.start();
  client = connect({ dataDirectory: daemon.directory });
});

afterEach(async () => {
  stamper?.close();
  stamper = null;
  client.close();
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

const uriOf = async (name: string): Promise<string> => (await client.volumeUri(name)).uri;

async function qemuIo(name: string, ...commands: readonly string[]): Promise<void> {
  const readOnly = commands.every((command) => command.startsWith('read')) ? ['-r'] : [];
  const words = commands.flatMap((command) => ['-c', command]);
  const output = await must('qemu-io', [...readOnly, '-f', 'raw', ...words, await uriOf(name)]);
  expect(output, name).not.toMatch(/verification failed/);
}

async function sumOfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const part of createReadStream(path)) hash.update(part as Buffer);
  return hash.digest('hex');
}

/** Of all that a client reads. */
async function sum(name: string): Promise<string> {
  rmSync(at('content'), { force: true });
  await must('nbdcopy', [await uriOf(name), at('content')]);
  return sumOfFile(at('content'));
}

/** Until so many are connected to the volume and more was written to it than before. Fails where a pass of fio has. */
async function writing(name: string, fio: readonly FioPasses[], connections = 1): Promise<void> {
  const written = async (): Promise<number> => {
    const found = (await client.activity()).resources.find((resource) => resource.name === name);
    return found === undefined || found.connections < connections ? Number.NaN : found.write.bytes;
  };
  for (let before = await written(); ; ) {
    await sleep(5);
    const now = await written();
    expect(fio.map(({ failure }) => failure)).toEqual(fio.map(() => null));
    if (now > before) return;
    before = now;
  }
}

async function restarted(): Promise<void> {
  client.close();
  await daemon.start();
  client = connect({ dataDirectory: daemon.directory });
}

async function verified(name: string, passes: readonly Pass[]): Promise<void> {
  const uri = await uriOf(name);
  for (const pass of passes) expect(await complaint(uri, pass, scratch)).toBeNull();
}

it('each verb does what it says while fio writes and verifies, and fio notices nothing', async () => {
  const head = 8 * MiB;
  let name = 'vm';
  await daemon.ok('volume', 'create', 'vm', '--size', '64M');
  await daemon.ok('volume', 'create', 'beside', '--size', '64M');
  await qemuIo('beside', 'write -P 0xbe 0 48M', 'flush');
  const fio = (['crc32c', 'pattern'] as const).map(
    (verify, half) =>
      new FioPasses({
        uri: () => uriOf(name),
        areas: [0, 1].map((part) => ({ offset: head + (2 * half + part) * 12 * MiB, bytes: 12 * MiB })),
        verify,
        scratch,
        rateBytes: 12 * MiB,
      }),
  );
  const start = (): void => fio.forEach((passes) => passes.start());
  const stop = async (): Promise<void> => {
    await Promise.all(fio.map((passes) => passes.stop()));
    expect(fio.map(({ failure }) => failure)).toEqual([null, null]);
  };
  const finished = (): readonly Pass[] => fio.flatMap((passes) => passes.finished);
  /** Runs a verb of the command while the volume is being written. */
  const json = async <T>(...words: readonly string[]): Promise<T> => {
    await writing(name, fio);
    const view = await daemon.json<T>(...words);
    expect(fio.map(({ failure }) => failure)).toEqual([null, null]);
    return view;
  };
  const refused = async (word: string, ...words: readonly string[]): Promise<void> => {
    await writing(name, fio);
    const { code, stdout, stderr } = await daemon.cli(...words);
    expect({ words, code, stdout }).toEqual({ words, code: 4, stdout: '' });
    expect(stderr).toContain(word);
  };
  start();

  await qemuIo(name, `write -P 1 0 ${head}`);
  expect(await json('snapshot', 'create', 'vm@one')).toMatchObject({ kind: 'snapshot', sizeBytes: 64 * MiB });
  const one = await sum('vm@one');
  await qemuIo(name, 'write -P 2 2M 4M');
  await json('snapshot', 'create', 'vm@two');
  const two = await sum('vm@two');
  expect((await json<ResourceView[]>('snapshot', 'list', 'vm')).map((view) => view.name)).toEqual(['vm@one', 'vm@two']);
  const { ranges } = await json<DifferenceView>('snapshot', 'diff', 'vm@one', 'vm@two');
  const inHead = ranges.filter(({ offset }) => offset < head);
  expect(inHead).toEqual([{ offset: 2 * MiB, length: 4 * MiB, kind: 'data' }]);
  await json('snapshot', 'diff', 'vm@one', 'vm@two', '--stream', at('one-to-two'));
  await json('clone', 'vm@one', 'copy');
  expect(await sum('copy')).toBe(one);
  await json('volume', 'apply', 'copy', at('one-to-two'));
  expect(await sum('copy')).toBe(two);
  await json('clone', 'vm', 'now');
  await qemuIo('now', 'read -P 1 0 2M', 'read -P 2 2M 4M', 'read -P 1 6M 2M', 'write -P 9 0 64M');

  // Between two passes of each nobody would be attached.
  const held = await NbdSession.open(await uriOf('vm'));
  await refused('attached', 'volume', 'rollback', 'vm@one');
  await refused('attached', 'volume', 'apply', 'vm', at('one-to-two'));
  await json('volume', 'create', 'lone', '--from', 'beside');
  await refused('attached', 'volume', 'delete', 'vm');
  await held.close();

  await json('volume', 'resize', name, '96M');
  expect(await must('nbdinfo', ['--size', await uriOf(name)])).toBe(`${96 * MiB}\n`);
  await qemuIo(name, 'write -P 3 80M 8M');
  await json('volume', 'resize', name, '64M', '--shrink');
  await json('volume', 'resize', name, '96M');
  await qemuIo(name, 'read -P 0 64M 32M');
  await json('volume', 'set', name, '--label', 'role=db', '--description', 'under fio');
  expect(await json('volume', 'show', name)).toMatchObject({ labels: { role: 'db' }, description: 'under fio' });
  await json('volume', 'limit', name, '--iops', '400', '--bandwidth', '8M', '--burst', '1');
  expect(await json('volume', 'limit', name)).toMatchObject({ limit: { iops: 400, bandwidth: 8 * MiB, burst: 1 } });
  await json('volume', 'limit', name, '--iops', '0', '--bandwidth', '0');

  // A pass that looks for the old name would fail: both begin, are connected, and none begins until the new one is known.
  await stop();
  start();
  await writing(name, fio, 2);
  const stopped = stop();
  await daemon.ok('volume', 'rename', 'vm', 'db');
  name = 'db';
  await stopped;
  start();
  expect(await daemon.cli('volume', 'show', 'vm')).toMatchObject({ code: 3 });

  expect(await json('image', 'export', 'db@one', at('one.raw'))).toMatchObject({ totalBytes: 64 * MiB });
  expect(await sumOfFile(at('one.raw'))).toBe(one);
  await json('image', 'export', 'db', at('live.qcow2'), '--format', 'qcow2');
  await must('qemu-io', ['-r', '-f', 'qcow2', '-c', 'read -P 1 0 2M', '-c', 'read -P 2 2M 4M', at('live.qcow2')]);
  await json('image', 'import', at('one.raw'), 'img');
  await json('image', 'rename', 'img', 'golden');
  await json('clone', 'golden', 'fromgolden');
  expect(await sum('fromgolden')).toBe(one);
  await json('volume', 'set', name, '--compression', 'zstd');
  await json('pool', 'set', 'default', '--compression', 'lz4');
  await qemuIo(name, 'write -P 4 6M 2M');
  await json('pool', 'estimate', at('one.raw'));
  await json('space');

  for (const volume of ['now', 'beside', 'lone', 'fromgolden']) await json('volume', 'delete', volume);
  await json('image', 'delete', 'golden');
  await json('snapshot', 'delete', 'db@two');
  expect(await json('pool', 'gc')).toMatchObject({ state: 'done', damaged: { packs: 0 } });
  await json('pool', 'set', 'default', '--compression', 'none');
  await stop();

  // Nobody writes now, so it is known what is kept.
  const keptOf = fio.map((passes) => passes.finished);
  const kept = finished();
  expect(kept.length).toBeGreaterThan(2);
  await daemon.ok('snapshot', 'create', 'db@quiet');
  await daemon.ok('clone', 'db@quiet', 'quiet');
  const quiet = await sum('db@quiet');
  await verified('db', kept);
  // What an earlier pass wrote would be noticed.
  const patterned = kept.filter(({ verify }) => verify === 'pattern');
  expect(patterned.length).toBeGreaterThan(0);
  for (const pass of patterned) {
    expect(await complaint(await uriOf('db'), { ...pass, seed: pass.seed + 1 }, scratch)).not.toBeNull();
  }

  start();
  await writing(name, fio);
  await stop();
  await verified('db', finished());
  await daemon.ok('volume', 'rollback', 'db@quiet');
  await verified('db', kept);
  fio.forEach((passes, index) => passes.wentBackTo(keptOf[index] ?? []));
  start();
  await writing(name, fio);
  await daemon.kill();
  await Promise.all(fio.map((passes) => passes.kill()));
  await restarted();
  await verified('db', finished());
  await verified('quiet', kept);
  expect([await sum('db@one'), await sum('db@quiet'), await sum('copy')]).toEqual([one, quiet, two]);
  await qemuIo('db', 'read -P 1 0 2M', 'read -P 2 2M 4M', 'read -P 4 6M 2M', 'read -P 0 64M 32M');
  await daemon.ok('volume', 'rollback', 'db@quiet');
  await verified('db', kept);
  await daemon.ok('volume', 'rollback', 'db@one');
  expect(await sum('db')).toBe(one);
  expect(await daemon.json('volume', 'show', 'db')).toMatchObject({ labels: { role: 'db' }, description: 'under fio' });
});

/** A verb that was asked for, of which the daemon may have said nothing before it was killed. */
interface Asked {
  readonly verb: () => Promise<unknown>;
  /** Fails where what is there is neither as if it was done nor, unless it was answered, as if it was not. */
  readonly check: (answered: boolean, found: ReadonlyMap<string, ResourceView>) => Promise<void>;
}

const stamped = 24 * MiB;
/** Written once, before all else: what every snapshot and clone of the volume holds. */
const mark = `-P 0x6d ${stamped} ${4 * MiB}`;
const volumeBytes = 48 * MiB;

/** What verbs are done to, made anew before each round. `v` is the volume that is written meanwhile. */
class Round {
  readonly base: string;
  readonly #key: string;
  /** Where `v` is. */
  volume: string;

  constructor(key: string, volume: string, base: string) {
    this.#key = key;
    this.volume = volume;
    this.base = base;
  }

  names(count: number): string[] {
    return Array.from({ length: count }, (_, index) => `${this.#key}-${index}`);
  }

  async clones(count: number): Promise<string[]> {
    const names = this.names(count);
    for (const name of names) await client.clone({ source: 'base', name });
    return names;
  }
}

/** Snapshots or clones of what is being written: as of a moment of the run, with all that was acknowledged before it. */
const made = (name: string, verb: () => Promise<unknown>): Asked => ({
  verb,
  check: async (answered, found) => {
    if (answered) expect([...found.keys()]).toContain(name);
    if (!found.has(name)) return;
    expect(found.get(name)?.sizeBytes).toBe(volumeBytes);
    await qemuIo(name, `read ${mark}`);
    expect(`${name}: ${await stamper?.ask('look', await uriOf(name))}`).toBe(`${name}: ok`);
  },
});

const kinds: Readonly<Record<string, (round: Round) => Promise<readonly Asked[]>>> = {
  snapshot: async (round) =>
    round.names(3).map((key) => {
      const name = `${round.volume}@${key}`;
      return made(name, () => client.createSnapshot({ name }));
    }),

  clone: async (round) => [
    ...round.names(2).map((name) => made(name, () => client.clone({ source: round.volume, name }))),
    ...round
      .names(4)
      .slice(2)
      .map((name) => ({
        verb: () => client.clone({ source: 'base', name }),
        check: async (answered: boolean, found: ReadonlyMap<string, ResourceView>) => {
          if (answered) expect([...found.keys()]).toContain(name);
          if (found.has(name)) expect(await sum(name)).toBe(round.base);
        },
      })),
  ],

  delete: async (round) =>
    (await round.clones(4)).map((name) => ({
      verb: () => client.deleteVolume(name),
      check: async (answered, found) => {
        if (answered) expect([...found.keys()]).not.toContain(name);
        if (found.has(name)) expect(await sum(name)).toBe(round.base);
      },
    })),

  rename: async (round) =>
    [round.volume, ...(await round.clones(2))].map((name) => {
      const to = name === round.volume ? (name === 'v' ? 'w' : 'v') : `to-${name}`;
      return {
        verb: () => client.renameVolume(name, to),
        check: async (answered, found) => {
          expect([name, to].filter((either) => found.has(either))).toHaveLength(1);
          if (answered) expect([...found.keys()]).toContain(to);
          if (name === round.volume) round.volume = found.has(to) ? to : name;
          else expect(await sum(found.has(to) ? to : name)).toBe(round.base);
        },
      };
    }),

  resize: async (round) => {
    const asked = (name: string, to: number, reads: readonly string[]): Asked => ({
      verb: () => client.resizeVolume(name, { sizeBytes: to, shrink: true }),
      check: async (answered, found) => {
        const now = found.get(name)?.sizeBytes ?? 0;
        expect(answered ? [to] : [volumeBytes, to]).toContain(now);
        if (now === to) await qemuIo(name, ...reads);
        else if (name !== round.volume) expect(await sum(name)).toBe(round.base);
        if (to < volumeBytes && now === to) {
          await client.resizeVolume(name, { sizeBytes: volumeBytes });
          await qemuIo(name, ...reads, `read -P 0 ${to} ${volumeBytes - to}`);
        }
        if (name === round.volume && now === to) await client.resizeVolume(name, { sizeBytes: volumeBytes, shrink: true });
      },
    });
    const grown = [`read ${mark}`, `read -P 0 ${volumeBytes} ${16 * MiB}`];
    const cut = stamped + 2 * MiB;
    const kept = [`read -P 0x6d ${stamped} ${2 * MiB}`];
    const [one = '', two = ''] = await round.clones(2);
    return [asked(round.volume, volumeBytes + 16 * MiB, grown), asked(one, volumeBytes + 16 * MiB, grown), asked(two, cut, kept)];
  },

  rollback: async (round) => {
    const names = await round.clones(3);
    for (const name of names) {
      await client.createSnapshot({ name: `${name}@one` });
      await qemuIo(name, 'write -P 0x77 0 12M', 'write -z 20M 10M', 'write -P 0x78 40M 4k');
    }
    const written = await sum(names[0] ?? '');
    return names.map((name) => ({
      verb: () => client.rollback(`${name}@one`),
      check: async (answered) => {
        const now = await sum(name);
        expect(answered ? [round.base] : [round.base, written]).toContain(now);
        expect(await sum(`${name}@one`)).toBe(round.base);
        // Also where it was not done: it can be, now.
        await client.rollback(`${name}@one`);
        expect(await sum(name)).toBe(round.base);
      },
    }));
  },

  gc: async (round) => {
    const [dying = '', living = ''] = await round.clones(2);
    await must('fio', [
      '--name=garbage',
      '--ioengine=nbd',
      `--uri=${await uriOf(dying)}`,
      '--rw=write',
      '--bs=1M',
      `--size=${volumeBytes}`,
      '--randrepeat=0',
      '--refill_buffers',
      '--loops=2',
      '--minimal',
    ]);
    await client.deleteVolume(dying);
    return [
      {
        verb: async () => {
          await client.collectPool('default');
          await sleep(150);
        },
        check: async () => {
          expect(await sum(living)).toBe(round.base);
          expect(await daemon.json('pool', 'gc')).toMatchObject({ state: 'done', damaged: { packs: 0 } });
          expect(await sum(living)).toBe(round.base);
        },
      },
    ];
  },
};

it('killed in the middle of each verb under fio, the daemon has what was acknowledged, and each verb is done or not done', async () => {
  await client.createVolume({ name: 'v', sizeBytes: volumeBytes });
  await qemuIo('v', `write ${mark}`, 'write -P 0x61 0 12M');
  await client.clone({ source: 'v', name: 'base' });
  const base = await sum('base');
  await qemuIo('v', `write -z 0 ${stamped}`);
  let volume = 'v';
  stamper = new Stamper(await uriOf('v'), stamped, 20_261_122);
  const areas = [0, 1, 2, 3].map((area) => ({ offset: stamped + 4 * MiB + area * 2 * MiB, bytes: 2 * MiB }));
  const fio = new FioPasses({ uri: () => uriOf(volume), areas, verify: 'pattern', scratch, rateBytes: 16 * MiB });
  const counts = { acked: 0, answered: 0, open: 0 };

  for (const [kind, prepare] of Object.entries(kinds)) {
    // Once when the first has been answered, once a moment after all were asked for.
    for (const early of [false, true]) {
      const round = new Round(`${kind}${early ? '-early' : ''}`, volume, base);
      const asked = await prepare(round);
      const begun = fio.count;
      fio.start();
      const stamping = stamper.ask('run');
      // Two passes have ended and the third is under way: the stamper has four connections, fio one.
      while (fio.count < begun + 3 && fio.failure === null) await sleep(10);
      await writing(volume, [fio], 5);
      const answers = asked.map(() => false);
      const verbs = asked.map(async ({ verb }, index) => {
        try {
          await verb();
          answers[index] = true;
        } catch (error) {
          // Only the daemon's death keeps a verb from being done.
          if (!isSkerryError(error, 'unavailable')) throw error;
        }
      });
      if (early) await sleep(4);
      else await Promise.race(verbs);
      await daemon.kill();
      await Promise.all(verbs);
      const [word, acked] = (await stamping).split(' ');
      expect(word).toBe('broken');
      await fio.kill();
      expect(fio.failure).not.toBeNull();
      await restarted();
      const found = new Map([...(await client.volumes()), ...(await client.snapshots())].map((view) => [view.name, view]));
      for (const [index, { check }] of asked.entries()) await check(answers[index] ?? false, found);
      ({ volume } = round);
      expect(await stamper.ask('at', await uriOf(volume))).toBe('ok');
      expect(`${kind}: ${await stamper.ask('check')}`).toBe(`${kind}: ok`);
      await qemuIo(volume, `read ${mark}`);
      expect(fio.finished.length).toBeGreaterThan(1);
      await verified(volume, fio.finished);
      expect(await sum('base')).toBe(base);
      counts.acked += Number(acked);
      counts.answered += answers.filter(Boolean).length;
      counts.open += answers.filter((answered) => !answered).length;
    }
  }
  // Kills that came before or after everything would show nothing.
  expect(counts.acked).toBeGreaterThan(1000);
  expect(counts.answered).toBeGreaterThan(5);
  expect(counts.open).toBeGreaterThan(5);
  await daemon.kill('SIGTERM');
  const { stdout } = await daemon.cli('pool', 'check', '--deep', '--json');
  expect(JSON.parse(stdout)).toMatchObject({ healthy: true, findingsTotal: 0 });
});
