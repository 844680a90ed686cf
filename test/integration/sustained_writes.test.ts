/** Writes that go on and on are held back to the pace of destage, and never for good. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';

let daemon: DaemonProcess;

beforeEach(async () => {
  daemon = new DaemonProcess({ config: { segmentBytes: '4M', ringBytes: '16M', journalBytesMax: '32M' } });
  await daemon.start();
});

afterEach(() => daemon.destroy());

async function fio(uri: string, ...words: string[]): Promise<void> {
  await must('fio', ['--name=w', '--ioengine=nbd', `--uri=${uri}`, '--thread', '--size=64m', '--iodepth=16', ...words]);
}

describe('a journal of 32 MiB', () => {
  it('takes 256 MiB of random writes though nobody ever asks for a flush', async () => {
    await daemon.ok('volume', 'create', 'busy', '--size', '64M');
    const uri = (await daemon.ok('volume', 'uri', 'busy')).trim();
    await fio(uri, '--rw=randwrite', '--bs=4k', '--loops=4', '--verify=xxhash', '--do_verify=0', '--verify_state_save=0');
    const status = await daemon.json('status');
    expect(status).toMatchObject({ journal: { bytes: expect.any(Number) } });
    expect((status as { journal: { bytes: number } }).journal.bytes).toBeLessThanOrEqual(32 << 20);
  });

  it('gives back what was written, large and small, while it is destaged and after kill -9', async () => {
    await daemon.ok('volume', 'create', 'mixed', '--size', '64M');
    const uri = (await daemon.ok('volume', 'uri', 'mixed')).trim();
    const options = ['--rw=randwrite', '--bsrange=4k-512k', '--bs_unaligned=1', '--verify=xxhash', '--verify_state_save=0'];
    await fio(uri, ...options, '--randseed=7');
    await daemon.kill();
    await daemon.start();
    await fio(uri, ...options, '--randseed=7', '--verify_only');
  });
});
