/** Imports and exports whose command, or whose daemon, dies in the middle: nothing half made stays, and the name is free. */
import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { DaemonProcess } from '../harness/daemon_process.ts';

const MiB = 1024 * 1024;
const patience = { timeout: 60_000, interval: 50 };
let daemon: DaemonProcess;
let scratch: string;
let commands: ChildProcessWithoutNullStreams[] = [];
let servers: ChildProcess[] = [];

const at = (name: string): string => join(scratch, name);

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-transfers-'));
  daemon = new DaemonProcess({ config: { segmentBytes: '4M', ringBytes: '16M' } });
  await daemon.start();
});

afterEach(async () => {
  for (const child of [...commands, ...servers]) child.kill('SIGKILL');
  [commands, servers] = [[], []];
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

interface Under {
  readonly child: ChildProcessWithoutNullStreams;
  readonly ended: Promise<{ readonly code: number | null; readonly stderr: string }>;
}

function start(...words: readonly string[]): Under {
  const child = daemon.spawn(...words);
  commands.push(child);
  child.stdin.on('error', () => {});
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return { child, ended: new Promise((resolve) => child.once('close', (code) => resolve({ code, stderr }))) };
}

/** An import from standard input that has written to the pool, beyond the first size its volume has, and waits for more. */
async function importingStream(): Promise<Under> {
  const under = start('image', 'import', '-', 'half');
  const part = randomBytes(MiB);
  for (let parts = 0; parts < 20; parts += 1) {
    if (!under.child.stdin.write(part)) await new Promise((resolve) => under.child.stdin.once('drain', resolve));
  }
  await vi.waitFor(async () => expect((await transfer())?.dataBytes).toBeGreaterThan(17 * MiB), patience);
  return under;
}

/** An import by qemu-img from a server that answers each read late. */
async function importingSlowly(): Promise<Under> {
  const socket = at('slow.sock');
  servers.push(spawn('nbdkit', ['-f', '-r', '-U', socket, '--filter=delay', 'pattern', '1G', 'rdelay=1'], { stdio: 'inherit' }));
  while (!existsSync(socket)) await sleep(10);
  const under = start('image', 'import', `nbd+unix:///?socket=${socket}`, 'half');
  await vi.waitFor(async () => expect(await transfer()).toMatchObject({ state: 'running' }), patience);
  return under;
}

/** The daemon's first transfer; null before there is one. */
function transfer(): Promise<{ readonly state: string; readonly dataBytes: number } | null> {
  return new Promise((resolve, reject) => {
    const asked = get({ socketPath: join(daemon.directory, 'admin.sock'), path: '/v1/transfers/1' }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.once('end', () => resolve(response.statusCode === 200 ? JSON.parse(text) : null));
    });
    asked.once('error', reject);
  });
}

/** Sooner or later there is no image, no resource that the catalog knows, and the name can be used. */
async function nothingIsLeft(): Promise<void> {
  expect(await daemon.json('image', 'list')).toEqual([]);
  writeFileSync(at('small'), 'small');
  await vi.waitFor(async () => expect((await daemon.cli('image', 'import', at('small'), 'half')).code).toBe(0), patience);
  await daemon.ok('image', 'delete', 'half');
  await vi.waitFor(async () => {
    await daemon.kill('SIGTERM');
    const before = daemon.log.length;
    await daemon.start();
    expect(daemon.log.slice(before)).toMatch(/"resources":0,"msg":"the journal is replayed"/);
  }, patience);
}

const begun = [
  ['from standard input', importingStream],
  ['by qemu-img', importingSlowly],
] as const;

describe.each(begun)('an import %s', (_how, begin) => {
  it('is cancelled by Ctrl-C', async () => {
    const { child, ended } = await begin();
    child.kill('SIGINT');
    expect(await ended).toEqual({ code: 1, stderr: expect.stringContaining('nothing of it was kept') as string });
    await nothingIsLeft();
  });

  it('outlives no kill of the daemon', async () => {
    const { ended } = await begin();
    await daemon.kill();
    expect(await ended).toMatchObject({ code: 1 });
    await daemon.start();
    await nothingIsLeft();
  });

  it('does not keep the daemon from ending', async () => {
    const { ended } = await begin();
    expect(await daemon.kill('SIGTERM')).toBe(0);
    expect(await ended).toMatchObject({ code: 1 });
    await daemon.start();
    await nothingIsLeft();
  });
});

it('an import from standard input ends with the command that feeds it', async () => {
  const { child } = await importingStream();
  child.kill('SIGKILL');
  await nothingIsLeft();
});

describe('an export', () => {
  /** Of a volume that is not read from a cache in one go. */
  async function exporting(...words: readonly string[]): Promise<Under> {
    writeFileSync(at('disk'), randomBytes(96 * MiB));
    await daemon.ok('image', 'import', at('disk'), 'disk');
    await daemon.ok('clone', 'disk', 'vol');
    return start('image', 'export', 'vol', ...words);
  }

  const parts = (): readonly string[] => readdirSync(scratch).filter((name) => name.endsWith('.part'));

  it.each([[[]], [['--format', 'qcow2', '--compress']]])('with %j leaves no file when the daemon is killed', async (words) => {
    const { ended } = await exporting(at('out'), ...words);
    await vi.waitFor(() => expect(parts()).toHaveLength(1), { ...patience, interval: 1 });
    await daemon.kill();
    expect(await ended).toMatchObject({ code: 1 });
    await daemon.start();
    await vi.waitFor(() => expect(parts()).toEqual([]), patience);
    expect(existsSync(at('out'))).toBe(false);
    await daemon.ok('volume', 'delete', 'vol');
  });

  it('to standard output ends with the command that takes it, and lets go of the volume', async () => {
    const { child } = await exporting('-');
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.stdout.pause();
    child.kill('SIGKILL');
    await vi.waitFor(async () => expect((await daemon.cli('volume', 'delete', 'vol')).code).toBe(0), patience);
  });

  it('that is cancelled leaves no file', async () => {
    const { child, ended } = await exporting(at('out'), '--format', 'qcow2', '--compress');
    await vi.waitFor(() => expect(parts()).toHaveLength(1), { ...patience, interval: 1 });
    child.kill('SIGINT');
    expect(await ended).toEqual({ code: 1, stderr: expect.stringContaining('no file was left') as string });
    expect(readdirSync(scratch)).toEqual(['disk']);
  });
});
