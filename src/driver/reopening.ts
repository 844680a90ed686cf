/**
 * A driver whose backend could not be reached when it was opened: every call tries again to open it, and goes there once that
 * has succeeded. Until then calls fail as the opening does, so that a pool is served, as one that is away, and comes back by itself.
 */
import { SkerryError, toSkerryError } from '../core/errors.js';
import { pause } from '../core/pause.js';
import type { Driver, DriverTraits } from './driver.js';

export interface ReopeningOptions {
  /** What the place can do at least. */
  readonly traits: DriverTraits;
  readonly open: () => Promise<Driver>;
  /** So long the first opening is waited for; it goes on after that. */
  readonly patienceMilliseconds?: number;
  /** So long close() waits for an opening that is under way; what that opens later is closed then. */
  readonly closeMilliseconds?: number;
  /** So long after a failure calls fail with it at once. */
  readonly pauseMilliseconds?: number;
  /** Told once, why the first opening has not succeeded. */
  readonly onAway: (failure: SkerryError) => void;
  readonly now?: () => number;
}

const patience_milliseconds = 5000;
const pause_milliseconds = 1000;
const close_milliseconds = 2000;

/** Resolves with the opened driver itself where the first opening succeeds in time. Never rejects. */
export async function openOrReopen(options: ReopeningOptions): Promise<Driver> {
  const { open, patienceMilliseconds = patience_milliseconds, onAway } = options;
  const first = open();
  const patience = new AbortController();
  const late = pause(patienceMilliseconds, patience.signal).then(() => null);
  let failure = new SkerryError('timeout', `the backend has not answered for ${patienceMilliseconds / 1000} s`);
  try {
    const opened = await Promise.race([first, late]);
    if (opened !== null) return opened;
  } catch (error) {
    failure = toSkerryError(error);
  } finally {
    patience.abort();
  }
  onAway(failure);
  return reopening(options, first);
}

/** `first`: an opening that is under way, or has failed. */
function reopening(options: ReopeningOptions, first: Promise<Driver>): Driver {
  const { traits, open, pauseMilliseconds = pause_milliseconds, closeMilliseconds = close_milliseconds } = options;
  const now = options.now ?? (() => performance.now());
  let failed: { readonly error: SkerryError; readonly at: number } | null = null;
  let opened: Driver | null = null;
  let opening: Promise<Driver> | null = null;
  let closed = false;

  const follow = (begun: Promise<Driver>): Promise<Driver> => {
    const followed = begun.then(
      (driver) => {
        opening = null;
        opened = driver;
        return driver;
      },
      (error: unknown) => {
        opening = null;
        failed = { error: toSkerryError(error), at: now() };
        throw failed.error;
      },
    );
    // Whoever asks hears of it.
    followed.catch(() => undefined);
    opening = followed;
    return followed;
  };
  const reach = async (): Promise<Driver> => {
    if (closed) throw new SkerryError('closed', 'the driver is closed');
    if (opened !== null) return opened;
    if (opening !== null) return opening;
    if (failed !== null && now() - failed.at < pauseMilliseconds) throw failed.error;
    return follow(open());
  };
  void follow(first);
  return {
    traits,
    put: async (key, data) => (await reach()).put(key, data),
    get: async (key, offset, into) => (await reach()).get(key, offset, into),
    stat: async (key) => (await reach()).stat(key),
    remove: async (key) => (await reach()).remove(key),
    async *list(prefix) {
      yield* (await reach()).list(prefix);
    },
    async close() {
      closed = true;
      const late = new AbortController();
      const ended = opening?.then((driver) => driver.close()).catch(() => undefined);
      await Promise.race([ended, pause(closeMilliseconds, late.signal)]);
      late.abort();
      await opened?.close();
    },
  };
}
