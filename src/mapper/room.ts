/** What the engine has no room for right now is tried again. */
import { isSkerryError } from '../core/errors.js';
import { pause } from '../core/pause.js';

const room_pause_milliseconds = 5;

/**
 * The journal makes room as fast as it is destaged; a pool that is full says so with another code.
 * @throws SkerryError what `work` throws; try-again after `attemptsMax`
 */
export async function whenThereIsRoom<T>(work: () => Promise<T>, attemptsMax = Infinity): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (!isSkerryError(error, 'try-again') || attempt >= attemptsMax) throw error;
      await pause(room_pause_milliseconds);
    }
  }
}
