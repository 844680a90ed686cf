/** The daemon is killed under clients of S3 that put, copy, remove and upload in parts: nothing acknowledged is lost, nothing is half there. */
import { setTimeout as sleep } from 'node:timers/promises';

import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { afterEach, describe, expect, it } from 'vitest';

import type { NewKeyView, QuotaView } from '../../src/api/shapes.js';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { ObjectTorture } from '../harness/object_torture.ts';
import { smallSettings } from '../harness/small_settings.ts';

const bucket = 'tortured';

/** A small generator, so that a failing run can be repeated. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

let daemon: DaemonProcess | null = null;
afterEach(async () => {
  await daemon?.destroy();
  daemon = null;
});

function client(of: DaemonProcess, key: NewKeyView): S3Client {
  return new S3Client({
    endpoint: `http://${of.ready?.listeners['s3']}`,
    region: 'us-east-1',
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId: key.accessKey, secretAccessKey: key.secretKey },
  });
}

describe.each([
  ['killed', false],
  ['without its ring after each kill, as power loss leaves it', true],
])('a daemon that is %s', (_what, power) => {
  it('has every object that it acknowledged, whole, and counts what it has', async () => {
    daemon = new DaemonProcess({ config: { ...smallSettings, gcSeconds: 2 } });
    await daemon.start();
    await daemon.ok('account', 'create', 'alice');
    const key = await daemon.json<NewKeyView>('key', 'create', 'alice');
    await client(daemon, key).send(new CreateBucketCommand({ Bucket: bucket }));
    const random = dice(power ? 20261123 : 20261124);
    const torture = new ObjectTorture({ bucket, clients: 6, random });
    for (let life = 0; life < 8; life += 1) {
      const before = torture.acknowledged;
      const working = torture.work(client(daemon, key));
      while (torture.acknowledged === before) await sleep(20);
      await sleep(200 + random() * 1500);
      await daemon.kill();
      await working;
      if (power) daemon.wipeRing();
      await daemon.start();
      expect(await torture.check(client(daemon, key))).toEqual([]);
    }
    await torture.clear(client(daemon, key));
    expect(await daemon.json<QuotaView>('quota', 'alice')).toMatchObject({ logicalBytes: 0, objects: 0 });
  });
});
