/** Rules about who hears of what in a bucket, set and told over the wire, and the messages that come of them. */
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectTaggingCommand,
  DeleteObjectsCommand,
  GetBucketNotificationConfigurationCommand,
  HeadObjectCommand,
  PutBucketNotificationConfigurationCommand,
  PutBucketVersioningCommand,
  PutObjectAclCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  UploadPartCommand,
  type NotificationConfiguration,
  type QueueConfiguration,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import { idText } from '../../../../src/catalog/keys.js';
import type { NewAccessKey } from '../../../../src/identity/access_keys.js';
import { eventMessage } from '../../../../src/northbound/s3/event_message.js';
import { S3Endpoint } from '../../../harness/s3_endpoint.js';
import { S3Requests } from '../../../harness/s3_requests.js';

const QueueArn = 'arn:aws:sqs:us-east-1::indexer';
const TopicArn = 'arn:aws:sns:us-east-1::thumbnails';
const place = { region: 'us-east-1', owner: 'the owner' };

let endpoint: S3Endpoint;
let key: NewAccessKey;
let client: S3Client;
let Bucket: string;
let buckets = 0;

beforeAll(async () => {
  endpoint = await S3Endpoint.start({ webhooks: ['indexer', 'thumbnails', 'of-alice', 'of-bob'] });
  key = await endpoint.account('alice');
  client = endpoint.client(key);
});
afterAll(async () => {
  await endpoint.stop();
  expect(endpoint.complaints).toEqual([]);
});
beforeEach(async () => {
  buckets += 1;
  Bucket = `bucket-${buckets}`;
  await client.send(new CreateBucketCommand({ Bucket }));
});

const queue = (more: Partial<QueueConfiguration> = {}): QueueConfiguration => ({
  QueueArn,
  Events: ['s3:ObjectCreated:*'],
  ...more,
});
const filter = (...rules: readonly (readonly [name: string, value: string])[]) => ({
  Key: { FilterRules: rules.map(([Name, Value]) => ({ Name: Name as 'prefix', Value })) },
});

const set = (NotificationConfiguration: NotificationConfiguration, SkipDestinationValidation = true) =>
  client.send(new PutBucketNotificationConfigurationCommand({ Bucket, NotificationConfiguration, SkipDestinationValidation }));

async function told(): Promise<NotificationConfiguration> {
  const { $metadata: _, ...configuration } = await client.send(new GetBucketNotificationConfigurationCommand({ Bucket }));
  return configuration;
}

/** What waits for a webhook about the bucket, as it will be sent. */
async function messages(webhook = 'indexer'): Promise<Record<string, unknown>[]> {
  const page = await endpoint.world.layer.notices.page(webhook, null, 1000);
  return page
    .filter(({ record }) => record.bucket === Bucket)
    .map(({ id, record }) => JSON.parse(eventMessage(idText(id), record, place)) as Record<string, unknown>);
}

async function events(webhook?: string): Promise<string[]> {
  type Record1 = { eventName: string; s3: { configurationId: string; object: { key: string } } };
  const records = (await messages(webhook)).map(({ Records }) => (Records as Record1[])[0]);
  return records.map((record) => `${record?.eventName} ${record?.s3.object.key} ${record?.s3.configurationId}`);
}

test('a bucket has no rules until some are set, and none again when none are', async () => {
  expect(await told()).toEqual({});
  await set({ QueueConfigurations: [queue({ Id: 'one' })] });
  expect(await told()).toEqual({ QueueConfigurations: [queue({ Id: 'one' })] });
  await set({});
  expect(await told()).toEqual({});
});

test('rules are told as they were given, and those without an Id get one', async () => {
  const given: NotificationConfiguration = {
    QueueConfigurations: [
      queue({
        Id: 'images',
        Events: ['s3:ObjectCreated:Put', 's3:ObjectCreated:Copy'],
        Filter: filter(['prefix', 'a/'], ['suffix', '.jpg']),
      }),
    ],
    TopicConfigurations: [{ Id: 'gone', TopicArn, Events: ['s3:ObjectRemoved:*', 's3:LifecycleExpiration:*'] }],
  };
  await set(given);
  expect(await told()).toEqual(given);
  await set({ QueueConfigurations: [queue()] });
  expect((await told()).QueueConfigurations?.[0]?.Id).toMatch(/^[\w-]{8,}$/);
});

test.each<[string, NotificationConfiguration, RegExp]>([
  [
    'an unknown webhook',
    { QueueConfigurations: [queue({ QueueArn: 'arn:aws:sqs:us-east-1::nobody' })] },
    /validate the following destination/,
  ],
  [
    'the ARN of another region',
    { QueueConfigurations: [queue({ QueueArn: 'arn:aws:sqs:eu-west-1::indexer' })] },
    /validate the following/,
  ],
  ['an ARN of another kind', { QueueConfigurations: [queue({ QueueArn: TopicArn })] }, /validate the following/],
  [
    'a function',
    {
      LambdaFunctionConfigurations: [
        { LambdaFunctionArn: 'arn:aws:lambda:us-east-1:1:function:f', Events: ['s3:ObjectCreated:*'] },
      ],
    },
    /validate the following/,
  ],
  [
    'an event that there is not',
    { QueueConfigurations: [queue({ Events: ['s3:ObjectRestore:Post'] })] },
    /not supported for notifications/,
  ],
  ['an event of all', { QueueConfigurations: [queue({ Events: ['s3:*' as 's3:ObjectCreated:*'] })] }, /not supported/],
  [
    'one Id twice',
    { QueueConfigurations: [queue({ Id: 'a' }), queue({ Id: 'a', Events: ['s3:ObjectRemoved:*'] })] },
    /IDs must be unique/,
  ],
  ['an Id that is too long', { QueueConfigurations: [queue({ Id: 'a'.repeat(256) })] }, /255/],
  [
    'two prefixes',
    { QueueConfigurations: [queue({ Filter: filter(['prefix', 'a'], ['prefix', 'b']) })] },
    /more than one prefix/,
  ],
  ['a filter of something else', { QueueConfigurations: [queue({ Filter: filter(['size', '1']) })] }, /either prefix or suffix/],
  ['a filter that is too long', { QueueConfigurations: [queue({ Filter: filter(['prefix', 'a'.repeat(1025)]) })] }, /1024/],
  [
    'the same event twice',
    { QueueConfigurations: [queue(), queue({ Events: ['s3:ObjectCreated:Put'], Filter: filter(['prefix', 'a']) })] },
    /ambiguously defined/,
  ],
  [
    'overlapping prefixes, over both kinds',
    {
      QueueConfigurations: [queue({ Filter: filter(['prefix', 'a'], ['suffix', '.jpg']) })],
      TopicConfigurations: [{ TopicArn, Events: ['s3:ObjectCreated:*'], Filter: filter(['prefix', 'a/b'], ['suffix', 'x.jpg']) }],
    },
    /ambiguously defined/,
  ],
])('%s is refused, and what was set stays', async (_what, configuration, words) => {
  await set({ QueueConfigurations: [queue({ Id: 'before' })] });
  await expect(set(configuration)).rejects.toMatchObject({ name: 'InvalidArgument', message: expect.stringMatching(words) });
  expect((await told()).QueueConfigurations?.[0]?.Id).toBe('before');
});

test.each([
  ['<NotificationConfiguration><QueueConfiguration/></NotificationConfiguration>', 400, 'MalformedXML'],
  ['<NotificationConfiguration><Strange/></NotificationConfiguration>', 400, 'MalformedXML'],
  [
    `<NotificationConfiguration><QueueConfiguration><Queue>${QueueArn}</Queue></QueueConfiguration></NotificationConfiguration>`,
    400,
    'MalformedXML',
  ],
  ['<NotificationConfiguration><EventBridgeConfiguration/></NotificationConfiguration>', 501, 'NotImplemented'],
])('%s is answered %i', async (body, status, code) => {
  const answer = await new S3Requests(endpoint.address, key).send({
    method: 'PUT',
    path: `/${Bucket}`,
    query: { notification: '' },
    body,
  });
  expect([answer.status, answer.body]).toEqual([status, expect.stringContaining(`<Code>${code}</Code>`)]);
});

test('a webhook that is for some accounts is there for their buckets, and for no others', async () => {
  const naming = (webhook: string): NotificationConfiguration => ({
    QueueConfigurations: [queue({ QueueArn: `arn:aws:sqs:us-east-1::${webhook}` })],
  });
  await set(naming('of-alice'));
  await client.send(new PutObjectCommand({ Bucket, Key: 'a', Body: 'x' }));
  expect(await messages('of-alice')).toHaveLength(1);
  await expect(set(naming('of-bob'))).rejects.toMatchObject({ name: 'InvalidArgument' });
});

test('rules for different events, prefixes or suffixes go together', async () => {
  await set({
    QueueConfigurations: [
      queue({ Id: '1', Filter: filter(['prefix', 'a/']) }),
      queue({ Id: '2', Filter: filter(['prefix', 'b/'], ['suffix', '.jpg']) }),
      queue({ Id: '3', Filter: filter(['prefix', 'b/'], ['suffix', '.png']) }),
    ],
    TopicConfigurations: [{ Id: '4', TopicArn, Events: ['s3:ObjectRemoved:*'] }],
  });
  for (const Key of ['a/x', 'b/y.jpg', 'b/y.png', 'b/y.gif', 'c'])
    await client.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }));
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'c' }));
  expect(await events()).toEqual(['ObjectCreated:Put a/x 1', 'ObjectCreated:Put b/y.jpg 2', 'ObjectCreated:Put b/y.png 3']);
  expect(await events('thumbnails')).toEqual(['ObjectRemoved:Delete c 4']);
});

test('a message is that of S3, with who asked, and the key encoded as forms are', async () => {
  await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }));
  await set({ QueueConfigurations: [queue({ Id: 'all', Events: ['s3:ObjectCreated:*', 's3:ObjectRemoved:*'] })] });
  const Key = 'holidays/ünter + me.jpg';
  const { VersionId, ETag, $metadata } = await client.send(new PutObjectCommand({ Bucket, Key, Body: 'content' }));
  const removed = await client.send(new DeleteObjectCommand({ Bucket, Key }));
  const [created, marked] = await messages();
  expect(created).toEqual({
    Records: [
      {
        eventVersion: '2.1',
        eventSource: 'aws:s3',
        awsRegion: 'us-east-1',
        eventTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        eventName: 'ObjectCreated:Put',
        userIdentity: { principalId: expect.stringMatching(/^[\w-]+$/) },
        requestParameters: { sourceIPAddress: '127.0.0.1' },
        responseElements: { 'x-amz-request-id': $metadata.requestId, 'x-amz-id-2': $metadata.extendedRequestId },
        s3: {
          s3SchemaVersion: '1.0',
          configurationId: 'all',
          bucket: { name: Bucket, ownerIdentity: { principalId: 'the owner' }, arn: `arn:aws:s3:::${Bucket}` },
          object: {
            key: 'holidays/%C3%BCnter+%2B+me.jpg',
            size: 7,
            eTag: ETag?.replaceAll('"', ''),
            versionId: VersionId,
            sequencer: expect.stringMatching(/^[0-9A-F]{16}$/),
          },
        },
      },
    ],
  });
  type WithObject = { readonly Records: readonly [{ eventName: string; s3: { object: Record<string, unknown> } }] };
  const [first, second] = [created, marked] as unknown as [WithObject, WithObject];
  expect(second.Records[0].eventName).toBe('ObjectRemoved:DeleteMarkerCreated');
  const { object } = second.Records[0].s3;
  expect(Object.keys(object)).toEqual(['key', 'versionId', 'sequencer']);
  expect(object['versionId']).toBe(removed.VersionId);
  expect(String(object['sequencer']) > String(first.Records[0].s3.object['sequencer'])).toBe(true);
});

test('copies, uploads in parts and versions that go are told as what they are', async () => {
  await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }));
  await set({ QueueConfigurations: [queue({ Id: 'r', Events: ['s3:ObjectCreated:*', 's3:ObjectRemoved:*'] })] });
  const { VersionId } = await client.send(new PutObjectCommand({ Bucket, Key: 'a', Body: 'content' }));
  await client.send(new CopyObjectCommand({ Bucket, Key: 'b', CopySource: `${Bucket}/a` }));
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'c' }));
  const { ETag } = await client.send(new UploadPartCommand({ Bucket, Key: 'c', UploadId, PartNumber: 1, Body: 'part' }));
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
  await client.send(new CompleteMultipartUploadCommand({ Bucket, Key: 'c', UploadId, MultipartUpload }));
  const Objects = [{ Key: 'a', VersionId }, { Key: 'b' }];
  await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
  const all = await events();
  expect(all.slice(0, 3)).toEqual([
    'ObjectCreated:Put a r',
    'ObjectCreated:Copy b r',
    'ObjectCreated:CompleteMultipartUpload c r',
  ]);
  // Many are removed at once.
  expect(all.slice(3).toSorted()).toEqual(['ObjectRemoved:Delete a r', 'ObjectRemoved:DeleteMarkerCreated b r']);
});

test('other tags and another list of an object that is there are told', async () => {
  await set({ QueueConfigurations: [queue({ Id: 'r', Events: ['s3:ObjectTagging:*', 's3:ObjectAcl:Put'] })] });
  const ask = { Bucket, Key: 'a' };
  await client.send(new PutObjectCommand({ ...ask, Body: 'content', Tagging: 'a=b' }));
  await client.send(new PutObjectTaggingCommand({ ...ask, Tagging: { TagSet: [{ Key: 'c', Value: 'd' }] } }));
  await client.send(new DeleteObjectTaggingCommand(ask));
  await client.send(new PutObjectAclCommand({ ...ask, ACL: 'public-read' }));
  await client.send(new PutObjectAclCommand({ ...ask, ACL: 'public-read' }));
  const { ETag } = await client.send(new HeadObjectCommand(ask));
  const told = (await messages()) as unknown as { Records: [{ eventName: string; s3: { object: object } }] }[];
  const object = { key: 'a', eTag: ETag?.replaceAll('"', ''), sequencer: expect.any(String) };
  expect(told.map(({ Records: [record] }) => [record.eventName, record.s3.object])).toEqual([
    ['ObjectTagging:Put', object],
    ['ObjectTagging:Delete', object],
    ['ObjectAcl:Put', object],
  ]);
});

test('each webhook that is named hears a test event, unless that is not wanted', async () => {
  const both = {
    QueueConfigurations: [queue({ Filter: filter(['prefix', 'a']) }), queue({ Filter: filter(['prefix', 'b']) })],
    TopicConfigurations: [{ TopicArn, Events: ['s3:ObjectRemoved:*' as const] }],
  };
  await set(both);
  expect(await messages()).toEqual([]);
  await set(both, false);
  const expected = {
    Service: 'Amazon S3',
    Event: 's3:TestEvent',
    Bucket,
    Time: expect.any(String),
    RequestId: expect.any(String),
  };
  expect(await messages()).toEqual([expect.objectContaining(expected)]);
  expect(await messages('thumbnails')).toEqual([expect.objectContaining(expected)]);
});

test('a message of a rule of lifecycle names no user', () => {
  const notice = {
    rule: 'r',
    bucket: 'b',
    account: 1,
    key: 'k',
    versionId: '',
    bytes: 1,
    etag: 'e',
    at: 0,
    requester: '',
    address: '',
    requestId: '',
  };
  expect(JSON.parse(eventMessage('1', { ...notice, kind: 'expired' }, place))).toMatchObject({
    Records: [{ eventName: 'LifecycleExpiration:Delete', userIdentity: { principalId: 's3.amazonaws.com' } }],
  });
  expect(JSON.parse(eventMessage('1', { ...notice, kind: 'put' }, place))).toMatchObject({
    Records: [{ userIdentity: { principalId: 'Anonymous' } }],
  });
});
