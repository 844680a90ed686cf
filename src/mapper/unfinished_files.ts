/**
 * Files outside the data directory that are being written: their paths are in the catalog for as long as they are not whole,
 * so that the daemon that follows one that was killed removes them.
 */
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';

import type { Catalog } from '../catalog/catalog.js';
import { unfinishedFileKey, unfinishedFilePrefix } from '../catalog/keys.js';
import { toSkerryError } from '../core/errors.js';

const name_bytes = 8;

export class UnfinishedFiles {
  readonly #catalog: Catalog;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /** Runs `work`, which may make the file; one that it leaves is removed. Durable before the file can be there. */
  async during<T>(path: string, work: () => Promise<T>): Promise<T> {
    const key = unfinishedFileKey(randomBytes(name_bytes).toString('hex'));
    await this.#catalog.transact([], [{ key, value: new TextEncoder().encode(path) }]);
    try {
      return await work();
    } finally {
      await rm(path, { force: true });
      await this.#catalog.transact([], [{ key, value: null }]);
    }
  }

  /** Removes what an earlier daemon left. @returns the paths; those that could not be removed with the reason. */
  async removeLeft(): Promise<readonly { readonly path: string; readonly failure: string | null }[]> {
    const left: { path: string; failure: string | null }[] = [];
    for (const { key, value } of await this.#catalog.range(unfinishedFilePrefix)) {
      const path = new TextDecoder().decode(value);
      const failure = await rm(path, { force: true }).then(
        () => null,
        (error: unknown) => toSkerryError(error).message,
      );
      left.push({ path, failure });
      await this.#catalog.transact([], [{ key, value: null }]);
    }
    return left;
  }
}
