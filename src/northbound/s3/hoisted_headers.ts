/**
 * Headers that came in the query. Whoever presigns a request for somebody who only has its URL puts them there, signed as the rest of the query
 * is: the presigner of the JavaScript SDK does so with all of S3's own. They mean what they mean as headers.
 */
import { Headers, type HeaderLine } from './headers.js';
import type { S3Request } from './request.js';

/** What says how the request itself is signed and framed. */
const ofTheRequest = new Set(
  ['algorithm', 'credential', 'date', 'expires', 'signedheaders', 'signature', 'security-token', 'content-sha256', 'trailer'].map(
    (name) => `x-amz-${name}`,
  ),
).add('x-amz-decoded-content-length');

/**
 * Sums of a body that nobody had when the request was signed: the SDK puts that of an empty one there, and S3 takes the body all the same, without
 * a look at it.
 */
const ofTheBody = /^x-amz-(sdk-)?checksum-/;

/** Of a request whose signature was found to be right. What came as a header, too, is what the header says, which is signed as well. */
export function withHoistedHeaders(request: S3Request): S3Request {
  const { headers, query } = request;
  const hoisted = query.parameters.flatMap(({ name, value }): HeaderLine[] => {
    const header = name.toLowerCase();
    const isOne = header.startsWith('x-amz-') && !ofTheRequest.has(header) && !ofTheBody.test(header) && !headers.has(header);
    // A character for each byte, as in headers that came.
    return isOne ? [[header, Buffer.from(value, 'utf8').toString('latin1')]] : [];
  });
  if (hoisted.length === 0) return request;
  const came = headers.names().flatMap((name) => headers.all(name).map((value): HeaderLine => [name, value]));
  return { ...request, headers: new Headers([...came, ...hoisted]) };
}
