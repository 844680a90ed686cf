/** Runs that look for rot of which each has ended by the time that it is asked for: with what the test says. */
import { SkerryError } from '../../../../src/core/errors.js';
import type { ScrubSource } from '../../../../src/northbound/admin/space.js';
import type { ScrubView } from '../../../../src/upkeep/scrubs.js';

export const soundScrub: ScrubView = {
  pool: 'default',
  state: 'done',
  startedAt: Date.UTC(2026, 10, 22),
  seconds: 61.5,
  error: null,
  packs: 40,
  packsInAll: 40,
  records: 38_000,
  bytes: 38_000 * 66_048,
  nodesReached: 120,
  blocksReached: 37_000,
  damaged: 0,
  repaired: 0,
  lost: 0,
  reindexed: 0,
  open: 0,
  findings: [],
  findingsTotal: 0,
};

export class FakeScrubs implements ScrubSource {
  next: ScrubView = soundScrub;
  last: ScrubView | null = null;

  begin(pool: string): ScrubView {
    if (pool !== 'default') throw new SkerryError('not-found', `there is no pool "${pool}"`);
    this.last = this.next;
    return { ...this.next, state: 'running', findings: [] };
  }

  async view(pool: string): Promise<ScrubView> {
    if (this.last?.pool !== pool) throw new SkerryError('not-found', `pool ${pool} was not scrubbed since the daemon started`);
    return this.last;
  }
}
