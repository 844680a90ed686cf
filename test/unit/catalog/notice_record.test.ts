import { expect, it } from 'vitest';

import { decodeNotice, encodeNotice, noticeKey, type NoticeRecord } from '../../../src/catalog/notice_record.js';
import { hexLines, readGolden } from '../golden.js';

const golden = readGolden(new URL('golden/notice_v1.hex', import.meta.url));
const sample: NoticeRecord = {
  kind: 'upload',
  rule: 'to the indexer',
  bucket: 'photos',
  account: 77,
  key: 'holidays/ünter ☀.jpg',
  versionId: '0000000100000001',
  bytes: 2 ** 40 + 1,
  etag: '9e107d9d372bb6826bd81d3542a419d6-2',
  at: 1_700_000_000_123,
  requester: 'AIDAEXAMPLE',
  address: '2001:db8::7',
  requestId: '0123456789ABCDEF',
};

it('a notice is read, and written as it always was', () => {
  expect(decodeNotice(golden)).toEqual(sample);
  expect(hexLines(encodeNotice(sample))).toBe(hexLines(golden));
});

it('a newer version is refused, and so is what is no number', () => {
  const newer = Uint8Array.from(golden);
  newer[1] = 2;
  expect(() => decodeNotice(newer)).toThrow(/version 2/);
  expect(() => encodeNotice({ ...sample, bytes: 0.5 })).toThrow(RangeError);
});

it('keys of one receiver are in the order of their ids', () => {
  const keys = [1, 9, 10, 255, 2 ** 40].map((id) => noticeKey('indexer', id));
  expect(keys.toSorted()).toEqual(keys);
});
