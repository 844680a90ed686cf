import { expect, test } from 'vitest';

import { Metrics } from '../../../src/daemon/metrics.js';
import type { RequestRecord } from '../../../src/northbound/s3/request_record.js';

const request: RequestRecord = {
  requestId: '0',
  startedAt: 0,
  milliseconds: 1,
  method: 'PUT',
  operation: 'PutObject',
  bucket: 'bucket',
  key: 'key',
  authenticated: true,
  principal: null,
  scheme: null,
  clientAddress: null,
  status: 200,
  code: null,
  aborted: false,
  bytesIn: 0,
  bytesOut: 0,
};

test('requests are told by operation and status, with their times summed up and the bytes that they moved', async () => {
  const metrics = new Metrics(() => null);
  for (const milliseconds of [0.5, 1, 1.001, 40, 31_000]) metrics.observeS3({ ...request, milliseconds, bytesIn: 10 });
  metrics.observeS3({ ...request, status: 503, bytesOut: 7 });
  metrics.observeS3({ ...request, aborted: true });
  metrics.observeS3({ ...request, operation: null, status: 400 });
  const lines = (await metrics.text()).split('\n').filter((line) => line.startsWith('skerry_s3_'));
  const of = (name: string) => lines.filter((line) => line.startsWith(name)).map((line) => line.slice(name.length));
  expect(of('skerry_s3_requests_total')).toEqual([
    '{operation="PutObject",status="200"} 5',
    '{operation="PutObject",status="503"} 1',
    '{operation="PutObject",status="0"} 1',
    '{operation="none",status="400"} 1',
  ]);
  expect(of('skerry_s3_bytes_total')).toEqual(['{direction="in"} 50', '{direction="out"} 7']);
  const counts = Object.fromEntries(
    of('skerry_s3_request_seconds_bucket{operation="PutObject",le=').map((line) => line.split('} ')),
  ) as Record<string, string>;
  // An end belongs to its bucket, and to each that is longer.
  expect(counts).toMatchObject({ '"0.001"': '4', '"0.0025"': '5', '"0.025"': '5', '"0.05"': '6', '"30"': '6', '"+Inf"': '7' });
  expect(of('skerry_s3_request_seconds_count{operation="PutObject"}')).toEqual([' 7']);
  const [sum] = of('skerry_s3_request_seconds_sum{operation="PutObject"}');
  expect(Number(sum)).toBeCloseTo(31.044_501, 6);
});
