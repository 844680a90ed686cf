/**
 * Tries again what may pass: only codes that say so in the one table, until a deadline, with pauses that grow to a cap and have full
 * jitter (so that many who failed together do not come back together). How often does not count: a backend that refuses
 * at once is given as long as one that is silent. All verbs of the contract may be repeated, a put with the same bytes too.
 */
import { setTimeout as sleepFor } from 'node:timers/promises';

import { isSkerryError, SkerryError } from '../core/errors.js';
import type { ChunkStat, Driver } from './driver.js';
import { intercept, type Operation } from './filter.js';

export interface RetryOptions {
  /** The first pause is up to this long; each further one up to twice the one before. */
  readonly pauseMillisecondsFirst: number;
  readonly pauseMillisecondsMax: number;
  /** No attempt begins later than this after the first; one that has begun takes as long as its driver lets it. */
  readonly deadlineMilliseconds: number;
  /** From then on nothing is tried again: what is under way fails as its last attempt does. Calls are made as ever. */
  readonly giveUp?: AbortSignal;
  /** In [0, 1). */
  readonly random?: () => number;
  /** Ends early, by a rejection, when the signal says so. */
  readonly sleep?: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  readonly now?: () => number;
  readonly onRetry?: (operation: Operation, error: SkerryError, attempt: number) => void;
}

export const retryDefaults = {
  pauseMillisecondsFirst: 50,
  pauseMillisecondsMax: 2000,
  deadlineMilliseconds: 30_000,
} as const satisfies RetryOptions;

/** For who asks again by itself, and can do better meanwhile than wait: what hiccups is not told, what is away is told soon. */
export const briefRetry = {
  pauseMillisecondsFirst: 50,
  pauseMillisecondsMax: 500,
  deadlineMilliseconds: 2000,
} as const satisfies RetryOptions;

/** Of the first pause, far past any cap. */
const doublings_max = 30;
/** Keys a listing remembers, so that one begun anew yields none twice. A longer listing passes its failure on. */
const list_keys_max = 262_144;

export function withRetry(driver: Driver, options: RetryOptions = retryDefaults): Driver {
  const random = options.random ?? Math.random;
  const sleep = options.sleep ?? ((milliseconds: number, signal: AbortSignal) => sleepFor(milliseconds, undefined, { signal }));
  const now = options.now ?? (() => performance.now());
  const closing = new AbortController();
  const { giveUp } = options;
  const ended = giveUp === undefined ? closing.signal : AbortSignal.any([closing.signal, giveUp]);
  const hasGivenUp = (): boolean => giveUp?.aborted === true;
  const underWay = new Set<Promise<unknown>>();

  /** Resolves after the pause before attempt + 1, or throws `error` where there is to be none. */
  const pause = async (operation: Operation, error: unknown, attempt: number, began: number): Promise<void> => {
    if (!isSkerryError(error) || !error.retry) throw error;
    if (closing.signal.aborted) throw closedError(error);
    const pauseMax = Math.min(
      options.pauseMillisecondsMax,
      options.pauseMillisecondsFirst * 2 ** Math.min(attempt - 1, doublings_max),
    );
    const left = options.deadlineMilliseconds - (now() - began);
    if (left <= 0 || hasGivenUp()) throw error;
    // The last attempt is at the deadline, not up to a pause before it.
    const milliseconds = Math.min(random() * pauseMax, left);
    options.onRetry?.(operation, error, attempt);
    try {
      await sleep(milliseconds, ended);
    } catch {
      // Only closing and giving up end a pause early.
    }
    if (closing.signal.aborted) throw closedError(error);
    if (hasGivenUp()) throw error;
  };

  const attempts = async <T>(operation: Operation, run: () => Promise<T>): Promise<T> => {
    const began = now();
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await run();
      } catch (error) {
        await pause(operation, error, attempt, began);
      }
    }
  };

  return intercept(driver, {
    async call(operation, run) {
      if (closing.signal.aborted) throw closedError();
      const calling = attempts(operation, run);
      underWay.add(calling);
      try {
        return await calling;
      } finally {
        underWay.delete(calling);
      }
    },
    async *list(operation, start): AsyncGenerator<ChunkStat> {
      if (closing.signal.aborted) throw closedError();
      let began = now();
      let attempt = 0;
      const seen = new Set<string>();
      for (;;) {
        attempt += 1;
        const listing = start()[Symbol.asyncIterator]();
        try {
          for (;;) {
            let next: IteratorResult<ChunkStat>;
            // What the consumer throws into its loop is not ours to retry: only the pull is guarded.
            try {
              next = await listing.next();
            } catch (error) {
              if (seen.size >= list_keys_max) throw error;
              await pause(operation, error, attempt, began);
              break;
            }
            if (next.done === true) return;
            if (seen.has(next.value.key)) continue;
            if (seen.size < list_keys_max) seen.add(next.value.key);
            yield next.value;
            // One that gets on has its whole time again: a list of many thousands takes longer than any call.
            began = now();
            attempt = 1;
          }
        } finally {
          await listing.return?.();
        }
      }
    },
    async close(run) {
      closing.abort();
      await Promise.allSettled(underWay);
      await run();
    },
  });
}

function closedError(cause?: SkerryError): SkerryError {
  return new SkerryError('closed', 'the driver is closed', cause === undefined ? {} : { cause });
}
