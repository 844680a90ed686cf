/** The S3 driver and servers that answer strangely: what each answer means in the one table, and that none is taken for data. */
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, describe, expect, test } from 'vitest';

import { ChunkStore } from '../../drivers/s3/chunk_store.js';
import { s3Driver } from '../../drivers/s3/driver.js';
import type { ErrorCode } from '../../src/core/errors.js';
import { chunkKey, type Driver } from '../../src/driver/driver.js';
import { withRetry } from '../../src/driver/retry.js';
import { Authority } from '../harness/certificates.ts';
import { keysOf } from './expectations.js';
import { pattern } from './laws.js';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const key = chunkKey('packs/00000001.pack');
const data = pattern(1000, 1);
const emptyList = '<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>';
const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of cleanUp.splice(0).reverse()) await end();
});

async function listen(server: Server | ReturnType<typeof createTcpServer>): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  cleanUp.push(
    () =>
      new Promise((resolve) => {
        server.close(resolve);
        if ('closeAllConnections' in server) server.closeAllConnections();
      }),
  );
  return (server.address() as AddressInfo).port;
}

/** A driver that was opened well; `handle` answers all that comes then. */
async function driverOf(handle: Handler, { conditionalPut = true } = {}): Promise<Driver> {
  const state = { open: false };
  const port = await listen(
    createServer((request, response) => {
      request.resume();
      if (state.open) handle(request, response);
      else response.end(emptyList);
    }),
  );
  const store = await ChunkStore.open({
    endpoint: `http://127.0.0.1:${port}`,
    region: 'us-east-1',
    bucket: 'bucket',
    prefix: '',
    accessKey: 'key',
    secretKey: 'secret',
    pathStyle: true,
    timeoutSeconds: 5,
    dialect: { listing: 'v2', conditionalPut, listsLate: false },
  });
  cleanUp.push(() => store.close());
  state.open = true;
  return store;
}

const refusal =
  (status: number, code: string): Handler =>
  (_request, response) => {
    response
      .writeHead(status)
      .end(code === '' ? '<html>no S3 here</html>' : `<Error><Code>${code}</Code><Message>So.</Message></Error>`);
  };

describe('an answer has its meaning', () => {
  const meanings: readonly (readonly [number, string, ErrorCode, RegExp])[] = [
    [404, 'NoSuchBucket', 'not-found', /make the bucket/],
    [403, 'AccessDenied', 'denied', /allowed/],
    [403, 'InvalidAccessKeyId', 'denied', /access-key/],
    [403, 'SignatureDoesNotMatch', 'denied', /secret-key/],
    [403, 'RequestTimeTooSkewed', 'denied', /clocks/],
    [403, 'QuotaExceeded', 'no-space', /quota/],
    [507, 'XMinioStorageFull', 'no-space', /room/],
    [400, 'EntityTooLarge', 'too-large', /EntityTooLarge/],
    [400, 'AuthorizationHeaderMalformed', 'invalid', /region/],
    [301, 'PermanentRedirect', 'invalid', /endpoint/],
    [400, 'RequestTimeout', 'timeout', /RequestTimeout/],
    [400, 'BadDigest', 'io', /BadDigest/],
    [503, 'SlowDown', 'try-again', /SlowDown/],
    [503, 'ServiceUnavailable', 'try-again', /ServiceUnavailable/],
    [429, 'TooManyRequests', 'try-again', /TooManyRequests/],
    [500, 'InternalError', 'io', /InternalError/],
    [501, 'NotImplemented', 'unsupported', /NotImplemented/],
    [400, 'SomethingNew', 'invalid', /SomethingNew/],
    [502, '', 'unavailable', /bucket at http/],
    [503, '', 'try-again', /bucket at http/],
    [504, '', 'timeout', /bucket at http/],
    [500, '', 'io', /bucket at http/],
  ];
  test.for(meanings)('%i %s', async ([status, code, expected, words]) => {
    const store = await driverOf(refusal(status, code));
    const calls = [store.put(key, data), store.get(key, 0, new Uint8Array(10)), store.remove(key), keysOf(store, '')];
    for (const outcome of await Promise.allSettled(calls))
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: expected, message: expect.stringMatching(words) } });
  });

  test('a server that is busy is asked once by the driver, and again by the retry filter', async () => {
    let asked = 0;
    const store = await driverOf((request, response) => {
      asked += 1;
      if (asked < 5) refusal(503, 'SlowDown')(request, response);
      else response.end();
    });
    await expect(store.put(key, data)).rejects.toMatchObject({ code: 'try-again' });
    expect(asked).toBe(1);
    await withRetry(store).put(key, data);
    expect(asked).toBe(5);
  });
});

describe('what is no answer is no data', () => {
  const broken: readonly (readonly [string, ErrorCode, Handler])[] = [
    ['a body shorter than its length', 'unavailable', endEarly],
    [
      'another range than was asked for',
      'io',
      (_request, response) => {
        response.writeHead(206, { 'content-range': 'bytes 0-99/1000', 'content-length': 100 }).end(data.subarray(0, 100));
      },
    ],
    [
      'a range longer than was asked for',
      'io',
      (_request, response) => {
        response.writeHead(206, { 'content-range': 'bytes 100-399/1000', 'content-length': 300 }).end(data.subarray(100, 400));
      },
    ],
    [
      'fewer bytes than the range says',
      'io',
      (_request, response) => {
        response.writeHead(206, { 'content-range': 'bytes 100-199/1000', 'content-length': 60 }).end(data.subarray(100, 160));
      },
    ],
    ['the whole chunk where a part was asked for', 'unsupported', (_request, response) => void response.end(data)],
    [
      'silence in the middle of a body',
      'timeout',
      (_request, response) => void response.writeHead(206, rangeOf(100, 100)).write('x'),
    ],
    ['a connection that ends', 'unavailable', (request) => void request.socket.destroy()],
  ];
  test.for(broken)('%s', async ([, code, handle]) => {
    const store = await driverOf(handle);
    await expect(store.get(key, 100, new Uint8Array(100))).rejects.toMatchObject({ code });
  });

  test('a 404 that does not speak of the chunk', async () => {
    const store = await driverOf(refusal(404, ''));
    const calls = [store.get(key, 0, new Uint8Array(10)), store.stat(key), store.remove(key), keysOf(store, '')];
    for (const outcome of await Promise.allSettled(calls))
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'not-found' } });
  });

  test('a list that is cut off and does not say where, or is none', async () => {
    const cut = await driverOf((_request, response) => void response.end(emptyList.replace('false', 'true')));
    await expect(keysOf(cut, '')).rejects.toMatchObject({ code: 'io' });
    const garbage = await driverOf((_request, response) => void response.end('<html><unclosed'));
    await expect(keysOf(garbage, '')).rejects.toMatchObject({ code: 'io' });
  });

  test('the whole chunk is a good answer to a read from its beginning', async () => {
    const store = await driverOf((_request, response) => void response.end(data));
    const into = new Uint8Array(100);
    expect(await store.get(key, 0, into)).toBe(100);
    expect(Buffer.compare(into, data.subarray(0, 100))).toBe(0);
  });
});

test('a chunk over the limit is refused before anything is sent', async () => {
  const store = await driverOf((request) => void request.socket.destroy());
  const putting = store.put(key, new Uint8Array(store.traits.chunkBytesMax + 1));
  await expect(putting).rejects.toMatchObject({ code: 'too-large' });
});

describe('a put of a taken key', () => {
  const answering =
    (status: number, code: string, present: Uint8Array | null): Handler =>
    (request, response) => {
      if (request.method === 'PUT') refusal(status, code)(request, response);
      else if (present === null) refusal(404, 'NoSuchKey')(request, response);
      else response.end(present);
    };
  test.for([
    ['with the same bytes succeeds', 412, 'PreconditionFailed', data, null],
    ['with other bytes is refused', 412, 'PreconditionFailed', pattern(1000, 2), 'exists'],
    ['with fewer bytes is refused', 412, 'PreconditionFailed', pattern(999, 1), 'exists'],
    ['that was removed meanwhile is tried again', 412, 'PreconditionFailed', null, 'try-again'],
    ['with the same bytes, by another at the same time, succeeds', 409, 'ConditionalRequestConflict', data, null],
    ['that another does not finish is tried again', 409, 'ConditionalRequestConflict', null, 'try-again'],
    ['with the same bytes succeeds where the server is full', 403, 'QuotaExceeded', data, null],
  ] as const)('%s: %i %s', async ([, status, name, present, code]) => {
    const store = await driverOf(answering(status, name, present));
    if (code === null) await store.put(key, data);
    else await expect(store.put(key, data)).rejects.toMatchObject({ code });
  });

  test('is put on condition only where the server is said to honour that', async () => {
    const asked: (string | undefined)[] = [];
    const handle: Handler = (request, response) => {
      asked.push(request.headers['if-none-match']);
      response.end();
    };
    for (const conditionalPut of [true, false]) {
      const store = await driverOf(handle, { conditionalPut });
      expect(store.traits.refusesRewrite).toBe(conditionalPut);
      await store.put(key, data);
    }
    expect(asked).toEqual(['*', undefined]);
  });
});

describe('opening', () => {
  const right = { endpoint: 'http://127.0.0.1:1', bucket: 'bucket', 'access-key': 'key', 'secret-key': 'a-secret-value' };
  test.for([
    [{ bucket: '' }, /bucket: must be the name of a bucket/],
    [{ endpoint: 'ftp://host' }, /endpoint: must be a URL/],
    [{ endpoint: 'http://user:pass@host' }, /endpoint: must have no user/],
    [{ prefix: '../up' }, /prefix: must be a path/],
    [{ prefix: '/abs' }, /prefix: must be a path/],
    [{ 'timeout-seconds': '0' }, /timeout-seconds/],
    [{ 'timeout-seconds': 'soon' }, /timeout-seconds/],
    [{ addressing: 'dns' }, /addressing/],
    [{ 'conditional-put': 'yes' }, /conditional-put/],
    [{ 'secret-key-file': '/also/given' }, /settings: secret-key or secret-key-file must be given, and not both/],
    [{ colour: 'blue' }, /colour/],
  ] as const)('with %j is refused by name', async ([wrong, words]) => {
    const failure: unknown = await s3Driver.open({ ...right, ...wrong }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'invalid', message: expect.stringMatching(words) });
    expect(String(failure)).not.toContain('a-secret-value');
  });

  test('takes the secret from a file, and says where that is not there or empty', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'skerry-s3-'));
    cleanUp.push(() => rm(directory, { recursive: true }));
    const { 'secret-key': secret, ...others } = right;
    const port = await listen(createServer((_request, response) => void response.end(emptyList)));
    const open = (file: string): Promise<Driver> =>
      s3Driver.open({ ...others, endpoint: `http://127.0.0.1:${port}`, 'secret-key-file': file });
    const file = join(directory, 'secret');
    await expect(open(file)).rejects.toMatchObject({ code: 'not-found', message: expect.stringContaining(file) });
    writeFileSync(file, '\n');
    await expect(open(file)).rejects.toThrow(/secret-key-file: .* is empty/);
    writeFileSync(file, `${secret}\n`);
    await (await open(file)).close();
  });

  test('of what is no S3 server says so', async () => {
    const port = await listen(createTcpServer((socket) => void socket.resume().end('220 mail.example.org ESMTP\r\n')));
    const opening = s3Driver.open({ ...right, endpoint: `http://127.0.0.1:${port}` });
    await expect(opening).rejects.toMatchObject({ code: 'io', message: expect.stringContaining('does an S3 server listen') });
  });

  test('of a server whose certificate is not trusted says what to do', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'skerry-s3-'));
    cleanUp.push(() => rm(directory, { recursive: true }));
    const authority = await Authority.make(join(directory, 'authority'), 'nobody knows it');
    const { certificate, key: privateKey } = await authority.issue('server', ['IP:127.0.0.1']);
    const server = createTlsServer({ cert: readFileSync(certificate), key: readFileSync(privateKey) });
    const port = await listen(server);
    const opening = s3Driver.open({ ...right, endpoint: `https://127.0.0.1:${port}` });
    await expect(opening).rejects.toMatchObject({ code: 'denied', message: expect.stringContaining('NODE_EXTRA_CA_CERTS') });
  });

  test.for([
    [{}, /ENOTFOUND nowhere\.invalid/],
    [{ addressing: 'path' }, /ENOTFOUND nowhere\.invalid/],
    [{ addressing: 'host' }, /ENOTFOUND bucket\.nowhere\.invalid/],
  ] as const)('asks for the bucket by path or by host, as is set: %j', async ([more, words]) => {
    await expect(s3Driver.open({ ...right, endpoint: 'http://nowhere.invalid', ...more })).rejects.toThrow(words);
  });
});

function rangeOf(first: number, bytes: number): Record<string, string | number> {
  return { 'content-range': `bytes ${first}-${first + bytes - 1}/1000`, 'content-length': bytes };
}

function endEarly(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(206, rangeOf(100, 100));
  response.write('0123456789', () => response.socket?.destroy());
}
