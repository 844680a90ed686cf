/** What travels about moves and copies to another pool. */
import { z } from 'zod';
import { byName, bytes, count, nameText, seconds, time } from './fields.js';

export const moveRequest = z.strictObject({
  source: nameText.describe('A volume, whose snapshots go with it, or an image.'),
  pool: nameText.describe('Where to.'),
});
export type MoveRequest = z.infer<typeof moveRequest>;

export const moveView = z.strictObject({
  name: z.string(),
  kind: z.enum(['volume', 'snapshot', 'image']),
  from: z.string().describe('The pool that it was in.'),
  to: z.string(),
  state: z.enum(['running', 'done', 'failed', 'cancelled']),
  phase: z
    .enum(['copying', 'switching', 'leaving'])
    .describe('Copying while all goes on; the last difference, with its destage held; it is there, and the old pool forgets it.'),
  startedAt: time,
  seconds: z.number().nonnegative().describe('Since it was asked for, or since the daemon started.'),
  carried: count.describe('Of the volume and its snapshots: those that the new pool has.'),
  resources: count,
  carriedBytes: bytes.describe('Read in the old pool.'),
  putBytes: bytes.describe('Stored in the new pool, which had the rest.'),
  lostPages: count.describe('Pages that had rotted before: they are lost in the new pool, too.'),
  error: z.string().nullable().describe('Why it failed, or what it is being tried again for.'),
});
export type MoveView = z.infer<typeof moveView>;

export const replicationRequest = z.strictObject({
  pool: nameText.describe('Where the replicas go.'),
  everySeconds: z.number().int().min(1).max(31_622_400).describe('From the beginning of one copy to that of the next.'),
  keep: z.number().int().min(1).max(10_000).exactOptional().describe('Replicas that stay; 3 where it is not said.'),
});
export type ReplicationRequest = z.infer<typeof replicationRequest>;

export const replicationView = z.strictObject({
  volume: z.string(),
  to: z.string().describe('The pool of the replicas.'),
  everySeconds: count,
  keep: count,
  state: z.enum(['waiting', 'running', 'failing', 'stopped']),
  lastAt: time.nullable().describe('As of when the newest replica is.'),
  nextAt: time,
  lagSeconds: z
    .number()
    .nonnegative()
    .describe('Since when the newest replica is as of; where there is none, since copies were asked for.'),
  late: z.boolean().describe('That is more than two intervals; of a first copy that is under way it is not said.'),
  replica: z.string().nullable().describe('The newest replica: an image, of which a clone is a volume in that pool at once.'),
  carriedBytes: bytes.describe('Of the last copy: read in the pool of the volume.'),
  putBytes: bytes.describe('Of the last copy: stored in the pool of the replicas.'),
  lostPages: count.describe('Of the last copy: pages that had rotted in the volume, and are lost in the replica, too.'),
  error: z.string().nullable().describe('Why the last attempt failed.'),
});
export type ReplicationView = z.infer<typeof replicationView>;

/** Part of `shapes`, in a file of its own. */
export const moveShapes = {
  replicationSet: { params: byName, body: replicationRequest, answer: replicationView },
  replicationGet: { params: byName, query: z.strictObject({ wait: seconds.exactOptional() }), answer: replicationView },
  replicationStop: { params: byName, answer: replicationView },
  replicationList: { answer: z.strictObject({ replications: z.array(replicationView) }) },
  moveBegin: { body: moveRequest, answer: moveView },
  moveGet: { params: byName, query: z.strictObject({ wait: seconds.exactOptional() }), answer: moveView },
  moveCancel: { params: byName, answer: moveView },
} as const;
