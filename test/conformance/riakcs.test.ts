/** The Riak CS driver on a server that has no more than Riak CS has. */
import { randomUUID } from 'node:crypto';

import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { riakcsDialect, riakcsDriver } from '../../drivers/riakcs/driver.js';
import { authorizationV2, signerV2 } from '../../drivers/riakcs/signature_v2.js';
import { ChunkStore, type ChunkStoreOptions } from '../../drivers/s3/chunk_store.js';
import { traitsOf } from '../../drivers/s3/dialect.js';
import { chunkKey } from '../../src/driver/driver.js';
import { withLimit } from '../../src/driver/limit.js';
import { withRetry } from '../../src/driver/retry.js';
import { RiakCsServer } from '../services/riak_cs_server.ts';
import { keysOf } from './expectations.js';
import { lawsOn } from './laws_on.js';
import { pattern } from './laws.js';

const keys = { accessKey: 'AKRIAK', secretKey: 'a secret/with+signs=' };
const bucket = 'skerry';
const key = chunkKey('packs/00000001.pack');

let server: RiakCsServer;
beforeAll(async () => {
  server = await RiakCsServer.start({ ...keys, bucket, listDelayMilliseconds: 150 });
});
afterAll(async () => {
  await server.stop();
});

const settings = (): Record<string, string> => ({
  endpoint: server.endpoint,
  bucket,
  prefix: randomUUID(),
  'access-key': keys.accessKey,
  'secret-key': keys.secretKey,
});
const options = (): ChunkStoreOptions => ({
  ...keys,
  endpoint: server.endpoint,
  bucket,
  prefix: `${randomUUID()}/`,
  region: 'us-east-1',
  pathStyle: true,
  timeoutSeconds: 30,
  signer: signerV2(keys.accessKey, keys.secretKey),
  dialect: riakcsDialect,
});

lawsOn('riak-cs', traitsOf(riakcsDialect), () => riakcsDriver.open(settings()));
lawsOn('retry(limit(riak-cs)), with pages of seven keys', traitsOf(riakcsDialect), async () =>
  withRetry(withLimit(await ChunkStore.open({ ...options(), listPageKeys: 7 }))),
);

describe('the server in the place of Riak CS', () => {
  const newer = (more: object = {}): S3Client =>
    new S3Client({
      endpoint: server.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      maxAttempts: 1,
      credentials: { accessKeyId: keys.accessKey, secretAccessKey: keys.secretKey },
      ...more,
    });
  const put = new PutObjectCommand({ Bucket: bucket, Key: 'k', Body: 'text' });

  test('refuses a client of today, whatever it asks', async () => {
    for (const command of [put, new GetObjectCommand({ Bucket: bucket, Key: 'k' }), new ListObjectsV2Command({ Bucket: bucket })])
      await expect(newer().send(command as typeof put)).rejects.toMatchObject({
        $metadata: { httpStatusCode: expect.anything() },
      });
  });

  test('refuses each thing that Riak CS lacks', async () => {
    const signer = signerV2(keys.accessKey, keys.secretKey);
    const bare = { signer, requestChecksumCalculation: 'WHEN_REQUIRED' } as const;
    await expect(newer(bare).send(put)).resolves.toBeDefined();
    const conditional = new PutObjectCommand({ Bucket: bucket, Key: 'k', Body: 'text', IfNoneMatch: '*' });
    await expect(newer(bare).send(conditional)).rejects.toMatchObject({ name: 'NotImplemented' });
    await expect(newer({ signer }).send(put)).rejects.toMatchObject({ name: 'NotImplemented' });
    await expect(newer({ requestChecksumCalculation: 'WHEN_REQUIRED' }).send(put)).rejects.toMatchObject({
      name: 'NotImplemented',
    });
    await expect(newer(bare).send(new ListObjectsV2Command({ Bucket: bucket }))).rejects.toMatchObject({
      name: 'InvalidArgument',
    });
    const wrong = { ...bare, signer: signerV2(keys.accessKey, 'another') };
    await expect(newer(wrong).send(put)).rejects.toMatchObject({ name: 'AccessDenied' });
  });

  test('is too old for the s3 driver, which says so', async () => {
    await expect(ChunkStore.open({ ...options(), dialect: { ...riakcsDialect, listing: 'v2' } })).rejects.toMatchObject({
      code: 'invalid',
    });
    const conditional = await ChunkStore.open({ ...options(), dialect: { ...riakcsDialect, conditionalPut: true } });
    await expect(conditional.put(key, pattern(10, 1))).rejects.toMatchObject({ code: 'unsupported' });
    await conditional.close();
  });
});

test('a list shows a chunk later than a get does', async () => {
  const store = await ChunkStore.open(options());
  const usual = server.listDelayMilliseconds;
  server.listDelayMilliseconds = Number.POSITIVE_INFINITY;
  try {
    await store.put(key, pattern(1000, 1));
    expect(await store.get(key, 0, new Uint8Array(1000))).toBe(1000);
    expect(await keysOf(store, '')).toEqual([]);
  } finally {
    server.listDelayMilliseconds = usual;
  }
  await expect.poll(() => keysOf(store, ''), { timeout: 10_000 }).toEqual([key]);
  await store.close();
});

test('a chunk of many parts is whole, and no upload is left', async () => {
  const store = await ChunkStore.open(options());
  const data = pattern(40_000_001, 1);
  await store.put(key, data);
  const into = new Uint8Array(data.length);
  expect(await store.get(key, 0, into)).toBe(data.length);
  expect(Buffer.compare(into, data)).toBe(0);
  expect(server.uploads).toBe(0);
  await store.close();
});

test('a wrong secret, an unknown key and an absent bucket are told apart', async () => {
  const open = (more: Record<string, string>): Promise<unknown> => riakcsDriver.open({ ...settings(), ...more });
  await expect(open({ 'secret-key': 'wrong' })).rejects.toMatchObject({ code: 'denied' });
  await expect(open({ 'access-key': 'nobody' })).rejects.toThrow(/InvalidAccessKeyId.*check access-key and secret-key/);
  await expect(open({ bucket: 'absent' })).rejects.toThrow(/NoSuchBucket.*make the bucket/);
});

// The examples of the S3 Developer Guide, which every implementation is measured by.
test.for([
  ['GET', '/johnsmith/photos/puppy.jpg', {}, { date: 'Tue, 27 Mar 2007 19:36:42 +0000' }, 'bWq2s1WEIj+Ydj0vQ697zp+IXMU='],
  [
    'PUT',
    '/johnsmith/photos/puppy.jpg',
    {},
    { 'content-type': 'image/jpeg', date: 'Tue, 27 Mar 2007 21:15:45 +0000' },
    'MyyxeRY7whkBe+bq8fHCL/2kKUg=',
  ],
  ['GET', '/johnsmith/', { acl: '' }, { date: 'Tue, 27 Mar 2007 19:44:46 +0000' }, 'c2WLPFtWHVgbEmeEG93a4cG37dM='],
] as const)('%s %s is signed as in the guide', ([method, path, query, headers, signature]) => {
  const request = { method, path, query, headers };
  const secret = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
  expect(authorizationV2(request, 'AKIAIOSFODNN7EXAMPLE', secret)).toBe(`AWS AKIAIOSFODNN7EXAMPLE:${signature}`);
});
