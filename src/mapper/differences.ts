/** What differs between two resources, as ranges and as a stream, and a stream put back into a volume. */
import { isSkerryError, SkerryError } from '../core/errors.js';
import { pause } from '../core/pause.js';
import type { NativeEngine } from '../engine/binding.js';
import { DiffReader, encodeEnd, encodeFrame, encodeHeader, frame_data_bytes_max, type DiffFrame } from './diff_stream.js';
import type { Ledger, LedgerEntry } from './ledger.js';
import { nameLock, type KeyedLocks } from './locks.js';
import type { Difference } from './resources.js';
import { findReady, findSource } from './sources.js';

/** Of one answer; the next one begins where it ends. */
export const ranges_per_answer_max = 4096;
const room_pause_milliseconds = 5;

export interface DifferencesOptions {
  readonly ledger: Ledger;
  readonly locks: KeyedLocks;
  readonly engine: Pick<NativeEngine, 'changes' | 'read' | 'write' | 'flush' | 'attached' | 'sizeBytes'>;
  readonly resize: (name: string, sizeBytes: number) => Promise<unknown>;
}

export class Differences {
  readonly #options: DifferencesOptions;

  constructor(options: DifferencesOptions) {
    this.#options = options;
  }

  /** From `offset` on, as many ranges as one answer holds. */
  async ranges(from: string, to: string, offset: number): Promise<Difference> {
    const { engine } = this.#options;
    const [old, now] = [await this.#find(from), await this.#find(to)];
    const { ranges, next } = await engine.changes(old.id, now.id, offset, ranges_per_answer_max);
    return { fromBytes: old.sizeBytes, toBytes: now.sizeBytes, ranges, next: next < now.sizeBytes ? next : null };
  }

  /**
   * Begins only when its resources are known to be there. What is written to meanwhile has no one state to tell of, so a
   * volume that is attached is refused.
   */
  async stream(from: string, to: string): Promise<AsyncIterable<Uint8Array>> {
    const [old, now] = [await this.#find(from), await this.#find(to)];
    if (now.kind === 'volume' && this.#options.engine.attached(now.id) > 0) {
      throw new SkerryError('conflict', `volume ${to} is attached and may change meanwhile: take a snapshot, and stream that`);
    }
    return this.#frames(old, now);
  }

  async *#frames(old: Found, now: Found): AsyncGenerator<Uint8Array> {
    const { engine } = this.#options;
    yield encodeHeader({ fromBytes: old.sizeBytes, toBytes: now.sizeBytes });
    let frames = 0;
    let changedBytes = 0;
    for (let at = 0; at < now.sizeBytes; ) {
      const { ranges, next } = await engine.changes(old.id, now.id, at, ranges_per_answer_max);
      for (const { offset, length, zero } of ranges) {
        for (let done = 0; done < length; ) {
          const part = zero ? length : Math.min(frame_data_bytes_max, length - done);
          const frame: DiffFrame = zero
            ? { kind: 'zero', offset, length }
            : { kind: 'data', offset: offset + done, data: await engine.read(now.id, offset + done, part) };
          yield encodeFrame(frame);
          frames += 1;
          changedBytes += part;
          done += part;
        }
      }
      at = next;
    }
    yield encodeEnd({ frames, changedBytes });
  }

  /**
   * Makes the volume, which must be what the stream began with, what it ended with; durable when it resolves. Applying a stream
   * again does no harm, so one that broke off is simply applied anew.
   * @throws SkerryError conflict where the volume is attached or has another size; corrupt, and then part of it was applied.
   */
  async apply(name: string, bytes: AsyncIterable<Uint8Array>): Promise<LedgerEntry> {
    const { ledger, engine } = this.#options;
    const { id } = (await findReady(ledger, 'volume', name)).record;
    const reader = new DiffReader();
    let checked = false;
    for await (const part of bytes) {
      const frames = reader.feed(part);
      if (!checked && reader.header !== null) {
        await this.#prepare(name, reader.header.fromBytes, reader.header.toBytes);
        checked = true;
      }
      await this.#write(name, id, frames);
    }
    reader.finish();
    await engine.flush(id);
    return findReady(ledger, 'volume', name);
  }

  async #prepare(name: string, fromBytes: number, toBytes: number): Promise<void> {
    const { sizeBytes } = await this.#find(`volume/${name}`);
    // A stream that broke off may have left the new size already.
    if (sizeBytes !== fromBytes && sizeBytes !== toBytes) {
      throw new SkerryError(
        'conflict',
        `the stream begins with ${fromBytes} bytes, and volume ${name} has ${sizeBytes}: apply it to what it was made from`,
      );
    }
    if (sizeBytes !== toBytes) await this.#options.resize(name, toBytes);
  }

  async #write(name: string, id: number, frames: readonly DiffFrame[]): Promise<void> {
    const { engine, locks } = this.#options;
    // The volume may be renamed or deleted between two parts of the stream, not in the middle of one.
    await locks.run([nameLock(name)], async () => {
      for (const frame of frames) {
        if (engine.attached(id) > 0)
          throw new SkerryError('conflict', `volume ${name} is attached: detach it, then apply the stream`);
        await this.#patiently(() => engine.write(id, frame.offset, frame.kind === 'data' ? frame.data : frame.length));
      }
    });
  }

  async #patiently(work: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        await work();
        return;
      } catch (error) {
        // The journal makes room as fast as it is destaged; a pool that is full says so with another code.
        if (!isSkerryError(error, 'try-again')) throw error;
        await pause(room_pause_milliseconds);
      }
    }
  }

  async #find(source: string): Promise<Found> {
    const { id, kind, sizeBytes } = (await findSource(this.#options.ledger, source)).record;
    return { id, kind, sizeBytes: this.#options.engine.sizeBytes(id) ?? sizeBytes };
  }
}

interface Found {
  readonly id: number;
  readonly kind: 'volume' | 'snapshot' | 'image';
  readonly sizeBytes: number;
}
