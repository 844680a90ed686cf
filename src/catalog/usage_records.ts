/** What the catalog knows of how much is stored and how it was used: shards that are counted, and slices of time (docs/formats/catalog.md). */
import protobuf from 'protobufjs';

import { decode, encode, exact, number, record_version } from './records.js';

/**
 * One of the numbers whose sum is what a bucket holds. Each may be below zero by itself, for an object that one shard counted may
 * have been taken off another: so there are two fields for each, of which one is 0.
 */
export interface CountedRecord {
  readonly account: number;
  readonly bucket: string;
  readonly shard: number;
  readonly addedBytes: number;
  readonly removedBytes: number;
  readonly addedObjects: number;
  readonly removedObjects: number;
}

/** read: also of what is known about an object. write: also of what is known, a deletion not. */
export const operationClasses = ['read', 'write', 'delete', 'list', 'other'] as const;
export type OperationClass = (typeof operationClasses)[number];

/** aborted: the client was gone before its answer was. */
export const statusClasses = ['2xx', '3xx', '4xx', '5xx', 'aborted'] as const;
export type StatusClass = (typeof statusClasses)[number];

export interface UsageCell {
  readonly operation: OperationClass;
  readonly status: StatusClass;
  readonly requests: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export interface UsageSliceRecord {
  /** Milliseconds since 1970, the beginning of the hour. */
  readonly hour: number;
  readonly account: number;
  /** '' for requests that are about no bucket. */
  readonly bucket: string;
  readonly cells: readonly UsageCell[];
  /** What was stored when it was last looked in this hour, and at most; null where nobody looked. */
  readonly stored: StoredSample | null;
  /** Of an account, under no bucket: its distinct blocks, in bytes, when they were last counted in this hour; null where nobody did. */
  readonly uniqueBytes: number | null;
}

export interface StoredSample {
  readonly bytes: number;
  readonly objects: number;
  readonly bytesMax: number;
  readonly objectsMax: number;
}

const schema = protobuf.Root.fromJSON({
  nested: {
    Counted: {
      fields: {
        version: { type: 'uint32', id: 1 },
        account: { type: 'uint64', id: 2 },
        bucket: { type: 'string', id: 3 },
        shard: { type: 'uint64', id: 4 },
        addedBytes: { type: 'uint64', id: 5 },
        removedBytes: { type: 'uint64', id: 6 },
        addedObjects: { type: 'uint64', id: 7 },
        removedObjects: { type: 'uint64', id: 8 },
      },
    },
    UsageSlice: {
      fields: {
        version: { type: 'uint32', id: 1 },
        hour: { type: 'uint64', id: 2 },
        account: { type: 'uint64', id: 3 },
        bucket: { type: 'string', id: 4 },
        cells: { rule: 'repeated', type: 'Cell', id: 5 },
        stored: { type: 'Stored', id: 6 },
        unique: { type: 'Unique', id: 7 },
      },
    },
    Unique: { fields: { bytes: { type: 'uint64', id: 1 } } },
    Cell: {
      fields: {
        operation: { type: 'uint32', id: 1 },
        status: { type: 'uint32', id: 2 },
        requests: { type: 'uint64', id: 3 },
        bytesIn: { type: 'uint64', id: 4 },
        bytesOut: { type: 'uint64', id: 5 },
      },
    },
    Stored: {
      fields: {
        bytes: { type: 'uint64', id: 1 },
        objects: { type: 'uint64', id: 2 },
        bytesMax: { type: 'uint64', id: 3 },
        objectsMax: { type: 'uint64', id: 4 },
      },
    },
  },
});

const countedType = schema.lookupType('Counted');
const usageType = schema.lookupType('UsageSlice');

export function encodeCounted(record: CountedRecord): Uint8Array {
  for (const field of ['account', 'shard', 'addedBytes', 'removedBytes', 'addedObjects', 'removedObjects'] as const)
    exact(record[field], field);
  return encode(countedType, { ...record, version: record_version });
}

/** @throws SkerryError corrupt, or unsupported for a newer version. */
export function decodeCounted(data: Uint8Array): CountedRecord {
  const fields = decode(countedType, data, 'counted');
  return {
    account: fields.number('account'),
    bucket: fields.text('bucket'),
    shard: fields.number('shard'),
    addedBytes: fields.number('addedBytes'),
    removedBytes: fields.number('removedBytes'),
    addedObjects: fields.number('addedObjects'),
    removedObjects: fields.number('removedObjects'),
  };
}

export function encodeUsageSlice(record: UsageSliceRecord): Uint8Array {
  exact(record.account, 'account');
  const cells = record.cells.map(({ operation, status, ...numbers }) => {
    for (const [name, value] of Object.entries(numbers)) exact(value, name);
    return { ...numbers, operation: number(operationClasses, operation), status: number(statusClasses, status) };
  });
  for (const [name, value] of Object.entries(record.stored ?? {})) exact(value as number, name);
  const { stored, uniqueBytes, ...fields } = record;
  return encode(usageType, {
    ...fields,
    ...(stored === null ? {} : { stored }),
    ...(uniqueBytes === null ? {} : { unique: { bytes: exact(uniqueBytes, 'uniqueBytes') } }),
    version: record_version,
    hour: exact(record.hour, 'hour'),
    cells,
  });
}

/** @throws SkerryError corrupt, or unsupported for a newer version. */
export function decodeUsageSlice(data: Uint8Array): UsageSliceRecord {
  const fields = decode(usageType, data, 'usage slice');
  const stored = fields.optional('stored');
  return {
    hour: fields.number('hour'),
    account: fields.number('account'),
    bucket: fields.text('bucket'),
    cells: fields.messages('cells').map((cell) => ({
      operation: cell.choice('operation', operationClasses),
      status: cell.choice('status', statusClasses),
      requests: cell.number('requests'),
      bytesIn: cell.number('bytesIn'),
      bytesOut: cell.number('bytesOut'),
    })),
    stored:
      stored === null
        ? null
        : {
            bytes: stored.number('bytes'),
            objects: stored.number('objects'),
            bytesMax: stored.number('bytesMax'),
            objectsMax: stored.number('objectsMax'),
          },
    uniqueBytes: fields.optional('unique')?.number('bytes') ?? null,
  };
}
