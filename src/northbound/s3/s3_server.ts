/** S3 over HTTP: takes requests from node's server, hands each to its operation, and writes what that answers. */
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { SkerryError, toSkerryError } from '../../core/errors.js';
import { addressOf, type Address, type AddressingOptions } from './address.js';
import type { Answer } from './answer.js';
import { corsHeaders, preflight } from './cors.js';
import { errorAnswer } from './error_document.js';
import { toS3Failure } from './errors.js';
import type { Exchange, S3Services } from './exchange.js';
import { withWireWords } from './failures.js';
import type { HeaderLine } from './headers.js';
import { operationOf } from './operations.js';
import { RequestBody } from './request_body.js';
import { readRequest, type S3Request } from './request.js';

const head_milliseconds_max = 20_000;
const idle_milliseconds_max = 60_000;
const keep_alive_milliseconds = 30_000;

export interface S3ServerOptions extends AddressingOptions {
  readonly services: S3Services;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
}

export class S3Server {
  readonly #options: S3ServerOptions;
  readonly #server: Server;

  constructor(options: S3ServerOptions) {
    this.#options = options;
    const settings = { headersTimeout: head_milliseconds_max, requestTimeout: 0, keepAliveTimeout: keep_alive_milliseconds };
    this.#server = createServer(settings, (incoming, response) => void this.#serve(incoming, response, false));
    this.#server.on('checkContinue', (incoming: IncomingMessage, response: ServerResponse) => {
      void this.#serve(incoming, response, true);
    });
    // What else a client expects is not for us to refuse: S3 serves it.
    this.#server.on('checkExpectation', (incoming: IncomingMessage, response: ServerResponse) => {
      void this.#serve(incoming, response, false);
    });
    // Who sends nothing and takes nothing for so long is gone.
    this.#server.timeout = idle_milliseconds_max;
  }

  /** @returns HOST:PORT. @throws SkerryError conflict where the port is taken, saying how to choose another */
  async listen(host: string, port: number): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, resolve);
    }).catch((error: unknown) => {
      const { code, message } = toSkerryError(error);
      throw new SkerryError(code, `S3 cannot be served at ${host}:${port}: ${message}: choose another address with --s3-listen`);
    });
    const { address, port: bound, family } = this.#server.address() as AddressInfo;
    return family === 'IPv6' ? `[${address}]:${bound}` : `${address}:${bound}`;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse, expectsContinue: boolean): Promise<void> {
    const requestId = randomBytes(8).toString('hex').toUpperCase();
    response.setHeader('x-amz-request-id', requestId);
    response.setHeader('server', 'Skerry');
    const onFirstRead = (): void => {
      if (expectsContinue) response.writeContinue();
    };
    let place = incoming.url ?? '';
    try {
      const request = requestOf(incoming);
      const address = addressOf(request, this.#options);
      place = placeOf(address);
      for (const [name, value] of Object.entries(await corsHeaders(request, address, this.#options.services)))
        response.setHeader(name, value);
      const answer = await this.#answer(request, address, { incoming, requestId, onFirstRead });
      await send(answer, incoming, response);
    } catch (error) {
      this.#fail(withWireWords(error), { place, requestId, incoming, response });
    } finally {
      // What nobody read of the body is not taken for the next request.
      if (!incoming.complete) incoming.resume();
    }
  }

  async #answer(
    request: S3Request,
    address: Address,
    from: { readonly incoming: IncomingMessage; readonly requestId: string; readonly onFirstRead: () => void },
  ): Promise<Answer> {
    const { services } = this.#options;
    const { incoming, requestId, onFirstRead } = from;
    if (request.method === 'OPTIONS') return preflight(request, address, services);
    const { caller, body: plan } = await services.authenticator.authenticate(request, address);
    const body = new RequestBody(request, incoming, plan, onFirstRead);
    const clientAddress = incoming.socket.remoteAddress ?? null;
    const exchange: Exchange = { requestId, request, address, caller, body, clientAddress, services };
    return operationOf(request, address).run(exchange);
  }

  #fail(error: unknown, to: { place: string; requestId: string; incoming: IncomingMessage; response: ServerResponse }): void {
    const { place, requestId, incoming, response } = to;
    const failure = toS3Failure(error);
    // What is not there is no failure of ours.
    if (failure.status >= 500 && failure.s3Code !== 'NotImplemented')
      this.#options.log('error', 'a request failed', { requestId, resource: place, code: failure.s3Code, error: wordsOf(error) });
    if (response.headersSent) {
      // Its length was told: a connection that ends early is the only sign there is.
      response.destroy();
      return;
    }
    const { status, body } = errorAnswer(error, { resource: place, requestId, hostId: requestId });
    const bare = incoming.method === 'HEAD' || status === 304;
    const described = bare ? {} : { 'content-type': 'application/xml', 'content-length': Buffer.byteLength(body) };
    response.writeHead(status, { ...failure.headers, ...described });
    response.end(bare ? '' : body);
  }
}

function requestOf(incoming: IncomingMessage): S3Request {
  const lines = incoming.rawHeaders.flatMap((name, at, all): HeaderLine[] => (at % 2 === 0 ? [[name, all[at + 1] ?? '']] : []));
  return readRequest({
    method: incoming.method ?? '',
    target: incoming.url ?? '',
    headers: lines,
    host: incoming.headers.host ?? '',
    secure: false,
  });
}

async function send({ status, headers, body }: Answer, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const bodiless = status === 204 || status === 304;
  const bytes = body === null ? 0 : typeof body === 'string' ? Buffer.byteLength(body) : body.bytes;
  response.writeHead(status, bodiless ? headers : { 'content-length': bytes, ...headers });
  if (body === null || typeof body === 'string') {
    response.end(incoming.method === 'HEAD' ? '' : body);
    return;
  }
  try {
    if (incoming.method === 'HEAD') response.end();
    else await pipeline(Readable.from(body.content), response);
  } finally {
    body.close();
  }
}

function placeOf({ bucket, key }: Address): string {
  return bucket === null ? '/' : key === null ? `/${bucket}` : `/${bucket}/${key}`;
}

function wordsOf(error: unknown): string {
  const { message, cause } = toSkerryError(error);
  return cause === undefined ? message : `${message}: ${String(cause)}`;
}
