/**
 * Entries that every request for a bucket reads, as they were read last. They are those of the catalog at any moment: what a transaction writes is not
 * kept from before it begins until its outcome is known, and is read anew then. Only the one process that has the catalog writes it.
 */
import type { CatalogEntry } from './catalog.js';
import { bucketDocumentPrefix, bucketPrefix } from './object_keys.js';

/** Of values; a larger one is read each time. */
const kept_bytes_max = 8 << 20;
const value_bytes_max = 32 << 10;
const entries_max = 16_384;

export class KeptEntries {
  /** null: there is none. Those kept longest come first. */
  readonly #kept = new Map<string, CatalogEntry | null>();
  /** How many transactions under way write it. */
  readonly #changing = new Map<string, number>();
  #bytes = 0;

  /** Whoever gets an entry twice gets the same object, and changes nothing in it. */
  get(key: string, read: (key: string) => CatalogEntry | null): CatalogEntry | null {
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept;
    const found = read(key);
    if (isKept(key, found) && !this.#changing.has(key)) this.#keep(key, found);
    return found;
  }

  /** What get() would give without reading; undefined: it would read. */
  known(key: string): CatalogEntry | null | undefined {
    return this.#kept.get(key);
  }

  /** Before a transaction that writes these begins. */
  begin(keys: readonly string[]): void {
    for (const key of keys) {
      if (!isRead(key)) continue;
      this.#forget(key);
      this.#changing.set(key, (this.#changing.get(key) ?? 0) + 1);
    }
  }

  /** Its outcome is known, whatever that is. */
  end(keys: readonly string[]): void {
    for (const key of keys) {
      const others = (this.#changing.get(key) ?? 0) - 1;
      if (others > 0) this.#changing.set(key, others);
      else this.#changing.delete(key);
    }
  }

  #keep(key: string, entry: CatalogEntry | null): void {
    this.#kept.set(key, entry);
    this.#bytes += bytesOf(entry);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= entries_max && this.#bytes <= kept_bytes_max) return;
      this.#forget(oldest);
    }
  }

  #forget(key: string): void {
    this.#bytes -= bytesOf(this.#kept.get(key) ?? null);
    this.#kept.delete(key);
  }
}

function isRead(key: string): boolean {
  return key.startsWith(bucketPrefix) || key.startsWith(bucketDocumentPrefix);
}

/** That a bucket has no such document is kept; names of buckets that there are not are without number. */
function isKept(key: string, found: CatalogEntry | null): boolean {
  if (found === null) return key.startsWith(bucketDocumentPrefix);
  return isRead(key) && found.value.length <= value_bytes_max;
}

function bytesOf(entry: CatalogEntry | null): number {
  return entry === null ? 0 : entry.value.length;
}
