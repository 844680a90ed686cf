import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  decodeBodyParts,
  decodeBucket,
  decodeObject,
  decodePart,
  decodeUpload,
  encodeBodyParts,
  encodeBucket,
  encodeObject,
  encodePart,
  encodeUpload,
} from '../../../src/catalog/object_records.js';
import {
  decodeExtent,
  decodeKnown,
  decodeRegion,
  decodeReleased,
  decodeShelf,
  encodeExtent,
  encodeKnown,
  encodeRegion,
  encodeReleased,
  encodeShelf,
} from '../../../src/catalog/shelf_records.js';
import { isSkerryError } from '../../../src/core/errors.js';
import { hexLines, readGolden } from '../golden.js';
import * as samples from './object_samples.ts';

interface Kind {
  readonly name: string;
  readonly version: number;
  /** The first version that is not read. */
  readonly newer: number;
  encode(): Uint8Array;
  decode(data: Uint8Array): unknown;
  readonly sample: unknown;
}

const kind = <T>(
  name: string,
  sample: T,
  encode: (record: T) => Uint8Array,
  decode: (data: Uint8Array) => T,
  versions: Partial<Pick<Kind, 'version' | 'newer'>> = {},
): Kind => ({
  name,
  version: 1,
  newer: 2,
  ...versions,
  encode: () => encode(sample),
  decode,
  sample,
});

const kinds: readonly Kind[] = [
  kind('bucket', samples.bucketSample, encodeBucket, decodeBucket),
  kind('bucket_read_only', { ...samples.bucketSample, readOnly: true as const }, encodeBucket, decodeBucket),
  kind('object', samples.objectSample, encodeObject, decodeObject),
  kind('object_chained', samples.chainedSample, encodeObject, decodeObject),
  kind('object_sealed', samples.sealedSample, encodeObject, decodeObject),
  kind('body_parts', samples.bodyPartsSample, encodeBodyParts, (data) => [...decodeBodyParts(data)]),
  kind('upload', samples.uploadSample, encodeUpload, decodeUpload),
  kind('upload_part', samples.partSample, encodePart, decodePart, { newer: 3 }),
  kind('upload_part_sealed', samples.sealedPartSample, encodePart, decodePart, { newer: 3 }),
  kind('upload_part_counted', samples.countedPartSample, encodePart, decodePart, { version: 2, newer: 3 }),
  kind('shelf', samples.shelfSample, encodeShelf, decodeShelf),
  kind('region', samples.regionSample, encodeRegion, decodeRegion),
  kind('extent', samples.extentSample, encodeExtent, decodeExtent, { newer: 3 }),
  kind('extent_known', samples.knownExtentSample, encodeExtent, decodeExtent, { version: 2, newer: 3 }),
  kind('known', samples.knownSample, encodeKnown, decodeKnown),
  kind('released', samples.releasedSample, encodeReleased, decodeReleased),
];

describe.each(kinds)('$name', (one) => {
  const { name, sample, version, newer: unread } = one;
  const golden = readGolden(new URL(`golden/${name}_v${version}.hex`, import.meta.url));

  test('is read, and written as it always was', () => {
    expect(one.decode(golden)).toEqual(sample);
    expect(hexLines(one.encode())).toBe(hexLines(golden));
  });

  test('of a newer version is refused', () => {
    const newer = Uint8Array.from(golden);
    newer[1] = unread;
    expect(() => one.decode(newer)).toThrow(`version ${unread}`);
  });

  test('that is damaged is refused as what it is, or read as something that can be', () => {
    fc.assert(
      fc.property(fc.nat(golden.length - 1), fc.nat(255), (at, value) => {
        const damaged = Uint8Array.from(golden);
        damaged[at] = value;
        try {
          one.decode(damaged);
        } catch (error) {
          if (!isSkerryError(error, 'corrupt', 'unsupported')) throw error;
        }
      }),
    );
  });
});

test('a sum of another length is none', () => {
  expect(() => encodeExtent({ ...samples.extentSample, sum: new Uint8Array(31) })).toThrow(/32 bytes/);
  const cut = encodeExtent(samples.knownExtentSample).slice(0, -1);
  // Of the field, which is the last.
  cut[cut.length - 32] = 31;
  expect(() => decodeExtent(cut)).toThrow(/a sum of 31 bytes/);
});

test('an object whose parts are not as long as it is, is none', () => {
  const { body } = samples.objectSample;
  expect(() => decodeObject(encodeObject({ ...samples.objectSample, bytes: 1 }))).toThrow(/has 1 bytes/);
  const [part] = body.parts;
  if (part === undefined) throw new Error('the sample has parts');
  expect(() => decodeBodyParts(encodeBodyParts([{ ...part, bytes: part.bytes + 1 }]))).toThrow(/not as long/);
});
