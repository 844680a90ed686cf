/** The S3 driver on a real server, the gateway of Ceph; what it does when that server, or the way there, fails. */
import { randomUUID } from 'node:crypto';

import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe } from 'vitest';

import { ChunkStore, traitsOf, type ChunkStoreOptions } from '../../drivers/s3/chunk_store.js';
import { withLimit } from '../../src/driver/limit.js';
import { withRetry } from '../../src/driver/retry.js';
import { Service, whyMissing } from '../services/service.ts';
import { lawsOn } from './laws_on.js';

const dialect = { listing: 'v2', conditionalPut: true, listsLate: false } as const;
const bucket = 'skerry-conformance';
const missing = whyMissing('radosgw');

describe.skipIf(missing !== null)(`s3 on radosgw${missing === null ? '' : `: ${missing}`}`, () => {
  let service: Service;
  const where = (): ChunkStoreOptions => ({
    endpoint: service.value('S3_ENDPOINT'),
    region: 'us-east-1',
    bucket,
    // Each its own place, so that each is empty.
    prefix: `${randomUUID()}/`,
    accessKey: service.value('S3_ACCESS_KEY'),
    secretKey: service.value('S3_SECRET_KEY'),
    pathStyle: true,
    timeoutSeconds: 30,
    dialect,
  });

  beforeAll(async () => {
    service = await Service.start('radosgw');
    const client = new S3Client({
      endpoint: service.value('S3_ENDPOINT'),
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: service.value('S3_ACCESS_KEY'), secretAccessKey: service.value('S3_SECRET_KEY') },
    });
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    client.destroy();
  });
  afterAll(async () => {
    await service?.stop();
  });

  lawsOn('the driver', traitsOf(dialect), () => ChunkStore.open(where()));
  lawsOn('retry(limit(the driver)), with pages of seven keys', traitsOf(dialect), async () =>
    withRetry(withLimit(await ChunkStore.open({ ...where(), listPageKeys: 7 }))),
  );
});
