/** How a pool's backend fares, as its calls tell. No probing of its own, so a pool at rest costs nothing. */
import type { ErrorCode } from '../core/errors.js';
import type { TraceEvent } from '../driver/trace.js';

export interface HealthReport {
  /** unknown until the first call; failing while the last calls failed in a way that is the backend's. */
  readonly state: 'unknown' | 'ok' | 'failing';
  readonly calls: number;
  readonly failures: number;
  readonly failuresInARow: number;
  /** When the first of these was begun, in milliseconds since 1970; null where there is none. */
  readonly failingSince: number | null;
  /** Milliseconds since 1970; null where there was none yet. */
  readonly lastSuccessAt: number | null;
  readonly lastFailureAt: number | null;
  readonly lastFailure: { readonly code: ErrorCode; readonly message: string } | null;
}

/** Failures that say something about who asked, and nothing about the backend. */
const callersFault: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['invalid', 'exists', 'too-large', 'closed', 'cancelled']);

export class PoolHealth {
  #report: HealthReport = {
    state: 'unknown',
    calls: 0,
    failures: 0,
    failuresInARow: 0,
    failingSince: null,
    lastSuccessAt: null,
    lastFailureAt: null,
    lastFailure: null,
  };

  /** `at`: milliseconds since 1970. */
  observe(event: TraceEvent, at: number): void {
    const calls = this.#report.calls + 1;
    if (event.code === null)
      this.#report = { ...this.#report, calls, state: 'ok', failuresInARow: 0, failingSince: null, lastSuccessAt: at };
    else if (callersFault.has(event.code)) this.#report = { ...this.#report, calls };
    else {
      this.#report = {
        ...this.#report,
        calls,
        state: 'failing',
        failures: this.#report.failures + 1,
        failuresInARow: this.#report.failuresInARow + 1,
        failingSince: this.#report.failingSince ?? at - event.milliseconds,
        lastFailureAt: at,
        lastFailure: { code: event.code, message: event.message },
      };
    }
  }

  report(): HealthReport {
    return this.#report;
  }
}
