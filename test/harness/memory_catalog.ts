/** The catalog's contract in memory, for tests that ask much of it: what is committed outlives whoever uses it. */
import type { Catalog, CatalogEntry, Compare, RangeOptions, TransactOutcome, Write } from '../../src/catalog/catalog.ts';
import { SkerryError } from '../../src/core/errors.ts';

export class MemoryCatalog implements Catalog {
  /** Of the next transactions: 'before' fails without making one, 'after' makes it and fails. */
  readonly faults: ('before' | 'after')[] = [];
  /** Of transactions from here on: after so many turns each is made, by turns of the list. */
  delays: readonly number[] = [1];
  entriesRead = 0;
  /** That were committed. */
  transactions = 0;
  #asked = 0;
  readonly #entries = new Map<string, CatalogEntry>();
  /** Ascending. */
  readonly #keys: string[] = [];
  #revision = 0;
  #life = 0;
  #over = false;

  /** Whoever uses it now is dead: nothing of what they ask comes about, or is answered. */
  freeze(): void {
    this.#life += 1;
    this.#over = true;
  }

  /** For the next life. What the one before waits for never comes. */
  thaw(): void {
    this.#over = false;
  }

  async get(key: string): Promise<CatalogEntry | null> {
    return this.#entries.get(check(key)) ?? null;
  }

  kept(key: string): CatalogEntry | null | undefined {
    return this.#entries.get(key);
  }

  async range(prefix: string, { after = '', entriesMax = Number.POSITIVE_INFINITY }: RangeOptions = {}) {
    const found: CatalogEntry[] = [];
    for (let at = this.#place(after > prefix ? after : prefix); at < this.#keys.length && found.length < entriesMax; at += 1) {
      const key = this.#keys[at] ?? '';
      if (!key.startsWith(prefix)) break;
      const entry = this.#entries.get(key);
      if (key !== after && entry !== undefined) found.push(entry);
    }
    this.entriesRead += found.length;
    return found;
  }

  async transact(compares: readonly Compare[], writes: readonly Write[]): Promise<TransactOutcome> {
    const fault = this.faults.shift();
    const life = this.#life;
    this.#asked += 1;
    for (let turn = this.delays[this.#asked % this.delays.length] ?? 1; turn > 0; turn -= 1) await Promise.resolve();
    if (this.#over || life !== this.#life) return new Promise(() => undefined);
    if (fault === 'before') throw new SkerryError('io', 'the catalog cannot be written');
    for (const { key, revision } of compares) {
      const found = this.#entries.get(check(key))?.revision ?? 0;
      if (found !== revision) return { outcome: 'conflict', key, revision: found };
    }
    if (new Set(writes.map(({ key }) => key)).size !== writes.length) throw new SkerryError('invalid', 'a key is written twice');
    this.#revision += 1;
    this.transactions += 1;
    for (const { key, value } of writes) this.#write(check(key), value);
    if (fault === 'after') throw new SkerryError('io', 'the catalog cannot be synced');
    return { outcome: 'committed', revision: this.#revision };
  }

  keys(prefix: string): readonly string[] {
    return this.#keys.filter((key) => key.startsWith(prefix));
  }

  /** Tells of nothing: whoever changes something here is the one that would be told. */
  // oxlint-disable-next-line require-yield
  async *watch(_prefix: string, signal?: AbortSignal): AsyncGenerator<never> {
    if (signal?.aborted === true) return;
    await new Promise((resolve) => signal?.addEventListener('abort', resolve, { once: true }));
  }

  async lease(): Promise<never> {
    throw new Error('nobody leases here');
  }

  async close(): Promise<void> {}

  #write(key: string, value: Uint8Array | null): void {
    const place = this.#place(key);
    const there = this.#keys[place] === key;
    if (value === null) {
      if (there) this.#keys.splice(place, 1);
      this.#entries.delete(key);
      return;
    }
    if (!there) this.#keys.splice(place, 0, key);
    this.#entries.set(key, { key, value: Uint8Array.from(value), revision: this.#revision });
  }

  /** Of the first key that is not before this one. */
  #place(key: string): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#keys[middle] ?? '') < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function check(key: string): string {
  if (key.length > 1536 || !/^[!-~]+$/.test(key)) throw new SkerryError('invalid', `${key} is no key of the catalog`);
  return key;
}
