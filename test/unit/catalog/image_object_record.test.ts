import { expect, it } from 'vitest';

import { decodeImageObject, encodeImageObject, imageObjectKey } from '../../../src/catalog/image_object_record.js';
import { hexLines, readGolden } from '../golden.js';

const golden = readGolden(new URL('golden/image_object_v1.hex', import.meta.url));
const sample = { account: 3, bucket: 'images', key: 'debian-12.raw', object: 2 ** 40 + 1 };

it('an image that is an object is read, and written as it always was', () => {
  expect(decodeImageObject(golden)).toEqual(sample);
  expect(hexLines(encodeImageObject(sample))).toBe(hexLines(golden));
  expect(imageObjectKey(255)).toBe('image-object/00000000000000ff');
});

it('a newer version is refused, and so is what is no number', () => {
  const newer = Uint8Array.from(golden);
  newer[1] = 2;
  expect(() => decodeImageObject(newer)).toThrow(/version 2/);
  expect(() => encodeImageObject({ ...sample, object: 0.5 })).toThrow(RangeError);
});
