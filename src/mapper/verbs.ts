/** Calls under way: timed, refused once the daemon stops, and waited for by it. */
import { SkerryError } from '../core/errors.js';

export type VerbObserver = (verb: string, seconds: number, ok: boolean) => void;

export class Verbs {
  readonly #observe: VerbObserver;
  readonly #running = new Set<Promise<unknown>>();
  #stopped = false;

  constructor(observe: VerbObserver) {
    this.#observe = observe;
  }

  /** @throws SkerryError closed after stop(); else what `work` throws. */
  async run<T>(verb: string, work: () => Promise<T>): Promise<T> {
    if (this.#stopped) throw new SkerryError('closed', 'the daemon is stopping');
    const started = performance.now();
    const running = work();
    this.#running.add(running);
    let ok = false;
    try {
      const result = await running;
      ok = true;
      return result;
    } finally {
      this.#running.delete(running);
      this.#observe(verb, (performance.now() - started) / 1000, ok);
    }
  }

  /** Refuses what comes from here on; resolves when what is under way has ended, or after `milliseconds`. */
  async stop(milliseconds: number): Promise<void> {
    this.#stopped = true;
    await settledWithin([...this.#running], milliseconds);
  }
}

/** Resolves when all have settled, or after `milliseconds`. */
export async function settledWithin(promises: readonly Promise<unknown>[], milliseconds: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  await Promise.race([Promise.allSettled(promises), late]);
  clearTimeout(timer);
}
