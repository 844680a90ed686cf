/** The daemon's log: lines of JSON on standard error. */
import pino, { type Logger } from 'pino';

export type { Logger };
export type Log = (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;

export function openLog(level: string): Logger {
  // Synchronous, so that the last line before an end is not lost with it.
  const destination = pino.destination({ dest: 2, sync: true });
  // A daemon goes on serving when nobody reads its log any more.
  destination.on('error', () => {});
  return pino({ level, base: { pid: process.pid } }, destination);
}

/** The log as the layers below take it: a function, so that they know of no logger. */
export function logOf(logger: Logger, component: string): Log {
  const child = logger.child({ component });
  return (level, message, fields = {}) => child[level](fields, message);
}
