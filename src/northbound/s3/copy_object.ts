/** CopyObject: the bytes are shared, and what is said of them is the source's or new. */
import type { ChecksumAlgorithm } from '../../catalog/object_records.js';
import type { CopyKeys } from '../../object/copies.js';
import type { Version, VersionName } from '../../object/object_version.js';
import type { GivenAttributes } from '../../object/objects.js';
import { put_bytes_max } from '../../object/uploads.js';
import { xmlAnswer } from './answer.js';
import { describedBy, placementOf } from './attribute_headers.js';
import { checksumAlgorithm, checksumNodes } from './checksum_headers.js';
import { writeConditions } from './condition_headers.js';
import { copyConditions, copySource, missingSource, requireSource, sourceVersionHeader } from './copy_source.js';
import { objectKeyOf, sealHeaders, sealingOf } from './encryption_headers.js';
import { S3Failure } from './errors.js';
import { bucketName, causeOf, objectKey, type Exchange, type Operation } from './exchange.js';
import { requestedBucket, versionHeader } from './object_access.js';
import { tagsOfHeader } from './object_tags.js';
import { broughtBy, requirePut } from './put_object.js';
import { documentTime } from './timestamp.js';
import { refusePartOfObject } from './unheeded.js';
import { element } from './xml_document.js';

export const copyObject: Operation = {
  name: 'CopyObject',
  async run(exchange) {
    const { request, services } = exchange;
    const { headers } = request;
    refusePartOfObject(request);
    const from = copySource(headers);
    const bucket = await requestedBucket(exchange);
    const replaces = { metadata: directive(exchange, 'metadata'), tagging: directive(exchange, 'tagging') };
    await requirePut(exchange, bucket);
    const { record: sourceBucket } = await services.store.buckets.get(from.bucket);
    refuseNothing(exchange, from, replaces.metadata);
    const placement = await placementOf(exchange, bucket);
    const checksum = wantedChecksum(exchange);
    const sealing = await sealingOf(exchange, bucket);
    const sources: Version[] = [];
    const attributes = async (source: Version): Promise<GivenAttributes> => {
      await requireSource(exchange, sourceBucket, source, from);
      sources.push(source);
      const tagging = headers.get('x-amz-tagging');
      return {
        ...(replaces.metadata
          ? describedBy(headers)
          : { headers: source.attributes.headers, metadata: source.attributes.metadata }),
        tags: replaces.tagging ? tagsOfHeader(tagging ?? '') : source.attributes.tags,
        ...placement,
        ...(sealing === null ? {} : { seal: sealing.seal }),
      };
    };
    const keys = async (source: Version): Promise<CopyKeys> => {
      const sourceKey = await objectKeyOf(exchange, sourceBucket, source.attributes.seal, 'source');
      return {
        ...(sourceKey === undefined ? {} : { source: sourceKey }),
        ...(sealing === null ? {} : { copy: sealing.objectKey }),
      };
    };
    const { bucket: name, key } = { bucket: bucketName(exchange), key: objectKey(exchange) };
    const version = await services.store.copies
      .copy({
        bucket: name,
        key,
        from,
        fromConditions: copyConditions(headers),
        owner: placement.owner,
        ...broughtBy(exchange),
        cause: causeOf(exchange),
        attributes,
        keys,
        conditions: writeConditions(headers),
        readBytesMax: put_bytes_max,
        ...(checksum === undefined ? {} : { checksum }),
      })
      .catch(async (error: unknown) => {
        throw await missingSource(exchange, sourceBucket, from, error);
      });
    return xmlAnswer(
      'CopyObjectResult',
      [
        element('LastModified', documentTime(version.modifiedAt)),
        element('ETag', `"${version.etag}"`),
        ...checksumNodes(version.checksum, version.parts),
      ],
      {
        ...versionHeader(bucket, version.versionId),
        ...sources.map(sourceVersionHeader)[0],
        ...sealHeaders(exchange, version.attributes.seal),
      },
    );
  },
};

/** Whether what the request says replaces what the source has. @throws S3Failure InvalidArgument */
function directive({ request: { headers } }: Exchange, of: 'metadata' | 'tagging'): boolean {
  const name = `x-amz-${of}-directive`;
  const given = headers.get(name) ?? 'COPY';
  if (given !== 'COPY' && given !== 'REPLACE')
    throw new S3Failure('InvalidArgument', `Unknown ${of} directive.`, { details: { ArgumentName: name, ArgumentValue: given } });
  return given === 'REPLACE';
}

/** @throws S3Failure InvalidRequest for a copy that would leave everything as it is */
function refuseNothing(exchange: Exchange, { bucket, key, versionId }: VersionName, replacesMetadata: boolean): void {
  const same = bucket === bucketName(exchange) && key === objectKey(exchange) && versionId === undefined;
  const changing = ['x-amz-storage-class', 'x-amz-website-redirect-location', 'x-amz-server-side-encryption'];
  const encrypts = exchange.request.headers.names().some((name) => name.startsWith('x-amz-server-side-encryption-customer-'));
  if (!same || replacesMetadata || encrypts || changing.some((name) => exchange.request.headers.has(name))) return;
  throw new S3Failure(
    'InvalidRequest',
    "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
  );
}

function wantedChecksum({ request }: Exchange): ChecksumAlgorithm | undefined {
  const given = request.headers.get('x-amz-checksum-algorithm');
  return given === undefined ? undefined : checksumAlgorithm(given);
}
