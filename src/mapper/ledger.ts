/**
 * Resource records in the catalog, and what waits on what. Every change is one transaction that compares the revisions of
 * what it replaces, so a verb and a root commit that meet on one record cannot undo each other.
 */
import type { Catalog, Compare, Write } from '../catalog/catalog.js';
import {
  decodeId,
  encodeId,
  idOfKey,
  nameKey,
  namePrefix,
  ownNameKey,
  resourceKey,
  resourcePrefix,
  rootDueKey,
  rootDuePrefix,
} from '../catalog/keys.js';
import { decodeResource, encodeResource, type ResourceKind, type ResourceRecord } from '../catalog/records.js';
import { SkerryError } from '../core/errors.js';
import { UnreadLogs } from './unread_logs.js';

export interface LedgerEntry {
  readonly record: ResourceRecord;
  readonly revision: number;
}

export type LedgerChange =
  /** `rootDue`: its root chunk is not in the pool, which is noted in the same transaction. */
  | { readonly change: 'insert'; readonly record: ResourceRecord; readonly rootDue?: boolean }
  | { readonly change: 'update'; readonly from: LedgerEntry; readonly record: ResourceRecord }
  | { readonly change: 'remove'; readonly from: LedgerEntry };

export interface ListOptions {
  /** Names that come after this one. */
  readonly after?: string;
  readonly entriesMax?: number;
}

/** How many of a kind can be seen by name, and their sizes together. */
export interface LedgerTotal {
  readonly count: number;
  readonly sizeBytes: number;
}

const nothing: LedgerTotal = { count: 0, sizeBytes: 0 };
const update_attempts_max = 16;
const entries_per_read_max = 1024;

export class Ledger {
  /** Of volumes that are known, and not served yet. */
  readonly unreadLogs = new UnreadLogs();
  readonly #catalog: Catalog;
  /** Ids of what waits for the root of a resource. Small: only what is pending is in it. */
  readonly #waiting = new Map<number, Set<number>>();
  /** Resources without a name: anchors of clones, and what is being deleted. */
  readonly #nameless = new Set<number>();
  /** Those of them that nothing waits for, so that they can go, with the pool of each. */
  readonly #removable = new Map<number, string>();
  /** Resources whose root chunk their pool does not have yet, with what each was cloned from, or 0. */
  readonly #rootsDue = new Map<number, { readonly parentId: number; readonly pool: string }>();
  /** How many of those were cloned from a resource. */
  readonly #clonesDue = new Map<number, number>();
  /** What each resource adds to the totals: taken off as it was added, also where a change came about that failed to say so. */
  readonly #counted = new Map<number, { readonly kind: ResourceKind; readonly pool: string; readonly sizeBytes: number }>();
  readonly #observers = new Set<(record: ResourceRecord) => void>();
  /** By kind and pool. */
  readonly #totals = new Map<string, LedgerTotal>();

  private constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /** Reads every record once, and answers with them, ascending by id. */
  static async open(catalog: Catalog): Promise<{ readonly ledger: Ledger; readonly entries: readonly LedgerEntry[] }> {
    const ledger = new Ledger(catalog);
    const entries: LedgerEntry[] = [];
    for (let after = ''; ; ) {
      // In parts, so that what was read is gone again before more is.
      const part = await catalog.range(resourcePrefix, { after, entriesMax: entries_per_read_max });
      for (const { value, revision } of part) {
        const record = decodeResource(value);
        entries.push({ record, revision });
        ledger.#enter(record);
      }
      if (part.length < entries_per_read_max) break;
      after = part.at(-1)?.key ?? '';
    }
    const due = new Set((await catalog.range(rootDuePrefix)).map(({ key }) => idOfKey(key)));
    for (const { record } of entries) if (due.delete(record.id)) ledger.#noteDue(record);
    const ofNothing = [...due].map((id) => ({ key: rootDueKey(id), value: null }));
    if (ofNothing.length > 0) await catalog.transact([], ofNothing);
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

  /** Those whose name begins with `begin`, ascending by name. */
  async list(kind: ResourceKind, begin = '', { after, entriesMax }: ListOptions = {}): Promise<readonly LedgerEntry[]> {
    const names = await this.#catalog.range(namePrefix(kind, begin), {
      ...(after === undefined ? {} : { after: nameKey(kind, after) }),
      ...(entriesMax === undefined ? {} : { entriesMax }),
    });
    const found = await Promise.all(names.map(({ value }) => this.get(decodeId(value))));
    // What was removed between the two reads is not there.
    return found.filter((entry) => entry !== null);
  }

  /** Some resource in this pool, whatever its state; null where there is none. Reads all records: for rare verbs. */
  async anyIn(pool: string): Promise<ResourceRecord | null> {
    for await (const record of this.recordsIn(pool)) return record;
    return null;
  }

  /** All in this pool, whatever their state, page by page. */
  async *recordsIn(pool: string): AsyncGenerator<ResourceRecord> {
    for (let after: string | undefined; ; ) {
      const page = await this.#catalog.range(resourcePrefix, {
        entriesMax: entries_per_read_max,
        ...(after === undefined ? {} : { after }),
      });
      for (const { value } of page) {
        const record = decodeResource(value);
        if (record.pool === pool) yield record;
      }
      after = page.at(-1)?.key;
      if (page.length < entries_per_read_max) return;
    }
  }

  /** Ids of snapshots and clones that wait for the root of `id`. */
  waitingOn(id: number): readonly number[] {
    return [...(this.#waiting.get(id) ?? [])];
  }

  /**
   * Whether anything needs the resource yet: it waits for its root, or is a clone whose own root chunk is not in the pool, so
   * that this one's is all that the pool knows of what they share.
   */
  isNeeded(id: number): boolean {
    return this.#waiting.has(id) || this.#clonesDue.has(id);
  }

  /** Ids of resources without a name. */
  nameless(): readonly number[] {
    return [...this.#nameless];
  }

  /** Ids of those in the pool without a name that nothing needs, and that are not among `but`; at most `idsMax`. */
  removable(pool: string, idsMax: number, but: ReadonlySet<number> = new Set()): readonly number[] {
    return firstOf(this.#removable, idsMax, (id, of) => of === pool && !but.has(id) && !this.#clonesDue.has(id));
  }

  /** Ids of those whose root chunk is to be put into the pool, the oldest first; at most `idsMax`. */
  rootsDue(pool: string, idsMax: number): readonly number[] {
    return firstOf(this.#rootsDue, idsMax, (_id, due) => due.pool === pool);
  }

  /** Whether its pool does not have its root chunk yet. */
  isRootDue(id: number): boolean {
    return this.#rootsDue.has(id);
  }

  /** The root chunks of these are in the pool now, or will not be wanted. Durable when it resolves. */
  async rootsKept(ids: readonly number[]): Promise<void> {
    const due = ids.filter((id) => this.#rootsDue.has(id));
    if (due.length === 0) return;
    await this.#catalog.transact(
      [],
      due.map((id) => ({ key: rootDueKey(id), value: null })),
    );
    for (const id of due) this.#noteKept(id);
  }

  /** Of those that have a name and are ready, in one pool or in all; costs next to nothing. */
  total(kind: ResourceKind, pool?: string): LedgerTotal {
    if (pool !== undefined) return this.#totals.get(totalKey(kind, pool)) ?? nothing;
    return [...this.#totals]
      .filter(([key]) => key.startsWith(totalKey(kind, '')))
      .reduce((sum, [, { count, sizeBytes }]) => ({ count: sum.count + count, sizeBytes: sum.sizeBytes + sizeBytes }), nothing);
  }

  /**
   * All changes or none, and with them what else is to be written; durable when it resolves.
   * @throws SkerryError exists where a name is taken, try-again where a record changed meanwhile; else of the catalog, and
   * then the changes may have been made or not.
   */
  async commit(changes: readonly LedgerChange[], also: readonly Write[] = []): Promise<void> {
    const compares: Compare[] = [];
    const writes: Write[] = [...also];
    for (const change of changes) {
      const before = change.change === 'insert' ? null : change.from;
      const after = change.change === 'remove' ? null : change.record;
      const id = before?.record.id ?? after?.id ?? 0;
      compares.push({ key: resourceKey(id), revision: before?.revision ?? 0 });
      writes.push({ key: resourceKey(id), value: after === null ? null : encodeResource(after) });
      if (change.change === 'insert' && change.rootDue === true) writes.push({ key: rootDueKey(id), value: new Uint8Array(0) });
      if (change.change === 'remove' && this.#rootsDue.has(id)) writes.push({ key: rootDueKey(id), value: null });
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
      for (const tell of this.#observers) tell(change.change === 'remove' ? change.from.record : change.record);
      if (change.change !== 'insert') this.#leave(change.from.record);
      if (change.change !== 'remove') this.#enter(change.record);
      if (change.change === 'insert' && change.rootDue === true) this.#noteDue(change.record);
      if (change.change === 'remove') this.#noteKept(change.from.record.id);
    }
  }

  /**
   * Changes one record by what `next` makes of it as it is now, and writes `also` with it; null where there is none, or where `next`
   * wants no change.
   */
  async update(
    id: number,
    next: (record: ResourceRecord) => ResourceRecord | null,
    also: readonly Write[] = [],
  ): Promise<ResourceRecord | null> {
    for (let attempt = 1; ; attempt += 1) {
      const from = await this.get(id);
      const record = from === null ? null : next(from.record);
      if (from === null || record === null) return null;
      try {
        await this.commit([{ change: 'update', from, record }], also);
        return record;
      } catch (error) {
        const lostRace = error instanceof SkerryError && error.code === 'try-again';
        if (!lostRace || attempt === update_attempts_max) throw error;
      }
    }
  }

  /** `tell` hears of each record that changed from here on, and of one that went as it was; it must not throw. */
  observe(tell: (record: ResourceRecord) => void): void {
    this.#observers.add(tell);
  }

  #enter(record: ResourceRecord): void {
    if (record.name === '') {
      this.#nameless.add(record.id);
      if (!this.#waiting.has(record.id)) this.#removable.set(record.id, record.pool);
    }
    this.#count(record);
    if (record.pendingOf === 0) return;
    this.#removable.delete(record.pendingOf);
    const waiting = this.#waiting.get(record.pendingOf);
    if (waiting === undefined) this.#waiting.set(record.pendingOf, new Set([record.id]));
    else waiting.add(record.id);
  }

  #leave(record: ResourceRecord): void {
    this.#nameless.delete(record.id);
    this.#removable.delete(record.id);
    this.#uncount(record.id);
    const waiting = this.#waiting.get(record.pendingOf);
    waiting?.delete(record.id);
    if (waiting?.size !== 0) return;
    this.#waiting.delete(record.pendingOf);
    // What waits is in the pool of what it waits for.
    if (this.#nameless.has(record.pendingOf)) this.#removable.set(record.pendingOf, record.pool);
  }

  #noteDue({ id, parentId, pool }: ResourceRecord): void {
    this.#rootsDue.set(id, { parentId, pool });
    if (parentId !== 0) this.#clonesDue.set(parentId, (this.#clonesDue.get(parentId) ?? 0) + 1);
  }

  #noteKept(id: number): void {
    const parentId = this.#rootsDue.get(id)?.parentId ?? 0;
    this.#rootsDue.delete(id);
    const left = (this.#clonesDue.get(parentId) ?? 0) - 1;
    if (left > 0) this.#clonesDue.set(parentId, left);
    else this.#clonesDue.delete(parentId);
  }

  #count({ id, kind, name, pool, state, sizeBytes, shelf }: ResourceRecord): void {
    this.#uncount(id);
    if (name === '' || state !== 'ready' || shelf === true) return;
    this.#counted.set(id, { kind, pool, sizeBytes });
    this.#addTotal(kind, pool, 1, sizeBytes);
  }

  #uncount(id: number): void {
    const counted = this.#counted.get(id);
    if (counted === undefined) return;
    this.#counted.delete(id);
    this.#addTotal(counted.kind, counted.pool, -1, -counted.sizeBytes);
  }

  #addTotal(kind: ResourceKind, pool: string, count: number, sizeBytes: number): void {
    const before = this.total(kind, pool);
    this.#totals.set(totalKey(kind, pool), { count: before.count + count, sizeBytes: before.sizeBytes + sizeBytes });
  }
}

function totalKey(kind: ResourceKind, pool: string): string {
  return `${kind} ${pool}`;
}

function nameOf(record: ResourceRecord | null): string | null {
  return record === null ? null : ownNameKey(record);
}

function firstOf<V>(
  entries: ReadonlyMap<number, V>,
  idsMax: number,
  wanted: (id: number, value: V) => boolean,
): readonly number[] {
  const found: number[] = [];
  for (const [id, value] of entries) {
    if (found.length >= idsMax) break;
    if (wanted(id, value)) found.push(id);
  }
  return found;
}
