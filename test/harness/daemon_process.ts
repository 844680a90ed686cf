/** A real daemon in a process of its own, on a data directory that outlives it: started, killed and started again. */
import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { type Outcome, packageRoot, run } from './command.ts';
import { noteDirectory, noteRing, removeRing, ringOf } from './leftovers.ts';

export const cliPath = join(packageRoot, 'dist', 'src', 'cli', 'main.js');

export interface ReadyLine {
  readonly ready: true;
  readonly listeners: Readonly<Record<string, string>>;
}

export class DaemonProcess {
  readonly directory: string;
  readonly #config: Readonly<Record<string, unknown>>;
  /** Variables of its process from the next start on, beside ours. */
  environment: Readonly<Record<string, string>>;
  #rings: readonly string[] = [];
  #child: ChildProcess | null = null;
  #log = '';
  ready: ReadyLine | null = null;

  /**
   * `directory`: an existing data directory to go on with, else a fresh one. `config`: settings of the daemon. `environment`:
   * variables of its process, beside ours.
   */
  constructor(
    options: {
      readonly config?: Readonly<Record<string, unknown>>;
      readonly directory?: string;
      readonly environment?: Readonly<Record<string, string>>;
    } = {},
  ) {
    this.directory = options.directory ?? mkdtempSync(join(tmpdir(), 'skerry-'));
    noteDirectory(this.directory);
    this.#config = options.config ?? {};
    this.environment = options.environment ?? {};
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error('the daemon does not run');
    return pid;
  }

  /** Bytes that it holds, shared memory included; files that it has mapped are not its own. */
  get heldBytes(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return ['RssAnon', 'RssShmem']
      .map((field) => Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]) * 1024)
      .reduce((a, b) => a + b);
  }

  /** Open descriptors, but for files of its data directory: journal segments and packs are kept open as they come. */
  get openDescriptors(): number {
    const folder = `/proc/${this.pid}/fd`;
    const target = (name: string): string => {
      try {
        return readlinkSync(join(folder, name));
      } catch {
        return ''; // closed meanwhile
      }
    };
    return readdirSync(folder)
      .map(target)
      .filter((path) => path !== '' && !path.startsWith(`${this.directory}/`)).length;
  }

  get log(): string {
    return this.#log;
  }

  /** Resolves when it serves; rejects with its log when it ends before. `cli`: of another build. Returns the seconds that took. */
  async start(extra: readonly string[] = [], cli = cliPath): Promise<number> {
    const began = performance.now();
    const configPath = `${this.directory}.json`;
    writeFileSync(configPath, JSON.stringify(this.#config));
    const ports = ['--http-port', '0', '--s3-listen', '127.0.0.1:0'];
    const child = spawn(process.execPath, [cli, 'serve', '--data', this.directory, ...ports, '--config', configPath, ...extra], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...this.environment },
    });
    this.#child = child;
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#log += text;
    });
    const ended = new Promise<never>((_, reject) => {
      child.once('exit', (code, signal) =>
        reject(new Error(`the daemon ended (${code ?? signal}) before it served:\n${this.#log}`)),
      );
    });
    const first = new Promise<string>((resolve) => {
      createInterface({ input: child.stdout }).once('line', resolve);
    });
    const line = await Promise.race([first, ended]).finally(() => this.#know([ringOf(this.directory)]));
    ended.catch(() => undefined);
    this.ready = JSON.parse(line) as ReadyLine;
    // What it has mapped, not what is new in /dev/shm: that may be the ring of a daemon of another test.
    const maps = readFileSync(`/proc/${this.pid}/maps`, 'utf8');
    this.#know([...maps.matchAll(/\/dev\/shm\/(skerry-\S+)/g)].map(([, name]) => name ?? null));
    return (performance.now() - began) / 1000;
  }

  /** SIGKILL, as a crash of the process; resolves when it is gone. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const gone = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
    child.kill(signal);
    return gone;
  }

  /** Resolves when it has ended by itself or by others: with the signal that ended it, null where it was none. */
  async gone(): Promise<NodeJS.Signals | null> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return child?.signalCode ?? null;
    return new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)));
  }

  /** What a power cut does to the ring: it is not there afterwards. Call between kill and start. */
  wipeRing(): void {
    if (this.#rings.length === 0) throw new Error('the ring is not known');
    for (const name of this.#rings) removeRing(name);
  }

  /** The host burns, and another one has nothing but the catalog: no journal, no pack that waits to be shipped. Call between kill and start. */
  loseHost(): void {
    this.wipeRing();
    for (const name of ['engine', 'cache']) rmSync(join(this.directory, name), { recursive: true, force: true });
  }

  /** Starts the command against this daemon, with pipes for its streams. */
  spawn(...words: readonly string[]): ChildProcessWithoutNullStreams {
    return spawn(process.execPath, [cliPath, '--data', this.directory, ...words]);
  }

  /** Runs a line of the shell in which `skerry` is the command against this daemon. */
  async shell(line: string): Promise<Outcome> {
    const skerry = `skerry() { '${process.execPath}' '${cliPath}' --data '${this.directory}' "$@"; }`;
    return run('/bin/bash', ['-c', `set -o pipefail; ${skerry}; ${line}`]);
  }

  /** Runs the command against this daemon. */
  async cli(...words: readonly string[]): Promise<Outcome> {
    return run(process.execPath, [cliPath, '--data', this.directory, ...words]);
  }

  /** The same, which must succeed; the parsed JSON. */
  async json<T>(...words: readonly string[]): Promise<T> {
    const outcome = await this.cli(...words, '--json');
    if (!isGood(words, outcome))
      throw new Error(`skerry ${words.join(' ')} ended with ${outcome.code}: ${outcome.stderr}${this.#log.slice(-2000)}`);
    return JSON.parse(outcome.stdout) as T;
  }

  /** The same, which must succeed; what it printed. */
  async ok(...words: readonly string[]): Promise<string> {
    const outcome = await this.cli(...words);
    if (!isGood(words, outcome))
      throw new Error(`skerry ${words.join(' ')} ended with ${outcome.code}: ${outcome.stderr}${this.#log.slice(-2000)}`);
    return outcome.stdout.trim();
  }

  async uri(name: string): Promise<string> {
    return this.ok('volume', 'uri', name);
  }

  /** The value of a metric without labels, or of the pool `default`. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`http://${this.ready?.listeners['http']}/metrics`)).text();
    const line = text
      .split('\n')
      .find((candidate) => candidate.startsWith(`${name} `) || candidate.startsWith(`${name}{pool="default"} `));
    if (line === undefined) throw new Error(`there is no metric ${name}`);
    return Number(line.slice(line.lastIndexOf(' ') + 1));
  }

  /** Kills the daemon if it still runs and removes all it left. */
  async destroy(): Promise<void> {
    await this.kill();
    // A test may have put another home there, or served it by itself.
    this.#know([ringOf(this.directory)]);
    if (this.#rings.length > 0) this.wipeRing();
    rmSync(this.directory, { recursive: true, force: true });
    rmSync(`${this.directory}.json`, { force: true });
  }

  #know(rings: readonly (string | null)[]): void {
    for (const name of rings) {
      if (name === null || this.#rings.includes(name)) continue;
      this.#rings = [...this.#rings, name];
      noteRing(name);
    }
  }
}

/** `status` ends with 1 to say that something is wrong, and has said what. */
function isGood(words: readonly string[], { code, stdout }: Outcome): boolean {
  return code === 0 || (code === 1 && words[0] === 'status' && stdout !== '');
}
