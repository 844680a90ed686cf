/** Uploads that requests name, and who may do what with them. */
import type { BucketRecord, UploadRecord } from '../../catalog/object_records.js';
import { SkerryError } from '../../core/errors.js';
import type { UploadName } from '../../object/uploads.js';
import { S3Failure } from './errors.js';
import { bucketName, objectKey, type Exchange } from './exchange.js';
import { invalidArgument } from './list_parameters.js';

export function uploadName(exchange: Exchange): UploadName {
  const uploadId = exchange.request.query.get('uploadId') ?? '';
  return { bucket: bucketName(exchange), key: objectKey(exchange), uploadId };
}

/** @throws S3Failure InvalidArgument */
export function partNumber({ request }: Exchange): number {
  const text = request.query.get('partNumber') ?? '';
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= 10_000) return number;
  throw invalidArgument('partNumber', text, 'Part number must be an integer between 1 and 10000, inclusive');
}

/** What a writer of objects may do: begin uploads, bring parts, complete them. @throws S3Failure AccessDenied; SkerryError not-found */
export async function requireWrite(exchange: Exchange): Promise<BucketRecord> {
  const { store, access } = exchange.services;
  const { record: bucket } = await store.buckets.get(bucketName(exchange));
  const grant = { of: 'bucket', permission: 'WRITE' } as const;
  await access.require(exchange, { action: 's3:PutObject', bucket, key: objectKey(exchange), grant });
  return bucket;
}

/**
 * What the owner of the bucket may do with any upload, and who began one with that: look at its parts, abort it.
 * @throws S3Failure AccessDenied; SkerryError not-found
 */
export async function requireUpload(exchange: Exchange, action: string): Promise<void> {
  const { store, access } = exchange.services;
  const { record: bucket } = await store.buckets.get(bucketName(exchange));
  const wanted = { action, bucket, key: objectKey(exchange) };
  if (await access.allows(exchange, { ...wanted, grant: { of: 'owner' } })) return;
  const upload = await openUpload(exchange);
  const { caller } = exchange;
  if (upload === null || caller?.principal.account !== upload.attributes.owner) throw new S3Failure('AccessDenied');
  await access.require(exchange, { ...wanted, grant: { of: 'bucket', permission: 'WRITE' } });
}

/** null: it was completed or aborted, or never begun. */
export async function openUpload(exchange: Exchange): Promise<UploadRecord | null> {
  try {
    return (await exchange.services.store.uploads.listParts(uploadName(exchange), { partsMax: 0 })).upload;
  } catch (error) {
    if (error instanceof SkerryError && error.reason === 'no-such-upload') return null;
    throw error;
  }
}
