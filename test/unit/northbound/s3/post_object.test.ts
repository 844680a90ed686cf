import { createHash, createHmac } from 'node:crypto';
import { request } from 'node:http';
import { setImmediate } from 'node:timers/promises';

import {
  CreateBucketCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutBucketNotificationConfigurationCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';

import type { NewAccessKey } from '../../../../src/identity/access_keys.ts';
import type { RequestRecord } from '../../../../src/northbound/s3/request_record.ts';
import { S3Endpoint } from '../../../harness/s3_endpoint.ts';

let endpoint: S3Endpoint;
let key: NewAccessKey;
const records: RequestRecord[] = [];
let alice: S3Client;
const Bucket = 'forms';

beforeAll(async () => {
  endpoint = await S3Endpoint.start({ webhooks: ['indexer'], onRequest: (record) => void records.push(record) });
  key = await endpoint.account('alice');
  alice = endpoint.client(key);
  await alice.send(new CreateBucketCommand({ Bucket }));
});
afterAll(async () => {
  expect(endpoint.complaints).toEqual([]);
  await endpoint.stop();
});

/** A form as a browser posts it, signed, with a policy that allows its fields. */
function post(fields: Readonly<Record<string, string>>, file: string, sizeMax = 1000): Promise<Response> {
  return postBy(endpoint.address, key, fields, file, sizeMax);
}

async function postBy(
  address: string,
  { accessKey, secretKey }: Pick<NewAccessKey, 'accessKey' | 'secretKey'>,
  fields: Readonly<Record<string, string>>,
  file: string,
  sizeMax = 1000,
): Promise<Response> {
  const conditions: unknown[] = [{ bucket: Bucket }, ['content-length-range', 0, sizeMax]];
  for (const name of Object.keys(fields)) conditions.push(['starts-with', `$${name}`, '']);
  const expiration = new Date(Date.now() + 60_000).toISOString();
  const policy = Buffer.from(JSON.stringify({ expiration, conditions })).toString('base64');
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  form.set('AWSAccessKeyId', accessKey);
  form.set('policy', policy);
  form.set('signature', createHmac('sha1', secretKey).update(policy).digest('base64'));
  form.set('file', new Blob([file], { type: 'text/plain' }), 'name.txt');
  return fetch(`http://${address}/${Bucket}`, { method: 'POST', body: form, redirect: 'manual' });
}

function postUnsigned(address: string): Promise<Response> {
  const form = new FormData();
  form.set('key', 'anonymous');
  form.set('file', new Blob(['x']), 'x');
  return fetch(`http://${address}/${Bucket}`, { method: 'POST', body: form });
}

describe('a form', () => {
  test('stores its file, with what its fields say', async () => {
    const tagging = '<Tagging><TagSet><Tag><Key>a b</Key><Value>+=</Value></Tag></TagSet></Tagging>';
    const sum = createHash('sha256').update('the file').digest('base64');
    const answer = await post(
      {
        key: 'dir/${filename}',
        acl: 'private',
        tagging,
        'x-amz-meta-of': 'grün',
        'Content-Type': 'text/x-form',
        'x-amz-checksum-sha256': sum,
        success_action_status: '201',
      },
      'the file',
    );
    expect(answer.status).toBe(201);
    const text = await answer.text();
    expect(text).toContain('<Key>dir/name.txt</Key>');
    expect(text).toContain(`<Location>http://${endpoint.address}/forms/dir/name.txt</Location>`);
    const got = await alice.send(new GetObjectCommand({ Bucket, Key: 'dir/name.txt', ChecksumMode: 'ENABLED' }));
    expect(await got.Body!.transformToString()).toBe('the file');
    expect(got).toMatchObject({
      ContentType: 'text/x-form',
      TagCount: 1,
      ChecksumSHA256: sum,
      Metadata: { of: Buffer.from('grün').toString('latin1') },
    });
  });

  test('is told to webhooks as a form, by who signed it', async () => {
    const QueueConfigurations = [{ QueueArn: 'arn:aws:sqs:us-east-1::indexer', Events: ['s3:ObjectCreated:Post' as const] }];
    const SkipDestinationValidation = true;
    const rules = { Bucket, NotificationConfiguration: { QueueConfigurations }, SkipDestinationValidation };
    await alice.send(new PutBucketNotificationConfigurationCommand(rules));
    await post({ key: 'told' }, 'the file');
    const [notice] = await endpoint.world.layer.notices.page('indexer', null, 10);
    expect(notice?.record).toMatchObject({ kind: 'form', key: 'told', bytes: 8, address: '127.0.0.1' });
    expect(notice?.record.requester).not.toBe('');
    await alice.send(new PutBucketNotificationConfigurationCommand({ Bucket, NotificationConfiguration: {} }));
  });

  test('is answered as it asks', async () => {
    expect((await post({ key: 'plain' }, 'x')).status).toBe(204);
    expect((await post({ key: 'plain', success_action_status: '200' }, 'x')).status).toBe(200);
    expect((await post({ key: 'plain', success_action_status: '404' }, 'x')).status).toBe(204);
    const redirected = await post({ key: 'plain', success_action_redirect: 'http://example.org/done?a=b' }, 'x');
    expect(redirected.status).toBe(303);
    const etag = createHash('md5').update('x').digest('hex');
    expect(redirected.headers.get('location')).toBe(`http://example.org/done?a=b&bucket=forms&key=plain&etag=%22${etag}%22`);
    expect((await post({ key: 'plain', success_action_redirect: 'no address' }, 'x')).status).toBe(204);
  });

  test('that is too large, or has another sum than it says, stores nothing', async () => {
    expect(await (await post({ key: 'large' }, 'x'.repeat(100), 99)).text()).toContain('<Code>EntityTooLarge</Code>');
    expect(await (await post({ key: 'large', 'x-amz-checksum-crc32': 'AAAAAA==' }, 'x')).text()).toContain(
      '<Code>BadDigest</Code>',
    );
    await expect(alice.send(new HeadObjectCommand({ Bucket, Key: 'large' }))).rejects.toMatchObject({
      $metadata: { httpStatusCode: 404 },
    });
  });

  test('that wants to append is refused', async () => {
    const answer = await post({ key: 'appended', 'x-amz-write-offset-bytes': '0' }, 'x');
    expect([answer.status, await answer.text()]).toEqual([
      501,
      expect.stringContaining('<Header>x-amz-write-offset-bytes</Header>'),
    ]);
  });

  test('that nobody signed is refused', async () => {
    expect((await postUnsigned(endpoint.address)).status).toBe(403);
  });

  test('is told of as by who signed it, and by nobody where the signature is bad', async () => {
    records.length = 0;
    await post({ key: 'told' }, 'the file');
    await postBy(endpoint.address, { ...key, secretKey: 'another' }, { key: 'told' }, 'the file');
    await postUnsigned(endpoint.address);
    // Each is told of when its answer was taken.
    while (records.length < 3) await setImmediate();
    expect(
      records.map(({ principal, scheme, authenticated, status }) => [principal?.accessKey, scheme, authenticated, status]),
    ).toEqual([
      [key.accessKey, 'v2-post', true, 204],
      [undefined, null, false, 403],
      [undefined, null, true, 403],
    ]);
  });

  test('counts for the rate of who signed it, and of nobody else', async () => {
    const limited = await S3Endpoint.start({ limits: { requestsPerSecond: 2 } });
    onTestFinished(() => limited.stop());
    const alices = await limited.account('alice');
    await limited.client(alices).send(new CreateBucketCommand({ Bucket }));
    const answers = await Promise.all(Array.from({ length: 12 }, () => postBy(limited.address, alices, { key: 'a' }, 'x')));
    expect(answers.map(({ status }) => status)).toContain(503);
    expect((await postUnsigned(limited.address)).status).toBe(403);
  });
});

describe('who signs nothing', () => {
  /** With node's own client, for fetch has headers of its own. */
  function raw(method: string, path: string, headers: Readonly<Record<string, string>> = {}): Promise<string> {
    const [host, port] = endpoint.address.split(':');
    return new Promise((resolve, reject) => {
      const sent = request({ host, port, method, path, headers }, (answer) => {
        const pieces: Buffer[] = [];
        answer.on('data', (piece: Buffer) => pieces.push(piece));
        answer.on('end', () => resolve(`${answer.statusCode} ${/<Code>(\w+)/.exec(Buffer.concat(pieces).toString())?.[1]}`));
      });
      sent.on('error', reject);
      sent.end();
    });
  }

  test('cannot say with which headers it is answered', async () => {
    expect(await raw('GET', `/${Bucket}/plain?response-content-type=text/html`)).toBe('400 InvalidRequest');
    expect(await raw('GET', `/${Bucket}/plain`)).toBe('403 AccessDenied');
    expect(await raw('PUT', `/${Bucket}/plain`)).toBe('403 AccessDenied');
    expect(await raw('POST', `/${Bucket}/plain?select&select-type=2`)).toBe('501 NotImplemented');
    expect(await raw('POST', `/${Bucket}/plain?restore`)).toBe('501 NotImplemented');
  });
});
