/** DeleteObject and DeleteObjects. */
import type { BucketRecord } from '../../catalog/object_records.js';
import type { Conditions } from '../../object/conditions.js';
import type { Removed } from '../../object/objects.js';
import { emptyAnswer, xmlAnswer } from './answer.js';
import { announcesSum } from './checksum_headers.js';
import { writeConditions } from './condition_headers.js';
import { S3Failure, toS3Failure } from './errors.js';
import { causeOf, type Exchange, type Operation } from './exchange.js';
import { withWireWords } from './failures.js';
import { requestedBucket, requestedVersion, versionHeader } from './object_access.js';
import { checkObjectKey } from './object_key.js';
import { element, type XmlNode } from './xml_document.js';
import { malformedXml, type XmlElement } from './xml_tree.js';

const deleted_objects_max = 1000;
/** Of one request: each is a transaction, and many share a sync. */
const removals_at_once_max = 16;

interface Target {
  readonly key: string;
  readonly versionId?: string;
  readonly conditions: Conditions;
}

export const deleteObject: Operation = {
  name: 'DeleteObject',
  async run(exchange) {
    const bucket = await requestedBucket(exchange);
    const { ifMatch } = writeConditions(exchange.request.headers);
    const removed = await remove(exchange, bucket, {
      ...requestedVersion(exchange),
      conditions: ifMatch === undefined ? {} : { ifMatch },
    });
    return emptyAnswer(204, {
      ...versionHeader(bucket, removed.versionId),
      ...(removed.deleteMarker ? { 'x-amz-delete-marker': 'true' } : {}),
    });
  },
};

export const deleteObjects: Operation = {
  name: 'DeleteObjects',
  async run(exchange) {
    const bucket = await requestedBucket(exchange);
    if (!announcesSum(exchange.request))
      throw new S3Failure('InvalidRequest', 'Missing required header for this request: Content-MD5 OR x-amz-checksum-*');
    const document = await exchange.body.xml('Delete');
    const quiet = document.optional('Quiet')?.asBoolean() ?? false;
    const objects = document.all('Object');
    if (objects.length === 0 || objects.length > deleted_objects_max)
      throw malformedXml(`Delete has 1 to ${deleted_objects_max} Object elements`);
    const targets = objects.map(targetOf);
    const results = await inTurns(targets, (target) => resultOf(exchange, bucket, target));
    return xmlAnswer(
      'DeleteResult',
      results.filter(({ name }) => !quiet || name === 'Error'),
    );
  },
};

/** @throws S3Failure AccessDenied, PreconditionFailed; SkerryError of the object layer */
async function remove(exchange: Exchange, bucket: BucketRecord, { key, versionId, conditions }: Target): Promise<Removed> {
  const { caller, services, request } = exchange;
  await services.access.require(exchange, {
    action: versionId === undefined ? 's3:DeleteObject' : 's3:DeleteObjectVersion',
    bucket,
    key,
    // Versions are kept from whoever may only write.
    grant: versionId === undefined ? { of: 'bucket', permission: 'WRITE' } : { of: 'owner' },
  });
  const bypassGovernance = request.headers.get('x-amz-bypass-governance-retention')?.toLowerCase() === 'true';
  if (bypassGovernance)
    await services.access.require(exchange, { action: 's3:BypassGovernanceRetention', bucket, key, grant: { of: 'owner' } });
  return services.store.objects.remove({
    bucket: bucket.name,
    key,
    owner: caller?.principal.account ?? bucket.account,
    conditions,
    bypassGovernance,
    cause: causeOf(exchange),
    ...(versionId === undefined ? {} : { versionId }),
  });
}

async function resultOf(exchange: Exchange, bucket: BucketRecord, target: Target): Promise<XmlNode> {
  const { key, versionId } = target;
  const named = [element('Key', key), ...(versionId === undefined ? [] : [element('VersionId', versionId)])];
  try {
    checkObjectKey(key);
    const removed = await remove(exchange, bucket, target);
    const marker = removed.deleteMarker
      ? [element('DeleteMarker', true), element('DeleteMarkerVersionId', removed.versionId ?? 'null')]
      : [];
    return element('Deleted', [...named, ...marker]);
  } catch (error) {
    const { s3Code, message } = toS3Failure(withWireWords(error));
    return element('Error', [...named, element('Code', s3Code), element('Message', message)]);
  }
}

function targetOf(object: XmlElement): Target {
  if (object.optional('LastModifiedTime') ?? object.optional('Size')) throw new S3Failure('NotImplemented');
  const versionId = object.optional('VersionId')?.asText();
  const etag = object.optional('ETag')?.asText();
  return {
    key: object.required('Key').asText(),
    ...(versionId === undefined || versionId === '' ? {} : { versionId }),
    conditions: etag === undefined || etag === '' ? {} : { ifMatch: [etag.trim().replace(/^"(.*)"$/, '$1')] },
  };
}

/** In their order, some at a time. */
async function inTurns<From, To>(all: readonly From[], work: (one: From) => Promise<To>): Promise<To[]> {
  const results: To[] = [];
  for (let at = 0; at < all.length; at += removals_at_once_max)
    results.push(...(await Promise.all(all.slice(at, at + removals_at_once_max).map(work))));
  return results;
}
