/** Any range of a body, opened on the way where it is sealed. Whoever reads holds the body. */
import type { Catalog } from '../catalog/catalog.js';
import type { ObjectRecord } from '../catalog/object_records.js';
import { SkerryError } from '../core/errors.js';
import type { Bodies } from './bodies.js';
import { partsFrom, segmentsOf, segmentsWithin } from './body_parts.js';
import { checkKeyGiven, sealed } from './sealing.js';

export interface BodyReading {
  readonly catalog: Catalog;
  readonly bodies: Bodies;
}

export interface ReadOrder {
  readonly offset: number;
  readonly bytes: number;
  /** Of an object that is sealed. */
  readonly objectKey?: Uint8Array | undefined;
}

/** @throws SkerryError denied (object-sealed) at once; corrupt */
export function readBody(reading: BodyReading, record: ObjectRecord, order: ReadOrder): AsyncGenerator<Buffer, void> {
  const { catalog, bodies } = reading;
  const { offset, bytes, objectKey } = order;
  checkKeyGiven(record.attributes.seal, objectKey);
  if (objectKey !== undefined) return opened(reading, record, { offset, bytes, objectKey });
  return bodies.read(segmentsWithin(catalog, record.id, record.body, offset, bytes));
}

async function* opened(
  { catalog, bodies }: BodyReading,
  { id, body }: ObjectRecord,
  { offset, bytes, objectKey }: { readonly offset: number; readonly bytes: number; readonly objectKey: Uint8Array },
): AsyncGenerator<Buffer, void> {
  const end = offset + bytes;
  for await (const part of partsFrom(catalog, id, body, offset)) {
    if (part.offset >= end) return;
    if (part.salt === undefined) throw new SkerryError('corrupt', `a part of object ${id} has no salt`);
    const from = Math.max(offset - part.offset, 0);
    const to = Math.min(end - part.offset, part.bytes);
    yield* sealed(objectKey, part.salt, from, bodies.read(segmentsOf(part, from, to)));
  }
}
