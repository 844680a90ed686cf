/** The way to a server, on which connections are cut, answers get lost and bytes are slow. Fair until told otherwise. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleepFor } from 'node:timers/promises';

/** What is remembered of a request, so that its answer can be lost. */
const asked_bytes_max = 4096;

type Direction = 'up' | 'down';

/** Strikes once. */
interface Cut {
  readonly direction: Direction;
  /** That may still pass that way. */
  bytesLeft: number;
  /** Only on a connection on which this went up since the answer before. */
  readonly after?: RegExp;
}

export class TcpProxy {
  readonly port: number;
  /** Each way, on each connection; without end where null. */
  bytesPerSecond: number | null = null;
  /** Connections there were at most at one time. */
  connectionsMax = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #cut: Cut | null = null;

  private constructor(server: Server, target: URL) {
    this.port = (server.address() as AddressInfo).port;
    this.#server = server;
    server.on('connection', (client) => this.#join(client, connect(Number(target.port), target.hostname)));
  }

  /** `target`: an http URL with a port. */
  static async start(target: string): Promise<TcpProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    return new TcpProxy(server, new URL(target));
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The connection on which the byte after `bytes` more goes that way. */
  cutOnce(direction: Direction, bytes: number): void {
    this.#cut = { direction, bytesLeft: bytes };
  }

  /** What was asked reaches the server; what it answers is lost. */
  loseAnswerTo(request: RegExp): void {
    this.#cut = { direction: 'down', bytesLeft: 0, after: request };
  }

  /** Whether the last cut has struck. */
  get isFair(): boolean {
    return this.#cut === null;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }

  #join(client: Socket, server: Socket): void {
    const link = { sockets: [client, server], asked: '' };
    for (const socket of link.sockets) {
      this.#sockets.add(socket);
      // Either end may go at any time: that is what this is for.
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        for (const other of link.sockets) other.destroy();
      });
    }
    this.connectionsMax = Math.max(this.connectionsMax, this.#sockets.size / 2);
    this.#pass(link, 'up', client, server);
    this.#pass(link, 'down', server, client);
  }

  #pass(link: { asked: string }, direction: Direction, from: Socket, to: Socket): void {
    from.on('data', (bytes) => {
      if (direction === 'up') link.asked = (link.asked + bytes.toString('latin1', 0, asked_bytes_max)).slice(0, asked_bytes_max);
      if (this.#strikes(link, direction, bytes.length)) {
        from.destroy();
        return;
      }
      if (direction === 'down') link.asked = '';
      const flowing = to.write(bytes);
      if (flowing && this.bytesPerSecond === null) return;
      from.pause();
      const pauses: Promise<unknown>[] = [this.#pauseAfter(bytes.length)];
      if (!flowing) pauses.push(once(to, 'drain'));
      // One that was closed meanwhile drains no more, and needs no more bytes.
      Promise.all(pauses).then(
        () => from.resume(),
        () => undefined,
      );
    });
  }

  async #pauseAfter(bytes: number): Promise<void> {
    if (this.bytesPerSecond !== null) await sleepFor((bytes / this.bytesPerSecond) * 1000);
  }

  #strikes(link: { readonly asked: string }, direction: Direction, bytes: number): boolean {
    const cut = this.#cut;
    if (cut === null || cut.direction !== direction || cut.after?.test(link.asked) === false) return false;
    cut.bytesLeft -= bytes;
    if (cut.bytesLeft >= 0) return false;
    this.#cut = null;
    return true;
  }
}
