/** Resource ids: never reused, whatever dies. An id is handed out only once the counter is durably past it. */
import type { Catalog } from '../catalog/catalog.js';
import { resourceCounterKey } from '../catalog/keys.js';
import { decodeCounter, encodeCounter } from '../catalog/records.js';
import { SkerryError } from '../core/errors.js';

/** Reserved at once, so that a snapshot does not wait for a second durable transaction. What a crash leaves unused is lost. */
const ids_per_reservation = 256;
const reservation_attempts_max = 8;

export class IdAllocator {
  readonly #catalog: Catalog;
  #next = 0;
  #end = 0;
  #reserving: Promise<void> | null = null;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /** @throws SkerryError of the catalog; nothing is handed out then. */
  async next(): Promise<number> {
    while (this.#next >= this.#end) {
      this.#reserving ??= this.#reserve().finally(() => {
        this.#reserving = null;
      });
      await this.#reserving;
    }
    this.#next += 1;
    return this.#next - 1;
  }

  async #reserve(): Promise<void> {
    for (let attempt = 0; attempt < reservation_attempts_max; attempt += 1) {
      const entry = await this.#catalog.get(resourceCounterKey);
      const first = entry === null ? 1 : decodeCounter(entry.value).next;
      const end = first + ids_per_reservation;
      const outcome = await this.#catalog.transact(
        [{ key: resourceCounterKey, revision: entry?.revision ?? 0 }],
        [{ key: resourceCounterKey, value: encodeCounter({ next: end }) }],
      );
      if (outcome.outcome === 'conflict') continue;
      this.#next = first;
      this.#end = end;
      return;
    }
    throw new SkerryError('try-again', 'the counter of resource ids changes all the time');
  }
}
