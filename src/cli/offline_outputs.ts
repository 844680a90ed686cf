/** What `pool check` and `pool recover` print with --json. */
import { z } from 'zod';
import type { PoolCheckView, PoolFindingView, PoolRecoverView, RecoveredView } from '../api/offline.js';

const count = z.number().int().nonnegative();
const notes = z.array(z.string()).describe('What else there is to know, a sentence each.');

const finding = z.strictObject({
  what: z
    .enum(['pack', 'footer', 'index', 'record', 'node', 'block', 'root-chunk', 'tombstone', 'pool-chunk', 'catalog', 'journal'])
    .describe('What is not as it should be.'),
  missing: z.boolean().describe('No pack holds it; else it is there and damaged.'),
  resource: z
    .strictObject({ id: count, name: z.string() })
    .nullable()
    .describe('The first that reaches it; null where none is known to.'),
  volumeOffset: count.nullable().describe('Of what a node or block is, in the resource.'),
  pack: count.nullable(),
  offset: count.nullable().describe('In the pack.'),
  id: z.string().describe('64 hexadecimal digits of a block or node; empty for what has none.'),
  detail: z.string(),
}) satisfies z.ZodType<PoolFindingView>;

export const poolCheckResult = z.strictObject({
  pool: z.string(),
  directory: z.string(),
  content: z.enum(['none', 'sums', 'hashes']),
  healthy: z.boolean(),
  packs: count,
  openPacks: count,
  storedBytes: count,
  blocks: count,
  nodes: count,
  recordsRead: count.describe('Of which header and page sums were checked, and with `hashes` the content.'),
  nodesReached: count,
  blocksReached: count,
  indexCompared: z.boolean().describe('There was a checkpoint of the location index, and it was compared.'),
  resources: count,
  rootChunks: count,
  tombstones: count,
  journalRecords: count,
  findings: z.array(finding).describe('The first 1000.'),
  findingsTotal: count,
  damaged: z.array(z.strictObject({ id: count, name: z.string() })).describe('Resources that do not reach all they name.'),
  notes,
}) satisfies z.ZodType<PoolCheckView>;

const recovered = z.strictObject({
  id: count,
  kind: z.enum(['volume', 'snapshot', 'image']),
  name: z.string(),
  state: z
    .enum(['whole', 'damaged', 'lost'])
    .describe('damaged: in the catalog, and not all of it can be read. lost: not in the catalog.'),
  sizeBytes: count,
  rootFrom: z
    .string()
    .nullable()
    .describe('When the root was put into the pool that it was recovered from; null where there was none.'),
  journalRecords: count.describe('Changes that the journal holds beyond that root: the next start replays them.'),
  notes,
}) satisfies z.ZodType<RecoveredView>;

export const poolRecoverResult = z.strictObject({
  pool: z.string(),
  directory: z.string().describe('Where the pool is: a directory, or the settings of its driver.'),
  done: z.boolean().describe('false: nothing was changed, this is what would be.'),
  asOf: z.string().nullable().describe('When the pool was last told anything.'),
  resources: z.array(recovered),
  deleted: count,
  movedTo: z.string().nullable().describe('The catalog that was there.'),
  owner: z
    .string()
    .nullable()
    .describe('Of a pool that is recovered from its backend alone: whose it was; null where it does not say.'),
  journal: z.enum(['replayed at the next start', 'absent', 'unreadable']),
  notes,
}) satisfies z.ZodType<PoolRecoverView>;
