/** The body of a request, for whoever wants it: read once, decoded and judged on the way. */
import { createHash } from 'node:crypto';
import { finished } from 'node:stream';
import type { Readable } from 'node:stream';

import { sumsElsewhere } from '../../engine/body_sums.js';
import type { BodyPlan } from './authenticator.js';
import { bodyDecoder, type BodyDecoder } from './body_decoder.js';
import { S3Failure } from './errors.js';
import type { S3Request } from './request.js';
import { sameSecret } from './same_secret.js';
import { parseXml, xmlLimits, type XmlElement } from './xml_tree.js';

/** Of a configuration, such as a policy or rules: none is as large. */
const document_bytes_max = 1 << 20;

export class RequestBody {
  /** Without framing; null where nobody said. */
  readonly bytes: number | null;
  readonly #request: S3Request;
  readonly #incoming: Readable;
  readonly #plan: BodyPlan;
  readonly #onFirstRead: () => void;
  #decoder: BodyDecoder | null = null;

  /** `onFirstRead`: who waits for leave to send (Expect: 100-continue) gets it then. */
  constructor(request: S3Request, incoming: Readable, plan: BodyPlan, onFirstRead: () => void) {
    this.#request = request;
    this.#incoming = incoming;
    this.#plan = plan;
    this.#onFirstRead = onFirstRead;
    this.bytes = plan.form === 'chunked' ? plan.decodedBytes : contentLength(request);
  }

  /** Once only. Fails with an S3Failure where the body is not what was signed or announced, at its end at the latest. */
  stream(): AsyncIterable<Buffer> {
    if (this.#decoder !== null) throw new Error('the body was read already');
    const decoder = bodyDecoder(this.#plan, sumsElsewhere);
    this.#decoder = decoder;
    this.#onFirstRead();
    finished(this.#incoming, { writable: false }, (error) => {
      if (error) decoder.destroy(new S3Failure('IncompleteBody', undefined, { cause: error }));
    });
    this.#incoming.pipe(decoder);
    return decoder;
  }

  /** As it came, with its framing, for who takes it apart otherwise: a form. */
  raw(): Readable {
    this.#onFirstRead();
    return this.#incoming;
  }

  /** Headers that came behind the body, by name in lower case; whole once the stream has ended. */
  get trailers(): ReadonlyMap<string, string> {
    return this.#decoder?.trailers ?? new Map<string, string>();
  }

  /** All of it, as a whole. @throws S3Failure MaxMessageLengthExceeded, BadDigest, InvalidDigest and those of the stream */
  async whole(bytesMax = document_bytes_max): Promise<Buffer> {
    if ((this.bytes ?? 0) > bytesMax) throw new S3Failure('MaxMessageLengthExceeded');
    const pieces: Buffer[] = [];
    let bytes = 0;
    for await (const piece of this.stream()) {
      bytes += piece.length;
      if (bytes > bytesMax) throw new S3Failure('MaxMessageLengthExceeded');
      pieces.push(piece);
    }
    const all = Buffer.concat(pieces);
    this.#checkMd5(all);
    return all;
  }

  /** The document `root` that must be there. @throws S3Failure MalformedXML, MissingRequestBodyError and those of whole() */
  async xml(root: string): Promise<XmlElement> {
    const bytes = await this.whole(xmlLimits.bytesMax);
    if (bytes.length === 0) throw new S3Failure('MissingRequestBodyError');
    return parseXml(bytes, root);
  }

  /** null where there is no body at all. */
  async optionalXml(root: string): Promise<XmlElement | null> {
    const bytes = await this.whole(xmlLimits.bytesMax);
    return bytes.length === 0 ? null : parseXml(bytes, root);
  }

  #checkMd5(bytes: Buffer): void {
    const given = contentMd5(this.#request);
    if (given !== undefined && !sameSecret(createHash('md5').update(bytes).digest('base64'), given))
      throw new S3Failure('BadDigest', 'The Content-MD5 you specified did not match what we received.');
  }
}

/** In base 64; undefined where there is none. @throws S3Failure InvalidDigest */
export function contentMd5(request: S3Request): string | undefined {
  const given = request.headers.get('content-md5');
  if (given === undefined) return undefined;
  const decoded = Buffer.from(given, 'base64');
  if (decoded.length !== 16 || decoded.toString('base64') !== given)
    throw new S3Failure('InvalidDigest', 'The Content-MD5 you specified is not valid.');
  return given;
}

function contentLength({ headers }: S3Request): number | null {
  const text = headers.get('content-length');
  if (text === undefined) return headers.has('transfer-encoding') ? null : 0;
  const bytes = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(bytes)) throw new S3Failure('InvalidRequest', 'Content-Length is not a length');
  return bytes;
}
