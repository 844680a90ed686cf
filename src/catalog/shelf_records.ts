/** What the catalog holds of the shelves that bodies of objects lie in (docs/formats/object_records.md). */
import protobuf from 'protobufjs';

import { SkerryError } from '../core/errors.js';
import { segmentFields, segmentOf, type Segment } from './object_records.js';
import { decode, encode, exact, record_version } from './records.js';

/** A hidden volume. Addresses in it are given out once, in regions, and count up only. */
export interface ShelfRecord {
  /** Resource id. */
  readonly id: number;
  /** Bytes from here on were never given out. */
  readonly next: number;
}

/** A run of a shelf that a daemon puts bodies in. It is there until all in it is known to be committed or trimmed. */
export interface RegionRecord {
  readonly bytes: number;
  /** Extents in it begin and end at multiples of this. */
  readonly grain: number;
}

/** Of an extent with a sum: a Skerry that trims it and does not take the sum away first must not touch it. */
export const known_extent_version = 2;
/** Of what an extent holds, under a key of the account whose it is. */
export const known_sum_bytes = 32;

/** A body's run of bytes in a shelf. */
export interface ExtentRecord {
  readonly bytes: number;
  /** Segments that name it. */
  readonly owners: number;
  /** The record under knownKey() of this leads here. Absent: nobody finds the extent by what it holds. */
  readonly sum?: Uint8Array;
}

/** Where a small body lies that may come again. */
export interface KnownRecord {
  readonly shelf: number;
  /** Of the extent. */
  readonly offset: number;
}

/** What nothing names any more, and upkeep has to take back. */
export interface ReleasedRecord {
  readonly segments: readonly Segment[];
  /** Records of a chained body, of which the first is `chainFirst`; those before it are dealt with. */
  readonly chainFirst: number;
  readonly chainCount: number;
}

const schema = protobuf.Root.fromJSON({
  nested: {
    Shelf: { fields: { version: { type: 'uint32', id: 1 }, id: { type: 'uint64', id: 2 }, next: { type: 'uint64', id: 3 } } },
    Region: {
      fields: { version: { type: 'uint32', id: 1 }, bytes: { type: 'uint64', id: 2 }, grain: { type: 'uint64', id: 3 } },
    },
    Extent: {
      fields: {
        version: { type: 'uint32', id: 1 },
        bytes: { type: 'uint64', id: 2 },
        owners: { type: 'uint64', id: 3 },
        sum: { type: 'bytes', id: 4 },
      },
    },
    Known: {
      fields: { version: { type: 'uint32', id: 1 }, shelf: { type: 'uint64', id: 2 }, offset: { type: 'uint64', id: 3 } },
    },
    Segment: {
      fields: {
        shelf: { type: 'uint64', id: 1 },
        extent: { type: 'uint64', id: 2 },
        start: { type: 'uint64', id: 3 },
        bytes: { type: 'uint64', id: 4 },
      },
    },
    Released: {
      fields: {
        version: { type: 'uint32', id: 1 },
        segments: { rule: 'repeated', type: 'Segment', id: 2 },
        chainFirst: { type: 'uint32', id: 3 },
        chainCount: { type: 'uint32', id: 4 },
      },
    },
  },
});

const shelfType = schema.lookupType('Shelf');
const regionType = schema.lookupType('Region');
const extentType = schema.lookupType('Extent');
const knownType = schema.lookupType('Known');
const releasedType = schema.lookupType('Released');

export function encodeShelf({ id, next }: ShelfRecord): Uint8Array {
  return encode(shelfType, { version: record_version, id: exact(id, 'id'), next: exact(next, 'next') });
}

/** @throws SkerryError corrupt, or unsupported for a newer version; so do all of these. */
export function decodeShelf(data: Uint8Array): ShelfRecord {
  const fields = decode(shelfType, data, 'shelf');
  return { id: fields.number('id'), next: fields.number('next') };
}

export function encodeRegion({ bytes, grain }: RegionRecord): Uint8Array {
  return encode(regionType, { version: record_version, bytes: exact(bytes, 'bytes'), grain: exact(grain, 'grain') });
}

export function decodeRegion(data: Uint8Array): RegionRecord {
  const fields = decode(regionType, data, 'region');
  return { bytes: fields.number('bytes'), grain: fields.number('grain') };
}

export function encodeExtent({ bytes, owners, sum }: ExtentRecord): Uint8Array {
  const fields = { bytes: exact(bytes, 'bytes'), owners: exact(owners, 'owners') };
  if (sum === undefined) return encode(extentType, { version: record_version, ...fields });
  if (sum.length !== known_sum_bytes) throw new RangeError(`a sum has ${known_sum_bytes} bytes`);
  return encode(extentType, { version: known_extent_version, ...fields, sum });
}

export function decodeExtent(data: Uint8Array): ExtentRecord {
  const fields = decode(extentType, data, 'extent', known_extent_version);
  const record = { bytes: fields.number('bytes'), owners: fields.number('owners') };
  const sum = fields.bytes('sum');
  if (sum.length === 0) return record;
  if (sum.length !== known_sum_bytes)
    throw new SkerryError('corrupt', `an extent record of the catalog has a sum of ${sum.length} bytes`);
  return { ...record, sum };
}

export function encodeKnown({ shelf, offset }: KnownRecord): Uint8Array {
  return encode(knownType, { version: record_version, shelf: exact(shelf, 'shelf'), offset: exact(offset, 'offset') });
}

export function decodeKnown(data: Uint8Array): KnownRecord {
  const fields = decode(knownType, data, 'known body');
  return { shelf: fields.number('shelf'), offset: fields.number('offset') };
}

export function encodeReleased({ segments, chainFirst, chainCount }: ReleasedRecord): Uint8Array {
  return encode(releasedType, { version: record_version, segments: segments.map(segmentFields), chainFirst, chainCount });
}

export function decodeReleased(data: Uint8Array): ReleasedRecord {
  const fields = decode(releasedType, data, 'released body');
  return {
    segments: fields.messages('segments').map(segmentOf),
    chainFirst: fields.number('chainFirst'),
    chainCount: fields.number('chainCount'),
  };
}
