/** Flushes of volumes with durability `pool` while their pool takes nothing. */
import { chmodSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { blockFolders } from '../harness/blocked_folders.ts';
import { must, run } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { NbdSession } from '../harness/nbd_session.ts';

let daemon: DaemonProcess;
const logs = (): string => `${daemon.directory}-far/logs`;

beforeEach(async () => {
  daemon = new DaemonProcess({ config: { segmentBytes: '4M', ringBytes: '16M' } });
  await daemon.start();
});

afterEach(async () => {
  await daemon.destroy();
  rmSync(`${daemon.directory}-far`, { recursive: true, force: true });
  rmSync(`${daemon.directory}-key`, { force: true });
});

async function farPool(...settings: readonly string[]): Promise<void> {
  const place = [`directory=${daemon.directory}-far`, 'direct-path=off', ...settings].flatMap((one) => ['--set', one]);
  await daemon.ok('pool', 'create', 'far', '--driver', 'local', ...place);
}

/** From here on nothing can be put there or read, as if the disk failed. */
const block = (...kinds: readonly string[]): (() => void) => blockFolders(`${daemon.directory}-far`, kinds);

it('fail after the time that the pool says, and nothing is given up: the next one has it all', async () => {
  await farPool('stall-seconds=2');
  await daemon.ok('volume', 'create', 'ledger', '--size', '16M', '--pool', 'far', '--durability', 'pool');
  await daemon.ok('volume', 'create', 'plain', '--size', '16M', '--pool', 'far');
  const ledger = await daemon.uri('ledger');
  await must('qemu-io', ['-f', 'raw', '-c', 'write -P 1 0 1M', '-c', 'flush', ledger]);
  const unblock = block('logs');
  const began = performance.now();
  const late = await run('qemu-io', ['-f', 'raw', '-c', 'write -P 2 1M 1M', '-c', 'flush', ledger]);
  expect(late.stdout + late.stderr).toMatch(/Input\/output error/);
  expect(performance.now() - began).toBeGreaterThan(1900);
  // Nobody else waits for it.
  await must('qemu-io', ['-f', 'raw', '-c', 'write -P 3 0 1M', '-c', 'flush', await daemon.uri('plain')]);
  unblock();
  await must('qemu-io', ['-f', 'raw', '-c', 'flush', ledger]);
  await daemon.kill();
  daemon.loseHost();
  await daemon.start();
  await must('qemu-io', ['-r', '-f', 'raw', '-c', 'read -P 1 0 1M', '-c', 'read -P 2 1M 1M', await daemon.uri('ledger')]);
});

it('that wait for a root after a start fail so, too, though nothing was written since', async () => {
  await farPool('stall-seconds=2');
  await daemon.ok('volume', 'create', 'ledger', '--size', '16M', '--pool', 'far', '--durability', 'pool');
  await must('qemu-io', ['-f', 'raw', '-c', 'write -P 1 0 1M', '-c', 'flush', await daemon.uri('ledger')]);
  await daemon.kill();
  const unblock = block('packs', 'root', 'logs');
  await daemon.start();
  const session = await NbdSession.open(await daemon.uri('ledger'));
  expect(await session.ask('flush')).toBe('error EIO');
  unblock();
  let answer = '';
  for (let attempt = 0; attempt < 50 && answer !== 'ok'; attempt += 1) answer = (await session.ask('flush')) || 'ok';
  await session.close();
  expect(answer).toBe('ok');
});

it('where the pool cannot even be opened at the start that has to read its log, the daemon says so and does not serve', async () => {
  await farPool();
  await daemon.ok('volume', 'create', 'ledger', '--size', '16M', '--pool', 'far', '--durability', 'pool');
  await must('qemu-io', ['-f', 'raw', '-c', 'write -P 7 0 64k', '-c', 'flush', await daemon.uri('ledger')]);
  await daemon.kill();
  daemon.loseHost();
  const kept = `${daemon.directory}-kept`;
  renameSync(`${daemon.directory}-far`, kept);
  writeFileSync(`${daemon.directory}-far`, '');
  await expect(daemon.start()).rejects.toThrow(/volume ledger flushes to pool far, .*cannot be read|pool far/);
  rmSync(`${daemon.directory}-far`);
  renameSync(kept, `${daemon.directory}-far`);
  await daemon.start();
  await must('qemu-io', ['-r', '-f', 'raw', '-c', 'read -P 7 0 64k', await daemon.uri('ledger')]);
});

it('of an encrypted pool leave nothing there that can be read, and a chunk that is gone from it is told', async () => {
  const key = `${daemon.directory}-key`;
  writeFileSync(key, `${'6b'.repeat(32)}\n`);
  chmodSync(key, 0o600);
  const place = [`directory=${daemon.directory}-far`, 'direct-path=off'].flatMap((one) => ['--set', one]);
  await daemon.ok('pool', 'create', 'far', '--driver', 'local', ...place, '--encrypt', '--key-file', key);
  await daemon.ok('volume', 'create', 'ledger', '--size', '16M', '--pool', 'far', '--durability', 'pool');
  const ledger = await daemon.uri('ledger');
  // Small, large, and many: each flush is a chunk of its own.
  await must('qemu-io', [
    '-f',
    'raw',
    '-c',
    'write -P 0x5a 512 512',
    '-c',
    'flush',
    '-c',
    'write -P 0x5a 1M 1M',
    '-c',
    'flush',
    ledger,
  ]);
  for (const at of ['4M', '5M', '6M'])
    await must('qemu-io', ['-f', 'raw', '-c', `write -P 0x5a ${at} 4k`, '-c', 'flush', ledger]);
  await daemon.kill();
  const chunks = readdirSync(logs(), { recursive: true, encoding: 'utf8' })
    .map((name) => join(logs(), name))
    .filter(
      (path) =>
        /[0-9a-f]{16}$/.test(path) && !readdirSync(join(path, '..'), { withFileTypes: true }).some((one) => one.isDirectory()),
    )
    .toSorted();
  expect(chunks.length).toBeGreaterThan(3);
  for (const path of chunks) {
    const bytes = readFileSync(path);
    expect(bytes.includes(Buffer.alloc(16, 0x5a)), path).toBe(false);
    // Of an entry, and of the volume's numbers.
    expect(bytes.includes('SKLE'), path).toBe(false);
    expect(bytes.subarray(0, 4).toString('latin1')).toBe('SKLC');
  }
  daemon.loseHost();
  const [, missing = ''] = chunks;
  renameSync(missing, `${daemon.directory}-missing`);
  await expect(daemon.start()).rejects.toThrow(/volume ledger flushes to pool far.*is gone from the pool/);
  renameSync(`${daemon.directory}-missing`, missing);
  await daemon.start();
  const again = await daemon.uri('ledger');
  for (const [at, bytes] of [
    ['512', '512'],
    ['1M', '1M'],
    ['4M', '4k'],
    ['6M', '4k'],
  ] as const)
    await must('qemu-io', ['-r', '-f', 'raw', '-c', `read -P 0x5a ${at} ${bytes}`, again]);
});
