/** A terminal that keeps what it was told, and a daemon over fake verbs for a command to talk to. */
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { onTestFinished } from 'vitest';

import { runCommand } from '../../../src/cli/program.js';
import type { ExitCode } from '../../../src/cli/program.js';
import type { Terminal } from '../../../src/cli/terminal.js';
import { buildAdmin } from '../../../src/northbound/admin/admin.js';
import {
  fakePools,
  FakeEstimates,
  FakePoolVerbs,
  FakeResources,
  FakeSpace,
  fakeStatus,
} from '../northbound/admin/fake_resources.js';
import { temporaryDirectory } from '../temporary_directory.js';

export class FakeTerminal implements Terminal {
  output = '';
  errors = '';
  outColumns: number | null = null;
  errColumns: number | null = null;
  environment: Record<string, string> = {};
  directory = '/home/me';
  #interrupt: (() => void) | null = null;

  out(text: string): void {
    this.output += text;
  }

  err(text: string): void {
    this.errors += text;
  }

  /** What inputBytes() gives; null stands for a terminal. */
  given: Readable | null = null;
  /** What outputBytes() takes; null stands for a terminal. */
  taken: Writable | null = null;

  inputBytes(): Readable | null {
    return this.given;
  }

  outputBytes(): Writable | null {
    return this.taken;
  }

  onInterrupt(handler: () => void): () => void {
    this.#interrupt = handler;
    return () => {
      this.#interrupt = null;
    };
  }

  outliveReaders(): void {}

  boundHeap(): void {}

  get listensForInterrupt(): boolean {
    return this.#interrupt !== null;
  }

  interrupt(): void {
    this.#interrupt?.();
  }
}

export interface Ran {
  readonly code: ExitCode;
  readonly output: string;
  readonly errors: string;
}

export class FakeDaemon {
  readonly resources = new FakeResources();
  readonly space = new FakeSpace(this.resources);
  readonly estimates = new FakeEstimates();
  readonly poolVerbs = new FakePoolVerbs();
  readonly directory: string;
  readonly socketPath: string;

  private constructor(directory: string) {
    this.directory = directory;
    this.socketPath = join(directory, 'admin.sock');
  }

  static async start(): Promise<FakeDaemon> {
    const daemon = new FakeDaemon(temporaryDirectory());
    const listeners = { nbd: join(daemon.directory, 'nbd.sock'), admin: daemon.socketPath };
    const app = buildAdmin({
      resources: daemon.resources,
      pools: fakePools,
      poolVerbs: daemon.poolVerbs,
      status: async () => fakeStatus(listeners),
      space: daemon.space,
      estimates: daemon.estimates,
      listeners: () => listeners,
      log: { error: () => {} },
    });
    onTestFinished(() => app.close());
    await app.listen({ path: daemon.socketPath });
    return daemon;
  }

  /** The words as somebody types them, apart by spaces. */
  async run(line: string, terminal = new FakeTerminal()): Promise<Ran> {
    terminal.environment['SKERRY_DATA'] = this.directory;
    const code = await runCommand(
      line.split(' ').filter((word) => word !== ''),
      terminal,
    );
    return { code, output: terminal.output, errors: terminal.errors };
  }

  async json(line: string): Promise<unknown> {
    const { code, output, errors } = await this.run(`${line} --json`);
    if (code !== 0) throw new Error(`skerry ${line} ended with ${code}: ${errors}`);
    return JSON.parse(output) as unknown;
  }
}
