/** A catalog in memory whose transactions take a while, and fail when they are told to: before anything was written, or after all was. */
import type {
  Catalog,
  CatalogChange,
  CatalogEntry,
  Compare,
  RangeOptions,
  TransactOutcome,
  Write,
} from '../../../src/catalog/catalog.js';
import { SkerryError } from '../../../src/core/errors.js';

export type Fault = 'none' | 'before' | 'after';

export class MemoryCatalog implements Catalog {
  readonly #entries = new Map<string, CatalogEntry>();
  #revision = 0;
  /** How the next transaction ends. */
  next: () => Fault = () => 'none';
  /** How many turns of the loop a transaction takes. */
  turns: () => number = () => 1;

  async get(key: string): Promise<CatalogEntry | null> {
    return this.#entries.get(key) ?? null;
  }

  kept(key: string): CatalogEntry | null | undefined {
    return this.#entries.get(key);
  }

  async range(prefix: string, { after = '', entriesMax = Number.POSITIVE_INFINITY }: RangeOptions = {}): Promise<CatalogEntry[]> {
    const keys = [...this.#entries.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
    return keys.slice(0, entriesMax).flatMap((key) => this.#entries.get(key) ?? []);
  }

  async transact(compares: readonly Compare[], writes: readonly Write[]): Promise<TransactOutcome> {
    const fault = this.next();
    for (let turn = this.turns(); turn > 0; turn -= 1) await new Promise((resolve) => setImmediate(resolve));
    if (fault === 'before') throw new SkerryError('io', 'the disk failed before');
    for (const { key, revision } of compares) {
      const found = this.#entries.get(key)?.revision ?? 0;
      if (found !== revision) return { outcome: 'conflict', key, revision: found };
    }
    this.#revision += 1;
    for (const { key, value } of writes) {
      if (value === null) this.#entries.delete(key);
      else this.#entries.set(key, { key, value: Uint8Array.from(value), revision: this.#revision });
    }
    if (fault === 'after') throw new SkerryError('io', 'the disk failed after');
    return { outcome: 'committed', revision: this.#revision };
  }

  async *watch(_prefix: string, signal?: AbortSignal): AsyncIterable<CatalogChange> {
    if (signal?.aborted !== true) await new Promise((resolve) => signal?.addEventListener('abort', resolve));
    yield* [];
  }

  lease(): never {
    throw new SkerryError('unsupported', 'no leases here');
  }

  async close(): Promise<void> {}
}
