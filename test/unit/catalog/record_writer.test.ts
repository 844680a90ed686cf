import fc from 'fast-check';
import protobuf from 'protobufjs';
import { expect, test } from 'vitest';

import { written } from '../../../src/catalog/record_writer.js';

const type = protobuf.Root.fromJSON({
  nested: {
    Whole: {
      fields: {
        // Not in the order of their numbers, and one past 15, whose tag has two bytes.
        words: { keyType: 'string', type: 'string', id: 7 } as protobuf.IMapField,
        small: { type: 'uint32', id: 1 },
        large: { type: 'uint64', id: 300 },
        flag: { type: 'bool', id: 3 },
        text: { type: 'string', id: 4 },
        bytes: { type: 'bytes', id: 5 },
        inner: { type: 'Whole', id: 6 },
        list: { rule: 'repeated', type: 'Whole', id: 2 },
        texts: { rule: 'repeated', type: 'string', id: 8 },
      },
    },
    Odd: { fields: { numbers: { rule: 'repeated', type: 'uint32', id: 1 }, real: { type: 'double', id: 2 } } },
    Real: { fields: { real: { type: 'double', id: 1 } } },
  },
}).lookupType('Whole');

/** As protobufjs has it, which reads it as well. */
function expected(fields: Record<string, unknown>): Uint8Array {
  return Uint8Array.from(type.encode(type.fromObject(fields)).finish());
}

const text = fc.oneof(
  fc.string({ maxLength: 80 }),
  fc.string({ unit: 'grapheme', maxLength: 80 }),
  fc.string({ minLength: 120, maxLength: 400 }),
);
const whole = fc.letrec<{ whole: Record<string, unknown> }>((tie) => ({
  whole: fc.record(
    {
      small: fc.nat({ max: 0xffff_ffff }),
      large: fc.oneof(
        fc.maxSafeNat(),
        fc.nat({ max: 300 }),
        fc.nat({ max: 63 }).map((bits) => 2 ** Math.min(bits, 52)),
      ),
      flag: fc.boolean(),
      text,
      bytes: fc.uint8Array({ maxLength: 300 }),
      inner: fc.oneof({ maxDepth: 2, depthIdentifier: 'inner' }, fc.constant(null), tie('whole')),
      list: fc.oneof({ maxDepth: 2, depthIdentifier: 'inner' }, fc.constant([]), fc.array(tie('whole'), { maxLength: 3 })),
      texts: fc.array(text, { maxLength: 3 }),
      words: fc.dictionary(fc.string({ minLength: 1, maxLength: 40 }), text, { maxKeys: 4 }),
    },
    { requiredKeys: [] },
  ),
})).whole;

test('a message is written byte for byte as protobufjs writes it', () => {
  fc.assert(
    fc.property(whole, (fields) => {
      expect(written(type, fields)).toEqual(expected(fields));
    }),
    { numRuns: 1000 },
  );
});

test.each([127, 128, 4000, 5000, 16_383, 16_384, 2_097_151, 2_097_152, 3_000_000])(
  'what has %i bytes is written whole, within another and alone',
  (length) => {
    const fields = { text: 'a', bytes: new Uint8Array(length).fill(7), small: 300 };
    for (const one of [fields, { inner: fields, small: 1 }, { list: [{ inner: fields }, fields], text: 'é'.repeat(length) }])
      expect(Buffer.compare(written(type, one), expected(one))).toBe(0);
  },
);

test('what was written stays as it is when the next is written', () => {
  const first = written(type, { text: 'first' });
  written(type, { text: 'other' });
  expect(first).toEqual(expected({ text: 'first' }));
});

test('what no field can have is refused, and nothing of it is in the next', () => {
  for (const bad of [-1, 0.5, 2 ** 53, Number.NaN]) expect(() => written(type, { inner: { large: bad } })).toThrow(RangeError);
  expect(() => written(type, { text: 1 })).toThrow(TypeError);
  expect(() => written(type, { list: { text: 'a' } })).toThrow(TypeError);
  expect(written(type, { small: 1 })).toEqual(expected({ small: 1 }));
});

test('a type that no record has is refused', () => {
  const root = type.root;
  expect(() => written(root.lookupType('Odd'), {})).toThrow(/packed/);
  expect(() => written(root.lookupType('Real'), {})).toThrow(/double/);
});
