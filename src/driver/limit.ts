/** Keeps the number of calls under way to what the backend takes well; the others wait their turn, first come, first served. */
import { SkerryError } from '../core/errors.js';
import type { ChunkStat, Driver } from './driver.js';
import { intercept } from './filter.js';

export interface LimitOptions {
  readonly inFlightMax: number;
  /** Calls beyond this many waiting are refused with try-again, so that a stuck backend cannot eat the memory. */
  readonly waitingMax: number;
}

export const waiting_calls_max = 4096;

export function withLimit(
  driver: Driver,
  options: LimitOptions = { inFlightMax: driver.traits.inFlightMax, waitingMax: waiting_calls_max },
): Driver {
  const waiting: { enter(): void; refuse(error: SkerryError): void }[] = [];
  let inFlight = 0;
  let closed = false;

  const enter = async (): Promise<void> => {
    if (closed) throw closedError();
    if (inFlight < options.inFlightMax) {
      inFlight += 1;
      return;
    }
    if (waiting.length >= options.waitingMax)
      throw new SkerryError('try-again', `${waiting.length} calls already wait for the backend`);
    // Who leaves hands its place on, so the count stays as it is.
    await new Promise<void>((resolve, reject) => {
      waiting.push({ enter: resolve, refuse: reject });
    });
  };
  const leave = (): void => {
    const next = waiting.shift();
    if (next === undefined) inFlight -= 1;
    else next.enter();
  };
  const within = async <T>(run: () => Promise<T>): Promise<T> => {
    await enter();
    try {
      return await run();
    } finally {
      leave();
    }
  };

  return intercept(driver, {
    call: (_operation, run) => within(run),
    // A place is held for one pull, not for as long as the consumer likes to think about it.
    async *list(_operation, start): AsyncGenerator<ChunkStat> {
      const listing = start()[Symbol.asyncIterator]();
      try {
        for (;;) {
          const next = await within(() => listing.next());
          if (next.done === true) return;
          yield next.value;
        }
      } finally {
        await listing.return?.();
      }
    },
    close(run) {
      closed = true;
      for (const call of waiting.splice(0)) call.refuse(closedError());
      return run();
    },
  });
}

function closedError(): SkerryError {
  return new SkerryError('closed', 'the driver is closed');
}
