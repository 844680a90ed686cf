/** Moves that are over as soon as they begin, for the admin API's tests. */
import { SkerryError } from '../../../../src/core/errors.js';
import type { MoveSource } from '../../../../src/northbound/admin/space.js';
import type { MoveView } from '../../../../src/upkeep/moves.js';

export class FakeMoves implements MoveSource {
  last: MoveView | null = null;

  async begin(source: string, pool: string): Promise<MoveView> {
    const [kind, name] = source.includes('/') ? source.split('/') : ['volume', source];
    this.last = {
      name: name ?? '',
      kind: kind === 'image' ? 'image' : 'volume',
      from: 'default',
      to: pool,
      state: 'done',
      phase: 'leaving',
      startedAt: Date.UTC(2026, 10, 22),
      seconds: 2.5,
      carried: 3,
      resources: 3,
      carriedBytes: 5 * 2 ** 30,
      putBytes: 3 * 2 ** 30,
      lostPages: 1,
      error: null,
    };
    return { ...this.last, state: 'running', phase: 'copying' };
  }

  async view(source: string): Promise<MoveView> {
    if (this.last === null) throw new SkerryError('not-found', `${source} was not moved since the daemon started`);
    return this.last;
  }

  async cancel(source: string): Promise<MoveView> {
    return { ...(await this.view(source)), state: 'cancelled' };
  }
}
