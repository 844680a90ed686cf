/** What keeps a bucket from being public, and whose the objects in it are. */
import { bucketAcl, parseAcl } from './acl_document.js';
import { emptyAnswer, xmlAnswer } from './answer.js';
import { readDocument, writeDocument } from './bucket_documents.js';
import { S3Failure } from './errors.js';
import type { Operation } from './exchange.js';
import { objectOwnership, objectOwnerships, ownershipDocument } from './object_ownership.js';
import type { Route } from './operations.js';
import { publicAccessDocument } from './public_access.js';
import { bucketFor } from './subjects.js';
import { element } from './xml_document.js';

const getPublicAccessBlock: Operation = {
  name: 'GetPublicAccessBlock',
  async run(exchange) {
    const { name } = await bucketFor(exchange, 's3:GetBucketPublicAccessBlock');
    const block = await readDocument(exchange.services.store.buckets, name, publicAccessDocument);
    if (block === null) throw new S3Failure('NoSuchPublicAccessBlockConfiguration', undefined, { details: { BucketName: name } });
    return xmlAnswer('PublicAccessBlockConfiguration', [
      element('BlockPublicAcls', block.blockPublicAcls),
      element('IgnorePublicAcls', block.ignorePublicAcls),
      element('BlockPublicPolicy', block.blockPublicPolicy),
      element('RestrictPublicBuckets', block.restrictPublicBuckets),
    ]);
  },
};

const putPublicAccessBlock: Operation = {
  name: 'PutPublicAccessBlock',
  async run(exchange) {
    const { name } = await bucketFor(exchange, 's3:PutBucketPublicAccessBlock');
    const root = await exchange.body.xml('PublicAccessBlockConfiguration');
    const says = (word: string): boolean => root.optional(word)?.asBoolean() ?? false;
    await writeDocument(exchange.services.store.buckets, name, publicAccessDocument, {
      blockPublicAcls: says('BlockPublicAcls'),
      ignorePublicAcls: says('IgnorePublicAcls'),
      blockPublicPolicy: says('BlockPublicPolicy'),
      restrictPublicBuckets: says('RestrictPublicBuckets'),
    });
    return emptyAnswer();
  },
};

const deletePublicAccessBlock: Operation = {
  name: 'DeletePublicAccessBlock',
  async run(exchange) {
    const { name } = await bucketFor(exchange, 's3:PutBucketPublicAccessBlock');
    await writeDocument(exchange.services.store.buckets, name, publicAccessDocument, null);
    return emptyAnswer(204);
  },
};

const getOwnershipControls: Operation = {
  name: 'GetBucketOwnershipControls',
  async run(exchange) {
    const { name } = await bucketFor(exchange, 's3:GetBucketOwnershipControls');
    const ownership = await objectOwnership(exchange.services.store.buckets, name);
    if (ownership === null) throw new S3Failure('OwnershipControlsNotFoundError', undefined, { details: { BucketName: name } });
    return xmlAnswer('OwnershipControls', [element('Rule', [element('ObjectOwnership', ownership)])]);
  },
};

const putOwnershipControls: Operation = {
  name: 'PutBucketOwnershipControls',
  async run(exchange) {
    const { name } = await bucketFor(exchange, 's3:PutBucketOwnershipControls');
    const root = await exchange.body.xml('OwnershipControls');
    const ownership = root.required('Rule').required('ObjectOwnership').asOneOf(objectOwnerships);
    const { buckets } = exchange.services.store;
    if (ownership === 'BucketOwnerEnforced' && grantsOthers(await bucketAcl(buckets, name)))
      throw new S3Failure('InvalidBucketAclWithObjectOwnership', undefined, { details: { BucketName: name } });
    await writeDocument(buckets, name, ownershipDocument, ownership);
    return emptyAnswer();
  },
};

const deleteOwnershipControls: Operation = {
  name: 'DeleteBucketOwnershipControls',
  async run(exchange) {
    const { name } = await bucketFor(exchange, 's3:PutBucketOwnershipControls');
    await writeDocument(exchange.services.store.buckets, name, ownershipDocument, null);
    return emptyAnswer(204);
  },
};

export const publicAccessOperations: readonly Route[] = [
  { target: 'bucket', method: 'GET', query: ['publicAccessBlock'], operation: getPublicAccessBlock },
  { target: 'bucket', method: 'PUT', query: ['publicAccessBlock'], operation: putPublicAccessBlock },
  { target: 'bucket', method: 'DELETE', query: ['publicAccessBlock'], operation: deletePublicAccessBlock },
  { target: 'bucket', method: 'GET', query: ['ownershipControls'], operation: getOwnershipControls },
  { target: 'bucket', method: 'PUT', query: ['ownershipControls'], operation: putOwnershipControls },
  { target: 'bucket', method: 'DELETE', query: ['ownershipControls'], operation: deleteOwnershipControls },
];

/** Its list would come to count for nothing, and nobody would notice. */
function grantsOthers(text: string): boolean {
  if (text === '') return false;
  const { owner, grants } = parseAcl(text);
  return grants.some(({ grantee }) => grantee.kind === 'group' || grantee.canonicalId !== owner);
}
