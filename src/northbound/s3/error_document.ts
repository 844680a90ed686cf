/** The document that tells a client what went wrong. */
import { toS3Failure } from './errors.js';
import { element, plainXmlDocument } from './xml_document.js';

export interface ErrorPlace {
  /** `/bucket/key`, as it was asked for. */
  readonly resource: string;
  readonly requestId: string;
  readonly hostId: string;
}

export interface ErrorAnswer {
  readonly status: number;
  readonly code: string;
  /** XML; answers to HEAD, and of 304, carry none. */
  readonly body: string;
}

export function errorAnswer(error: unknown, { resource, requestId, hostId }: ErrorPlace): ErrorAnswer {
  const failure = toS3Failure(error);
  const body = plainXmlDocument('Error', [
    element('Code', failure.s3Code),
    element('Message', failure.message),
    ...Object.entries(failure.details).map(([name, value]) => element(name, value)),
    element('Resource', resource),
    element('RequestId', requestId),
    element('HostId', hostId),
  ]);
  return { status: failure.status, code: failure.s3Code, body };
}
