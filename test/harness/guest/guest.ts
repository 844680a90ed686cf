/** A small QEMU guest whose disk is an NBD export. QEMU retries a lost connection, so it outlives the daemon. */
import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { join } from 'node:path';

import { must, packageRoot } from '../command.ts';

export const guestDirectory = join(packageRoot, 'build', 'guest');

/** Makes kernel and initramfs where they are not there yet. */
export async function makeGuest(): Promise<void> {
  await must('bash', [join(packageRoot, 'test', 'harness', 'guest', 'make_guest.sh'), guestDirectory], { timeoutSeconds: 300 });
}

export interface GuestOptions {
  readonly socketPath: string;
  readonly exportName: string;
  /** `spin` or `check`, with its rounds. */
  readonly task: 'spin' | 'check';
  readonly rounds?: number;
  readonly readOnly?: boolean;
}

export class Guest {
  readonly #child: ChildProcess;
  readonly #lines = new EventEmitter();
  readonly marks: string[] = [];
  console = '';

  constructor(options: GuestOptions) {
    const disk = {
      driver: 'nbd',
      'node-name': 'd0',
      discard: 'unmap',
      cache: { direct: true },
      server: { type: 'unix', path: options.socketPath },
      export: options.exportName,
      'reconnect-delay': 60,
      'read-only': options.readOnly === true,
    };
    this.#child = spawn(
      'qemu-system-x86_64',
      [
        '-accel',
        'tcg',
        '-cpu',
        'max',
        '-m',
        '256',
        '-smp',
        '1',
        '-machine',
        'q35',
        '-nodefaults',
        '-no-user-config',
        '-display',
        'none',
        '-no-reboot',
        '-serial',
        'stdio',
        '-kernel',
        join(guestDirectory, 'vmlinuz'),
        '-initrd',
        join(guestDirectory, 'initrd.gz'),
        '-append',
        `console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off tsc=reliable no_timer_check t=${options.task} n=${options.rounds ?? 60}`,
        '-blockdev',
        JSON.stringify(disk),
        '-device',
        'virtio-blk-pci,drive=d0',
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    let partial = '';
    const take = (text: string) => {
      this.console += text;
      partial += text;
      const lines = partial.split(/\r?\n/);
      partial = lines.pop() ?? '';
      for (const line of lines) {
        const mark = /MARK (.*)$/.exec(line)?.[1];
        if (mark === undefined) continue;
        this.marks.push(mark);
        this.#lines.emit('mark');
      }
    };
    this.#child.stdout?.setEncoding('utf8').on('data', take);
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.console += text;
    });
    this.#child.once('exit', () => this.#lines.emit('mark'));
  }

  /** Resolves with the first mark that begins with `prefix`; rejects when the guest ends without. */
  async mark(prefix: string): Promise<string> {
    while (true) {
      const found = this.marks.find((mark) => mark.startsWith(prefix));
      if (found !== undefined) return found;
      if (this.#child.exitCode !== null || this.#child.signalCode !== null)
        throw new Error(`the guest ended without ${prefix}:\n${this.console.slice(-3000)}`);
      await once(this.#lines, 'mark');
    }
  }

  async ended(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit');
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
