/** Sums of a body: those that a request announces, in headers or behind the body, and those that an answer tells. */
import { checksumAlgorithms, type Checksum, type ChecksumAlgorithm, type ChecksumType } from '../../catalog/object_records.js';
import type { Expected } from '../../object/digests.js';
import { S3Failure } from './errors.js';
import type { Exchange } from './exchange.js';
import { contentMd5 } from './request_body.js';

const digestBytes: Readonly<Record<ChecksumAlgorithm, number>> = { CRC32: 4, CRC32C: 4, CRC64NVME: 8, SHA1: 20, SHA256: 32 };

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

/**
 * What a body that comes with this request has to be. A sum that follows the body is asked for when that has ended.
 * @throws S3Failure InvalidDigest, InvalidRequest
 */
export function expectedSums(exchange: Exchange): Expected {
  const md5 = contentMd5(exchange.request);
  const checksum = expectedChecksum(exchange);
  return { ...(md5 === undefined ? {} : { md5 }), ...(checksum === undefined ? {} : { checksum }) };
}

/** Whether the request has a sum of its body: some operations want one. */
export function announcesSum({ request }: Exchange): boolean {
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

export function checksumText({ type, value }: Checksum, parts: number): string {
  return type === 'composite' ? `${value}-${parts}` : value;
}

export function checksumTypeText(type: ChecksumType): string {
  return type === 'composite' ? 'COMPOSITE' : 'FULL_OBJECT';
}

/** @throws S3Failure InvalidRequest where it is not the base 64 of as many bytes as the algorithm gives */
export function checkedSum(algorithm: ChecksumAlgorithm, value: string): string {
  const bytes = Buffer.from(value, 'base64');
  if (bytes.length !== digestBytes[algorithm] || bytes.toString('base64') !== value)
    throw new S3Failure('InvalidRequest', `Value for ${checksumHeader(algorithm)} header is invalid.`);
  return value;
}

function expectedChecksum(exchange: Exchange): Expected['checksum'] {
  const { headers } = exchange.request;
  const given = sumHeaders(headers.names());
  const announced = trailerNames(exchange.request);
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
  const value = headers.get(header);
  if (value !== undefined) return { algorithm, value: checkedSum(algorithm, value) };
  return { algorithm, value: () => trailingSum(exchange, algorithm) };
}

function trailingSum({ body }: Exchange, algorithm: ChecksumAlgorithm): string {
  const value = body.trailers.get(checksumHeader(algorithm));
  if (value === undefined) throw new S3Failure('MalformedTrailerError');
  return checkedSum(algorithm, value);
}

function sumHeaders(names: readonly string[]): string[] {
  return names.filter((name) => name.startsWith(prefix) && !otherHeaders.has(name));
}

function trailerNames({ headers }: Exchange['request']): string[] {
  const names = (headers.get('x-amz-trailer') ?? '').split(',').map((name) => name.trim().toLowerCase());
  return sumHeaders(names);
}
