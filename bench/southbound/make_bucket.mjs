// node make_bucket.mjs ENDPOINT BUCKET ACCESS-KEY SECRET-KEY
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';

const [endpoint, Bucket, accessKeyId, secretAccessKey] = process.argv.slice(2);
const client = new S3Client({
  endpoint,
  region: 'us-east-1',
  forcePathStyle: true,
  credentials: { accessKeyId, secretAccessKey },
});
await client.send(new CreateBucketCommand({ Bucket }));
client.destroy();
