/** Objects that come in parts: begun, brought part by part, looked at, and aborted. */
import type { Checksum } from '../../catalog/object_records.js';
import { allowsType } from '../../object/digests.js';
import type { PartView } from '../../object/uploads.js';
import { emptyAnswer, xmlAnswer } from './answer.js';
import { attributesOf } from './attribute_headers.js';
import { checksumAlgorithm, checksumElement, checksumHeader, checksumTypeText, expectedSums } from './checksum_headers.js';
import { sealedAttributes, sealHeaders, sealingOf, uploadKey } from './encryption_headers.js';
import { S3Failure } from './errors.js';
import { bucketName, objectKey, type Exchange, type Operation } from './exchange.js';
import { countOf, listParameters, nameForm } from './list_parameters.js';
import { ListedOwners } from './listed_owners.js';
import { encodingOf } from './object_lists.js';
import { documentKey } from './object_key.js';
import type { Route } from './operations.js';
import { uploadPartCopy } from './part_copy.js';
import { requestedBucket } from './object_access.js';
import { announcedBytes, bounded, broughtBy, requirePut } from './put_object.js';
import { openUpload, partNumber, requireUpload, requireWrite, uploadName } from './upload_access.js';
import { completeMultipartUpload } from './upload_completion.js';
import { documentTime } from './timestamp.js';
import { element, type XmlNode } from './xml_document.js';

const createMultipartUpload: Operation = {
  name: 'CreateMultipartUpload',
  async run(exchange) {
    const bucket = await requestedBucket(exchange);
    await requirePut(exchange, bucket);
    const key = objectKey(exchange);
    const checksum = checksumKind(exchange);
    const { attributes } = sealedAttributes(await attributesOf(exchange, bucket), await sealingOf(exchange, bucket));
    const order = { bucket: bucket.name, key, attributes, ...(checksum === null ? {} : { checksum }) };
    const uploadId = await exchange.services.store.uploads.create(order);
    const nodes = [element('Bucket', bucket.name), element('Key', documentKey(key)), element('UploadId', uploadId)];
    const told = sealHeaders(exchange, attributes.seal);
    if (checksum === null) return xmlAnswer('InitiateMultipartUploadResult', nodes, told);
    return xmlAnswer('InitiateMultipartUploadResult', nodes, {
      ...told,
      'x-amz-checksum-algorithm': checksum.algorithm,
      'x-amz-checksum-type': checksumTypeText(checksum.type),
    });
  },
};

const uploadPart: Operation = {
  name: 'UploadPart',
  async run(exchange) {
    const bucket = await requireWrite(exchange);
    const number = partNumber(exchange);
    const bytes = announcedBytes(exchange);
    const expected = expectedSums(exchange);
    const upload = await openUpload(exchange);
    const sealing = await uploadKey(exchange, bucket, upload);
    const { requestId } = exchange;
    const body = { content: bounded(exchange.body.passing()), bytes, requestId, ...broughtBy(exchange) };
    const order = { ...uploadName(exchange), number, ...body, expected, ...sealing };
    const part = await exchange.services.store.uploads.putPart(order);
    const algorithm = part.checksum === '' ? undefined : (expected.checksum ?? upload?.checksum)?.algorithm;
    return emptyAnswer(200, {
      etag: `"${part.etag}"`,
      ...(algorithm === undefined ? {} : { [checksumHeader(algorithm)]: part.checksum }),
      ...sealHeaders(exchange, upload?.attributes.seal),
    });
  },
};

const listParts: Operation = {
  name: 'ListParts',
  async run(exchange) {
    await requireUpload(exchange, 's3:ListMultipartUploadParts');
    const { query } = exchange.request;
    const parameters = listParameters(query, 'max-parts');
    const after = countOf(query, 'part-number-marker') ?? 0;
    const name = uploadName(exchange);
    const page = { after: Math.min(after, 10_000), partsMax: parameters.entriesMax };
    const { upload, parts, more } = await exchange.services.store.uploads.listParts(name, page);
    const form = nameForm(parameters, [name.key]);
    const owners = new ListedOwners(exchange.services);
    // Of none that was asked for there is none after which to go on.
    const truncated = more && parts.length > 0;
    return xmlAnswer('ListPartsResult', [
      element('Bucket', bucketName(exchange)),
      ...encodingOf(form),
      element('Key', form.of(name.key)),
      element('UploadId', name.uploadId),
      ...(await owners.of(upload.attributes.owner, 'Initiator')),
      ...(await owners.of(upload.attributes.owner)),
      element('StorageClass', upload.attributes.storageClass),
      element('PartNumberMarker', after),
      element('NextPartNumberMarker', parts.at(-1)?.number ?? 0),
      element('MaxParts', parameters.entriesMax),
      element('IsTruncated', truncated),
      ...(upload.checksum === null
        ? []
        : [
            element('ChecksumAlgorithm', upload.checksum.algorithm),
            element('ChecksumType', checksumTypeText(upload.checksum.type)),
          ]),
      ...parts.map((part) => partNode(part, upload.checksum)),
    ]);
  },
};

const abortMultipartUpload: Operation = {
  name: 'AbortMultipartUpload',
  async run(exchange) {
    await requireUpload(exchange, 's3:AbortMultipartUpload');
    await exchange.services.store.uploads.abort(uploadName(exchange));
    return emptyAnswer(204);
  },
};

export const uploadOperations: readonly Route[] = [
  { target: 'object', method: 'POST', query: ['uploads'], operation: createMultipartUpload },
  { target: 'object', method: 'PUT', query: ['uploadId', 'partNumber'], operation: uploadPart },
  {
    target: 'object',
    method: 'PUT',
    query: ['uploadId', 'partNumber'],
    header: 'x-amz-copy-source',
    operation: uploadPartCopy,
  },
  { target: 'object', method: 'GET', query: ['uploadId'], operation: listParts },
  { target: 'object', method: 'DELETE', query: ['uploadId'], operation: abortMultipartUpload },
  { target: 'object', method: 'POST', query: ['uploadId'], operation: completeMultipartUpload },
];

/** Of the parts, and of the whole. @throws S3Failure InvalidRequest */
function checksumKind({ request: { headers } }: Exchange): Pick<Checksum, 'algorithm' | 'type'> | null {
  const named = headers.get('x-amz-checksum-algorithm');
  const typed = headers.get('x-amz-checksum-type')?.toUpperCase();
  if (named === undefined) {
    if (typed === undefined) return null;
    throw new S3Failure(
      'InvalidRequest',
      'The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.',
    );
  }
  const algorithm = checksumAlgorithm(named);
  if (typed !== undefined && typed !== 'COMPOSITE' && typed !== 'FULL_OBJECT')
    throw new S3Failure('InvalidRequest', 'Value for x-amz-checksum-type header is invalid.');
  const type = (typed ?? (algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE')) === 'COMPOSITE' ? 'composite' : 'full-object';
  if (allowsType(algorithm, type)) return { algorithm, type };
  throw new S3Failure(
    'InvalidRequest',
    `The ${checksumTypeText(type)} checksum type cannot be used with the ${algorithm.toLowerCase()} checksum algorithm.`,
  );
}

function partNode({ number, modifiedAt, etag, bytes, checksum }: PartView, kind: Pick<Checksum, 'algorithm'> | null): XmlNode {
  return element('Part', [
    element('PartNumber', number),
    element('LastModified', documentTime(modifiedAt)),
    element('ETag', `"${etag}"`),
    element('Size', bytes),
    ...(kind === null || checksum === '' ? [] : [element(checksumElement(kind.algorithm), checksum)]),
  ]);
}
