import type { LogChunk } from '../../../src/pool/log_chunk.js';
import type { RootChunk, Tombstone } from '../../../src/pool/root_chunk.js';

export const poolUuid = Uint8Array.from({ length: 16 }, (_, index) => index * 16);

export const sampleRoot: RootChunk = {
  poolUuid,
  id: 0x1234,
  kind: 'snapshot',
  name: 'vm1@before-upgrade',
  fence: 5,
  number: 17,
  sizeBytes: 10 * 2 ** 40,
  appliedSequence: 2 ** 52 + 1,
  root: {
    id: Uint8Array.from({ length: 32 }, (_, index) => 255 - index),
    levels: 3,
    pack: 42,
    offset: 65_536,
    storedBytes: 8704,
  },
  durability: 'local',
  cache: 'writeback',
  description: 'Datenträger 1',
  createdAt: 1_700_000_000_123,
  writtenAt: 1_700_000_099_999,
  parentId: 7,
  parentName: 'vm1',
  pendingOf: 0,
  lineage: 0,
  labels: {},
  limit: { iops: 0, bandwidth: 0, burst: 0 },
  access: null,
  log: null,
};

/** With all that came after the first root chunks. */
export const sampleRolledBack: RootChunk = { ...sampleRoot, lineage: 3, labels: { role: 'db', 'team/owner': 'Bücher' } };

/** With what a volume may use, and who may attach it. */
export const sampleRestricted: RootChunk = {
  ...sampleRolledBack,
  kind: 'volume',
  name: 'vm1',
  limit: { iops: 500, bandwidth: 2 ** 40, burst: 30 },
  access: {
    grants: [
      { kind: 'certificate', client: 'backup.example', readOnly: true },
      { kind: 'user', client: '1000', readOnly: false },
    ],
  },
};
/** A list, and nobody on it: that is not the same as no list. */
export const sampleClosed: RootChunk = { ...sampleRoot, access: { grants: [] } };

export const sampleTombstone: Tombstone = {
  poolUuid,
  id: 0x1234,
  kind: 'snapshot',
  name: 'vm1@before-upgrade',
  deletedAt: 1_700_000_100_000,
};

/** Of a volume that flushes to its pool. */
export const sampleLogged: RootChunk = {
  ...sampleRestricted,
  kind: 'volume',
  name: 'ledger',
  durability: 'pool',
  log: { fence: 4, from: 2 ** 52 + 2, first: 17, older: { fence: 2, from: 2 ** 40, first: 300, until: 2 ** 52 + 1 } },
};

export const sampleLogChunk: LogChunk = {
  poolUuid,
  volume: 0x1234,
  fence: 4,
  number: 2 ** 33,
  firstSequence: 2 ** 52 + 2,
  lastSequence: 2 ** 52 + 9,
  settled: 2 ** 33 - 3,
  entries: Uint8Array.from({ length: 96 }, (_, index) => index * 5),
};
