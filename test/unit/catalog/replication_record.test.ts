import { expect, it } from 'vitest';

import { decodeReplication, encodeReplication, type ReplicationRecord } from '../../../src/catalog/replication_record.js';
import { hexLines, readGolden } from '../golden.js';

const golden = readGolden(new URL('golden/replication_v1.hex', import.meta.url));
const sample: ReplicationRecord = {
  id: 0x1234,
  to: 'ceph',
  everySeconds: 300,
  keep: 3,
  startedAt: 1_700_000_000_123,
  lastAt: 1_700_000_300_123,
  snapshot: 0x1300,
  replica: 2 ** 40 + 1,
};

it('a replication is read, and written as it always was', () => {
  expect(decodeReplication(golden)).toEqual(sample);
  expect(hexLines(encodeReplication(sample))).toBe(hexLines(golden));
});

it('a newer version is refused, and so is what is no number', () => {
  const newer = Uint8Array.from(golden);
  newer[1] = 2;
  expect(() => decodeReplication(newer)).toThrow(/version 2/);
  expect(() => encodeReplication({ ...sample, everySeconds: 0.5 })).toThrow(RangeError);
});
