/** A disk whose syncs or writes fail, for one daemon: a library that is preloaded, and the file that tells it what fails. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { must, packageRoot } from './command.ts';

/** `sync /journal/`: every fdatasync and fsync of a file with that in its path is EIO. `write .open`: every write of such a one. */
export type Fault = `${'sync' | 'write'} ${string}`;

export class Faults {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async build(): Promise<Faults> {
    const directory = mkdtempSync(join(tmpdir(), 'skerry-faults-'));
    const source = join(packageRoot, 'test', 'harness', 'failing_sync.c');
    await must('gcc', ['-O1', '-Wall', '-Werror', '-shared', '-fPIC', '-o', join(directory, 'failing_sync.so'), source]);
    return new Faults(directory);
  }

  /** For the daemon's process. */
  get environment(): Readonly<Record<string, string>> {
    return { LD_PRELOAD: join(this.#directory, 'failing_sync.so'), SKERRY_TEST_FAULTS: join(this.#directory, 'control') };
  }

  set(...faults: readonly Fault[]): void {
    writeFileSync(join(this.#directory, 'control'), faults.map((fault) => `${fault}\n`).join(''));
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
