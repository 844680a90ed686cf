/** The places of native/env/failpoints.h where a daemon can be told to die, by SKERRY_FAILPOINT=NAME:N. */
/** Each, with how many times the daemon is to come there until it dies, so that something has gone before. */
export const failpoints = {
  'journal-sealing': 3,
  'journal-recycled': 3,
  'pack-footer-written': 2,
  'pack-synced': 2,
  'pack-sealed': 2,
  'checkpoint-written': 1,
  'root-chunk-put': 4,
  'root-committed': 4,
  'gc-listed': 1,
  'gc-removing': 1,
  'gc-removed-one': 1,
  'snapshot-barrier-durable': 3,
  'rollback-recorded': 1,
} as const satisfies Readonly<Record<string, number>>;
export type FailpointName = keyof typeof failpoints;

/** Of a collection: its list is in the pool, and nothing of it was asked to be removed. */
export const goneFailpoint = 'gone-kept';

/** Those of a volume's log in its pool, in the order in which a life comes there. */
export const logFailpoints = ['log-chunk-put', 'log-restored', 'log-begun'] as const;

/** Those of a move, in the order in which it comes there. */
export const moveFailpoints = ['move-step', 'move-carried', 'move-roots-put', 'move-committed'] as const;

/** The last one of a move of a volume that flushes to its pool. */
export const movedLogFailpoint = 'move-log-known';

/** Each time that a part of a replica is durable. */
export const replicaFailpoint = 'replica-step';
