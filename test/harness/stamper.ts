/** A client that stamps blocks of a volume until the server dies, stays alive, and knows what it was promised: stamper.py. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';

import { packageRoot } from './command.ts';

export class Stamper {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;

  /** `sizeBytes`: of the volume, from its beginning, that is stamped. */
  constructor(uri: string, sizeBytes: number, seed: number) {
    this.#child = spawn('/usr/bin/python3', [
      join(packageRoot, 'test', 'harness', 'stamper.py'),
      uri,
      String(sizeBytes),
      String(seed),
    ]);
    this.#child.stderr.pipe(process.stderr);
    this.#reader = createInterface({ input: this.#child.stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  /** `uri`: for the words that take one. What they mean and answer stands in stamper.py. */
  async ask(word: 'run' | 'check' | 'check-flushed' | 'look' | 'at', uri = ''): Promise<string> {
    this.#child.stdin.write(`${word} ${uri}\n`);
    const line = await this.#lines.next();
    return line.done === true ? 'BAD the client died' : line.value;
  }

  close(): void {
    this.#reader.close();
    this.#child.kill('SIGKILL');
  }
}
