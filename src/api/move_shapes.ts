/** What travels about moves to another pool. */
import { z } from 'zod';
import { bytes, count, nameText, time } from './fields.js';

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
