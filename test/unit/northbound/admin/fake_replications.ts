/** A replication of one volume, for the admin API's tests. */
import { SkerryError } from '../../../../src/core/errors.js';
import type { ReplicationSource } from '../../../../src/northbound/admin/space.js';
import type { ReplicationView } from '../../../../src/upkeep/replications.js';

export class FakeReplications implements ReplicationSource {
  last: ReplicationView | null = null;

  async set(
    volume: string,
    how: { readonly to: string; readonly everySeconds: number; readonly keep: number },
  ): Promise<ReplicationView> {
    this.last = {
      volume,
      ...how,
      state: 'waiting',
      lastAt: Date.UTC(2026, 10, 22),
      nextAt: Date.UTC(2026, 10, 22) + how.everySeconds * 1000,
      lagSeconds: 42,
      late: false,
      replica: `${volume}.replica-20261122t000000`,
      carriedBytes: 2 ** 30,
      putBytes: 2 ** 28,
      lostPages: 0,
      error: null,
    };
    return this.last;
  }

  async view(volume: string): Promise<ReplicationView> {
    if (this.last === null) throw new SkerryError('not-found', `volume ${volume} is not replicated`);
    return this.last;
  }

  /** As it is from here on. */
  change(fields: Partial<ReplicationView>): void {
    if (this.last !== null) this.last = { ...this.last, ...fields };
  }

  async list(): Promise<readonly ReplicationView[]> {
    return this.last === null ? [] : [this.last];
  }

  async remove(volume: string): Promise<ReplicationView> {
    return { ...(await this.view(volume)), state: 'stopped' };
  }
}
