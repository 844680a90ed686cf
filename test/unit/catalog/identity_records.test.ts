import { describe, expect, test } from 'vitest';

import {
  decodeAccessKey,
  decodeAccount,
  decodeBucketQuota,
  decodeIdentityCheck,
  decodeKeyUse,
  decodeUser,
  encodeAccessKey,
  encodeAccount,
  encodeBucketQuota,
  encodeIdentityCheck,
  encodeKeyUse,
  encodeUser,
} from '../../../src/catalog/identity_records.js';
import { decodeCounted, decodeUsageSlice, encodeCounted, encodeUsageSlice } from '../../../src/catalog/usage_records.js';
import { SkerryError } from '../../../src/core/errors.js';
import { hexLines, readGolden } from '../golden.js';
import {
  sampleAccessKey,
  sampleAccount,
  sampleBucketQuota,
  sampleCounted,
  sampleUniqueUsage,
  sampleUsage,
  sampleUser,
} from './identity_samples.js';

interface Kind {
  readonly name: string;
  readonly sample: unknown;
  readonly encode: () => Uint8Array;
  readonly decode: (data: Uint8Array) => unknown;
}

const check = Uint8Array.from({ length: 44 }, (_, index) => index);
const kinds: readonly Kind[] = [
  { name: 'account_v1', sample: sampleAccount, encode: () => encodeAccount(sampleAccount), decode: decodeAccount },
  { name: 'user_v1', sample: sampleUser, encode: () => encodeUser(sampleUser), decode: decodeUser },
  { name: 'access_key_v1', sample: sampleAccessKey, encode: () => encodeAccessKey(sampleAccessKey), decode: decodeAccessKey },
  { name: 'key_use_v1', sample: 1_700_000_000_123, encode: () => encodeKeyUse(1_700_000_000_123), decode: decodeKeyUse },
  {
    name: 'bucket_quota_v1',
    sample: sampleBucketQuota,
    encode: () => encodeBucketQuota(sampleBucketQuota),
    decode: decodeBucketQuota,
  },
  { name: 'identity_check_v1', sample: check, encode: () => encodeIdentityCheck(check), decode: decodeIdentityCheck },
  { name: 'counted_v1', sample: sampleCounted, encode: () => encodeCounted(sampleCounted), decode: decodeCounted },
  {
    name: 'usage_slice_v1_unique',
    sample: sampleUniqueUsage,
    encode: () => encodeUsageSlice(sampleUniqueUsage),
    decode: decodeUsageSlice,
  },
  { name: 'usage_slice_v1', sample: sampleUsage, encode: () => encodeUsageSlice(sampleUsage), decode: decodeUsageSlice },
];

describe.each(kinds)('$name', ({ name, sample, encode, decode }) => {
  const golden = readGolden(new URL(`golden/${name}.hex`, import.meta.url));

  test('is read, and written as it always was', () => {
    expect(decode(golden)).toEqual(sample);
    expect(hexLines(encode())).toBe(hexLines(golden));
  });

  test('of a newer version is refused', () => {
    const newer = Uint8Array.from(golden);
    expect([...newer.subarray(0, 2)]).toEqual([8, 1]);
    newer[1] = 2;
    expect(() => decode(newer)).toThrow(/version 2, and this Skerry reads up to 1: start a newer Skerry/);
  });

  test('cut or changed anywhere is a record or a refusal, nothing else', () => {
    const judge = (data: Uint8Array): void => {
      try {
        decode(data);
      } catch (error) {
        expect(error).toBeInstanceOf(SkerryError);
        expect(['corrupt', 'unsupported']).toContain((error as SkerryError).code);
      }
    };
    for (let at = 0; at < golden.length; at += 1) {
      judge(golden.subarray(0, at));
      for (const flip of [0x01, 0x80, 0xff]) judge(golden.map((byte, index) => (index === at ? byte ^ flip : byte)));
    }
  });
});

test('what cannot be is never written', () => {
  expect(() => encodeAccount({ ...sampleAccount, id: 0 })).toThrow(RangeError);
  expect(() => encodeAccount({ ...sampleAccount, canonicalId: new Uint8Array(31) })).toThrow(RangeError);
  expect(() => encodeAccount({ ...sampleAccount, accountNumber: '1' })).toThrow(RangeError);
  expect(() => encodeCounted({ ...sampleCounted, addedBytes: -1 })).toThrow(RangeError);
  expect(() => encodeUsageSlice({ ...sampleUsage, hour: 0.5 })).toThrow(RangeError);
});
