/** Waiting for time to pass, where being asked to stop ends the wait and is no error. */
import { setTimeout as sleep } from 'node:timers/promises';

/** Resolves after `milliseconds`, or as soon as `stop` is aborted. Never rejects. */
export async function pause(milliseconds: number, stop?: AbortSignal): Promise<void> {
  try {
    await sleep(milliseconds, undefined, { signal: stop });
  } catch {
    // Only the signal ends it early.
  }
}
