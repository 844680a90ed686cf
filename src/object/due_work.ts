/** Things that are due by name, done one after the other; where one fails it is done again a moment later, before the others. */
import { toSkerryError, type SkerryError } from '../core/errors.js';

const retry_milliseconds = 2000;

export interface DueWorkOptions {
  /** Makes what there is what it should be: it may be done again at any time. */
  readonly work: (name: string) => Promise<void>;
  readonly onFailure: (name: string, failure: SkerryError) => void;
}

export class DueWork {
  readonly #options: DueWorkOptions;
  readonly #due = new Set<string>();
  #running: Promise<void> | null = null;
  #retry: NodeJS.Timeout | null = null;
  #stopped = false;

  constructor(options: DueWorkOptions) {
    this.#options = options;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** It is done after this, though it may be under way already. Never throws. */
  add(name: string): void {
    this.#due.add(name);
    this.#look();
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    await this.#running;
  }

  #look(): void {
    if (this.#stopped || this.#running !== null || this.#due.size === 0) return;
    this.#running = this.#runDue().finally(() => {
      this.#running = null;
      if (this.#retry === null) this.#look();
    });
  }

  async #runDue(): Promise<void> {
    for (let [name] = this.#due; name !== undefined && !this.#stopped; [name] = this.#due) {
      this.#due.delete(name);
      try {
        await this.#options.work(name);
      } catch (error) {
        this.#options.onFailure(name, toSkerryError(error));
        this.#tryLater(name);
        return;
      }
    }
  }

  #tryLater(name: string): void {
    this.#due.add(name);
    this.#retry ??= setTimeout(() => {
      this.#retry = null;
      this.#look();
    }, retry_milliseconds).unref();
  }
}
