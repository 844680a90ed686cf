/** Images that want to read what is not theirs, that lie about their size, or that never end: refused, and nothing is kept. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';

const MiB = 1024 * 1024;
let daemon: DaemonProcess;
let scratch: string;
const at = (name: string): string => join(scratch, name);

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-hostile-'));
  writeFileSync(at('secret'), 'the secret of the host\n'.repeat(1000));
  daemon = new DaemonProcess();
  await daemon.start();
});

afterAll(async () => {
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

/** It must be refused as wrong usage, in one line that says why, and nothing may be left. */
const refused = (path: string, why: RegExp, ...options: readonly string[]) => refusedWith(2, path, why, options);
/** The same for what is damaged, which is nobody's wrong usage. */
const damaged = (path: string, why: RegExp, ...options: readonly string[]) => refusedWith(1, path, why, options);

async function refusedWith(code: 1 | 2, path: string, why: RegExp, options: readonly string[]): Promise<void> {
  const outcome = await daemon.cli('image', 'import', path, 'hostile', ...options);
  expect(outcome.stderr).toMatch(why);
  expect(outcome).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(/^skerry: [^\n]*\n$/m) as string });
  expect(await daemon.json('image', 'list')).toEqual([]);
}

async function qcow2(name: string, ...options: readonly string[]): Promise<string> {
  await must('qemu-img', ['create', '-f', 'qcow2', ...options, at(name), '1M']);
  return at(name);
}

/** Writes bytes into a file that is there. */
function patch(path: string, change: (bytes: Buffer) => void): string {
  const bytes = readFileSync(path);
  change(bytes);
  writeFileSync(path, bytes);
  return path;
}

describe('a qcow2 image', () => {
  it('does not get at a file of the host through its backing file', async () => {
    const path = await qcow2('backed.qcow2', '-u', '-b', at('secret'), '-F', 'raw');
    await refused(path, /rests on another file of this host, its backing file ".*secret".*--allow-backing/);
  });

  it.each([
    ['json:{"driver":"raw","file":{"driver":"file","filename":"/etc/passwd"}}'],
    ['nbd://127.0.0.1:10809/x'],
    ['fat:rw:/etc'],
  ])('does not get at %s, allowed or not', async (name) => {
    const path = await qcow2('odd-name.qcow2', '-u', '-b', 'placeholder', '-F', 'raw');
    patch(path, (bytes) => {
      // The name may lie anywhere in the first cluster, so the longer one finds room there.
      bytes.write(name, 8192);
      bytes.writeBigUInt64BE(8192n, 8);
      bytes.writeUInt32BE(name.length, 16);
    });
    await refused(path, /--allow-backing/);
    await refused(path, /only a file of this host is ever opened/, '--allow-backing');
  });

  it('does not have the format of its backing file guessed', async () => {
    const path = await qcow2('unsaid.qcow2', '-u', '-b', at('secret'), '-F', 'raw');
    // The type of the extension that says the format.
    patch(path, (bytes) => bytes.writeUInt32BE(0x1234_5678, bytes.indexOf(Buffer.from([0xe2, 0x79, 0x2a, 0xca]))));
    await refused(path, /does not say of which format that is, and none is guessed/, '--allow-backing');
  });

  it('does not rest on itself, or on another that rests on it', async () => {
    const self = await qcow2('self.qcow2', '-u', '-b', 'self.qcow2', '-F', 'qcow2');
    await refused(self, /in a loop/, '--allow-backing');
    await qcow2('ring-a.qcow2', '-u', '-b', 'ring-b.qcow2', '-F', 'qcow2');
    await qcow2('ring-b.qcow2', '-u', '-b', 'ring-a.qcow2', '-F', 'qcow2');
    await refused(at('ring-a.qcow2'), /in a loop/, '--allow-backing');
  });

  it('does not get at a file of the host through its data file', async () => {
    const path = await qcow2('data.qcow2', '-o', `data_file=${at('data.bin')},data_file_raw=on`);
    await refused(path, /its data file/);
    patch(path, (bytes) => {
      const name = bytes.indexOf(at('data.bin'));
      bytes.write('json:{"driver":"null-co"}'.padEnd(at('data.bin').length, ' ').slice(0, at('data.bin').length), name);
    });
    await refused(path, /only a file of this host is ever opened/, '--allow-backing');
  });

  it('is not asked for its password', async () => {
    const secret = ['--object', 'secret,id=s,data=abc', '-o', 'encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10'];
    // Where a processor is taken away while it counts its rounds, qemu-img gives up: "Unable to get accurate CPU usage".
    const locked = await vi.waitFor(() => qcow2('locked.qcow2', ...secret), { timeout: 60_000, interval: 100 });
    await refused(locked, /it is encrypted/);
  });

  it.each([
    ['a size of 0', 24, 0n, /a size of 0/, refused],
    ['8 EiB and more', 24, 2n ** 64n - 512n, /over 8 EiB/, refused],
    ['a size that no image has', 24, 2n ** 54n, /larger than an image can be/, refused],
    ['features of the future', 72, 1n << 40n, /features that are not known/, refused],
    ['the mark of corruption', 72, 2n, /marked as corrupt/, damaged],
    ['a backing file outside of it', 8, 2n ** 60n, /outside its header/, damaged],
    ['an L1 table outside of it', 40, 2n ** 60n, /damaged or cut off|cannot be read/, damaged],
    ['no version', 4, 0n, /its version is 0/, refused],
  ] as const)('with %s is not believed', async (_what, offset, value, why, judged) => {
    const path = await qcow2('lie.qcow2');
    await judged(
      patch(path, (bytes) => bytes.writeBigUInt64BE(value, offset)),
      why,
    );
  });

  it('with clusters of 2^63 bytes, or a table of 2^32 entries, is not believed', async () => {
    await refused(
      patch(await qcow2('c.qcow2'), (bytes) => bytes.writeUInt32BE(63, 20)),
      /2\^63 bytes/,
    );
    await damaged(
      patch(await qcow2('l.qcow2'), (bytes) => bytes.writeUInt32BE(0xffff_ffff, 36)),
      /cannot be read/,
    );
  });

  it.each([4, 50, 100, 4000])('of its first %d bytes alone is not read', async (length) => {
    writeFileSync(at('cut.qcow2'), readFileSync(await qcow2('whole.qcow2')).subarray(0, length));
    await damaged(at('cut.qcow2'), /cannot be (imported as qcow2|read)|damaged or cut off/);
  });

  it('that is a raw disk which a guest made to look so is only ever that when somebody says so', async () => {
    const path = await qcow2('guest.qcow2', '-u', '-b', at('secret'), '-F', 'raw');
    await refused(path, /backing file/);
    await daemon.ok('image', 'import', path, 'guest', '--format', 'raw');
    const same = await daemon.shell(`skerry image export guest - 2> /dev/null | cmp -n ${readFileSync(path).length} - '${path}'`);
    expect(same.code).toBe(0);
    await daemon.ok('image', 'delete', 'guest');
  });
});

describe('a VMDK image', () => {
  const descriptor = (...lines: readonly string[]): string =>
    `# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n${lines.join('\n')}\n`;

  it('does not get at a file of the host through its descriptor', async () => {
    writeFileSync(at('points.vmdk'), descriptor('createType="monolithicFlat"', `RW 32 FLAT "${at('secret')}" 0`));
    await refused(at('points.vmdk'), /its extent ".*secret".*--allow-backing/);
    writeFileSync(at('odd.vmdk'), descriptor('createType="monolithicFlat"', 'RW 32 FLAT "nbd:127.0.0.1:1" 0'));
    await refused(at('odd.vmdk'), /only a file of this host is ever opened/, '--allow-backing');
  });

  it('does not hide a descriptor behind a capacity of 0, or a parent in one', async () => {
    await must('qemu-img', ['create', '-f', 'vmdk', at('sparse.vmdk'), '1M']);
    const whole = readFileSync(at('sparse.vmdk'));
    const empty = Buffer.from(whole);
    empty.writeBigUInt64LE(0n, 12);
    writeFileSync(at('hides.vmdk'), empty);
    await refused(at('hides.vmdk'), /a size of 0/);
    const child = Buffer.from(whole);
    const begin = Number(child.readBigUInt64LE(28)) * 512;
    child.fill(0, begin, begin + 4096);
    child.write(
      descriptor('createType="monolithicSparse"', `x parentFileNameHint="${at('secret')}"`, 'RW 2048 SPARSE "sparse.vmdk"'),
      begin,
    );
    writeFileSync(at('child.vmdk'), child);
    await refused(at('child.vmdk'), /its backing file ".*secret"/);
    child.fill(0, begin, begin + 4096);
    child.write(descriptor('createType="custom"', `RW 2048 FLAT "/etc/passwd" 0`), begin);
    writeFileSync(at('custom.vmdk'), child);
    await refused(at('custom.vmdk'), /"custom"/);
  });
});

describe('images that are half of something', () => {
  it('a VHD or VDI of differences needs a disk that it does not bring', async () => {
    await must('qemu-img', ['create', '-f', 'vpc', at('d.vhd'), '1M']);
    await refused(
      patch(at('d.vhd'), (bytes) => bytes.writeUInt32BE(4, bytes.length - 512 + 60)),
      /differs from another disk/,
    );
    await must('qemu-img', ['create', '-f', 'vdi', at('d.vdi'), '1M']);
    await refused(
      patch(at('d.vdi'), (bytes) => bytes.writeUInt32LE(4, 76)),
      /differs from another disk/,
    );
  });

  it.each(['qcow2', 'vmdk', 'vpc', 'vhdx', 'vdi'])(
    'a %s image that was cut off on its way is not taken for whole',
    async (format) => {
      writeFileSync(at('full.raw'), Buffer.alloc(16 * MiB, 'every block of it holds data '));
      await must('qemu-img', ['convert', '-f', 'raw', '-O', format, at('full.raw'), at('whole')]);
      const whole = readFileSync(at('whole'));
      for (const length of [Math.floor(whole.length / 2 / 512) * 512, whole.length - 65_536]) {
        writeFileSync(at('cut'), whole.subarray(0, length));
        await damaged(at('cut'), /cut off|cannot be (imported|read)|failed/);
      }
    },
  );

  it('a VHDX that is nothing but its first word is not read', async () => {
    writeFileSync(at('d.vhdx'), Buffer.concat([Buffer.from('vhdxfile'), Buffer.alloc(MiB)]));
    await damaged(at('d.vhdx'), /cannot be read/);
  });

  it.each([
    ['QED\0', /a QED image/],
    ['BZh91AY&SY', /bzip2/],
    ['PK\x03\x04', /zip archive/],
    ['7z\xbc\xaf\x27\x1c', /7z archive/],
    ['\x04\x22\x4d\x18', /lz4/],
  ])('%j is named, and a raw disk that begins so is one with --format raw', async (magic, why) => {
    writeFileSync(at('known'), Buffer.concat([Buffer.from(magic, 'latin1'), Buffer.alloc(8192, 1)]));
    await refused(at('known'), why);
    await daemon.ok('image', 'import', at('known'), 'known', '--format', 'raw');
    await daemon.ok('image', 'delete', 'known');
  });

  it('what is said to be another format than it is, is not read as that', async () => {
    writeFileSync(at('plain'), Buffer.alloc(MiB, 7));
    for (const format of ['qcow2', 'vmdk', 'vhd', 'vhdx', 'vdi', 'gzip', 'xz', 'zstd']) {
      const judged = ['qcow2', 'vmdk', 'vhdx', 'vdi'].includes(format) ? refused : damaged;
      await judged(at('plain'), /cannot be (imported|unpacked)|failed/, '--format', format);
    }
  });
});

describe('compressed streams', () => {
  const plain = Buffer.concat([Buffer.alloc(3 * MiB, 'some data '), Buffer.alloc(MiB)]);
  const packed = {
    gz: () => gzipSync(plain),
    zst: () => zstdCompressSync(plain),
    xz: async () => {
      writeFileSync(at('plain.raw'), plain);
      await must('xz', ['-k', '-f', at('plain.raw')]);
      return readFileSync(at('plain.raw.xz'));
    },
  };

  it.each(['gz', 'zst', 'xz'] as const)('of %s that are cut off or damaged leave nothing', async (kind) => {
    const whole = await packed[kind]();
    for (const cut of [8, 20, Math.floor(whole.length / 2), whole.length - 12, whole.length - 1]) {
      writeFileSync(at('cut'), whole.subarray(0, cut));
      await damaged(at('cut'), /cannot be unpacked/);
    }
    writeFileSync(at('junk'), Buffer.concat([whole, Buffer.from('something else, and more of it')]));
    await damaged(at('junk'), /cannot be unpacked/);
  });

  it.each(['gz', 'zst', 'xz'] as const)('of %s that never end are given up at --size-max', async (kind) => {
    writeFileSync(at('bomb'), await packed[kind]());
    await refused(at('bomb'), /holds more than 3\.5M/, '--size-max', '3.5M');
    await daemon.ok('image', 'import', at('bomb'), 'fits', '--size-max', '4M');
    await daemon.ok('image', 'delete', 'fits');
  });

  it('and disks of any kind keep to it', async () => {
    await refused(await qcow2('large.qcow2'), /1M was the most|512K was the most/, '--size-max', '512K');
    writeFileSync(at('large.raw'), Buffer.alloc(MiB, 1));
    await refused(at('large.raw'), /512K was the most/, '--size-max', '512K');
  });
});

describe('what is no file', () => {
  it('is not opened', async () => {
    mkdirSync(at('directory'));
    await must('mkfifo', [at('fifo')]);
    for (const path of [at('directory'), at('fifo'), '/dev/zero']) await refused(path, /is not a file or a block device/);
    const gone = await daemon.cli('image', 'import', at('gone'), 'hostile');
    expect(gone).toMatchObject({
      code: 3,
      stderr: expect.stringContaining("on the daemon's host, where the path is looked for") as string,
    });
  });
});
