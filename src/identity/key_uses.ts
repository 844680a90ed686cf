/** When access keys were used last: noted in memory, and written once a minute, for nobody waits for it. */
import type { Catalog, Compare, Write } from '../catalog/catalog.js';
import { encodeKeyUse } from '../catalog/identity_records.js';
import { accessKeyKey, keyUseKey } from '../catalog/keys.js';

export interface KeyUsesOptions {
  readonly catalog: Catalog;
  readonly now: () => number;
}

export class KeyUses {
  readonly #options: KeyUsesOptions;
  #noted = new Map<string, number>();

  constructor(options: KeyUsesOptions) {
    this.#options = options;
  }

  note(accessKey: string): void {
    this.#noted.set(accessKey, this.#options.now());
  }

  /** One at a time. @throws SkerryError of the catalog; what was noted is written with the next one then */
  async flush(): Promise<void> {
    const { catalog } = this.#options;
    const noted = this.#noted;
    this.#noted = new Map();
    try {
      while (noted.size > 0) {
        const compares: Compare[] = [];
        const writes: Write[] = [];
        for (const [accessKey, lastUsedAt] of noted) {
          const entry = await catalog.get(accessKeyKey(accessKey));
          if (entry === null) {
            noted.delete(accessKey);
            continue;
          }
          // Compared, so that nothing is left of a key that is revoked meanwhile.
          compares.push(entry);
          writes.push({ key: keyUseKey(accessKey), value: encodeKeyUse(lastUsedAt) });
        }
        if (writes.length === 0) return;
        const { outcome } = await catalog.transact(compares, writes);
        if (outcome === 'committed') return;
      }
    } catch (error) {
      for (const [accessKey, at] of noted) if (!this.#noted.has(accessKey)) this.#noted.set(accessKey, at);
      throw error;
    }
  }
}
