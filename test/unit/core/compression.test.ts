import { expect, test } from 'vitest';

import {
  compresses,
  compressionOf,
  compressionText,
  parseCompression,
  volumeCompressionText,
} from '../../../src/core/compression.js';

test.each([
  ['none', 'none', 'none', 0],
  ['lz4', 'lz4', 'lz4', 0],
  ['zstd', 'zstd:3', 'zstd', 3],
  ['zstd:1', 'zstd:1', 'zstd', 1],
  ['zstd:19', 'zstd:19', 'zstd', 19],
])('%s is kept as %s', (text, kept, codec, level) => {
  expect(compressionText(text)).toBe(kept);
  expect(volumeCompressionText(text)).toBe(kept);
  expect(parseCompression(text)).toEqual({ codec, level });
  expect(compressionOf(kept)).toEqual({ codec, level });
  expect(compresses(text)).toBe(codec !== 'none');
});

test.each(['', 'gzip', 'LZ4', 'lz4:1', 'none:1', 'zstd:', 'zstd:0', 'zstd:20', 'zstd:03', 'zstd:-1', ' lz4', 'zstd:1.5'])(
  '%o is refused with what is taken',
  (text) => {
    expect(parseCompression(text)).toBeNull();
    expect(() => compressionText(text)).toThrow(/take none, lz4, zstd or zstd:1 to zstd:19/);
    expect(() => volumeCompressionText(text)).toThrow(/take inherit, none/);
  },
);

test('only a volume inherits', () => {
  expect(volumeCompressionText('inherit')).toBe('inherit');
  expect(compressionOf('inherit')).toBeNull();
  expect(compresses('inherit')).toBe(false);
  expect(() => compressionText('inherit')).toThrow(expect.objectContaining({ code: 'invalid' }));
});
