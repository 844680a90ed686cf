/** Sums of a body: those that a request announces, in headers or behind the body, and those that an answer tells. */
import { checksumAlgorithms, type Checksum, type ChecksumAlgorithm, type ChecksumType } from '../../catalog/object_records.js';
import type { Expected } from '../../object/digests.js';
import { S3Failure } from './errors.js';
import type { Exchange } from './exchange.js';
import type { S3Request } from './request.js';
import { element, type XmlNode } from './xml_document.js';

const prefix = 'x-amz-checksum-';
/** Headers of that prefix that are no sum. */
const otherHeaders = new Set(['x-amz-checksum-mode', 'x-amz-checksum-type', 'x-amz-checksum-algorithm']);

export function checksumHeader(algorithm: ChecksumAlgorithm): string {
  return prefix + algorithm.toLowerCase();
}

/** As XML names it: `ChecksumCRC32C`. */
export function checksumElement(algorithm: ChecksumAlgorithm): string {
  return `Checksum${algorithm}`;
}

/** @throws S3Failure InvalidRequest for an algorithm that there is not */
export function checksumAlgorithm(text: string, name = 'x-amz-checksum-algorithm'): ChecksumAlgorithm {
  const found = checksumAlgorithms.find((each) => each === text.trim().toUpperCase());
  if (found === undefined)
    throw new S3Failure(
      'InvalidRequest',
      `The value of ${name} must be one of ${checksumAlgorithms.join(', ')}: Checksum algorithm provided is unsupported.`,
    );
  return found;
}

/** What a body that comes with this request has to be. @throws as sumsOf() */
export function expectedSums({ request, body }: Exchange): Expected {
  return sumsOf(request, () => body.trailers);
}

/** A sum that follows the body is asked for when that has ended, in `trailers`. @throws S3Failure InvalidDigest, InvalidRequest */
export function sumsOf(request: S3Request, trailers: () => ReadonlyMap<string, string>): Expected {
  const md5 = contentMd5(request);
  const checksum = expectedChecksum(request, trailers);
  return { ...(md5 === undefined ? {} : { md5 }), ...(checksum === undefined ? {} : { checksum }) };
}

/** Whether the request has a sum of its body: some operations want one. */
export function announcesSum(request: S3Request): boolean {
  return request.headers.has('content-md5') || sumHeaders(request.headers.names()).length > 0 || trailerNames(request).length > 0;
}

/** For an answer: the sum, with the number of parts where it is one of their sums. `parts` is 0 for a body that was put at once. */
export function checksumHeaders(checksum: Checksum | null, parts: number): Record<string, string> {
  if (checksum === null) return {};
  return {
    [checksumHeader(checksum.algorithm)]: checksumText(checksum, parts),
    'x-amz-checksum-type': checksumTypeText(checksum.type),
  };
}

/** For a document that tells of an object or a part. */
export function checksumNodes(checksum: Checksum | null, parts: number): readonly XmlNode[] {
  if (checksum === null) return [];
  return [
    element(checksumElement(checksum.algorithm), checksumText(checksum, parts)),
    element('ChecksumType', checksumTypeText(checksum.type)),
  ];
}

export function checksumText({ type, value }: Checksum, parts: number): string {
  return type === 'composite' ? `${value}-${parts}` : value;
}

export function checksumTypeText(type: ChecksumType): string {
  return type === 'composite' ? 'COMPOSITE' : 'FULL_OBJECT';
}

function expectedChecksum(request: S3Request, trailers: () => ReadonlyMap<string, string>): Expected['checksum'] {
  const { headers } = request;
  const given = sumHeaders(headers.names());
  const announced = trailerNames(request);
  if (given.length + announced.length > 1)
    throw new S3Failure('InvalidRequest', 'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.');
  const named = headers.get('x-amz-sdk-checksum-algorithm');
  const [header] = [...given, ...announced];
  if (header === undefined) {
    if (named === undefined) return undefined;
    checksumAlgorithm(named, 'x-amz-sdk-checksum-algorithm');
    throw new S3Failure(
      'InvalidRequest',
      'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.',
    );
  }
  const algorithm = checksumAlgorithm(header.slice(prefix.length), header);
  if (named !== undefined && checksumAlgorithm(named, 'x-amz-sdk-checksum-algorithm') !== algorithm)
    throw new S3Failure('InvalidRequest', 'Value for x-amz-sdk-checksum-algorithm header is invalid.');
  return { algorithm, value: headers.get(header) ?? (() => trailingSum(trailers(), header)) };
}

/** One that is no sum at all is not that of the body either. */
function trailingSum(trailers: ReadonlyMap<string, string>, header: string): string {
  const value = trailers.get(header);
  if (value === undefined) throw new S3Failure('MalformedTrailerError');
  return value;
}

/** In base 64; undefined where there is none. @throws S3Failure InvalidDigest */
function contentMd5({ headers }: S3Request): string | undefined {
  const given = headers.get('content-md5');
  if (given === undefined) return undefined;
  const decoded = Buffer.from(given, 'base64');
  if (decoded.length !== 16 || decoded.toString('base64') !== given)
    throw new S3Failure('InvalidDigest', 'The Content-MD5 you specified is not valid.');
  return given;
}

function sumHeaders(names: readonly string[]): string[] {
  return names.filter((name) => name.startsWith(prefix) && !otherHeaders.has(name));
}

function trailerNames({ headers }: S3Request): string[] {
  const trailer = headers.get('x-amz-trailer');
  return trailer === undefined ? [] : sumHeaders(trailer.split(',').map((name) => name.trim().toLowerCase()));
}
