/**
 * Who owns which extent. Each segment of a record of the catalog counts once, in the transaction that makes or removes the
 * record; an extent without owners is trimmed, and its record goes.
 */
import type { Catalog, Compare, Write } from '../catalog/catalog.js';
import { extentKey, knownKey } from '../catalog/object_keys.js';
import type { Segment } from '../catalog/object_records.js';
import { decodeExtent, decodeKnown, encodeExtent, type ExtentRecord } from '../catalog/shelf_records.js';
import { SkerryError } from '../core/errors.js';
import { KeyedLocks } from '../mapper/locks.js';
import type { ShelfWriter } from './shelf_writer.js';

export interface ExtentsOptions {
  readonly catalog: Catalog;
  readonly writer: ShelfWriter;
}

interface Known {
  readonly key: string;
  readonly shelf: number;
  readonly offset: number;
  /** Segments that name it here. */
  readonly segments: number;
  readonly found: (ExtentRecord & { readonly revision: number }) | null;
}

export class Extents {
  readonly #options: ExtentsOptions;
  /** Held over what is read of extents and the transaction that is decided on it. No other lock is taken meanwhile. */
  readonly #locks = new KeyedLocks();

  constructor(options: ExtentsOptions) {
    this.#options = options;
  }

  /**
   * Runs `commit` with what makes `segments` owners of their extents. The caller holds a body that owns them (BodyHolds).
   * @throws SkerryError corrupt where one of these is not there
   */
  share<T>(
    segments: readonly Segment[],
    commit: (compares: readonly Compare[], writes: readonly Write[]) => Promise<T>,
  ): Promise<T> {
    return this.#withAll(segments, async (all) => {
      const absent = all.find(({ found }) => found === null);
      if (absent !== undefined) throw new SkerryError('corrupt', `${absent.key} is not in the catalog, and a body names it`);
      return commit(all.map(comparison), all.map(counted(1)));
    });
  }

  /**
   * The same for `owners` that name one extent, which nobody holds: `sum` is that of what it is to have, and an extent has its sum until
   * it is about to be trimmed. @returns null where it is not there any more
   */
  shareKnown<T>(
    segment: Segment,
    sum: Uint8Array,
    owners: number,
    commit: (compares: readonly Compare[], writes: readonly Write[]) => Promise<T>,
  ): Promise<T | null> {
    return this.#withAll([segment], async (all) => {
      const same = all.every(({ found }) => found?.sum !== undefined && Buffer.compare(found.sum, sum) === 0);
      return same ? commit(all.map(comparison), all.map(counted(owners))) : null;
    });
  }

  /**
   * Takes back what `segments` owned: trims extents that nobody owns any more, and makes that durable together with `also`, what
   * else says that they are released. A crash in between leaves them released, to be trimmed again, and found by nobody.
   * `reasons`: the records that say so, as they were read. What they gave back once is not taken from its other owners as well.
   * @returns false where one of the reasons is not as it was read: nothing is done then
   */
  release(segments: readonly Segment[], reasons: readonly Compare[], also: readonly Write[]): Promise<boolean> {
    return this.#withAll(segments, async (all) => {
      const { writer, catalog } = this.#options;
      // Before the trim, which no transaction takes back; only a release changes them, and that holds the same locks.
      for (const { key, revision } of reasons) if (((await catalog.get(key))?.revision ?? 0) !== revision) return false;
      const there = await this.#forgotten(all.filter(({ found }) => found !== null));
      const last = there.filter(isLast);
      for (const { shelf, offset, found } of last) await writer.trim(shelf, offset, found?.bytes ?? 0);
      for (const shelf of new Set(last.map((one) => one.shelf))) await writer.flush(shelf);
      const compares = [...reasons, ...there.map(comparison)];
      const outcome = await catalog.transact(compares, [...there.map(counted(-1)), ...also]);
      if (outcome.outcome === 'conflict') throw changedMeanwhile(outcome.key);
      return true;
    });
  }

  /** The same, where extents that are about to be trimmed are not found by their content any more: durably, for so is the trim. */
  async #forgotten(there: readonly Known[]): Promise<readonly Known[]> {
    const { catalog } = this.#options;
    const compares: Compare[] = [];
    const writes: Write[] = [];
    const forgotten = new Map<string, ExtentRecord>();
    for (const one of there) {
      const { key, shelf, offset, found } = one;
      if (found?.sum === undefined || !isLast(one)) continue;
      const { bytes, owners, sum } = found;
      forgotten.set(key, { bytes, owners });
      compares.push(comparison(one));
      writes.push({ key, value: encodeExtent({ bytes, owners }) });
      const known = await catalog.get(knownKey(sum));
      const place = known === null ? null : decodeKnown(known.value);
      if (known === null || place?.shelf !== shelf || place.offset !== offset) continue;
      compares.push({ key: known.key, revision: known.revision });
      writes.push({ key: known.key, value: null });
    }
    if (writes.length === 0) return there;
    const outcome = await catalog.transact(compares, writes);
    if (outcome.outcome === 'conflict') throw changedMeanwhile(outcome.key);
    const { revision } = outcome;
    return there.map((one) => {
      const record = forgotten.get(one.key);
      return record === undefined ? one : { ...one, found: { ...record, revision } };
    });
  }

  #withAll<T>(segments: readonly Segment[], work: (all: readonly Known[]) => Promise<T>): Promise<T> {
    const counts = new Map<string, { readonly shelf: number; readonly offset: number; segments: number }>();
    for (const { shelf, extent: offset } of segments) {
      const key = extentKey(shelf, offset);
      const known = counts.get(key);
      if (known === undefined) counts.set(key, { shelf, offset, segments: 1 });
      else known.segments += 1;
    }
    return this.#locks.run([...counts.keys()], async () => {
      const all: Known[] = [];
      for (const [key, place] of counts) {
        const entry = await this.#options.catalog.get(key);
        all.push({ key, ...place, found: entry === null ? null : { ...decodeExtent(entry.value), revision: entry.revision } });
      }
      return work(all);
    });
  }
}

const comparison = ({ key, found }: Known): Compare => ({ key, revision: found?.revision ?? 0 });

const counted =
  (by: number) =>
  ({ key, found, segments }: Known): Write => {
    const owners = (found?.owners ?? 0) + by * segments;
    return { key, value: owners <= 0 || found === null ? null : encodeExtent({ ...found, owners }) };
  };

/** These are all of its owners. */
const isLast = ({ found, segments }: Known): boolean => found !== null && found.owners <= segments;

function changedMeanwhile(key: string): SkerryError {
  return new SkerryError('try-again', `${key} of the catalog changed meanwhile`);
}
