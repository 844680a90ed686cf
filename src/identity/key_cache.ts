/**
 * What access keys open, as it was read: a request must not wait for the catalog and a decryption. Whatever changes a key, its
 * user or its account takes it out, whoever made the change.
 */
import type { Catalog } from '../catalog/catalog.js';
import { accessKeyPrefix, accountPrefix, userPrefix } from '../catalog/keys.js';
import { isSkerryError } from '../core/errors.js';
import { pause } from '../core/pause.js';

const keys_max = 10_000;
/** Before the catalog is watched again where that failed. */
const watch_pause_milliseconds = 100;
const watchedPrefixes = [accessKeyPrefix, accountPrefix, userPrefix];

export interface KeyCacheOptions<T> {
  readonly catalog: Catalog;
  /** null is not kept: keys that do not exist are without number. */
  readonly read: (accessKey: string) => Promise<T | null>;
}

export class KeyCache<T> {
  readonly #options: KeyCacheOptions<T>;
  /** Those used last come last. */
  readonly #kept = new Map<string, T>();
  readonly #ending = new AbortController();
  /** Grows with each change: what was read before one and comes after it is not kept. */
  #changes = 0;
  /** Prefixes that are not watched just now: nothing is kept meanwhile. */
  #unwatched = 0;

  constructor(options: KeyCacheOptions<T>) {
    this.#options = options;
    for (const prefix of watchedPrefixes) void this.#watch(prefix);
  }

  async get(accessKey: string): Promise<T | null> {
    const kept = this.#kept.get(accessKey);
    if (kept !== undefined) {
      this.#kept.delete(accessKey);
      this.#kept.set(accessKey, kept);
      return kept;
    }
    const changes = this.#changes;
    const read = await this.#options.read(accessKey);
    const isCurrent = changes === this.#changes && this.#unwatched === 0;
    if (read !== null && isCurrent && !this.#ending.signal.aborted) this.#keep(accessKey, read);
    return read;
  }

  /** For who has just changed it: the catalog's word comes a moment later. */
  forget(accessKey: string): void {
    this.#changes += 1;
    this.#kept.delete(accessKey);
  }

  forgetAll(): void {
    this.#changes += 1;
    this.#kept.clear();
  }

  close(): void {
    this.#ending.abort();
    this.forgetAll();
  }

  #keep(accessKey: string, read: T): void {
    this.#kept.set(accessKey, read);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > keys_max && oldest !== undefined) this.#kept.delete(oldest);
  }

  async #watch(prefix: string): Promise<void> {
    const { catalog } = this.#options;
    while (!this.#ending.signal.aborted) {
      try {
        for await (const { writes } of catalog.watch(prefix, this.#ending.signal)) {
          // Accounts and users change rarely, and what hangs on one is not known here.
          if (prefix !== accessKeyPrefix) this.forgetAll();
          else for (const { key } of writes) this.forget(key.slice(prefix.length));
        }
        // The catalog was closed: nothing can be read any more.
        return;
      } catch (error) {
        // Too far behind: what was missed may be any of them.
        this.forgetAll();
        if (isSkerryError(error, 'closed')) return;
        this.#unwatched += 1;
        await pause(watch_pause_milliseconds, this.#ending.signal);
        this.#unwatched -= 1;
        // What was read meanwhile, and comes when it is watched, may have changed in between.
        this.#changes += 1;
      }
    }
  }
}
