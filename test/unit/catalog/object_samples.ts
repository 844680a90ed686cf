/** Records of objects and shelves, of every field; golden/ has their bytes as they were first written. */
import type { BucketRecord, ObjectRecord, PartRecord, UploadRecord } from '../../../src/catalog/object_records.js';

const attributes = {
  owner: 77,
  headers: { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' },
  metadata: { name: 'Привет, 世界' },
  tags: { a: '1', b: '' },
  acl: '{"grants":[]}',
  storageClass: 'STANDARD',
  retention: { mode: 'compliance', until: 1_900_000_000_000 },
  legalHold: true,
} as const;
const segment = { shelf: 0x1234, extent: 2 ** 40, start: 65_536, bytes: 1_000_000 };
const part = { bytes: 1_000_000, checksum: 'rosUhgp5mIg=', segments: [segment] };

export const bucketSample: BucketRecord = {
  id: 0x42,
  name: 'my-bucket.example',
  account: 77,
  pool: 'default',
  location: 'eu-central-1',
  createdAt: 1_700_000_000_123,
  versioning: 'enabled',
  objectLock: true,
  defaultRetention: { mode: 'governance', days: 30 },
  deleting: true,
};

export const objectSample: ObjectRecord = {
  id: 0x1_0000_0001,
  isNull: true,
  deleteMarker: false,
  bytes: 1_000_007,
  etag: '9e107d9d372bb6826bd81d3542a419d6-2',
  modifiedAt: 1_700_000_001_000,
  attributes,
  checksum: { algorithm: 'CRC64NVME', type: 'full-object', value: 'rosUhgp5mIg=' },
  multipart: true,
  body: { parts: [part, { bytes: 7, checksum: '', segments: [{ ...segment, start: 0, bytes: 7 }] }], chain: [] },
};

export const chainedSample: ObjectRecord = {
  ...objectSample,
  bytes: 3_000_000,
  attributes: { ...attributes, retention: null, legalHold: false },
  checksum: null,
  body: { parts: [], chain: [{ bytes: 3_000_000, parts: 1024, segments: 1025 }] },
};

export const bodyPartsSample = [part, part];

export const uploadSample: UploadRecord = {
  id: 0x99,
  startedAt: 1_700_000_002_000,
  attributes,
  checksum: { algorithm: 'SHA256', type: 'composite' },
};

export const partSample: PartRecord = {
  id: 0x100,
  etag: 'd41d8cd98f00b204e9800998ecf8427e',
  modifiedAt: 1_700_000_003_000,
  part,
};

const sealedPart = { ...part, salt: Uint8Array.from({ length: 16 }, (_, at) => at) };
const seal = {
  kind: 'named',
  keyName: 'alias/backups',
  wrappedKey: Uint8Array.from({ length: 60 }, (_, at) => 255 - at),
} as const;

export const sealedSample: ObjectRecord = {
  ...objectSample,
  bytes: 2_000_000,
  attributes: { ...attributes, seal },
  body: { parts: [sealedPart, sealedPart], chain: [] },
};

export const sealedPartSample: PartRecord = { ...partSample, part: sealedPart };

export const countedPartSample: PartRecord = { ...partSample, counted: true };

export const shelfSample = { id: 0x1234, next: 2 ** 41 };
export const regionSample = { bytes: 2 ** 30, grain: 4096 };
export const extentSample = { bytes: 1_000_000, owners: 3 };
export const knownExtentSample = { bytes: 5000, owners: 2, sum: Uint8Array.from({ length: 32 }, (_, index) => 7 * index) };
export const knownSample = { shelf: 0x1234, offset: 2 ** 40 + 4096 };
export const releasedSample = { segments: [segment], chainFirst: 2, chainCount: 9 };
