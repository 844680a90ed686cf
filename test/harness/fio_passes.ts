/** fio at work on a volume, pass after pass: each writes an area in random order and verifies it. */
import { run } from './command.ts';

export interface Pass {
  readonly offset: number;
  readonly bytes: number;
  /** What is written where follows from it, so that a later fio knows what an earlier one wrote. */
  readonly seed: number;
  /**
   * `crc32c`: random bytes with a sum in each page, which what an earlier pass has left there fulfils too. `pattern`: seed and
   * offset over and over, which it does not.
   */
  readonly verify: 'crc32c' | 'pattern';
}

export interface FioPassesOptions {
  /** Asked before each pass: where the volume is now. */
  readonly uri: () => Promise<string>;
  /** Written in turn, each by one pass. */
  readonly areas: readonly Pick<Pass, 'offset' | 'bytes'>[];
  readonly verify: Pass['verify'];
  /** fio leaves files in the directory it works in. */
  readonly scratch: string;
  /** Bytes a second: a pass is to last. */
  readonly rateBytes: number;
}

const words = (uri: string, { offset, bytes, seed, verify }: Pass): string[] => [
  '--name=pass',
  '--ioengine=nbd',
  `--uri=${uri}`,
  '--rw=randwrite',
  '--bsrange=4k-128k',
  '--blockalign=4k',
  '--iodepth=16',
  `--verify=${verify}`,
  ...(verify === 'pattern' ? [`--verify_pattern=0x${seed.toString(16).padStart(8, '0')}%o`] : []),
  '--verify_fatal=1',
  '--verify_state_save=0',
  `--offset=${offset}`,
  `--size=${bytes}`,
  `--randseed=${seed}`,
  // In one process, which can be killed as a whole.
  '--thread',
  '--minimal',
];

/** What fio complains of where the area does not hold what the pass wrote; else null. The volume is only read. */
export async function complaint(uri: string, pass: Pass, scratch: string): Promise<string | null> {
  const { code, stdout, stderr } = await run('fio', [...words(uri, pass), '--verify_only'], { cwd: scratch });
  return code === 0 ? null : `${JSON.stringify(pass)}: ${code} ${stdout.slice(-300)}${stderr.slice(-1000)}`;
}

export class FioPasses {
  /** The last finished pass over each area that none has begun to write over since. */
  readonly #finished = new Map<number, Pass>();
  readonly #options: FioPassesOptions;
  #running: Promise<void> = Promise.resolve();
  #stopping = false;
  #killed = new AbortController();
  #count = 0;
  /** How a pass failed, which ends them all. */
  failure: string | null = null;

  constructor(options: FioPassesOptions) {
    this.#options = options;
  }

  get finished(): readonly Pass[] {
    return [...this.#finished.values()];
  }

  /** The volume is again what it was when these were the finished ones. */
  wentBackTo(passes: readonly Pass[]): void {
    this.#finished.clear();
    for (const pass of passes) this.#finished.set(pass.offset, pass);
  }

  /** How many were begun, ever. */
  get count(): number {
    return this.#count;
  }

  /** Passes begin, one after the other, until stop() or the first that fails. */
  start(): void {
    this.#stopping = false;
    this.#killed = new AbortController();
    this.failure = null;
    this.#running = this.#all();
  }

  /** Resolves when the pass under way has ended; there is none then. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#running;
  }

  /** The same where the daemon was killed: fio may then ask a dead connection for ever. */
  async kill(): Promise<void> {
    this.#killed.abort();
    await this.stop();
  }

  async #all(): Promise<void> {
    const { areas, rateBytes, scratch, uri, verify } = this.#options;
    while (!this.#stopping && this.failure === null) {
      const area = areas[this.#count % areas.length] ?? { offset: 0, bytes: 0 };
      this.#count += 1;
      const pass = { ...area, seed: this.#count, verify };
      this.#finished.delete(pass.offset);
      try {
        const where = words(await uri(), pass);
        // Some is read back and verified while the rest is still being written.
        const { code, stdout, stderr } = await run('fio', [...where, '--verify_backlog=64', `--rate=${rateBytes}`], {
          cwd: scratch,
          signal: this.#killed.signal,
        });
        if (code === 0) this.#finished.set(pass.offset, pass);
        else this.failure = `${JSON.stringify(pass)}: fio ended with ${code} ${stdout.slice(-300)}${stderr.slice(-1000)}`;
      } catch (error) {
        this.failure = String(error);
      }
    }
  }
}
