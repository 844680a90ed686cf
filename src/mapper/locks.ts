/** Mutual exclusion by name, first come first served. Each caller takes all its names at once, which is why no two can wait for each other. */

export class KeyedLocks {
  /** The last holder in line for each key; a key nobody wants is not in it. */
  readonly #tails = new Map<string, Promise<void>>();

  /**
   * Runs `work` while holding every key. Within `work` take no keys of the same kind again: names come before ids
   * (nameLock, then idLock), and that order is what keeps callers from waiting in a circle.
   */
  async run<T>(keys: readonly string[], work: () => Promise<T>): Promise<T> {
    const wanted = keys.length === 1 ? keys : new Set(keys);
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    // All places in line are taken in one turn, so two callers stand in the same order in every line.
    const before: Promise<void>[] = [];
    for (const key of wanted) {
      const holder = this.#tails.get(key);
      if (holder !== undefined) before.push(holder);
      this.#tails.set(key, released);
    }
    try {
      // Each waits for who is before it: what is released was released by those, too.
      if (before.length > 0) await Promise.all(before);
      return await work();
    } finally {
      release();
      for (const key of wanted) if (this.#tails.get(key) === released) this.#tails.delete(key);
    }
  }

  /** Keys that somebody holds or waits for. */
  get size(): number {
    return this.#tails.size;
  }
}

/** Held by a verb that makes, uses or removes what has this name. */
export const nameLock = (name: string): string => `name/${name}`;
/** Held while a pool comes to be or goes. */
export const poolLock = (name: string): string => `pool/${name}`;
/** Held while a resource comes to be or goes, and while a commit of it is recorded. */
export const idLock = (id: number): string => `resource/${id}`;
