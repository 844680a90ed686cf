/** A disk that is uploaded in parts boots right after it was completed, while others store objects in the same pool all the time. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  UploadPartCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { NewKeyView, PoolView } from '../../src/api/shapes.js';
import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { Guest, makeGuest } from '../harness/guest/guest.ts';
import { sdkClient } from '../harness/s3_serving.ts';

const MiB = 1 << 20;
const disk_bytes = 1024 * MiB;
const part_bytes = 16 * MiB;
const parts_at_once = 4;
const Bucket = 'images';
const Key = 'guest.raw';

let daemon: DaemonProcess;
let client: S3Client;
let scratch: string;
let guest: Guest | null = null;

beforeEach(async () => {
  await makeGuest();
  scratch = mkdtempSync(join(tmpdir(), 'skerry-s3-guest-'));
  daemon = new DaemonProcess({ config: { s3Listen: '127.0.0.1:0' } });
  await daemon.start();
  await daemon.ok('account', 'create', 'acme');
  const key = await daemon.json<NewKeyView>('key', 'create', 'acme');
  const options = { maxAttempts: 5, requestChecksumCalculation: 'WHEN_REQUIRED' } as const;
  client = sdkClient({ endpoint: `http://${daemon.ready?.listeners['s3']}`, key }, options);
  await client.send(new CreateBucketCommand({ Bucket }));
});
afterEach(async () => {
  guest?.kill();
  client.destroy();
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

/** A file system with eight files, their sums beside them as a guest's check wants them, and some more data. */
async function makeDisk(path: string): Promise<void> {
  writeFileSync(path, '');
  truncateSync(path, disk_bytes);
  await must('mkfs.ext4', ['-q', '-F', path]);
  const commands: string[] = [];
  const add = (name: string, data: Uint8Array | string): void => {
    writeFileSync(join(scratch, name), data);
    commands.push(`write ${join(scratch, name)} ${name}`);
  };
  for (let file = 0; file < 8; file += 1) {
    add(`f${file}`, randomBytes(256 * 1024));
    const sum = (await must('md5sum', [join(scratch, `f${file}`)])).slice(0, 32);
    add(`s${file}`, `${sum}\n`);
  }
  add('more', randomBytes(96 * MiB));
  writeFileSync(join(scratch, 'commands'), commands.join('\n'));
  await must('debugfs', ['-w', '-f', join(scratch, 'commands'), path]);
}

async function upload(path: string): Promise<void> {
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  const file = await open(path, 'r');
  const Parts: { PartNumber: number; ETag: string | undefined }[] = [];
  const numbers = Array.from({ length: disk_bytes / part_bytes }, (_, index) => index + 1);
  const sendParts = async (): Promise<void> => {
    for (let PartNumber = numbers.shift(); PartNumber !== undefined; PartNumber = numbers.shift()) {
      const Body = Buffer.alloc(part_bytes);
      await file.read(Body, 0, part_bytes, (PartNumber - 1) * part_bytes);
      const { ETag } = await client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }));
      Parts.push({ PartNumber, ETag });
    }
  };
  await Promise.all(Array.from({ length: parts_at_once }, sendParts));
  await file.close();
  const MultipartUpload = { Parts: Parts.toSorted((a, b) => a.PartNumber - b.PartNumber) };
  await client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload }));
}

it('a disk of a gigabyte boots right after its upload is completed, whatever others store', async () => {
  const path = join(scratch, 'disk.raw');
  await makeDisk(path);
  await upload(path);
  const end = new AbortController();
  const others = (async () => {
    for (let count = 0; !end.signal.aborted; count += 1)
      await client.send(new PutObjectCommand({ Bucket, Key: `other-${count % 4}`, Body: randomBytes(200_000) }));
  })();
  try {
    await daemon.ok('volume', 'create', 'vm1', '--from', `s3://${Bucket}/${Key}`);
  } finally {
    end.abort();
    await others;
  }
  guest = new Guest({ socketPath: join(daemon.directory, 'nbd.sock'), exportName: 'vm1', task: 'check' });
  expect(await guest.mark('CHECK-DONE')).toBe('CHECK-DONE seen=8 bad=0');
  await guest.ended();
  expect(guest.console).not.toMatch(/I\/O error|EXT4-fs error/);
  // Holes cost nothing, and what is there is there once.
  expect((await daemon.json<PoolView>('pool', 'show', 'default')).uniqueBytes).toBeLessThan(160 * MiB);
});
