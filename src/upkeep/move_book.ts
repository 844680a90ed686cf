/** Moves under way, in the catalog, and the roots that are wanted because of them. */
import type { Catalog, Write } from '../catalog/catalog.js';
import { carriedKey, carriedOfPrefix, carriedPrefix, moveKey, movePrefix } from '../catalog/keys.js';
import {
  decodeCarried,
  decodeMove,
  encodeCarried,
  encodeMove,
  type CarriedRecord,
  type MoveRecord,
} from '../catalog/move_record.js';
import type { RootRecord } from '../catalog/records.js';

export class MoveBook {
  readonly #catalog: Catalog;
  readonly #moves = new Map<number, MoveRecord>();
  /** By move, then by resource. */
  readonly #carried = new Map<number, Map<number, CarriedRecord>>();

  private constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  static async open(catalog: Catalog): Promise<MoveBook> {
    const book = new MoveBook(catalog);
    for (const { value } of await catalog.range(movePrefix)) {
      const move = decodeMove(value);
      book.#moves.set(move.id, move);
    }
    for (const { value } of await catalog.range(carriedPrefix)) book.#enter(decodeCarried(value));
    return book;
  }

  all(): readonly MoveRecord[] {
    return [...this.#moves.values()];
  }

  get(id: number): MoveRecord | null {
    return this.#moves.get(id) ?? null;
  }

  carried(move: number, id: number): CarriedRecord | null {
    return this.#carried.get(move)?.get(id) ?? null;
  }

  /** Of the resources that go with it, those of which something was carried. */
  carriedIds(move: number): readonly number[] {
    return [...(this.#carried.get(move)?.keys() ?? [])];
  }

  /** Wanted in the pool though no resource there may have them yet, or any more. */
  rootsIn(pool: string): readonly RootRecord[] {
    const roots: RootRecord[] = [];
    for (const { id, from, to } of this.#moves.values()) {
      for (const carried of this.#carried.get(id)?.values() ?? []) {
        if (to === pool) roots.push(carried.target);
        if (from === pool) roots.push(carried.from, carried.to);
      }
    }
    return roots;
  }

  /** Durable when it resolves, as all below. */
  async put(move: MoveRecord): Promise<void> {
    await this.#catalog.transact([], [{ key: moveKey(move.id), value: encodeMove(move) }]);
    this.#moves.set(move.id, move);
  }

  async putCarried(carried: CarriedRecord): Promise<void> {
    await this.#catalog.transact([], [{ key: carriedKey(carried.move, carried.id), value: encodeCarried(carried) }]);
    this.#enter(carried);
  }

  /** To be written in the transaction that changes the pool of the resources; `switched` then says that it was. */
  switchWrite(move: MoveRecord): Write {
    return { key: moveKey(move.id), value: encodeMove({ ...move, switched: true }) };
  }

  switched(move: MoveRecord): void {
    this.#moves.set(move.id, { ...move, switched: true });
  }

  async remove(id: number): Promise<void> {
    const keys = (await this.#catalog.range(carriedOfPrefix(id))).map(({ key }) => key);
    await this.#catalog.transact(
      [],
      [moveKey(id), ...keys].map((key) => ({ key, value: null })),
    );
    this.#moves.delete(id);
    this.#carried.delete(id);
  }

  #enter(carried: CarriedRecord): void {
    const of = this.#carried.get(carried.move) ?? new Map<number, CarriedRecord>();
    this.#carried.set(carried.move, of.set(carried.id, carried));
  }
}
