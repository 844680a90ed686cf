/** The daemon keeps under memoryBytesMax while it is written and read as fast as it goes: the short form of `npm run bench:memory`. */
import { afterAll, beforeAll, expect, it } from 'vitest';

import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';

const MiB = 1 << 20;
/** All that the parts may take is just under it. */
const ceiling_mebibytes = 600;
let daemon: DaemonProcess;

beforeAll(async () => {
  const parts = {
    ringBytes: '32M',
    segmentBytes: '16M',
    overlayBytesMax: '16M',
    nodeCacheBytesMax: '8M',
    blockCacheBytesMax: '8M',
  };
  daemon = new DaemonProcess({ config: { memoryBytesMax: `${ceiling_mebibytes}M`, ...parts, nbdBufferBytesMax: '64M' } });
  await daemon.start();
});

afterAll(async () => {
  await daemon.destroy();
});

it('holds no more than its ceiling while four connections write and read', async () => {
  await daemon.ok('volume', 'create', 'busy', '--size', '1G');
  const uri = await daemon.uri('busy');
  let most = 0;
  const watch = setInterval(() => (most = Math.max(most, daemon.heldBytes)), 50);
  const fio = [
    '--ioengine=nbd',
    `--uri=${uri}`,
    '--name=busy',
    '--numjobs=4',
    '--group_reporting',
    '--minimal',
    '--randrepeat=1',
  ];
  try {
    await must('fio', [...fio, '--rw=randwrite', '--bs=4k', '--iodepth=32', '--size=1G', '--io_size=96M']);
    await must('fio', [...fio, '--rw=randrw', '--bsrange=4k-1m', '--iodepth=16', '--size=1G', '--io_size=192M']);
  } finally {
    clearInterval(watch);
  }
  // It was under way while it was watched: the ring alone is touched whole.
  expect(most).toBeGreaterThan(32 * MiB);
  expect(most).toBeLessThan(ceiling_mebibytes * MiB);
  expect(await daemon.json('status')).toMatchObject({ healthy: true, problems: [] });
});
