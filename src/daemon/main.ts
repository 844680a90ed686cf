/** `skerry serve` as a process: one line on standard output once it serves, an end in order on the first signal. */
import { pause } from '../core/pause.js';
import type { ServeOptions } from './config.js';
import { serve, type ServeParts } from './serve.js';

const linger_milliseconds_max = 500;
/** Of a start that is under way when the end is asked for: a place that hangs, or a journal of gigabytes, is not waited for. */
const start_milliseconds_max = 5000;
const endingSignals = ['SIGTERM', 'SIGINT'] as const;

/**
 * Serves until SIGTERM or SIGINT, then stops in order. A second signal ends the process at once: that is safe, for starting
 * is recovering, only slower.
 * @returns the exit status. @throws SkerryError where the daemon cannot start; nothing is left behind then.
 */
export async function runDaemon(options: ServeOptions = {}, parts: ServeParts = {}): Promise<number> {
  const asked = Promise.withResolvers<void>();
  let signals = 0;
  const onSignal = (): void => {
    signals += 1;
    if (signals > 1) process.exit(1);
    asked.resolve();
  };
  for (const signal of endingSignals) process.on(signal, onSignal);
  try {
    const starting = serve(options, parts);
    const patience = new AbortController();
    const late = asked.promise.then(() => pause(start_milliseconds_max, patience.signal)).then(() => null);
    const daemon = await Promise.race([starting, late]).finally(() => patience.abort());
    if (daemon === null) {
      // Nothing was acknowledged in this life, and the next start finds all as this one did.
      starting.catch(() => undefined);
      endSoon();
      return 0;
    }
    // Whoever started it may have gone, which is no reason to stop serving.
    process.stdout.on('error', () => {});
    process.stdout.write(`${JSON.stringify({ ready: true, listeners: daemon.listeners })}\n`);
    await asked.promise;
    await daemon.stop();
    endSoon();
    return 0;
  } finally {
    for (const signal of endingSignals) process.off(signal, onSignal);
  }
}

/** Whatever still hangs had its time: it does not keep the process, and the next start finds what it left. */
function endSoon(): void {
  setTimeout(() => process.exit(0), linger_milliseconds_max).unref();
}
