/** How bytes that are stored become a version: the steps that put, copy and complete have in common. */
import type { Catalog, Compare, Write } from '../catalog/catalog.js';
import type { Attributes, BodyPart, Checksum } from '../catalog/object_records.js';
import type { Naming, StoredBody } from './bodies.js';
import { bodyOf } from './body_parts.js';
import type { Reservation } from './meter.js';
import type { Coming, Transact } from './versions.js';

/** What is to become a version. */
export interface Content {
  readonly parts: readonly BodyPart[];
  readonly etag: string;
  readonly checksum: Checksum | null;
  readonly multipart: boolean;
  readonly upload?: number;
  readonly attributes: Attributes;
}

export function comingOf(id: number, now: number, content: Content, also: readonly Write[]): Coming {
  const { parts, ...facts } = content;
  const { body, writes } = bodyOf(id, parts);
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
  const record = { id, isNull: false, deleteMarker: false, bytes, modifiedAt: now, body, ...facts };
  return { record, compares: [], writes: [...writes, ...also] };
}

export function partsOfBody(
  { bytes, segments }: Pick<StoredBody, 'bytes' | 'segments'>,
  salt: Uint8Array | undefined,
): readonly BodyPart[] {
  return bytes === 0 ? [] : [{ bytes, checksum: '', segments, ...(salt === undefined ? {} : { salt }) }];
}

/** Of a body whose length nobody told. Where there is no room for it nothing of it stays. */
export async function extended(reservation: Reservation, stored: StoredBody): Promise<void> {
  try {
    reservation.extend({ bytes: stored.bytes, objects: 0 });
  } catch (error) {
    await stored.abandon();
    throw error;
  }
}

/** A body was not named, and never will be: it relied on what is not so any more. */
export class StaleBody extends Error {}

/**
 * Runs `work`, which names a stored body by the transaction that it is given. Where that rejects nobody can say whether it was
 * made, not even by reading: what is there may not be durable. So the body stays until the next start, which knows.
 * @throws StaleBody where it is to be stored once more; what `work` throws
 */
export async function named<T>(catalog: Catalog, stored: StoredBody, work: (transact: Transact) => Promise<T>): Promise<T> {
  let state: 'unnamed' | 'in doubt' | 'named' = 'unnamed';
  const commit: (compares: readonly Compare[], writes: readonly Write[]) => Promise<Naming> =
    stored.commit ?? ((...asked) => catalog.transact(...asked));
  const transact: Transact = async (compares, writes) => {
    state = 'in doubt';
    const naming = await commit(compares, writes);
    state = naming !== 'stale' && naming.outcome === 'committed' ? 'named' : 'unnamed';
    if (naming === 'stale') throw new StaleBody();
    return naming;
  };
  // A function, for what it says changes while work() is under way.
  const isNow = (one: typeof state): boolean => state === one;
  try {
    const result = await work(transact);
    stored.kept();
    return result;
  } catch (error) {
    if (isNow('in doubt')) stored.leave();
    else if (isNow('named')) stored.kept();
    else await stored.abandon();
    throw error;
  }
}
