/** A request before anybody asked what it wants: taken apart, and nothing about it changed, for it may be signed. */
import { S3Failure } from './errors.js';
import { Headers, type HeaderLine } from './headers.js';
import { percentDecoded } from './percent.js';
import { Query } from './query.js';

/** Of target and headers together. */
export const request_head_bytes_max = 32_768;

/** What a server hands in, of whatever kind it is. Strings have one character for each byte, as node gives them. */
export interface WireRequest {
  readonly method: string;
  /** As it came: `/bucket/a%20key?versionId=3`. */
  readonly target: string;
  /** As they came, in their order, duplicates as well. */
  readonly headers: readonly HeaderLine[];
  /** The Host header, or what stands for it (`:authority`). */
  readonly host: string;
  /** Whether it came over TLS. */
  readonly secure: boolean;
}

export interface S3Request {
  readonly method: string;
  readonly host: string;
  readonly secure: boolean;
  /** As it came, still encoded: version 2 signs this. */
  readonly rawPath: string;
  /** Decoded to bytes, a character each. Nothing is normalized: `//`, `.` and `..` are parts of keys. */
  readonly path: string;
  readonly query: Query;
  readonly headers: Headers;
}

/** @throws S3Failure InvalidURI, InvalidRequest, MethodNotAllowed, RequestHeaderSectionTooLarge */
export function readRequest(wire: WireRequest): S3Request {
  const bytes = wire.headers.reduce((sum, [name, value]) => sum + name.length + value.length + 4, wire.target.length);
  if (bytes > request_head_bytes_max)
    throw new S3Failure('RequestHeaderSectionTooLarge', undefined, {
      details: { MaxSizeAllowed: String(request_head_bytes_max) },
    });
  if (!/^[A-Z]{1,16}$/.test(wire.method)) throw new S3Failure('MethodNotAllowed');
  // Neither `*` nor an absolute URI: the latter would bring a second host, of which only one is signed.
  if (!/^\/[\x21-\x7e\x80-\xff]*$/.test(wire.target) || wire.target.includes('#')) throw new S3Failure('InvalidURI');
  const mark = wire.target.indexOf('?');
  const rawPath = mark < 0 ? wire.target : wire.target.slice(0, mark);
  const path = percentDecoded(rawPath);
  if (path === null) throw new S3Failure('InvalidURI');
  return {
    method: wire.method,
    host: wire.host,
    secure: wire.secure,
    rawPath,
    path,
    query: new Query(mark < 0 ? '' : wire.target.slice(mark + 1)),
    headers: new Headers(wire.headers),
  };
}
