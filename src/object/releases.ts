/**
 * Takes back bodies that nothing names any more. Whoever removes or replaces an object only leaves a record that says so, in
 * the transaction that does it: so a deletion costs the same for one byte as for ten thousand parts.
 */
import type { Catalog, Compare, Write } from '../catalog/catalog.js';
import { bodyPartsKey, lastNumber, releasedKey, releasedPrefix } from '../catalog/object_keys.js';
import { decodeBodyParts, type BodyRecord, type Segment } from '../catalog/object_records.js';
import { decodeReleased, encodeReleased, type ReleasedRecord } from '../catalog/shelf_records.js';
import type { BodyHolds } from './body_holds.js';
import type { Extents } from './extents.js';
import type { FirstFailure } from './first_failure.js';

/** Taken back in one transaction. */
const bodies_per_batch_max = 64;

interface ReleasedBody {
  readonly id: number;
  readonly record: ReleasedRecord;
  /** The record as it was read. */
  readonly reason: Compare;
}

/** What says that the body `id` is named no more; null where it has nothing to take back. */
export function releaseOf(id: number, body: BodyRecord): Write | null {
  const segments = body.parts.flatMap((part) => part.segments);
  if (segments.length === 0 && body.chain.length === 0) return null;
  return { key: releasedKey(id), value: encodeReleased({ segments, chainFirst: 0, chainCount: body.chain.length }) };
}

export interface ReleasesOptions {
  readonly catalog: Catalog;
  readonly extents: Extents;
  readonly holds: BodyHolds;
}

export class Releases {
  readonly #options: ReleasesOptions;

  constructor(options: ReleasesOptions) {
    this.#options = options;
  }

  /**
   * Takes back what is released now and not being read. @returns how many bodies are left because they are
   * What fails is told to `failures`, and done by the next run. @throws SkerryError of reading the catalog
   */
  async run(failures: FirstFailure, stop?: AbortSignal): Promise<number> {
    const { catalog, holds } = this.#options;
    let left = 0;
    for (let after: string | undefined; ; ) {
      if (stop?.aborted === true) return left;
      const page = await catalog.range(releasedPrefix, {
        entriesMax: bodies_per_batch_max,
        ...(after === undefined ? {} : { after }),
      });
      after = page.at(-1)?.key;
      if (after === undefined) return left;
      // Whoever began to look for one of these bodies before it was released has found it by now.
      await holds.decided();
      const free = page
        .map(({ key, value, revision }) => ({ id: lastNumber(key), record: decodeReleased(value), reason: { key, revision } }))
        .filter(({ id }) => !holds.isHeld(id));
      left += page.length - free.length;
      const plain = free.filter(({ record }) => record.chainCount === 0);
      // One by one where they cannot go together: a pool that is away keeps nothing of others.
      const together = plain.length > 1 && (await failures.of(() => this.#takeBack(plain), false));
      if (!together) for (const body of plain) await failures.of(() => this.#takeBack([body]));
      for (const { id, record } of free) if (record.chainCount > 0) await failures.of(() => this.#takeChainBack(id, stop));
    }
  }

  /** All in one transaction; each by itself where another run has taken one of them back since. */
  async #takeBack(bodies: readonly ReleasedBody[]): Promise<void> {
    if (bodies.length === 0) return;
    const released = await this.#options.extents.release(
      bodies.flatMap(({ record }) => record.segments),
      bodies.map(({ reason }) => reason),
      bodies.map(({ reason }) => ({ key: reason.key, value: null })),
    );
    if (released || bodies.length === 1) return;
    for (const body of bodies) await this.#takeBack([body]);
  }

  /** One record of its parts at a time, and what is left is written down each time: read again, for another run may go on with it. */
  async #takeChainBack(id: number, stop?: AbortSignal): Promise<void> {
    const { catalog, extents } = this.#options;
    for (;;) {
      if (stop?.aborted === true) return;
      const released = await catalog.get(releasedKey(id));
      if (released === null) return;
      const record = decodeReleased(released.value);
      const key = bodyPartsKey(id, record.chainFirst);
      const entry = await catalog.get(key);
      const segments: readonly Segment[] =
        entry === null ? [] : decodeBodyParts(entry.value).flatMap((part) => [...part.segments]);
      const done = record.chainFirst + 1 === record.chainCount;
      const rest = done ? null : encodeReleased({ ...record, chainFirst: record.chainFirst + 1 });
      await extents.release(
        segments,
        [{ key: released.key, revision: released.revision }],
        [
          { key, value: null },
          { key: released.key, value: rest },
        ],
      );
    }
  }
}
