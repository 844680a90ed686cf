/** The daemon keeps under memoryBytesMax while it is written and read as fast as it goes: the short form of `npm run bench:memory`. */
import { randomBytes } from 'node:crypto';

import { CreateBucketCommand, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { S3Requests } from '../harness/s3_requests.ts';
import { sdkClient, serving } from '../harness/s3_serving.ts';

const MiB = 1 << 20;
/** All that the parts may take is just under it. */
const ceiling_mebibytes = 600;
const settings = {
  memoryBytesMax: `${ceiling_mebibytes}M`,
  ringBytes: '32M',
  segmentBytes: '16M',
  overlayBytesMax: '16M',
  nodeCacheBytesMax: '8M',
  blockCacheBytesMax: '8M',
  nbdBufferBytesMax: '64M',
};
let daemon: DaemonProcess;

beforeAll(async () => {
  daemon = new DaemonProcess({ config: settings });
  await daemon.start();
});

afterAll(async () => {
  await daemon.destroy();
});

it('holds no more than its ceiling while four connections write and read', async () => {
  await daemon.ok('volume', 'create', 'busy', '--size', '1G');
  const uri = await daemon.uri('busy');
  let most = 0;
  const watch = setInterval(() => (most = Math.max(most, daemon.heldBytes)), 50);
  const fio = [
    '--ioengine=nbd',
    `--uri=${uri}`,
    '--name=busy',
    '--numjobs=4',
    '--group_reporting',
    '--minimal',
    '--randrepeat=1',
  ];
  try {
    await must('fio', [...fio, '--rw=randwrite', '--bs=4k', '--iodepth=32', '--size=1G', '--io_size=96M']);
    await must('fio', [...fio, '--rw=randrw', '--bsrange=4k-1m', '--iodepth=16', '--size=1G', '--io_size=192M']);
  } finally {
    clearInterval(watch);
  }
  // It was under way while it was watched: the ring alone is touched whole.
  expect(most).toBeGreaterThan(32 * MiB);
  expect(most).toBeLessThan(ceiling_mebibytes * MiB);
  expect(await daemon.json('status')).toMatchObject({ healthy: true, problems: [] });
});

it('holds no more than that while objects come and go, several at once, in plain bodies and in chunks that are signed', async () => {
  const world = await serving(settings);
  const client = sdkClient(world, { maxAttempts: 5 });
  const requests = new S3Requests(world.endpoint.slice('http://'.length), world.key);
  const bytes = 96 * MiB;
  const data = randomBytes(bytes + 16 * 4099);
  // No two of them have a block in common.
  const bodyOf = (index: number): Buffer => data.subarray(index * 4099, index * 4099 + bytes);
  const chunksOf = (body: Buffer): Buffer[] =>
    Array.from({ length: body.length / MiB }, (_, index) => body.subarray(index * MiB, (index + 1) * MiB));
  let most = 0;
  const watch = setInterval(() => (most = Math.max(most, world.daemon.heldBytes)), 50);
  try {
    await client.send(new CreateBucketCommand({ Bucket: 'busy' }));
    const plain = [0, 1, 2, 3].map((index) =>
      client.send(new PutObjectCommand({ Bucket: 'busy', Key: `${index}`, Body: bodyOf(index) })),
    );
    const signed = [4, 5].map(async (index) => {
      const { status } = await requests.sendChunks(`/busy/${index}`, chunksOf(bodyOf(index)));
      expect(status).toBe(200);
    });
    await Promise.all([...plain, ...signed]);
    await Promise.all(
      [0, 1, 2, 3, 4, 5].map(async (index) => {
        const { Body } = await client.send(new GetObjectCommand({ Bucket: 'busy', Key: `${index}` }));
        expect(Buffer.from((await Body?.transformToByteArray()) ?? []).equals(bodyOf(index))).toBe(true);
      }),
    );
    expect(await world.daemon.json('status')).toMatchObject({ healthy: true, problems: [] });
  } finally {
    clearInterval(watch);
    client.destroy();
    await world.daemon.destroy();
  }
  expect(most).toBeGreaterThan(32 * MiB);
  expect(most).toBeLessThan(ceiling_mebibytes * MiB);
});
