import { expect, it } from 'vitest';

import { decodePublication, encodePublication, type PublicationRecord } from '../../../src/catalog/publication_record.js';
import { hexLines, readGolden } from '../golden.js';

const golden = readGolden(new URL('golden/publication_v1.hex', import.meta.url));
const sample: PublicationRecord = { bucket: 'volume-vm1', account: 3, pool: 'default', volume: 2 ** 40 + 1, ending: true };

it('a publication is read, and written as it always was', () => {
  expect(decodePublication(golden)).toEqual(sample);
  expect(hexLines(encodePublication(sample))).toBe(hexLines(golden));
});

it('a newer version is refused, and so is what is no number', () => {
  const newer = Uint8Array.from(golden);
  newer[1] = 2;
  expect(() => decodePublication(newer)).toThrow(/version 2/);
  expect(() => encodePublication({ ...sample, volume: 0.5 })).toThrow(RangeError);
});
