/** A real daemon that tells a webhook of changes: as the command of AWS sets it up, signed, and over kill -9. */
import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import {
  CreateBucketCommand,
  DeleteObjectCommand,
  PutBucketNotificationConfigurationCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterEach, expect, test } from 'vitest';

import type { NewKeyView } from '../../src/api/shapes.js';
import { awsProgram } from '../harness/aws_command.ts';
import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { smallSettings } from '../harness/small_settings.ts';
import { WebhookReceiver, type Got } from '../harness/webhook_receiver.ts';

const bucket = 'watched';
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

async function receiver(): Promise<WebhookReceiver> {
  const hook = await new WebhookReceiver().start();
  closing.push(() => hook.stop());
  return hook;
}

async function serving(s3Webhooks: Readonly<Record<string, unknown>>) {
  const daemon = new DaemonProcess({ config: { ...smallSettings, s3Webhooks } });
  closing.push(() => daemon.destroy());
  await daemon.start();
  await daemon.ok('account', 'create', 'alice');
  const key = await daemon.json<NewKeyView>('key', 'create', 'alice');
  await client(daemon, key).send(new CreateBucketCommand({ Bucket: bucket }));
  return { daemon, key };
}

function client(of: DaemonProcess, key: NewKeyView): S3Client {
  return new S3Client({
    endpoint: `http://${of.ready?.listeners['s3']}`,
    region: 'us-east-1',
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId: key.accessKey, secretAccessKey: key.secretKey },
  });
}

interface Told {
  readonly Event?: string;
  readonly Records?: readonly { readonly eventName: string; readonly s3: { readonly object: { readonly key: string } } }[];
}

/** `NAME KEY` of each message; the same may come again. */
function eventsOf(got: readonly Got[]): string[] {
  return got.map(({ body }) => {
    const { Event, Records } = JSON.parse(body) as Told;
    return Event ?? (Records ?? []).map(({ eventName, s3 }) => `${eventName} ${s3.object.key}`).join();
  });
}

test('the command of AWS sets it up, and messages come signed', async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'skerry-hooks-'));
  closing.push(async () => rmSync(scratch, { recursive: true, force: true }));
  const secretFile = join(scratch, 'secret');
  const secret = Buffer.from('a secret of 24 bytes ...');
  writeFileSync(secretFile, `whsec_${secret.toString('base64')}\n`, { mode: 0o600 });
  const hook = await receiver();
  const { daemon, key } = await serving({ indexer: { url: hook.url, secretFile } });
  const program = await awsProgram();
  const aws = (...words: readonly string[]): Promise<string> =>
    must(program, ['--endpoint-url', `http://${daemon.ready?.listeners['s3']}`, ...words], {
      env: {
        HOME: scratch,
        AWS_ACCESS_KEY_ID: key.accessKey,
        AWS_SECRET_ACCESS_KEY: key.secretKey,
        AWS_DEFAULT_REGION: 'us-east-1',
        AWS_EC2_METADATA_DISABLED: 'true',
      },
    });
  const rules = {
    QueueConfigurations: [
      {
        Id: 'images',
        QueueArn: 'arn:aws:sqs:us-east-1::indexer',
        Events: ['s3:ObjectCreated:*', 's3:ObjectRemoved:*'],
        Filter: { Key: { FilterRules: [{ Name: 'suffix', Value: '.jpg' }] } },
      },
    ],
  };
  const configuration = ['--notification-configuration', JSON.stringify(rules)];
  await aws('s3api', 'put-bucket-notification-configuration', '--bucket', bucket, ...configuration);
  expect(JSON.parse(await aws('s3api', 'get-bucket-notification-configuration', '--bucket', bucket))).toEqual(rules);
  await hook.posts(1);
  for (const name of ['a.jpg', 'b.png']) await aws('s3', 'cp', '--no-progress', secretFile, `s3://${bucket}/${name}`);
  await aws('s3', 'rm', `s3://${bucket}/a.jpg`);
  await hook.posts(3);
  expect(eventsOf(hook.got).toSorted()).toEqual(['ObjectCreated:Put a.jpg', 'ObjectRemoved:Delete a.jpg', 's3:TestEvent']);
  for (const { headers, body } of hook.got) {
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
    expect(headers['webhook-signature']).toBe(`v1,${createHmac('sha256', secret).update(signed).digest('base64')}`);
  }
  const metrics = (): Promise<string> => fetch(`http://${daemon.ready?.listeners['http']}/metrics`).then((all) => all.text());
  const sent = 'skerry_s3_notices_total{webhook="indexer",outcome="sent"} 3';
  // It is counted a moment after the last was taken.
  while (!(await metrics()).includes(sent)) await sleep(20);
  expect(await metrics()).toContain('skerry_s3_notices_waiting{webhook="indexer"} 0');
});

test('of what a daemon acknowledged before kill -9 every event comes, whether the webhook was there or not', async () => {
  const hook = await receiver();
  const { daemon, key } = await serving({ indexer: { url: hook.url } });
  const QueueConfigurations = [
    { QueueArn: 'arn:aws:sqs:us-east-1::indexer', Events: ['s3:ObjectCreated:*', 's3:ObjectRemoved:*'] },
  ];
  const command = { Bucket: bucket, NotificationConfiguration: { QueueConfigurations }, SkipDestinationValidation: true };
  await client(daemon, key).send(new PutBucketNotificationConfigurationCommand(command as never));
  const asked = new Set<string>();
  const acknowledged: string[] = [];
  let next = 0;
  let over = false;
  const work = async (s3: S3Client): Promise<void> => {
    for (;;) {
      next += 1;
      const Key = `key-${next}`;
      try {
        asked.add(`ObjectCreated:Put ${Key}`);
        await s3.send(new PutObjectCommand({ Bucket: bucket, Key, Body: Key }));
        acknowledged.push(`ObjectCreated:Put ${Key}`);
        if (next % 3 !== 0) continue;
        asked.add(`ObjectRemoved:Delete ${Key}`);
        await s3.send(new DeleteObjectCommand({ Bucket: bucket, Key }));
        acknowledged.push(`ObjectRemoved:Delete ${Key}`);
      } catch (error) {
        // It was killed; nothing else may end the work.
        if (!over) throw error;
        return;
      }
    }
  };
  for (let life = 0; life < 4; life += 1) {
    // In every other life the webhook is not there.
    if (life % 2 === 1) await hook.stop();
    const before = acknowledged.length;
    over = false;
    const s3 = client(daemon, key);
    const working = Promise.all(Array.from({ length: 4 }, () => work(s3)));
    while (acknowledged.length < before + 40) await Promise.race([sleep(10), working]);
    over = true;
    await daemon.kill();
    await working;
    if (life % 2 === 1) await hook.start();
    await daemon.start();
  }
  const missing = (): string[] => {
    const got = new Set(eventsOf(hook.got));
    return acknowledged.filter((event) => !got.has(event));
  };
  while (missing().length > 0) await sleep(50);
  expect(eventsOf(hook.got).filter((event) => !asked.has(event))).toEqual([]);
  expect(acknowledged.length).toBeGreaterThan(150);
});
