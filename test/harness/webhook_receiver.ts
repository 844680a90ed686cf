/** A webhook over HTTP on loopback, that takes, refuses, never answers, goes away and comes again. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Got {
  /** By name in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The status that it answers; null: it never does. */
export type Behaviour = (got: Got, before: readonly Got[]) => number | null;

export class WebhookReceiver {
  /** Posts, in the order in which they came. */
  readonly got: Got[] = [];
  behave: Behaviour;
  connections = 0;
  /** Sent with each answer, where it is not ''. */
  location = '';
  #server: Server | null = null;
  #port = 0;
  #waiting: { count: number; resolve: () => void }[] = [];

  constructor(behave: Behaviour = () => 200) {
    this.behave = behave;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/hook`;
  }

  get bodies(): string[] {
    return this.got.map(({ body }) => body);
  }

  /** On the port that it had before. */
  async start(): Promise<this> {
    const server = createServer((request, response) => {
      let body = '';
      request.on('data', (piece: Buffer) => (body += piece.toString()));
      request.on('end', () => {
        const headers = Object.entries(request.headers).map(([name, value]) => [name, String(value)]);
        const got: Got = { headers: Object.fromEntries(headers) as Record<string, string>, body };
        const status = this.behave(got, this.got);
        this.got.push(got);
        for (const { count, resolve } of this.#waiting) if (this.got.length >= count) resolve();
        if (status !== null) response.writeHead(status, this.location === '' ? {} : { location: this.location }).end('whatever');
      });
    });
    server.on('connection', () => (this.connections += 1));
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
    return this;
  }

  /** Connections are cut. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }

  /** Resolves when it got that many, those again included. */
  async posts(count: number): Promise<void> {
    if (this.got.length >= count) return;
    await new Promise<void>((resolve) => this.#waiting.push({ count, resolve }));
  }
}
