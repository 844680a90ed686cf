/** One resource: what S3 clients put is a disk, over a real daemon. */
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { NewKeyView, PoolView, PublicationView, ResourceView } from '../../src/api/shapes.js';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { pattern } from '../harness/object_world.ts';

const MiB = 1 << 20;
const Bucket = 'images';
let daemon: DaemonProcess;
let client: S3Client;

beforeEach(async () => {
  daemon = new DaemonProcess({ config: { s3Listen: '127.0.0.1:0' } });
  await daemon.start();
  await daemon.json('account', 'create', 'acme');
  await connect();
  await client.send(new CreateBucketCommand({ Bucket }));
});
afterEach(async () => {
  client.destroy();
  await daemon.destroy();
});

async function connect(): Promise<void> {
  const { accessKey, secretKey } = await daemon.json<NewKeyView>('key', 'create', 'acme');
  client = new S3Client({
    endpoint: `http://${daemon.ready?.listeners['s3']}`,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
  });
}

async function put(Key: string, Body: Uint8Array): Promise<void> {
  await client.send(new PutObjectCommand({ Bucket, Key, Body }));
}

async function sumOf(source: string): Promise<string> {
  const path = join(daemon.directory, 'exported.raw');
  await daemon.json('image', 'export', source, path, '--force');
  const found = sum(readFileSync(path));
  rmSync(path);
  return found;
}

const sum = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');

it('an object is a volume, which shares its blocks and survives it', async () => {
  const data = pattern(24 * MiB, 1);
  await put('debian.raw', data);
  const made = await daemon.json<ResourceView>('volume', 'create', 'vm1', '--from', 's3://images/debian.raw');
  expect(made).toMatchObject({ name: 'vm1', sizeBytes: data.length, parent: 's3://images/debian.raw', pool: 'default' });
  const before = (await daemon.json<PoolView>('pool', 'show', 'default')).storedBytes;
  await daemon.json('clone', 's3://images/debian.raw', 'vm2');
  const after = (await daemon.json<PoolView>('pool', 'show', 'default')).storedBytes;
  expect(after - before).toBeLessThan(MiB);
  expect(await sumOf('vm1')).toBe(sum(data));
  expect(await sumOf('vm2')).toBe(sum(data));
  await daemon.kill('SIGKILL');
  await daemon.start();
  expect(await sumOf('vm1')).toBe(sum(data));
});

it.each([
  ['whole blocks', 2 * MiB],
  ['blocks and a rest that is copied', 2 * MiB + 5000],
])('a volume with durability pool is made of %s', async (_what, bytes) => {
  const data = pattern(bytes, 3);
  await put('ledger.raw', data);
  const from = ['--from', 's3://images/ledger.raw', '--durability', 'pool'];
  const made = await daemon.json<ResourceView>('volume', 'create', 'ledger', ...from);
  expect(made).toMatchObject({ durability: 'pool', sizeBytes: Math.ceil(bytes / 4096) * 4096 });
  const whole = Buffer.concat([data, Buffer.alloc(made.sizeBytes - bytes)]);
  expect(await sumOf('ledger')).toBe(sum(whole));
  await daemon.kill('SIGKILL');
  await daemon.start();
  expect(await sumOf('ledger')).toBe(sum(whole));
});

it('what names no object is refused with words', async () => {
  const refused = (source: string) => daemon.cli('volume', 'create', 'vm1', '--from', source);
  expect(await refused('s3://images/absent')).toMatchObject({ code: 3 });
  expect(await refused('s3://nowhere/absent')).toMatchObject({ code: 3 });
  expect(await daemon.json('volume', 'list')).toEqual([]);
});

async function got(bucket: string, Key: string, Range?: string): Promise<Buffer> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key, ...(Range === undefined ? {} : { Range }) }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
}

/** What is published follows on its own; the runner's limit is the test's. */
async function shown(bucket: string, Key: string): Promise<number | undefined> {
  for (;;) {
    try {
      return (await client.send(new HeadObjectCommand({ Bucket: bucket, Key }))).ContentLength;
    } catch (error) {
      if ((error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode !== 404) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

it('an imported image and the snapshots of a volume are objects, and stay so after kill -9', async () => {
  const data = pattern(5 * MiB, 2);
  const path = join(daemon.directory, 'source.raw');
  writeFileSync(path, data);
  await daemon.json('publication', 'create', '--account', 'acme', '--images', '--bucket', 'gallery');
  await daemon.json('image', 'import', path, 'debian.raw');
  expect(await shown('gallery', 'debian.raw')).toBe(data.length);
  expect(sum(await got('gallery', 'debian.raw'))).toBe(sum(data));
  await daemon.json('clone', 'debian.raw', 'vm1');
  await daemon.json('publication', 'create', '--account', 'acme', '--volume', 'vm1');
  await daemon.json('snapshot', 'create', 'vm1@monday');
  expect(await shown('volume-vm1', 'monday')).toBe(data.length);
  expect(Buffer.compare(await got('volume-vm1', 'monday', 'bytes=4096-69631'), data.subarray(4096, 69_632))).toBe(0);
  const before = (await daemon.json<PoolView>('pool', 'show', 'default')).storedBytes;
  await client.send(new CopyObjectCommand({ Bucket, Key: 'copy.raw', CopySource: 'volume-vm1/monday' }));
  expect((await daemon.json<PoolView>('pool', 'show', 'default')).storedBytes).toBe(before);
  const denied = client.send(new PutObjectCommand({ Bucket: 'volume-vm1', Key: 'monday', Body: 'x' }));
  await expect(denied).rejects.toMatchObject({ name: 'AccessDenied' });
  await daemon.kill('SIGKILL');
  client.destroy();
  await daemon.start();
  await connect();
  await daemon.json('snapshot', 'delete', 'vm1@monday');
  await daemon.json('publication', 'delete', 'volume-vm1');
  expect(sum(await got(Bucket, 'copy.raw'))).toBe(sum(data));
  expect(sum(await got('gallery', 'debian.raw'))).toBe(sum(data));
});

it('a snapshot that is larger than any put is copied as a whole', async () => {
  await daemon.json('volume', 'create', 'large', '--size', '20G');
  await daemon.json('publication', 'create', '--account', 'acme', '--volume', 'large');
  await daemon.json('snapshot', 'create', 'large@monday');
  expect(await shown('volume-large', 'monday')).toBe(20 * 1024 * MiB);
  await client.send(new CopyObjectCommand({ Bucket, Key: 'large.raw', CopySource: 'volume-large/monday' }));
  expect(await shown(Bucket, 'large.raw')).toBe(20 * 1024 * MiB);
  expect((await got(Bucket, 'large.raw', `bytes=${20 * 1024 * MiB - 10}-`)).length).toBe(10);
});

it('an imported image is an object of the account and bucket that are named, beside what is there', async () => {
  const data = pattern(3 * MiB, 3);
  const path = join(daemon.directory, 'source.raw');
  writeFileSync(path, data);
  await daemon.json('account', 'create', 'other');
  await put('notes', data.subarray(0, 100));
  await daemon.json('image', 'import', path, 'debian', '--account', 'acme', '--bucket', Bucket);
  await daemon.json('image', 'import', path, 'alpine', '--account', 'acme', '--bucket', 'appliances');
  expect(await shown(Bucket, 'debian')).toBe(data.length);
  expect(await shown('appliances', 'alpine')).toBe(data.length);
  expect(sum(await got(Bucket, 'debian'))).toBe(sum(data));
  expect(await shown(Bucket, 'notes')).toBe(100);
  const others = await daemon.cli('image', 'import', path, 'third', '--account', 'other', '--bucket', Bucket);
  expect([others.code, others.stderr]).toEqual([1, expect.stringContaining('is another account')]);
});

it('a publication follows its volume to another pool, and leaves nothing in the old one', async () => {
  const data = pattern(4 * MiB, 7);
  await put('debian.raw', data);
  await daemon.json('pool', 'create', 'second', '--driver', 'local', '--set', `directory=${join(daemon.directory, 'second')}`);
  await daemon.json('volume', 'create', 'vm1', '--from', 's3://images/debian.raw');
  await daemon.json('snapshot', 'create', 'vm1@monday');
  await daemon.json('publication', 'create', '--account', 'acme', '--volume', 'vm1');
  expect(await shown('volume-vm1', 'monday')).toBe(data.length);
  await daemon.json('volume', 'move', 'vm1', '--pool', 'second');
  const follows = async (): Promise<boolean> => {
    const [publication] = await daemon.json<PublicationView[]>('publication', 'list');
    return publication?.pool === 'second';
  };
  while (!(await follows())) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(await shown('volume-vm1', 'monday')).toBe(data.length);
  expect(sum(await got('volume-vm1', 'monday'))).toBe(sum(data));
  await daemon.json('pool', 'gc', 'default');
  expect(sum(await got('volume-vm1', 'monday'))).toBe(sum(data));
});

it('an upload of many parts is a disk right after it was completed', async () => {
  const parts = [16 * MiB, 16 * MiB, 9 * MiB + 4096].map((bytes, index) => pattern(bytes, index + 5));
  const name = { Bucket, Key: 'parts.raw' };
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(name));
  const Parts = [];
  for (const [index, Body] of parts.entries()) {
    const { ETag } = await client.send(new UploadPartCommand({ ...name, UploadId, PartNumber: index + 1, Body }));
    Parts.push({ ETag, PartNumber: index + 1 });
  }
  await client.send(new CompleteMultipartUploadCommand({ ...name, UploadId, MultipartUpload: { Parts } }));
  await daemon.json('volume', 'create', 'vm1', '--from', 's3://images/parts.raw');
  const before = (await daemon.json<PoolView>('pool', 'show', 'default')).storedBytes;
  await daemon.json('volume', 'create', 'vm2', '--from', 's3://images/parts.raw');
  expect((await daemon.json<PoolView>('pool', 'show', 'default')).storedBytes - before).toBeLessThan(MiB);
  expect(await sumOf('vm2')).toBe(sum(Buffer.concat(parts)));
});
