/** What must be refused is refused with words, and what is rotten costs only itself. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';

import { must, run } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { filesBelow, flipBit } from '../harness/damage.ts';

let daemon: DaemonProcess;
let scratch: string;

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-bad-'));
  daemon = new DaemonProcess({ config: { segmentBytes: '4M', ringBytes: '16M' } });
  await daemon.start();
});

afterEach(async () => {
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

/** Flips a bit where `needle` stands in the one of `paths` that holds it. */
async function flipAt(paths: readonly string[], needle: Buffer): Promise<void> {
  for (const path of paths) {
    const at = readFileSync(path).indexOf(needle);
    if (at < 0) continue;
    await flipBit(path, at + 100);
    return;
  }
  throw new Error('what should be damaged is nowhere');
}

describe('commands that cannot be', () => {
  it.each([
    [['volume', 'create', 'a', '--size', '0'], 2],
    [['volume', 'create', 'a', '--size=-5G'], 2],
    [['volume', 'create', 'a', '--size', '8388609T'], 2],
    [['volume', 'create', 'a', '--size', 'much'], 2],
    [['volume', 'create', 'A_b', '--size', '1G'], 2],
    [['volume', 'create', '-', '--size', '1G'], 2],
    [['volume', 'create', 'x'.repeat(57), '--size', '1G'], 2],
    [['volume', 'show', 'none'], 3],
    [['snapshot', 'create', 'none@s'], 3],
    [['clone', 'none', 'b'], 3],
    [['image', 'import', '/no/such/file', 'i'], 3],
  ] as const)('%j ends with %i and says why', async (words, code) => {
    const outcome = await daemon.cli(...words);
    expect(outcome.stderr).toMatch(/^(skerry|error): \S/m);
    expect(outcome.code).toBe(code);
    expect(await daemon.json('volume', 'list')).toEqual([]);
  });

  it('a file that is not there is told without the words of the system', async () => {
    const { stderr } = await daemon.cli('image', 'import', '/no/such/file', 'i');
    expect(stderr).toBe("skerry: there is no file /no/such/file on the daemon's host, where the path is looked for\n");
  });

  it('a name that is taken is a conflict, and the volume is as it was', async () => {
    await daemon.ok('volume', 'create', 'taken', '--size', '1M');
    expect((await daemon.cli('volume', 'create', 'taken', '--size', '2M')).code).toBe(4);
    expect(await daemon.json('volume', 'show', 'taken')).toMatchObject({ sizeBytes: 1 << 20 });
  });

  it('a second daemon on the same data is refused with the pid of the first', async () => {
    const second = new DaemonProcess({ directory: daemon.directory });
    await expect(second.start()).rejects.toThrow(new RegExp(`\\b${daemon.pid}\\b`));
  });
});

describe('a copy of the data of a daemon that runs', () => {
  async function copyOf(what: readonly string[]): Promise<DaemonProcess> {
    const copy = mkdtempSync(join(tmpdir(), 'skerry-copy-'));
    onTestFinished(() => rmSync(copy, { recursive: true, force: true }));
    await must('cp', ['-r', ...what.map((name) => join(daemon.directory, name)), copy]);
    return new DaemonProcess({ directory: copy });
  }
  const volumeIo = async (of: DaemonProcess, command: string) =>
    must('qemu-io', ['-f', 'raw', '-c', command, await of.uri('copied')]);

  it('has a ring of its own, whichever of them is served next', async () => {
    await daemon.ok('volume', 'create', 'copied', '--size', '1M');
    await volumeIo(daemon, 'write -P 1 0 64k');
    await must('qemu-io', ['-f', 'raw', '-c', 'flush', await daemon.uri('copied')]);
    const copy = await copyOf(['home', 'catalog', 'engine', 'pool']);
    await volumeIo(daemon, 'write -P 2 0 64k');
    await daemon.kill();
    onTestFinished(() => copy.destroy());
    await copy.start();
    expect(copy.log).toContain(`this data directory is a copy of ${daemon.directory}`);
    await volumeIo(copy, 'read -P 1 0 64k');
    await volumeIo(copy, 'write -P 3 0 64k');
    await daemon.start();
    await volumeIo(daemon, 'read -P 2 0 64k');
    await copy.kill();
    await copy.start();
    await volumeIo(copy, 'read -P 3 0 64k');
  });

  it('is refused while both would write the same pool', async () => {
    const place = mkdtempSync(join(tmpdir(), 'skerry-shared-'));
    onTestFinished(() => rmSync(place, { recursive: true, force: true }));
    await daemon.ok('pool', 'create', 'shared', '--driver', 'local', '--set', `directory=${place}`);
    const copy = await copyOf(['home', 'catalog', 'engine', 'pool']);
    for (let start = 0; start < 2; ++start) {
      await expect(copy.start()).rejects.toThrow(/is a copy of .*, and both would write where pool shared rests/);
    }
    await daemon.ok('pool', 'delete', 'shared');
  });

  it('is refused where it does not say that it is one', async () => {
    const copy = await copyOf(['catalog', 'engine', 'pool']);
    await expect(copy.start()).rejects.toThrow(/in use by another process: this data directory is a copy/);
    await daemon.kill();
    await daemon.start();
  });
});

describe('rot', () => {
  const marked = (byte: number) => {
    const page = Buffer.alloc(4096, byte);
    page.write('a page that can be found', 200);
    return page;
  };

  /** However often the page is read: it is counted as one, has one line in the log, and the status says so. */
  async function expectToldOnce(line: RegExp): Promise<void> {
    expect(await daemon.metric('skerry_corrupt_cells_total')).toBe(1);
    expect(daemon.log.match(line)).toHaveLength(1);
    expect(await daemon.json('status')).toMatchObject({ healthy: false, problems: [expect.stringMatching(/^ROTTEN: 1 page/)] });
  }

  it('in a pack is EIO for that page alone, counted, and logged', async () => {
    const image = join(scratch, 'image.raw');
    writeFileSync(image, Buffer.concat(Array.from({ length: 32 }, (_, page) => marked(page + 1))));
    await daemon.ok('image', 'import', image, 'image');
    await daemon.ok('clone', 'image', 'vol');
    const uri = await daemon.uri('vol');
    await daemon.kill('SIGTERM');
    await flipAt(filesBelow(join(daemon.directory, 'pool'), '.pack'), marked(8));
    await daemon.start();
    const bad = await run('qemu-io', ['-r', '-f', 'raw', '-c', 'read 28k 4k', uri]);
    expect(bad.stdout + bad.stderr).toContain('Input/output error');
    await must('qemu-io', ['-r', '-f', 'raw', '-c', 'read 0 28k', '-c', 'read 32k 96k', uri]);
    await run('qemu-io', ['-r', '-f', 'raw', '-c', 'read 28k 4k', uri]);
    await expectToldOnce(/a read of resource \d+ at offset 28672 is an I\/O error: [^"]*\.pack[^"]* fails its sum/g);
  });

  it('in a journal payload below a durable mark is EIO for that page alone', async () => {
    await daemon.ok('volume', 'create', 'vol', '--size', '1M');
    const uri = await daemon.uri('vol');
    for (const page of [1, 2, 3]) {
      const path = join(scratch, `p${page}`);
      writeFileSync(path, marked(page));
      await must('qemu-io', ['-f', 'raw', '-c', `write -s ${path} ${page * 4}k 4k`, '-c', 'flush', uri]);
    }
    await daemon.kill();
    daemon.wipeRing();
    await flipAt(filesBelow(join(daemon.directory, 'engine', 'journal'), '.segment'), marked(2));
    await daemon.start();
    const bad = await run('qemu-io', ['-r', '-f', 'raw', '-c', 'read 8k 4k', uri]);
    expect(bad.stdout + bad.stderr).toContain('Input/output error');
    await must('qemu-io', ['-r', '-f', 'raw', '-c', 'read -P 1 4k 200', '-c', 'read -P 3 12k 200', uri]);
    await run('qemu-io', ['-r', '-f', 'raw', '-c', 'read 8k 4k', uri]);
    await expectToldOnce(/a read of resource \d+ at offset 8192 is an I\/O error: journal bytes at \d+ fail their sum/g);
  });

  it('in a journal header below a durable mark refuses to start, names the place and how to go on; salvage does', async () => {
    await daemon.ok('volume', 'create', 'vol', '--size', '1M');
    const uri = await daemon.uri('vol');
    for (const page of [1, 2, 3])
      await must('qemu-io', ['-f', 'raw', '-c', `write -P ${page} ${page * 4}k 4k`, '-c', 'flush', uri]);
    await daemon.kill();
    daemon.wipeRing();
    const segment = filesBelow(join(daemon.directory, 'engine', 'journal'), '.segment').find((path) =>
      readFileSync(path).includes(Buffer.alloc(4096, 2)),
    );
    const bytes = readFileSync(segment ?? '');
    const batch = bytes.subarray(0, bytes.indexOf(Buffer.alloc(4096, 2))).lastIndexOf('SKJB');
    await flipBit(segment ?? '', batch + 20);
    await expect(daemon.start()).rejects.toThrow(/damaged[^]*\.segment at byte \d+[^]*--salvage-journal/);
    await daemon.start(['--salvage-journal']);
    await must('qemu-io', ['-r', '-f', 'raw', '-c', 'read -P 1 4k 4k', uri]);
  });
});
