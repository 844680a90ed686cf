/** Tells of each call when it has ended: for logs, metrics and the health of a pool. It changes nothing. */
import { toSkerryError, type ErrorCode } from '../core/errors.js';
import type { ChunkStat, Driver } from './driver.js';
import { intercept, type Verb } from './filter.js';

export interface TraceEvent {
  readonly verb: Verb;
  /** For list, the prefix. */
  readonly key: string;
  /** Written by put, read by get, 0 for the others. */
  readonly bytes: number;
  /** Chunks that a listing yielded, else 0. */
  readonly chunks: number;
  readonly milliseconds: number;
  /** null where it succeeded. */
  readonly code: ErrorCode | null;
  readonly message: string;
}

export function withTrace(
  driver: Driver,
  onCall: (event: TraceEvent) => void,
  now: () => number = () => performance.now(),
): Driver {
  return intercept(driver, {
    async call(operation, run) {
      const began = now();
      const { verb, key } = operation;
      try {
        const result = await run();
        const read = verb === 'get' && typeof result === 'number' ? result : 0;
        onCall({
          verb,
          key,
          bytes: operation.data?.length ?? read,
          chunks: 0,
          milliseconds: now() - began,
          code: null,
          message: '',
        });
        return result;
      } catch (error) {
        const { code, message } = toSkerryError(error);
        onCall({ verb, key, bytes: 0, chunks: 0, milliseconds: now() - began, code, message });
        throw error;
      }
    },
    async *list(operation, start): AsyncGenerator<ChunkStat> {
      const began = now();
      let chunks = 0;
      let failure: { readonly code: ErrorCode; readonly message: string } | null = null;
      const listing = start()[Symbol.asyncIterator]();
      try {
        for (;;) {
          let next: IteratorResult<ChunkStat>;
          try {
            next = await listing.next();
          } catch (error) {
            failure = toSkerryError(error);
            throw error;
          }
          if (next.done === true) return;
          chunks += 1;
          yield next.value;
        }
      } finally {
        // Also reached when the consumer has seen enough.
        await listing.return?.();
        const { code, message } = failure ?? { code: null, message: '' };
        onCall({ verb: 'list', key: operation.key, bytes: 0, chunks, milliseconds: now() - began, code, message });
      }
    },
  });
}
