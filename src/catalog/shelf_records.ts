/** What the catalog holds of the shelves that bodies of objects lie in (docs/formats/object_records.md). */
import protobuf from 'protobufjs';

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

/** A body's run of bytes in a shelf. */
export interface ExtentRecord {
  readonly bytes: number;
  /** Segments that name it. */
  readonly owners: number;
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
      fields: { version: { type: 'uint32', id: 1 }, bytes: { type: 'uint64', id: 2 }, owners: { type: 'uint64', id: 3 } },
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

export function encodeExtent({ bytes, owners }: ExtentRecord): Uint8Array {
  return encode(extentType, { version: record_version, bytes: exact(bytes, 'bytes'), owners: exact(owners, 'owners') });
}

export function decodeExtent(data: Uint8Array): ExtentRecord {
  const fields = decode(extentType, data, 'extent');
  return { bytes: fields.number('bytes'), owners: fields.number('owners') };
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
