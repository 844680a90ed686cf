/** Two ways to the verbs: the client library in this process, and the built command as a process of its own for each verb. */
import type { DifferenceView, ResourceView } from '../../src/api/shapes.js';
import { type Client, connect } from '../../src/control/client.js';
import { type ErrorCode, isSkerryError } from '../../src/core/errors.js';
import type { DaemonProcess } from './daemon_process.ts';

export type Outcome = 'done' | ErrorCode;

export interface VerbDriver {
  create(name: string, sizeBytes: number): Promise<Outcome>;
  delete(name: string): Promise<Outcome>;
  resize(name: string, sizeBytes: number, shrink: boolean): Promise<Outcome>;
  rename(name: string, to: string): Promise<Outcome>;
  label(name: string, role: string): Promise<Outcome>;
  rollback(snapshot: string): Promise<Outcome>;
  snapshot(snapshot: string): Promise<Outcome>;
  forget(snapshot: string): Promise<Outcome>;
  clone(source: string, name: string): Promise<Outcome>;
  /** What differs, where it is not refused. */
  diff(from: string, to: string): Promise<DifferenceView | ErrorCode>;
  volumes(): Promise<readonly ResourceView[]>;
  snapshots(): Promise<readonly ResourceView[]>;
  uri(name: string): Promise<string>;
  /** The daemon is another one now. */
  reconnect(): void;
  close(): void;
}

export class LibraryDriver implements VerbDriver {
  readonly #daemon: DaemonProcess;
  #client: Client;

  constructor(daemon: DaemonProcess) {
    this.#daemon = daemon;
    this.#client = connect({ dataDirectory: daemon.directory });
  }

  create(name: string, sizeBytes: number): Promise<Outcome> {
    return outcomeOf(this.#client.createVolume({ name, sizeBytes }));
  }

  delete(name: string): Promise<Outcome> {
    return outcomeOf(this.#client.deleteVolume(name));
  }

  resize(name: string, sizeBytes: number, shrink: boolean): Promise<Outcome> {
    return outcomeOf(this.#client.resizeVolume(name, { sizeBytes, shrink }));
  }

  rename(name: string, to: string): Promise<Outcome> {
    return outcomeOf(this.#client.renameVolume(name, to));
  }

  label(name: string, role: string): Promise<Outcome> {
    return outcomeOf(this.#client.setVolume(name, { labels: { role } }));
  }

  rollback(snapshot: string): Promise<Outcome> {
    return outcomeOf(this.#client.rollback(snapshot));
  }

  snapshot(snapshot: string): Promise<Outcome> {
    return outcomeOf(this.#client.createSnapshot({ name: snapshot }));
  }

  forget(snapshot: string): Promise<Outcome> {
    return outcomeOf(this.#client.deleteSnapshot(snapshot));
  }

  clone(source: string, name: string): Promise<Outcome> {
    return outcomeOf(this.#client.clone({ source, name }));
  }

  diff(from: string, to: string): Promise<DifferenceView | ErrorCode> {
    return this.#client.diff(from, to).catch(codeOf);
  }

  volumes(): Promise<readonly ResourceView[]> {
    return this.#client.volumes();
  }

  snapshots(): Promise<readonly ResourceView[]> {
    return this.#client.snapshots();
  }

  async uri(name: string): Promise<string> {
    return (await this.#client.volumeUri(name)).uri;
  }

  reconnect(): void {
    this.#client.close();
    this.#client = connect({ dataDirectory: this.#daemon.directory });
  }

  close(): void {
    this.#client.close();
  }
}

function outcomeOf(verb: Promise<unknown>): Promise<Outcome> {
  return verb.then(() => 'done' as const, codeOf);
}

function codeOf(error: unknown): ErrorCode {
  if (!isSkerryError(error)) throw error;
  return error.code;
}

/** What the command says of a refusal: how it ends, as docs/reference/cli.md has it, and its one line on standard error. */
const refusals: readonly (readonly [code: ErrorCode, exitCode: number, line: RegExp])[] = [
  ['invalid', 2, /^skerry: .*(?:--shrink|name).*\n$/],
  ['not-found', 3, /^skerry: there is no (volume|snapshot)(?: or image)? \S+; see: skerry \1 list\n$/],
  ['exists', 4, /^skerry: there is a (?:volume|snapshot) \S+ already\n$/],
  ['conflict', 4, /^skerry: volume \S+ (?:is attached|has snapshots) \(.*\): (?:detach it|delete them) .*\n$/],
];

export class CommandDriver implements VerbDriver {
  readonly #daemon: DaemonProcess;

  constructor(daemon: DaemonProcess) {
    this.#daemon = daemon;
  }

  create(name: string, sizeBytes: number): Promise<Outcome> {
    return this.#view({ name, sizeBytes }, 'volume', 'create', name, '--size', String(sizeBytes));
  }

  delete(name: string): Promise<Outcome> {
    return this.#view({ kind: 'volume', name, deleted: true }, 'volume', 'delete', name);
  }

  resize(name: string, sizeBytes: number, shrink: boolean): Promise<Outcome> {
    return this.#view({ name, sizeBytes }, 'volume', 'resize', name, String(sizeBytes), ...(shrink ? ['--shrink'] : []));
  }

  rename(name: string, to: string): Promise<Outcome> {
    return this.#view({ name: to }, 'volume', 'rename', name, to);
  }

  label(name: string, role: string): Promise<Outcome> {
    return this.#view({ name }, 'volume', 'set', name, '--label', `role=${role}`);
  }

  rollback(snapshot: string): Promise<Outcome> {
    return this.#view({ kind: 'volume', name: snapshot.replace(/@.*/, '') }, 'volume', 'rollback', snapshot);
  }

  snapshot(snapshot: string): Promise<Outcome> {
    return this.#view({ kind: 'snapshot', name: snapshot }, 'snapshot', 'create', snapshot);
  }

  forget(snapshot: string): Promise<Outcome> {
    return this.#view({ kind: 'snapshot', name: snapshot, deleted: true }, 'snapshot', 'delete', snapshot);
  }

  clone(source: string, name: string): Promise<Outcome> {
    return this.#view({ kind: 'volume', name, parent: source }, 'clone', source, name);
  }

  diff(from: string, to: string): Promise<DifferenceView | ErrorCode> {
    return this.#run<DifferenceView>('snapshot', 'diff', from, to);
  }

  volumes(): Promise<readonly ResourceView[]> {
    return this.#daemon.json('volume', 'list');
  }

  snapshots(): Promise<readonly ResourceView[]> {
    return this.#daemon.json('snapshot', 'list');
  }

  async uri(name: string): Promise<string> {
    return (await this.#daemon.json<{ readonly uri: string }>('volume', 'uri', name)).uri;
  }

  reconnect(): void {
    // Each command finds the daemon by itself.
  }

  close(): void {
    // Nothing is held between two commands.
  }

  /** Runs a verb whose result must say all of `expected`. */
  async #view(expected: Readonly<Record<string, unknown>>, ...words: readonly string[]): Promise<Outcome> {
    const view = await this.#run<Record<string, unknown>>(...words);
    if (typeof view === 'string') return view;
    for (const [field, value] of Object.entries(expected)) {
      if (view[field] !== value) throw new Error(`skerry ${words.join(' ')} told ${field} ${JSON.stringify(view)}`);
    }
    return 'done';
  }

  /** @throws Error where the command ends in a way that its reference does not know. */
  async #run<View extends object>(...words: readonly string[]): Promise<View | ErrorCode> {
    const { code, stdout, stderr } = await this.#daemon.cli(...words, '--json');
    if (code === 0 && stderr === '' && stdout.indexOf('\n') === stdout.length - 1) return JSON.parse(stdout) as View;
    const refusal = refusals.find(([, exitCode, line]) => code === exitCode && line.test(stderr) && stdout === '');
    if (refusal === undefined)
      throw new Error(`skerry ${words.join(' ')} ended with ${code}: ${JSON.stringify({ stdout, stderr })}`);
    return refusal[0];
  }
}
