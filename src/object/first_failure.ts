/** For work of many steps of which one that fails keeps no other from being done: the first failure is thrown when all are. */
export class FirstFailure {
  #first: { readonly error: unknown } | null = null;

  /** @returns whether `step` was done. `counts`: false where its failure is not the last word. */
  async of(step: () => Promise<unknown>, counts = true): Promise<boolean> {
    try {
      await step();
      return true;
    } catch (error) {
      if (counts) this.#first ??= { error };
      return false;
    }
  }

  throwIfAny(): void {
    if (this.#first !== null) throw this.#first.error;
  }
}
