/**
 * Carries packs between the engine and the backend of a remote pool: what the engine asks for is fetched, what it has sealed
 * is put, what it has collected is removed, and the list of that is kept. Every errand is answered, in bounded time, once. Nothing here knows what a pack holds.
 */
import { readFile } from 'node:fs/promises';

import { SkerryError, toSkerryError } from '../core/errors.js';
import { pause } from '../core/pause.js';
import { chunkKey, type ChunkKey, type Driver } from '../driver/driver.js';
import type { EngineEvent, ListedPack, NativeEngine } from '../engine/binding.js';
import type { FetchBuffers } from './fetch_buffers.js';
import type { GoneKeeper } from './gone_keeper.js';
import type { Turns } from './turns.js';

type EventOf<Type extends EngineEvent['type']> = Extract<EngineEvent, { type: Type }>;
export type Errand = EventOf<'fetch' | 'ship' | 'remove' | 'list' | 'open-gone' | 'keep-gone'>;

const packPrefix = 'packs/';
const packKeyPattern = /^packs\/([0-9a-f]{8})\.pack$/;
const stall_pause_milliseconds = 500;

export interface CourierOptions {
  /** The pool's driver under its filters, of which none is patient: the engine asks again for what failed, and fetches have the patience below. */
  readonly chunks: Driver;
  /** The same for lists of what is gone. */
  readonly gone: Pick<GoneKeeper, 'open' | 'keep'>;
  readonly engine: Pick<NativeEngine, 'completeFetch' | 'completeChange' | 'completeList'>;
  /** Of all pools. */
  readonly buffers: FetchBuffers;
  /** How long a fetch goes on trying where the backend is away; 0 gives up with the driver's filters. */
  readonly stallMilliseconds: number;
  /** How long a backend may take to begin its answer to a list, and for lists of what is gone: while the daemon starts others wait for that. null: as long as it likes. */
  readonly listMilliseconds: () => number | null;
  /** Of all pools: each holds a pack in memory. */
  readonly shipTurns: Turns;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
}

/** What changes the backend, and what the log says of it: once for each outage, not once for each pack. */
interface Change {
  failing: boolean;
  readonly failed: string;
  readonly again: string;
}

/** The key under which a pack rests, the same whatever the driver; with a direct path it is the file that native threads use. */
export function packKey(pack: number): ChunkKey {
  return chunkKey(`${packPrefix}${pack.toString(16).padStart(8, '0')}.pack`);
}

export class Courier {
  readonly #options: CourierOptions;
  readonly #closing = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
  readonly #shipping: Change = {
    failing: false,
    failed: 'a pack cannot be shipped, and is tried again until it can',
    again: 'packs reach the backend again',
  };
  readonly #removing: Change = {
    failing: false,
    failed: 'a pack cannot be removed from the backend, and is tried again until it can',
    again: 'packs are removed from the backend again',
  };
  readonly #keeping: Change = {
    failing: false,
    failed: 'the list of what is gone cannot be put into the pool, and is tried again until it can: no pack is removed before',
    again: 'the list of what is gone reaches the pool again',
  };
  /** When fetches began to fail, in a row; null while they do not. In milliseconds of performance.now(). */
  #awaySince: number | null = null;

  constructor(options: CourierOptions) {
    this.#options = options;
  }

  /** Never throws; the engine hears how it went. */
  take(errand: Errand): void {
    const carrying = this.#carry(errand).finally(() => this.#underWay.delete(carrying));
    this.#underWay.add(carrying);
  }

  /** Gives up what waits for a backend that is away, and waits for what is under way. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.allSettled(this.#underWay);
  }

  async #carry(errand: Errand): Promise<void> {
    switch (errand.type) {
      case 'fetch':
        return this.#fetch(errand);
      case 'ship':
        return this.#ship(errand);
      case 'remove':
        return this.#remove(errand);
      case 'list':
        return this.#list(errand);
      case 'open-gone':
        return this.#openGone(errand);
      case 'keep-gone':
        return this.#keepGone(errand);
    }
  }

  async #fetch({ errand, pack, offset, bytes }: EventOf<'fetch'>): Promise<void> {
    const { engine, buffers } = this.#options;
    try {
      const into = buffers.take(bytes);
      const got = await this.#patiently(() => this.#get(packKey(pack), offset, into));
      if (got === null) {
        const failure = { code: 'not-found', message: `the backend has no chunk ${packKey(pack)}` };
        this.#answer(() => engine.completeFetch(errand, null, failure));
        return;
      }
      buffers.lend(errand, into);
      this.#answer(() => engine.completeFetch(errand, into.subarray(0, got), null));
    } catch (error) {
      this.#answer(() => engine.completeFetch(errand, null, failureOf(error)));
    }
  }

  /** The engine takes what is missing for rot, so an answer that was cut off on its way must not reach it as the chunk's end. */
  async #get(key: ChunkKey, offset: number, into: Uint8Array): Promise<number | null> {
    const { chunks } = this.#options;
    const got = await chunks.get(key, offset, into);
    if (got === null || got === into.length) return got;
    const bytes = (await chunks.stat(key))?.bytes ?? null;
    if (bytes !== null && bytes > offset + got)
      throw new SkerryError(
        'io',
        `the backend gave ${got} bytes of chunk ${key} from its byte ${offset} on, and it has ${bytes}: ${into.length} were asked for`,
      );
    return bytes === null ? null : got;
  }

  async #ship({ errand, pack, path, bytes }: EventOf<'ship'>): Promise<void> {
    const { chunks, shipTurns } = this.#options;
    await this.#change(this.#shipping, { errand, pack }, () =>
      shipTurns.run(async () => {
        const data = await readFile(path);
        if (data.length !== bytes)
          throw new SkerryError('corrupt', `${path} has ${data.length} bytes, and was sealed with ${bytes}`);
        await chunks.put(packKey(pack), data);
      }),
    );
  }

  async #remove({ errand, pack }: EventOf<'remove'>): Promise<void> {
    await this.#change(this.#removing, { errand, pack }, () => this.#options.chunks.remove(packKey(pack)));
  }

  async #openGone({ errand }: EventOf<'open-gone'>): Promise<void> {
    const { engine, gone } = this.#options;
    try {
      const list = await this.#inTime(gone.open());
      this.#answer(() =>
        list === null
          ? engine.completeFetch(errand, null, { code: 'not-found', message: 'no host before this one kept a list' })
          : engine.completeFetch(errand, list, null),
      );
    } catch (error) {
      this.#answer(() => engine.completeFetch(errand, null, failureOf(error)));
    }
  }

  async #keepGone({ errand, number, list }: EventOf<'keep-gone'>): Promise<void> {
    await this.#change(this.#keeping, { errand, number }, () => this.#inTime(this.#options.gone.keep(number, list)));
  }

  /** What the engine asks for again until it has succeeded; `what`: of the errand, for the log. */
  async #change(
    kind: Change,
    { errand, ...what }: { readonly errand: number; readonly pack?: number; readonly number?: number },
    call: () => Promise<void>,
  ): Promise<void> {
    const { engine, log } = this.#options;
    try {
      await call();
      if (kind.failing) log('info', kind.again);
      kind.failing = false;
      this.#answer(() => engine.completeChange(errand, null));
    } catch (error) {
      const failure = failureOf(error);
      if (!kind.failing && failure.code !== 'closed') log('warn', kind.failed, { ...what, ...failure });
      kind.failing = true;
      this.#answer(() => engine.completeChange(errand, failure));
    }
  }

  async #list({ errand }: EventOf<'list'>): Promise<void> {
    const { engine, chunks } = this.#options;
    try {
      const packs: ListedPack[] = [];
      const listing = chunks.list(packPrefix)[Symbol.asyncIterator]();
      for (let next = await this.#inTime(listing.next()); next.done !== true; next = await listing.next()) {
        const { key, bytes } = next.value;
        const [, number] = packKeyPattern.exec(key) ?? [];
        if (number !== undefined) packs.push({ pack: Number.parseInt(number, 16), bytes });
      }
      this.#answer(() => engine.completeList(errand, packs, null));
    } catch (error) {
      this.#answer(() => engine.completeList(errand, null, failureOf(error)));
    }
  }

  /** What a start waits for before it serves. */
  async #inTime<T>(work: Promise<T>): Promise<T> {
    const patience = this.#options.listMilliseconds();
    return patience === null ? work : within(patience, work);
  }

  /**
   * The filters below try again for a short while; an outage lasts longer, and a guest would rather wait than lose its disk.
   * The time counts from the outage's beginning: what stood in line all the while has waited too.
   */
  async #patiently<T>(call: () => Promise<T>): Promise<T> {
    const began = performance.now();
    for (;;) {
      try {
        const result = await call();
        this.#awaySince = null;
        return result;
      } catch (error) {
        const now = performance.now();
        this.#awaySince ??= now;
        const waited = now - Math.min(began, this.#awaySince);
        const again = toSkerryError(error).retry && waited < this.#options.stallMilliseconds;
        if (!again || this.#closing.signal.aborted) throw error;
        await pause(stall_pause_milliseconds, this.#closing.signal);
      }
    }
  }

  /** An engine that has stopped wants no answer any more. */
  #answer(answer: () => void): void {
    try {
      answer();
    } catch (error) {
      this.#options.log('info', 'the engine took no answer to an errand', { error: String(error) });
    }
  }
}

function failureOf(error: unknown): { readonly code: string; readonly message: string } {
  const { code, message } = toSkerryError(error);
  return { code, message };
}

/** The same, where it ends in time. */
async function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  const patience = new AbortController();
  const late = pause(milliseconds, patience.signal).then((): never => {
    throw new SkerryError('timeout', `no answer for ${milliseconds / 1000} s`);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    late.catch(() => undefined);
    work.catch(() => undefined);
    patience.abort();
  }
}
