/**
 * Tells webhooks of changes of objects: what waits for one is posted until it takes it, some at a time, whatever becomes of the
 * others. One that does not answer is asked again later, and ever more seldom; what it refuses lets the rest pass.
 */
import { idText } from '../catalog/keys.js';
import type { NoticeRecord } from '../catalog/notice_record.js';
import { SkerryError, toSkerryError } from '../core/errors.js';
import { pause } from '../core/pause.js';
import { notice_milliseconds_max, type Notice, type Notices } from '../object/notices.js';
import { post, type Posted, type Webhook } from './webhook.js';

/** Posts at once to one webhook. */
const posts_max = 16;
const post_milliseconds_max = 10_000;
const pause_milliseconds = { min: 1000, max: 60_000 };

export interface DeliveryCounts {
  readonly sent: number;
  /** Each time. */
  readonly failed: number;
  readonly dropped: number;
}

export interface DeliveriesOptions {
  readonly webhooks: readonly Webhook[];
  readonly notices: Pick<Notices, 'page' | 'remove' | 'coming' | 'wake'>;
  /** JSON of one. */
  readonly messageOf: (id: string, record: NoticeRecord) => Promise<string>;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
  readonly onCounts: (webhook: string, counts: DeliveryCounts) => void;
  readonly now: () => number;
  /** For tests: the first pause after a failure, and how long an answer is waited for. */
  readonly pauseMillisecondsMin?: number;
  readonly postMillisecondsMax?: number;
}

interface Round {
  /** In words, one for each that was not taken. */
  readonly failures: readonly string[];
  readonly away: boolean;
}

export class Deliveries {
  readonly #options: DeliveriesOptions;
  readonly #stopping = new AbortController();
  /** One for each post. Signals that are made of others are not let go of while those live. */
  readonly #underWay = new Set<AbortController>();
  #loops: readonly Promise<void>[] = [];

  constructor(options: DeliveriesOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loops = this.#options.webhooks.map((webhook) => this.#serve(webhook));
  }

  /** What is on its way is given up, and sent again by the next life. Resolves when nothing runs any more. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const post of this.#underWay) post.abort();
    for (const { name } of this.#options.webhooks) this.#options.notices.wake(name);
    await Promise.all(this.#loops);
  }

  /** Until it is stopped. Never rejects. */
  async #serve(webhook: Webhook): Promise<void> {
    const { notices, log, pauseMillisecondsMin = pause_milliseconds.min } = this.#options;
    const { signal } = this.#stopping;
    const named = { webhook: webhook.name };
    let after: number | null = null;
    let wait = 0;
    let told = false;
    let failed = false;
    while (!signal.aborted) {
      const coming = notices.coming(webhook.name);
      try {
        const page: readonly Notice[] = await notices.page(webhook.name, after, posts_max);
        if (page.length === 0) {
          if (told && !failed) log('info', 'a webhook takes all that it is told again', named);
          told = failed;
          failed = false;
          if (after === null) await coming;
          after = null;
          continue;
        }
        const { failures, away } = await this.#round(webhook, page);
        const [why] = failures;
        if (signal.aborted) return;
        if (why !== undefined && !told)
          log('warn', 'a webhook does not take what it is told: it is tried again', { ...named, why });
        if (why !== undefined) told = failed = true;
        if (why === undefined) wait = 0;
        // Where it takes others, what it refuses is not to hold them up for long.
        else if (failures.length < page.length) wait = pauseMillisecondsMin;
        else wait = Math.min(pause_milliseconds.max, Math.max(pauseMillisecondsMin, wait * 2));
        if (!away) after = page.at(-1)?.id ?? null;
      } catch (error) {
        wait = pause_milliseconds.max;
        log('error', 'what a webhook is to be told cannot be read', { ...named, error: toSkerryError(error).message });
      }
      if (wait > 0) await pause(wait, signal);
    }
  }

  async #round(webhook: Webhook, page: readonly Notice[]): Promise<Round> {
    const { notices, now, onCounts, log } = this.#options;
    const answers = await Promise.all(page.map(async (notice) => ({ notice, posted: await this.#post(webhook, notice) })));
    const taken = answers.filter(({ posted }) => posted.outcome === 'taken').map(({ notice }) => notice);
    const failures = answers.flatMap(({ notice, posted }) =>
      posted.outcome === 'taken' ? [] : [{ notice, why: posted.why, away: posted.outcome === 'away' }],
    );
    const old = failures.filter(({ notice }) => now() - notice.record.at > notice_milliseconds_max).map(({ notice }) => notice);
    await notices.remove(webhook.name, [...taken, ...old]);
    if (old.length > 0)
      log('warn', 'notices for a webhook were dropped: it did not take them for a day', {
        webhook: webhook.name,
        notices: old.length,
      });
    onCounts(webhook.name, { sent: taken.length, failed: failures.length, dropped: old.length });
    return { failures: failures.map(({ why }) => why), away: failures.some(({ away }) => away) };
  }

  async #post(webhook: Webhook, { id, record }: Notice): Promise<Posted> {
    const { messageOf, now, postMillisecondsMax = post_milliseconds_max } = this.#options;
    const text = idText(id);
    const message = { id: text, body: await messageOf(text, record) };
    const giveUp = new AbortController();
    if (this.#stopping.signal.aborted) giveUp.abort();
    const late = (): void => giveUp.abort(new SkerryError('timeout', `no answer came within ${postMillisecondsMax} ms`));
    const timer = setTimeout(late, postMillisecondsMax);
    this.#underWay.add(giveUp);
    try {
      return await post(webhook, message, { now: now(), signal: giveUp.signal });
    } finally {
      clearTimeout(timer);
      this.#underWay.delete(giveUp);
    }
  }
}
