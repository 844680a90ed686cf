import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  DiffReader,
  encodeEnd,
  encodeFrame,
  encodeHeader,
  frame_data_bytes_max,
  type DiffFrame,
} from '../../../src/mapper/diff_stream.js';
import { hexLines, readGolden } from '../golden.js';
import { openWorld } from './world.js';

const golden = (name: string): Uint8Array => readGolden(new URL(`golden/${name}.hex`, import.meta.url));
const corrupt = expect.objectContaining({ code: 'corrupt' });

const sampleFrames: readonly DiffFrame[] = [
  { kind: 'data', offset: 4096, data: Uint8Array.from({ length: 512 }, (_, index) => index % 256) },
  { kind: 'zero', offset: 65_536, length: 2 ** 40 },
  { kind: 'data', offset: 2 ** 41, data: Uint8Array.of(1, 2, 3) },
];

const names = { from: 'vm1@monday', to: 'vm1@tuesday' };
const sizes = { fromBytes: 2 ** 40, toBytes: 2 ** 42 };

function encode(frames: readonly DiffFrame[], { from, to, fromBytes, toBytes } = { ...names, ...sizes }): Buffer {
  const header = { from, to, fromBytes, toBytes };
  const changedBytes = frames.reduce((sum, frame) => sum + (frame.kind === 'data' ? frame.data.length : frame.length), 0);
  return Buffer.concat([encodeHeader(header), ...frames.map(encodeFrame), encodeEnd({ frames: frames.length, changedBytes })]);
}

function decode(bytes: Uint8Array, part = bytes.length): { frames: DiffFrame[]; header: unknown } {
  const reader = new DiffReader();
  const frames: DiffFrame[] = [];
  for (let at = 0; at < bytes.length; at += part) frames.push(...reader.feed(bytes.subarray(at, at + part)));
  reader.finish();
  return { frames: frames.map(plain), header: reader.header };
}

/** A Buffer and a Uint8Array of the same bytes are equal here. */
const plain = (frame: DiffFrame): DiffFrame => (frame.kind === 'data' ? { ...frame, data: Uint8Array.from(frame.data) } : frame);

describe('a diff stream', () => {
  test('is read, and written as it always was', () => {
    expect(hexLines(encode(sampleFrames))).toBe(hexLines(golden('diff_stream_v2')));
    expect(decode(golden('diff_stream_v2'))).toEqual({ header: { ...names, ...sizes }, frames: sampleFrames });
    expect(decode(golden('diff_stream_v1'))).toEqual({ header: { from: null, to: null, ...sizes }, frames: sampleFrames });
  });

  test('is the same however it is cut', () => {
    const bytes = encode(sampleFrames);
    for (const part of [1, 7, 32, 100]) expect(decode(bytes, part).frames).toEqual(sampleFrames);
  });

  test('of a newer version is refused, with the way out; what is none, too', () => {
    const newer = Buffer.from(encode([]));
    newer.writeUInt32LE(3, 4);
    expect(() => decode(newer)).toThrow(/version 3, and this Skerry reads up to 2/);
    expect(() => decode(Buffer.from('not a stream, and long enough to tell'))).toThrow(/no diff stream/);
  });

  test('that any bit of is flipped, or that ends early, gives nothing that was not in it', () => {
    const bytes = encode(sampleFrames);
    fc.assert(
      fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
        const damaged = Buffer.from(bytes);
        damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(() => decode(damaged)).toThrow();
      }),
    );
    for (let length = 0; length < bytes.length; length += 1) expect(() => decode(bytes.subarray(0, length))).toThrow(corrupt);
    expect(() => decode(Buffer.concat([bytes, Buffer.alloc(1)]))).toThrow(corrupt);
  });

  test('whose names are none, or longer than names are, is refused before anybody sees them', () => {
    const header = (from: string): Uint8Array => encodeHeader({ from, to: 'b', ...sizes });
    expect(() => decode(Buffer.from(header('vm1\u001b[2J')))).toThrow(/a name in it is none/);
    expect(() => decode(Buffer.from(header('')))).toThrow(/a name in it is none/);
    expect(() => decode(Buffer.from(header('a'.repeat(129))))).toThrow(/longer than names are/);
  });

  test('with frames left out, out of order or past the end is refused', () => {
    const [first, second, third] = sampleFrames.map(encodeFrame);
    const header = encodeHeader({ ...names, fromBytes: 0, toBytes: 2 ** 42 });
    const end = encodeEnd({ frames: 3, changedBytes: 512 + 2 ** 40 + 3 });
    if (first === undefined || second === undefined || third === undefined) throw new Error('three frames');
    expect(() => decode(Buffer.concat([header, first, third, end]))).toThrow(/frames are missing/);
    expect(() => decode(Buffer.concat([header, second, first, third, end]))).toThrow(/out of its place/);
    expect(() => decode(encode(sampleFrames, { ...names, fromBytes: 0, toBytes: 2 ** 41 }))).toThrow(/out of its place/);
  });
});

describe('a difference', () => {
  const GiB = 2 ** 30;

  test('is streamed in frames that are not too long, and makes another volume equal', async () => {
    const world = await openWorld();
    await world.mapper.create({ name: 'a', sizeBytes: GiB });
    await world.mapper.create({ name: 'b', sizeBytes: 2 * GiB });
    const { id } = await world.mapper.create({ name: 'c', sizeBytes: GiB });
    world.fake.differing = [
      { offset: 4096, length: frame_data_bytes_max + 10, zero: false },
      { offset: GiB, length: GiB, zero: true },
    ];
    const parts: Uint8Array[] = [];
    for await (const part of await world.mapper.diffStream('a', 'b')) parts.push(part);
    const from = world.steps.length;
    expect(await world.mapper.applyStream('c', asStream(parts), { anyBase: true })).toMatchObject({ sizeBytes: 2 * GiB });
    expect(world.since(from)).toEqual([
      `engine.resize ${id} ${2 * GiB}`,
      `engine.write ${id} 4096 data ${frame_data_bytes_max} ${4096 % 251}`,
      `engine.write ${id} ${4096 + frame_data_bytes_max} data 10 ${(4096 + frame_data_bytes_max) % 251}`,
      `engine.write ${id} ${GiB} zero ${GiB}`,
      `engine.flush ${id}`,
    ]);
  });

  test('is not applied to a volume of another size, or to one that is attached', async () => {
    const world = await openWorld();
    const { id } = await world.mapper.create({ name: 'a', sizeBytes: GiB });
    const wrong = encode([], { ...names, fromBytes: 4096, toBytes: 4096 });
    const apply = (bytes: Buffer) => world.mapper.applyStream('a', asStream([bytes]), { anyBase: true });
    await expect(apply(wrong)).rejects.toEqual(expect.objectContaining({ code: 'conflict' }));
    const right = encode([{ kind: 'zero', offset: 0, length: 4096 }], { ...names, fromBytes: GiB, toBytes: GiB });
    world.fake.attachedTo.set(id, 1);
    await expect(apply(right)).rejects.toEqual(expect.objectContaining({ code: 'conflict' }));
    await expect(world.mapper.diffStream('a', 'a')).rejects.toEqual(expect.objectContaining({ code: 'conflict' }));
    expect(world.steps.filter((step) => step.startsWith('engine.write'))).toEqual([]);
  });

  test('is applied only to what shows that it is what the stream begins with', async () => {
    const world = await openWorld();
    const whole = encode([{ kind: 'zero', offset: 0, length: 4096 }], { ...names, fromBytes: GiB, toBytes: GiB });
    const apply = (name: string, bytes = whole) => world.mapper.applyStream(name, asStream([bytes]));
    const refused = async (name: string, why: RegExp, bytes = whole): Promise<void> => {
      const from = world.steps.length;
      await expect(apply(name, bytes)).rejects.toEqual(
        expect.objectContaining({ code: 'conflict', message: expect.stringMatching(why) as unknown }),
      );
      expect(world.since(from)).toEqual([]);
    };
    world.fake.snapshotBytes = GiB;
    await world.mapper.create({ name: 'vm1', sizeBytes: GiB });
    await refused('vm1', /vm1 has no snapshot vm1@monday/);
    await world.mapper.snapshot('vm1@monday');
    await apply('vm1');
    world.fake.differing = [{ offset: 4096, length: 4096, zero: false }];
    await refused('vm1', /vm1 was written since it was vm1@monday.*rollback vm1@monday.*--any-base/);
    await world.mapper.clone('vm1@monday', 'copy');
    await refused('copy', /copy was written since it was vm1@monday/);
    world.fake.differing = [];
    await apply('copy');
    await world.mapper.clone('copy', 'copy-of-copy');
    await refused('copy-of-copy', /no snapshot copy-of-copy@monday/);
    await world.mapper.resize('copy', 2 * GiB);
    await refused('copy', /begins with 1073741824 bytes, and volume copy has 2147483648/);
    await refused('vm1', /of version 1/, Buffer.from(golden('diff_stream_v1')));
  });

  test('that broke off is an error, and can be applied again', async () => {
    const world = await openWorld();
    await world.mapper.create({ name: 'a', sizeBytes: GiB });
    const whole = encode([{ kind: 'zero', offset: 0, length: 4096 }], { ...names, fromBytes: GiB, toBytes: 2 * GiB });
    const apply = (bytes: Buffer) => world.mapper.applyStream('a', asStream([bytes]), { anyBase: true });
    await expect(apply(whole.subarray(0, -1))).rejects.toEqual(corrupt);
    expect(await apply(whole)).toMatchObject({ sizeBytes: 2 * GiB });
  });
});

async function* asStream(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield part;
}
