import {
  CreateBucketCommand,
  DeleteBucketCorsCommand,
  GetBucketCorsCommand,
  PutBucketAclCommand,
  PutBucketCorsCommand,
  type CORSRule,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { NewAccessKey } from '../../../../src/identity/access_keys.ts';
import { S3Endpoint } from '../../../harness/s3_endpoint.ts';
import { S3Requests, type PlainAnswer } from '../../../harness/s3_requests.ts';

const Bucket = 'pages';
const CORSRules: CORSRule[] = [
  { ID: 'first', AllowedMethods: ['GET', 'HEAD'], AllowedOrigins: ['https://*.test', 'http://exact.test'], MaxAgeSeconds: 60 },
  { AllowedMethods: ['PUT'], AllowedOrigins: ['*'], AllowedHeaders: ['x-amz-*', 'content-type'], ExposeHeaders: ['etag'] },
];

let endpoint: S3Endpoint;
let key: NewAccessKey;
let client: S3Client;
let plain: S3Requests;

beforeAll(async () => {
  endpoint = await S3Endpoint.start();
  key = await endpoint.account('alice');
  client = endpoint.client(key);
  plain = new S3Requests(endpoint.address, null);
  await client.send(new CreateBucketCommand({ Bucket }));
});
afterAll(async () => {
  expect(endpoint.complaints).toEqual([]);
  await endpoint.stop();
});

function ask(method: string, headers: Readonly<Record<string, string>>): Promise<PlainAnswer> {
  return plain.send({ method, path: `/${Bucket}/some/key`, headers });
}

function told({ headers }: PlainAnswer): Record<string, unknown> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('access-control-')));
}

describe('rules for browsers', () => {
  test('are told as they were put, and taken away', async () => {
    await expect(client.send(new GetBucketCorsCommand({ Bucket }))).rejects.toMatchObject({ name: 'NoSuchCORSConfiguration' });
    await client.send(new PutBucketCorsCommand({ Bucket, CORSConfiguration: { CORSRules } }));
    expect((await client.send(new GetBucketCorsCommand({ Bucket }))).CORSRules).toEqual(CORSRules);
    await client.send(new DeleteBucketCorsCommand({ Bucket }));
    await expect(client.send(new GetBucketCorsCommand({ Bucket }))).rejects.toMatchObject({ name: 'NoSuchCORSConfiguration' });
  });

  test.each([
    ['a method that no page sends', { AllowedMethods: ['PATCH'], AllowedOrigins: ['*'] }, 'InvalidRequest'],
    ['an origin of two wildcards', { AllowedMethods: ['GET'], AllowedOrigins: ['*.*'] }, 'InvalidRequest'],
    ['no origin', { AllowedMethods: ['GET'], AllowedOrigins: [] }, 'MalformedXML'],
    ['a header that is none', { AllowedMethods: ['GET'], AllowedOrigins: ['*'], ExposeHeaders: ['a b'] }, 'InvalidRequest'],
  ])('are refused with %s', async (_what, rule, name) => {
    const CORSConfiguration = { CORSRules: [rule] };
    await expect(client.send(new PutBucketCorsCommand({ Bucket, CORSConfiguration }))).rejects.toMatchObject({ name });
  });

  test('answer what a browser asks before', async () => {
    const wants = (Origin: string, method: string, names?: string): Promise<PlainAnswer> =>
      ask('OPTIONS', {
        Origin,
        'Access-Control-Request-Method': method,
        ...(names === undefined ? {} : { 'Access-Control-Request-Headers': names }),
      });
    expect((await ask('OPTIONS', {})).status).toBe(400);
    expect((await ask('OPTIONS', { Origin: 'https://a.test' })).status).toBe(400);
    expect((await wants('https://a.test', 'GET')).body).toContain('CORS is not enabled for this bucket');
    await client.send(new PutBucketCorsCommand({ Bucket, CORSConfiguration: { CORSRules } }));
    const first = await wants('https://a.test', 'GET');
    expect([first.status, told(first)]).toEqual([
      200,
      {
        'access-control-allow-origin': 'https://a.test',
        'access-control-allow-methods': 'GET, HEAD',
        'access-control-allow-credentials': 'true',
        'access-control-max-age': '60',
      },
    ]);
    const second = await wants('https://b.example', 'PUT', 'X-Amz-Meta-A, Content-Type');
    expect([second.status, told(second)]).toEqual([
      200,
      {
        'access-control-allow-origin': '*',
        'access-control-allow-methods': 'PUT',
        'access-control-allow-headers': 'x-amz-meta-a, content-type',
        'access-control-expose-headers': 'etag',
      },
    ]);
    const refused: [string, string, string?][] = [
      ['https://a.example', 'GET'],
      ['http://exact.test.example', 'GET'],
      ['https://a.test', 'DELETE'],
      ['https://a.test', 'PUT', 'authorization'],
    ];
    for (const [origin, method, names] of refused) {
      const answer = await wants(origin, method, names);
      expect([answer.status, told(answer)], origin).toEqual([403, {}]);
    }
  });

  test('stand in the answers themselves, be they failures', async () => {
    await client.send(new PutBucketCorsCommand({ Bucket, CORSConfiguration: { CORSRules } }));
    await client.send(new PutBucketAclCommand({ Bucket, ACL: 'public-read' }));
    const list = await plain.send({ method: 'GET', path: `/${Bucket}`, headers: { Origin: 'http://exact.test' } });
    expect([list.status, list.headers['access-control-allow-origin']]).toEqual([200, 'http://exact.test']);
    const denied = await plain.send({ method: 'PUT', path: `/${Bucket}`, query: { acl: '' }, headers: { Origin: 'http://x' } });
    expect([denied.status, told(denied)['access-control-allow-origin']]).toEqual([403, '*']);
    const other = await plain.send({ method: 'GET', path: `/${Bucket}`, headers: { Origin: 'http://x' } });
    expect([other.status, told(other)]).toEqual([200, {}]);
    const missing = await plain.send({ method: 'GET', path: '/no-such-bucket', headers: { Origin: 'http://x' } });
    expect([missing.status, told(missing)]).toEqual([404, {}]);
  });
});
