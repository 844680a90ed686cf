import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';

import { backendSuite } from '../harness/backend_suite.ts';
import { Service, whyMissing } from '../services/service.ts';

const bucket = 'skerry';

backendSuite('S3', whyMissing('radosgw'), async () => {
  const gateway = await Service.start('radosgw');
  const endpoint = gateway.value('S3_ENDPOINT');
  const accessKeyId = gateway.value('S3_ACCESS_KEY');
  const secretAccessKey = gateway.value('S3_SECRET_KEY');
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
  return {
    driver: 's3',
    settings: (prefix) => ({ endpoint, bucket, prefix, 'access-key': accessKeyId, 'secret-key': secretAccessKey }),
    pause: () => gateway.signal('rgw', 'SIGSTOP'),
    goOn: () => gateway.signal('rgw', 'SIGCONT'),
    stop: () => gateway.stop(),
  };
});
