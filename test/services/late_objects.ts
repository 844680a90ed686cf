/** Objects that are read as they are and listed as they were a while ago. */
interface Version {
  readonly from: number;
  /** null where it was removed. */
  readonly body: Buffer | null;
}

export class LateObjects {
  delayMilliseconds: number;
  /** The last is what is. */
  readonly #versions = new Map<string, Version[]>();

  constructor(delayMilliseconds: number) {
    this.delayMilliseconds = delayMilliseconds;
  }

  put(key: string, body: Buffer): void {
    this.#add(key, body);
  }

  remove(key: string): void {
    this.#add(key, null);
  }

  get(key: string): Buffer | undefined {
    return this.#versions.get(key)?.at(-1)?.body ?? undefined;
  }

  /** In the order of keys. */
  list(): readonly { readonly key: string; readonly bytes: number }[] {
    const shown = performance.now() - this.delayMilliseconds;
    return [...this.#versions]
      .map(([key, versions]) => ({ key, body: versions.findLast(({ from }) => from <= shown)?.body ?? null }))
      .flatMap(({ key, body }) => (body === null ? [] : [{ key, bytes: body.length }]))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  #add(key: string, body: Buffer | null): void {
    const versions = this.#versions.get(key) ?? [];
    const shown = performance.now() - this.delayMilliseconds;
    // What no listing shows any more need not be remembered.
    const first = Math.max(
      0,
      versions.findLastIndex(({ from }) => from <= shown),
    );
    this.#versions.set(key, [...versions.slice(first), { from: performance.now(), body }]);
  }
}
