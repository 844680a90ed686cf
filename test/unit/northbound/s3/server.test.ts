/** The server as bad clients, slow ones and those that vanish meet it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';

import { CreateBucketCommand, GetObjectCommand, PutBucketPolicyCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { describe, expect, onTestFinished, test } from 'vitest';

import { SkerryError } from '../../../../src/core/errors.ts';
import type { NewAccessKey } from '../../../../src/identity/access_keys.ts';
import type { RequestRecord } from '../../../../src/northbound/s3/request_record.ts';
import type { S3Limits } from '../../../../src/northbound/s3/s3_server.ts';
import { Authority } from '../../../harness/certificates.ts';
import { presignedTarget, RawConnection } from '../../../harness/raw_connection.ts';
import { S3Endpoint } from '../../../harness/s3_endpoint.ts';
import { temporaryDirectory } from '../../temporary_directory.ts';

interface World {
  readonly endpoint: S3Endpoint;
  readonly key: NewAccessKey;
  readonly records: RequestRecord[];
  readonly connect: () => Promise<RawConnection>;
  /** Resolves with the first record that fits. */
  readonly told: (fits: (record: RequestRecord) => boolean) => Promise<RequestRecord>;
}

/** With an account and its bucket `photos`. */
async function start(limits: Partial<S3Limits> = {}): Promise<World> {
  const records: RequestRecord[] = [];
  let onTold: () => void = () => undefined;
  const onRequest = (record: RequestRecord): void => {
    records.push(record);
    onTold();
  };
  const endpoint = await S3Endpoint.start({ limits, onRequest });
  const key = await endpoint.account('alice');
  await endpoint.client(key).send(new CreateBucketCommand({ Bucket: 'photos' }));
  records.length = 0;
  onTestFinished(async () => {
    expect(endpoint.complaints).toEqual([]);
    await endpoint.stop();
  });
  const told: World['told'] = async (fits) => {
    for (;;) {
      const found = records.find(fits);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        onTold = resolve;
      });
    }
  };
  return { endpoint, key, records, told, connect: () => RawConnection.open(endpoint.address) };
}

function put(key: NewAccessKey, name: string, bytes: number, ...headers: readonly string[]): string[] {
  const target = presignedTarget(key, 'PUT', `/photos/${name}`);
  return [`PUT ${target} HTTP/1.1`, 'Host: localhost', `Content-Length: ${bytes}`, ...headers, '', ''];
}

const list = ['GET / HTTP/1.1', 'Host: localhost', '', ''];

describe('a head', () => {
  test.each([
    ['that never ends', 'GET / HTTP/1.1\r\nHost: localhost\r\n'],
    ['that never begins', ''],
  ])('%s is not waited for', async (_what, begun) => {
    const { connect } = await start({ headMilliseconds: 200 });
    const connection = await connect();
    connection.send(begun);
    const answer = await connection.ended();
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('<Code>RequestTimeout</Code>');
  });

  test.each([40_000, 100_000])('with a header of %i bytes is refused', async (bytes) => {
    const { connect } = await start();
    const connection = await connect();
    connection.send('GET / HTTP/1.1', 'Host: localhost', `x-amz-meta-a: ${'a'.repeat(bytes)}`, '', '');
    expect(await connection.until(/<\/Error>/)).toMatch(/^HTTP\/1\.1 400 [^]*<Code>RequestHeaderSectionTooLarge<\/Code>/);
  });

  test('that is no HTTP is told so', async () => {
    const { connect } = await start();
    const connection = await connect();
    connection.send('SSH-2.0-OpenSSH_9.2', '');
    expect(await connection.ended()).toMatch(/^HTTP\/1\.1 400 [^]*The request is not HTTP/);
  });

  test('that comes right behind another is answered behind it, under an id of its own', async () => {
    const { connect } = await start();
    const connection = await connect();
    connection.send(...list.slice(0, -1), ...list);
    const answers = await connection.until(/<\/Error>[^]*<\/Error>/);
    const ids = [...answers.matchAll(/x-amz-request-id: (\w{16})\r\n[^]*?<RequestId>(\w+)</gi)];
    expect(ids).toHaveLength(2);
    for (const [, header, document] of ids) expect(header).toBe(document);
    expect(ids[0]?.[1]).not.toBe(ids[1]?.[1]);
  });
});

describe('a body', () => {
  // Small ones are gathered before they are stored.
  test.each([1_000_000, 50_000])('of %i bytes that comes too slowly is not waited for', async (bytes) => {
    const { connect, key, told } = await start({ idleMilliseconds: 300 });
    const connection = await connect();
    connection.send(...put(key, 'slow', bytes));
    const dripping = setInterval(() => connection.send('x'), 20);
    const answer = await connection.ended();
    clearInterval(dripping);
    expect(answer).toMatch(/^HTTP\/1\.1 400 [^]*<Code>RequestTimeout<\/Code>/);
    expect(await told(() => true)).toMatchObject({ operation: 'PutObject', code: 'RequestTimeout', status: 400 });
  });

  test.each([1_000_000, 50_000])('of %i bytes whose client vanishes leaves nothing', async (bytes) => {
    const { connect, endpoint, key, told } = await start();
    const connection = await connect();
    connection.send(...put(key, 'gone', bytes));
    connection.send('x'.repeat(Math.floor(bytes / 3)));
    await connection.until(/^$/);
    connection.vanish();
    expect(await told(({ operation }) => operation === 'PutObject')).toMatchObject({ aborted: true });
    await expect(endpoint.client(key).send(new GetObjectCommand({ Bucket: 'photos', Key: 'gone' }))).rejects.toMatchObject({
      name: 'NoSuchKey',
    });
  });

  test('that nobody reads is passed over where it is short, and the connection goes on', async () => {
    const { connect, key } = await start();
    const connection = await connect();
    connection.send(...put({ ...key, secretKey: 'another' }, 'a', 1000));
    connection.send('x'.repeat(1000));
    expect(await connection.until(/<\/Error>/)).toMatch(/^HTTP\/1\.1 403 [^]*SignatureDoesNotMatch/);
    connection.send(...list);
    expect(await connection.until(/<\/Error>[^]*<\/Error>/)).toContain('<Code>AccessDenied</Code>');
  });

  test('that nobody reads ends the connection where it is long, and the client gets its answer all the same', async () => {
    const { connect, key } = await start();
    const connection = await connect();
    connection.send(...put({ ...key, secretKey: 'another' }, 'a', 1 << 30));
    connection.send('x'.repeat(1_000_000));
    const answer = await connection.ended();
    expect(answer).toMatch(/^HTTP\/1\.1 403 [^]*connection: close[^]*SignatureDoesNotMatch[^]*<\/Error>$/i);
  });

  test('is waited for only once it is wanted', async () => {
    const { connect, key } = await start();
    const refused = await connect();
    refused.send(...put({ ...key, secretKey: 'another' }, 'a', 1 << 30, 'Expect: 100-continue'));
    expect(await refused.ended()).toMatch(/^HTTP\/1\.1 403 /);
    const wanted = await connect();
    wanted.send(...put(key, 'a', 5, 'Expect: 100-continue'));
    await wanted.until(/^HTTP\/1\.1 100 Continue/);
    wanted.send('hello');
    expect(await wanted.until(/200 OK[^]*\r\n\r\n/)).toMatch(/etag: "5d41402abc4b2a76b9719d911017c592"/i);
  });

  // urllib3 1 says that it will wait, and sends what goes in chunks at once. Over TLS it then knows of nothing but a connection that ended.
  test('is read where it was refused, also of who said that it would wait', async () => {
    const { connect, key } = await start();
    const connection = await connect();
    const body = Buffer.alloc(12 << 20);
    connection.send(...put({ ...key, secretKey: 'another' }, 'a', body.length, 'Expect: 100-continue'));
    await new Promise<void>((resolve, reject) => {
      connection.socket.write(body, (error) => (error instanceof Error ? reject(error) : resolve()));
    });
    expect(await connection.ended()).toMatch(/^HTTP\/1\.1 403 [^]*SignatureDoesNotMatch[^]*<\/Error>$/);
  });

  test('is not stored where its framing breaks', async () => {
    const { connect, endpoint, key } = await start();
    const connection = await connect();
    const [line = '', host = ''] = put(key, 'broken', 0);
    connection.send(line, host, 'Transfer-Encoding: chunked', '', '5', 'hello', 'no length', '');
    await connection.ended();
    await expect(endpoint.client(key).send(new GetObjectCommand({ Bucket: 'photos', Key: 'broken' }))).rejects.toMatchObject({
      name: 'NoSuchKey',
    });
  });
});

test('a client that does not take its answer is not waited for', async () => {
  const { connect, endpoint, key, told } = await start({ idleMilliseconds: 300 });
  const body = Buffer.alloc(48 << 20, 'skerry');
  await endpoint.client(key).send(new PutObjectCommand({ Bucket: 'photos', Key: 'large', Body: body }));
  const connection = await connect();
  connection.socket.pause();
  connection.send(`GET ${presignedTarget(key, 'GET', '/photos/large')} HTTP/1.1`, 'Host: localhost', '', '');
  const record = await told(({ operation }) => operation === 'GetObject');
  expect(record).toMatchObject({ aborted: true, status: 200 });
  expect(record.bytesOut).toBeLessThan(body.length);
});

test('answers of many pieces to requests that were sent together come whole, one after the other', async () => {
  const { connect, endpoint, key } = await start();
  const bytes = (2 << 20) + 5;
  for (const name of ['a', 'b'])
    await endpoint.client(key).send(new PutObjectCommand({ Bucket: 'photos', Key: name, Body: Buffer.alloc(bytes, name) }));
  const connection = await connect();
  for (const name of ['a', 'b', 'a'])
    connection.send(`GET ${presignedTarget(key, 'GET', `/photos/${name}`)} HTTP/1.1`, 'Host: localhost', '', '');
  connection.send(`GET ${presignedTarget(key, 'GET', '/photos/none')} HTTP/1.1`, 'Host: localhost', '', '');
  const text = await connection.until(/<\/Error>$/);
  const bodies = text.split('\r\n\r\n').map((part) => part.replace(/HTTP\/1\.1 [^]*$/, ''));
  expect(bodies.slice(1, 4).map((body) => [body.length, new Set(body)])).toEqual(
    ['a', 'b', 'a'].map((name) => [bytes, new Set([name])]),
  );
});

test('a large object that cannot be read to its end ends the connection', async () => {
  const { connect, endpoint, key, told } = await start();
  const body = Buffer.alloc(6 << 20, 'skerry');
  await endpoint.client(key).send(new PutObjectCommand({ Bucket: 'photos', Key: 'large', Body: body }));
  const connection = await connect();
  const { shelves } = endpoint.world;
  const { reads } = shelves;
  const read = shelves.read.bind(shelves);
  shelves.read = async (...place) => {
    // Behind those that are read before anything is sent.
    if (shelves.reads === reads + 4) throw new SkerryError('corrupt', 'a page is damaged');
    return read(...place);
  };
  connection.send(`GET ${presignedTarget(key, 'GET', '/photos/large')} HTTP/1.1`, 'Host: localhost', '', '');
  await connection.ended();
  expect(await told(({ operation }) => operation === 'GetObject')).toMatchObject({ aborted: true, status: 200 });
  expect(endpoint.complaints.splice(0)).toEqual([expect.stringContaining('a page is damaged')]);
});

test('a small object that cannot be read is an error that says so, and the connection goes on', async () => {
  const { connect, endpoint, key, told } = await start();
  await endpoint.client(key).send(new PutObjectCommand({ Bucket: 'photos', Key: 'a', Body: 'hello' }));
  const get = [`GET ${presignedTarget(key, 'GET', '/photos/a')} HTTP/1.1`, 'Host: localhost', '', ''];
  const connection = await connect();
  endpoint.world.shelves.readFaults.push(new SkerryError('corrupt', 'a page is damaged'));
  connection.send(...get);
  expect(await connection.until(/<\/Error>/)).toMatch(/^HTTP\/1\.1 500 [^]*<Code>InternalError<\/Code>/);
  expect(endpoint.complaints.splice(0)).toEqual([expect.stringContaining('a page is damaged')]);
  connection.send(...get);
  await connection.until(/200 OK[^]*hello$/);
  expect(await told(({ operation, status }) => operation === 'GetObject' && status === 200)).toMatchObject({ bytesOut: 5 });
});

test.each([5, 6 << 20])(
  'an object of %i bytes whose pool is not open is to be asked for again, and never said to be none',
  async (bytes) => {
    const { connect, endpoint, key, told } = await start();
    const body = Buffer.alloc(bytes, 'skerry');
    await endpoint.client(key).send(new PutObjectCommand({ Bucket: 'photos', Key: 'a', Body: body }));
    const get = [`GET ${presignedTarget(key, 'GET', '/photos/a')} HTTP/1.1`, 'Host: localhost', '', ''];
    const connection = await connect();
    // As the engine has it.
    endpoint.world.shelves.readFaults.push(...Array.from({ length: 3 }, () => new SkerryError('not-found', 'no resource 1')));
    connection.send(...get);
    expect(await connection.until(/<\/Error>/)).toMatch(/^HTTP\/1\.1 503 [^]*<Code>ServiceUnavailable<\/Code>/);
    expect(endpoint.complaints.splice(0).join()).toMatch(/shelf 1 cannot be reached, for its pool is not open/);
    endpoint.world.shelves.readFaults.length = 0;
    connection.send(...get);
    await connection.until(/200 OK/);
    expect(await told(({ operation, status }) => operation === 'GetObject' && status === 200)).toMatchObject({ bytesOut: bytes });
  },
);

describe('bounds', () => {
  test('of requests at once are told by SlowDown', async () => {
    const { connect, key } = await start({ requestsMax: 1 });
    const first = await connect();
    first.send(...put(key, 'a', 5, 'Expect: 100-continue'));
    await first.until(/100 Continue/);
    const second = await connect();
    second.send(...list);
    expect(await second.until(/<\/Error>/)).toMatch(/^HTTP\/1\.1 503 [^]*<Code>SlowDown<\/Code>/);
    first.send('hello');
    await first.until(/200 OK/);
    second.send(...list);
    await second.until(/<Code>AccessDenied<\/Code>/);
  });

  test('of memory make uploads wait in line, and are told by SlowDown to those who wait too long', async () => {
    const { connect, key } = await start({ bufferBytesMax: 1 << 20, bufferWaitMilliseconds: 200 });
    const first = await connect();
    first.send(...put(key, 'a', 1 << 20, 'Expect: 100-continue'));
    await first.until(/100 Continue/);
    const second = await connect();
    second.send(...put(key, 'b', 1 << 20, 'Expect: 100-continue'));
    expect(await second.ended()).toMatch(/^HTTP\/1\.1 503 [^]*<Code>SlowDown<\/Code>/);
    first.vanish();
    const third = await connect();
    third.send(...put(key, 'c', 1 << 20, 'Expect: 100-continue'));
    await third.until(/100 Continue/);
    third.vanish();
  });

  test('of an account hold for it alone', async () => {
    const { endpoint, key, records } = await start({ requestsPerSecond: 2 });
    const bob = await endpoint.account('bob');
    const ask = async (who: NewAccessKey): Promise<void> => {
      await endpoint
        .client(who)
        .send(new GetObjectCommand({ Bucket: 'photos', Key: 'a' }))
        .catch(() => undefined);
    };
    await Promise.all(Array.from({ length: 12 }, () => ask(key)));
    await ask(bob);
    const codes = records.map(({ code, principal }) => `${principal?.accountName} ${code}`);
    expect(codes).toContain('alice SlowDown');
    expect(codes).toContain('bob AccessDenied');
  });
});

test('a request under way is answered before the server is closed', async () => {
  const { connect, endpoint, key } = await start();
  const connection = await connect();
  connection.send(...put(key, 'a', 5, 'Expect: 100-continue'));
  await connection.until(/100 Continue/);
  const closed = endpoint.server.close();
  connection.send('hello');
  await connection.until(/200 OK/);
  await closed;
  await expect(connect()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

test('over TLS, and with another certificate from the next connection on', async () => {
  const authority = await Authority.make(join(temporaryDirectory(), 'ca'), 'Skerry');
  const material = async (name: string) => {
    const { certificate, key } = await authority.issue(name, ['DNS:localhost']);
    return { certificate: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') };
  };
  const endpoint = await S3Endpoint.start({ tls: await material('first') });
  onTestFinished(() => endpoint.stop());
  const trusted = readFileSync(authority.certificate, 'utf8');
  const served = async (): Promise<string> => {
    const connection = await RawConnection.open(endpoint.address, trusted);
    connection.send(...list);
    await connection.until(/<Code>AccessDenied<\/Code>/);
    const name = (connection.socket as TLSSocket).getPeerCertificate().subject.CN;
    connection.vanish();
    return String(name);
  };
  expect(await served()).toBe('first');
  endpoint.server.useCertificate(await material('second'));
  expect(await served()).toBe('second');
  expect(() => endpoint.server.useCertificate({ certificate: 'none', key: 'none' })).toThrow();
  expect(await served()).toBe('second');
  const plain = await RawConnection.open(endpoint.address);
  plain.send(...list);
  expect(await plain.ended()).not.toContain('<Code>');
});

test('readers who sign nothing and take nothing keep nobody else from reading', async () => {
  const { connect, endpoint, key } = await start({ bufferBytesMax: 16 << 20, bufferWaitMilliseconds: 100 });
  const alice = endpoint.client(key);
  const Body = Buffer.alloc(32 << 20, 'x');
  await alice.send(new PutObjectCommand({ Bucket: 'photos', Key: 'public', Body }));
  const Statement = [{ Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: 'arn:aws:s3:::photos/*' }];
  await alice.send(
    new PutBucketPolicyCommand({ Bucket: 'photos', Policy: JSON.stringify({ Version: '2012-10-17', Statement }) }),
  );
  const slow = await Promise.all(Array.from({ length: 8 }, () => connect()));
  for (const each of slow) {
    each.send('GET /photos/public HTTP/1.1', 'Host: localhost', '', '');
    await each.until(/HTTP\/1\.1 (?:200|503)/);
    each.socket.pause();
  }
  const { Body: got } = await alice.send(new GetObjectCommand({ Bucket: 'photos', Key: 'public' }));
  expect((await got!.transformToByteArray()).length).toBe(Body.length);
  for (const each of slow) each.vanish();
});
