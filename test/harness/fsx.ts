/** The program that sends random requests and knows what must be read back: fsx.py, a line each way. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';

import { packageRoot } from './command.ts';

/** It showed that a promise was broken. The requests that touched the place are in the message. */
export class BrokenPromise extends Error {}

export class Fsx {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #reader: Interface;
  readonly #lines: AsyncIterator<string>;
  #told = '';

  constructor(seed: number) {
    this.#child = spawn('/usr/bin/python3', [join(packageRoot, 'test', 'harness', 'fsx.py'), String(seed)]);
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#told += text;
    });
    this.#reader = createInterface({ input: this.#child.stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  /** What stands behind `ok`; null where the daemon was gone. @throws BrokenPromise */
  async ask(...words: readonly (string | number)[]): Promise<string | null> {
    const line = await this.#line(words);
    return line.startsWith('ok') ? line.slice(3) : null;
  }

  /** The number of requests that were answered, of lines that `ok N` and `broken N` answer. @throws BrokenPromise */
  async count(...words: readonly string[]): Promise<number> {
    return Number((await this.#line(words)).split(' ')[1]);
  }

  async #line(words: readonly (string | number)[]): Promise<string> {
    this.#child.stdin.write(`${words.join(' ')}\n`);
    const { done, value } = await this.#lines.next();
    if (done === true) throw new Error(`fsx.py ended at "${words.join(' ')}":\n${this.#told}`);
    if (value.startsWith('BAD ')) throw new BrokenPromise(`${value.slice(4)}\n${this.#told}`);
    return value;
  }

  close(): void {
    this.#reader.close();
    this.#child.kill('SIGKILL');
  }
}
