/** The meter that identity keeps: an account's room is taken from its quotas, and counted in the object layer's own transactions. */
import type { BucketRecord } from '../catalog/object_records.js';
import { SkerryError } from '../core/errors.js';
import type { Counting as QuotaCounting } from '../identity/counted.js';
import type { Quotas } from '../identity/quotas.js';
import type { Refusal } from '../identity/reservation.js';
import type { Counting, Meter, Reservation, UsageChange } from './meter.js';

export interface QuotaMeterOptions {
  readonly quotas: Pick<Quotas, 'reserve' | 'removal'>;
  readonly log: (level: 'error', message: string, fields: Readonly<Record<string, unknown>>) => void;
}

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
      count: (change) => this.#counting(reservation.count(change)),
      extend: (more) => {
        const refusal = reservation.extend(more);
        if (refusal !== null) throw exceeded(refusal);
      },
      end: () => reservation.release(),
    };
  }

  removal({ account, name }: BucketRecord): Counting {
    return this.#counting(this.#options.quotas.removal(account, name));
  }

  #counting({ compares, writes, settle }: QuotaCounting): Counting {
    return {
      compares,
      writes,
      settled: async (outcome) => {
        try {
          await settle(outcome);
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
