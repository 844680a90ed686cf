import { expect, it } from 'vitest';

import {
  decodeCarried,
  decodeMove,
  encodeCarried,
  encodeMove,
  type CarriedRecord,
  type MoveRecord,
} from '../../../src/catalog/move_record.js';
import { emptyRoot } from '../../../src/catalog/records.js';
import { hexLines, readGolden } from '../golden.js';
import { sampleVolume } from './samples.js';

const golden = (name: string): Uint8Array => readGolden(new URL(`golden/${name}.hex`, import.meta.url));
const sampleMove: MoveRecord = { id: 0x1234, from: 'default', to: 'ceph', startedAt: 1_700_000_000_123, switched: true };
const sampleCarried: CarriedRecord = {
  move: 0x1234,
  id: 0x1230,
  from: emptyRoot,
  to: sampleVolume.root,
  target: { ...sampleVolume.root, pack: 7, id: Uint8Array.from({ length: 32 }, (_, index) => index) },
  next: 2 ** 40 + 1,
  done: true,
};

it('a move is read, and written as it always was', () => {
  expect(decodeMove(golden('move_v1'))).toEqual(sampleMove);
  expect(hexLines(encodeMove(sampleMove))).toBe(hexLines(golden('move_v1')));
});

it('what was carried is read, and written as it always was', () => {
  expect(decodeCarried(golden('carried_v1'))).toEqual(sampleCarried);
  expect(hexLines(encodeCarried(sampleCarried))).toBe(hexLines(golden('carried_v1')));
});

it('a newer version, and what cannot be read, is refused', () => {
  const newer = Uint8Array.from(golden('move_v1'));
  newer[1] = 2;
  expect(() => decodeMove(newer)).toThrow(/version 2/);
  expect(() => decodeCarried(golden('carried_v1').subarray(0, 20))).toThrow(/cannot be read|not what it must be/);
  expect(() => encodeCarried({ ...sampleCarried, next: -1 })).toThrow(RangeError);
});
