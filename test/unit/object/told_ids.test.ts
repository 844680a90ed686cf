import fc from 'fast-check';
import { expect, it } from 'vitest';

import { idOfTold, toldId } from '../../../src/object/told_ids.js';

it('an id is told so that no reader takes it for a number, and is understood again', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (id) => {
      expect(Number.parseFloat(toldId(id))).toBeNaN();
      expect(idOfTold(toldId(id))).toBe(id);
    }),
  );
});

it.each([
  '',
  'null',
  '0000000000000001',
  'v1',
  'v0000000000000000',
  'vffffffffffffffff',
  'V0000000000000001',
  'v000000000000000g',
])('%j is none', (text) => {
  expect(idOfTold(text)).toBeNull();
});
