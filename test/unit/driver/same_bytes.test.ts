import { expect, test } from 'vitest';

import { chunkKey } from '../../../src/driver/driver.js';
import { mustBeSame } from '../../../src/driver/same_bytes.js';

const key = chunkKey('a');
const piece = 1 << 20;
const reading = (chunk: Uint8Array) => async (offset: number, into: Uint8Array) => {
  const part = chunk.subarray(offset, offset + into.length);
  into.set(part);
  return part.length;
};
const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, index) => (index * 7 + (index >> 8)) & 0xff);

test.for([0, 1, piece - 1, piece, piece + 1, 2 * piece])(
  '%d bytes are the same, and one more, less or other is not',
  async (length) => {
    const data = bytes(length);
    await mustBeSame(key, data, reading(Uint8Array.from(data)));
    await expect(mustBeSame(key, data, reading(bytes(length + 1)))).rejects.toMatchObject({ code: 'exists' });
    if (length === 0) return;
    await expect(mustBeSame(key, data, reading(data.subarray(0, -1)))).rejects.toMatchObject({ code: 'exists' });
    for (const index of [0, length - 1]) {
      const other = Uint8Array.from(data);
      other[index] = (other[index] ?? 0) ^ 1;
      await expect(mustBeSame(key, data, reading(other))).rejects.toMatchObject({ code: 'exists' });
    }
  },
);
