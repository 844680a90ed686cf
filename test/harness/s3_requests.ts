/** Requests to an S3 endpoint as they are on the wire, signed by AWS's own signer: for what no SDK sends, and what none of them shows. */
import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import { request as httpRequest, type IncomingHttpHeaders, type RequestOptions } from 'node:http';

import { SignatureV4 } from '@smithy/signature-v4';

type SourceData = string | ArrayBuffer | ArrayBufferView;

/** What the signer wants of a hash. */
class Sha256 {
  readonly #hash: Hash | Hmac;
  constructor(secret?: SourceData) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secret as Uint8Array);
  }
  update(data: SourceData): void {
    this.#hash.update(data as Uint8Array);
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }
  reset(): void {
    throw new Error('the signer has no use for it');
  }
}

/** A key as accounts have it. */
export interface SigningKey {
  readonly accessKey: string;
  readonly secretKey: string;
}

/** AWS's own, as its SDKs set it up for S3. */
export function signerOf({ accessKey, secretKey }: SigningKey): SignatureV4 {
  const credentials = { accessKeyId: accessKey, secretAccessKey: secretKey };
  return new SignatureV4({ sha256: Sha256, service: 's3', region: 'us-east-1', credentials, uriEscapePath: false });
}

export interface PlainRequest {
  readonly method: string;
  /** Decoded: `/bucket/a key`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

export interface PlainAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export class S3Requests {
  readonly #address: string;
  readonly #key: SigningKey | null;
  readonly #signer: SignatureV4 | null;

  /** `address`: HOST:PORT. Without a key nothing is signed. */
  constructor(address: string, key: SigningKey | null) {
    this.#address = address;
    this.#key = key;
    this.#signer = key === null ? null : signerOf(key);
  }

  async send({ method, path, query = {}, headers = {}, body = '' }: PlainRequest): Promise<PlainAnswer> {
    const [hostname = '', port = ''] = this.#address.split(':');
    const encodedPath = encodedPathOf(path);
    const all = {
      ...headers,
      host: this.#address,
      'content-length': String(Buffer.byteLength(body)),
      'x-amz-content-sha256': createHash('sha256').update(body).digest('hex'),
    };
    const plain = {
      method,
      protocol: 'http:',
      hostname,
      port: Number(port),
      path: encodedPath,
      query: { ...query },
      headers: all,
    };
    const signed = this.#signer === null ? plain : await this.#signer.sign(plain);
    const target = targetOf(encodedPath, query);
    return exchange({ host: hostname, port, method, path: target, headers: signed.headers }, body);
  }

  /** A body whose every chunk is signed, as SDKs for Java and Go send it without TLS. `spoil` changes chunks after they were signed. */
  async sendChunks(
    path: string,
    chunks: readonly Uint8Array[],
    spoil: (chunk: Uint8Array) => Uint8Array = (chunk) => chunk,
  ): Promise<PlainAnswer> {
    if (this.#signer === null || this.#key === null) throw new Error('without a key nothing is signed');
    const [hostname = '', port = ''] = this.#address.split(':');
    const all = [...chunks, new Uint8Array(0)];
    const headOf = (chunk: Uint8Array, signature: string): string =>
      `${chunk.length.toString(16)};chunk-signature=${signature}\r\n`;
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const framed = all.reduce((sum, chunk) => sum + headOf(chunk, '0'.repeat(64)).length + chunk.length + 2, 0);
    const encodedPath = encodedPathOf(path);
    const headers = {
      host: this.#address,
      'content-encoding': 'aws-chunked',
      'content-length': String(framed),
      'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
      'x-amz-decoded-content-length': String(bytes),
    };
    const plain = { method: 'PUT', protocol: 'http:', hostname, port: Number(port), path: encodedPath, query: {}, headers };
    const signed = await this.#signer.sign(plain);
    const claim = signed.headers['authorization'] ?? '';
    const time = signed.headers['x-amz-date'] ?? '';
    const scope = /Credential=[^/]+\/([^,]+)/.exec(claim)?.[1] ?? '';
    const key = scope
      .split('/')
      .reduce<string | Buffer>(
        (secret, part) => createHmac('sha256', secret).update(part).digest(),
        `AWS4${this.#key.secretKey}`,
      );
    let signature = /Signature=([0-9a-f]{64})/.exec(claim)?.[1] ?? '';
    const pieces = all.map((chunk) => {
      const hash = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex');
      const toSign = ['AWS4-HMAC-SHA256-PAYLOAD', time, scope, signature, hash(''), hash(chunk)].join('\n');
      signature = createHmac('sha256', key).update(toSign).digest('hex');
      return Buffer.concat([Buffer.from(headOf(chunk, signature)), spoil(chunk), Buffer.from('\r\n')]);
    });
    return exchange({ host: hostname, port, method: 'PUT', path: encodedPath, headers: signed.headers }, Buffer.concat(pieces));
  }

  /**
   * As AWS's presigner makes it, for an hour: path and query of what may be asked for without a key. `path`: decoded. `more`: headers, of which
   * it puts those of S3's own into the query.
   */
  async presigned(method: string, path: string, more: Readonly<Record<string, string>> = {}): Promise<string> {
    if (this.#signer === null) throw new Error('without a key nothing is signed');
    const [hostname = ''] = this.#address.split(':');
    const headers = { ...more, host: this.#address, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' };
    const plain = { method, protocol: 'http:', hostname, path: encodedPathOf(path), query: {}, headers };
    const signed = await this.#signer.presign(plain);
    return targetOf(signed.path, signed.query);
  }
}

/** What is asked for: a parameter comes once for each of its values, and by its name alone where that is null. */
export function targetOf(encodedPath: string, query: Readonly<Record<string, string | readonly string[] | null>> = {}): string {
  const pairs = Object.entries(query).flatMap(([name, values]) =>
    [values].flat().map((value) => (value === null ? encoded(name) : `${encoded(name)}=${encoded(value)}`)),
  );
  return pairs.length === 0 ? encodedPath : `${encodedPath}?${pairs.join('&')}`;
}

/** As clients encode: all but letters, digits and a few marks. An encoded slash is a slash to S3. */
export function encodedPathOf(path: string): string {
  return path.split('/').map(encoded).join('/');
}

function encoded(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
}

function exchange(options: RequestOptions, body: string | Uint8Array): Promise<PlainAnswer> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(options, (answer) => {
      const pieces: Buffer[] = [];
      answer.on('data', (piece: Buffer) => pieces.push(piece));
      answer.on('error', reject);
      answer.on('end', () => {
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(pieces).toString() });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
