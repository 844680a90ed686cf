import { expect, test } from 'vitest';

import { changedAccess } from '../../../src/mapper/access.js';
import type { Grant } from '../../../src/mapper/resources.js';

const host: Grant = { kind: 'certificate', client: 'host-1', readOnly: false };
const root: Grant = { kind: 'user', client: '0', readOnly: false };

test('the first client begins the list, and the last to leave leaves it empty, not gone', () => {
  const one = changedAccess(null, { allow: [host] });
  expect(one).toEqual({ grants: [host] });
  expect(changedAccess(one, { deny: [host] })).toEqual({ grants: [] });
  expect(changedAccess({ grants: [] }, { anyone: true })).toBeNull();
});

test('a client stands on the list once, with what it was given last', () => {
  const list = changedAccess({ grants: [host, root] }, { allow: [{ ...host, readOnly: true }] });
  expect(list).toEqual({ grants: [{ ...host, readOnly: true }, root] });
});

test('a user and a certificate of one name are two clients', () => {
  const list = changedAccess(null, { allow: [root, { ...root, kind: 'certificate' }] });
  expect(changedAccess(list, { deny: [root] })).toEqual({ grants: [{ ...root, kind: 'certificate' }] });
});

test('who is not on the list cannot be taken off it', () => {
  expect(() => changedAccess({ grants: [host] }, { deny: [root] })).toThrow('user 0 is not on the list');
  expect(() => changedAccess(null, { deny: [host] })).toThrow('client host-1 is not on the list: there is none');
});

test.each([
  [{ ...host, client: '' }],
  [{ ...host, client: 'a\nb' }],
  [{ ...host, client: 'x'.repeat(254) }],
  [{ ...root, client: '01' }],
  [{ ...root, client: '-1' }],
  [{ ...root, client: 'root' }],
  [{ ...root, client: '4294967295' }],
])('%j is refused', (grant) => {
  expect(() => changedAccess(null, { allow: [grant] })).toThrow(expect.objectContaining({ code: 'invalid' }));
});

test('a list has an end, and anyone is not one of many', () => {
  const many = Array.from({ length: 257 }, (_, index): Grant => ({ ...root, client: String(index) }));
  expect(() => changedAccess(null, { allow: many })).toThrow('at most 256 clients');
  expect(() => changedAccess(null, { allow: [host], anyone: true })).toThrow(expect.objectContaining({ code: 'invalid' }));
});
