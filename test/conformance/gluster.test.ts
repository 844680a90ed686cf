/** The gluster driver on real servers: the laws, then what happens when bricks stop, die, fill up or are not there. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleepFor } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';

import { glusterDriver } from '../../drivers/gluster/driver.js';
import { isSkerryError, type ErrorCode, type SkerryError } from '../../src/core/errors.js';
import { chunkKey, type ChunkKey, type Driver, type DriverTraits } from '../../src/driver/driver.js';
import { withFault } from '../../src/driver/fault.js';
import { withLimit } from '../../src/driver/limit.js';
import { retryDefaults, withRetry, type RetryOptions } from '../../src/driver/retry.js';
import { alongside } from '../harness/alongside.ts';
import { terminateWorkers } from '../harness/binding_worker.ts';
import { must } from '../harness/command.ts';
import { TcpProxy } from '../harness/tcp_proxy.ts';
import { Service, whyMissing } from '../services/service.ts';
import { pattern } from './laws.js';
import { lawsOn } from './laws_on.js';

const missing = whyMissing('gluster');
/** A volume is mounted through FUSE, which not every kernel or container has. */
const mountMissing = missing ?? (existsSync('/dev/fuse') ? null : 'no /dev/fuse');
const titled = (name: string, reason: string | null): string => (reason === null ? name : `${name} (skipped: ${reason})`);

const traits: DriverTraits = { chunkBytesMax: 1 << 30, inFlightMax: 32, readAfterWrite: true, refusesRewrite: true };
/** Until a brick that died is back, with room for a busy machine. */
const recovery_milliseconds_max = 100_000;
const patient: RetryOptions = { ...retryDefaults, pauseMillisecondsMax: 500, deadlineMilliseconds: recovery_milliseconds_max };
/** What a call may take that is said to end in bounded time: its timeout is 2 s, and the machine may be busy. */
const bounded_milliseconds_max = 60_000;

let places = 0;
const opened: Driver[] = [];
type Settings = Readonly<Record<string, string>>;

/** In a directory of its own unless the settings name one. */
async function openOn(service: Service, settings: Settings = {}): Promise<Driver> {
  places += 1;
  const [host, volume] = [service.value('GLUSTER_HOST'), service.value('GLUSTER_VOLUME')];
  const driver = await glusterDriver.open({ host, volume, directory: `/place/${places}`, ...settings });
  opened.push(driver);
  return driver;
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map((driver) => driver.close()));
});

/** How a call failed; that it did so in bounded time is part of it. */
async function failureOf(call: Promise<unknown>): Promise<SkerryError> {
  const began = performance.now();
  const error: unknown = await call.then(
    () => new Error('it succeeded'),
    (thrown: unknown) => thrown,
  );
  expect(performance.now() - began).toBeLessThan(bounded_milliseconds_max);
  if (!isSkerryError(error)) throw error;
  return error;
}

/** Calls again what may pass, as the retry filter does. */
async function untilItWorks<T>(call: () => Promise<T>): Promise<T> {
  for (const began = performance.now(); ; await sleepFor(200)) {
    try {
      return await call();
    } catch (error) {
      if (!isSkerryError(error) || !error.retry || performance.now() - began > recovery_milliseconds_max) throw error;
    }
  }
}

async function read(driver: Driver, key: ChunkKey, bytes: number): Promise<Uint8Array | null> {
  const into = new Uint8Array(bytes);
  const found = await driver.get(key, 0, into);
  return found === null ? null : into.subarray(0, found);
}

async function keysOf(driver: Driver): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of driver.list('')) keys.push(key);
  return keys.toSorted();
}

const key = (index: number): ChunkKey => chunkKey(`packs/${index}`);

describe.skipIf(missing !== null)(titled('gluster', missing), () => {
  let server: Service;
  beforeAll(async () => {
    server = await Service.start('gluster');
  });
  afterAll(() => server.stop());

  lawsOn('gluster', traits, () => openOn(server));
  lawsOn('retry(limit(gluster))', traits, async () => withRetry(withLimit(await openOn(server))));

  test('a worker thread terminated with calls under way leaves the process alive', async () => {
    await terminateWorkers('gluster', [server.value('GLUSTER_HOST'), server.value('GLUSTER_VOLUME')]);
  });

  describe.skipIf(mountMissing !== null)(titled('mounted', mountMissing), () => {
    const mount = mkdtempSync(join(tmpdir(), 'sk-mount-'));
    beforeAll(async () => {
      const [host, volume] = [server.value('GLUSTER_HOST'), server.value('GLUSTER_VOLUME')];
      await must('glusterfs', [`--volfile-server=${host}`, `--volfile-id=${volume}`, '--log-file=/dev/null', mount]);
    });
    afterAll(async () => {
      await must('umount', ['-l', mount]);
      rmdirSync(mount);
    });

    lawsOn('gluster', { ...traits, directPath: { directory: mount } }, async () => {
      const driver = await openOn(server, { mount });
      expect(driver.traits.directPath?.directory.startsWith(mount)).toBe(true);
      return driver;
    });

    test('a removal that got no further than to the other name is finished by the next', async () => {
      const directory = '/half';
      const driver = await openOn(server, { directory });
      await driver.put(key(1), pattern(10, 1));
      const packs = join(mount, directory, 'packs');
      renameSync(join(packs, '1'), join(packs, '.1.gone'));
      expect(await keysOf(driver)).toEqual([]);
      await driver.remove(key(1));
      expect(readdirSync(packs)).toEqual([]);
    });

    test('what never ended is removed by a listing once it is old, and by none that only reads', async () => {
      const directory = '/old';
      const driver = await openOn(server, { directory });
      await driver.put(key(1), pattern(10, 1));
      const packs = join(mount, directory, 'packs');
      const names = [`.1.${'0'.repeat(32)}`, '.2.gone', '.not-ours'];
      for (const name of names) writeFileSync(join(packs, name), 'x');
      expect(await keysOf(driver)).toEqual([key(1)]);
      expect(readdirSync(packs).toSorted()).toEqual(['1', ...names].toSorted());
      // The clock goes on: no time of change can be set back.
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 2 * 3_600_000 });
      try {
        expect(await keysOf(driver)).toEqual([key(1)]);
      } finally {
        vi.useRealTimers();
      }
      expect(readdirSync(packs).toSorted()).toEqual(['.not-ours', '1']);
    });

    test('a mount of something else is refused', async () => {
      const error = await failureOf(openOn(server, { mount: tmpdir() }));
      expect(error).toMatchObject({ code: 'invalid', message: expect.stringContaining('mount: ') });
    });
  });

  test.each<[string, Settings, ErrorCode, string]>([
    ['an absent volume', { volume: 'absent' }, 'not-found', 'gluster volume info'],
    ['a host where nothing listens', { host: '127.77.254.254' }, 'unavailable', 'glusterd'],
    ['a host that does not exist', { host: 'absent.invalid' }, 'unavailable', 'glusterd'],
    ['a port that is none', { port: '0' }, 'invalid', 'port'],
    ['a volume whose name is a path', { volume: '../vol' }, 'invalid', 'volume'],
    ['a directory that is relative', { directory: 'x' }, 'invalid', 'directory'],
    ['a setting that there is not', { hots: 'x' }, 'invalid', 'hots'],
  ])('%s is refused, and the message says what to look at', async (_, settings, code, message) => {
    expect(await failureOf(openOn(server, settings))).toMatchObject({ code, message: expect.stringContaining(message) });
  });

  test('the second of several hosts serves where the first is away', async () => {
    const driver = await openOn(server, { host: `127.77.254.254,${server.value('GLUSTER_HOST')}` });
    await driver.put(key(1), pattern(10, 1));
  });

  test('a pool opened only to read takes nothing, and is not made', async () => {
    const [host, volume] = [server.value('GLUSTER_HOST'), server.value('GLUSTER_VOLUME')];
    const open = async (directory: string): Promise<Driver> => {
      const driver = await glusterDriver.openToRead?.({ host, volume, directory });
      if (driver === undefined) throw new Error('it cannot be opened so');
      opened.push(driver);
      return driver;
    };
    expect((await failureOf(open('/nowhere'))).retry).toBe(true);
    await (await openOn(server, { directory: '/kept' })).put(key(1), pattern(10, 1));
    const reader = await open('/kept');
    expect(await keysOf(reader)).toEqual([key(1)]);
    expect(await failureOf(reader.put(key(2), pattern(1, 1)))).toMatchObject({ code: 'read-only' });
    expect(await failureOf(reader.remove(key(1)))).toMatchObject({ code: 'read-only' });
  });

  test('while the brick is stopped calls end with timeout, and the driver works again once it goes on', async () => {
    const driver = await openOn(server, { 'timeout-seconds': '2' });
    const data = pattern(3_000_000, 1);
    await driver.put(key(1), data);
    const into = new Uint8Array(data.length);
    await server.whilePaused('brick0', async () => {
      const calls = [
        driver.put(key(2), data),
        driver.get(key(1), 0, into),
        driver.stat(key(3)),
        driver.remove(key(4)),
        keysOf(driver),
      ];
      // The library itself gives a brick up after five seconds.
      for (const { code } of await Promise.all(calls.map(failureOf))) expect(['timeout', 'unavailable']).toContain(code);
    });
    into.fill(7);
    // The put may have been carried out in part, or whole, after its answer was due.
    await untilItWorks(() => driver.put(key(2), data));
    expect(await untilItWorks(() => read(driver, key(2), data.length))).toEqual(data);
    expect(await untilItWorks(() => keysOf(driver))).toEqual([key(1), key(2)]);
    // What the get that was given up on still read went into no buffer of ours.
    expect(into.every((byte) => byte === 7)).toBe(true);
  });

  test('a brick that is killed and comes back costs no call that is tried again, and no chunk', async () => {
    const driver = withRetry(withLimit(await openOn(server, { 'timeout-seconds': '5' })), patient);
    let [next, written] = [0, 0];
    const writer = async (over: () => boolean): Promise<void> => {
      while (!over()) {
        const index = next++;
        await driver.put(key(index), pattern(20_000 + index, index));
        expect(await read(driver, key(index), 21_000)).toEqual(pattern(20_000 + index, index).subarray(0, 21_000));
        written += 1;
        await sleepFor(5);
      }
    };
    await alongside(
      (both) => Promise.all(Array.from({ length: 6 }, () => writer(() => both.over))),
      async (both) => {
        await both.reached(() => written > 12);
        await server.signal('brick0', 'SIGKILL');
        await sleepFor(500);
        await server.run('brick-restart');
        await driver.put(chunkKey('back'), pattern(1, 1));
        const back = written;
        await both.reached(() => written > back + 12);
      },
    );
    for (let index = 0; index < next; index += 1)
      expect(await read(driver, key(index), 30_000)).toEqual(pattern(20_000 + index, index));
    expect(await keysOf(driver)).toHaveLength(next + 1);
  });

  test.for([
    ['slow costs time', 20_000, null],
    ['cut costs an opening at most', null, 200],
  ] as const)('a way to glusterd that is %s', async ([, bytesPerSecond, cutAfter]) => {
    const proxy = await TcpProxy.start(`http://${server.value('GLUSTER_HOST')}:${server.value('GLUSTER_PORT')}`);
    onTestFinished(() => proxy.stop());
    proxy.bytesPerSecond = bytesPerSecond;
    if (cutAfter !== null) proxy.cutOnce('down', cutAfter);
    const driver = await untilItWorks(() => openOn(server, { host: '127.0.0.1', port: String(proxy.port) }));
    expect(proxy.isFair).toBe(true);
    await driver.put(key(1), pattern(1000, 1));
    expect(await read(driver, key(1), 1000)).toEqual(pattern(1000, 1));
  });

  test('a put or remove whose answer was lost is repeated with success', async () => {
    const faulty = withFault(await openOn(server), { seed: 1, rules: [{ fault: 'after', code: 'timeout', times: 2 }] });
    const driver = withRetry(faulty, patient);
    await driver.put(key(1), pattern(5000, 1));
    expect(faulty.struck).toBe(2);
    faulty.inject({ verb: 'remove', fault: 'after', code: 'unavailable', times: 1 });
    await driver.remove(key(1));
    expect(faulty.struck).toBe(3);
    expect(await driver.stat(key(1))).toBeNull();
  });

  test('a brick that is slow costs time and no call', async () => {
    const driver = await openOn(server, { 'timeout-seconds': '10' });
    const data = pattern(2_000_000, 5);
    await alongside(
      async (both) => {
        for (; !both.over; await sleepFor(30)) await server.whilePaused('brick0', () => sleepFor(300));
      },
      async () => {
        await Promise.all(Array.from({ length: 10 }, (_, index) => driver.put(key(index), data)));
        for (let index = 0; index < 10; index += 1) expect(await read(driver, key(index), data.length)).toEqual(data);
      },
    );
  });

  test('a volume whose options are changed under load goes on', async () => {
    const driver = withRetry(withLimit(await openOn(server)), patient);
    let count = 0;
    await alongside(
      async (both) => {
        for (; !both.over; count += 1) {
          await driver.put(key(count), pattern(1_500_000, count));
          expect(await read(driver, key(count), 1_500_000)).toEqual(pattern(1_500_000, count));
        }
      },
      async (both) => {
        for (const value of ['off', 'on']) {
          await server.run('cli', 'volume', 'set', server.value('GLUSTER_VOLUME'), 'performance.write-behind', value);
          const then = count;
          await both.reached(() => count > then + 3);
        }
      },
    );
    expect(await keysOf(driver)).toHaveLength(count);
  });

  test('many calls at once keep to their threads and memory', async () => {
    const driver = withLimit(await openOn(server));
    const status = (field: string): number =>
      Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
    await driver.put(key(0), pattern(10, 1));
    const [threads, kibibytes] = [status('Threads'), status('VmRSS')];
    const data = pattern(4_000_000, 3);
    const seen = { threads: 0, kibibytes: 0 };
    const watching = setInterval(() => {
      seen.threads = Math.max(seen.threads, status('Threads'));
      seen.kibibytes = Math.max(seen.kibibytes, status('VmRSS'));
    }, 5);
    await Promise.all(Array.from({ length: 100 }, (_, index) => driver.put(key(index + 1), data)));
    await Promise.all(Array.from({ length: 500 }, (_, index) => driver.get(key((index % 100) + 1), 0, new Uint8Array(5000))));
    clearInterval(watching);
    // 400 MB went by. The library itself starts up to sixteen threads for calls that come back.
    expect(seen.threads - threads).toBeLessThanOrEqual(8 + 16 + 4);
    expect(seen.kibibytes - kibibytes).toBeLessThan(300_000);
  });
});

describe.skipIf(missing !== null)(titled('gluster, on other volumes', missing), () => {
  let small: Service;
  beforeAll(async () => {
    small = await Service.start('gluster', { GLUSTER_LOOP: 'ext4', GLUSTER_SIZE: '64M', GLUSTER_REPLICA: '2' });
  });
  afterAll(() => small.stop());

  test('a full volume refuses with no-space, reads go on, and removing makes room', async () => {
    const driver = await openOn(small);
    const data = pattern(4_000_000, 1);
    const kept: ChunkKey[] = [];
    const fill = async (): Promise<never> => {
      for (;;) {
        await driver.put(key(kept.length), data);
        kept.push(key(kept.length));
      }
    };
    expect(await fill().catch((error: unknown) => error)).toMatchObject({ code: 'no-space' });
    expect(kept.length).toBeGreaterThan(4);
    expect(await keysOf(driver)).toEqual(kept.toSorted());
    expect(await read(driver, key(0), data.length)).toEqual(data);
    expect(await failureOf(driver.put(chunkKey('other'), data))).toMatchObject({ code: 'no-space' });
    await driver.remove(key(0));
    await driver.remove(key(1));
    // Bricks hold what was removed open for a while, and its room with it.
    const put = (): Promise<string> => driver.put(chunkKey('other'), data).then(() => 'put', String);
    await expect.poll(put, { timeout: 60_000, interval: 500 }).toBe('put');
    expect(await read(driver, chunkKey('other'), data.length)).toEqual(data);
    for (const one of await keysOf(driver)) await driver.remove(chunkKey(one));
  });

  test('a replica goes on while one of its bricks is dead', async () => {
    const driver = withRetry(await openOn(small), patient);
    await driver.put(key(1), pattern(1000, 1));
    await small.signal('brick0', 'SIGKILL');
    await driver.put(key(2), pattern(1000, 2));
    expect(await read(driver, key(1), 1000)).toEqual(pattern(1000, 1));
    expect(await driver.stat(chunkKey('absent'))).toBeNull();
    await small.run('brick-restart');
    await driver.remove(key(1));
    expect(await keysOf(driver)).toEqual([key(2)]);
  });

  test('chunks on a part of a distributed volume that is away are unavailable, not absent', async () => {
    // Its name sorts behind that of the other, and so do its bricks: they are the third and the fourth.
    const volume = 'wide';
    const folder = dirname(small.value('GLUSTER_LOGS'));
    const bricks = ['wide0', 'wide1'].map((name) => `${small.value('GLUSTER_HOST')}:${join(folder, name)}`);
    await small.run('cli', 'volume', 'create', volume, ...bricks, 'force');
    // Else a disk of the host that is rather full has all chunks on one brick.
    await small.run('cli', 'volume', 'set', volume, 'cluster.min-free-disk', '1MB');
    await small.run('cli', 'volume', 'start', volume);
    const driver = await untilItWorks(() => openOn(small, { volume }));
    await untilItWorks(() => keysOf(driver));
    const keys = Array.from({ length: 12 }, (_, index) => key(index));
    for (const one of keys) await untilItWorks(() => driver.put(one, pattern(100, 1)));
    await small.signal('brick3', 'SIGKILL');
    await expect.poll(() => keysOf(driver).catch((error: unknown) => (error as SkerryError).code)).toBe('unavailable');
    const look = async (): Promise<unknown[]> => {
      const found = await Promise.all(keys.map((one) => driver.stat(one).catch((error: unknown) => (error as SkerryError).code)));
      expect(found).not.toContain(null);
      return found;
    };
    // For a second after the puts the library answers of its own memory (performance.md-cache-timeout).
    await expect.poll(look, { timeout: recovery_milliseconds_max }).toContain('unavailable');
    expect(await failureOf(keysOf(driver))).toMatchObject({ code: 'unavailable' });
    expect(await failureOf(driver.get(chunkKey('absent'), 0, new Uint8Array(1)))).toMatchObject({ code: 'unavailable' });
    // Glusterd takes its time to notice that the brick died, and may be busy with the volume meanwhile.
    await vi.waitFor(
      async () => {
        await small.run('cli', 'volume', 'start', volume, 'force');
        expect(await keysOf(driver)).toEqual(keys.toSorted());
      },
      { timeout: recovery_milliseconds_max, interval: 500 },
    );
    expect(await driver.stat(chunkKey('absent'))).toBeNull();
  });

  test('a volume that is not started, or refuses this host, says what to look at in bounded time', async () => {
    const volume = 'zone';
    const settings = { volume };
    const brick = `${small.value('GLUSTER_HOST')}:${join(dirname(small.value('GLUSTER_LOGS')), volume)}`;
    await small.run('cli', 'volume', 'create', volume, brick, 'force');
    expect(await failureOf(openOn(small, settings))).toMatchObject({
      code: 'io',
      message: expect.stringContaining('is started'),
    });
    await small.run('cli', 'volume', 'set', volume, 'auth.reject', '*');
    await small.run('cli', 'volume', 'start', volume);
    // The library never ends its attempt, whatever the volume allows later: the next must be another one.
    const refused = await failureOf(openOn(small, { volume, 'timeout-seconds': '2' }));
    expect(refused).toMatchObject({ code: 'timeout', message: expect.stringContaining('auth.reject') });
    // A brick that runs does not notice that the option is reset.
    await small.run('cli', 'volume', 'set', volume, 'auth.reject', '192.0.2.1');
    const driver = await untilItWorks(() => openOn(small, settings));
    expect(await driver.stat(key(1))).toBeNull();
  });

  test('a glusterd that does not answer ends an opening with timeout, and the next once it does succeeds', async () => {
    const settings = { host: `${small.value('GLUSTER_HOST')},127.77.254.254` };
    await small.whilePaused('glusterd', async () => {
      expect(await failureOf(openOn(small, { ...settings, 'timeout-seconds': '2' }))).toMatchObject({ code: 'timeout' });
    });
    const driver = await untilItWorks(() => openOn(small, settings));
    expect(await driver.stat(key(1))).toBeNull();
  });
});
