/** What differs between two resources, as ranges and as a stream, and a stream put back into a volume. */
import type { ResourceKind, ResourceRecord } from '../catalog/records.js';
import { SkerryError } from '../core/errors.js';
import type { NativeEngine } from '../engine/binding.js';
import {
  DiffReader,
  encodeEnd,
  encodeFrame,
  encodeHeader,
  frame_data_bytes_max,
  type DiffFrame,
  type DiffHeader,
} from './diff_stream.js';
import type { Ledger, LedgerEntry } from './ledger.js';
import { nameLock, type KeyedLocks } from './locks.js';
import type { Difference } from './resources.js';
import { whenThereIsRoom } from './room.js';
import { findReady, findServed, findSource, readyOrNull } from './sources.js';

/** Of one answer; the next one begins where it ends. */
export const ranges_per_answer_max = 4096;

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
    yield encodeHeader({ from: old.name, to: now.name, fromBytes: old.sizeBytes, toBytes: now.sizeBytes });
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
   * again does no harm, so one that broke off is applied anew, with `anyBase`: nobody else can tell that the volume is between
   * the two.
   * @throws SkerryError conflict where the volume is attached or is not what the stream begins with; corrupt, and then part of
   * it was applied.
   */
  async apply(name: string, bytes: AsyncIterable<Uint8Array>, { anyBase = false } = {}): Promise<LedgerEntry> {
    const { ledger, engine } = this.#options;
    const { record } = await findServed(ledger, 'volume', name);
    const { id } = record;
    const reader = new DiffReader();
    let checked = false;
    for await (const part of bytes) {
      const frames = reader.feed(part);
      if (!checked && reader.header !== null) {
        this.#refuseAttached(name, id);
        if (!anyBase) await this.#refuseOther(record, reader.header);
        await this.#prepare(name, reader.header);
        checked = true;
      }
      await this.#write(name, id, frames);
    }
    reader.finish();
    await engine.flush(id);
    return findReady(ledger, 'volume', name);
  }

  /**
   * Names alone would not do, for what a volume was it need not be any more. What differs is told by the block, so nothing that
   * differs goes unseen; a write that changed nothing may count as one that did while it is in the journal.
   */
  async #refuseOther(volume: ResourceRecord, { from, fromBytes }: DiffHeader): Promise<void> {
    const refuse = (why: string): never => {
      throw new SkerryError('conflict', `${why}. Where it is what the stream begins with all the same, say --any-base`);
    };
    if (from === null) return refuse('the stream is of version 1 and does not name what it begins with');
    const base = await this.#base(volume, shortName(from));
    if (base === null) {
      const snapshot = `${volume.name}@${shortName(from)}`;
      return refuse(
        `the stream begins with ${from}, and volume ${volume.name} has no snapshot ${snapshot}: apply it to one that has`,
      );
    }
    const found = await this.#find(`volume/${volume.name}`);
    if (found.sizeBytes !== fromBytes || base.sizeBytes !== fromBytes) return refuse(anotherSize(found, fromBytes));
    if (await this.#differ(base, found)) {
      const back =
        base.kind === 'snapshot' && base.name.startsWith(`${volume.name}@`) ? `, or skerry volume rollback ${base.name}` : '';
      refuse(`volume ${volume.name} was written since it was ${base.name}: apply the stream to a clone of that${back}`);
    }
  }

  async #differ(old: Found, now: Found): Promise<boolean> {
    for (let at = 0; at < now.sizeBytes; ) {
      const { ranges, next } = await this.#options.engine.changes(old.id, now.id, at, 1);
      if (ranges.length > 0) return true;
      at = next;
    }
    return false;
  }

  /** Its own snapshot of that name, or what of that name it was cloned from. */
  async #base(volume: ResourceRecord, name: string): Promise<Found | null> {
    const { ledger } = this.#options;
    const own = readyOrNull(await ledger.find('snapshot', `${volume.name}@${name}`));
    const parent = volume.parentId === 0 ? null : readyOrNull(await ledger.get(volume.parentId));
    const base = own ?? (parent !== null && shortName(parent.record.name) === name ? parent : null);
    return base === null ? null : this.#found(base.record);
  }

  #refuseAttached(name: string, id: number): void {
    if (this.#options.engine.attached(id) > 0)
      throw new SkerryError('conflict', `volume ${name} is attached: detach it, then apply the stream`);
  }

  async #prepare(name: string, { fromBytes, toBytes }: DiffHeader): Promise<void> {
    const found = await this.#find(`volume/${name}`);
    const { sizeBytes } = found;
    // A stream that broke off may have left the new size already.
    if (sizeBytes !== fromBytes && sizeBytes !== toBytes) {
      throw new SkerryError('conflict', anotherSize(found, fromBytes));
    }
    if (sizeBytes !== toBytes) await this.#options.resize(name, toBytes);
  }

  async #write(name: string, id: number, frames: readonly DiffFrame[]): Promise<void> {
    const { engine, locks } = this.#options;
    // The volume may be renamed or deleted between two parts of the stream, not in the middle of one.
    await locks.run([nameLock(name)], async () => {
      for (const frame of frames) {
        this.#refuseAttached(name, id);
        await whenThereIsRoom(() => engine.write(id, frame.offset, frame.kind === 'data' ? frame.data : frame.length));
      }
    });
  }

  async #find(source: string): Promise<Found> {
    const { ledger } = this.#options;
    const { record } = await findSource(ledger, source);
    ledger.unreadLogs.refuse(record);
    return this.#found(record);
  }

  #found({ id, kind, name, sizeBytes }: ResourceRecord): Found {
    return { id, kind, name, sizeBytes: this.#options.engine.sizeBytes(id) ?? sizeBytes };
  }
}

interface Found {
  readonly id: number;
  readonly kind: ResourceKind;
  readonly name: string;
  readonly sizeBytes: number;
}

/** Of a snapshot the part behind the @, for a copy elsewhere need not be a volume of the same name. */
const shortName = (name: string): string => name.slice(name.indexOf('@') + 1);

const anotherSize = ({ name, sizeBytes }: Found, fromBytes: number): string =>
  `the stream begins with ${fromBytes} bytes, and volume ${name} has ${sizeBytes}: apply it to what it was made from`;
