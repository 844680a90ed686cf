/** Ids that are never reused, whatever dies: of resources, and of what else has a counter. An id is handed out only once the counter is durably past it. */
import type { Catalog } from '../catalog/catalog.js';
import { resourceCounterKey } from '../catalog/keys.js';
import { decodeCounter, encodeCounter } from '../catalog/records.js';
import { SkerryError } from '../core/errors.js';

/** Reserved at once, so that a snapshot does not wait for a second durable transaction. What a crash leaves unused is lost. */
const ids_per_reservation = 256;
/** With fewer left the next ones are reserved meanwhile, so that no verb waits for that. */
const ids_left_min = 128;
const reservation_attempts_max = 8;

export class IdAllocator {
  readonly #catalog: Catalog;
  readonly #counterKey: string;
  /** Reserved and not handed out; each is half open. */
  readonly #ranges: { next: number; readonly end: number }[] = [];
  #reserving: Promise<void> | null = null;

  constructor(catalog: Catalog, counterKey: string = resourceCounterKey) {
    this.#catalog = catalog;
    this.#counterKey = counterKey;
  }

  /** @throws SkerryError of the catalog; nothing is handed out then. */
  async next(): Promise<number> {
    while (this.#ranges.length === 0) await this.#reserveOnce();
    const [range] = this.#ranges;
    if (range === undefined) throw new SkerryError('internal', 'there is no reserved id');
    const id = range.next;
    range.next += 1;
    if (range.next === range.end) this.#ranges.shift();
    // Where that fails, whoever finds none left tries again and hears of it.
    if (this.#left() < ids_left_min) this.#reserveOnce().catch(() => undefined);
    return id;
  }

  #left(): number {
    return this.#ranges.reduce((sum, { next, end }) => sum + end - next, 0);
  }

  #reserveOnce(): Promise<void> {
    this.#reserving ??= this.#reserve().finally(() => {
      this.#reserving = null;
    });
    return this.#reserving;
  }

  async #reserve(): Promise<void> {
    for (let attempt = 0; attempt < reservation_attempts_max; attempt += 1) {
      const entry = await this.#catalog.get(this.#counterKey);
      const first = entry === null ? 1 : decodeCounter(entry.value).next;
      const end = first + ids_per_reservation;
      const outcome = await this.#catalog.transact(
        [{ key: this.#counterKey, revision: entry?.revision ?? 0 }],
        [{ key: this.#counterKey, value: encodeCounter({ next: end }) }],
      );
      if (outcome.outcome === 'conflict') continue;
      this.#ranges.push({ next: first, end });
      return;
    }
    throw new SkerryError('try-again', `${this.#counterKey} of the catalog changes all the time`);
  }
}
