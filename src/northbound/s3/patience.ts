/** Ends requests whose clients neither send nor take what they should: time is only counted while the client is waited for. */
import type { IncomingMessage, ServerResponse } from 'node:http';

import { Roster } from '../../core/roster.js';

export interface PatienceOptions {
  /** A client that is waited for through all of such a window, and moves less than `bytesMin` in it, is gone. */
  readonly windowMilliseconds: number;
  readonly bytesMin: number;
}

/** Looks in a window: the fewer, the more a client is let off. */
const looks_per_window = 6;

interface Watched {
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
  readonly onLate: () => void;
  leave: () => void;
  /** null before the first look at it, from which on it counts: most requests have none. */
  looked: { readonly since: number; readonly moved: number } | null;
}

export class Patience {
  readonly #options: PatienceOptions;
  readonly #watched = new Roster<Watched>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: PatienceOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), options.windowMilliseconds / looks_per_window).unref();
  }

  /** Of requests under way. */
  get count(): number {
    return this.#watched.size;
  }

  /** @returns what ends the watch */
  watch(incoming: IncomingMessage, response: ServerResponse, onLate: () => void): () => void {
    const watched: Watched = { incoming, response, onLate, leave: () => undefined, looked: null };
    watched.leave = this.#watched.add(watched);
    return watched.leave;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { windowMilliseconds, bytesMin } = this.#options;
    const now = performance.now();
    for (const watched of this.#watched) {
      const moved = movedBytes(watched.incoming);
      const { looked } = watched;
      if (looked === null || !waitsForClient(watched) || moved - looked.moved >= bytesMin) {
        watched.looked = { since: now, moved };
      } else if (now - looked.since >= windowMilliseconds) {
        watched.leave();
        watched.onLate();
      }
    }
  }
}

/** Of its connection: sent, and taken. */
function movedBytes({ socket }: IncomingMessage): number {
  return socket.bytesRead + socket.bytesWritten - socket.writableLength;
}

/** It does not take what was written; or nothing is there of the body that somebody reads. */
function waitsForClient({ incoming, response }: Watched): boolean {
  if (incoming.socket.writableLength > 0) return true;
  return !response.writableEnded && !incoming.complete && incoming.readableLength === 0 && incoming.listenerCount('end') > 0;
}
