import fc from 'fast-check';
import { expect, it } from 'vitest';

import { block_bytes } from '../../../src/core/limits.js';
import { splicePlan } from '../../../src/mapper/splice_plan.js';

const block = block_bytes;

it('one stretch of whole blocks is named, and nothing is copied', () => {
  expect(splicePlan([{ resource: 7, offset: 3 * block, bytes: 2 * block }])).toEqual({
    bytes: 2 * block,
    named: [{ resource: 7, first: 3, blocks: 2, at: 0 }],
    copied: [],
  });
});

it('a tail that is less than a block is copied', () => {
  const { named, copied } = splicePlan([{ resource: 7, offset: 0, bytes: block + 1 }]);
  expect(named).toEqual([{ resource: 7, first: 0, blocks: 1, at: 0 }]);
  expect(copied).toEqual([{ offset: block, bytes: 1 }]);
});

it('parts of whole blocks follow each other, and a part after an odd one is copied', () => {
  const { bytes, named, copied } = splicePlan([
    { resource: 1, offset: 0, bytes: 2 * block },
    { resource: 2, offset: 9 * block, bytes: block + 5 },
    { resource: 3, offset: 0, bytes: 2 * block },
  ]);
  expect(bytes).toBe(5 * block + 5);
  expect(named).toEqual([
    { resource: 1, first: 0, blocks: 2, at: 0 },
    { resource: 2, first: 9, blocks: 1, at: 2 },
  ]);
  expect(copied).toEqual([{ offset: 3 * block, bytes: 2 * block + 5 }]);
});

it('what is named and what is copied make the disk, each byte once and from its own place', () => {
  const stretch = fc.record({
    resource: fc.integer({ min: 1, max: 3 }),
    offset: fc.nat(40).map((n) => n * (block / 4)),
    bytes: fc.integer({ min: 1, max: 20 }).map((n) => n * (block / 4) - (n % 5 === 0 ? 1 : 0)),
  });
  fc.assert(
    fc.property(fc.array(stretch, { maxLength: 8 }), (stretches) => {
      const { bytes, named, copied } = splicePlan(stretches);
      const pieces = [...named.map(({ at, blocks }) => ({ offset: at * block, bytes: blocks * block })), ...copied].toSorted(
        (a, b) => a.offset - b.offset,
      );
      let end = 0;
      for (const piece of pieces) {
        expect(piece.offset).toBe(end);
        end += piece.bytes;
      }
      expect(end).toBe(bytes);
      expect(copied.every(({ offset }) => offset % block === 0)).toBe(true);
      const begins: number[] = [];
      stretches.reduce((at, one) => {
        begins.push(at);
        return at + one.bytes;
      }, 0);
      for (const { resource, first, blocks, at } of named) {
        const index = begins.findLastIndex((begin) => begin <= at * block);
        const from = stretches[index];
        expect(from?.resource).toBe(resource);
        expect((from?.offset ?? 0) + at * block - (begins[index] ?? 0)).toBe(first * block);
        expect((at + blocks) * block).toBeLessThanOrEqual((begins[index] ?? 0) + (from?.bytes ?? 0));
      }
    }),
  );
});
