/**
 * Programs that read what strangers made, held on a short leash: bounded in memory, processor time and what they may write,
 * ended with the daemon, and without a shell.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';

import { SkerryError } from '../../core/errors.js';

export interface ProcessLimits {
  readonly memoryBytesMax: number;
  readonly processorSecondsMax?: number;
  /** Of any file that it writes; 0 for a program that writes none. */
  readonly fileBytesMax?: number;
  readonly filesMax?: number;
}

export interface ProcessEnd {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Of what a program prints; what is over it ends the program. */
const output_bytes_max = 4 << 20;
const stderr_characters_max = 4096;

const packages: Readonly<Record<string, string>> = {
  'qemu-img': 'qemu-utils',
  xz: 'xz-utils',
  prlimit: 'util-linux',
  setpriv: 'util-linux',
};

export class LimitedPrograms {
  readonly #environment: NodeJS.ProcessEnv;

  constructor(environment: NodeJS.ProcessEnv = process.env) {
    this.#environment = environment;
  }

  /** @param purpose starts the message where it is missing: `qcow2 images are read`. @throws SkerryError unsupported naming the Debian package. */
  async find(program: string, purpose: string): Promise<string> {
    for (const directory of (this.#environment['PATH'] ?? '').split(delimiter)) {
      if (!isAbsolute(directory)) continue;
      const path = join(directory, program);
      const found = await access(path, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (found) return path;
    }
    const where = packages[program] === undefined ? '' : `: install the Debian package ${packages[program]}`;
    throw new SkerryError('unsupported', `${purpose} through the program ${program}, which is not on the daemon’s PATH${where}`);
  }

  /** Starts it with pipes for all three streams. The caller waits for its end. */
  async start(program: string, args: readonly string[], limits: ProcessLimits, purpose: string): Promise<ChildProcess> {
    const path = await this.find(program, purpose);
    const setpriv = await this.find('setpriv', `${purpose} safely`);
    const prlimit = await this.find('prlimit', `${purpose} safely`);
    const { memoryBytesMax, processorSecondsMax, fileBytesMax, filesMax = 256 } = limits;
    const bounds = [`--as=${memoryBytesMax}`, '--core=0', `--nofile=${filesMax}`];
    if (processorSecondsMax !== undefined) bounds.push(`--cpu=${processorSecondsMax}`);
    if (fileBytesMax !== undefined) bounds.push(`--fsize=${fileBytesMax}`);
    const words = ['--pdeathsig', 'KILL', '--no-new-privs', '--', prlimit, ...bounds, '--', path, ...args];
    return spawn(setpriv, words, {
      cwd: '/',
      // One arena: glibc reserves address space for each, which the limit on memory counts.
      env: { PATH: this.#environment['PATH'], LC_ALL: 'C', MALLOC_ARENA_MAX: '1' },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  }

  /**
   * Runs it to its end, without input. The signal kills it.
   * @throws SkerryError cancelled after `signal`, timeout after `milliseconds`.
   */
  async run(
    program: string,
    args: readonly string[],
    options: {
      readonly purpose: string;
      readonly limits: ProcessLimits;
      readonly signal?: AbortSignal;
      readonly milliseconds?: number;
      readonly onOutput?: (text: string) => void;
    },
  ): Promise<ProcessEnd> {
    const { signal, milliseconds, onOutput } = options;
    const child = await this.start(program, args, options.limits, options.purpose);
    const kill = (): void => void child.kill('SIGKILL');
    let late = false;
    const onLate = (): void => {
      late = true;
      kill();
    };
    const timer = milliseconds === undefined ? undefined : setTimeout(onLate, milliseconds);
    signal?.addEventListener('abort', kill);
    if (signal?.aborted === true) kill();
    child.stdin?.on('error', () => {});
    child.stdin?.end();
    let stdout = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      if (onOutput !== undefined) return onOutput(text);
      stdout += text;
      if (stdout.length > output_bytes_max) kill();
    });
    const stderr = tailOf(child);
    try {
      const status = await ended(child);
      if (signal?.aborted === true) throw new SkerryError('cancelled', `${program} was cancelled`);
      if (late) throw new SkerryError('timeout', `${program} took longer than ${(milliseconds ?? 0) / 1000} s, and was ended`);
      return { status, stdout, stderr: stderr() };
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', kill);
    }
  }
}

/** The exit status once its streams are read to their end; null after a signal. */
export function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
}

/** Begins to keep the end of what it says on standard error. */
export function tailOf(child: ChildProcess): () => string {
  let text = '';
  child.stderr?.setEncoding('utf8').on('data', (part: string) => {
    text = (text + part).slice(-stderr_characters_max);
  });
  return () => text.trim();
}
