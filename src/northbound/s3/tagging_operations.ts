/** Tags of buckets and of versions of objects. */
import { z } from 'zod';

import { emptyAnswer, xmlAnswer } from './answer.js';
import { readDocument, writeDocument, type DocumentKind } from './bucket_documents.js';
import { S3Failure } from './errors.js';
import { causeOf, type Exchange, type Operation } from './exchange.js';
import { checkedTags } from './object_tags.js';
import type { Route } from './operations.js';
import { tagContext } from './request_context.js';
import { bucketFor, versionFor } from './subjects.js';
import { element, type XmlContent } from './xml_document.js';
import { parseXml } from './xml_tree.js';

const bucket_tags_max = 50;
/** Fifty of the longest, all of them escaped, fit. */
const tagging_bytes_max = 256 * 1024;

const taggingDocument: DocumentKind<Readonly<Record<string, string>>> = {
  kind: 'tagging',
  schema: z.record(z.string(), z.string()),
};

const getBucketTagging: Operation = {
  name: 'GetBucketTagging',
  async run(exchange) {
    const { name } = await bucketFor(exchange, 's3:GetBucketTagging');
    const tags = await readDocument(exchange.services.store.buckets, name, taggingDocument);
    if (tags === null) throw new S3Failure('NoSuchTagSet', undefined, { details: { BucketName: name } });
    return xmlAnswer('Tagging', tagSet(tags));
  },
};

const putBucketTagging: Operation = {
  name: 'PutBucketTagging',
  async run(exchange) {
    const { name } = await bucketFor(exchange, 's3:PutBucketTagging');
    const given = await givenTags(exchange);
    if (given.length > bucket_tags_max)
      throw new S3Failure('InvalidTag', `Bucket tag count cannot be greater than ${bucket_tags_max}`);
    await writeDocument(exchange.services.store.buckets, name, taggingDocument, checkedTags(given, bucket_tags_max));
    return emptyAnswer(204);
  },
};

const deleteBucketTagging: Operation = {
  name: 'DeleteBucketTagging',
  async run(exchange) {
    const { name } = await bucketFor(exchange, 's3:PutBucketTagging');
    await writeDocument(exchange.services.store.buckets, name, taggingDocument, null);
    return emptyAnswer(204);
  },
};

const getObjectTagging: Operation = {
  name: 'GetObjectTagging',
  async run(exchange) {
    const { version, headers } = await versionFor(exchange, {
      current: 's3:GetObjectTagging',
      version: 's3:GetObjectVersionTagging',
    });
    return xmlAnswer('Tagging', tagSet(version.attributes.tags), headers);
  },
};

const putObjectTagging: Operation = {
  name: 'PutObjectTagging',
  async run(exchange) {
    // Policies may ask for the tags that come, so this small document is read before it is judged.
    const given = await givenTags(exchange);
    const { name, version, headers } = await versionFor(exchange, {
      current: 's3:PutObjectTagging',
      version: 's3:PutObjectVersionTagging',
      context: tagContext(given),
    });
    const tags = checkedTags(given);
    await exchange.services.store.objects.setAttributes({ ...name, versionId: version.versionId }, { tags }, causeOf(exchange));
    return emptyAnswer(200, headers);
  },
};

const deleteObjectTagging: Operation = {
  name: 'DeleteObjectTagging',
  async run(exchange) {
    const { name, version, headers } = await versionFor(exchange, {
      current: 's3:DeleteObjectTagging',
      version: 's3:DeleteObjectVersionTagging',
    });
    await exchange.services.store.objects.setAttributes(
      { ...name, versionId: version.versionId },
      { tags: {} },
      causeOf(exchange),
    );
    return emptyAnswer(204, headers);
  },
};

export const taggingOperations: readonly Route[] = [
  { target: 'bucket', method: 'GET', query: ['tagging'], operation: getBucketTagging },
  { target: 'bucket', method: 'PUT', query: ['tagging'], operation: putBucketTagging },
  { target: 'bucket', method: 'DELETE', query: ['tagging'], operation: deleteBucketTagging },
  { target: 'object', method: 'GET', query: ['tagging'], operation: getObjectTagging },
  { target: 'object', method: 'PUT', query: ['tagging'], operation: putObjectTagging },
  { target: 'object', method: 'DELETE', query: ['tagging'], operation: deleteObjectTagging },
];

async function givenTags({ body }: Exchange): Promise<(readonly [key: string, value: string])[]> {
  const root = parseXml(await body.whole(tagging_bytes_max), 'Tagging');
  const tags = root.required('TagSet').all('Tag');
  return tags.map((tag) => [tag.required('Key').asText(), tag.required('Value').asText()]);
}

/** By key: they come from a map, which tells no order. */
function tagSet(tags: Readonly<Record<string, string>>): XmlContent {
  const sorted = Object.entries(tags).sort(([a], [b]) => (a < b ? -1 : 1));
  const list = sorted.map(([key, value]) => element('Tag', [element('Key', key), element('Value', value)]));
  return [element('TagSet', list)];
}
