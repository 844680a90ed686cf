/** Copies to other pools that do not get on, in the words that an operator reads in the status. */
import type { MoveView } from '../upkeep/moves.js';
import type { ReplicationView } from '../upkeep/replications.js';

/** A sentence for each pool of replicas: where that is away, all that are copied there fail. */
export function replicationProblems(replications: readonly ReplicationView[]): string[] {
  const byPool = Map.groupBy(
    replications.filter(({ late, error }) => late || error !== null),
    ({ to }) => to,
  );
  return [...byPool].map(([pool, views]) => {
    const worst = views.reduce((a, b) => (b.lagSeconds > a.lagSeconds ? b : a));
    const others = views.length - 1;
    const beside = others === 0 ? '' : ` (and those of ${others} other volume${others === 1 ? '' : 's'} there)`;
    const as = worst.lastAt === null ? 'has not come about yet' : `is as of ${new Date(worst.lastAt).toISOString()}`;
    const why = worst.error === null ? 'copies take longer than that' : `the last copy failed: ${worst.error}`;
    return (
      `REPLICATION: the newest replica of volume ${worst.volume} in pool ${pool}${beside} ${as}, and one is wanted every ${worst.everySeconds} s; ${why}. ` +
      'It is tried again by itself. skerry volume replicate --list shows all'
    );
  });
}

/** Of those that are tried again, or ended without getting there. */
export function moveProblems(moves: readonly MoveView[]): string[] {
  return moves
    .filter(({ error }) => error !== null)
    .map(({ kind, name, to, state, error }) =>
      state === 'failed'
        ? `MOVE: ${kind} ${name} could not be moved to pool ${to}: ${error}. skerry ${kind} move ${name} --pool ${to} goes on, --cancel leaves it where it is`
        : `MOVE: ${kind} ${name} does not get on to pool ${to}: ${error}. It is tried again by itself`,
    );
}
