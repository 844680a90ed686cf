/** Calls of one driver: close() waits for those that are under way and refuses those that come later, whatever the backend. */
import { SkerryError } from '../core/errors.js';

export class CallsUnderWay {
  /** Begins the message of a refusal: `the nfs driver`. */
  readonly #what: string;
  readonly #underWay = new Set<Promise<unknown>>();
  #closing: Promise<void> | null = null;

  constructor(what: string) {
    this.#what = what;
  }

  /** @throws SkerryError closed; else what `explained` makes of what the call threw */
  async run<T>(work: () => Promise<T>, explained: (error: unknown) => unknown): Promise<T> {
    this.refuseIfClosed();
    const running = work();
    this.#underWay.add(running);
    try {
      return await running;
    } catch (error) {
      throw explained(error);
    } finally {
      this.#underWay.delete(running);
    }
  }

  /** @throws SkerryError closed once close() was called. */
  refuseIfClosed(): void {
    if (this.#closing !== null) throw new SkerryError('closed', `${this.#what} is closed`);
  }

  /** `free` runs once, after the last call. */
  async close(free: () => unknown = () => undefined): Promise<void> {
    this.#closing ??= Promise.allSettled(this.#underWay).then(async () => {
      await free();
    });
    await this.#closing;
  }
}
