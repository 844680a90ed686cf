/** A TCP or TLS connection as a client of no library has it: what it sends, and when, is the test's to say. */
import { createHmac } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

import type { NewAccessKey } from '../../src/identity/access_keys.ts';

export class RawConnection {
  readonly socket: Socket;
  #text = '';
  #ended = false;
  #onChange: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (piece: string) => {
      this.#text += piece;
      this.#onChange();
    });
    // A connection that is reset has ended, too.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#ended = true;
      this.#onChange();
    });
  }

  /** `address`: HOST:PORT. With `authority`, in PEM, over TLS. */
  static async open(address: string, authority?: string): Promise<RawConnection> {
    const [host = '', port = ''] = address.split(':');
    const there = { host, port: Number(port) };
    const socket = authority === undefined ? connect(there) : connectTls({ ...there, ca: authority, servername: 'localhost' });
    await new Promise((resolve, reject) => {
      socket.once(authority === undefined ? 'connect' : 'secureConnect', resolve);
      socket.once('error', reject);
    });
    return new RawConnection(socket);
  }

  send(...lines: readonly string[]): void {
    this.socket.write(lines.join('\r\n'), 'latin1');
  }

  /** All that came, once it matches. @throws where the connection ended before */
  async until(pattern: RegExp): Promise<string> {
    for (;;) {
      if (pattern.test(this.#text)) return this.#text;
      if (this.#ended) throw new Error(`the connection ended after ${JSON.stringify(this.#text.slice(0, 500))}`);
      await this.#change();
    }
  }

  /** All that came before the other side ended it. */
  async ended(): Promise<string> {
    while (!this.#ended) await this.#change();
    return this.#text;
  }

  vanish(): void {
    this.socket.destroy();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#onChange = resolve;
    });
  }
}

/** The target of a request that anybody may send for an hour. Of version 2, which is short. */
export function presignedTarget(key: Pick<NewAccessKey, 'accessKey' | 'secretKey'>, method: string, path: string): string {
  const expires = Math.floor(Date.now() / 1000) + 3600;
  const signature = createHmac('sha1', key.secretKey).update(`${method}\n\n\n${expires}\n${path}`).digest('base64');
  return `${path}?AWSAccessKeyId=${key.accessKey}&Expires=${expires}&Signature=${encodeURIComponent(signature)}`;
}
