/** Changes of the catalog that are decided on what was read: anew where somebody changed that meanwhile. */
import type { Catalog, Compare, Write } from '../catalog/catalog.js';
import { SkerryError } from '../core/errors.js';

const attempts_max = 32;

export interface Decision<T> {
  readonly compares: readonly Compare[];
  readonly writes: readonly Write[];
  /** What the caller gets once the writes are durable. */
  readonly result: T;
}

/** `decide` throws where what it reads forbids it. @throws SkerryError try-again where others are always faster */
export async function decided<T>(catalog: Catalog, decide: () => Promise<Decision<T>>): Promise<T> {
  for (let attempt = 0; attempt < attempts_max; attempt += 1) {
    const { compares, writes, result } = await decide();
    const { outcome } = await catalog.transact(compares, writes);
    if (outcome === 'committed') return result;
  }
  throw new SkerryError('try-again', 'what was to be changed in the catalog changes all the time');
}
