/** Runs that are over as soon as they begin, for the admin API's tests. */
import { SkerryError } from '../../../../src/core/errors.js';
import type { CollectionSource } from '../../../../src/northbound/admin/space.js';
import type { CollectionView } from '../../../../src/upkeep/collections.js';

export class FakeCollections implements CollectionSource {
  last: CollectionView | null = null;

  begin(pool: string, { dryRun }: { readonly dryRun: boolean }): CollectionView {
    if (pool !== 'default') throw new SkerryError('not-found', `there is no pool "${pool}"`);
    this.last = {
      pool,
      state: 'done',
      dryRun,
      trimsWaiting: 1,
      startedAt: Date.UTC(2026, 10, 22),
      seconds: 1.5,
      error: null,
      packs: 40,
      storedBytes: 40 * 2 ** 26,
      liveBytes: 30 * 2 ** 26,
      packsWanted: 9,
      packsRemoved: 9,
      removedBytes: 9 * 2 ** 26,
      packsMoved: 4,
      copiedBytes: 2 ** 26,
      freedBytes: 8 * 2 ** 26,
      nodesRead: 100,
      halfLive: { packs: 3, deadBytes: 2 ** 26 },
      journalled: { packs: 1, deadBytes: 2 ** 25 },
      damaged: { packs: 0, deadBytes: 0 },
    };
    return { ...this.last, state: 'running' };
  }

  async view(pool: string): Promise<CollectionView> {
    if (this.last?.pool !== pool) throw new SkerryError('not-found', `pool ${pool} was not collected since the daemon started`);
    return this.last;
  }
}
