/**
 * Real servers for tests: each is a script of this folder that starts one on loopback from Debian's packages, waits until it
 * serves, and prints how to reach it. Pauses and kills go by the pids that the script knows.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleepFor } from 'node:timers/promises';

import { must, packageRoot } from '../harness/command.ts';

/** A program of each, and the packages that bring what the script calls. */
const services = {
  ceph: { program: 'ceph-osd', packages: 'ceph-mon ceph-osd ceph-mgr ceph-common' },
  radosgw: { program: 'radosgw', packages: 'ceph-mon ceph-osd ceph-mgr ceph-common radosgw' },
  gluster: { program: 'glusterd', packages: 'glusterfs-server' },
  nfs: { program: 'ganesha.nfsd', packages: 'nfs-ganesha nfs-ganesha-vfs' },
} as const;

export type ServiceName = keyof typeof services;

/**
 * Why the server cannot be started here, or null where it can: for `describe.skipIf`, in whose title it stands.
 * @throws Error in CI, where every server must be there
 */
export function whyMissing(name: ServiceName): string | null {
  const { program, packages } = services[name];
  const path = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`.split(':');
  const reason = !path.some((folder) => existsSync(join(folder, program)))
    ? `${program} is not installed (Debian: apt-get install ${packages})`
    : process.getuid?.() === 0
      ? null
      : `${program} is started as root`;
  if (reason !== null && (process.env['CI'] ?? '') !== '') throw new Error(`${name}: ${reason}`);
  return reason;
}

export class Service {
  readonly name: ServiceName;
  /** What the script printed: KEY=VALUE. */
  readonly values: ReadonlyMap<string, string>;
  readonly #directory: string;
  readonly #environment: Readonly<Record<string, string>>;

  private constructor(
    name: ServiceName,
    directory: string,
    environment: Readonly<Record<string, string>>,
    values: ReadonlyMap<string, string>,
  ) {
    this.name = name;
    this.#directory = directory;
    this.#environment = environment;
    this.values = values;
  }

  /** `environment`: what the script's first lines say may be set. Serves once this resolves. */
  static async start(name: ServiceName, environment: Readonly<Record<string, string>> = {}): Promise<Service> {
    // Short, for it is part of the paths of sockets.
    const directory = mkdtempSync(join(tmpdir(), `sk-${name}-`));
    try {
      return new Service(name, directory, environment, await script(name, ['up', directory], environment));
    } catch (error) {
      await script(name, ['down', directory], environment).catch(() => undefined);
      throw error;
    }
  }

  /** @throws Error where the script printed no such value */
  value(key: string): string {
    const value = this.values.get(key);
    if (value === undefined) throw new Error(`${this.name}.sh printed no ${key}`);
    return value;
  }

  /** One of its processes as it is now, by the name of its pid file with _ for dots: osd0, brick0, ganesha, rgw. */
  async pid(process: string): Promise<number> {
    const values = await script(this.name, ['env', this.#directory], this.#environment);
    const pid = Number(values.get(`PID_${process}`));
    if (!Number.isInteger(pid)) throw new Error(`${process} of ${this.name} does not run`);
    return pid;
  }

  /** Sends a signal: SIGSTOP and SIGCONT for one that is slow or gone for a while, SIGKILL for one that dies. */
  async signal(processName: string, signal: NodeJS.Signals): Promise<void> {
    const pid = await this.pid(processName);
    process.kill(pid, signal);
    // Its threads stop one by one, and the last may still answer; of one that was killed the sockets close a little later.
    if (signal === 'SIGSTOP') while (threadStates(pid).some((state) => state !== 'T')) await sleepFor(5);
    if (signal === 'SIGKILL') while (threadStates(pid).some((state) => state !== 'Z' && state !== 'X')) await sleepFor(5);
  }

  /** It stands still while `work` is under way, whatever becomes of that. */
  async whilePaused<T>(processName: string, work: () => Promise<T>): Promise<T> {
    await this.signal(processName, 'SIGSTOP');
    try {
      return await work();
    } finally {
      await this.signal(processName, 'SIGCONT');
    }
  }

  /** Another verb of its script: `restart-osd`, `brick-restart`, `restart`, `cli`. */
  async run(verb: string, ...words: readonly string[]): Promise<void> {
    await must('bash', [scriptOf(this.name), verb, this.#directory, ...words], { env: this.#environment });
  }

  /** Stops what was started and removes all of it. */
  async stop(): Promise<void> {
    await script(this.name, ['down', this.#directory], this.#environment);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Z for one that has ended, T for one that stands still; none where the process is gone. */
function threadStates(pid: number): readonly string[] {
  const folder = `/proc/${pid}/task`;
  const tasks = readOrNothing(() => readdirSync(folder)) ?? [];
  // A thread may end between the two looks.
  return tasks.flatMap((task) => {
    const text = readOrNothing(() => readFileSync(`${folder}/${task}/stat`, 'utf8')) ?? '';
    return /\) (\S) /.exec(text)?.[1] ?? [];
  });
}

/** null where what is looked at is gone. */
function readOrNothing<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return null;
    throw error;
  }
}

function scriptOf(name: ServiceName): string {
  return join(packageRoot, 'test', 'services', `${name}.sh`);
}

async function script(
  name: ServiceName,
  words: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<ReadonlyMap<string, string>> {
  const printed = await must('bash', [scriptOf(name), ...words], { env: environment, timeoutSeconds: 290 });
  const pairs = printed.split('\n').filter((line) => line.includes('='));
  return new Map(pairs.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const));
}
