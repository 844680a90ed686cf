/**
 * The logs of one pool's volumes: puts what the engine has sealed, until it is there; reads it where a host has nothing else; removes
 * what roots hold by now. A chunk that was sealed once is put with the same bytes for ever, for an attempt that failed may have arrived.
 */
import { SkerryError, toSkerryError } from '../core/errors.js';
import { inParallel } from '../core/in_parallel.js';
import { log_chunk_bytes_max } from '../core/limits.js';
import { pause } from '../core/pause.js';
import type { ChunkKey, Driver } from '../driver/driver.js';
import type { NativeEngine } from '../engine/binding.js';
import { passFailpoint } from '../engine/failpoints.js';
import type { LogChunkEvent } from '../engine/volume_log.js';
import { decodeLogChunk, encodeLogChunk, logChunkKey, logPrefix, parseLogChunkKey, type LogChunk } from './log_chunk.js';
import type { ChunkCipher } from './pool_secrets.js';

const retry_pause_milliseconds = 500;
/** Of one volume, while its log is read or removed. */
const calls_in_flight_max = 16;
/** So long after a put flushes are taken to go on. */
const quiet_milliseconds = 100;

/** For how long every call to the backend has failed, and why the last one did. */
export interface Outage {
  readonly milliseconds: number;
  readonly why: string;
}

export interface LogKeeperOptions {
  readonly poolUuid: Uint8Array;
  readonly cipher: ChunkCipher | null;
  /** The pool's driver under its filters: one that is impatient, for puts are tried again here, and one that is not. */
  readonly hasty: Driver;
  readonly chunks: Driver;
  /** How long flushes wait for a backend that is away before they fail. */
  readonly stallMilliseconds: number;
  /** null while the backend answers. */
  readonly outage: () => Outage | null;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
}

type Answers = Pick<NativeEngine, 'completeChange' | 'volumeLog'>;

export class LogKeeper {
  readonly #options: LogKeeperOptions;
  readonly #closing = new AbortController();
  /** By volume. */
  readonly #puts = new Map<number, Set<Promise<void>>>();
  /** By volume: what has a lower fence is given up, for the volume has left the pool, or was deleted. */
  readonly #goneBelow = new Map<number, number>();
  /** Volumes of which nothing is put yet, and how each is let go. */
  readonly #holds = new Map<number, { readonly ended: Promise<void>; readonly end: () => void }>();
  /** When puts began to fail, in a row; null while they do not. In milliseconds of performance.now(). */
  #awaySince: number | null = null;
  /** Of any volume: when one was last under way, in milliseconds of performance.now(), and how many are. */
  #lastPutAt = Number.NEGATIVE_INFINITY;
  #putsUnderWay = 0;

  constructor(options: LogKeeperOptions) {
    this.#options = options;
  }

  /** Never throws; the engine hears when it is there. */
  take(event: LogChunkEvent, engine: Answers): void {
    const puts = this.#puts.get(event.volume) ?? new Set();
    this.#puts.set(event.volume, puts);
    const putting = this.#put(event, engine).finally(() => puts.delete(putting));
    puts.add(putting);
  }

  /** Until the answer is called no chunk of the volume is put: the pool has to know first where its log is. */
  hold(volume: number): () => void {
    let end = (): void => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#holds.set(volume, { ended, end });
    return () => this.#release(volume);
  }

  /** Of a volume whose flushes wait for something else than a put: where the backend is away for too long, those that wait now fail. */
  tellIfAway(volume: number, engine: Pick<Answers, 'volumeLog'>): void {
    const outage = this.#options.outage();
    if (outage !== null && outage.milliseconds >= this.#options.stallMilliseconds) this.#tellLate(volume, outage.why, engine);
  }

  /** Asks for a chunk as a read does, and is not patient. @throws SkerryError of the driver where the pool does not answer */
  async ask(volume: number): Promise<void> {
    await this.#options.hasty.stat(logChunkKey({ volume, fence: 1, number: 0 }));
  }

  /** null where there is no such chunk. @throws SkerryError of the driver; corrupt for what is no such chunk, denied without the cipher */
  async read(volume: number, fence: number, number: number): Promise<LogChunk | null> {
    const { chunks, cipher, poolUuid } = this.#options;
    const key = logChunkKey({ volume, fence, number });
    const stat = await chunks.stat(key);
    if (stat === null) return null;
    if (stat.bytes > log_chunk_bytes_max) throw new SkerryError('corrupt', `chunk ${key} is larger than it can be`);
    const buffer = new Uint8Array(stat.bytes);
    const bytes = await chunks.get(key, 0, buffer);
    if (bytes === null) return null;
    const chunk = decodeLogChunk(buffer.subarray(0, bytes), cipher);
    const same = chunk.volume === volume && chunk.fence === fence && chunk.number === number;
    if (!same || Buffer.compare(chunk.poolUuid, poolUuid) !== 0)
      throw new SkerryError('corrupt', `chunk ${key} is of another volume, pool or place`);
    return chunk;
  }

  /**
   * The chunks from `first` on, in their order, up to the first that is not there; several are asked for at once.
   * @throws as read; corrupt where one is not there that was, as a later one knows
   */
  async *chunks(volume: number, fence: number, first: number): AsyncGenerator<LogChunk> {
    const reading: Promise<LogChunk | null>[] = [];
    let next = first;
    try {
      for (;;) {
        while (reading.length < calls_in_flight_max) {
          const one = this.read(volume, fence, next);
          // One that comes after the end may fail, and nobody asks.
          one.catch(() => undefined);
          reading.push(one);
          next += 1;
        }
        const chunk = await reading.shift();
        if (chunk !== null && chunk !== undefined) {
          yield chunk;
          continue;
        }
        return await this.#refuseHole(volume, fence, next - 1 - reading.length);
      }
    } finally {
      await Promise.allSettled(reading);
    }
  }

  /** Of puts that were under way together a later one may have arrived alone; what it says was there before must be there. */
  async #refuseHole(volume: number, fence: number, missing: number): Promise<void> {
    let last = missing;
    for await (const { key } of this.#options.chunks.list(logPrefix(volume))) {
      const parsed = parseLogChunkKey(key);
      if (parsed?.fence === fence) last = Math.max(last, parsed.number);
    }
    // Each knows of all that the ones before it did.
    const chunk = last === missing ? null : await this.read(volume, fence, last);
    if (chunk !== null && chunk.settled > missing)
      throw new SkerryError(
        'corrupt',
        `chunk ${logChunkKey({ volume, fence, number: missing })} is gone from the pool, and ${logChunkKey(chunk)} says that it was there: flushed writes are lost with it`,
      );
  }

  /** The highest fence that chunks of the volume have; 0 where there is none. @throws SkerryError of the driver */
  async fenceMax(volume: number): Promise<number> {
    let highest = 0;
    for await (const { key } of this.#options.chunks.list(logPrefix(volume)))
      highest = Math.max(highest, parseLogChunkKey(key)?.fence ?? 0);
    return highest;
  }

  /** Removes the chunks [from, to) under the fence, once what is on its way there has come. @throws SkerryError of the driver */
  async trim(volume: number, fence: number, from: number, to: number): Promise<void> {
    await this.#settled(volume);
    const numbers = Array.from({ length: Math.max(to - from, 0) }, (_, index) => from + index);
    await this.#remove(numbers.map((number) => logChunkKey({ volume, fence, number })));
  }

  /** The volume is gone: so is its log, and what is on its way there is given up. @throws SkerryError of the driver */
  async forget(volume: number): Promise<void> {
    this.leave(volume, Number.POSITIVE_INFINITY);
    await this.sweep(volume, () => false);
  }

  /** The volume is in another pool: what has a lower fence than its log there, and is not here yet, is given up. */
  leave(volume: number, fence: number): void {
    this.#goneBelow.set(volume, fence);
    this.#release(volume);
  }

  /** Removes whatever there is of the volume that `wanted` does not want. @throws SkerryError of the driver */
  async sweep(volume: number, wanted: (fence: number, number: number) => boolean): Promise<void> {
    await this.#settled(volume);
    const keys: ChunkKey[] = [];
    for await (const { key } of this.#options.chunks.list(logPrefix(volume))) {
      const parsed = parseLogChunkKey(key);
      if (parsed !== null && !wanted(parsed.fence, parsed.number)) keys.push(key);
    }
    await this.#remove(keys);
  }

  /** Gives up what is not there yet: the journal has it, and the engine hears nothing more. */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const volume of this.#holds.keys()) this.#release(volume);
    await Promise.allSettled([...this.#puts.values()].flatMap((puts) => [...puts]));
  }

  /** To most backends a removal is as much work as a put: while flushes wait for puts, they come one after the other. */
  async #remove(keys: readonly ChunkKey[]): Promise<void> {
    for (let at = 0; at < keys.length; ) {
      const quiet = this.#putsUnderWay === 0 && performance.now() - this.#lastPutAt > quiet_milliseconds;
      const some = keys.slice(at, at + (quiet ? calls_in_flight_max : 1));
      await inParallel(some, some.length, (key) => this.#options.chunks.remove(key));
      at += some.length;
    }
  }

  #release(volume: number): void {
    this.#holds.get(volume)?.end();
    this.#holds.delete(volume);
  }

  #isGone({ volume, fence }: Pick<LogChunkEvent, 'volume' | 'fence'>): boolean {
    return fence < (this.#goneBelow.get(volume) ?? 0);
  }

  /** Resolves once chunks of the volume may be put; those who wait for it are told when that takes too long. */
  async #released(volume: number, engine: Answers): Promise<void> {
    const milliseconds = Math.max(this.#options.stallMilliseconds, retry_pause_milliseconds);
    for (let hold = this.#holds.get(volume); hold !== undefined; hold = this.#holds.get(volume)) {
      const waited = new AbortController();
      await Promise.race([hold.ended, pause(milliseconds, waited.signal)]);
      waited.abort();
      if (this.#holds.has(volume)) this.#tellLate(volume, 'its pool does not take the root that its log goes on from', engine);
    }
  }

  #tellLate(volume: number, why: string, engine: Pick<Answers, 'volumeLog'>): void {
    const told = `the log of the volume cannot be put into its pool: ${why}`;
    this.#answer(() => void engine.volumeLog('late', volume, told).catch(() => undefined));
  }

  /** What is held is not on its way. */
  async #settled(volume: number): Promise<void> {
    const puts = this.#puts.get(volume);
    if (puts !== undefined && !this.#holds.has(volume)) await Promise.allSettled(puts);
  }

  async #put(event: LogChunkEvent, engine: Answers): Promise<void> {
    const { poolUuid, cipher, hasty, log } = this.#options;
    const { volume, fence, number, firstSequence, lastSequence, settled, entries } = event;
    const key = logChunkKey(event);
    const sealed = encodeLogChunk({ poolUuid, volume, fence, number, firstSequence, lastSequence, settled, entries }, cipher);
    await this.#released(volume, engine);
    for (const began = performance.now(); !this.#isGone(event) && !this.#closing.signal.aborted; ) {
      try {
        this.#putsUnderWay += 1;
        await hasty.put(key, sealed).finally(() => {
          this.#putsUnderWay -= 1;
          this.#lastPutAt = performance.now();
        });
        if (this.#awaySince !== null) log('info', 'log chunks reach the backend again');
        this.#awaySince = null;
        passFailpoint('log-chunk-put');
        this.#answer(() => engine.completeChange(event.errand, null));
        return;
      } catch (thrown) {
        const error = toSkerryError(thrown);
        const now = performance.now();
        if (this.#awaySince === null)
          log('warn', 'a log chunk cannot be put, and is tried again until it can: flushes wait for it', {
            key,
            code: error.code,
            error: error.message,
          });
        this.#awaySince ??= now;
        const waited = now - Math.min(began, this.#awaySince);
        if (this.#isGone(event)) break;
        if (!error.retry || waited >= this.#options.stallMilliseconds) this.#tellLate(volume, error.message, engine);
        await pause(retry_pause_milliseconds, this.#closing.signal);
      }
    }
    this.#answer(() => engine.completeChange(event.errand, { code: 'closed', message: 'nobody waits for it any more' }));
  }

  /** An engine that has stopped wants no answer any more. */
  #answer(answer: () => void): void {
    try {
      answer();
    } catch (error) {
      this.#options.log('info', 'the engine took no answer to a log chunk', { error: String(error) });
    }
  }
}
