import { expect, test } from 'vitest';

import { log_chunk_bytes_max } from '../../../src/core/limits.js';
import { decodeLogChunk, encodeLogChunk, logChunkKey, logPrefix, parseLogChunkKey } from '../../../src/pool/log_chunk.js';
import { ChunkCipher } from '../../../src/pool/pool_secrets.js';
import { hexLines, readGolden } from '../golden.js';
import { sampleLogChunk } from './samples.js';

const golden = (name: string): Uint8Array => readGolden(new URL(`golden/${name}.hex`, import.meta.url));

test('a log chunk is read, and written as it always was', () => {
  expect(decodeLogChunk(golden('log_chunk_v1'))).toEqual(sampleLogChunk);
  expect(hexLines(encodeLogChunk(sampleLogChunk))).toBe(hexLines(golden('log_chunk_v1')));
});

test('any flipped bit is noticed', () => {
  const sound = encodeLogChunk(sampleLogChunk);
  for (let bit = 0; bit < sound.length * 8; bit += 3) {
    const rotten = Uint8Array.from(sound);
    rotten[bit >> 3] = (rotten[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(() => decodeLogChunk(rotten), `bit ${bit}`).toThrow(
      expect.objectContaining({ code: bit >> 3 >= 4 && bit >> 3 < 8 ? expect.stringMatching(/unsupported|corrupt/) : 'corrupt' }),
    );
  }
});

test('in an encrypted pool nothing of it can be read, and one that is not encrypted is refused', () => {
  const cipher = new ChunkCipher(new Uint8Array(32).fill(3));
  const sealed = encodeLogChunk(sampleLogChunk, cipher);
  expect(Buffer.from(sealed).includes(Buffer.from(sampleLogChunk.entries))).toBe(false);
  expect(decodeLogChunk(sealed, cipher)).toEqual(sampleLogChunk);
  expect(() => decodeLogChunk(sealed)).toThrow(expect.objectContaining({ code: 'denied' }));
  expect(() => decodeLogChunk(encodeLogChunk(sampleLogChunk), cipher)).toThrow(expect.objectContaining({ code: 'corrupt' }));
});

test('the largest that the engine seals fits', () => {
  const entries = new Uint8Array(log_chunk_bytes_max - 4096);
  expect(encodeLogChunk({ ...sampleLogChunk, entries }).length).toBeLessThan(log_chunk_bytes_max);
  expect(() => encodeLogChunk({ ...sampleLogChunk, entries: new Uint8Array(log_chunk_bytes_max) })).toThrow(RangeError);
});

test('its key says which it is', () => {
  const key = logChunkKey(sampleLogChunk);
  expect(key).toBe('logs/0000000000001234/0000000000000004/0000000200000000');
  expect(key.startsWith(logPrefix(sampleLogChunk.volume))).toBe(true);
  expect(parseLogChunkKey(key)).toEqual({ volume: 0x1234, fence: 4, number: 2 ** 33 });
  expect(parseLogChunkKey('logs/1234/4/0')).toBeNull();
});
