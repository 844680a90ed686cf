import fc from 'fast-check';
import { expect, test } from 'vitest';

import {
  afterKey,
  afterPrefix,
  beforeKey,
  byteString,
  encodeKey,
  objectsPrefix,
  orderOf,
  splitKey,
  textOfBytes,
  versionKey,
} from '../../../src/catalog/object_keys.js';

const text = fc
  .oneof(fc.string({ unit: 'grapheme', maxLength: 12 }), fc.string({ unit: 'binary', maxLength: 12 }))
  .filter((one) => one !== '' && one.isWellFormed());
const under = objectsPrefix(1);

test('catalog keys are ordered as the bytes of objects’ keys are', () => {
  fc.assert(
    fc.property(text, text, (a, b) => {
      const wanted = Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      const [first, second] = [versionKey(1, a, orderOf(5)), versionKey(1, b, orderOf(5))];
      expect(first < second ? -1 : first > second ? 1 : 0).toBe(wanted);
      expect(textOfBytes(splitKey(under, first).key)).toBe(a);
      expect(first).toMatch(/^[!-~]+$/);
    }),
  );
});

test('newer versions come first', () => {
  expect(orderOf(7) < orderOf(6)).toBe(true);
  expect(orderOf(1) < 'f'.repeat(16)).toBe(true);
});

test('places around a key and around a prefix hold just what they should', () => {
  fc.assert(
    fc.property(text, text, (a, b) => {
      const key = versionKey(1, a, orderOf(5));
      const other = versionKey(1, b, orderOf(5));
      const order = Buffer.compare(Buffer.from(b), Buffer.from(a));
      expect(other > beforeKey(under, byteString(a))).toBe(order >= 0);
      expect(other > afterKey(under, byteString(a))).toBe(order > 0);
      expect(key < afterKey(under, byteString(a))).toBe(true);
      const begins = byteString(b).startsWith(byteString(a));
      expect(other > afterPrefix(under, byteString(a))).toBe(!begins && order > 0);
    }),
  );
});

test('the longest key fits', () => {
  for (const one of [' ', '~', '\u{10ffff}']) {
    const key = one.repeat(1024 / Buffer.byteLength(one));
    expect(versionKey(2 ** 53 - 1, key, orderOf(1)).length).toBeLessThanOrEqual(1536);
  }
});

test('keys are base 64 of their bytes, in digits that ascend', () => {
  const ours = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz';
  const standard = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const expected = Buffer.from(bytes)
        .toString('base64url')
        .replace(/./g, (digit) => ours.charAt(standard.indexOf(digit)));
      expect(encodeKey(Buffer.from(bytes).toString('latin1'))).toBe(expected);
    }),
  );
});
