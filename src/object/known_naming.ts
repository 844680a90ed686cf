/**
 * Names bodies that lie in an extent which is there. Each counts the extent's owners up, so a transaction of its own for each would have
 * whoever puts the same content wait for all others: those that have come meanwhile go together.
 */
import type { Catalog, Compare, Write } from '../catalog/catalog.js';
import { extentKey } from '../catalog/object_keys.js';
import type { Segment } from '../catalog/object_records.js';
import type { Naming } from './bodies.js';
import type { Extents } from './extents.js';

const joined_max = 64;

/** All of an extent, and the sum that it is found by. */
export interface KnownExtent {
  readonly segment: Segment;
  readonly sum: Uint8Array;
}

export interface KnownNamingOptions {
  readonly catalog: Pick<Catalog, 'transact'>;
  readonly extents: Pick<Extents, 'shareKnown'>;
}

interface Wish {
  readonly compares: readonly Compare[];
  readonly writes: readonly Write[];
  readonly resolve: (naming: Naming) => void;
  readonly reject: (error: unknown) => void;
}

export class KnownNaming {
  readonly #options: KnownNamingOptions;
  /** By the extent's key, where somebody is at it. */
  readonly #waiting = new Map<string, Wish[]>();

  constructor(options: KnownNamingOptions) {
    this.#options = options;
  }

  /** `writes` name the extent once more. @throws SkerryError of the catalog, and then it may have been made or not */
  name(extent: KnownExtent, compares: readonly Compare[], writes: readonly Write[]): Promise<Naming> {
    const key = extentKey(extent.segment.shelf, extent.segment.extent);
    return new Promise((resolve, reject) => {
      const wish = { compares, writes, resolve, reject };
      const line = this.#waiting.get(key);
      if (line !== undefined) line.push(wish);
      else {
        const begun = [wish];
        this.#waiting.set(key, begun);
        void this.#serve(extent, key, begun);
      }
    });
  }

  /** Rejects never. */
  async #serve(extent: KnownExtent, key: string, line: Wish[]): Promise<void> {
    while (line.length > 0) {
      const batch = independent(line);
      line.splice(0, line.length, ...line.filter((wish) => !batch.includes(wish)));
      if (await this.#nameAll(extent, batch)) continue;
      for (const wish of batch) await this.#nameAll(extent, [wish]);
    }
    // In the turn that saw the line empty: nobody stands in it who is not served.
    this.#waiting.delete(key);
  }

  /** @returns false where one of several did not hold: nothing was written, and nobody told */
  async #nameAll({ segment, sum }: KnownExtent, batch: readonly Wish[]): Promise<boolean> {
    const { catalog, extents } = this.#options;
    const compares = batch.flatMap((wish) => wish.compares);
    const writes = batch.flatMap((wish) => wish.writes);
    try {
      const outcome = await extents.shareKnown(segment, sum, batch.length, (others, counts) =>
        catalog.transact([...compares, ...others], [...writes, ...counts]),
      );
      if (outcome?.outcome === 'conflict' && batch.length > 1) return false;
      for (const { resolve } of batch) resolve(outcome ?? 'stale');
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
    return true;
  }
}

/** The first, and others that neither write what one of these looks at or writes, nor look at what one of these writes. */
function independent(line: readonly Wish[]): readonly Wish[] {
  const batch: Wish[] = [];
  const written = new Set<string>();
  const compared = new Set<string>();
  for (const wish of line) {
    if (batch.length === joined_max) break;
    const { compares, writes } = wish;
    const meets = writes.some(({ key }) => written.has(key) || compared.has(key)) || compares.some(({ key }) => written.has(key));
    if (meets) continue;
    batch.push(wish);
    for (const { key } of writes) written.add(key);
    for (const { key } of compares) compared.add(key);
  }
  return batch;
}
