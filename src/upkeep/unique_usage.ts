/** Counts what each account holds that is distinct, and has it stand in its usage: one walk over the maps, now and then. */
import type { Catalog } from '../catalog/catalog.js';
import { domainShelvesPrefix, shelfDomain } from '../catalog/object_keys.js';
import { decodeShelf } from '../catalog/shelf_records.js';
import { toSkerryError } from '../core/errors.js';
import { pause } from '../core/pause.js';
import type { Usage } from '../identity/usage.js';
import type { Space } from '../mapper/space.js';

export interface UniqueUsageOptions {
  readonly catalog: Pick<Catalog, 'range'>;
  readonly space: Pick<Space, 'distinctBytes'>;
  readonly usage: Pick<Usage, 'noteUnique'>;
  /** Of a domain of blocks; null for one that is no account's. */
  readonly accountOf: (domain: number) => number | null;
  readonly log: (level: 'warn', message: string, fields: Readonly<Record<string, unknown>>) => void;
  /** Between two counts; 0: never. */
  readonly milliseconds: number;
}

export class UniqueUsage {
  readonly #options: UniqueUsageOptions;
  readonly #stopping = new AbortController();

  constructor(options: UniqueUsageOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#options.milliseconds > 0) void this.#again();
  }

  /** A walk that is under way ends with the engine, and nothing comes of it. */
  stop(): void {
    this.#stopping.abort();
  }

  /** Never rejects. */
  async count(): Promise<void> {
    const { space, usage, log, milliseconds } = this.#options;
    try {
      const shelves = await this.#shelves();
      if (shelves.length === 0) return;
      const bytesOf = await space.distinctBytes({ ageMilliseconds: 0, waitMilliseconds: milliseconds });
      // Of some of the pools it would be too little.
      if (bytesOf === null || this.#stopping.signal.aborted) return;
      const sums = new Map<number, number>();
      for (const { id, account } of shelves) sums.set(account, (sums.get(account) ?? 0) + (bytesOf.get(id) ?? 0));
      for (const [account, bytes] of sums) usage.noteUnique(account, bytes);
    } catch (error) {
      const { code, message } = toSkerryError(error);
      if (code !== 'closed' && !this.#stopping.signal.aborted)
        log('warn', 'what accounts hold that is distinct could not be counted', { error: message });
    }
  }

  /** Those of accounts. One account has several in a pool only past the size of the largest volume; what they share counts for each. */
  async #shelves(): Promise<{ readonly id: number; readonly account: number }[]> {
    const { catalog, accountOf } = this.#options;
    return (await catalog.range(domainShelvesPrefix)).flatMap(({ key, value }) => {
      const account = accountOf(shelfDomain(key));
      return account === null ? [] : [{ id: decodeShelf(value).id, account }];
    });
  }

  /** The first count is a while after the start, which has other things to do. */
  async #again(): Promise<void> {
    const { signal } = this.#stopping;
    for (;;) {
      await pause(this.#options.milliseconds, signal);
      if (signal.aborted) return;
      await this.count();
    }
  }
}
