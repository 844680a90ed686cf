import { expect, test } from 'vitest';

import { decodeId, encodeId, nameKey, namePrefix, poolKey, resourceKey } from '../../../src/catalog/keys.js';

test('keys are spelled in one way', () => {
  expect(resourceKey(255)).toBe('resource/00000000000000ff');
  expect(nameKey('snapshot', 'vm1@a')).toBe('name/snapshot/vm1@a');
  expect(namePrefix('snapshot', 'vm1@')).toBe('name/snapshot/vm1@');
  expect(poolKey('default')).toBe('pool/default');
});

test('keys sort as their ids do', () => {
  const ids = [1, 9, 10, 255, 256, 2 ** 32, 2 ** 52];
  expect(ids.map(resourceKey).toSorted()).toEqual(ids.map(resourceKey));
});

test('an id under a name survives, and nothing else passes for one', () => {
  for (const id of [1, 2 ** 52]) expect(decodeId(encodeId(id))).toBe(id);
  for (const text of ['', '0', '0000000000000000', 'ffffffffffffffff', 'zzzzzzzzzzzzzzzz']) {
    expect(() => decodeId(new TextEncoder().encode(text))).toThrow(expect.objectContaining({ code: 'corrupt' }));
  }
});
