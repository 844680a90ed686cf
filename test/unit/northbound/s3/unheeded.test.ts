/** What asks for something else than to put an object, and is not to be had here, leaves the object as it is. */
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { S3Endpoint } from '../../../harness/s3_endpoint.ts';
import { S3Requests } from '../../../harness/s3_requests.ts';

let endpoint: S3Endpoint;
let alice: S3Client;
let requests: S3Requests;
const Bucket = 'objects';
const Key = 'whole';

beforeAll(async () => {
  endpoint = await S3Endpoint.start();
  const key = await endpoint.account('alice');
  requests = new S3Requests(endpoint.address, key);
  alice = endpoint.client(key);
  await alice.send(new CreateBucketCommand({ Bucket }));
  await alice.send(new PutObjectCommand({ Bucket, Key, Body: 'hello' }));
});
afterAll(async () => {
  expect(endpoint.complaints).toEqual([]);
  await endpoint.stop();
});

async function content(): Promise<string | undefined> {
  return (await alice.send(new GetObjectCommand({ Bucket, Key }))).Body?.transformToString();
}

test.each([
  ['an append', { WriteOffsetBytes: 5 }],
  ['one that an event holds', { ObjectLockEventHold: 'ON' as const }],
])('%s of the SDK is refused', async (_what, more) => {
  const put = new PutObjectCommand({ Bucket, Key, Body: ' world', ...(more as object) });
  await expect(alice.send(put)).rejects.toMatchObject({ name: 'NotImplemented', $metadata: { httpStatusCode: 501 } });
  expect(await content()).toBe('hello');
});

test.each([
  ['a piece of it', { 'content-range': 'bytes 5-9/10' }, {}, '501 NotImplemented'],
  ['an annotation of it', {}, { annotation: '', annotationName: 'colour' }, '501 NotImplemented'],
  ['an append of other servers', {}, { append: '', position: '5' }, '501 NotImplemented'],
  ['another operation', {}, { 'x-id': 'AppendObject' }, '501 NotImplemented'],
  ['a part of an upload without its id', {}, { partNumber: '1' }, '400 InvalidArgument'],
  ['a version of it', {}, { versionId: 'null' }, '400 InvalidArgument'],
])('%s is refused', async (_what, headers, query, answer) => {
  const { status, body } = await requests.send({ method: 'PUT', path: `/${Bucket}/${Key}`, headers, query, body: 'other' });
  expect(`${status} ${/<Code>(\w+)/.exec(body)?.[1]}`).toBe(answer);
  expect(await content()).toBe('hello');
});
