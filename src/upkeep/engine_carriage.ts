/** The engine's carrier and its change of pools, as moves and replications ask for them. */
import type { ResourceRecord } from '../catalog/records.js';
import { compressionOf } from '../core/compression.js';
import { block_bytes } from '../core/limits.js';
import { SkerryError } from '../core/errors.js';
import type { CarryReport, NativeEngine } from '../engine/binding.js';
import { rootRecord, rootSpec } from '../mapper/resource_spec.js';
import type { Carriage, CarryOrder, CarryStep } from './carriage.js';

/** Between two looks how far a copy is; its last durable root is taken down as often. */
const look_milliseconds = 500;

export class EngineCarriage implements Carriage {
  readonly #engine: Pick<NativeEngine, 'carry' | 'switchPool'>;

  constructor(engine: Pick<NativeEngine, 'carry' | 'switchPool'>) {
    this.#engine = engine;
  }

  async carry(order: CarryOrder, signal: AbortSignal, onStep: (step: CarryStep) => Promise<void>): Promise<void> {
    const { number, pool, toPool, from, to, target, next, sizeBytes, compression } = order;
    let told: Pick<CarryReport, 'carriedBlocks' | 'putBytes' | 'lostPages'> = { carriedBlocks: 0, putBytes: 0, lostPages: 0 };
    const tell = async (report: CarryReport, point: NonNullable<CarryReport['point']>, done: boolean): Promise<void> => {
      const before = told;
      told = report;
      await onStep({
        target: rootRecord(point.root),
        next: point.next,
        done,
        carriedBytes: (report.carriedBlocks - before.carriedBlocks) * block_bytes,
        putBytes: report.putBytes - before.putBytes,
        lostPages: report.lostPages - before.lostPages,
      });
    };
    let kept = next;
    const look = async (): Promise<void> => {
      const point = await this.#engine.carry('keep', number);
      if (point === null || point.next <= kept) return;
      kept = point.next;
      await tell(await this.#engine.carry('carried', number), point, false);
    };
    const state = { ended: false };
    const running = this.#engine
      .carry('carry', number, {
        source: pool,
        target: toPool,
        from: rootSpec(from),
        to: rootSpec(to),
        have: rootSpec(target),
        next,
        blocks: Math.ceil(sizeBytes / block_bytes),
        compression: compressionOf(compression),
        hurry: false,
      })
      .finally(() => {
        state.ended = true;
      });
    running.catch(() => undefined);
    const cancel = (): void => void this.#engine.carry('release', number).catch(() => undefined);
    signal.addEventListener('abort', cancel, { once: true });
    try {
      signal.throwIfAborted();
      while (!state.ended) {
        await Promise.race([running.catch(() => undefined), new Promise((resolve) => setTimeout(resolve, look_milliseconds))]);
        if (!state.ended) await look();
      }
      const report = await running;
      // So that what is told last is what is kept from collections.
      const point = await this.#engine.carry('keep', number);
      if (point === null) throw new SkerryError('internal', 'a copy ended without a root');
      await tell(report, point, true);
    } catch (error) {
      // Where the copy itself goes on, whoever is to take it down has failed.
      if (!state.ended) await this.forget(number);
      throw error;
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  async forget(number: number): Promise<void> {
    await this.#engine.carry('release', number).catch(() => undefined);
  }

  async renewRoot(id: number, toPool: string): Promise<void> {
    // What is written meanwhile is not waited for, as it would be where all is destaged.
    await this.hold(id, toPool);
    await this.release(id);
  }

  async hold(id: number, toPool: string): Promise<void> {
    await this.#engine.switchPool('hold', id, toPool);
  }

  async expect({ id, root }: Pick<ResourceRecord, 'id' | 'root'>): Promise<void> {
    await this.#engine.switchPool('expect', id, rootSpec(root));
  }

  async switch(id: number, logFence?: number): Promise<number> {
    return this.#engine.switchPool('switch', id, logFence);
  }

  async release(id: number): Promise<void> {
    await this.#engine.switchPool('release', id).catch(() => undefined);
  }
}
