/**
 * Stands in for Riak CS, which no longer can be built: an S3 server that has what Riak CS has, and refuses all else with an
 * error. Its check of signatures is its own, so that a driver that signs wrongly is found out.
 */
import { createHash, createHmac, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { LateObjects } from './late_objects.ts';

const object_bytes_max = 5 * 2 ** 30;
const part_bytes_min = 5 << 20;
const clock_milliseconds_max = 900_000;
const list_keys_max = 1000;

export interface RiakCsOptions {
  readonly accessKey: string;
  readonly secretKey: string;
  readonly bucket: string;
  /** A listing shows what was so long ago. */
  readonly listDelayMilliseconds: number;
}

/** What the client is told. */
class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

interface Request {
  readonly method: string;
  /** As it came, escaped. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  /** Empty where the bucket itself is asked. */
  readonly key: string;
  readonly body: Buffer;
}

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
}

export class RiakCsServer {
  readonly endpoint: string;
  /** Requests for an object, whole or a part, that were answered. */
  gets = 0;
  /** Whether every connection is broken before its request is read. */
  away = false;
  readonly #server: Server;
  readonly #options: RiakCsOptions;
  readonly #objects: LateObjects;
  readonly #uploads = new Map<string, { readonly key: string; readonly began: Date; readonly parts: Map<number, Buffer> }>();

  /** Resolves once it answers again; null while it does. */
  #silence: PromiseWithResolvers<void> | null = null;

  private constructor(server: Server, options: RiakCsOptions) {
    this.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.#server = server;
    this.#options = options;
    this.#objects = new LateObjects(options.listDelayMilliseconds);
    server.on('request', (incoming, outgoing) => void this.#serve(incoming, outgoing));
  }

  static async start(options: RiakCsOptions): Promise<RiakCsServer> {
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    return new RiakCsServer(server, options);
  }

  /** Uploads in parts that were begun and neither completed nor aborted. */
  get uploads(): number {
    return this.#uploads.size;
  }

  get listDelayMilliseconds(): number {
    return this.#objects.delayMilliseconds;
  }

  set listDelayMilliseconds(milliseconds: number) {
    this.#objects.delayMilliseconds = milliseconds;
  }

  /** It takes connections and requests, and answers none until goOn(). */
  pause(): void {
    this.#silence ??= Promise.withResolvers();
  }

  goOn(): void {
    this.#silence?.resolve();
    this.#silence = null;
  }

  async stop(): Promise<void> {
    this.goOn();
    this.#server.closeAllConnections();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    if (this.away) {
      incoming.destroy();
      return;
    }
    let answer: Answer;
    try {
      const request = await this.#read(incoming);
      // Also what had come before is carried out when it goes on, as by a process that was stopped.
      await this.#silence?.promise;
      answer = this.#answer(request);
    } catch (error) {
      const { status, code, message } = error instanceof Refusal ? error : new Refusal(500, 'InternalError', String(error));
      answer = { status, body: `<Error><Code>${code}</Code><Message>${message}</Message><RequestId></RequestId></Error>` };
    }
    const { status, headers, body = '' } = answer;
    outgoing.writeHead(status, { 'content-length': Buffer.byteLength(body), ...headers });
    outgoing.end(incoming.method === 'HEAD' ? '' : body);
  }

  async #read(incoming: IncomingMessage): Promise<Request> {
    const { method = '', url = '', headers } = incoming;
    const [path = '', query = ''] = url.split('?');
    if (Number(headers['content-length'] ?? 0) > object_bytes_max)
      throw new Refusal(400, 'EntityTooLarge', 'Your proposed upload exceeds the maximum allowed object size.');
    const parts: Buffer[] = [];
    for await (const part of incoming) parts.push(part as Buffer);
    const [, bucket = '', ...names] = path.split('/').map(decodeURIComponent);
    const request = {
      method,
      path,
      query: new URLSearchParams(query),
      headers,
      key: names.join('/'),
      body: Buffer.concat(parts),
    };
    refuseWhatIsNewer(request, new URL(this.endpoint).host);
    this.#checkSignature(request);
    if (bucket !== this.#options.bucket) throw new Refusal(404, 'NoSuchBucket', 'The specified bucket does not exist.');
    return request;
  }

  #answer(request: Request): Answer {
    const { method, key, query } = request;
    const verb = `${method} ${key === '' ? 'bucket' : 'object'}`;
    if (verb === 'GET bucket') return query.has('uploads') ? this.#listUploads(request) : this.#list(request);
    if (verb === 'HEAD bucket') return { status: 200 };
    if (verb === 'POST object') return query.has('uploads') ? this.#begin(request) : this.#complete(request);
    if (verb === 'PUT object') return query.has('uploadId') ? this.#putPart(request) : this.#put(request);
    if (verb === 'GET object' || verb === 'HEAD object') return this.#get(request);
    if (verb !== 'DELETE object') throw new Refusal(501, 'NotImplemented', `${verb} is not implemented`);
    if (query.has('uploadId')) this.#uploads.delete(this.#uploadOf(request).id);
    else this.#objects.remove(key);
    return { status: 204 };
  }

  #put({ key, body }: Request): Answer {
    this.#objects.put(key, body);
    return { status: 200, headers: { etag: etagOf(body) } };
  }

  #get({ method, key, headers }: Request): Answer {
    const body = this.#objects.get(key);
    if (body === undefined) throw new Refusal(404, 'NoSuchKey', 'The specified key does not exist.');
    if (method === 'GET') this.gets += 1;
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
    if (first === undefined || last === undefined)
      return { status: 200, headers: { etag: etagOf(body), 'content-length': String(body.length) }, body };
    const part = body.subarray(Number(first), Number(last) + 1);
    if (part.length === 0) throw new Refusal(416, 'InvalidRange', 'The requested range is not satisfiable');
    const range = `bytes ${first}-${Number(first) + part.length - 1}/${body.length}`;
    return { status: 206, headers: { etag: etagOf(body), 'content-range': range }, body: part };
  }

  #list({ query }: Request): Answer {
    const prefix = query.get('prefix') ?? '';
    const marker = query.get('marker') ?? '';
    const limit = Math.min(list_keys_max, Number(query.get('max-keys') ?? list_keys_max));
    const found = this.#objects.list().filter(({ key }) => key.startsWith(prefix) && key > marker);
    const contents = found.slice(0, limit).map(({ key, bytes }) => `<Contents><Key>${key}</Key><Size>${bytes}</Size></Contents>`);
    const truncated = `<IsTruncated>${found.length > limit}</IsTruncated>`;
    return { status: 200, body: `<ListBucketResult>${truncated}${contents.join('')}</ListBucketResult>` };
  }

  #listUploads({ query }: Request): Answer {
    const prefix = query.get('prefix') ?? '';
    const uploads = [...this.#uploads].filter(([, { key }]) => key.startsWith(prefix));
    const entries = uploads.map(
      ([id, { key, began }]) =>
        `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${began.toISOString()}</Initiated></Upload>`,
    );
    return { status: 200, body: `<ListMultipartUploadsResult>${entries.join('')}</ListMultipartUploadsResult>` };
  }

  #begin({ key }: Request): Answer {
    const id = randomUUID();
    this.#uploads.set(id, { key, began: new Date(), parts: new Map() });
    const body = `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`;
    return { status: 200, body };
  }

  #putPart(request: Request): Answer {
    const number = Number(request.query.get('partNumber'));
    if (!(number >= 1 && number <= 10_000)) throw new Refusal(400, 'InvalidArgument', 'Part number must be 1 to 10000');
    this.#uploadOf(request).parts.set(number, request.body);
    return { status: 200, headers: { etag: etagOf(request.body) } };
  }

  #complete(request: Request): Answer {
    const { id, parts } = this.#uploadOf(request);
    const named = [...request.body.toString().matchAll(/<Part>.*?<\/Part>/gs)].map(([text]) => ({
      number: Number(/<PartNumber>(\d+)</.exec(text)?.[1]),
      etag: /<ETag>(?:"|&quot;)?([0-9a-f]+)/.exec(text)?.[1],
    }));
    const bodies = named.map(({ number, etag }, index) => {
      const body = parts.get(number);
      if (body === undefined || etagOf(body) !== `"${etag}"`)
        throw new Refusal(400, 'InvalidPart', `part ${number} is not there`);
      if (index < named.length - 1 && body.length < part_bytes_min)
        throw new Refusal(400, 'EntityTooSmall', `part ${number} is too small`);
      return body;
    });
    this.#objects.put(request.key, Buffer.concat(bodies));
    this.#uploads.delete(id);
    return { status: 200, body: `<CompleteMultipartUploadResult><Key>${request.key}</Key></CompleteMultipartUploadResult>` };
  }

  #uploadOf({ query, key }: Request): { readonly id: string; readonly parts: Map<number, Buffer> } {
    const id = query.get('uploadId') ?? '';
    const upload = this.#uploads.get(id);
    if (upload?.key !== key) throw new Refusal(404, 'NoSuchUpload', 'The specified upload does not exist.');
    return { id, parts: upload.parts };
  }

  /** As the S3 Developer Guide of 2006 has it. */
  #checkSignature({ method, path, query, headers }: Request): void {
    const [, accessKey = '', signature = ''] = /^AWS ([^:]+):(.+)$/.exec(headers.authorization ?? '') ?? [];
    if (accessKey === '') throw new Refusal(403, 'AccessDenied', 'Only signature version 2 is known here');
    if (accessKey !== this.#options.accessKey) throw new Refusal(403, 'InvalidAccessKeyId', 'There is no such access key.');
    const date = headers.date ?? '';
    if (!(Math.abs(Date.parse(date) - Date.now()) < clock_milliseconds_max))
      throw new Refusal(
        403,
        'RequestTimeTooSkewed',
        'The difference between the request time and the current time is too large.',
      );
    const amazon = Object.keys(headers)
      .filter((name) => name.startsWith('x-amz-'))
      .sort();
    const resource = ['partNumber', 'uploadId', 'uploads'].filter((name) => query.has(name));
    const words = resource.map((name) => (query.get(name) === '' ? name : `${name}=${query.get(name)}`));
    const text = [
      method,
      headers['content-md5'] ?? '',
      headers['content-type'] ?? '',
      date,
      ...amazon.map((name) => `${name}:${String(headers[name])}`),
      path + (words.length === 0 ? '' : `?${words.join('&')}`),
    ].join('\n');
    const expected = createHmac('sha1', this.#options.secretKey).update(text, 'utf8').digest('base64');
    if (signature !== expected) throw new Refusal(403, 'AccessDenied', 'Access Denied');
  }
}

/** @throws Refusal for what S3 has come to have since. */
function refuseWhatIsNewer({ method, query, headers }: Request, host: string): void {
  const refuse = (what: string): never => {
    throw new Refusal(501, 'NotImplemented', `${what} is not implemented`);
  };
  if (headers.host !== host) refuse(`a bucket in the name of the host (${headers.host})`);
  if (query.has('list-type')) throw new Refusal(400, 'InvalidArgument', 'list-type is not known');
  const known = new Set(['prefix', 'marker', 'max-keys', 'uploads', 'uploadId', 'partNumber', 'x-id']);
  for (const name of query.keys()) if (!known.has(name)) refuse(`?${name}`);
  for (const name of Object.keys(headers))
    if (/^x-amz-(?:checksum-|sdk-checksum|trailer|content-sha256)/.test(name)) refuse(name);
  if (/aws-chunked/.test(headers['content-encoding'] ?? '')) refuse('aws-chunked');
  if (method !== 'GET' && method !== 'HEAD')
    for (const name of ['if-match', 'if-none-match', 'if-unmodified-since']) if (headers[name] !== undefined) refuse(name);
  if (method === 'PUT' && headers['content-length'] === undefined)
    throw new Refusal(411, 'MissingContentLength', 'You must provide the Content-Length HTTP header.');
}

function etagOf(body: Buffer): string {
  return `"${createHash('md5').update(body).digest('hex')}"`;
}
