/**
 * Who reads which body. A body that nothing names any more is taken back only when nobody reads it.
 *
 * A hold begins before the record of the object is read, for that may be deleted in between; until it says which body it is
 * for, it may be for any.
 */

export class BodyHold {
  readonly settled: Promise<void>;
  readonly #holds: BodyHolds;
  #settle: () => void = () => {};
  #body: number | null = null;

  constructor(holds: BodyHolds) {
    this.#holds = holds;
    this.settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  /** It is for this one. At once after the record was read. */
  choose(body: number): void {
    this.#body = body;
    this.#holds.count(body, 1);
    this.#holds.undecided.delete(this);
    this.#settle();
  }

  /** Doing so twice is fine. */
  end(): void {
    if (this.#body !== null) this.#holds.count(this.#body, -1);
    this.#body = null;
    this.#holds.undecided.delete(this);
    this.#settle();
  }
}

export class BodyHolds {
  readonly undecided = new Set<BodyHold>();
  readonly #readers = new Map<number, number>();

  begin(): BodyHold {
    const hold = new BodyHold(this);
    this.undecided.add(hold);
    return hold;
  }

  /** Resolves when each hold that is there now has said which body it is for. Later ones find what was released before as gone. */
  async decided(): Promise<void> {
    await Promise.all([...this.undecided].map(({ settled }) => settled));
  }

  isHeld(body: number): boolean {
    return this.#readers.has(body);
  }

  count(body: number, by: 1 | -1): void {
    const readers = (this.#readers.get(body) ?? 0) + by;
    if (readers === 0) this.#readers.delete(body);
    else this.#readers.set(body, readers);
  }
}
