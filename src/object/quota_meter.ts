/** The meter that identity keeps: an account's room is taken from its quotas, and counted in the object layer's own transactions. */
import type { BucketRecord } from '../catalog/object_records.js';
import type { TransactOutcome } from '../catalog/catalog.js';
import { SkerryError } from '../core/errors.js';
import type { Counting as QuotaCounting } from '../identity/counted.js';
import type { Quotas } from '../identity/quotas.js';
import type { Refusal } from '../identity/reservation.js';
import type { Counting, Meter, Reservation, UsageChange } from './meter.js';

export interface QuotaMeterOptions {
  readonly quotas: Pick<Quotas, 'reserve' | 'removal'>;
  readonly log: (level: 'error', message: string, fields: Readonly<Record<string, unknown>>) => void;
}

/** Nothing was written, by whatever compare. */
const notMade: TransactOutcome = { outcome: 'conflict', key: '', revision: 0 };

export class QuotaMeter implements Meter {
  readonly #options: QuotaMeterOptions;

  constructor(options: QuotaMeterOptions) {
    this.#options = options;
  }

  reserve({ account, name }: BucketRecord, most: UsageChange): Reservation {
    const outcome = this.#options.quotas.reserve(account, name, most);
    if (outcome.outcome === 'refused') throw exceeded(outcome);
    const { reservation } = outcome;
    return {
      // Of one that was made the shard's new revision is looked up: only the catalog knows it.
      count: (change) => this.#counting(reservation.count(change), (made) => (made === false ? notMade : null)),
      extend: (more) => {
        const refusal = reservation.extend(more);
        if (refusal !== null) throw exceeded(refusal);
      },
      end: () => reservation.release(),
    };
  }

  removal({ account, name }: BucketRecord): Counting {
    const outcome = (made: boolean | null): TransactOutcome | null =>
      made === null ? null : made ? { outcome: 'committed', revision: 0 } : notMade;
    return this.#counting(this.#options.quotas.removal(account, name), outcome);
  }

  #counting({ compares, writes, settle }: QuotaCounting, outcomeOf: (made: boolean | null) => TransactOutcome | null): Counting {
    return {
      compares,
      writes,
      settled: async (made) => {
        try {
          await settle(outcomeOf(made));
        } catch (error) {
          this.#options.log('error', 'what was stored is counted anew at the next start', { error: String(error) });
        }
      },
    };
  }
}

function exceeded({ of, what, limit, held }: Refusal): SkerryError {
  const message = `the ${of} may hold ${limit} ${what}, and holds ${held.stored[what]}, with ${held.reserved[what]} on their way`;
  return new SkerryError('no-space', message, { reason: 'quota-exceeded' });
}
