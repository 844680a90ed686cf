/**
 * Memory for bodies on their way: who wants more than there is waits in line, and is told to come again where that takes too long. No account
 * has all of it: whoever holds some gets more only while that is no more than so many times what is left then, so that others find
 * something free however slowly it takes what it reads.
 */
import { S3Failure } from './errors.js';

export interface TransferMemoryOptions {
  readonly bytesMax: number;
  readonly waitMilliseconds: number;
}

/** One account alone has three quarters at most; two that want all there is have three sevenths each, and so on. */
const share_of_free_max = 3;

interface Waiting {
  readonly account: number;
  readonly bytes: number;
  readonly grant: () => void;
}

export class TransferMemory {
  readonly #options: TransferMemoryOptions;
  #taken = 0;
  /** Of accounts that hold some. */
  readonly #takenOf = new Map<number, number>();
  readonly #waiting = new Set<Waiting>();

  constructor(options: TransferMemoryOptions) {
    this.#options = options;
  }

  get takenBytes(): number {
    return this.#taken;
  }

  /**
   * Of `bytes`, or all there is where that is less, for `account`; 0: all who sign nothing. @returns what gives it back; doing so twice is fine
   * @throws S3Failure SlowDown
   */
  async take(account: number, bytes: number): Promise<() => void> {
    const wanted = Math.min(bytes, this.#options.bytesMax);
    const may = this.#fits(wanted) && this.#isOfShare(account, wanted) && !this.#othersComeFirst();
    if (may) this.#hold(account, wanted);
    else await this.#turn(account, wanted);
    return this.#giveBack(account, wanted);
  }

  /** At once or not at all, for what is under way: so its account's share is not asked for. @throws S3Failure SlowDown */
  takeNow(account: number, bytes: number): () => void {
    if (!this.#fits(bytes) || this.#othersComeFirst()) throw new S3Failure('SlowDown');
    this.#hold(account, bytes);
    return this.#giveBack(account, bytes);
  }

  /** Who has his share already keeps nobody else waiting. */
  #othersComeFirst(): boolean {
    for (const waiting of this.#waiting) if (this.#isOfShare(waiting.account, waiting.bytes)) return true;
    return false;
  }

  #fits(bytes: number): boolean {
    return this.#taken + bytes <= this.#options.bytesMax;
  }

  /** Who holds nothing may have whatever there is. */
  #isOfShare(account: number, bytes: number): boolean {
    const held = this.#takenOf.get(account) ?? 0;
    return held === 0 || held + bytes <= share_of_free_max * (this.#options.bytesMax - this.#taken - bytes);
  }

  #hold(account: number, bytes: number): void {
    this.#taken += bytes;
    this.#takenOf.set(account, (this.#takenOf.get(account) ?? 0) + bytes);
  }

  #turn(account: number, bytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting = {
        account,
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

  #giveBack(account: number, bytes: number): () => void {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#taken -= bytes;
      const left = (this.#takenOf.get(account) ?? 0) - bytes;
      if (left > 0) this.#takenOf.set(account, left);
      else this.#takenOf.delete(account);
      this.#grant();
    };
  }

  /** In the order they came: nobody who wants much waits for ever behind those who want little. */
  #grant(): void {
    for (const waiting of this.#waiting) {
      if (!this.#isOfShare(waiting.account, waiting.bytes)) continue;
      if (!this.#fits(waiting.bytes)) return;
      this.#waiting.delete(waiting);
      this.#hold(waiting.account, waiting.bytes);
      waiting.grant();
    }
  }
}
