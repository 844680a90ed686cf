/** How much each account may ask for by the second. What is over is refused with SlowDown, on which clients wait and come again. */
import { S3Failure } from './errors.js';

/** Of 0: as much as comes. */
export interface AccountRatesOptions {
  readonly requestsPerSecond: number;
  /** Of bodies in both directions. */
  readonly bytesPerSecond: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Accounts that asked for something a while ago are forgotten when there are so many. */
const accounts_remembered_max = 4096;

/** What an account has left of a second; bytes less than 0 where it moved more than its share. */
interface Share {
  requests: number;
  bytes: number;
  at: number;
}

export class AccountRates {
  readonly #options: AccountRatesOptions;
  readonly #shares = new Map<number, Share>();

  constructor(options: AccountRatesOptions) {
    this.#options = options;
  }

  /** `account`: 0 for all who sign nothing. @throws S3Failure SlowDown */
  admit(account: number): void {
    const { requestsPerSecond, bytesPerSecond } = this.#options;
    if (requestsPerSecond === 0 && bytesPerSecond === 0) return;
    const share = this.#share(account);
    if (requestsPerSecond > 0 && share.requests < 1) throw new S3Failure('SlowDown');
    // How much a request moves shows only afterwards, so the debt of one keeps the next ones waiting.
    if (bytesPerSecond > 0 && share.bytes < 0) throw new S3Failure('SlowDown');
    share.requests -= 1;
  }

  moved(account: number, bytes: number): void {
    if (this.#options.bytesPerSecond > 0) this.#share(account).bytes -= bytes;
  }

  #share(account: number): Share {
    const { requestsPerSecond, bytesPerSecond, now } = this.#options;
    const at = now();
    const found = this.#shares.get(account);
    if (found === undefined) {
      if (this.#shares.size >= accounts_remembered_max) this.#forget(at);
      const share = { requests: requestsPerSecond, bytes: bytesPerSecond, at };
      this.#shares.set(account, share);
      return share;
    }
    const seconds = Math.max(at - found.at, 0) / 1000;
    found.requests = Math.min(found.requests + seconds * requestsPerSecond, requestsPerSecond);
    found.bytes = Math.min(found.bytes + seconds * bytesPerSecond, bytesPerSecond);
    found.at = at;
    return found;
  }

  /** Those whose shares are whole again. */
  #forget(now: number): void {
    const { bytesPerSecond } = this.#options;
    for (const [account, { bytes, at }] of this.#shares)
      if (now - at >= 1000 && bytes + ((now - at) / 1000) * bytesPerSecond >= bytesPerSecond) this.#shares.delete(account);
  }
}
