/** What the catalog knows of volumes that are copied to another pool again and again (docs/formats/catalog.md). */
import protobuf from 'protobufjs';

import { decode, encode, exact, record_version } from './records.js';

export interface ReplicationRecord {
  /** Of the volume. */
  readonly id: number;
  readonly to: string;
  readonly everySeconds: number;
  /** Replicas that are kept. */
  readonly keep: number;
  /** Milliseconds since 1970; of the last replica that became whole, 0: none yet. */
  readonly startedAt: number;
  readonly lastAt: number;
  /** Ids of the snapshot that was copied last, and of the image that it became; 0: none. The next copy is by the difference. */
  readonly snapshot: number;
  readonly replica: number;
}

const type = protobuf.Root.fromJSON({
  nested: {
    Replication: {
      fields: {
        version: { type: 'uint32', id: 1 },
        id: { type: 'uint64', id: 2 },
        to: { type: 'string', id: 3 },
        everySeconds: { type: 'uint64', id: 4 },
        keep: { type: 'uint32', id: 5 },
        startedAt: { type: 'uint64', id: 6 },
        lastAt: { type: 'uint64', id: 7 },
        snapshot: { type: 'uint64', id: 8 },
        replica: { type: 'uint64', id: 9 },
      },
    },
  },
}).lookupType('Replication');

export function encodeReplication(record: ReplicationRecord): Uint8Array {
  for (const field of ['id', 'everySeconds', 'keep', 'startedAt', 'lastAt', 'snapshot', 'replica'] as const)
    exact(record[field], field);
  return encode(type, { ...record, version: record_version });
}

/** @throws SkerryError corrupt, or unsupported for a newer version. */
export function decodeReplication(data: Uint8Array): ReplicationRecord {
  const fields = decode(type, data, 'replication');
  return {
    id: fields.number('id'),
    to: fields.text('to'),
    everySeconds: fields.number('everySeconds'),
    keep: fields.number('keep'),
    startedAt: fields.number('startedAt'),
    lastAt: fields.number('lastAt'),
    snapshot: fields.number('snapshot'),
    replica: fields.number('replica'),
  };
}
