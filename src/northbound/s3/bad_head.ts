/** What is no request of HTTP, or too slow or too long to be one, is answered as S3 would, and its connection ends. */
import { randomBytes } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';

import { errorAnswer } from './error_document.js';
import { S3Failure } from './errors.js';
import { request_head_bytes_max } from './request.js';

export function badHead(error: NodeJS.ErrnoException, socket: Duplex): void {
  // Between an answer's first byte and its last there is no place for another.
  if (!socket.writable || ('bytesWritten' in socket && socket.bytesWritten !== 0)) {
    socket.destroy();
    return;
  }
  const requestId = randomBytes(8).toString('hex').toUpperCase();
  const { status, body } = errorAnswer(failureOf(error), { resource: '', requestId, hostId: requestId });
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    `x-amz-request-id: ${requestId}`,
    'content-type: application/xml',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}

function failureOf({ code }: NodeJS.ErrnoException): S3Failure {
  if (code === 'HPE_HEADER_OVERFLOW')
    return new S3Failure('RequestHeaderSectionTooLarge', undefined, {
      details: { MaxSizeAllowed: String(request_head_bytes_max) },
    });
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new S3Failure('RequestTimeout');
  return new S3Failure('InvalidRequest', 'The request is not HTTP');
}
