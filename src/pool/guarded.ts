/**
 * A filter for pools that more than one host can reach: nothing is put or removed before the pool says that it is this daemon's, and
 * nothing from when it says that it is another's. So a daemon that was cut off, and whose pool was taken over meanwhile, changes nothing
 * there when it comes back with what it had left to do.
 */
import { intercept } from '../driver/filter.js';
import type { Driver } from '../driver/driver.js';

/** So long one look is believed: a look for each pack would be slow, and each is one more call to pay for. */
const look_milliseconds = 5000;

export interface GuardOptions {
  /** Looks whose the pool is. @throws SkerryError conflict where it is another's; else of the driver */
  readonly check: () => Promise<void>;
  readonly now?: () => number;
}

export function withGuard(driver: Driver, { check, now = () => performance.now() }: GuardOptions): Driver {
  let lookedAt = -Infinity;
  let looking: Promise<void> | null = null;
  const look = async (): Promise<void> => {
    const began = now();
    await check();
    lookedAt = began;
  };
  const checked = async (): Promise<void> => {
    if (now() - lookedAt < look_milliseconds) return;
    looking ??= look().finally(() => {
      looking = null;
    });
    await looking;
  };
  return intercept(driver, {
    async call({ verb }, run) {
      if (verb === 'put' || verb === 'remove') await checked();
      return run();
    },
    list: (_operation, start) => start(),
  });
}
