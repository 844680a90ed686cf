import { expect, test } from 'vitest';

import {
  accountKey,
  bucketQuotaKey,
  countedKey,
  decodeId,
  encodeId,
  nameKey,
  namePrefix,
  poolKey,
  resourceKey,
  usageHourPrefix,
  usageKey,
  userKey,
} from '../../../src/catalog/keys.js';

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

test('keys of accounts, buckets and hours', () => {
  const hour = Date.UTC(2026, 10, 23, 9);
  expect(accountKey(255)).toBe('account/00000000000000ff');
  expect(userKey(1, 'ann@example.org')).toBe('user/0000000000000001/ann@example.org');
  expect(countedKey(1, 'photos', 2)).toBe('counted/0000000000000001/photos/0000000000000002');
  expect(usageKey(hour, 1, 'photos')).toBe('usage/2026-11-23T09/0000000000000001/photos');
  expect(usageKey(hour, 1, '')).toBe('usage/2026-11-23T09/0000000000000001/');
  const hours = [Date.UTC(2025, 0, 1), Date.UTC(2026, 8, 30, 23), Date.UTC(2026, 9, 1), hour, hour + 3_600_000];
  expect(hours.map(usageHourPrefix).toSorted()).toEqual(hours.map(usageHourPrefix));
});

test('any name of a bucket has a key of its own, which the catalog takes', () => {
  const names = [
    'a',
    'a/b',
    'a b',
    'ä',
    '%61',
    '=',
    '~',
    `=${'0'.repeat(64)}`,
    'ä'.repeat(256),
    `${'ä'.repeat(255)}a`,
    'x'.repeat(256),
  ];
  const keys = names.map((name) => bucketQuotaKey(1, name));
  expect(new Set(keys).size).toBe(names.length);
  for (const key of keys) expect(key).toMatch(/^[\u0021-\u007e]{1,400}$/);
  for (const key of keys) expect(key.split('/')).toHaveLength(3);
});
