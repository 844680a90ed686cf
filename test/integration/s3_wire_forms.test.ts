/** A real daemon that serves S3: bodies whose chunks are signed, and buckets by the name of the host. */
import { randomBytes } from 'node:crypto';
import { lookup } from 'node:dns';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { LookupFunction } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  CopyObjectCommand,
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { Authority } from '../harness/certificates.ts';
import { S3Requests } from '../harness/s3_requests.ts';
import { sdkClient, serving, type Serving } from '../harness/s3_serving.ts';

const domain = 's3.example.org';

let scratch: string;
let authority: Authority;
beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-s3-'));
  authority = await Authority.make(join(scratch, 'ca'), 'Skerry');
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const bodyOf = async (client: S3Client, Bucket: string, Key: string): Promise<Buffer> => {
  const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
};

describe('chunks that are signed', () => {
  let world: Serving;
  let requests: S3Requests;
  beforeAll(async () => {
    world = await serving();
    requests = new S3Requests(world.endpoint.slice('http://'.length), world.key);
    await sdkClient(world).send(new CreateBucketCommand({ Bucket: 'signed' }));
  });
  afterAll(() => world.daemon.destroy());

  test.each([
    ['an empty body', []],
    ['one of a few bytes', [5]],
    ['one of many chunks', [65_536, 8192, 131_072, 70_000, 1]],
  ])('%s is stored as it was', async (_, sizes) => {
    const chunks = sizes.map((size) => randomBytes(size));
    const answer = await requests.sendChunks('/signed/a', chunks);
    expect([answer.status, answer.body]).toEqual([200, '']);
    const stored = await bodyOf(sdkClient(world), 'signed', 'a');
    expect(stored.equals(Buffer.concat(chunks))).toBe(true);
  });

  test('a chunk that was changed on its way leaves what was there before', async () => {
    const client = sdkClient(world);
    const before = randomBytes(1000);
    await client.send(new PutObjectCommand({ Bucket: 'signed', Key: 'b', Body: before }));
    const spoil = (chunk: Uint8Array): Uint8Array => chunk.map((byte, at) => (at === 70 ? byte ^ 1 : byte));
    const answer = await requests.sendChunks('/signed/b', [randomBytes(65_536), randomBytes(100)], spoil);
    expect([answer.status, answer.body]).toEqual([403, expect.stringContaining('SignatureDoesNotMatch')]);
    expect((await bodyOf(client, 'signed', 'b')).equals(before)).toBe(true);
  });
});

describe.each(['http', 'https'])('buckets by host, over %s', (scheme) => {
  let world: Serving;
  let client: S3Client;
  beforeAll(async () => {
    const issued = scheme === 'https' ? await authority.issue('hosts', [`DNS:${domain}`, `DNS:*.${domain}`]) : null;
    world = await serving({
      s3Domains: domain,
      ...(issued === null ? {} : { s3TlsCertificate: issued.certificate, s3TlsKey: issued.key }),
    });
    const address = new URL(world.endpoint);
    // Whatever name is asked for, it is here.
    const here: LookupFunction = (_, options, callback) => lookup(address.hostname, options, callback);
    const trust = { lookup: here, ca: readFileSync(authority.certificate) };
    client = sdkClient(
      { endpoint: `${scheme}://${domain}:${address.port}`, key: world.key },
      {
        forcePathStyle: false,
        requestHandler: { httpAgent: new HttpAgent({ lookup: here }), httpsAgent: new HttpsAgent(trust) },
      },
    );
  });
  afterAll(() => world.daemon.destroy());

  test('are made, written, copied, listed and read, and are those that paths name', async () => {
    const data = randomBytes(300_000);
    const hosts = new Set<string>();
    client.middlewareStack.add(
      (next) => (wire) => {
        hosts.add((wire.request as { hostname: string }).hostname);
        return next(wire);
      },
      { step: 'finalizeRequest' },
    );
    await client.send(new CreateBucketCommand({ Bucket: 'photos' }));
    await client.send(new PutObjectCommand({ Bucket: 'photos', Key: 'a b/ü+', Body: data }));
    await client.send(new CopyObjectCommand({ Bucket: 'photos', Key: 'copy', CopySource: 'photos/a%20b/%C3%BC%2B' }));
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: 'photos' }));
    expect(Contents.map(({ Key }) => Key)).toEqual(['a b/ü+', 'copy']);
    expect((await bodyOf(client, 'photos', 'copy')).equals(data)).toBe(true);
    expect([...hosts]).toEqual([`photos.${domain}`]);
    if (scheme === 'http') expect((await bodyOf(sdkClient(world), 'photos', 'a b/ü+')).equals(data)).toBe(true);
  });
});
