import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleepFor } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { radosDriver, radosTraits } from '../../drivers/rados/driver.js';
import { isSkerryError, type SkerryError } from '../../src/core/errors.js';
import { chunkKey, type ChunkKey, type Driver } from '../../src/driver/driver.js';
import { withLimit } from '../../src/driver/limit.js';
import { retryDefaults, withRetry } from '../../src/driver/retry.js';
import { alongside } from '../harness/alongside.ts';
import { terminateWorkers } from '../harness/binding_worker.ts';
import { must } from '../harness/command.ts';
import { Service, whyMissing } from '../services/service.ts';
import { pattern } from './laws.js';
import { lawsOn } from './laws_on.js';

const missing = whyMissing('ceph');
/** Generous: what is shown is that a call ends at all. */
const bounded_milliseconds = 60_000;
/** An OSD that comes back makes its clients wait for a while, and the machine may be busy. */
const patient = { ...retryDefaults, pauseMillisecondsMax: 500, deadlineMilliseconds: 120_000 };
const key = chunkKey('packs/0000000000000001.pack');

describe.skipIf(missing !== null)(`rados, on a cluster of its own${missing === null ? '' : `: skipped, ${missing}`}`, () => {
  let ceph: Service;
  let folder: string;
  let opened = 0;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'skerry-rados-'));
    // Placement groups of an OSD that is paused for eight tenths of this stay laggy after it has gone on, as there is no other
    // to take over; and it waits for as long before it serves after it was killed.
    ceph = await Service.start('ceph', { CEPH_OSD_OPTS: 'osd heartbeat grace = 10' });
    await cli('config', 'set', 'mgr', 'mgr_stats_period', '1');
  });
  afterAll(async () => {
    await ceph?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const cli = (...words: readonly string[]): Promise<string> =>
    must('ceph', ['-c', ceph.value('CEPH_CONF'), ...words], { timeoutSeconds: 30 });
  /** In a namespace of its own, so that it is empty. */
  const open = (settings: Readonly<Record<string, string>> = {}): Promise<Driver> => {
    opened += 1;
    const defaults = { conf: ceph.value('CEPH_CONF'), pool: ceph.value('CEPH_POOL'), namespace: `place-${opened}` };
    return radosDriver.open({ ...defaults, ...settings });
  };
  /** Closed whatever comes. */
  const using = async (settings: Readonly<Record<string, string>>, work: (driver: Driver) => Promise<void>): Promise<void> => {
    const driver = await open(settings);
    try {
      await work(driver);
    } finally {
      await driver.close();
    }
  };
  const whilePaused = (work: () => Promise<void>): Promise<void> => ceph.whilePaused('osd0', work);

  lawsOn('rados', radosTraits, open);
  lawsOn('retry(limit(rados))', radosTraits, async () => withRetry(withLimit(await open())));

  describe('what is in a pool', () => {
    test('is seen in its namespace alone', async () => {
      await using({ namespace: 'one' }, async (one) => {
        await one.put(key, pattern(100, 1));
        await using({ namespace: 'two' }, async (two) => {
          expect(await two.stat(key)).toBeNull();
          expect(await keysOf(two)).toEqual([]);
        });
      });
    });

    test('is listed in more than one batch, each chunk once', async () => {
      await using({}, async (driver) => {
        const limited = withLimit(driver);
        const keys = Array.from({ length: 2500 }, (_, index) => chunkKey(`many/${index}`));
        await Promise.all(keys.map((one) => limited.put(one, pattern(3, 1))));
        expect((await keysOf(driver)).toSorted()).toEqual(keys.toSorted());
        expect((await keysOf(driver, 'many/24')).toSorted()).toEqual(keys.filter((one) => one.startsWith('many/24')).toSorted());
      });
    });

    test('is not listed where its name is no key', async () => {
      await using({ namespace: 'shared' }, async (driver) => {
        await driver.put(key, pattern(100, 1));
        const rados = ['-c', ceph.value('CEPH_CONF'), '-p', ceph.value('CEPH_POOL'), '-N', 'shared'];
        await must('rados', [...rados, 'put', '.Of Somebody Else', '/etc/hostname']);
        expect(await keysOf(driver)).toEqual([key]);
      });
    });

    test('is nothing of what a read into no bytes was for', async () => {
      await using({}, async (driver) => {
        expect(await driver.get(key, 0, new Uint8Array(0))).toBeNull();
        await driver.put(key, pattern(100, 1));
        expect(await driver.get(key, 0, new Uint8Array(0))).toBe(0);
      });
    });
  });

  test('a cluster whose OSDs take smaller objects takes smaller chunks', async () => {
    const conf = join(folder, 'small.conf');
    await writeFile(conf, `${readFileSync(ceph.value('CEPH_CONF'), 'utf8')}\nosd max object size = 1048576\n`);
    await using({ conf }, async (driver) => {
      expect(driver.traits.chunkBytesMax).toBe(1 << 20);
      await driver.put(key, pattern(1 << 20, 1));
      expect(await failureOf(driver.put(key, pattern((1 << 20) + 1, 1)))).toMatchObject({ code: 'too-large' });
    });
  });

  describe('what cannot be opened says why', () => {
    const refused = async (settings: Readonly<Record<string, string>>): Promise<SkerryError> => {
      const began = performance.now();
      const error = await failureOf(open(settings).then((driver) => driver.close()));
      expect(performance.now() - began).toBeLessThan(bounded_milliseconds);
      return error;
    };
    const written = async (name: string, text: string): Promise<string> => {
      await writeFile(join(folder, name), text);
      return join(folder, name);
    };
    const confWith = (monitors: string): Promise<string> =>
      written('other.conf', `[global]\nkeyring = ${ceph.value('CEPH_KEYRING')}\nmon host = ${monitors}\n`);

    test('a setting that is wrong', async () => {
      expect(await refused({ pool: '' })).toMatchObject({ code: 'invalid', message: expect.stringContaining('pool') });
      expect(await refused({ user: 'admin' })).toMatchObject({ message: expect.stringContaining('client.') });
      expect(await refused({ 'timeout-seconds': '0' })).toMatchObject({ message: expect.stringContaining('timeout-seconds') });
      expect(await refused({ colour: 'red' })).toMatchObject({ code: 'invalid', message: expect.stringContaining('colour') });
    });
    test('a configuration or a keyring that is not there', async () => {
      for (const setting of ['conf', 'keyring']) {
        const error = await refused({ [setting]: '/nowhere/at.all' });
        expect(error).toMatchObject({ code: 'invalid', message: `settings: ${setting}: /nowhere/at.all cannot be read` });
      }
    });
    test('a configuration that is none, or names no monitor', async () => {
      const message = expect.stringContaining('settings: ');
      expect(await refused({ conf: await written('garbage.conf', '{ "no": 1 }\n=\n') })).toMatchObject({
        code: 'invalid',
        message,
      });
      expect(await refused({ conf: await written('empty.conf', '[global]\n') })).toMatchObject({ code: 'invalid', message });
      expect(await refused({ conf: await confWith('nobody.invalid') })).toMatchObject({ code: 'invalid', message });
    });
    test('monitors that do not answer', async () => {
      const error = await refused({ conf: await confWith('127.0.0.1:1'), 'timeout-seconds': '2' });
      expect(error).toMatchObject({ code: 'unavailable', message: expect.stringContaining('127.0.0.1:1') });
    });
    test('a key that is not the one', async () => {
      const keyring = await written('wrong.keyring', '[client.admin]\n\tkey = AQBSP0Jo8z3bEBAAYqV0mZ9n5c8P7kq2Jm2W0A==\n');
      expect(await refused({ keyring })).toMatchObject({ code: 'denied', message: expect.stringContaining(keyring) });
    });
    test('a pool that is not there', async () => {
      const error = await refused({ pool: 'nowhere' });
      expect(error).toMatchObject({ code: 'not-found', message: expect.stringContaining('ceph osd pool create nowhere') });
    });
  });

  test('who may only read is told so when it writes, and reads', async () => {
    const keyring = join(folder, 'reader.keyring');
    await cli('auth', 'get-or-create', 'client.reader', 'mon', 'allow r', 'osd', 'allow r', '-o', keyring);
    await using({ namespace: 'read' }, (driver) => driver.put(key, pattern(100, 1)));
    await using({ namespace: 'read', user: 'client.reader', keyring }, async (driver) => {
      expect((await driver.stat(key))?.bytes).toBe(100);
      const denied = { code: 'denied', message: expect.stringContaining('client.reader may not') };
      expect(await failureOf(driver.put(chunkKey('new'), pattern(9, 1)))).toMatchObject(denied);
      expect(await failureOf(driver.remove(key))).toMatchObject(denied);
    });
  });

  test('a pool that reached its quota has no space, and has some again once chunks were removed', async () => {
    await cli('osd', 'pool', 'create', 'small', '1', '1', 'replicated');
    await cli('osd', 'pool', 'set-quota', 'small', 'max_bytes', String(4 << 20));
    await using({ pool: 'small' }, async (driver) => {
      const numbered = (index: number): ChunkKey => chunkKey(`fill/${index}`);
      let written = 0;
      const refusal = await until(async () => {
        const error = await driver.put(numbered(written), pattern(1 << 20, written)).then(() => null, asFailure);
        if (error === null) written += 1;
        return error;
      });
      expect(refusal).toMatchObject({ code: 'no-space', message: expect.stringContaining('small') });
      expect(await driver.stat(numbered(written))).toBeNull();
      expect(await driver.get(numbered(0), 0, new Uint8Array(1 << 20))).toBe(1 << 20);
      for await (const { key: one } of driver.list('')) await driver.remove(one);
      const again = chunkKey('again');
      await until(async () =>
        driver.put(again, pattern(1000, 1)).then(
          () => true,
          () => null,
        ),
      );
      expect((await driver.stat(again))?.bytes).toBe(1000);
    });
  });

  test('a pool that was deleted takes nothing any more, and says so', async () => {
    await cli('osd', 'pool', 'create', 'brief', '1', '1', 'replicated');
    await using({ pool: 'brief' }, async (driver) => {
      await driver.put(key, pattern(100, 1));
      await cli('osd', 'pool', 'delete', 'brief', 'brief', '--yes-i-really-really-mean-it');
      // Until the OSD has heard of it, a put may be told to come again.
      const error = await until(async () => {
        const failure = await driver.put(key, pattern(100, 1)).then(() => null, asFailure);
        return failure?.code === 'try-again' ? null : failure;
      });
      expect(error).toMatchObject({ code: 'not-found', message: expect.stringContaining('pool brief is gone') });
      expect(await failureOf(keysOf(driver))).toMatchObject({ code: 'not-found' });
    });
  });

  test('a client on the blocklist is unavailable until it is taken off', async () => {
    const keyring = join(folder, 'blocked.keyring');
    await cli('auth', 'get-or-create', 'client.blocked', 'mon', 'allow r', 'osd', 'allow rwx', '-o', keyring);
    await using({ user: 'client.blocked', keyring }, async (driver) => {
      const sessions = JSON.parse(await cli('tell', 'mon.a', 'sessions')) as readonly Session[];
      const session = sessions.find((one) => one.entity_name === 'client.blocked');
      const [address] = session?.addrs.addrvec ?? [];
      const words = `${address?.addr}/${address?.nonce}`;
      await cli('osd', 'blocklist', 'add', words);
      const error = await until(() => driver.put(key, pattern(100, 1)).then(() => null, asFailure));
      expect(error).toMatchObject({ code: 'unavailable', message: expect.stringContaining('blocklist') });
      await cli('osd', 'blocklist', 'rm', words);
      await until(() =>
        driver.put(key, pattern(100, 1)).then(
          () => true,
          () => null,
        ),
      );
    });
  });

  describe('a cluster that stands still', () => {
    test('ends every call with timeout, and afterwards the same driver works', async () => {
      await using({ 'timeout-seconds': '2' }, async (driver) => {
        await driver.put(key, pattern(100, 1));
        await whilePaused(async () => {
          const began = performance.now();
          const calls = [
            driver.put(chunkKey('late'), pattern(1000, 2)),
            driver.get(key, 0, new Uint8Array(100)),
            driver.stat(key),
            driver.remove(chunkKey('absent')),
            keysOf(driver),
          ];
          for (const error of await Promise.all(calls.map(failureOf))) expect(error.code).toBe('timeout');
          expect(performance.now() - began).toBeLessThan(bounded_milliseconds);
        });
        // The put may have been carried out when the OSD went on, or not.
        const again = withRetry(driver, patient);
        await again.put(chunkKey('late'), pattern(1000, 2));
        expect(await failureOf(again.put(chunkKey('late'), pattern(1000, 3)))).toMatchObject({ code: 'exists' });
        expect((await keysOf(again)).toSorted()).toEqual(['late', key]);
      });
    });

    test('holds up nobody else, however much waits for it', async () => {
      await using({ 'timeout-seconds': '6' }, async (driver) => {
        const data = pattern(4 << 20, 1);
        await whilePaused(async () => {
          const clock = new LongestGap();
          // More bytes than librados has under way by itself before it blocks who calls it.
          const puts = Array.from({ length: 40 }, (_, index) => failureOf(driver.put(chunkKey(`big/${index}`), data)));
          const lists = Array.from({ length: 8 }, () => failureOf(keysOf(driver)));
          for (const error of await Promise.all([...puts, ...lists])) expect(error.code).toBe('timeout');
          // Whoever is held up is so for as long as the calls take.
          expect(clock.stop()).toBeLessThan(4000);
        });
        // Those that librados had not sent when their time was over never come; whoever wants them puts them again.
        const again = withRetry(driver, patient);
        await again.put(chunkKey('big/39'), data);
        expect((await again.stat(chunkKey('big/39')))?.bytes).toBe(data.length);
      });
    });

    test('is waited for by close', async () => {
      const driver = await open({ 'timeout-seconds': '2' });
      await whilePaused(async () => {
        const put = driver.put(key, pattern(100, 1)).catch(asFailure);
        await driver.close();
        expect(await put).toMatchObject({ code: 'timeout' });
      });
    });
  });

  test('a cluster that answers by fits and starts fails no call', async () => {
    await using({}, async (driver) => {
      let rounds = 0;
      await alongside(
        async (both) => {
          for (; !both.over || rounds === 0; rounds += 1) await writeAndReadBack(driver, 30, `round-${rounds}`);
        },
        async () => {
          for (let pause = 0; pause < 4; pause += 1) {
            await whilePaused(() => sleepFor(400));
            await sleepFor(100);
          }
        },
      );
    });
  });

  test('an OSD killed and started again under load fails no call behind retry', async () => {
    await using({ 'timeout-seconds': '5' }, async (direct) => {
      const driver = withRetry(withLimit(direct), patient);
      let rounds = 0;
      await alongside(
        async (both) => {
          for (; !both.over; rounds += 1) await writeAndReadBack(driver, 30, `round-${rounds}`);
        },
        async (both) => {
          await both.reached(() => rounds > 0);
          await ceph.signal('osd0', 'SIGKILL');
          await ceph.run('restart-osd');
          const before = rounds;
          await both.reached(() => rounds > before);
        },
      );
    });
  });

  test('monitors that are gone for a while stop no call, and the driver finds them again', async () => {
    await using({}, async (driver) => {
      await driver.put(key, pattern(100, 1));
      await ceph.signal('mon', 'SIGKILL');
      await writeAndReadBack(driver, 20);
      await ceph.run('restart-mon');
      await writeAndReadBack(driver, 20, 'after');
    });
  });

  test('many calls at once cost no threads and no more memory than what may be under way', async () => {
    await using({}, async (driver) => {
      const limited = withLimit(driver);
      await limited.put(chunkKey('first'), pattern(10, 1));
      const before = { threads: threads(), bytes: process.memoryUsage.rss() };
      const data = pattern(1 << 20, 1);
      let threadsMost = 0;
      await Promise.all(
        Array.from({ length: 400 }, async (_, index) => {
          await limited.put(chunkKey(`much/${index}`), data);
          threadsMost = Math.max(threadsMost, threads());
        }),
      );
      expect(threadsMost - before.threads).toBeLessThanOrEqual(4);
      expect(process.memoryUsage.rss() - before.bytes).toBeLessThan(200 << 20);
    });
  });

  test('opening and closing leaves no threads and no descriptors', async () => {
    await using({}, async () => undefined);
    const before = { threads: threads(), descriptors: descriptors() };
    for (let round = 0; round < 50; round += 1) await using({}, (driver) => driver.put(key, pattern(10, 1)));
    await failureOf(open({ pool: 'nowhere' }));
    expect(threads() - before.threads).toBeLessThanOrEqual(2);
    expect(descriptors() - before.descriptors).toBeLessThanOrEqual(2);
  });

  test('a worker thread terminated with calls under way leaves the process alive', async () => {
    await terminateWorkers('rados', [ceph.value('CEPH_CONF'), ceph.value('CEPH_POOL')]);
  });
});

/** Of a client with a monitor, as that tells. */
interface Session {
  readonly entity_name: string;
  readonly addrs: { readonly addrvec: readonly { readonly addr: string; readonly nonce: number }[] };
}

/** Puts chunks, some megabytes in all, and then reads all of them. */
async function writeAndReadBack(driver: Driver, count: number, folder = 'load'): Promise<void> {
  const chunks = Array.from({ length: count }, (_, index) => ({
    one: chunkKey(`${folder}/${index}`),
    data: pattern(100_000 + index, index),
  }));
  for (const { one, data } of chunks) await driver.put(one, data);
  await Promise.all(
    chunks.map(async ({ one, data }) => {
      const into = new Uint8Array(data.length + 1);
      expect(await driver.get(one, 0, into)).toBe(data.length);
      expect(Buffer.compare(into.subarray(0, data.length), data)).toBe(0);
    }),
  );
}

async function keysOf(driver: Driver, prefix = ''): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key: one } of driver.list(prefix)) keys.push(one);
  return keys;
}

function asFailure(error: unknown): SkerryError {
  if (isSkerryError(error)) return error;
  throw error;
}

/** @throws Error where the call succeeds */
async function failureOf(call: Promise<unknown>): Promise<SkerryError> {
  return call.then(() => {
    throw new Error('the call succeeded');
  }, asFailure);
}

/** What `look` gives first that is not null. */
async function until<T>(look: () => Promise<T | null>): Promise<T> {
  const deadline = performance.now() + bounded_milliseconds * 2;
  for (;;) {
    const found = await look();
    if (found !== null) return found;
    if (performance.now() > deadline) throw new Error('it does not come about');
    await sleepFor(100);
  }
}

/** How long, in milliseconds, the one thread of JavaScript was kept from its other work at worst. */
class LongestGap {
  #longest = 0;
  #last = performance.now();
  readonly #timer = setInterval(() => this.#tick(), 10);

  stop(): number {
    clearInterval(this.#timer);
    this.#tick();
    return this.#longest;
  }

  #tick(): void {
    const now = performance.now();
    this.#longest = Math.max(this.#longest, now - this.#last);
    this.#last = now;
  }
}

function threads(): number {
  return Number(/^Threads:\t(\d+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
}

function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}
