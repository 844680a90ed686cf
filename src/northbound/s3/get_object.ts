/** GetObject and HeadObject. */
import type { BucketRecord } from '../../catalog/object_records.js';
import { judgeRead } from '../../object/conditions.js';
import type { Version, VersionName } from '../../object/object_version.js';
import type { OpenObject } from '../../object/objects.js';
import { emptyAnswer, type Answer } from './answer.js';
import { describedHeaders } from './attribute_headers.js';
import { contentRange, rangeOf, type ByteRange } from './byte_range.js';
import { checksumHeader, checksumHeaders, checksumTypeText } from './checksum_headers.js';
import { readConditions } from './condition_headers.js';
import { objectKeyOf, refuseMethod, sealHeaders } from './encryption_headers.js';
import { S3Failure } from './errors.js';
import type { Exchange, Operation } from './exchange.js';
import { expirationHeaders } from './lifecycle_document.js';
import { lockHeaders } from './lock_headers.js';
import { mayRead, openReadable, requestedBucket, requestedVersion, versionHeader } from './object_access.js';
import { bytesOfText } from './percent.js';
import { httpDate } from './timestamp.js';

export const getObject: Operation = { name: 'GetObject', run: (exchange) => read(exchange, 'body') };
export const headObject: Operation = { name: 'HeadObject', run: (exchange) => read(exchange, 'headers') };

/** Parts are numbered from 1. */
const part_number_max = 10_000;

/** What of an object is asked for, and how the answer says so. */
interface Chosen {
  readonly range: ByteRange | null;
  readonly headers: Readonly<Record<string, string>>;
}

async function read(exchange: Exchange, wanted: 'body' | 'headers'): Promise<Answer> {
  const overrides = overriddenHeaders(exchange);
  refuseMethod(exchange);
  const name = requestedVersion(exchange);
  const bucket = await requestedBucket(exchange);
  const object = await openReadable(exchange, bucket, name);
  try {
    const { version } = object;
    // That there is no such part is told before a key is asked for.
    const ofPart = exchange.request.query.has('partNumber') ? await chosen(exchange, object) : null;
    const objectKey = await objectKeyOf(exchange, bucket, version.attributes.seal);
    const headers = { ...(await headersOf(exchange, bucket, version, name)), ...overrides };
    const verdict = judgeRead(readConditions(exchange.request.headers), version);
    if (verdict === 'failed') throw new S3Failure('PreconditionFailed');
    if (verdict === 'not-modified') {
      object.close();
      return emptyAnswer(304, unmodifiedHeaders(headers));
    }
    return answerOf({ object, objectKey }, headers, ofPart ?? (await chosen(exchange, object)), wanted);
  } catch (error) {
    object.close();
    throw error;
  }
}

function answerOf(
  { object, objectKey }: { readonly object: OpenObject; readonly objectKey: Uint8Array | undefined },
  headers: Record<string, string>,
  { range, headers: more }: Chosen,
  wanted: 'body' | 'headers',
): Answer {
  const { bytes: all } = object.version;
  const { offset, bytes } = range ?? { offset: 0, bytes: all };
  const status = range === null ? 200 : 206;
  const told = { ...headers, ...more, ...(range === null ? {} : { 'content-range': contentRange(range, all) }) };
  if (wanted === 'headers' || bytes === 0) {
    object.close();
    return emptyAnswer(status, { ...told, 'content-length': String(bytes) });
  }
  const content = object.read(offset, bytes, objectKey);
  return { status, headers: told, body: { bytes, content, close: () => object.close() } };
}

async function chosen(exchange: Exchange, object: OpenObject): Promise<Chosen> {
  const { headers, query } = exchange.request;
  const range = headers.get('range');
  const number = query.get('partNumber');
  const { version } = object;
  if (number === undefined) {
    const found = rangeOf(range, version.bytes);
    return { range: found, headers: found === null ? sums(exchange, version) : {} };
  }
  if (range !== undefined)
    throw new S3Failure('InvalidRequest', 'Cannot specify both Range header and partNumber query parameter');
  return part(exchange, object, partNumber(number));
}

async function part(exchange: Exchange, object: OpenObject, number: number): Promise<Chosen> {
  const { version } = object;
  // One that was put at once is its own first part.
  if (version.parts === 0 && number === 1) return { range: null, headers: sums(exchange, version) };
  const [found] = await object.parts(number - 1, 1);
  if (version.parts === 0 || found === undefined)
    throw new S3Failure('InvalidPart', 'The requested partnumber is not satisfiable');
  const { offset, bytes, checksum: value } = found;
  return {
    range: bytes === 0 ? null : { offset, bytes },
    headers: { 'x-amz-mp-parts-count': String(version.parts), ...(asksForSums(exchange) ? partSum(version, value) : {}) },
  };
}

/** The sum of the part alone, beside the type of the whole, as S3 tells it. */
function partSum({ checksum }: Version, value: string): Record<string, string> {
  if (checksum === null || value === '') return {};
  return { [checksumHeader(checksum.algorithm)]: value, 'x-amz-checksum-type': checksumTypeText(checksum.type) };
}

async function headersOf(
  exchange: Exchange,
  bucket: BucketRecord,
  version: Version,
  name: VersionName,
): Promise<Record<string, string>> {
  const { attributes, etag, modifiedAt, versionId } = version;
  const tags = Object.keys(attributes.tags).length;
  return {
    ...describedHeaders(attributes),
    ...sealHeaders(exchange, attributes.seal),
    'accept-ranges': 'bytes',
    etag: `"${etag}"`,
    'last-modified': httpDate(modifiedAt),
    ...versionHeader(bucket, name.versionId ?? versionId),
    ...(tags === 0 ? {} : { 'x-amz-tagging-count': String(tags) }),
    ...(await lockOf(exchange, bucket, version)),
    ...(name.versionId === undefined ? await expirationHeaders(exchange.services.store.buckets, bucket.name, version) : {}),
  };
}

/** How it is kept is told to who may ask for it. */
async function lockOf(exchange: Exchange, bucket: BucketRecord, version: Version): Promise<Record<string, string>> {
  const { retention, legalHold } = version.attributes;
  return lockHeaders({
    retention: retention !== null && (await mayRead(exchange, bucket, version, 's3:GetObjectRetention')) ? retention : null,
    legalHold: legalHold && (await mayRead(exchange, bucket, version, 's3:GetObjectLegalHold')),
  });
}

function sums(exchange: Exchange, { checksum, parts }: Version): Record<string, string> {
  return asksForSums(exchange) ? checksumHeaders(checksum, parts) : {};
}

function asksForSums({ request }: Exchange): boolean {
  return request.headers.get('x-amz-checksum-mode')?.toUpperCase() === 'ENABLED';
}

function partNumber(text: string): number {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (number < 1 || number > part_number_max)
    throw new S3Failure('InvalidArgument', `Part number must be an integer between 1 and ${part_number_max}, inclusive`, {
      details: { ArgumentName: 'partNumber', ArgumentValue: text },
    });
  return number;
}

const overridable = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
] as const;

/** Who signs may say with which headers it is answered. @throws S3Failure InvalidRequest, InvalidArgument */
function overriddenHeaders({ caller, request }: Exchange): Record<string, string> {
  if (request.query.parameters.length === 0) return {};
  const given = overridable.flatMap((header): [string, string][] => {
    const value = request.query.get(`response-${header}`);
    return value === undefined ? [] : [[header, bytesOfText(value)]];
  });
  if (given.length > 0 && caller === null)
    throw new S3Failure('InvalidRequest', 'Request specific response headers cannot be used for anonymous GET requests.');
  // oxlint-disable-next-line no-control-regex -- these would end the header
  const bad = given.find(([, value]) => hasControls(value));
  if (bad !== undefined)
    throw new S3Failure('InvalidArgument', 'A header has no control characters', {
      details: { ArgumentName: `response-${bad[0]}`, ArgumentValue: bad[1] },
    });
  return Object.fromEntries(given);
}

function hasControls(value: string): boolean {
  // oxlint-disable-next-line no-control-regex -- these would end the header
  return /[\0-\x1f\x7f]/.test(value);
}

/** What a cache that holds the object may learn anew. */
function unmodifiedHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  const told = new Set(['cache-control', 'etag', 'expires', 'last-modified', 'x-amz-version-id']);
  return Object.fromEntries(Object.entries(headers).filter(([name]) => told.has(name)));
}
