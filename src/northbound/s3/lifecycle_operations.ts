/** The lifecycle of a bucket's objects: set, told, and taken away. */
import type { LifecycleFilter } from '../../object/lifecycle.js';
import { emptyAnswer, xmlAnswer } from './answer.js';
import { readDocument, writeDocument } from './bucket_documents.js';
import { S3Failure } from './errors.js';
import type { Operation } from './exchange.js';
import { lifecycleDocument, parseLifecycle, type WrittenRule } from './lifecycle_document.js';
import type { Route } from './operations.js';
import { bucketFor } from './subjects.js';
import { isoTime } from './timestamp.js';
import { element, type XmlNode } from './xml_document.js';

/** Of transitions, which there are none of: Terraform waits until it reads what holds where nobody said. */
const headers = { 'x-amz-transition-default-minimum-object-size': 'all_storage_classes_128K' };

const getLifecycle: Operation = {
  name: 'GetBucketLifecycleConfiguration',
  async run(exchange) {
    const { name } = await bucketFor(exchange, 's3:GetLifecycleConfiguration');
    const rules = await readDocument(exchange.services.store.buckets, name, lifecycleDocument);
    if (rules === null) throw new S3Failure('NoSuchLifecycleConfiguration', undefined, { details: { BucketName: name } });
    return xmlAnswer('LifecycleConfiguration', rules.map(ruleXml), headers);
  },
};

const putLifecycle: Operation = {
  name: 'PutBucketLifecycleConfiguration',
  async run(exchange) {
    const { name } = await bucketFor(exchange, 's3:PutLifecycleConfiguration');
    const rules = parseLifecycle(await exchange.body.xml('LifecycleConfiguration'));
    await writeDocument(exchange.services.store.buckets, name, lifecycleDocument, rules);
    return emptyAnswer(200, headers);
  },
};

const deleteLifecycle: Operation = {
  name: 'DeleteBucketLifecycle',
  async run(exchange) {
    const { name } = await bucketFor(exchange, 's3:PutLifecycleConfiguration');
    await writeDocument(exchange.services.store.buckets, name, lifecycleDocument, null);
    return emptyAnswer(204);
  },
};

export const lifecycleOperations: readonly Route[] = [
  { target: 'bucket', method: 'GET', query: ['lifecycle'], operation: getLifecycle },
  { target: 'bucket', method: 'PUT', query: ['lifecycle'], operation: putLifecycle },
  { target: 'bucket', method: 'DELETE', query: ['lifecycle'], operation: deleteLifecycle },
];

function ruleXml({ form, rule }: WrittenRule): XmlNode {
  const { id, enabled, filter, expiration, noncurrent, abortDays } = rule;
  const criteria = filterXml(filter);
  const scope = form === 'prefix' ? criteria : [element('Filter', form === 'and' ? [element('And', criteria)] : criteria)];
  return element('Rule', [
    element('ID', id),
    ...scope,
    element('Status', enabled ? 'Enabled' : 'Disabled'),
    ...(expiration === undefined ? [] : [element('Expiration', expirationXml(expiration))]),
    ...(noncurrent === undefined
      ? []
      : [
          element('NoncurrentVersionExpiration', [
            element('NoncurrentDays', noncurrent.days),
            ...optional('NewerNoncurrentVersions', noncurrent.kept),
          ]),
        ]),
    ...(abortDays === undefined ? [] : [element('AbortIncompleteMultipartUpload', [element('DaysAfterInitiation', abortDays)])]),
  ]);
}

function filterXml({ prefix, tags = {}, bytesAbove, bytesBelow }: LifecycleFilter): XmlNode[] {
  return [
    ...optional('Prefix', prefix),
    ...Object.entries(tags).map(([key, value]) => element('Tag', [element('Key', key), element('Value', value)])),
    ...optional('ObjectSizeGreaterThan', bytesAbove),
    ...optional('ObjectSizeLessThan', bytesBelow),
  ];
}

function expirationXml({ days, at, deleteMarkers }: NonNullable<WrittenRule['rule']['expiration']>): XmlNode[] {
  return [
    ...optional('Days', days),
    ...optional('Date', at === undefined ? undefined : isoTime(at)),
    ...optional('ExpiredObjectDeleteMarker', deleteMarkers),
  ];
}

function optional(name: string, content: string | number | boolean | undefined): XmlNode[] {
  return content === undefined ? [] : [element(name, content)];
}
