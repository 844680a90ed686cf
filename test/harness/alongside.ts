/** Load on a server, and what is done to the server meanwhile. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface Both {
  /** One of the two has ended. */
  readonly over: boolean;
  /** Resolves once `look` is true. @throws Error where the load has ended before */
  reached(look: () => boolean): Promise<void>;
}

/**
 * Runs both at once and waits for both; `load` is to go on until it is over. Throws what the load failed with, else what `work` did:
 * neither is left running, and no failure goes unheard while the other is waited for.
 */
export async function alongside(load: (both: Both) => Promise<unknown>, work: (both: Both) => Promise<unknown>): Promise<void> {
  const state = { over: false };
  const both: Both = {
    get over() {
      return state.over;
    },
    async reached(look) {
      for (; !look(); await sleep(10)) if (state.over) throw new Error('the load ended before what was waited for');
    },
  };
  const end = (): void => {
    state.over = true;
  };
  const outcomes = await Promise.allSettled([load(both).finally(end), work(both).finally(end)]);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}
