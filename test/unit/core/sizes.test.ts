import fc from 'fast-check';
import { expect, test } from 'vitest';

import { volume_bytes_max } from '../../../src/core/limits.js';
import { checkVolumeBytes, formatSize, parseSize, parseVolumeSize } from '../../../src/core/sizes.js';

test.each([
  ['4096', 4096n],
  ['1', 1n],
  ['20G', 20n << 30n],
  ['20g', 20n << 30n],
  ['20GiB', 20n << 30n],
  [' 512M ', 512n << 20n],
  ['1.5T', 3n << 39n],
  ['4K', 4096n],
  ['0.5K', 512n],
  ['8E', 1n << 63n],
  ['100b', 100n],
])('%j is %s bytes', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes);
});

test.each([
  ['0', /more than 0/],
  ['0G', /more than 0/],
  ['0.0', /more than 0/],
  ['-1', /negative/],
  ['-20G', /negative/],
  ['0.3', /not a whole number of bytes/],
  ['1.0001K', /not a whole number of bytes/],
  ['8.1E', /over 8 EiB/],
  ['9E', /over 8 EiB/],
  ['9223372036854775809', /over 8 EiB/],
  ['99999999999999999999999', /over 8 EiB/],
  ['', /write a number/],
  ['G', /write a number/],
  ['20X', /write a number/],
  ['20GB', /write a number/],
  ['1e9', /write a number/],
  ['0x10', /write a number/],
  ['NaN', /write a number/],
  ['Infinity', /write a number/],
  ['1 000', /write a number/],
  ['1,5G', /write a number/],
])('%j is refused as a size, saying why', (text, why) => {
  expect(() => parseSize(text)).toThrow(why);
  expect(() => parseSize(text)).toThrow(expect.objectContaining({ code: 'invalid' }));
});

test('a volume has a whole number of pages, at least one and at most just under 8 PiB', () => {
  expect(parseVolumeSize('4096')).toBe(4096);
  expect(parseVolumeSize('10T')).toBe(10 * 2 ** 40);
  expect(checkVolumeBytes(volume_bytes_max)).toBe(volume_bytes_max);
  expect(() => checkVolumeBytes(volume_bytes_max + 4096)).toThrow(/at most 9007199254675456 bytes/);
  expect(() => parseVolumeSize('8E')).toThrow(/too large/);
  expect(() => checkVolumeBytes(1000)).toThrow(/multiple of 4096 bytes, and 1000 is not: take 4096/);
  expect(() => checkVolumeBytes(5000)).toThrow(/take 4096 or 8192/);
  expect(() => checkVolumeBytes(0)).toThrow(/size of 0/);
  expect(() => checkVolumeBytes(-4096)).toThrow(/negative/);
  expect(() => checkVolumeBytes(2n ** 63n + 1n)).toThrow(/over 8 EiB/);
  expect(() => checkVolumeBytes(Number.NaN)).toThrow(/no size/);
  expect(() => checkVolumeBytes(4096.5)).toThrow(/whole number/);
});

test.each([
  [0, '0'],
  [512, '512'],
  [1023, '1023'],
  [1024, '1K'],
  [1536, '1.5K'],
  [4096 * 1024, '4M'],
  [20 * 2 ** 30, '20G'],
  [1.5 * 2 ** 40, '1.5T'],
  [1024 * 1024 - 1, '1M'],
  [1_234_567_890, '1.15G'],
  [123_456_789, '118M'],
  [-2048, '-2K'],
])('%d bytes are shown as %s', (bytes, text) => {
  expect(formatSize(bytes)).toBe(text);
});

test('a shown size is within one percent of the true one', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: 2n ** 62n }), (bytes) => {
      const shown = formatSize(bytes);
      const [, digits = '', letter = ''] = /^([\d.]+)([KMGTPE]?)$/.exec(shown) ?? [];
      const value = Number(digits) * 1024 ** ' KMGTPE'.indexOf(letter === '' ? ' ' : letter);
      return Math.abs(value - Number(bytes)) <= Number(bytes) * 0.01;
    }),
  );
});

test('whatever is typed gives a size or a refusal with words', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[-+]?\d{0,25}\.?\d{0,25} ?[kKmMgGtTpPeE]?(iB|b)?$/)), (text) => {
      try {
        return parseSize(text) > 0n;
      } catch (error) {
        return error instanceof Error && /is no size: /.test(error.message);
      }
    }),
  );
});
