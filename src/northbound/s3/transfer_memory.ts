/** Memory for bodies on their way: who wants more than there is waits in line, and is told to come again where that takes too long. */
import { S3Failure } from './errors.js';

export interface TransferMemoryOptions {
  readonly bytesMax: number;
  readonly waitMilliseconds: number;
}

interface Waiting {
  readonly bytes: number;
  readonly grant: () => void;
}

export class TransferMemory {
  readonly #options: TransferMemoryOptions;
  #taken = 0;
  readonly #waiting = new Set<Waiting>();

  constructor(options: TransferMemoryOptions) {
    this.#options = options;
  }

  get takenBytes(): number {
    return this.#taken;
  }

  /**
   * Of `bytes`, or all there is where that is less. @returns what gives it back; doing so twice is fine
   * @throws S3Failure SlowDown
   */
  async take(bytes: number): Promise<() => void> {
    const wanted = Math.min(bytes, this.#options.bytesMax);
    if (this.#waiting.size > 0 || !this.#fits(wanted)) await this.#turn(wanted);
    else this.#taken += wanted;
    return this.#giveBack(wanted);
  }

  /** At once or not at all. @throws S3Failure SlowDown */
  takeNow(bytes: number): () => void {
    if (this.#waiting.size > 0 || !this.#fits(bytes)) throw new S3Failure('SlowDown');
    this.#taken += bytes;
    return this.#giveBack(bytes);
  }

  #fits(bytes: number): boolean {
    return this.#taken + bytes <= this.#options.bytesMax;
  }

  #turn(bytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting = {
        bytes,
        grant: () => {
          clearTimeout(patience);
          resolve();
        },
      };
      const patience = setTimeout(() => {
        this.#waiting.delete(waiting);
        reject(new S3Failure('SlowDown'));
        // Those behind it may want less.
        this.#grant();
      }, this.#options.waitMilliseconds);
      this.#waiting.add(waiting);
    });
  }

  #giveBack(bytes: number): () => void {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#taken -= bytes;
      this.#grant();
    };
  }

  /** In the order they came: nobody who wants much waits for ever behind those who want little. */
  #grant(): void {
    for (const waiting of this.#waiting) {
      if (!this.#fits(waiting.bytes)) return;
      this.#waiting.delete(waiting);
      this.#taken += waiting.bytes;
      waiting.grant();
    }
  }
}
