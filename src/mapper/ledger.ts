/**
 * Resource records in the catalog, and what waits on what. Every change is one transaction that compares the revisions of
 * what it replaces, so a verb and a root commit that meet on one record cannot undo each other.
 */
import type { Catalog, Compare, Write } from '../catalog/catalog.js';
import { decodeId, encodeId, nameKey, namePrefix, resourceKey, resourcePrefix } from '../catalog/keys.js';
import { decodeResource, encodeResource, type ResourceKind, type ResourceRecord } from '../catalog/records.js';
import { SkerryError } from '../core/errors.js';

export interface LedgerEntry {
  readonly record: ResourceRecord;
  readonly revision: number;
}

export type LedgerChange =
  | { readonly change: 'insert'; readonly record: ResourceRecord }
  | { readonly change: 'update'; readonly from: LedgerEntry; readonly record: ResourceRecord }
  | { readonly change: 'remove'; readonly from: LedgerEntry };

const update_attempts_max = 16;
const records_per_page = 1024;

export class Ledger {
  readonly #catalog: Catalog;
  /** Ids of what waits for the root of a resource. Small: only what is pending is in it. */
  readonly #waiting = new Map<number, Set<number>>();
  /** Resources without a name: anchors of clones, and what is being deleted. */
  readonly #nameless = new Set<number>();

  private constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /** Reads every record once, and answers with them, ascending by id. */
  static async open(catalog: Catalog): Promise<{ readonly ledger: Ledger; readonly entries: readonly LedgerEntry[] }> {
    const ledger = new Ledger(catalog);
    const entries = (await catalog.range(resourcePrefix)).map(({ value, revision }) => ({
      record: decodeResource(value),
      revision,
    }));
    for (const { record } of entries) ledger.#enter(record);
    return { ledger, entries };
  }

  async get(id: number): Promise<LedgerEntry | null> {
    const found = await this.#catalog.get(resourceKey(id));
    return found === null ? null : { record: decodeResource(found.value), revision: found.revision };
  }

  /** What has this name, half imported images included. */
  async find(kind: ResourceKind, name: string): Promise<LedgerEntry | null> {
    const named = await this.#catalog.get(nameKey(kind, name));
    return named === null ? null : this.get(decodeId(named.value));
  }

  /** Those whose name begins with `begin`, ascending by name; at most `entriesMax`. */
  async list(kind: ResourceKind, begin = '', entriesMax?: number): Promise<readonly LedgerEntry[]> {
    const names = await this.#catalog.range(namePrefix(kind, begin), entriesMax === undefined ? {} : { entriesMax });
    const found = await Promise.all(names.map(({ value }) => this.get(decodeId(value))));
    // What was removed between the two reads is not there.
    return found.filter((entry) => entry !== null);
  }

  /** Some resource in this pool, whatever its state; null where there is none. Reads all records: for rare verbs. */
  async anyIn(pool: string): Promise<ResourceRecord | null> {
    for (let after: string | undefined; ; ) {
      const page = await this.#catalog.range(resourcePrefix, {
        entriesMax: records_per_page,
        ...(after === undefined ? {} : { after }),
      });
      for (const { value } of page) {
        const record = decodeResource(value);
        if (record.pool === pool) return record;
      }
      after = page.at(-1)?.key;
      if (page.length < records_per_page) return null;
    }
  }

  /** Ids of snapshots and clones that wait for the root of `id`. */
  waitingOn(id: number): readonly number[] {
    return [...(this.#waiting.get(id) ?? [])];
  }

  /** Ids of resources without a name. */
  nameless(): readonly number[] {
    return [...this.#nameless];
  }

  /**
   * All changes or none, durable when it resolves.
   * @throws SkerryError exists where a name is taken, try-again where a record changed meanwhile; else of the catalog, and
   * then the changes may have been made or not.
   */
  async commit(changes: readonly LedgerChange[]): Promise<void> {
    const compares: Compare[] = [];
    const writes: Write[] = [];
    for (const change of changes) {
      const before = change.change === 'insert' ? null : change.from;
      const after = change.change === 'remove' ? null : change.record;
      const id = before?.record.id ?? after?.id ?? 0;
      compares.push({ key: resourceKey(id), revision: before?.revision ?? 0 });
      writes.push({ key: resourceKey(id), value: after === null ? null : encodeResource(after) });
      const nameBefore = nameOf(before?.record ?? null);
      const nameAfter = nameOf(after);
      if (nameBefore === nameAfter) continue;
      if (nameBefore !== null) writes.push({ key: nameBefore, value: null });
      if (nameAfter !== null) {
        compares.push({ key: nameAfter, revision: 0 });
        writes.push({ key: nameAfter, value: encodeId(id) });
      }
    }
    const outcome = await this.#catalog.transact(compares, writes);
    if (outcome.outcome === 'conflict') {
      if (outcome.key.startsWith(resourcePrefix)) throw new SkerryError('try-again', `${outcome.key} changed meanwhile`);
      throw new SkerryError('exists', `the name ${outcome.key.split('/').at(-1) ?? ''} is taken`);
    }
    for (const change of changes) {
      if (change.change !== 'insert') this.#leave(change.from.record);
      if (change.change !== 'remove') this.#enter(change.record);
    }
  }

  /** Changes one record by what `next` makes of it as it is now; null where there is none, or where `next` wants no change. */
  async update(id: number, next: (record: ResourceRecord) => ResourceRecord | null): Promise<ResourceRecord | null> {
    for (let attempt = 1; ; attempt += 1) {
      const from = await this.get(id);
      const record = from === null ? null : next(from.record);
      if (from === null || record === null) return null;
      try {
        await this.commit([{ change: 'update', from, record }]);
        return record;
      } catch (error) {
        const lostRace = error instanceof SkerryError && error.code === 'try-again';
        if (!lostRace || attempt === update_attempts_max) throw error;
      }
    }
  }

  #enter(record: ResourceRecord): void {
    if (record.name === '') this.#nameless.add(record.id);
    if (record.pendingOf === 0) return;
    const waiting = this.#waiting.get(record.pendingOf);
    if (waiting === undefined) this.#waiting.set(record.pendingOf, new Set([record.id]));
    else waiting.add(record.id);
  }

  #leave(record: ResourceRecord): void {
    this.#nameless.delete(record.id);
    const waiting = this.#waiting.get(record.pendingOf);
    waiting?.delete(record.id);
    if (waiting?.size === 0) this.#waiting.delete(record.pendingOf);
  }
}

function nameOf(record: ResourceRecord | null): string | null {
  return record === null || record.name === '' ? null : nameKey(record.kind, record.name);
}
