/**
 * The list of a body's parts: in the object's record where it is short, in records of its own where it is long, so that
 * listing objects of ten thousand parts costs no more than listing small ones.
 */
import type { Catalog, Write } from '../catalog/catalog.js';
import { bodyPartsKey } from '../catalog/object_keys.js';
import {
  decodeBodyParts,
  emptyBody,
  encodeBodyParts,
  type BodyPart,
  type BodyRecord,
  type Segment,
} from '../catalog/object_records.js';
import { SkerryError } from '../core/errors.js';

const inline_segments_max = 16;
const segments_per_record_max = 1024;

export interface PartRange {
  readonly offset: number;
  readonly bytes: number;
  readonly checksum: string;
}

/** What the record of the body `id` holds, and what is to be written beside it. */
export function bodyOf(id: number, parts: readonly BodyPart[]): { readonly body: BodyRecord; readonly writes: readonly Write[] } {
  if (parts.length === 0) return { body: emptyBody, writes: [] };
  const weight = ({ segments }: BodyPart): number => Math.max(segments.length, 1);
  if (parts.reduce((sum, part) => sum + weight(part), 0) <= inline_segments_max)
    return { body: { parts, chain: [] }, writes: [] };
  const records: BodyPart[][] = [];
  let room = 0;
  for (const part of parts) {
    if (room < weight(part) || records.length === 0) {
      records.push([]);
      room = segments_per_record_max;
    }
    records.at(-1)?.push(part);
    room -= weight(part);
  }
  const chain = records.map((record) => ({
    bytes: record.reduce((sum, { bytes }) => sum + bytes, 0),
    parts: record.length,
    segments: record.reduce((sum, { segments }) => sum + segments.length, 0),
  }));
  const writes = records.map((record, index) => ({ key: bodyPartsKey(id, index), value: encodeBodyParts(record) }));
  return { body: { parts: [], chain }, writes };
}

export function segmentCount({ parts, chain }: BodyRecord): number {
  return [...parts.map((part) => part.segments.length), ...chain.map((link) => link.segments)].reduce((a, b) => a + b, 0);
}

export function partCount({ parts, chain }: BodyRecord): number {
  return parts.length + chain.reduce((sum, link) => sum + link.parts, 0);
}

/** From the first one that holds byte `offset`, with where it begins. Reads only records that are wanted. */
export async function* partsFrom(
  catalog: Catalog,
  id: number,
  body: BodyRecord,
  offset: number,
): AsyncGenerator<BodyPart & { readonly offset: number }> {
  let begin = 0;
  for (const part of body.parts) {
    if (begin + part.bytes > offset) yield { ...part, offset: begin };
    begin += part.bytes;
  }
  for (const [index, link] of body.chain.entries()) {
    if (begin + link.bytes <= offset) {
      begin += link.bytes;
      continue;
    }
    for (const part of await linkedParts(catalog, id, index)) {
      if (begin + part.bytes > offset) yield { ...part, offset: begin };
      begin += part.bytes;
    }
  }
}

/** Segments that hold bytes [offset, offset + length) and no others. Of a body of one part they are known without asking the catalog. */
export function segmentsWithin(
  catalog: Catalog,
  id: number,
  body: BodyRecord,
  offset: number,
  length: number,
): Iterable<Segment> | AsyncIterable<Segment> {
  const { parts, chain } = body;
  const [first] = parts;
  if (first !== undefined && parts.length === 1 && chain.length === 0) return segmentsOf(first, offset, offset + length);
  return segmentsOfParts(catalog, id, body, offset, length);
}

async function* segmentsOfParts(
  catalog: Catalog,
  id: number,
  body: BodyRecord,
  offset: number,
  length: number,
): AsyncGenerator<Segment> {
  const end = offset + length;
  for await (const part of partsFrom(catalog, id, body, offset)) {
    yield* segmentsOf(part, offset - part.offset, end - part.offset);
    if (part.offset + part.bytes >= end) return;
  }
}

/** Those of one part that hold its bytes [first, end), which may be beyond its bounds. */
export function* segmentsOf({ segments }: Pick<BodyPart, 'segments'>, first: number, end: number): Generator<Segment, void> {
  let at = 0;
  for (const segment of segments) {
    const from = Math.max(at, first);
    const to = Math.min(at + segment.bytes, end);
    if (from < to) yield { ...segment, start: segment.start + from - at, bytes: to - from };
    at += segment.bytes;
  }
}

/** Parts after the first `skipped`, at most `partsMax`: their places and checksums. */
export async function partRanges(
  catalog: Catalog,
  id: number,
  body: BodyRecord,
  skipped: number,
  partsMax: number,
): Promise<readonly PartRange[]> {
  const found: PartRange[] = [];
  let index = 0;
  let offset = 0;
  const take = (parts: readonly BodyPart[]): void => {
    for (const { bytes, checksum } of parts) {
      if (index >= skipped && found.length < partsMax) found.push({ offset, bytes, checksum });
      index += 1;
      offset += bytes;
    }
  };
  take(body.parts);
  for (const [number, link] of body.chain.entries()) {
    if (found.length >= partsMax) break;
    if (index + link.parts > skipped) take(await linkedParts(catalog, id, number));
    else {
      index += link.parts;
      offset += link.bytes;
    }
  }
  return found;
}

async function linkedParts(catalog: Catalog, id: number, index: number): Promise<readonly BodyPart[]> {
  const entry = await catalog.get(bodyPartsKey(id, index));
  if (entry === null) throw new SkerryError('corrupt', `record ${index} of the body of object ${id} is not in the catalog`);
  return decodeBodyParts(entry.value);
}
