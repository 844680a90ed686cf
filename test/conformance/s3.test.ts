/** The S3 driver on a real server, the gateway of Ceph; what it does when that server, or the way there, fails. */
import { randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { setTimeout as sleepFor } from 'node:timers/promises';

import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  ListMultipartUploadsCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { riakcsDialect } from '../../drivers/riakcs/driver.js';
import { signerV2 } from '../../drivers/riakcs/signature_v2.js';
import { ChunkStore, type ChunkStoreOptions } from '../../drivers/s3/chunk_store.js';
import { traitsOf } from '../../drivers/s3/dialect.js';
import { Connection } from '../../drivers/s3/connection.js';
import { s3Driver } from '../../drivers/s3/driver.js';
import { removeStaleUploads } from '../../drivers/s3/upload.js';
import { isSkerryError } from '../../src/core/errors.js';
import { chunkKey, type ChunkKey, type Driver } from '../../src/driver/driver.js';
import { withLimit } from '../../src/driver/limit.js';
import { retryDefaults, withRetry } from '../../src/driver/retry.js';
import { alongside } from '../harness/alongside.ts';
import { must } from '../harness/command.ts';
import { TcpProxy } from '../harness/tcp_proxy.ts';
import { Service, whyMissing } from '../services/service.ts';
import { equal, keysOf, readAll } from './expectations.js';
import { pattern } from './laws.js';
import { lawsOn } from './laws_on.js';

const dialect = { listing: 'v2', conditionalPut: true, listsLate: false } as const;
const bucket = 'skerry-conformance';
const missing = whyMissing('radosgw');
/** Of what has to end, and says itself when: far more than it should take on a machine with much else to do. */
const bound_milliseconds = 60_000;
const key = chunkKey('packs/00000001.pack');
const numbered = (index: number): ChunkKey => chunkKey(`packs/${String(index).padStart(8, '0')}.pack`);
/** For outages of some seconds. */
const patient = { ...retryDefaults, pauseMillisecondsMax: 500, deadlineMilliseconds: 100_000 };

describe.skipIf(missing !== null)(`s3 on radosgw${missing === null ? '' : `: ${missing}`}`, () => {
  let service: Service;
  let proxy: TcpProxy;
  let client: S3Client;
  const opened: Driver[] = [];
  const where = (): ChunkStoreOptions => ({
    endpoint: service.value('S3_ENDPOINT'),
    region: 'us-east-1',
    bucket,
    // Each its own place, so that each is empty.
    prefix: `${randomUUID()}/`,
    accessKey: service.value('S3_ACCESS_KEY'),
    secretKey: service.value('S3_SECRET_KEY'),
    pathStyle: true,
    timeoutSeconds: 30,
    dialect,
  });
  const clientOf = ({ accessKey, secretKey }: { readonly accessKey: string; readonly secretKey: string }): S3Client =>
    new S3Client({
      endpoint: service.value('S3_ENDPOINT'),
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
    });
  const openStore = async (more: Partial<ChunkStoreOptions> = {}): Promise<Driver> => {
    const store = await ChunkStore.open({ ...where(), ...more });
    opened.push(store);
    return store;
  };

  beforeAll(async () => {
    service = await Service.start('radosgw');
    proxy = await TcpProxy.start(service.value('S3_ENDPOINT'));
    client = clientOf(where());
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((driver) => driver.close()));
  });
  afterAll(async () => {
    client?.destroy();
    await proxy?.stop();
    await service?.stop();
  });

  lawsOn('the driver', traitsOf(dialect), () => ChunkStore.open(where()));
  lawsOn('retry(limit(the driver)), with pages of seven keys', traitsOf(dialect), async () =>
    withRetry(withLimit(await ChunkStore.open({ ...where(), listPageKeys: 7 }))),
  );

  describe('the way there', () => {
    test('cut in the middle of a read fails the read, and the next one is whole', async () => {
      const store = await openStore({ endpoint: proxy.endpoint });
      const data = pattern(4_000_000, 1);
      await store.put(key, data);
      proxy.cutOnce('down', 1_000_000);
      await expect(store.get(key, 0, new Uint8Array(data.length))).rejects.toMatchObject({ code: 'unavailable' });
      expect(proxy.isFair).toBe(true);
      equal(await readAll(store, key, data.length), data);
      proxy.cutOnce('down', 1_000_000);
      equal(await readAll(withRetry(store), key, data.length), data);
      expect(proxy.isFair).toBe(true);
    });

    test.for([1_000_000, 4_000_000, 40_000_000])(
      'cut in the middle of a put of %d bytes leaves no chunk and no parts',
      async (bytes) => {
        const { prefix } = where();
        const store = await openStore({ endpoint: proxy.endpoint, prefix });
        const data = pattern(bytes, 1);
        proxy.cutOnce('up', bytes / 2);
        await expect(store.put(key, data)).rejects.toMatchObject({ code: 'unavailable' });
        expect(proxy.isFair).toBe(true);
        expect(await store.stat(key)).toBeNull();
        const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix }));
        expect(Uploads).toEqual([]);
        await store.put(key, data);
        equal(await readAll(store, key, bytes), data);
      },
    );

    test.for([
      ['a put', 1000, /^PUT /],
      ['the end of a put in parts', 20_000_000, /^POST .*uploadId=/],
    ] as const)('on which the answer to %s is lost: the put may be repeated', async ([, bytes, request]) => {
      const store = await openStore({ endpoint: proxy.endpoint });
      const data = pattern(bytes, 1);
      proxy.loseAnswerTo(request);
      await expect(store.put(key, data)).rejects.toMatchObject({ code: 'unavailable' });
      expect(proxy.isFair).toBe(true);
      await store.put(key, data);
      equal(await readAll(store, key, bytes), data);
      await expect(store.put(key, pattern(bytes, 2))).rejects.toMatchObject({ code: 'exists' });
    });

    test('that is slow is no failure while bytes come in time, and a timeout when they do not', async () => {
      const { prefix } = where();
      const store = await openStore({ endpoint: proxy.endpoint, prefix });
      const hasty = await openStore({ endpoint: proxy.endpoint, prefix, timeoutSeconds: 1 });
      const data = pattern(800_000, 1);
      proxy.bytesPerSecond = 400_000;
      try {
        await store.put(key, data);
        equal(await readAll(store, key, data.length), data);
        for (const outcome of await Promise.allSettled([hasty.put(numbered(2), data), readAll(hasty, key, data.length)]))
          expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'timeout' } });
      } finally {
        proxy.bytesPerSecond = null;
      }
      // A second may be short for a busy machine.
      const again = withRetry(hasty, patient);
      await again.put(numbered(2), data);
      equal(await readAll(again, key, data.length), data);
    });

    test('is no more than a number of connections, whatever is asked at once, and costs no threads', async () => {
      const threads = (): number => readdirSync('/proc/self/task').length;
      const store = withLimit(await openStore({ endpoint: proxy.endpoint }));
      await store.put(key, pattern(1000, 1));
      const before = threads();
      proxy.connectionsMax = 0;
      const calls = Array.from({ length: 200 }, async (_, index) => {
        await store.put(numbered(index + 2), pattern(50_000, index));
        equal(await readAll(store, numbered(index + 2), 50_000), pattern(50_000, index));
      });
      await Promise.all(calls);
      // One that is made anew may be there before the end of the one it is for is seen here; of 200 calls none has its own.
      expect(proxy.connectionsMax).toBeLessThanOrEqual(store.traits.inFlightMax + 4);
      expect(threads()).toBeLessThanOrEqual(before + 8);
    });
  });

  test('a large put copies none of its chunk', async () => {
    const store = await openStore();
    const chunks = Array.from({ length: 4 }, (_, index) => Buffer.alloc(40_000_000, index + 1));
    const before = process.memoryUsage().rss;
    let most = before;
    const watch = setInterval(() => {
      most = Math.max(most, process.memoryUsage().rss);
    }, 20);
    await Promise.all(chunks.map((chunk, index) => store.put(numbered(index), chunk)));
    clearInterval(watch);
    expect(most - before).toBeLessThan(100_000_000);
  });

  test('the dialect of Riak CS is understood: signature version 2, the first listing, parts', async () => {
    const { accessKey, secretKey } = where();
    const store = await openStore({ signer: signerV2(accessKey, secretKey), dialect: riakcsDialect, listPageKeys: 2 });
    const sizes = [0, 1, 1000, 20_000_000];
    for (const [index, bytes] of sizes.entries()) {
      await store.put(numbered(index), pattern(bytes, index));
      equal(await readAll(store, numbered(index), bytes), pattern(bytes, index));
      expect(await store.stat(numbered(index))).toEqual({ key: numbered(index), bytes });
    }
    expect(await keysOf(store, 'packs/')).toEqual(sizes.map((_, index) => numbered(index)));
    await store.remove(numbered(0));
    expect(await store.get(numbered(0), 0, new Uint8Array(1))).toBeNull();
  });

  test('uploads that never ended are removed, and those of others are not', async () => {
    const { prefix } = where();
    for (const Key of [`${prefix}a`, `other-${prefix}`])
      await client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key }));
    const connection = new Connection({ ...where(), socketsMax: 2 });
    const left = async (Prefix: string): Promise<number> =>
      (await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix }))).Uploads?.length ?? 0;
    await removeStaleUploads(connection, prefix, new Date(Date.now() - 600_000));
    expect(await left(prefix)).toBe(1);
    await removeStaleUploads(connection, prefix, new Date(Date.now() + 600_000));
    expect(await left(prefix)).toBe(0);
    expect(await left('other-')).toBe(1);
    connection.close();
  });

  test('a bucket that goes away is told from a chunk that is not there', async () => {
    await client.send(new CreateBucketCommand({ Bucket: 'fleeting' }));
    const store = await openStore({ bucket: 'fleeting' });
    await client.send(new DeleteBucketCommand({ Bucket: 'fleeting' }));
    const calls = [store.put(key, pattern(10, 1)), store.get(key, 0, new Uint8Array(10)), store.stat(key), store.remove(key)];
    for (const outcome of await Promise.allSettled([...calls, keysOf(store, '')]))
      expect(outcome).toMatchObject({
        status: 'rejected',
        reason: { code: 'not-found', message: expect.stringMatching(/fleeting.*make the bucket/) },
      });
    await client.send(new CreateBucketCommand({ Bucket: 'fleeting' }));
    await store.put(key, pattern(10, 1));
    expect(await store.stat(key)).toEqual({ key, bytes: 10 });
  });

  test.for([
    ['a wrong secret', { 'secret-key': 'wrong' }, 'denied', /SignatureDoesNotMatch.*check access-key and secret-key/],
    ['an unknown key', { 'access-key': 'nobody' }, 'denied', /InvalidAccessKeyId.*check access-key/],
    ['an absent bucket', { bucket: 'absent' }, 'not-found', /bucket absent at http.*NoSuchBucket.*make the bucket/],
    ['a port where nobody listens', { endpoint: 'http://127.0.0.1:1' }, 'unavailable', /ECONNREFUSED.*check endpoint/],
    ['a host that is not there', { endpoint: 'http://nowhere.invalid' }, 'unavailable', /nowhere\.invalid.*check endpoint/],
    ['an address that is silent', { endpoint: 'http://192.0.2.1' }, 'unavailable', /check endpoint/],
    ['https where it is http', {}, 'unavailable', /http where it is https/],
  ] as const)('%s is said when the pool is opened, in bounded time', async ([title, wrong, code, words]) => {
    const { accessKey, secretKey, endpoint = '' } = where();
    const right = { endpoint, bucket, 'access-key': accessKey, 'secret-key': secretKey, 'timeout-seconds': '3' };
    const settings = title.startsWith('https')
      ? { ...right, endpoint: endpoint.replace('http:', 'https:') }
      : { ...right, ...wrong };
    const began = performance.now();
    const failure: unknown = await s3Driver.open(settings).catch((error: unknown) => error);
    expect(performance.now() - began).toBeLessThan(bound_milliseconds);
    expect(isSkerryError(failure)).toBe(true);
    expect(failure).toMatchObject({ code, message: expect.stringMatching(words) });
    expect(String(failure)).not.toContain(secretKey);
  });

  // Last: whoever changes users or buckets waits half a minute for a gateway that was killed.
  describe('the server', () => {
    test('that is full says no-space, for a chunk in parts as well, and removing makes room again', async () => {
      const user = { accessKey: 'AKFULL', secretKey: 'secretOfTheFullOne' };
      const admin = (...words: readonly string[]): Promise<string> =>
        must('radosgw-admin', ['-c', service.value('RGW_CONF'), '-n', 'client.rgw.a', ...words, '--uid=full']);
      const keys = [`--access-key=${user.accessKey}`, `--secret-key=${user.secretKey}`];
      await admin('user', 'create', '--display-name=full', ...keys);
      await admin('quota', 'set', '--quota-scope=user', '--max-size=6000000');
      await admin('quota', 'enable', '--quota-scope=user');
      const itsClient = clientOf(user);
      await itsClient.send(new CreateBucketCommand({ Bucket: 'full' }));
      itsClient.destroy();
      const store = await openStore({ ...user, bucket: 'full' });
      for (const index of [1, 2]) await store.put(numbered(index), pattern(2_500_000, index));
      for (const bytes of [1_500_000, 4_000_000, 20_000_000]) {
        const putting = store.put(numbered(3), pattern(bytes, 3));
        await expect(putting).rejects.toMatchObject({ code: 'no-space', message: expect.stringMatching(/quota/) });
      }
      await store.put(numbered(1), pattern(2_500_000, 1));
      await store.remove(numbered(1));
      await store.put(numbered(3), pattern(2_400_000, 3));
      equal(await readAll(store, numbered(3), 2_400_000), pattern(2_400_000, 3));
    });

    test('that is silent is given up in bounded time, and the same driver goes on when it is back', async () => {
      const store = await openStore({ timeoutSeconds: 2 });
      const data = pattern(100_000, 1);
      await store.put(key, data);
      await service.whilePaused('rgw', async () => {
        const began = performance.now();
        const calls = [
          store.put(numbered(2), data),
          store.get(key, 0, new Uint8Array(1000)),
          store.stat(key),
          store.remove(numbered(3)),
          keysOf(store, ''),
        ];
        for (const outcome of await Promise.allSettled(calls))
          expect(outcome).toMatchObject({
            status: 'rejected',
            reason: { code: 'timeout', message: expect.stringMatching(/within 2 s/) },
          });
        expect(performance.now() - began).toBeLessThan(bound_milliseconds);
      });
      // What was asked meanwhile is carried out now, or not; until then a put of the same key may be told to come again.
      const again = withRetry(store, patient);
      await again.put(numbered(2), data);
      equal(await readAll(again, key, data.length), data);
    });

    test('that is slow to answer is waited for', async () => {
      const store = await openStore();
      const outcome = await service.whilePaused('rgw', async () => {
        const putting = Promise.allSettled([store.put(key, pattern(5_000_000, 1))]);
        await sleepFor(1500);
        return { putting };
      });
      expect(await outcome.putting).toMatchObject([{ status: 'fulfilled' }]);
      equal(await readAll(store, key, 5_000_000), pattern(5_000_000, 1));
    });

    test('that is killed under load and started again loses no chunk, and no call fails', async () => {
      let tries = 0;
      const onRetry = (): void => void (tries += 1);
      const store = withRetry(withLimit(await openStore()), { ...patient, onRetry });
      const bytesOf = (index: number): number => (index % 20 === 19 ? 20_000_000 : 200_000 + index);
      let [next, written] = [0, 0];
      const write = async (over: () => boolean): Promise<void> => {
        while (!over()) {
          const index = next;
          next += 1;
          await store.put(numbered(index), pattern(bytesOf(index), index));
          await store.stat(numbered(index));
          written += 1;
        }
      };
      await alongside(
        (both) => Promise.all(Array.from({ length: 6 }, () => write(() => both.over))),
        async (both) => {
          for (let killed = 0; killed < 2; killed += 1) {
            const before = written;
            await both.reached(() => written >= before + 15);
            await service.signal('rgw', 'SIGKILL');
            await service.run('restart');
          }
        },
      );
      expect(tries).toBeGreaterThan(0);
      for (let index = 0; index < next; index += 1)
        equal(await readAll(store, numbered(index), bytesOf(index)), pattern(bytesOf(index), index));
      expect(await keysOf(store, '')).toHaveLength(next);
    });
  });
});
