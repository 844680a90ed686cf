import fc from 'fast-check';
import { expect, test } from 'vitest';

import type { ChecksumAlgorithm } from '../../../src/catalog/object_records.js';
import { joinedChecksum } from '../../../src/object/digests.js';
import { newSum } from '../../../src/object/sums.js';

const sum = (algorithm: ChecksumAlgorithm, ...pieces: readonly Uint8Array[]): Buffer => {
  const all = newSum(algorithm);
  for (const piece of pieces) all.update(piece);
  return all.digest();
};

test.each([
  ['CRC32', 'cbf43926'],
  ['CRC32C', 'e3069283'],
  ['CRC64NVME', 'ae8b14860a799888'],
] as const)('%s of 123456789 is what its definition says', (algorithm, expected) => {
  expect(sum(algorithm, Buffer.from('123456789')).toString('hex')).toBe(expected);
});

test('CRC32C is that of the iSCSI vectors', () => {
  expect(sum('CRC32C', Buffer.alloc(32)).toString('hex')).toBe('8a9136aa');
  expect(sum('CRC32C', Buffer.alloc(32, 0xff)).toString('hex')).toBe('62a8ab43');
  expect(sum('CRC32C', Buffer.from(Array.from({ length: 32 }, (_, index) => index))).toString('hex')).toBe('46dd794e');
});

test('however a body is cut, its sum is the same, and sums of parts join to it', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('CRC32' as const, 'CRC32C' as const, 'CRC64NVME' as const),
      fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 6 }),
      (algorithm, pieces) => {
        const whole = sum(algorithm, Buffer.concat(pieces));
        expect(sum(algorithm, ...pieces)).toEqual(whole);
        const parts = pieces.map((piece) => ({ bytes: piece.length, checksum: sum(algorithm, piece).toString('base64') }));
        expect(joinedChecksum({ algorithm, type: 'full-object' }, parts).value).toBe(
          pieces.length === 0 ? Buffer.alloc(whole.length).toString('base64') : whole.toString('base64'),
        );
      },
    ),
  );
});

test('ten thousand parts are joined in no time to speak of', () => {
  const part = Buffer.alloc(64, 7);
  const parts = Array.from({ length: 10_000 }, () => ({ bytes: 64, checksum: sum('CRC64NVME', part).toString('base64') }));
  expect(joinedChecksum({ algorithm: 'CRC64NVME', type: 'full-object' }, parts).value).toBe(
    sum('CRC64NVME', ...parts.map(() => part)).toString('base64'),
  );
});
