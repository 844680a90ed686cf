/** PutObject, and what storing a body has in common however it comes. */
import type { BucketRecord } from '../../catalog/object_records.js';
import type { Version } from '../../object/object_version.js';
import type { PutOrder } from '../../object/objects.js';
import { put_bytes_max } from '../../object/uploads.js';
import { saysAcl } from './acl_headers.js';
import { emptyAnswer } from './answer.js';
import { attributesOf } from './attribute_headers.js';
import { checksumHeaders, expectedSums } from './checksum_headers.js';
import { writeConditions } from './condition_headers.js';
import { sealedAttributes, sealHeaders, sealingOf } from './encryption_headers.js';
import { S3Failure } from './errors.js';
import { bucketName, causeOf, objectKey, type Exchange, type Operation } from './exchange.js';
import { expirationHeaders } from './lifecycle_document.js';
import { requestedBucket, versionHeader } from './object_access.js';
import { refusePartOfObject } from './unheeded.js';

export const putObject: Operation = {
  name: 'PutObject',
  async run(exchange) {
    refusePartOfObject(exchange.request);
    const bucket = await requestedBucket(exchange);
    await requirePut(exchange, bucket);
    const bytes = announcedBytes(exchange);
    // One of another length than it announced is refused by who stores it.
    const content = bytes === null ? bounded(exchange.body.passing()) : exchange.body.passing();
    const version = await store(exchange, bucket, { content, bytes });
    const expiration = await expirationHeaders(exchange.services.store.buckets, bucket.name, version);
    return emptyAnswer(200, { ...storedHeaders(exchange, bucket, version), ...expiration });
  },
};

/** Asked of whoever brings an object, by the headers that come with it. @throws S3Failure AccessDenied */
export async function requirePut(exchange: Exchange, bucket: BucketRecord): Promise<void> {
  const { access } = exchange.services;
  const { headers } = exchange.request;
  const wanted = { bucket, key: objectKey(exchange) };
  await access.require(exchange, { ...wanted, action: 's3:PutObject', grant: { of: 'bucket', permission: 'WRITE' } });
  const locks = [
    ['x-amz-object-lock-mode', 's3:PutObjectRetention'],
    ['x-amz-object-lock-legal-hold', 's3:PutObjectLegalHold'],
  ] as const;
  for (const [header, action] of locks)
    if (headers.has(header)) await access.require(exchange, { ...wanted, action, grant: { of: 'owner' } });
  // Who may put an object may say these of it, as clients take for granted whose policies allow s3:PutObject alone.
  if (saysAcl(exchange.request)) await access.refuseDenied(exchange, { ...wanted, action: 's3:PutObjectAcl' });
  if (headers.has('x-amz-tagging')) await access.refuseDenied(exchange, { ...wanted, action: 's3:PutObjectTagging' });
}

/** `bytes`: null where nobody knows. @throws S3Failure, SkerryError: nothing is stored then */
export async function store(
  exchange: Exchange,
  bucket: BucketRecord,
  body: Pick<PutOrder, 'content' | 'bytes' | 'kind'>,
): Promise<Version> {
  const { request, services } = exchange;
  return services.store.objects.put({
    bucket: bucketName(exchange),
    key: objectKey(exchange),
    ...body,
    ...broughtBy(exchange),
    cause: causeOf(exchange),
    ...sealedAttributes(await attributesOf(exchange, bucket), await sealingOf(exchange, bucket)),
    expected: expectedSums(exchange),
    conditions: writeConditions(request.headers),
  });
}

/** Nobody, where nobody signed. */
export function broughtBy({ caller }: Exchange): Pick<PutOrder, 'account'> {
  return caller === null ? {} : { account: caller.principal.account };
}

export function storedHeaders(exchange: Exchange, bucket: BucketRecord, version: Version): Record<string, string> {
  const { etag, versionId, checksum, attributes } = version;
  return {
    etag: `"${etag}"`,
    // A null version has no id to tell of: S3 names it only to who asks for it.
    ...(versionId === 'null' ? {} : versionHeader(bucket, versionId)),
    ...checksumHeaders(checksum, 0),
    ...sealHeaders(exchange, attributes.seal),
  };
}

/** Of a body that is put at once; null where it comes in chunks of HTTP. @throws S3Failure MissingContentLength, EntityTooLarge */
export function announcedBytes({ body, request: { headers } }: Exchange): number | null {
  if (!headers.has('content-length') && !headers.has('transfer-encoding')) throw new S3Failure('MissingContentLength');
  if (body.bytes !== null && body.bytes > put_bytes_max) throw tooLarge(body.bytes);
  return body.bytes;
}

function tooLarge(bytes: number): S3Failure {
  return new S3Failure('EntityTooLarge', undefined, {
    details: { ProposedSize: String(bytes), MaxSizeAllowed: String(put_bytes_max) },
  });
}

/** Of a body whose length nobody may have said. @throws S3Failure EntityTooLarge */
export async function* bounded(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const piece of content) {
    bytes += piece.length;
    if (bytes > put_bytes_max) throw tooLarge(bytes);
    yield piece;
  }
}
