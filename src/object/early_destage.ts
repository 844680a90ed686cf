/**
 * Long bodies become blocks of the pool while they come, so that a volume that is made of one right after its upload finds nearly all of
 * it there, and waits for the last of it only (object_disks.ts).
 */
import type { Segment } from '../catalog/object_records.js';
import { block_bytes } from '../core/limits.js';

/** Of long bodies, in one shelf: about a third of a second of destage. */
const step_bytes = 256 << 20;

export interface EarlyDestageOptions {
  /** Resolves once all that the shelf was given so far is in its root. */
  readonly destage: (shelf: number) => Promise<void>;
  readonly stepBytes?: number;
}

interface Shelf {
  /** Stored since the last destage began. */
  bytes: number;
  running: boolean;
  /** Another one follows, however little came since. */
  again: boolean;
}

export class EarlyDestage {
  readonly #options: EarlyDestageOptions;
  readonly #shelves = new Map<number, Shelf>();
  #stopped = false;

  constructor(options: EarlyDestageOptions) {
    this.#options = options;
  }

  /**
   * So much of a body was written, which may be still to end. What is short is no disk, and shares blocks with what is still to come: it is
   * left to the engine.
   */
  note(id: number, bytes: number): void {
    if (bytes < block_bytes) return;
    const shelf = this.#shelf(id);
    shelf.bytes += bytes;
    this.#run(id, shelf, false);
  }

  /** Of an object that has come to its end: what is left of it does not wait for more to come. */
  finish(segments: readonly Segment[]): void {
    const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
    if (bytes < this.#stepBytes) return;
    for (const id of new Set(segments.map(({ shelf }) => shelf))) this.#run(id, this.#shelf(id), true);
  }

  /** Nothing is begun any more; nobody waits for what is under way, which a backend that is away may hold up. */
  stop(): void {
    this.#stopped = true;
  }

  get #stepBytes(): number {
    return this.#options.stepBytes ?? step_bytes;
  }

  #shelf(id: number): Shelf {
    const known = this.#shelves.get(id) ?? { bytes: 0, running: false, again: false };
    this.#shelves.set(id, known);
    return known;
  }

  /** One at a time for each shelf: roots of it come one after the other anyway. */
  #run(id: number, shelf: Shelf, now: boolean): void {
    const due = now ? shelf.bytes > 0 : shelf.bytes >= this.#stepBytes;
    if (!due || this.#stopped) return;
    if (shelf.running) {
      shelf.again ||= now;
      return;
    }
    Object.assign(shelf, { bytes: 0, running: true, again: false });
    const ended = (): void => {
      shelf.running = false;
      this.#run(id, shelf, shelf.again);
    };
    // The engine tells of what fails, and does it again by itself.
    this.#options.destage(id).then(ended, ended);
  }
}
