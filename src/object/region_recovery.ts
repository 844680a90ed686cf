/**
 * After a start: what an earlier life left in regions of shelves and never named. Nothing new is ever put into those regions,
 * so whatever lies between the extents that the catalog has is nobody's.
 */
import type { Catalog } from '../catalog/catalog.js';
import { extentKey, extentsPrefix, lastNumber, regionKey, regionPrefix } from '../catalog/object_keys.js';
import { decodeExtent, decodeRegion } from '../catalog/shelf_records.js';
import type { ShelfWriter } from './shelf_writer.js';

const extents_per_read_max = 512;

export interface OldRegion {
  readonly shelf: number;
  readonly start: number;
  readonly bytes: number;
  readonly grain: number;
}

/** Before the first body of this life is written: all that are open now are of earlier ones. */
export async function findOldRegions(catalog: Catalog): Promise<readonly OldRegion[]> {
  return (await catalog.range(regionPrefix)).map(({ key, value }) => ({
    shelf: lastNumber(key.slice(0, key.lastIndexOf('/'))),
    start: lastNumber(key),
    ...decodeRegion(value),
  }));
}

/** Trims what is nobody's in one of them, durably, and closes it. Idempotent. */
export async function recoverRegion(catalog: Catalog, writer: ShelfWriter, region: OldRegion, stop?: AbortSignal): Promise<void> {
  const { shelf, start, bytes, grain } = region;
  const end = start + bytes;
  let at = start;
  for (let after = beforeExtent(shelf, start); ; ) {
    if (stop?.aborted === true) return;
    const page = await catalog.range(extentsPrefix(shelf), { after, entriesMax: extents_per_read_max });
    for (const { key, value } of page) {
      const offset = lastNumber(key);
      if (offset >= end) break;
      if (offset > at) await writer.trim(shelf, at, offset - at);
      at = offset + Math.ceil(decodeExtent(value).bytes / grain) * grain;
    }
    const last = page.at(-1);
    if (last === undefined || page.length < extents_per_read_max || lastNumber(last.key) >= end) break;
    after = last.key;
  }
  if (at < end) await writer.trim(shelf, at, end - at);
  await writer.flush(shelf);
  await catalog.transact([], [{ key: regionKey(shelf, start), value: null }]);
}

/** Sorts before the extent at `offset`, and after all before it. */
function beforeExtent(shelf: number, offset: number): string {
  return offset === 0 ? extentsPrefix(shelf) : extentKey(shelf, offset - 1);
}
