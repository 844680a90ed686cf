/** What a request says of its body: whether it is framed in chunks, what is signed of it, and which sums follow it. */
import { S3Failure } from './errors.js';
import type { S3Request } from './request.js';

/** A body as it stands: its SHA-256 in hexadecimal, where that was given. */
export interface PlainPayload {
  readonly form: 'plain';
  readonly sha256: string | null;
}

/** A body in chunks of `aws-chunked`. */
export interface ChunkedPayload {
  readonly form: 'chunked';
  readonly signed: boolean;
  /** Names of the headers that follow the body, in lower case; null where none may. */
  readonly trailers: readonly string[] | null;
  /** Without the framing. */
  readonly decodedBytes: number;
}

export type Payload = PlainPayload | ChunkedPayload;

const trailers_count_max = 16;

/**
 * `contentSha256` is what the header says, or the query of a presigned request; undefined where nothing is said.
 * @throws S3Failure InvalidArgument, InvalidRequest, MissingContentLength, NotImplemented
 */
export function payloadOf(request: S3Request, contentSha256: string | undefined): Payload {
  const trailer = request.headers.get('x-amz-trailer');
  switch (contentSha256 ?? '') {
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD':
      refuseTrailer(trailer);
      return { form: 'chunked', signed: true, trailers: null, decodedBytes: decodedBytesOf(request) };
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER':
      return { form: 'chunked', signed: true, trailers: trailerNames(trailer), decodedBytes: decodedBytesOf(request) };
    case 'STREAMING-UNSIGNED-PAYLOAD-TRAILER':
      return { form: 'chunked', signed: false, trailers: trailerNames(trailer), decodedBytes: decodedBytesOf(request) };
    case 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD':
    case 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER':
      throw new S3Failure('NotImplemented', 'Signatures of version 4A are not known here');
    default:
      refuseTrailer(trailer);
      // Stored as it stands it would be an object with the framing in it. The coding alone says nothing: some name it always.
      if (isAwsChunked(request.headers.get('content-encoding')) && request.headers.has('x-amz-decoded-content-length'))
        throw new S3Failure('InvalidRequest', 'A body that is aws-chunked needs an x-amz-content-sha256 that says so');
      return { form: 'plain', sha256: plainSha256(contentSha256) };
  }
}

/** The content encoding that is left once the framing is gone; undefined where none is. */
export function storedContentEncoding(contentEncoding: string | undefined): string | undefined {
  if (contentEncoding === undefined) return undefined;
  const codings = contentEncoding.split(',').map((coding) => coding.trim());
  const left = codings.filter((coding) => coding !== '' && coding.toLowerCase() !== 'aws-chunked');
  return left.length === 0 ? undefined : left.join(', ');
}

function isAwsChunked(contentEncoding: string | undefined): boolean {
  return contentEncoding?.split(',').some((coding) => coding.trim().toLowerCase() === 'aws-chunked') ?? false;
}

function plainSha256(contentSha256: string | undefined): string | null {
  if (contentSha256 === undefined || contentSha256 === 'UNSIGNED-PAYLOAD') return null;
  if (/^[0-9a-f]{64}$/.test(contentSha256)) return contentSha256;
  throw new S3Failure(
    'InvalidArgument',
    'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.',
    { details: { ArgumentName: 'x-amz-content-sha256', ArgumentValue: contentSha256 } },
  );
}

function refuseTrailer(trailer: string | undefined): void {
  if (trailer !== undefined)
    throw new S3Failure('InvalidRequest', 'x-amz-trailer needs an x-amz-content-sha256 that says that trailers follow');
}

function trailerNames(trailer: string | undefined): string[] {
  const names = (trailer ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '');
  const bad = names.some((name) => !/^[a-z0-9-]+$/.test(name)) || new Set(names).size !== names.length;
  if (bad || names.length > trailers_count_max)
    throw new S3Failure('InvalidRequest', 'The value specified in the x-amz-trailer header is not supported');
  return names;
}

function decodedBytesOf({ headers }: S3Request): number {
  const text = headers.get('x-amz-decoded-content-length');
  if (text === undefined)
    throw new S3Failure('MissingContentLength', 'You must provide the x-amz-decoded-content-length HTTP header.');
  const bytes = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(bytes))
    throw new S3Failure('InvalidArgument', 'x-amz-decoded-content-length is not a length', {
      details: { ArgumentName: 'x-amz-decoded-content-length', ArgumentValue: text },
    });
  return bytes;
}
