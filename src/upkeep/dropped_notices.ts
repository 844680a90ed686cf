/** Tells the log of notices that nobody will hear of: of the first at once, and of what follows once in a while, for they come in crowds. */

const line_milliseconds = 60_000;

export interface DroppedNoticesOptions {
  readonly log: (level: 'warn', message: string, fields: Readonly<Record<string, unknown>>) => void;
  readonly now: () => number;
}

interface Silence {
  readonly since: number;
  untold: number;
}

export class DroppedNotices {
  readonly #options: DroppedNoticesOptions;
  /** By webhook. */
  readonly #silences = new Map<string, Silence>();

  constructor(options: DroppedNoticesOptions) {
    this.#options = options;
  }

  add(webhook: string, notices: number, why: string): void {
    const { log, now } = this.#options;
    const silence = this.#silences.get(webhook);
    if (silence !== undefined && now() - silence.since < line_milliseconds) {
      silence.untold += notices;
      return;
    }
    this.#silences.set(webhook, { since: now(), untold: 0 });
    log('warn', 'notices for a webhook were dropped', { webhook, notices: notices + (silence?.untold ?? 0), why });
  }
}
