/** One request and its whole answer, over a Unix socket or TCP. Knows HTTP and JSON, and nothing of what they say. */
import { Agent, request } from 'node:http';
import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { stream_content_type } from '../api/routes.js';
import { SkerryError } from '../core/errors.js';
import { unreachable } from './endpoint.js';
import type { Endpoint } from './endpoint.js';

/** The largest answer, in bytes: a listing of some hundred thousand resources. */
export const answer_bytes_max = 256 * 1024 * 1024;
/** How long the daemon may be silent in the middle of a request before it counts as hung, in milliseconds. */
export const silence_milliseconds_max = 120_000;

export interface TransportRequest {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
}

export interface TransportAnswer {
  readonly status: number;
  readonly body: unknown;
}

export interface StreamAnswer {
  readonly status: number;
  /** Of a success without a body of the request. */
  readonly bytes?: AsyncIterable<Uint8Array>;
  readonly body?: unknown;
}

export class Transport {
  readonly endpoint: Endpoint;
  readonly #silenceMilliseconds: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 8 });

  constructor(endpoint: Endpoint, options: { readonly silenceMilliseconds?: number } = {}) {
    this.endpoint = endpoint;
    this.#silenceMilliseconds = options.silenceMilliseconds ?? silence_milliseconds_max;
  }

  /** @throws SkerryError unavailable, denied, timeout; unsupported for an answer that is not JSON. */
  async send({ method, path, body }: TransportRequest): Promise<TransportAnswer> {
    const payload = body === undefined ? null : Buffer.from(JSON.stringify(body));
    const response = await this.#exchange(method, path, payload, true);
    const text = await this.#readAll(response, method);
    return { status: response.statusCode ?? 0, body: this.#parse(text) };
  }

  /**
   * Bytes one way or both. An answer that is a failure is read whole, as send() does; else its bytes come as they arrive, and
   * iterating them fails where they break off.
   */
  async stream(method: string, path: string, body?: AsyncIterable<Uint8Array>): Promise<StreamAnswer> {
    const response = await this.#exchange(method, path, body ?? null, false);
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300 && body === undefined) return { status, bytes: this.#bytesOf(response, method) };
    return { status, body: this.#parse(await this.#readAll(response, method)) };
  }

  async *#bytesOf(response: IncomingMessage, method: string): AsyncGenerator<Uint8Array> {
    try {
      for await (const part of response) yield part as Buffer;
    } catch (error) {
      throw this.#wentAway(method, error);
    }
  }

  /** Sends all of `content`; resolves with the answer, which may come before the end of it: then nobody wants the rest. */
  async upload(path: string, content: Readable): Promise<TransportAnswer> {
    const outgoing = this.#stream('PUT', path);
    const answered = this.#answered(outgoing, 'PUT');
    // However the sending ends, the answer tells; and where none comes, what the source failed with is the reason.
    const sent = pipeline(content, outgoing);
    const failed = sent.then(
      () => new Promise<never>(() => {}),
      (error: unknown) => {
        if (content.errored !== null) throw error;
        return new Promise<never>(() => {});
      },
    );
    try {
      const response = await Promise.race([answered, failed]);
      const text = await this.#readAll(response, 'PUT');
      return { status: response.statusCode ?? 0, body: this.#parse(text) };
    } finally {
      answered.catch(() => {});
      outgoing.destroy();
      content.destroy();
    }
  }

  /** The bytes of an answer that is not JSON. @throws the failure that the answer tells, through `refuse`. */
  async download(path: string, refuse: (answer: TransportAnswer) => Error): Promise<Readable> {
    const outgoing = this.#stream('GET', path);
    const answered = this.#answered(outgoing, 'GET');
    outgoing.end();
    const response = await answered;
    if (response.statusCode === 200) return response;
    throw refuse({ status: response.statusCode ?? 0, body: this.#parse(await this.#readAll(response, 'GET')) });
  }

  /** A request of a connection of its own that may be silent for as long as it takes. */
  #stream(method: 'PUT' | 'GET', path: string): ClientRequest {
    const { endpoint } = this;
    const where: RequestOptions =
      endpoint.kind === 'socket'
        ? { socketPath: endpoint.socketPath, path, host: 'localhost' }
        : { host: endpoint.host, port: endpoint.port, path: endpoint.basePath + path };
    const headers = method === 'PUT' ? { 'content-type': 'application/octet-stream' } : {};
    return request({ ...where, method, headers, agent: false });
  }

  #answered(outgoing: ClientRequest, method: string): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      outgoing.once('response', resolve);
      outgoing.on('error', (error) =>
        reject(outgoing.socket?.connecting === false ? this.#wentAway(method, error) : unreachable(this.endpoint, error)),
      );
    });
  }

  close(): void {
    this.#agent.destroy();
  }

  #exchange(
    method: string,
    path: string,
    payload: Buffer | AsyncIterable<Uint8Array> | null,
    mayRepeat: boolean,
  ): Promise<IncomingMessage> {
    const { endpoint } = this;
    const where: RequestOptions =
      endpoint.kind === 'socket'
        ? { socketPath: endpoint.socketPath, path, host: 'localhost' }
        : { host: endpoint.host, port: endpoint.port, path: endpoint.basePath + path };
    const headers: Record<string, string | number> = { accept: 'application/json' };
    if (payload !== null && !Buffer.isBuffer(payload)) {
      headers['content-type'] = stream_content_type;
    } else if (payload !== null) {
      headers['content-type'] = 'application/json';
      headers['content-length'] = payload.length;
    }
    return new Promise((resolve, reject) => {
      const outgoing = request({ ...where, method, headers, agent: this.#agent, timeout: this.#silenceMilliseconds });
      let connected = false;
      outgoing.once('socket', (socket) => {
        if (!socket.connecting) connected = true;
        else socket.once('connect', () => (connected = true));
      });
      outgoing.once('timeout', () => outgoing.destroy(this.#silent()));
      outgoing.once('response', resolve);
      outgoing.once('error', (error) => {
        if (error instanceof SkerryError) reject(error);
        else if (!connected) reject(unreachable(endpoint, error));
        // A kept connection may have been closed by the other side just before: then nothing of the request was seen.
        else if (outgoing.reusedSocket && mayRepeat && method === 'GET') resolve(this.#exchange(method, path, payload, false));
        else reject(this.#wentAway(method, error));
      });
      if (payload === null || Buffer.isBuffer(payload)) outgoing.end(payload ?? undefined);
      // An answer that comes first, a refusal say, has been taken by then; this is for what cannot be read here.
      else pipeline(Readable.from(payload, { objectMode: false }), outgoing).catch(reject);
    });
  }

  async #readAll(response: IncomingMessage, method: string): Promise<string> {
    const parts: Buffer[] = [];
    let length = 0;
    try {
      for await (const part of response) {
        const bytes = part as Buffer;
        length += bytes.length;
        if (length > answer_bytes_max)
          throw new SkerryError('too-large', `the daemon’s answer is over ${answer_bytes_max} bytes`);
        parts.push(bytes);
      }
    } catch (error) {
      throw error instanceof SkerryError ? error : this.#wentAway(method, error);
    }
    return Buffer.concat(parts).toString('utf8');
  }

  #parse(text: string): unknown {
    try {
      return JSON.parse(text) as unknown;
    } catch (error) {
      throw new SkerryError('unsupported', `what answers at ${this.#place()} is not a Skerry daemon: its answer is not JSON`, {
        cause: error,
      });
    }
  }

  #wentAway(method: string, cause: unknown): SkerryError {
    const after = method === 'GET' ? '' : '; whether it did what was asked is not known: look before you repeat it';
    return new SkerryError('unavailable', `the daemon at ${this.#place()} went away before it answered${after}`, { cause });
  }

  #silent(): SkerryError {
    const seconds = Math.round(this.#silenceMilliseconds / 1000);
    return new SkerryError('timeout', `the daemon at ${this.#place()} has not answered for ${seconds} s`);
  }

  #place(): string {
    return this.endpoint.kind === 'socket' ? this.endpoint.socketPath : this.endpoint.url;
  }
}
