/** S3 over HTTP: takes requests from node's server, hands each to its operation, and writes what that answers. */
import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { Server as TlsServer } from 'node:tls';

import { SkerryError, toSkerryError } from '../../core/errors.js';
import { Roster } from '../../core/roster.js';
import { settledWithin } from '../../mapper/verbs.js';
import { AccountRates } from './account_rates.js';
import { addressOf, type AddressingOptions } from './address.js';
import type { Answer } from './answer.js';
import { badHead } from './bad_head.js';
import { isClientGone } from './client_gone.js';
import { corsHeaders, preflight } from './cors.js';
import { errorAnswer } from './error_document.js';
import { S3Failure, toS3Failure } from './errors.js';
import type { Exchange, Operation, S3Services } from './exchange.js';
import { withWireWords } from './failures.js';
import type { HeaderLine } from './headers.js';
import { withHoistedHeaders } from './hoisted_headers.js';
import { operationOf } from './operations.js';
import { Patience } from './patience.js';
import { RequestBody } from './request_body.js';
import type { RequestRecord } from './request_record.js';
import { readRequest, type S3Request } from './request.js';
import { sendAnswer } from './sending.js';
import { TransferMemory } from './transfer_memory.js';
import { UnderWay } from './under_way.js';

/** Of a head, past what any request may have (`request_head_bytes_max`), so that most that are too long get an answer of S3. */
const head_bytes_max = 65_536;
/** Of an upload: pieces on their way to the engine, a signed chunk that waits for its signature, and what sockets hand over. */
const upload_bytes_held = 7 << 20;
/** Bodies up to here are bounded by how many requests there may be. */
const small_body_bytes = 65_536;
const keep_alive_milliseconds = 30_000;
const close_milliseconds_max = 2000;

export interface S3Limits {
  /** Of connections, and of requests at once. */
  readonly connectionsMax: number;
  readonly requestsMax: number;
  /** From the first byte to the end of the head; of a TLS handshake as well. */
  readonly headMilliseconds: number;
  /** A client that is waited for all that time, and moves fewer bytes, is gone. */
  readonly idleMilliseconds: number;
  readonly idleBytesMin: number;
  /** For bodies on their way, of all requests together. */
  readonly bufferBytesMax: number;
  /** In line for that. */
  readonly bufferWaitMilliseconds: number;
  /** Of each account; 0: as many as come. */
  readonly requestsPerSecond: number;
  readonly bytesPerSecond: number;
}

export const s3Limits: S3Limits = {
  connectionsMax: 4096,
  requestsMax: 1024,
  headMilliseconds: 20_000,
  idleMilliseconds: 60_000,
  idleBytesMin: 60 * 1024,
  bufferBytesMax: 64 << 20,
  bufferWaitMilliseconds: 30_000,
  requestsPerSecond: 0,
  bytesPerSecond: 0,
};

/** In PEM. */
export interface S3Certificate {
  readonly certificate: string;
  readonly key: string;
}

export interface S3ServerOptions extends AddressingOptions {
  readonly services: S3Services;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
  readonly limits?: Partial<S3Limits>;
  /** Absent: without TLS. */
  readonly tls?: S3Certificate;
  /** Once of each request that had a head; not waited for. */
  readonly onRequest?: (record: RequestRecord) => void;
}

export class S3Server {
  readonly #options: S3ServerOptions;
  readonly #limits: S3Limits;
  readonly #server: Server;
  readonly #memory: TransferMemory;
  readonly #patience: Patience;
  readonly #rates: AccountRates;
  readonly #serving = new Roster<Promise<void>>();
  readonly #underWay = new WeakMap<Duplex, UnderWay>();

  constructor(options: S3ServerOptions) {
    this.#options = options;
    this.#limits = { ...s3Limits, ...options.limits };
    const { connectionsMax, bufferBytesMax, bufferWaitMilliseconds, idleMilliseconds, idleBytesMin } = this.#limits;
    this.#memory = new TransferMemory({ bytesMax: bufferBytesMax, waitMilliseconds: bufferWaitMilliseconds });
    this.#patience = new Patience({ windowMilliseconds: idleMilliseconds, bytesMin: idleBytesMin });
    this.#rates = new AccountRates({ ...this.#limits, now: options.services.now });
    this.#server = this.#makeServer();
    this.#server.maxConnections = connectionsMax;
    // Headers past a count would be left out without a word, and with them what was signed; their bytes are bounded.
    this.#server.maxHeadersCount = 0;
    const serve = (incoming: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void => {
      const serving = this.#serve(new UnderWay(incoming, response, expectsContinue, this.#memory));
      void serving.finally(this.#serving.add(serving));
    };
    this.#server.on('request', (incoming: IncomingMessage, response: ServerResponse) => serve(incoming, response, false));
    this.#server.on('checkContinue', (incoming: IncomingMessage, response: ServerResponse) => serve(incoming, response, true));
    // What else a client expects is not for us to refuse: S3 serves it.
    this.#server.on('checkExpectation', (incoming: IncomingMessage, response: ServerResponse) =>
      serve(incoming, response, false),
    );
    this.#server.on('clientError', (error, socket) => {
      // What comes behind a whole request spoils what would come next, and not its answer.
      const before = this.#underWay.get(socket);
      if (before?.incoming.complete === true && !before.response.headersSent) before.response.shouldKeepAlive = false;
      else badHead(error, socket);
    });
  }

  /** @returns HOST:PORT. @throws SkerryError conflict where the port is taken, saying how to choose another */
  async listen(host: string, port: number): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, resolve);
    }).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')
        throw new SkerryError(
          'conflict',
          `${host}:${port}, where S3 is served, is in use by another program: choose another address with --s3-listen (port 0 picks a free one, none serves no S3)`,
          { cause: error },
        );
      throw toSkerryError(error, `S3 cannot be served at ${host}:${port}`);
    });
    const { address, port: bound, family } = this.#server.address() as AddressInfo;
    return family === 'IPv6' ? `[${address}]:${bound}` : `${address}:${bound}`;
  }

  /** For connections from now on. @throws where it cannot serve; what served before goes on serving */
  useCertificate({ certificate, key }: S3Certificate): void {
    if (!(this.#server instanceof TlsServer)) throw new Error('S3 is served without TLS');
    this.#server.setSecureContext({ cert: certificate, key });
  }

  /** Requests under way are answered, where that takes no longer than this server waits for it; resolves when none is left. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    await settledWithin([...this.#serving], close_milliseconds_max);
    this.#server.closeAllConnections();
    this.#patience.stop();
    await closed;
    await Promise.allSettled(this.#serving);
  }

  #makeServer(): Server {
    const { headMilliseconds } = this.#limits;
    const settings: ServerOptions = {
      headersTimeout: headMilliseconds,
      // A body may take as long as it moves: see Patience.
      requestTimeout: 0,
      connectionsCheckingInterval: Math.max(headMilliseconds / 10, 10),
      keepAliveTimeout: keep_alive_milliseconds,
      maxHeaderSize: head_bytes_max,
      noDelay: true,
    };
    const { tls } = this.#options;
    if (tls === undefined) return createServer(settings);
    const secrets = { cert: tls.certificate, key: tls.key, minVersion: 'TLSv1.2', handshakeTimeout: headMilliseconds } as const;
    return createTlsServer({ ...settings, ...secrets });
  }

  async #serve(request: UnderWay): Promise<void> {
    const { incoming, response } = request;
    this.#underWay.set(incoming.socket, request);
    const endWatch = this.#patience.watch(incoming, response, () => this.#late(request));
    try {
      await this.#send(request, await this.#answer(request));
    } catch (error) {
      await this.#fail(request, withWireWords(error));
    } finally {
      endWatch();
      request.end();
      this.#told(request);
    }
  }

  async #answer(request: UnderWay): Promise<Answer> {
    const { services } = this.#options;
    const { incoming, requestId, clientAddress } = request;
    // With itself among them.
    if (this.#patience.count > this.#limits.requestsMax) throw new S3Failure('SlowDown');
    const asked = requestOf(incoming, this.#options.tls !== undefined);
    const address = addressOf(asked, this.#options);
    request.address = address;
    if (asked.method === 'OPTIONS') {
      request.operation = 'PreflightRequest';
      return preflight(asked, address, services);
    }
    request.corsHeaders = await corsHeaders(asked, address, services);
    const { caller, body: plan } = await services.authenticator.authenticate(asked, address);
    const identify: Exchange['identify'] = (who) => {
      request.authenticated = true;
      request.caller = who;
      this.#rates.admit(who?.principal.account ?? 0);
    };
    const meant = caller?.scheme === 'v4-presigned' ? withHoistedHeaders(asked) : asked;
    let operation: Operation | null = null;
    try {
      operation = operationOf(meant, address);
    } finally {
      if (operation?.callerInBody !== true) identify(caller);
    }
    request.operation = operation.name;
    const body = new RequestBody(asked, incoming, plan, request.hooks);
    if ((body.bytes ?? upload_bytes_held) > small_body_bytes)
      await request.takeMemory(Math.min(body.bytes ?? upload_bytes_held, upload_bytes_held));
    const exchange: Exchange = { requestId, request: meant, address, caller, identify, body, clientAddress, services };
    return operation.run(exchange);
  }

  async #send(request: UnderWay, answer: Answer): Promise<void> {
    try {
      await sendAnswer(request, answer);
    } finally {
      if (answer.body !== null && typeof answer.body !== 'string') answer.body.close();
    }
  }

  async #fail(request: UnderWay, error: unknown): Promise<void> {
    const { requestId, place, response } = request;
    const failure = toS3Failure(error);
    request.code ??= failure.s3Code;
    if (failure.status >= 500 && !expectedCodes.has(failure.s3Code) && !isClientGone(error))
      this.#options.log('error', 'a request failed', { requestId, resource: place, code: failure.s3Code, error: wordsOf(error) });
    if (response.headersSent || response.destroyed) {
      // Its length was told: a connection that ends early is the only sign there is.
      response.destroy();
      return;
    }
    const { status, body } = errorAnswer(error, { resource: place, requestId, hostId: requestId });
    const bare = request.incoming.method === 'HEAD' || status === 304;
    const described = bare
      ? { headers: failure.headers, body: null }
      : { headers: { ...failure.headers, 'content-type': 'application/xml' }, body };
    const answer: Answer = { status, ...described };
    await this.#send(request, answer).catch(() => response.destroy());
  }

  /** Node tells nobody that a body ends early once its answer was sent: whoever still waits for it is told by the body's end. */
  #late(request: UnderWay): void {
    void this.#fail(request, new S3Failure('RequestTimeout')).finally(() => request.incoming.destroy());
  }

  #told(request: UnderWay): void {
    const record = request.record();
    this.#rates.moved(record.principal?.account ?? 0, record.bytesIn + record.bytesOut);
    this.#options.onRequest?.(record);
  }
}

/** Of the server's side, and nothing that an operator should look at. */
const expectedCodes: ReadonlySet<string> = new Set(['SlowDown', 'NotImplemented']);

function requestOf(incoming: IncomingMessage, secure: boolean): S3Request {
  const { rawHeaders } = incoming;
  const lines: HeaderLine[] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) lines.push([rawHeaders[at] ?? '', rawHeaders[at + 1] ?? '']);
  return readRequest({
    method: incoming.method ?? '',
    target: incoming.url ?? '',
    headers: lines,
    host: incoming.headers.host ?? '',
    secure,
  });
}

function wordsOf(error: unknown): string {
  const { message, cause } = toSkerryError(error);
  return cause === undefined ? message : `${message}: ${toSkerryError(cause).message}`;
}
