/** A terminal that keeps what it was told, and a daemon over fake verbs for a command to talk to. */
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { onTestFinished } from 'vitest';

import type { ActivityView, StatusView } from '../../../src/api/shapes.js';
import { runCommand } from '../../../src/cli/program.js';
import type { ExitCode } from '../../../src/cli/program.js';
import type { Terminal } from '../../../src/cli/terminal.js';
import type { Identity } from '../../../src/identity/identity.js';
import { buildAdmin } from '../../../src/northbound/admin/admin.js';
import { FakeCollections } from '../northbound/admin/fake_collections.js';
import { FakeMoves } from '../northbound/admin/fake_moves.js';
import { memoryIdentity } from '../northbound/admin/memory_identity.js';
import { FakeReplications } from '../northbound/admin/fake_replications.js';
import { FakeImageObjects } from '../northbound/admin/fake_image_objects.js';
import { FakePublications } from '../northbound/admin/fake_publications.js';
import { FakeScrubs } from '../northbound/admin/fake_scrubs.js';
import {
  fakeActivity,
  fakePools,
  FakeDisks,
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
  outRows: number | null = null;
  #key: ((key: string) => void) | null = null;
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

  onKey(handler: (key: string) => void): () => void {
    this.#key = handler;
    return () => {
      this.#key = null;
    };
  }

  get listensForKeys(): boolean {
    return this.#key !== null;
  }

  press(key: string): void {
    this.#key?.(key);
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
  /** What of the status is not as it is by default. */
  statusFields: Partial<StatusView> = {};
  /** What of an attached resource's activity is not as it is by default. */
  activityFields: Partial<ActivityView['resources'][number]> = {};
  /** How often its activity was asked for: a second and a hundred reads lie between two. */
  looks = 0;
  readonly space = new FakeSpace(this.resources);
  readonly estimates = new FakeEstimates();
  readonly replications = new FakeReplications();
  readonly scrubs = new FakeScrubs();
  readonly poolVerbs = new FakePoolVerbs();
  readonly identity: Identity;
  readonly directory: string;
  readonly socketPath: string;

  private constructor(directory: string, identity: Identity) {
    this.directory = directory;
    this.identity = identity;
    this.socketPath = join(directory, 'admin.sock');
  }

  static async start(): Promise<FakeDaemon> {
    const daemon = new FakeDaemon(temporaryDirectory(), await memoryIdentity());
    const listeners = { nbd: join(daemon.directory, 'nbd.sock'), admin: daemon.socketPath };
    const app = buildAdmin({
      resources: daemon.resources,
      pools: fakePools,
      poolVerbs: daemon.poolVerbs,
      status: async () => ({ ...fakeStatus(listeners), ...daemon.statusFields }),
      activity: async () => {
        const activity = fakeActivity(++daemon.looks, daemon.looks * 100);
        return { ...activity, resources: activity.resources.map((one) => ({ ...one, ...daemon.activityFields })) };
      },
      space: daemon.space,
      estimates: daemon.estimates,
      collections: new FakeCollections(),
      moves: new FakeMoves(),
      replications: daemon.replications,
      identity: daemon.identity,
      disks: new FakeDisks(daemon.resources),
      publications: new FakePublications(),
      imageObjects: new FakeImageObjects(),
      scrubs: daemon.scrubs,
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
