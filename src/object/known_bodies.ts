/**
 * Small bodies that come again. Those below a block lie in shelves page by page, in the order in which they came, so the blocks that they
 * make are never those of before: a second upload is found here, by a sum of its content, and shares the extent of the first.
 *
 * Sums are keyed, by account and pool: what one account has nobody learns in another.
 */
import { createHmac } from 'node:crypto';

import type { Catalog } from '../catalog/catalog.js';
import type { BucketRecord } from '../catalog/object_records.js';
import { knownKey } from '../catalog/object_keys.js';
import { decodeKnown, encodeKnown } from '../catalog/shelf_records.js';
import { block_bytes } from '../core/limits.js';
import type { Bodies, BodyOrder, StoredBody } from './bodies.js';
import type { Extents } from './extents.js';
import { KnownNaming } from './known_naming.js';
import { StaleBody } from './making.js';
import { SmallContent } from './small_content.js';

/** After so many times that what was found has gone, or that what was not there has come, the body is stored and not remembered. */
const attempts_max = 4;
const keys_max = 10_000;

/** The deduplication key of an account, 32 bytes, which never changes; null where it cannot be had. */
export type DomainKeys = (account: number) => Promise<Uint8Array | null>;

export interface KnownBodiesOptions {
  readonly catalog: Catalog;
  readonly bodies: Pick<Bodies, 'write'>;
  readonly extents: Pick<Extents, 'shareKnown'>;
  /** Absent: nothing is known again. */
  readonly domainKeys: DomainKeys | undefined;
}

interface SmallBody {
  readonly order: BodyOrder;
  readonly bytes: number;
  readonly sum: Uint8Array;
}

export class KnownBodies {
  readonly #options: KnownBodiesOptions;
  /** By pool and account. */
  readonly #keys = new Map<string, Uint8Array>();
  readonly #naming: KnownNaming;

  constructor(options: KnownBodiesOptions) {
    this.#options = options;
    this.#naming = new KnownNaming(options);
  }

  /**
   * Runs `work`, which names the body that it is given (`named`): one that is there already where the account has that content, else one
   * that is stored. It runs again where another put or upkeep came in between. `account`: null where what comes is to be stored whatever is there.
   * @throws SkerryError of storing; what `work` throws
   */
  async storing<T>(order: BodyOrder, account: number | null, work: (stored: StoredBody) => Promise<T>): Promise<T> {
    const { bodies } = this.#options;
    const { bytes, pool } = order;
    const key = account === null || !isSmall(bytes) ? null : await this.#keyOf(account, pool);
    if (bytes === null || key === null) return work(await bodies.write(order));
    const whole = await gathered(order, bytes);
    const again = (): BodyOrder => ({ ...order, content: new SmallContent(async () => whole) });
    // Storing it says what is wrong with it.
    if (whole.length !== bytes) return work(await bodies.write(again()));
    const sum = Uint8Array.from(createHmac('sha256', key).update(whole).digest());
    for (let attempt = 1; attempt < attempts_max; attempt += 1) {
      const body = { order: again(), bytes, sum };
      try {
        return await work((await this.#found(body)) ?? (await this.#first(body)));
      } catch (error) {
        if (!(error instanceof StaleBody)) throw error;
      }
    }
    return work(await bodies.write(again()));
  }

  /** Nothing of it is to be written. */
  async #found({ bytes, sum }: SmallBody): Promise<StoredBody | null> {
    const { catalog } = this.#options;
    const entry = await catalog.get(knownKey(sum));
    if (entry === null) return null;
    const { shelf, offset: extent } = decodeKnown(entry.value);
    const segment = { shelf, extent, start: 0, bytes };
    return {
      bytes,
      segments: [segment],
      writes: [],
      commit: (compares, writes) => this.#naming.name({ segment, sum }, compares, writes),
      kept: () => undefined,
      abandon: () => Promise.resolve(),
      leave: () => undefined,
    };
  }

  /** Stored, and found from then on. */
  async #first({ order, sum }: SmallBody): Promise<StoredBody> {
    const { catalog, bodies } = this.#options;
    const stored = await bodies.write({ ...order, sum });
    const [segment, ...more] = stored.segments;
    if (segment === undefined || more.length > 0) return stored;
    const { shelf, extent: offset } = segment;
    const key = knownKey(sum);
    return {
      ...stored,
      writes: [...stored.writes, { key, value: encodeKnown({ shelf, offset }) }],
      // Of two at once the second finds the first, and lets go of its own.
      commit: async (compares, writes) => {
        const outcome = await catalog.transact([...compares, { key, revision: 0 }], writes);
        return outcome.outcome === 'conflict' && outcome.key === key ? 'stale' : outcome;
      },
    };
  }

  async #keyOf(account: number, pool: string): Promise<Uint8Array | null> {
    const name = `${account} ${pool}`;
    const there = this.#keys.get(name);
    if (there !== undefined) return there;
    const domainKey = (await this.#options.domainKeys?.(account)) ?? null;
    if (domainKey === null) return null;
    const key = Uint8Array.from(createHmac('sha256', domainKey).update(`known bodies in pool ${pool}`).digest());
    if (this.#keys.size >= keys_max) this.#keys.clear();
    this.#keys.set(name, key);
    return key;
  }
}

/**
 * The account whose content is looked through; null for none. Not that of a bucket where another one writes: it would learn by the time that
 * this takes what is there.
 */
export function domainOf(
  { account, objectKey }: { readonly account?: number; readonly objectKey?: Uint8Array },
  bucket: Pick<BucketRecord, 'account'>,
): number | null {
  return objectKey === undefined && account === bucket.account ? account : null;
}

/** Longer ones begin at blocks of their own, which are found again by their ids. */
function isSmall(bytes: number | null): boolean {
  return bytes !== null && bytes > 0 && bytes < block_bytes;
}

/** All of it, or a piece more than was announced, in memory of its own: what passes is used again. */
async function gathered({ content }: BodyOrder, bytes: number): Promise<Uint8Array> {
  if (content instanceof SmallContent) return content.whole();
  const whole = Buffer.allocUnsafe(bytes);
  let filled = 0;
  for await (const piece of content) {
    if (filled + piece.length > bytes) return Buffer.concat([whole.subarray(0, filled), piece]);
    whole.set(piece, filled);
    filled += piece.length;
  }
  return whole.subarray(0, filled);
}
