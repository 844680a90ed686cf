/** `skerry serve` as a process: one line on standard output once it serves, an end in order on the first signal. */
import { serve, type ServeParts } from './serve.js';
import type { ServeOptions } from './config.js';

const linger_milliseconds_max = 500;
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
    const daemon = await serve(options, parts);
    // Whoever started it may have gone, which is no reason to stop serving.
    process.stdout.on('error', () => {});
    process.stdout.write(`${JSON.stringify({ ready: true, listeners: daemon.listeners })}\n`);
    await asked.promise;
    await daemon.stop();
    // Whatever still hangs had its time: it does not keep the process, and the next start finds what it left.
    setTimeout(() => process.exit(0), linger_milliseconds_max).unref();
    return 0;
  } finally {
    for (const signal of endingSignals) process.off(signal, onSignal);
  }
}
