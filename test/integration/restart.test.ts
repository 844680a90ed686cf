/** Clients that reconnect live through restarts of the daemon, ordered and not, and through an upgrade: a pause, no error. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { packageRoot, run } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';

const page = 4096;
const patternOf = (index: number) => 1 + (index % 250);
let daemon: DaemonProcess;
let scratch: string;
let children: ChildProcessWithoutNullStreams[];

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-restart-'));
  children = [];
  daemon = new DaemonProcess();
  await daemon.start();
  await daemon.ok('volume', 'create', 'v', '--size', '16M');
});

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

/** One qemu-io that writes a page after the other, each once the one before was answered. */
class Writer {
  readonly #child: ChildProcessWithoutNullStreams;
  #output = '';
  #asked = 0;

  constructor(image: string) {
    this.#child = spawn('qemu-io', ['--image-opts', image]);
    children.push(this.#child);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
      });
    }
  }

  ask(count: number): void {
    for (const end = this.#asked + count; this.#asked < end; this.#asked += 1) {
      this.#child.stdin.write(`write -P ${patternOf(this.#asked)} ${this.#asked * page} ${page}\n`);
    }
  }

  get answered(): number {
    return this.#output.split(`wrote ${page}/${page} bytes`).length - 1;
  }

  async until(answered: number): Promise<void> {
    await expect.poll(() => this.answered, { timeout: 120_000, interval: 20 }).toBeGreaterThanOrEqual(answered);
  }

  /** Flushes and ends; the number of writes, none of which may have failed. */
  async end(): Promise<number> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.stdin.end('flush\nquit\n');
    expect(await ended).toBe(0);
    expect(this.#output).not.toMatch(/fail|error/i);
    expect(this.answered).toBe(this.#asked);
    return this.#asked;
  }
}

/** The same sources with another version: what an operator's package manager would have put in place. */
function newerBuild(): string {
  const root = join(scratch, 'newer');
  mkdirSync(join(root, 'build', 'Release'), { recursive: true });
  cpSync(join(packageRoot, 'dist'), join(root, 'dist'), { recursive: true });
  cpSync(join(packageRoot, 'build', 'Release', 'skerry.node'), join(root, 'build', 'Release', 'skerry.node'));
  symlinkSync(join(packageRoot, 'node_modules'), join(root, 'node_modules'));
  const manifest = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as object;
  writeFileSync(join(root, 'package.json'), JSON.stringify({ ...manifest, version: '99.0.0' }));
  return join(root, 'dist', 'src', 'cli', 'main.js');
}

async function writeAcrossRestarts(image: string): Promise<void> {
  const writer = new Writer(image);
  writer.ask(400);
  await writer.until(20);
  // While it writes: an ordered end, writes that find nobody, and a crash.
  expect(await daemon.kill('SIGTERM')).toBe(0);
  writer.ask(50);
  await daemon.start();
  writer.ask(400);
  await writer.until(470);
  await daemon.kill('SIGKILL');
  await daemon.start();
  writer.ask(200);
  await writer.until(900);
  expect(await daemon.kill('SIGTERM')).toBe(0);
  await daemon.start([], newerBuild());
  expect(await daemon.json('status')).toMatchObject({ version: '99.0.0' });
  writer.ask(100);
  const written = await writer.end();
  expect(written).toBe(1150);
  const reads = Array.from({ length: written }, (_, index) => `read -P ${patternOf(index)} ${index * page} ${page}\n`);
  const read = await run('qemu-io', ['-r', '-f', 'raw', await daemon.uri('v')], { input: reads.join('') });
  expect(read.stdout).not.toMatch(/Pattern verification failed|error/i);
  expect(read.stdout.split(`read ${page}/${page} bytes`).length - 1).toBe(written);
}

it('QEMU with reconnect-delay writes across restarts and an upgrade', async () => {
  const socket = `server.type=unix,server.path=${join(daemon.directory, 'nbd.sock')}`;
  await writeAcrossRestarts(
    `driver=raw,file.driver=nbd,file.export=v,file.reconnect-delay=120,${socket.replaceAll('server.', 'file.server.')}`,
  );
});

it('libnbd under nbdkit’s retry filter writes across restarts and an upgrade', async () => {
  const socket = join(scratch, 'nbdkit.sock');
  const nbdkit = spawn('nbdkit', [
    '-f',
    '-U',
    socket,
    '--filter=retry',
    'nbd',
    await daemon.uri('v'),
    'retries=60',
    'retry-delay=1',
    'retry-exponential=no',
  ]);
  children.push(nbdkit);
  await expect
    .poll(async () => (await run('nbdinfo', [`nbd+unix:///?socket=${socket}`])).code, { timeout: 60_000, interval: 50 })
    .toBe(0);
  await writeAcrossRestarts(`driver=raw,file.driver=nbd,file.server.type=unix,file.server.path=${socket}`);
});
