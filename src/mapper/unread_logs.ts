/**
 * Volumes that are not served yet: the journal here may lack what they flushed, and the pool that has it was away when the daemon started
 * (docs/decisions/0078-an-orderly-end-and-a-pool-that-is-away.md). Nothing may be done with them meanwhile, nor may anything of theirs be collected.
 */
import type { ResourceRecord } from '../catalog/records.js';
import { SkerryError } from '../core/errors.js';

interface UnreadLog {
  readonly pool: string;
  /** Of the last attempt. */
  readonly why: string;
}

export class UnreadLogs {
  /** By volume. */
  readonly #logs = new Map<number, UnreadLog>();

  /** Whether that is news. */
  note(volume: number, pool: string, why: string): boolean {
    const known = this.#logs.get(volume)?.why;
    this.#logs.set(volume, { pool, why });
    return known !== why;
  }

  /** Its log was read: it is served. */
  forget(volume: number): void {
    this.#logs.delete(volume);
  }

  /** Volumes that wait for this pool. */
  in(pool: string): readonly number[] {
    return [...this.#logs].filter(([, unread]) => unread.pool === pool).map(([volume]) => volume);
  }

  /** How many volumes wait for each pool that one waits for. */
  counts(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { pool } of this.#logs.values()) counts.set(pool, (counts.get(pool) ?? 0) + 1);
    return counts;
  }

  /** Why the resource cannot be used yet, and what to do; null where it can. A snapshot without a root waits with its volume. */
  reasonOf({ id, kind, name, pendingOf }: Pick<ResourceRecord, 'id' | 'kind' | 'name' | 'pendingOf'>): string | null {
    const unread = this.#logs.get(id) ?? (kind === 'snapshot' ? this.#logs.get(pendingOf) : undefined);
    if (unread === undefined) return null;
    const { pool, why } = unread;
    return (
      `${kind} ${name} is not served yet: what was flushed to it is in pool ${pool}, and could not be read there since the daemon started (${why}). ` +
      `It is served by itself once that can be read: skerry pool show ${pool} tells how the pool fares`
    );
  }

  /** @throws SkerryError unavailable, as reasonOf says */
  refuse(record: Pick<ResourceRecord, 'id' | 'kind' | 'name' | 'pendingOf'>): void {
    const reason = this.reasonOf(record);
    if (reason !== null) throw new SkerryError('unavailable', reason);
  }
}
