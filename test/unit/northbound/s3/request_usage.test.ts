import { expect, test } from 'vitest';

import { SkerryError } from '../../../../src/core/errors.js';
import type { Principal } from '../../../../src/identity/access_keys.js';
import { classOf, countRequest, type RequestUsageOptions } from '../../../../src/northbound/s3/request_usage.js';
import type { RequestRecord } from '../../../../src/northbound/s3/request_record.js';

test.each([
  ['GetObject', 'GET', 'read'],
  ['HeadBucket', 'HEAD', 'read'],
  ['PutObject', 'PUT', 'write'],
  ['CompleteMultipartUpload', 'POST', 'write'],
  ['DeleteObjects', 'POST', 'delete'],
  ['AbortMultipartUpload', 'DELETE', 'delete'],
  ['ListObjectsV2', 'GET', 'list'],
  ['PreflightRequest', 'OPTIONS', 'other'],
  [null, 'GET', 'other'],
])('%s by %s counts as %s', (operation, method, kind) => {
  expect(classOf({ operation, method })).toBe(kind);
});

test('a request counts for the owner of its bucket, else for who asked, and with a bad signature for nobody', async () => {
  const counted: unknown[][] = [];
  const usage: RequestUsageOptions['usage'] = { record: (...all) => void counted.push(all) };
  const buckets = {
    get: async (name: string) => {
      if (name !== 'photos') throw new SkerryError('not-found', 'no such bucket');
      return { record: { account: 7, name }, revision: 1 };
    },
  } as unknown as RequestUsageOptions['buckets'];
  const record = {
    authenticated: true,
    principal: { account: 9 } as Principal,
    operation: 'GetObject',
    method: 'GET',
    status: 206,
    aborted: false,
    bytesIn: 0,
    bytesOut: 10,
  };
  const count = (more: Partial<RequestRecord>) => countRequest({ usage, buckets }, { ...record, ...more } as RequestRecord);
  await count({ bucket: 'photos' });
  await count({ bucket: 'other', status: 404 });
  await count({ bucket: null, operation: 'ListBuckets', status: 200 });
  await count({ bucket: 'photos', principal: null, status: 403 });
  await count({ bucket: 'photos', principal: null, authenticated: false, status: 403 });
  await count({ bucket: null, principal: null });
  await count({ bucket: 'photos', aborted: true, status: 200 });
  const told = counted.map(([account, bucket, used]) => [account, bucket, (used as { status: string }).status].join(' '));
  expect(told).toEqual(['7 photos 2xx', '9  4xx', '9  2xx', '7 photos 4xx', '7 photos aborted']);
});
