import { randomBytes } from 'node:crypto';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';

import { decompressed } from '../../../../src/mapper/formats/decompress.js';
import { LimitedPrograms } from '../../../../src/mapper/formats/limited_process.js';

const about = { name: 'the file', programs: new LimitedPrograms() };

/** The packed bytes in parts of `partBytes`, as a socket or a disk may cut them. */
async function unpack(format: 'gzip' | 'xz' | 'zstd', packed: Buffer, partBytes: number): Promise<Buffer> {
  const source = async function* () {
    for (let at = 0; at < packed.length; at += partBytes) yield packed.subarray(at, at + partBytes);
  };
  const parts: Uint8Array[] = [];
  for await (const part of decompressed(source(), format, about)) parts.push(part);
  return Buffer.concat(parts);
}

// The second is of more than one zstd block, and small when packed.
const [one, two] = [randomBytes(3000), Buffer.alloc(300_000, 'again and again ')];
const skippable = Buffer.from([0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 0x28, 0xb5, 0x2f]);
const empty = zstdCompressSync(Buffer.alloc(0));
const cuts = [1, 2, 3, 7, 1000, 65_536, 1 << 20];

describe('zstd', () => {
  const [first, second] = [zstdCompressSync(one), zstdCompressSync(two)];

  // Node's own decompressor ends behind the first frame, and says nothing of the others.
  it.each(cuts)('all frames are unpacked and skippable ones passed over, in parts of %d bytes', async (partBytes) => {
    const packed = Buffer.concat([skippable, first, skippable, empty, second, second, skippable]);
    expect((await unpack('zstd', packed, partBytes)).equals(Buffer.concat([one, two, two]))).toBe(true);
  });

  it('a stream that ends anywhere but behind a frame is cut off', async () => {
    const packed = Buffer.concat([first, second]);
    for (const length of [1, 3, 4, 5, 9, 100, first.length - 1, first.length + 1, first.length + 5, packed.length - 1]) {
      await expect(unpack('zstd', packed.subarray(0, length), 1000)).rejects.toMatchObject({ code: 'corrupt' });
    }
    await expect(unpack('zstd', Buffer.concat([first, skippable.subarray(0, 9)]), 1000)).rejects.toThrow(/cut off/);
  });

  it('something else behind a frame is refused', async () => {
    for (const rest of ['\0', 'junk', 'more than a magic number'])
      await expect(unpack('zstd', Buffer.concat([first, Buffer.from(rest)]), 1 << 20)).rejects.toMatchObject({ code: 'corrupt' });
  });

  it('a frame that was changed is refused', async () => {
    const damaged = Buffer.from(zstdCompressSync(two));
    damaged[30] = (damaged[30] ?? 0) ^ 0xff;
    await expect(unpack('zstd', damaged, 1000)).rejects.toMatchObject({ code: 'corrupt' });
  });
});

describe('gzip', () => {
  const [first, second] = [gzipSync(one), gzipSync(two)];

  it.each(cuts)('all members are unpacked, in parts of %d bytes', async (partBytes) => {
    const packed = Buffer.concat([first, second, gzipSync(Buffer.alloc(0)), second]);
    expect((await unpack('gzip', packed, partBytes)).equals(Buffer.concat([one, two, two]))).toBe(true);
  });

  it('zeroes behind it are padding, and something behind these is not', async () => {
    const padding = Buffer.alloc(512);
    expect((await unpack('gzip', Buffer.concat([first, padding]), 1 << 20)).equals(one)).toBe(true);
    for (const partBytes of [1 << 20, 4096]) {
      await expect(unpack('gzip', Buffer.concat([first, padding, second]), partBytes)).rejects.toMatchObject({ code: 'corrupt' });
      await expect(unpack('gzip', Buffer.concat([first, padding, Buffer.from('x')]), partBytes)).rejects.toMatchObject({
        code: 'corrupt',
      });
    }
  });

  it('one that is cut off, or has a wrong sum, is refused', async () => {
    for (const length of [5, 20, first.length - 8, first.length - 1])
      await expect(unpack('gzip', first.subarray(0, length), 1000)).rejects.toThrow(/damaged or cut off/);
    const damaged = Buffer.from(first);
    damaged.writeUInt32LE(1, damaged.length - 8);
    await expect(unpack('gzip', damaged, 1000)).rejects.toThrow(/the file cannot be unpacked/);
  });
});

it('what the source fails with is told as it is', async () => {
  const source = async function* (): AsyncGenerator<Uint8Array> {
    yield gzipSync(one).subarray(0, 1000);
    throw new Error('the network is gone');
  };
  const read = async (format: 'gzip' | 'zstd') => {
    for await (const _part of decompressed(source(), format, about));
  };
  await expect(read('gzip')).rejects.toThrow(/^the network is gone$/);
});
