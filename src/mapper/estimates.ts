/**
 * What files would take in a pool, told before they are imported. Who asks reads on step by step, so that nothing runs for
 * somebody who has gone away; what was begun and is left alone ends by itself.
 */
import type { EstimateStep, NativeEngine } from '../engine/binding.js';
import { SkerryError } from '../core/errors.js';
import { formatOfFile, openImportable } from './imports.js';

/** How long one that nobody reads on is kept. */
const idle_milliseconds_max = 60_000;

export interface EstimateFile {
  /** Of this host, absolute. */
  readonly path: string;
  readonly offset: number;
  /** It is a raw disk, whatever its first bytes look like. */
  readonly raw?: boolean;
}

export interface EstimatesOptions {
  readonly engine: Pick<NativeEngine, 'estimate'>;
  readonly idleMilliseconds?: number;
}

export class Estimates {
  readonly #options: EstimatesOptions;
  readonly #idle = new Map<number, NodeJS.Timeout>();

  constructor(options: EstimatesOptions) {
    this.#options = options;
  }

  /** @throws SkerryError not-found, and try-again where too many run. */
  async begin(pool: string): Promise<number> {
    const id = await this.#options.engine.estimate('begin', pool);
    this.#await(id);
    return id;
  }

  /** Reads on for a moment. @throws SkerryError not-found, and invalid for what is no raw disk. */
  async read(id: number, { path, offset, raw = false }: EstimateFile): Promise<EstimateStep> {
    this.#stay(id);
    try {
      if (offset === 0) await checkRaw(path, raw);
      return await this.#options.engine.estimate('read', id, path, offset);
    } finally {
      this.#await(id);
    }
  }

  async end(id: number): Promise<void> {
    this.#stay(id);
    await this.#options.engine.estimate('end', id);
  }

  #stay(id: number): void {
    const idle = this.#idle.get(id);
    if (idle === undefined) throw new SkerryError('not-found', 'there is no such estimate, or it has ended: begin another');
    clearTimeout(idle);
    this.#idle.delete(id);
  }

  #await(id: number): void {
    const end = (): void => {
      this.#idle.delete(id);
      // An engine that stops has none any more.
      this.#options.engine.estimate('end', id).catch(() => {});
    };
    this.#idle.set(id, setTimeout(end, this.#options.idleMilliseconds ?? idle_milliseconds_max).unref());
  }
}

/** What other programs pack their disks into says nothing of the blocks that come out of it. */
async function checkRaw(path: string, sure: boolean): Promise<void> {
  const { file, fileBytes } = await openImportable(path);
  try {
    if (sure) return;
    const format = await formatOfFile(file, fileBytes, path);
    if (format === 'raw') return;
    throw new SkerryError(
      'invalid',
      `${path} is a ${format} file, and only raw disks can be estimated: unpack it first. If it is a raw disk that only looks so: --format raw`,
    );
  } finally {
    await file.close();
  }
}
