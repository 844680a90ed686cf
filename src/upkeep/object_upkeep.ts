/** What the object layer wants done in the background: room of what was removed is taken back, and rules of lifecycle are kept. */
import type { BucketRecord } from '../catalog/object_records.js';
import { toSkerryError } from '../core/errors.js';
import { pause } from '../core/pause.js';
import type { Buckets } from '../object/buckets.js';
import type { LifecycleRule } from '../object/lifecycle.js';
import type { ObjectLayer } from '../object/object_layer.js';

export interface ObjectUpkeepOptions {
  readonly layer: Pick<ObjectLayer, 'takeBack' | 'runLifecycle'> & { readonly buckets: Pick<Buckets, 'all'> };
  /** Those of a bucket, none where none were set. */
  readonly rulesOf: (bucket: BucketRecord) => Promise<readonly LifecycleRule[]>;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
  /** Between the end of one run and the next. */
  readonly takeBackMilliseconds: number;
  /** 0: never. */
  readonly lifecycleMilliseconds: number;
}

export class ObjectUpkeep {
  readonly #options: ObjectUpkeepOptions;
  readonly #stopping = new AbortController();
  #loops: readonly Promise<void>[] = [];

  constructor(options: ObjectUpkeepOptions) {
    this.#options = options;
  }

  start(): void {
    const { takeBackMilliseconds, lifecycleMilliseconds } = this.#options;
    this.#loops = [
      this.#again(takeBackMilliseconds, () => this.takeBack()),
      ...(lifecycleMilliseconds === 0 ? [] : [this.#again(lifecycleMilliseconds, () => this.keepRules())]),
    ];
  }

  /** Resolves when nothing runs any more. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#loops);
  }

  /** Never rejects. */
  async takeBack(): Promise<void> {
    try {
      await this.#options.layer.takeBack(this.#stopping.signal);
    } catch (error) {
      if (!this.#stopping.signal.aborted)
        this.#options.log('warn', 'room of removed objects could not be taken back; the next run tries again', {
          error: toSkerryError(error).message,
        });
    }
  }

  /** Of all buckets, one after the other. Never rejects. */
  async keepRules(): Promise<void> {
    const { layer, log } = this.#options;
    try {
      for await (const bucket of layer.buckets.all()) {
        if (this.#stopping.signal.aborted) return;
        if (!bucket.deleting) await this.#keepRulesOf(bucket);
      }
    } catch (error) {
      log('warn', 'rules of lifecycle could not be looked for', { error: toSkerryError(error).message });
    }
  }

  async #keepRulesOf(bucket: BucketRecord): Promise<void> {
    const { layer, log, rulesOf } = this.#options;
    try {
      const rules = await rulesOf(bucket);
      if (rules.length === 0) return;
      const report = await layer.runLifecycle(bucket.name, bucket.account, rules, this.#stopping.signal);
      if (report.expired + report.removed + report.aborted > 0)
        log('info', 'rules of lifecycle were kept', { bucket: bucket.name, ...report });
    } catch (error) {
      if (!this.#stopping.signal.aborted)
        log('warn', 'rules of lifecycle could not be kept; the next run tries again', {
          bucket: bucket.name,
          error: toSkerryError(error).message,
        });
    }
  }

  /** One run at a time; the first at once, for an earlier life may have left something. */
  async #again(milliseconds: number, run: () => Promise<void>): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await run();
      if (!signal.aborted) await pause(milliseconds, signal);
    }
  }
}
