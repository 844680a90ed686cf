/** How a bucket encrypts what says nothing of that itself. */
import { z } from 'zod';

import { emptyAnswer, xmlAnswer } from './answer.js';
import { readDocument, writeDocument, type BucketDocuments, type DocumentKind } from './bucket_documents.js';
import { S3Failure } from './errors.js';
import type { Operation } from './exchange.js';
import type { Route } from './operations.js';
import { bucketFor } from './subjects.js';
import { element } from './xml_document.js';
import { malformedXml, type XmlElement } from './xml_tree.js';

export const encryptionAlgorithms = ['AES256', 'aws:kms'] as const;

export interface DefaultEncryption {
  readonly algorithm: (typeof encryptionAlgorithms)[number];
  /** Of aws:kms; null where none is named. */
  readonly keyId: string | null;
  /** null: nothing was said. */
  readonly bucketKey: boolean | null;
}

const encryptionDocument: DocumentKind<DefaultEncryption> = {
  kind: 'encryption',
  schema: z.strictObject({
    algorithm: z.enum(encryptionAlgorithms),
    keyId: z.string().nullable(),
    bucketKey: z.boolean().nullable(),
  }),
};

/** null: none was set. */
export function defaultEncryption(buckets: Pick<BucketDocuments, 'document'>, bucket: string): Promise<DefaultEncryption | null> {
  return readDocument(buckets, bucket, encryptionDocument);
}

const getBucketEncryption: Operation = {
  name: 'GetBucketEncryption',
  async run(exchange) {
    const { name } = await bucketFor(exchange, 's3:GetEncryptionConfiguration');
    const kept = await defaultEncryption(exchange.services.store.buckets, name);
    if (kept === null)
      throw new S3Failure('ServerSideEncryptionConfigurationNotFoundError', undefined, { details: { BucketName: name } });
    const keyId = kept.keyId === null ? [] : [element('KMSMasterKeyID', kept.keyId)];
    const bucketKey = kept.bucketKey === null ? [] : [element('BucketKeyEnabled', kept.bucketKey)];
    const byDefault = element('ApplyServerSideEncryptionByDefault', [element('SSEAlgorithm', kept.algorithm), ...keyId]);
    return xmlAnswer('ServerSideEncryptionConfiguration', [element('Rule', [byDefault, ...bucketKey])]);
  },
};

const putBucketEncryption: Operation = {
  name: 'PutBucketEncryption',
  async run(exchange) {
    const { name } = await bucketFor(exchange, 's3:PutEncryptionConfiguration');
    const root = await exchange.body.xml('ServerSideEncryptionConfiguration');
    await writeDocument(exchange.services.store.buckets, name, encryptionDocument, encryptionOf(root.required('Rule')));
    return emptyAnswer();
  },
};

const deleteBucketEncryption: Operation = {
  name: 'DeleteBucketEncryption',
  async run(exchange) {
    const { name } = await bucketFor(exchange, 's3:PutEncryptionConfiguration');
    await writeDocument(exchange.services.store.buckets, name, encryptionDocument, null);
    return emptyAnswer(204);
  },
};

export const encryptionOperations: readonly Route[] = [
  { target: 'bucket', method: 'GET', query: ['encryption'], operation: getBucketEncryption },
  { target: 'bucket', method: 'PUT', query: ['encryption'], operation: putBucketEncryption },
  { target: 'bucket', method: 'DELETE', query: ['encryption'], operation: deleteBucketEncryption },
];

function encryptionOf(rule: XmlElement): DefaultEncryption {
  const byDefault = rule.required('ApplyServerSideEncryptionByDefault');
  // Two layers of encryption are none that there are here.
  if (byDefault.required('SSEAlgorithm').asText().trim() === 'aws:kms:dsse') throw new S3Failure('NotImplemented');
  const algorithm = byDefault.required('SSEAlgorithm').asOneOf(encryptionAlgorithms);
  const keyId = byDefault.optional('KMSMasterKeyID')?.asText().trim() ?? null;
  if (algorithm === 'AES256' && keyId !== null) throw malformedXml('KMSMasterKeyID is for aws:kms only');
  return { algorithm, keyId, bucketKey: rule.optional('BucketKeyEnabled')?.asBoolean() ?? null };
}
