/** Which volumes are replicated, in the catalog, and how far the copies under way are. */
import type { Catalog } from '../catalog/catalog.js';
import { replicatingKey, replicatingPrefix, replicationKey, replicationPrefix } from '../catalog/keys.js';
import { decodeCarried, encodeCarried, type CarriedRecord } from '../catalog/move_record.js';
import type { RootRecord } from '../catalog/records.js';
import { decodeReplication, encodeReplication, type ReplicationRecord } from '../catalog/replication_record.js';

export class ReplicationBook {
  readonly #catalog: Catalog;
  readonly #replications = new Map<number, ReplicationRecord>();
  readonly #carried = new Map<number, CarriedRecord>();

  private constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  static async open(catalog: Catalog): Promise<ReplicationBook> {
    const book = new ReplicationBook(catalog);
    for (const { value } of await catalog.range(replicationPrefix)) {
      const replication = decodeReplication(value);
      book.#replications.set(replication.id, replication);
    }
    for (const { value } of await catalog.range(replicatingPrefix)) {
      const carried = decodeCarried(value);
      book.#carried.set(carried.move, carried);
    }
    return book;
  }

  all(): readonly ReplicationRecord[] {
    return [...this.#replications.values()];
  }

  get(id: number): ReplicationRecord | null {
    return this.#replications.get(id) ?? null;
  }

  /** Of the copy under way: `move` is the volume's id, `id` the snapshot's. */
  carried(id: number): CarriedRecord | null {
    return this.#carried.get(id) ?? null;
  }

  /** Wanted in the pool though no resource there has them yet. */
  rootsIn(pool: string): readonly RootRecord[] {
    return [...this.#carried.values()]
      .filter(({ move }) => this.#replications.get(move)?.to === pool)
      .map(({ target }) => target);
  }

  /** Durable when it resolves, as all below. */
  async put(replication: ReplicationRecord): Promise<void> {
    await this.#catalog.transact([], [{ key: replicationKey(replication.id), value: encodeReplication(replication) }]);
    this.#replications.set(replication.id, replication);
  }

  async putCarried(carried: CarriedRecord): Promise<void> {
    await this.#catalog.transact([], [{ key: replicatingKey(carried.move), value: encodeCarried(carried) }]);
    this.#carried.set(carried.move, carried);
  }

  async dropCarried(id: number): Promise<void> {
    await this.#catalog.transact([], [{ key: replicatingKey(id), value: null }]);
    this.#carried.delete(id);
  }

  async remove(id: number): Promise<void> {
    await this.#catalog.transact(
      [],
      [replicationKey(id), replicatingKey(id)].map((key) => ({ key, value: null })),
    );
    this.#replications.delete(id);
    this.#carried.delete(id);
  }
}
