/** What a request that stores an object says of it, and what is said of it to whoever reads it. */
import type { Attributes, BucketRecord } from '../../catalog/object_records.js';
import type { GivenAttributes } from '../../object/objects.js';
import { aclOfHeaders } from './acl_headers.js';
import { S3Failure } from './errors.js';
import type { Exchange } from './exchange.js';
import type { Headers } from './headers.js';
import { givenLock } from './lock_headers.js';
import { newOwner } from './object_ownership.js';
import { tagsOfHeader } from './object_tags.js';
import { storedContentEncoding } from './payload.js';

const metadata_prefix = 'x-amz-meta-';
/** Of names, without their prefix, and values. */
export const metadata_bytes_max = 2048;
const default_content_type = 'binary/octet-stream';
const keptHeaders = ['cache-control', 'content-disposition', 'content-language', 'content-type', 'expires'] as const;

/** They rest alike; a class is told back. Those that would have to be restored before they are read are none of ours. */
const storageClasses = new Set([
  'STANDARD',
  'REDUCED_REDUNDANCY',
  'STANDARD_IA',
  'ONEZONE_IA',
  'INTELLIGENT_TIERING',
  'GLACIER_IR',
]);

/**
 * All that headers say of a new object, with its owner.
 * @throws S3Failure MetadataTooLarge, InvalidStorageClass, InvalidTag, InvalidArgument, InvalidRequest, NotImplemented; those of ACLs
 */
export async function attributesOf(exchange: Exchange, bucket: BucketRecord): Promise<GivenAttributes> {
  const tagging = exchange.request.headers.get('x-amz-tagging');
  return {
    ...(await placementOf(exchange, bucket)),
    ...describedBy(exchange.request.headers),
    tags: tagging === undefined ? {} : tagsOfHeader(tagging),
  };
}

/** What a copy never takes over from its source: whose it is, who may see it, of which class it is, and how it is kept. */
export async function placementOf(
  exchange: Exchange,
  bucket: BucketRecord,
): Promise<Pick<Attributes, 'owner' | 'acl' | 'storageClass'> & Partial<Pick<Attributes, 'retention' | 'legalHold'>>> {
  const { request, services } = exchange;
  const owner = await newOwner(exchange, bucket);
  const bucketOwner = owner.id === bucket.account ? owner : await services.accounts.get(bucket.account);
  if (request.headers.has('x-amz-website-redirect-location')) throw new S3Failure('NotImplemented');
  return {
    owner: owner.id,
    acl: await aclOfHeaders(exchange, owner, bucketOwner),
    storageClass: storageClassOf(request.headers),
    ...givenLock(exchange, bucket),
  };
}

/** Headers that are kept, and metadata. Values have a character for each byte, as they came. @throws S3Failure MetadataTooLarge */
export function describedBy(headers: Headers): Pick<Attributes, 'headers' | 'metadata'> {
  const kept = keptHeaders.flatMap((name): [string, string][] => {
    const value = headers.get(name);
    return value === undefined || value === '' ? [] : [[name, value]];
  });
  const encoding = storedContentEncoding(headers.get('content-encoding'));
  return {
    headers: {
      'content-type': default_content_type,
      ...Object.fromEntries(kept),
      ...(encoding === undefined ? {} : { 'content-encoding': encoding }),
    },
    metadata: metadataOf(headers),
  };
}

/** For an answer to who reads the object. */
export function describedHeaders({ headers, metadata, storageClass }: Attributes): Record<string, string> {
  return {
    'content-type': default_content_type,
    ...headers,
    ...Object.fromEntries(Object.entries(metadata).map(([name, value]) => [metadata_prefix + name, value])),
    ...(storageClass === '' || storageClass === 'STANDARD' ? {} : { 'x-amz-storage-class': storageClass }),
  };
}

function metadataOf(headers: Headers): Record<string, string> {
  const metadata = new Map<string, string>();
  let bytes = 0;
  for (const header of headers.names().filter((each) => each.startsWith(metadata_prefix))) {
    const name = header.slice(metadata_prefix.length);
    const value = headers.get(header) ?? '';
    bytes += name.length + value.length;
    metadata.set(name, value);
  }
  if (bytes > metadata_bytes_max)
    throw new S3Failure('MetadataTooLarge', undefined, {
      details: { Size: String(bytes), MaxSizeAllowed: String(metadata_bytes_max) },
    });
  return Object.fromEntries(metadata);
}

function storageClassOf(headers: Headers): string {
  const given = headers.get('x-amz-storage-class') ?? 'STANDARD';
  if (!storageClasses.has(given))
    throw new S3Failure('InvalidStorageClass', undefined, { details: { StorageClassRequested: given } });
  return given;
}
