/** Memory of bodies is used again, and never while somebody needs it. */
import { setImmediate } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';

import { freeChunk, piece_bytes, PieceBuffers, pieceBuffers } from '../../../src/object/piece_buffers.ts';
import { PassingSums, sumsHere } from '../../../src/object/sums.ts';
import type { MakeSums } from '../../../src/engine/body_sums.ts';

describe('memory of pieces', () => {
  test('is used again once the last holder let it go', () => {
    const buffers = new PieceBuffers();
    const piece = buffers.take(100_000);
    buffers.hold(piece.subarray(10));
    buffers.letGo(piece);
    expect(buffers.take(piece_bytes).buffer).not.toBe(piece.buffer);
    buffers.letGo(piece.subarray(0, 5));
    expect(buffers.take(piece_bytes).buffer).toBe(piece.buffer);
  });

  test('of another origin, and of small pieces, is left alone', () => {
    const buffers = new PieceBuffers();
    for (const piece of [Buffer.alloc(piece_bytes), buffers.take(4096)]) {
      buffers.hold(piece);
      buffers.letGo(piece);
      buffers.letGo(piece);
      expect(buffers.take(piece_bytes).buffer).not.toBe(piece.buffer);
    }
  });

  test('that nobody uses is bounded', () => {
    const buffers = new PieceBuffers();
    const pieces = Array.from({ length: 40 }, () => buffers.take(piece_bytes));
    const memory = new Set(pieces.map((piece) => piece.buffer));
    for (const piece of pieces) buffers.letGo(piece);
    const again = Array.from({ length: 40 }, () => buffers.take(piece_bytes)).filter((piece) => memory.has(piece.buffer));
    expect(again).toHaveLength(32);
  });

  test('is not had for more than a piece', () => {
    expect(() => new PieceBuffers().take(piece_bytes + 1)).toThrow(RangeError);
  });
});

test('a piece that is summed is not used again before its sum is taken', async () => {
  const under = Promise.withResolvers<void>();
  const slow: MakeSums = (names) => {
    const sums = sumsHere(names);
    return {
      async update(pieces) {
        await under.promise;
        await sums.update(pieces);
      },
      finish: () => sums.finish(),
    };
  };
  async function* one(): AsyncGenerator<Buffer> {
    const piece = pieceBuffers.take(piece_bytes).fill('a');
    yield piece;
    pieceBuffers.letGo(piece);
    pieceBuffers.take(piece_bytes).fill('b');
    await setImmediate();
    under.resolve();
  }
  const passing = new PassingSums(['CRC32'], slow);
  for await (const _ of passing.through(one()));
  const reference = sumsHere(['CRC32']);
  await reference.update([Buffer.alloc(piece_bytes, 'a')]);
  expect(passing.values).toEqual(reference.finish());
});

test('a chunk is freed where it has its memory for itself', () => {
  const chunk = Buffer.from(new ArrayBuffer(65_536));
  const shared = chunk.subarray(1);
  freeChunk(shared);
  expect(shared.length).toBe(65_535);
  freeChunk(chunk);
  expect(chunk.length).toBe(0);
});
