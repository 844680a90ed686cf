/** What a request is answered with, before any server writes it. */
import { xmlDocument, type XmlContent } from './xml_document.js';

/** Bytes that are produced while they are sent. */
export interface StreamedBody {
  /** Of all of it, as Content-Length tells. */
  readonly bytes: number;
  readonly content: AsyncIterable<Uint8Array>;
  /** Once, whether it was read to its end or not. */
  close(): void;
}

export interface Answer {
  readonly status: number;
  /** Names in lower case; values have a character for each byte. */
  readonly headers: Readonly<Record<string, string>>;
  /** null: none. To HEAD the body is not sent, but its length is told. */
  readonly body: string | StreamedBody | null;
}

export function emptyAnswer(status = 200, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, headers, body: null };
}

/** A document in the namespace of S3. */
export function xmlAnswer(name: string, content: XmlContent, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status: 200, headers: { 'content-type': 'application/xml', ...headers }, body: xmlDocument(name, content) };
}
