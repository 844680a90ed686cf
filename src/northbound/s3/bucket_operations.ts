/** Buckets themselves: made, looked for, listed and removed. */
import { emptyAnswer, xmlAnswer } from './answer.js';
import { bucketName, signedCaller, type Exchange, type Operation } from './exchange.js';
import type { Route } from './operations.js';
import { element } from './xml_document.js';

const listBuckets: Operation = {
  name: 'ListBuckets',
  async run(exchange) {
    const { account, canonicalId, displayName } = signedCaller(exchange);
    const { buckets } = await exchange.services.store.buckets.list(account);
    return xmlAnswer('ListAllMyBucketsResult', [
      element('Owner', [element('ID', canonicalId), element('DisplayName', displayName)]),
      element(
        'Buckets',
        buckets.map(({ name, createdAt }) =>
          element('Bucket', [element('Name', name), element('CreationDate', new Date(createdAt).toISOString())]),
        ),
      ),
    ]);
  },
};

const createBucket: Operation = {
  name: 'CreateBucket',
  async run(exchange) {
    const { account } = signedCaller(exchange);
    const { store, pool } = exchange.services;
    const name = bucketName(exchange);
    await store.buckets.create({ name, account, pool });
    return emptyAnswer(200, { location: `/${name}` });
  },
};

const headBucket: Operation = {
  name: 'HeadBucket',
  async run(exchange) {
    await listable(exchange);
    return emptyAnswer(200, { 'x-amz-bucket-region': exchange.services.region });
  },
};

const deleteBucket: Operation = {
  name: 'DeleteBucket',
  async run(exchange) {
    const { store, access } = exchange.services;
    const name = bucketName(exchange);
    const { record: bucket } = await store.buckets.get(name);
    await access.require(exchange, { action: 's3:DeleteBucket', bucket, key: null, grant: { of: 'owner' } });
    await store.buckets.remove(name);
    return emptyAnswer(204);
  },
};

async function listable(exchange: Exchange): Promise<void> {
  const { store, access } = exchange.services;
  const { record: bucket } = await store.buckets.get(bucketName(exchange));
  await access.require(exchange, {
    action: 's3:ListBucket',
    bucket,
    key: null,
    grant: { of: 'bucket', permission: 'READ' },
  });
}

export const bucketOperations: readonly Route[] = [
  { target: 'service', method: 'GET', operation: listBuckets },
  { target: 'bucket', method: 'PUT', operation: createBucket },
  { target: 'bucket', method: 'HEAD', operation: headBucket },
  { target: 'bucket', method: 'DELETE', operation: deleteBucket },
];
