/** Records of identity with every field set, for the golden files and the tests beside them. */
import type { AccessKeyRecord, AccountRecord, BucketQuotaRecord, UserRecord } from '../../../src/catalog/identity_records.js';
import type { CountedRecord, UsageSliceRecord } from '../../../src/catalog/usage_records.js';

const bytes = (length: number, first: number): Uint8Array => Uint8Array.from({ length }, (_, index) => (first + index) % 256);

export const sampleAccount: AccountRecord = {
  id: 0x1234,
  name: 'acme',
  displayName: 'Ächme Ltd',
  canonicalId: bytes(32, 100),
  accountNumber: '123456789012',
  domain: 2 ** 20 + 0x1234,
  wrapped: bytes(93, 1),
  state: 'suspended',
  createdAt: 1_700_000_000_123,
  quota: { bytes: 2 ** 50, objects: 1_000_000 },
};

export const sampleUser: UserRecord = {
  account: 0x1234,
  name: 'ann@example.org',
  id: 'SUAAAAAAAAAAAAAAAAAA',
  root: true,
  createdAt: 1_700_000_000_123,
};

export const sampleAccessKey: AccessKeyRecord = {
  accessKey: 'SKAAAAAAAAAAAAAAAAAA',
  account: 0x1234,
  user: 'ann@example.org',
  wrapped: bytes(69, 7),
  active: true,
  createdAt: 1_700_000_000_123,
};

export const sampleBucketQuota: BucketQuotaRecord = { account: 0x1234, bucket: 'Fotos/ä', quota: { bytes: 2 ** 52, objects: 3 } };

export const sampleCounted: CountedRecord = {
  account: 0x1234,
  bucket: 'photos',
  shard: 3,
  addedBytes: 2 ** 51,
  removedBytes: 0,
  addedObjects: 0,
  removedObjects: 17,
};

export const sampleUsage: UsageSliceRecord = {
  hour: 1_700_000_400_000 - (1_700_000_400_000 % 3_600_000),
  account: 0x1234,
  bucket: 'photos',
  cells: [
    { operation: 'read', status: '2xx', requests: 5, bytesIn: 1000, bytesOut: 2 ** 45 },
    { operation: 'other', status: 'aborted', requests: 1, bytesIn: 7, bytesOut: 0 },
  ],
  stored: { bytes: 10, objects: 1, bytesMax: 2 ** 50, objectsMax: 2 },
  uniqueBytes: null,
};

export const sampleUniqueUsage: UsageSliceRecord = { ...sampleUsage, bucket: '', stored: null, uniqueBytes: 2 ** 52 + 1 };
