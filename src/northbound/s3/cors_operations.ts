/** Rules for browsers: set, told, and taken away. */
import { emptyAnswer, xmlAnswer } from './answer.js';
import { writeDocument } from './bucket_documents.js';
import { corsDocument, corsRules, corsXml, parseCors } from './cors_document.js';
import { S3Failure } from './errors.js';
import type { Operation } from './exchange.js';
import type { Route } from './operations.js';
import { bucketFor } from './subjects.js';

const getBucketCors: Operation = {
  name: 'GetBucketCors',
  async run(exchange) {
    const { name } = await bucketFor(exchange, 's3:GetBucketCORS');
    const rules = await corsRules(exchange.services.store.buckets, name);
    if (rules === null) throw new S3Failure('NoSuchCORSConfiguration', undefined, { details: { BucketName: name } });
    return xmlAnswer('CORSConfiguration', corsXml(rules));
  },
};

const putBucketCors: Operation = {
  name: 'PutBucketCors',
  async run(exchange) {
    const { name } = await bucketFor(exchange, 's3:PutBucketCORS');
    const rules = parseCors(await exchange.body.xml('CORSConfiguration'));
    await writeDocument(exchange.services.store.buckets, name, corsDocument, rules);
    return emptyAnswer();
  },
};

const deleteBucketCors: Operation = {
  name: 'DeleteBucketCors',
  async run(exchange) {
    const { name } = await bucketFor(exchange, 's3:PutBucketCORS');
    await writeDocument(exchange.services.store.buckets, name, corsDocument, null);
    return emptyAnswer(204);
  },
};

export const corsOperations: readonly Route[] = [
  { target: 'bucket', method: 'GET', query: ['cors'], operation: getBucketCors },
  { target: 'bucket', method: 'PUT', query: ['cors'], operation: putBucketCors },
  { target: 'bucket', method: 'DELETE', query: ['cors'], operation: deleteBucketCors },
];
