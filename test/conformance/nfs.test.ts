import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';

import { newConnection, type Connection } from '../../drivers/nfs/connection.js';
import { nfsDriver } from '../../drivers/nfs/driver.js';
import { exportTraits } from '../../drivers/nfs/export_driver.js';
import { MountedExport } from '../../drivers/nfs/mounted_export.js';
import { isSkerryError, type ErrorCode } from '../../src/core/errors.js';
import { chunkKey, type ChunkKey, type Driver } from '../../src/driver/driver.js';
import { withLimit } from '../../src/driver/limit.js';
import { retryDefaults, withRetry, type RetryOptions } from '../../src/driver/retry.js';
import { alongside } from '../harness/alongside.ts';
import { terminateWorkers } from '../harness/binding_worker.ts';
import { TcpProxy } from '../harness/tcp_proxy.ts';
import { Service, whyMissing } from '../services/service.ts';
import { lawsOn } from './laws_on.js';

const MiB = 1 << 20;
/** Long enough for a server to be started again. */
const patient: RetryOptions = { ...retryDefaults, pauseMillisecondsMax: 500, deadlineMilliseconds: 100_000 };
const missing = whyMissing('nfs');

describe.skipIf(missing !== null)(`the nfs driver on a real server${missing === null ? '' : `: ${missing}`}`, () => {
  let service: Service;
  const opened: Driver[] = [];
  beforeAll(async () => {
    service = await Service.start('nfs');
  });
  afterEach(async () => {
    for (const driver of opened.splice(0)) await driver.close();
  });
  afterAll(async () => {
    await service?.stop();
  });

  /** A new directory on the server. */
  const place = async (of = service): Promise<string> => mkdtemp(join(of.value('NFS_EXPORT_DIR'), 'pool-'));
  const urlOf = (directory: string, parameters: Readonly<Record<string, string | number>> = {}, of = service): string => {
    const url = new URL(of.value('NFS_URL_V3'));
    url.pathname = `/export/${basename(directory)}`;
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, String(value));
    return url.href;
  };
  const openAt = async (url: string, timeoutSeconds = 30): Promise<Driver> => {
    const driver = await nfsDriver.open({ url, 'timeout-seconds': String(timeoutSeconds) });
    opened.push(driver);
    return driver;
  };
  const open = async (timeoutSeconds?: number): Promise<Driver> => openAt(urlOf(await place()), timeoutSeconds);
  const throughProxy = async (timeoutSeconds?: number): Promise<{ driver: Driver; proxy: TcpProxy }> => {
    const proxy = await TcpProxy.start(`http://127.0.0.1:${service.value('NFS_PORT')}`);
    onTestFinished(() => proxy.stop());
    return { driver: await openAt(urlOf(await place(), { nfsport: proxy.port }), timeoutSeconds), proxy };
  };

  lawsOn('nfs', exportTraits, open);

  test('a worker thread terminated with calls under way leaves the process alive', async () => {
    const [host, port] = [service.value('NFS_HOST'), service.value('NFS_PORT')];
    await terminateWorkers('nfs', [host, service.value('NFS_MOUNT_PORT'), port, service.value('NFS_PATH')]);
  });
  lawsOn('retry(limit(nfs))', exportTraits, async () => withRetry(withLimit(await open())));

  describe('a server that fails', () => {
    test('a server that is silent is a timeout, and works again by itself', async () => {
      const driver = await open(1);
      await driver.put(key('before'), bytes(10));
      await service.whilePaused('ganesha', async () => {
        const began = performance.now();
        const calls = [
          driver.put(key('during'), bytes(3 * MiB)),
          driver.get(key('before'), 0, new Uint8Array(10)),
          driver.stat(key('before')),
          driver.remove(key('never')),
          keysOf(driver),
        ];
        for (const code of await Promise.all(calls.map(codeOf))) expect(['timeout', 'unavailable']).toContain(code);
        // Also the mounting that is needed now.
        expect(await codeOf(driver.stat(key('before')))).toBe('timeout');
        expect(performance.now() - began).toBeLessThan(60_000);
      });
      // The same driver, that may need more than its second while the server sorts out what it was asked meanwhile.
      const again = withRetry(driver, patient);
      await holds(again, key('before'), bytes(10));
      await again.put(key('during'), bytes(3 * MiB));
      await holds(again, key('during'), bytes(3 * MiB));
    });

    test('a call waits for a server that pauses for less than the timeout', async () => {
      const driver = await open(30);
      const outcome = await service.whilePaused('ganesha', async () => {
        const state = { settled: false };
        const putting = codeOf(driver.put(key('patient'), bytes(MiB))).finally(() => {
          state.settled = true;
        });
        await seconds(1);
        expect(state.settled).toBe(false);
        return { putting };
      });
      expect(await outcome.putting).toBeNull();
      await holds(driver, key('patient'), bytes(MiB));
    });

    test('closing while the server is silent ends in bounded time', async () => {
      const driver = await open(1);
      await service.whilePaused('ganesha', async () => {
        const putting = codeOf(driver.put(key('a'), bytes(MiB)));
        await driver.close();
        expect(await putting).toBe('timeout');
      });
    });

    test('no put fails, and none is lost, when the server is killed under load and started again', async () => {
      const direct = await open(10);
      let repeated = 0;
      const onRetry = (): void => {
        repeated += 1;
      };
      const driver = withRetry(withLimit(direct), { ...patient, onRetry });
      const written = new Map<ChunkKey, Uint8Array>();
      const load = async (name: string, over: () => boolean): Promise<void> => {
        for (let index = 0; !over(); index += 1) {
          const one = key(`${name}/${index}`);
          const data = randomBytes(MiB + index);
          await driver.put(one, data);
          written.set(one, data);
          if (index % 5 === 4) await driver.stat(one);
        }
      };
      await alongside(
        (both) => Promise.all(['a', 'b', 'c', 'd'].map((name) => load(name, () => both.over))),
        async (both) => {
          for (let round = 0; round < 2; round += 1) {
            const before = written.size;
            await both.reached(() => written.size >= before + 20);
            await service.signal('ganesha', 'SIGKILL');
            // While nobody listens, calls fail at once with what the retry filter repeats.
            expect(await codeOf(direct.stat(key('a/0')))).toBe('unavailable');
            await service.run('restart');
          }
          const before = written.size;
          await both.reached(() => written.size >= before + 20);
        },
      );
      expect(repeated).toBeGreaterThan(4);
      for (const [one, data] of written) await holds(driver, one, data);
      expect((await keysOf(driver)).toSorted()).toEqual([...written.keys()].toSorted());
    });

    test('each start of the server has another verifier, by which a lost write is noticed', async () => {
      const directory = await place();
      const user = { uid: 0, gid: 0 };
      const mounting = newConnection(user, 10_000);
      await mounting.connect('127.0.0.1', Number(service.value('NFS_MOUNT_PORT')), 100_005);
      const root = await mounting.mount(`/export/${basename(directory)}`);
      mounting.close();
      const connect = async (): Promise<Connection> => {
        const connection = newConnection(user, 10_000);
        await connection.connect('127.0.0.1', Number(service.value('NFS_PORT')), 100_003);
        return connection;
      };
      const first = await connect();
      await first.create(root, 'file');
      const { handle } = await first.lookup(root, 'file');
      const { stable, verifier } = await first.write(handle, 0, bytes(1000));
      expect(stable).toBe(false);
      expect(await first.commit(handle)).toBe(verifier);
      await service.signal('ganesha', 'SIGKILL');
      // Ganesha's is the second in which it started.
      await seconds(1.1);
      await service.run('restart');
      const second = await connect();
      expect(await second.commit(handle)).not.toBe(verifier);
      // The two servers in one: what was written to the first is committed by the second.
      const failedOver = new Proxy(second, {
        get: (target, name: keyof Connection) =>
          name === 'write'
            ? async (...words: Parameters<Connection['write']>) => ({ ...(await target.write(...words)), verifier })
            : target[name].bind(target),
      });
      const limits = { readBytesMax: 4096, writeBytesMax: 4096 };
      expect(await codeOf(new MountedExport(failedOver, root, limits).write('.incoming/x', bytes(10_000)))).toBe('io');
      await new MountedExport(second, root, limits).write('.incoming/y', bytes(10_000));
      for (const connection of [first, second]) connection.close();
    });

    test('what is gone or made anew on the server is looked up anew', async () => {
      const attentive = await Service.start('nfs', { NFS_ATTR_SECONDS: '0' });
      onTestFinished(() => attentive.stop());
      const directory = await place(attentive);
      const driver = await openAt(urlOf(directory, {}, attentive));
      await driver.put(key('packs/a'), bytes(10));
      await rm(join(directory, 'packs'), { recursive: true });
      expect(await driver.get(key('packs/a'), 0, new Uint8Array(1))).toBeNull();
      await driver.put(key('packs/a'), bytes(20));
      await holds(driver, key('packs/a'), bytes(20));
    });
  });

  describe('a way that fails', () => {
    /** How a call of this procedure looks on the wire: program 100003, version 3. */
    const procedure = (number: number): RegExp =>
      new RegExp(`\\x00\\x01\\x86\\xa3\\x00\\x00\\x00\\x03\\x00\\x00\\x00${String.fromCodePoint(number)}`);
    const [removal, renaming] = [procedure(12), procedure(14)];

    test('a put whose last answer was lost is unavailable, and is repeated with success', async () => {
      const { driver, proxy } = await throughProxy();
      proxy.loseAnswerTo(renaming);
      expect(await codeOf(driver.put(key('lost'), bytes(MiB)))).toBe('unavailable');
      expect(proxy.isFair).toBe(true);
      await holds(driver, key('lost'), bytes(MiB));
      await driver.put(key('lost'), bytes(MiB));

      proxy.loseAnswerTo(renaming);
      await withRetry(driver, patient).put(key('again'), bytes(MiB));
      expect(proxy.isFair).toBe(true);
      await holds(driver, key('again'), bytes(MiB));
    });

    test('a removal whose answer was lost is repeated with success', async () => {
      const { driver, proxy } = await throughProxy();
      await driver.put(key('x'), bytes(10));
      proxy.loseAnswerTo(removal);
      await withRetry(driver, patient).remove(key('x'));
      expect(proxy.isFair).toBe(true);
      expect(await driver.stat(key('x'))).toBeNull();
    });

    test('a put that is cut leaves no chunk, a get that is cut gives none', async () => {
      const { driver, proxy } = await throughProxy();
      proxy.cutOnce('up', 2 * MiB);
      expect(await codeOf(driver.put(key('cut'), bytes(4 * MiB)))).toBe('unavailable');
      expect(await driver.stat(key('cut'))).toBeNull();
      expect(await keysOf(driver)).toEqual([]);
      await driver.put(key('cut'), bytes(4 * MiB));
      proxy.cutOnce('down', MiB + 5000);
      expect(await codeOf(driver.get(key('cut'), 0, new Uint8Array(4 * MiB)))).toBe('unavailable');
      await holds(driver, key('cut'), bytes(4 * MiB));
    });

    test('a slow way makes calls slow, and no call fails', async () => {
      const { driver, proxy } = await throughProxy(5);
      proxy.bytesPerSecond = 3 * MiB;
      await Promise.all(['a', 'b', 'c'].map((name) => driver.put(key(name), bytes(MiB))));
      for (const name of ['a', 'b', 'c']) await holds(driver, key(name), bytes(MiB));
    });
  });

  describe('a place that is full', () => {
    test('is no-space, can be read and opened, and takes chunks again once some were removed', async () => {
      const full = await Service.start('nfs', { NFS_LOOP: 'ext4', NFS_SIZE: '48M' });
      onTestFinished(() => full.stop());
      const directory = await place(full);
      const driver = await openAt(urlOf(directory, {}, full));
      let count = 0;
      let code: ErrorCode | null = null;
      for (; code === null; count += 1) code = await codeOf(driver.put(key(`${count}`), bytes(4 * MiB)));
      expect(code).toBe('no-space');
      expect(count).toBeGreaterThan(5);
      // What was written of it is given back.
      expect(await readdir(join(directory, '.incoming'))).toEqual([]);
      expect(await codeOf(driver.put(key('more'), bytes(4 * MiB)))).toBe('no-space');
      await holds(driver, key('0'), bytes(4 * MiB));
      await holds(await openAt(urlOf(directory, {}, full)), key('1'), bytes(4 * MiB));
      for (const name of ['0', '1']) await driver.remove(key(name));
      await driver.put(key('more'), bytes(4 * MiB));
      await holds(driver, key('more'), bytes(4 * MiB));
    });
  });

  describe('what is set wrongly', () => {
    const refusal = async (settings: Readonly<Record<string, string>>): Promise<string> => {
      const began = performance.now();
      try {
        opened.push(await nfsDriver.open({ 'timeout-seconds': '1', ...settings }));
        return 'it was opened';
      } catch (error) {
        if (!isSkerryError(error)) throw error;
        expect(performance.now() - began).toBeLessThan(60_000);
        return `${error.code}: ${error.message}`;
      }
    };

    test('a directory that is not there, or not exported, is not found or denied', async () => {
      // Which of the two, servers differ.
      expect(await refusal({ url: urlOf('absent') })).toMatch(
        /^(?:not-found|denied): 127\.0\.0\.1 does not let this host mount \/export\/absent/,
      );
      const elsewhere = urlOf('').replace('/export/', '/elsewhere');
      expect(await refusal({ url: elsewhere })).toMatch(/^(?:not-found|denied): .*mount \/elsewhere \(is that a directory there/);
    });

    test('a user without the right to write is denied', async () => {
      const directory = await place();
      await chmod(directory, 0o755);
      expect(await refusal({ url: urlOf(directory, { uid: 12_345, gid: 12_345 }) })).toMatch(
        /^denied: uid 12345, gid 12345 cannot write in \/export\/pool-/,
      );
    });

    test('a server that is not there is unavailable, one that never answers a timeout', async () => {
      expect(await refusal({ url: urlOf(await place(), { nfsport: 1 }) })).toMatch(
        /^unavailable: the nfs service of 127\.0\.0\.1, port 1, cannot be reached \(is the server up/,
      );
      expect(await refusal({ url: urlOf(await place(), { mountport: 1 }) })).toMatch(/^unavailable: the mount service/);
      expect(await refusal({ url: 'nfs://no-such-host.invalid/export' })).toMatch(/^unavailable: host no-such-host\.invalid/);
      const silent = createServer((socket) => socket.on('error', () => undefined));
      await new Promise<void>((resolve) => {
        silent.listen(0, '127.0.0.1', resolve);
      });
      onTestFinished(() => void silent.close());
      const { port } = silent.address() as AddressInfo;
      expect(await refusal({ url: urlOf(await place(), { nfsport: port }) })).toMatch(/^timeout: the nfs service/);
    });
  });

  test('many calls at once take one connection, and neither threads nor memory without limit', async () => {
    const { driver: direct, proxy } = await throughProxy();
    const driver = withLimit(direct);
    await driver.put(key('large'), bytes(MiB));
    const [threads, memory] = [threadCount(), process.memoryUsage().rss];
    await Promise.all(Array.from({ length: 500 }, (_, index) => driver.put(key(`many/${index}`), bytes(100 + index))));
    let read = 0;
    await Promise.all(
      Array.from({ length: 500 }, async () => {
        const bytesRead = await driver.get(key('large'), 0, new Uint8Array(4096));
        read += bytesRead ?? 0;
        const found = await driver.stat(key('large'));
        expect(found?.bytes).toBe(MiB);
      }),
    );
    expect(read).toBe(500 * 4096);
    expect((await keysOf(driver)).length).toBe(501);
    expect(threadCount()).toBeLessThanOrEqual(threads + 4);
    expect(process.memoryUsage().rss - memory).toBeLessThan(256 * MiB);
    expect(proxy.connectionsMax).toBe(1);
  });

  test('what puts left behind is removed when the driver is opened, once it is old', async () => {
    const directory = await place();
    await mkdir(join(directory, '.incoming'));
    for (const name of ['old', 'new']) await writeFile(join(directory, '.incoming', name), 'x');
    await utimes(join(directory, '.incoming', 'old'), 1, Date.now() / 1000 - 4000);
    await openAt(urlOf(directory));
    expect(await readdir(join(directory, '.incoming'))).toEqual(['new']);
  });

  test('opened only to be read it changes nothing', async () => {
    const directory = await place();
    await writeFile(join(directory, 'x'), bytes(100));
    const driver = await nfsDriver.openToRead?.({ url: urlOf(directory) });
    if (driver === undefined) throw new Error('it cannot be opened to read');
    opened.push(driver);
    await holds(driver, key('x'), bytes(100));
    expect(await codeOf(driver.put(key('y'), bytes(1)))).toBe('read-only');
    expect(await codeOf(driver.remove(key('x')))).toBe('read-only');
    expect(await readdir(directory)).toEqual(['x']);
  });
});

describe('the nfs driver in a directory of a mounted export', async () => {
  const directories: string[] = [];
  const open = async (): Promise<Driver> => {
    directories.push(mkdtempSync(join(tmpdir(), 'skerry-nfs-')));
    return nfsDriver.open({ path: directories.at(-1) ?? '' });
  };
  afterAll(() => {
    for (const directory of directories) rmSync(directory, { recursive: true });
  });
  const sample = await open();
  await sample.close();
  expect(sample.traits.directPath).toEqual({ directory: directories[0] });
  lawsOn('nfs by a path', sample.traits, open);

  test('a directory that is not there is not made: it may be that nothing is mounted', async () => {
    const absent = join(tmpdir(), 'skerry-nfs-absent');
    await expect(nfsDriver.open({ path: absent })).rejects.toMatchObject({ code: 'not-found', message: /is the export mounted/ });
    await expect(nfsDriver.openToRead?.({ path: absent })).rejects.toMatchObject({ code: 'not-found' });
  });
});

describe('settings of the nfs driver', () => {
  test.each([
    [{}, /driver nfs: settings: either url, as nfs:.*, or path/],
    [{ url: 'nfs://h/e', path: '/mnt' }, /settings: either url, as nfs:.*, or path/],
    [{ path: 'mnt' }, /path: must be an absolute path/],
    [{ url: '127.0.0.1:/export' }, /url: must be like nfs:\/\/host\/export/],
    [{ url: 'nfs://h' }, /url: must be like/],
    [{ url: 'nfs://h:2049/e' }, /url: a port goes into nfsport=/],
    [{ url: 'nfs://h/e?version=4' }, /url: version: only 3 is spoken/],
    [{ url: 'nfs://h/e?nfsport=99999' }, /url: nfsport: /],
    [{ url: 'nfs://h/e?uid=' }, /url: uid: must be a number/],
    [{ url: 'nfs://h/%zz' }, /url: must be like/],
    [{ url: 'nfs://h/e?readahead=1' }, /url: .*readahead/],
    [{ url: 'nfs://h/e', 'timeout-seconds': '0' }, /timeout-seconds: /],
    [{ url: 'nfs://h/e', 'timeout-seconds': 'soon' }, /timeout-seconds: /],
    [{ url: 'nfs://h/e', user: 'me' }, /settings: .*user/],
  ] as readonly (readonly [Record<string, string>, RegExp])[])('%j is refused with a reason', async (settings, message) => {
    await expect(nfsDriver.open(settings)).rejects.toMatchObject({ code: 'invalid', message });
  });
});

const key = chunkKey;

/** The same for the same length, without a short period. */
function bytes(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8) * 7 + length) & 0xff);
}

async function holds(driver: Driver, one: ChunkKey, data: Uint8Array): Promise<void> {
  const into = new Uint8Array(data.length + 1);
  expect(await driver.get(one, 0, into)).toBe(data.length);
  expect(Buffer.compare(into.subarray(0, data.length), data)).toBe(0);
}

async function keysOf(driver: Driver): Promise<ChunkKey[]> {
  const keys: ChunkKey[] = [];
  for await (const stat of driver.list('')) keys.push(stat.key);
  return keys;
}

/** null where it succeeded. */
async function codeOf(call: Promise<unknown>): Promise<ErrorCode | null> {
  try {
    await call;
    return null;
  } catch (error) {
    if (isSkerryError(error)) return error.code;
    throw error;
  }
}

function threadCount(): number {
  return readdirSync('/proc/self/task').length;
}

async function seconds(count: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, count * 1000));
}
