/**
 * `multipart/form-data` with one file, as a state machine that does no I/O. Fields come before the file and are bounded together; the file's
 * bytes are handed on as they come. What comes after the file is passed over.
 */
import { S3Failure } from './errors.js';

/** Of all that comes before the bytes of the file, boundaries and headers included. */
export const form_head_bytes_max = 20_480;
const boundary_characters_max = 200;

export interface FilePart {
  readonly filename: string;
  /** null where its part has none. */
  readonly contentType: string | null;
}

interface PartHeaders extends FilePart {
  readonly name: string;
}

type State = 'preamble' | 'part' | 'field' | 'file' | 'after file' | 'other part' | 'end' | 'failed';

export class FormParser {
  /** By name in lower case. Whole once `file` is there. */
  readonly fields = new Map<string, string>();
  /** null until its bytes begin. */
  file: FilePart | null = null;
  /** With the line end before it: that is no part of what it ends. */
  readonly #delimiter: Buffer;
  #state: State = 'preamble';
  /** What came and was not taken yet. The first boundary has no line before it: it gets one. */
  #rest: Buffer = Buffer.from('\r\n');
  #headBytes = 0;
  /** Of the field under way. */
  #name = '';

  /**
   * `contentType` is that of the request.
   * @throws S3Failure RequestIsNotMultiPartContent, MalformedPOSTRequest
   */
  constructor(contentType: string | undefined) {
    this.#delimiter = Buffer.from(`\r\n--${boundaryOf(contentType ?? '')}`, 'latin1');
  }

  /**
   * Bytes of the file that may be handed on. They are parts of what came in, or copies.
   * @throws S3Failure MalformedPOSTRequest, MaxPostPreDataLengthExceededError; nothing else is taken from then on
   */
  push(input: Buffer): Buffer[] {
    const out: Buffer[] = [];
    try {
      this.#rest = this.#rest.length === 0 ? input : Buffer.concat([this.#rest, input]);
      while (this.#step(out));
      if (this.file === null && this.#headBytes + this.#rest.length > form_head_bytes_max) throw headTooLong();
    } catch (error) {
      this.#state = 'failed';
      throw error;
    }
    return out;
  }

  /** @throws S3Failure IncompleteBody where the form is not whole, IncorrectNumberOfFilesInPostRequest where it has no file */
  end(): void {
    if (this.#state !== 'end') throw new S3Failure('IncompleteBody', 'The form ended before its last boundary');
    if (this.file === null) throw new S3Failure('IncorrectNumberOfFilesInPostRequest');
  }

  /** Takes some of the rest; false where more must come first. */
  #step(out: Buffer[]): boolean {
    switch (this.#state) {
      case 'preamble':
        return this.#upToDelimiter(() => {}, 'part');
      case 'part':
        return this.#part();
      case 'field':
        return this.#field();
      case 'file':
        return this.#upToDelimiter((bytes) => out.push(bytes), 'after file');
      case 'after file':
        return this.#afterFile();
      case 'other part':
        return this.#upToDelimiter(() => {}, 'after file');
      case 'end':
        // An epilogue means nothing.
        this.#take(this.#rest.length);
        return false;
      case 'failed':
        throw malformed('it failed before');
    }
  }

  #take(bytes: number): Buffer {
    const taken = this.#rest.subarray(0, bytes);
    this.#rest = this.#rest.subarray(bytes);
    if (this.file === null) {
      this.#headBytes += bytes;
      if (this.#headBytes > form_head_bytes_max) throw headTooLong();
    }
    return taken;
  }

  /** Hands on what is before the next delimiter; where none is in sight, all that cannot be the beginning of one. */
  #upToDelimiter(hand: (bytes: Buffer) => void, next: State): boolean {
    const at = this.#rest.indexOf(this.#delimiter);
    const bytes = this.#take(at < 0 ? this.#certain() : at);
    if (bytes.length > 0) hand(bytes);
    if (at < 0) {
      // A view of a few bytes would keep the whole buffer.
      this.#rest = Buffer.from(this.#rest);
      return false;
    }
    this.#take(this.#delimiter.length);
    this.#state = next;
    return true;
  }

  /** How many bytes of the rest come before anything that may become a delimiter. */
  #certain(): number {
    let at = Math.max(0, this.#rest.length - this.#delimiter.length + 1);
    while (at < this.#rest.length && !this.#delimiter.subarray(0, this.#rest.length - at).equals(this.#rest.subarray(at)))
      at += 1;
    return at;
  }

  #part(): boolean {
    if (this.#rest.length < 2) return false;
    if (this.#isLast()) return true;
    if (this.#rest.toString('latin1', 0, 2) !== '\r\n') throw malformed('a boundary is not alone in its line');
    const end = this.#rest.indexOf('\r\n\r\n');
    if (end < 0) return false;
    const { name, filename, contentType } = partHeaders(this.#take(end + 4));
    this.#name = name;
    if (name === 'file') this.file = { filename, contentType };
    else if (this.fields.has(name)) throw malformed(`the field ${name} is there twice`);
    this.#state = name === 'file' ? 'file' : 'field';
    return true;
  }

  #field(): boolean {
    const at = this.#rest.indexOf(this.#delimiter);
    if (at < 0) return false;
    this.fields.set(this.#name, textOf(this.#take(at)));
    this.#take(this.#delimiter.length);
    this.#state = 'part';
    return true;
  }

  #afterFile(): boolean {
    if (this.#rest.length < 2) return false;
    if (!this.#isLast()) this.#state = 'other part';
    return true;
  }

  /** Whether two dashes follow the boundary: then it is the last. */
  #isLast(): boolean {
    if (this.#rest.toString('latin1', 0, 2) !== '--') return false;
    this.#take(2);
    this.#state = 'end';
    return true;
  }
}

function boundaryOf(contentType: string): string {
  if (!/^multipart\/form-data\s*(?:;|$)/i.test(contentType)) throw new S3Failure('RequestIsNotMultiPartContent');
  const [, quoted, token] = /;\s*boundary=(?:"([^"]+)"|([^\s;"]+))/i.exec(contentType) ?? [];
  const boundary = quoted ?? token ?? '';
  if (!/^[\x20-\x7e]+$/.test(boundary) || boundary.length > boundary_characters_max) throw malformed('it has no boundary');
  return boundary;
}

/** `block` begins with the end of the boundary's line. */
function partHeaders(block: Buffer): PartHeaders {
  const headers = new Map<string, string>();
  for (const line of textOf(block).split('\r\n')) {
    if (line === '') continue;
    const colon = line.indexOf(':');
    if (colon < 0) throw malformed('a part has a header that is none');
    headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
  const disposition = headers.get('content-disposition') ?? '';
  const name = dispositionParameter(disposition, 'name')?.toLowerCase() ?? '';
  if (!/^form-data\s*;/i.test(disposition) || name === '') throw malformed('a part has no name');
  return {
    name,
    filename: dispositionParameter(disposition, 'filename') ?? '',
    contentType: headers.get('content-type') ?? null,
  };
}

/** Browsers leave a backslash as it is, for old ones send whole paths; only a quote is ever escaped by one. */
function dispositionParameter(disposition: string, name: string): string | undefined {
  const form = new RegExp(`;\\s*${name}=(?:"((?:\\\\"|[^"])*)"|([^\\s;"]+))`, 'i');
  const [, quoted, token] = form.exec(disposition) ?? [];
  return quoted?.replaceAll('\\"', '"') ?? token;
}

function textOf(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw malformed('it is not UTF-8', error);
  }
}

function headTooLong(): S3Failure {
  return new S3Failure('MaxPostPreDataLengthExceededError', undefined, {
    details: { MaxPostPreDataLengthBytes: String(form_head_bytes_max) },
  });
}

function malformed(reason: string, cause?: unknown): S3Failure {
  return new S3Failure(
    'MalformedPOSTRequest',
    `The body of your POST request is not well-formed multipart/form-data: ${reason}`,
    cause === undefined ? {} : { cause },
  );
}
