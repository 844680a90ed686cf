/** An NBD connection that stays open while a test does other things: nbd_session.py, a line each way. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { packageRoot } from './command.ts';

export class NbdSession {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    if (child.stdout === null) throw new Error('the session has no output');
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  /** `contexts`: metadata contexts to negotiate, where the server has them. */
  static async open(uri: string, ...contexts: readonly string[]): Promise<NbdSession> {
    const script = join(packageRoot, 'test', 'harness', 'nbd_session.py');
    const session = new NbdSession(spawn('/usr/bin/python3', [script, uri, ...contexts], { stdio: ['pipe', 'pipe', 'inherit'] }));
    await session.#line();
    return session;
  }

  /** What the server answered, without the `ok`; `error ENOSPC` and the like where it refused. */
  async ask(...words: readonly (string | number)[]): Promise<string> {
    this.#child.stdin?.write(`${words.join(' ')}\n`);
    const line = await this.#line();
    return line.startsWith('ok') ? line.slice(3) : line;
  }

  async close(): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.stdin?.end();
    await gone;
  }

  async #line(): Promise<string> {
    const next = await this.#lines.next();
    if (next.done === true) throw new Error('the NBD session ended');
    return next.value;
  }
}
