import { expect, test } from 'vitest';

import {
  decodeCounter,
  decodePool,
  decodeResource,
  encodeCounter,
  encodePool,
  encodeResource,
} from '../../../src/catalog/records.js';
import { hexLines, readGolden } from '../golden.js';
import {
  sampleClosed,
  sampleCompressed,
  sampleEncryptedPool,
  sampleFramedPool,
  sampleImport,
  sampleLogged,
  sampleOfDomain,
  samplePool,
  sampleRestricted,
  sampleRolledBack,
  sampleVolume,
} from './samples.js';

const golden = (name: string): Uint8Array => readGolden(new URL(`golden/${name}.hex`, import.meta.url));

test.each([
  ['resource_volume_v1', sampleVolume],
  ['resource_importing_v1', sampleImport],
  ['resource_rolled_back_v1', sampleRolledBack],
  ['resource_restricted_v1', sampleRestricted],
  ['resource_closed_v1', sampleClosed],
  ['resource_compressed_v1', sampleCompressed],
  ['resource_shelf_v2', { ...sampleVolume, shelf: true }],
  ['resource_logged_v2', sampleLogged],
  ['resource_domain_v3', sampleOfDomain],
])('%s is read, and written as it always was', (name, record) => {
  expect(decodeResource(golden(name))).toEqual(record);
  expect(hexLines(encodeResource(record))).toBe(hexLines(golden(name)));
});

test('a volume that flushes to its pool is kept as version 2, which an older Skerry refuses', () => {
  expect([...encodeResource(sampleLogged).subarray(0, 2)]).toEqual([8, 2]);
  const log = { ...sampleLogged.log, journal: new Uint8Array(0), older: null } as typeof sampleLogged.log;
  expect(decodeResource(encodeResource({ ...sampleLogged, log }))).toEqual({ ...sampleLogged, log });
});

test('one whose blocks have a domain of their own is kept as version 3, which an older Skerry refuses', () => {
  expect([...encodeResource(sampleOfDomain).subarray(0, 2)]).toEqual([8, 3]);
  expect(encodeResource({ ...sampleVolume, domain: 5 })[1]).toBe(3);
  expect(() => encodeResource({ ...sampleVolume, domain: 0 })).toThrow(RangeError);
  expect(decodeResource(golden('resource_shelf_v2'))).not.toHaveProperty('domain');
});

test('a pool record is read, and written as it always was', () => {
  expect(decodePool(golden('pool_v1'))).toEqual(samplePool);
  expect(hexLines(encodePool(samplePool))).toBe(hexLines(golden('pool_v1')));
});

test('a pool that may hold compressed records is kept as version 2, which an older Skerry refuses', () => {
  expect(decodePool(golden('pool_framed_v2'))).toEqual(sampleFramedPool);
  expect(hexLines(encodePool(sampleFramedPool))).toBe(hexLines(golden('pool_framed_v2')));
  const newer = Uint8Array.from(encodePool(sampleFramedPool));
  expect([...newer.subarray(0, 2)]).toEqual([8, 2]);
  newer[1] = 4;
  expect(() => decodePool(newer)).toThrow(/version 4, and this Skerry reads up to 3: start a newer Skerry/);
  // Compression is off again: what is there is there.
  expect(encodePool({ ...sampleFramedPool, compression: 'none' })[1]).toBe(2);
  expect(() => encodePool({ ...sampleFramedPool, framed: false })).toThrow(RangeError);
  const compresses = Buffer.concat([golden('pool_v1'), Buffer.from([(10 << 3) | 2, 4]), Buffer.from('zstd')]);
  expect(() => decodePool(compresses)).toThrow(/compresses, and the catalog says that it holds nothing compressed/);
});

test('an encrypted pool is kept as version 3, which an older Skerry refuses, and without its domain key', () => {
  expect(decodePool(golden('pool_encrypted_v3'))).toEqual(sampleEncryptedPool);
  expect(hexLines(encodePool(sampleEncryptedPool))).toBe(hexLines(golden('pool_encrypted_v3')));
  expect([...encodePool(sampleEncryptedPool).subarray(0, 2)]).toEqual([8, 3]);
  expect(encodePool({ ...sampleEncryptedPool, compression: 'none', framed: false })[1]).toBe(3);
  expect(() => encodePool({ ...sampleEncryptedPool, domainKey: new Uint8Array(32) })).toThrow(RangeError);
  expect(() => encodePool({ ...sampleEncryptedPool, encryption: null })).toThrow(RangeError);
});

test('a counter record is read, and written as it always was', () => {
  expect(decodeCounter(golden('counter_v1'))).toEqual({ next: 2 ** 40 + 3 });
  expect(hexLines(encodeCounter({ next: 2 ** 40 + 3 }))).toBe(hexLines(golden('counter_v1')));
});

test('a record of a newer version is refused, with the way out', () => {
  // Field 1, the version, comes first: 08 01.
  const newer = Uint8Array.from(encodeResource(sampleVolume));
  expect([...newer.subarray(0, 2)]).toEqual([8, 1]);
  newer[1] = 4;
  expect(() => decodeResource(newer)).toThrow(expect.objectContaining({ code: 'unsupported' }));
  expect(() => decodeResource(newer)).toThrow(/version 4, and this Skerry reads up to 3: start a newer Skerry/);
});

test('a field of a later minor change is passed over', () => {
  const extended = Uint8Array.from([...encodeCounter({ next: 5 }), 0xf8, 0x3f, 0x01]);
  expect(decodeCounter(extended)).toEqual({ next: 5 });
});

test('bytes that are no record are corrupt, whatever they are', () => {
  const corrupt = expect.objectContaining({ code: 'corrupt' });
  expect(() => decodeResource(new Uint8Array(0))).toThrow(corrupt);
  expect(() => decodePool(Uint8Array.from([0xff, 0xff, 0xff]))).toThrow(corrupt);
  // A version and nothing else: no kind, no id.
  expect(() => decodeResource(Uint8Array.from([8, 1]))).toThrow(corrupt);
  const whole = encodeResource(sampleVolume);
  for (let length = 1; length < whole.length; length += 1) {
    try {
      decodeResource(whole.subarray(0, length));
    } catch (error) {
      expect(error).toMatchObject({ code: 'corrupt' });
    }
  }
});

test('a number that is not exact is never written', () => {
  expect(() => encodeResource({ ...sampleVolume, appliedSequence: 2 ** 53 })).toThrow(RangeError);
  expect(() => encodeResource({ ...sampleVolume, sizeBytes: -1 })).toThrow(RangeError);
  expect(() => encodeResource({ ...sampleVolume, id: 0 })).toThrow(RangeError);
  expect(() => encodePool({ ...samplePool, domainKey: new Uint8Array(31) })).toThrow(RangeError);
});
