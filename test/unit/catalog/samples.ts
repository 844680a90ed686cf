/** Records with every field set, for the golden files and the tests beside them. */
import { emptyRoot, noLimit, type PoolRecord, type ResourceRecord } from '../../../src/catalog/records.js';

export const sampleVolume: ResourceRecord = {
  id: 0x1234,
  kind: 'volume',
  name: 'vm1',
  pool: 'default',
  sizeBytes: 10 * 2 ** 40,
  state: 'ready',
  durability: 'local',
  cache: 'writethrough',
  description: 'Datenträger 1',
  createdAt: 1_700_000_000_123,
  parentId: 7,
  parentName: 'debian-12.raw',
  root: {
    id: Uint8Array.from({ length: 32 }, (_, index) => 255 - index),
    levels: 3,
    pack: 42,
    offset: 65_536,
    storedBytes: 8704,
  },
  appliedSequence: 2 ** 52 + 1,
  fence: 5,
  pendingOf: 9,
  lineage: 0,
  labels: {},
  limit: noLimit,
  access: null,
  compression: 'inherit',
  log: null,
};

/** With all that came after the first records. */
export const sampleRolledBack: ResourceRecord = {
  ...sampleVolume,
  lineage: 3,
  labels: { role: 'db', 'team/owner': 'Bücher' },
  limit: { iops: 500, bandwidth: 104_857_600, burst: 30 },
};

/** With a list of who may attach it. */
export const sampleRestricted: ResourceRecord = {
  ...sampleRolledBack,
  access: {
    grants: [
      { kind: 'certificate', client: 'backup.example', readOnly: true },
      { kind: 'certificate', client: 'Wirt Nr. 1', readOnly: false },
      { kind: 'user', client: '0', readOnly: false },
    ],
  },
};

/** With a list that nobody is on, which is another thing than none. */
export const sampleClosed: ResourceRecord = { ...sampleVolume, access: { grants: [] } };

/** A shelf of an account. */
export const sampleOfDomain: ResourceRecord = { ...sampleVolume, shelf: true, domain: 2 ** 20 + 7 };

/** Of which flushes reach its pool, in a life that no root is of yet. */
export const sampleLogged: ResourceRecord = {
  ...sampleVolume,
  durability: 'pool',
  log: {
    journal: Uint8Array.from({ length: 16 }, (_, index) => 16 * index + 1),
    fence: 4,
    from: 2 ** 52 + 30,
    first: 17,
    older: { fence: 2, from: 2 ** 40, first: 300, until: 2 ** 52 + 29 },
  },
};

export const sampleImport: ResourceRecord = {
  ...sampleVolume,
  id: 1,
  kind: 'image',
  name: '',
  state: 'importing',
  cache: 'writeback',
  durability: 'pool',
  description: '',
  parentId: 0,
  parentName: '',
  root: emptyRoot,
  appliedSequence: 0,
  pendingOf: 0,
};

export const samplePool: PoolRecord = {
  name: 'default',
  driver: 'local',
  settings: { directory: '/var/lib/skerry/pool' },
  domain: 1,
  keyId: 1,
  domainKey: Uint8Array.from({ length: 32 }, (_, index) => index),
  poolUuid: Uint8Array.from({ length: 16 }, (_, index) => index * 16),
  createdAt: 1_700_000_000_123,
  compression: 'none',
  framed: false,
  encryption: null,
};

/** With all that came after the first records. */
export const sampleFramedPool: PoolRecord = { ...samplePool, compression: 'zstd:9', framed: true };

export const sampleEncryptedPool: PoolRecord = {
  ...sampleFramedPool,
  name: 'vault',
  domainKey: new Uint8Array(0),
  encryption: {
    wrapped: Uint8Array.from({ length: 98 }, (_, index) => 255 - index),
    source: { kind: 'command', from: '/usr/bin/vault read key' },
  },
};

export const sampleCompressed: ResourceRecord = { ...sampleVolume, compression: 'zstd:5' };
