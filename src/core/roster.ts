/**
 * Members that come and go all the time, such as requests under way.
 *
 * A Set or a Map is none for that: it takes a new table whenever removals have filled the old one, which leads to the new one and goes on
 * holding what stood in it. Once one of them is in the old heap, V8's quick collections take all later ones for reachable, with all that stood in
 * them, and move it there as well. Places here are used again, and hold nothing when they are free.
 */
export class Roster<T> {
  readonly #places: (T | null)[] = [];
  readonly #free: number[] = [];

  get size(): number {
    return this.#places.length - this.#free.length;
  }

  /** The same one twice is two members. @returns what takes it off; doing so again is fine */
  add(member: T): () => void {
    const place = this.#free.pop() ?? this.#places.length;
    this.#places[place] = member;
    let there = true;
    return () => {
      if (!there) return;
      there = false;
      this.#places[place] = null;
      this.#free.push(place);
    };
  }

  /** In no order. Who comes meanwhile may be left out. */
  *[Symbol.iterator](): Generator<T, void> {
    for (const member of this.#places) if (member !== null) yield member;
  }
}
