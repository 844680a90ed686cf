/** The body of a request, for whoever wants it: read once, decoded and judged on the way. */
import { finished, PassThrough, type Readable } from 'node:stream';

import { sha256OfRunsElsewhere, sumsElsewhere } from '../../engine/body_sums.js';
import { Digests } from '../../object/digests.js';
import { SmallContent } from '../../object/small_content.js';
import { sumsHere } from '../../object/sums.js';
import type { BodyPlan } from './authenticator.js';
import { bodyDecoder, type BodyDecoder } from './body_decoder.js';
import { sumsOf } from './checksum_headers.js';
import { ClientGone } from './client_gone.js';
import { S3Failure } from './errors.js';
import type { S3Request } from './request.js';
import { parseXml, xmlLimits, type XmlElement } from './xml_tree.js';

/** A body up to here is gathered while it comes: handing on its pieces one by one would cost more than it. */
const gathered_bytes_max = 65_536;
/** Of a configuration, such as a policy or rules: none is as large. */
const document_bytes_max = 1 << 20;

export interface BodyHooks {
  /** Who waits for leave to send (Expect: 100-continue) gets it then. */
  readonly onFirstRead: () => void;
  /** Of each piece as it came, with its framing. */
  readonly onReceived: (bytes: number) => void;
  /** Before a signed chunk of so many bytes is gathered. @throws S3Failure where there is no memory for it */
  readonly onSignedChunk: (bytes: number) => void;
}

export class RequestBody {
  /** Without framing; null where nobody said. */
  readonly bytes: number | null;
  readonly #request: S3Request;
  readonly #incoming: Readable;
  readonly #plan: BodyPlan;
  readonly #hooks: BodyHooks;
  #decoder: BodyDecoder | null = null;

  constructor(request: S3Request, incoming: Readable, plan: BodyPlan, hooks: BodyHooks) {
    this.#request = request;
    this.#incoming = incoming;
    this.#plan = plan;
    this.#hooks = hooks;
    this.bytes = plan.form === 'chunked' ? plan.decodedBytes : contentLength(request);
  }

  /**
   * Once only; nothing is read before somebody asks for it. Fails with an S3Failure where the body is not what was signed or announced, at its end
   * at the latest.
   */
  stream(): AsyncIterable<Buffer> {
    return this.#decoded('kept');
  }

  /** The same for who stores it: a piece stays as it is until the next is asked for, and as long as somebody holds it in pieceBuffers. */
  passing(): AsyncIterable<Buffer> {
    return this.#decoded('let go');
  }

  #decoded(pieces: 'kept' | 'let go'): AsyncIterable<Buffer> {
    if (this.#decoder !== null) throw new Error('the body was read already');
    const { onSignedChunk } = this.#hooks;
    this.#decoder = bodyDecoder(this.#plan, { sums: sumsElsewhere, runSums: sha256OfRunsElsewhere, onSignedChunk });
    const length = contentLength(this.#request);
    if (length === null) return this.#decoder.through(this.#received());
    if (length <= gathered_bytes_max) return this.#decoder.through(new SmallContent(() => this.#gathered(length)));
    return this.#large(this.#decoder, this.bytes ?? length, pieces);
  }

  async *#large(decoder: BodyDecoder, bytes: number, pieces: 'kept' | 'let go'): AsyncGenerator<Buffer, void> {
    this.#hooks.onFirstRead();
    try {
      yield* decoder.pieces(this.#incoming, { bytes, pieces, onReceived: this.#hooks.onReceived });
    } catch (cause) {
      throw cause instanceof S3Failure ? cause : new S3Failure('IncompleteBody', undefined, { cause });
    }
  }

  async *#received(): AsyncGenerator<Buffer, void> {
    this.#hooks.onFirstRead();
    try {
      // What is left of it when somebody ends early is passed over by who answers.
      for await (const piece of this.#incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        this.#hooks.onReceived(piece.length);
        yield piece;
      }
    } catch (cause) {
      throw new S3Failure('IncompleteBody', undefined, { cause });
    }
  }

  /** All of it, with its framing: `length` bytes. Nobody waits for the end, which comes with the last of them. */
  #gathered(length: number): Promise<Buffer> {
    this.#hooks.onFirstRead();
    const incoming = this.#incoming;
    return new Promise((resolve, reject) => {
      const pieces: Buffer[] = [];
      let left = length;
      const fail = (cause: Error): void => reject(new S3Failure('IncompleteBody', undefined, { cause }));
      const ended = (cause?: Error): void => {
        if (left > 0) fail(cause ?? new ClientGone());
        else if (length === 0) resolve(Buffer.alloc(0));
      };
      if (incoming.destroyed) return fail(incoming.errored ?? new ClientGone());
      incoming.on('end', ended).on('error', ended).on('close', ended);
      incoming.on('data', (piece: Buffer) => {
        this.#hooks.onReceived(piece.length);
        pieces.push(piece);
        left -= piece.length;
        if (left === 0) resolve(pieces.length === 1 ? piece : Buffer.concat(pieces));
      });
    });
  }

  /** As it came, with its framing, for who takes it apart otherwise: a form. */
  raw(): Readable {
    this.#hooks.onFirstRead();
    // Counted in passing; a listener beside the reader would take the first pieces from it.
    const passing = new PassThrough();
    finished(this.#incoming, { writable: false }, (error) => {
      if (error) passing.destroy(new S3Failure('IncompleteBody', undefined, { cause: error }));
    });
    this.#incoming.on('data', (piece: Buffer) => this.#hooks.onReceived(piece.length));
    return this.#incoming.pipe(passing);
  }

  /** Headers that came behind the body, by name in lower case; whole once the stream has ended. */
  get trailers(): ReadonlyMap<string, string> {
    return this.#decoder?.trailers ?? new Map<string, string>();
  }

  /** All of it, as a whole. @throws S3Failure MaxMessageLengthExceeded, SkerryError bad-digest, those of sumsOf() and of the stream */
  async whole(bytesMax = document_bytes_max): Promise<Buffer> {
    if ((this.bytes ?? 0) > bytesMax) throw new S3Failure('MaxMessageLengthExceeded');
    const digests = new Digests(
      sumsOf(this.#request, () => this.trailers),
      sumsHere,
    );
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    for await (const piece of digests.through(this.stream())) {
      bytes += piece.length;
      if (bytes > bytesMax) throw new S3Failure('MaxMessageLengthExceeded');
      pieces.push(piece);
    }
    digests.finish();
    return Buffer.concat(pieces);
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
}

function contentLength({ headers }: S3Request): number | null {
  const text = headers.get('content-length');
  if (text === undefined) return headers.has('transfer-encoding') ? null : 0;
  const bytes = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(bytes)) throw new S3Failure('InvalidRequest', 'Content-Length is not a length');
  return bytes;
}
