/** What travels on the routes that tell what files would take, and of runs over a whole pool: giving space back, looking for rot. */
import { z } from 'zod';
import { bytes, count, filePath, nameText, time } from './fields.js';

export const estimateRequest = z.strictObject({ pool: nameText.exactOptional() });
export type EstimateRequest = z.infer<typeof estimateRequest>;
export const estimateReadRequest = z.strictObject({
  path: filePath,
  /** `next` of the answer before; 0 where the file begins. */
  offset: bytes,
  /** The file is a raw disk whatever its first bytes look like. */
  raw: z.boolean().exactOptional(),
});
export type EstimateReadRequest = z.infer<typeof estimateReadRequest>;
/** Of all files that were read, in whole blocks. */
export const estimateView = z.strictObject({
  /** In the file that was read last: where to go on, which is its size at the end. */
  next: bytes,
  fileBytes: bytes,
  zeroBytes: bytes,
  /** What is not zero. */
  dataBytes: bytes,
  /** Each content once. */
  distinctBytes: bytes,
  /** Of the distinct ones, what the pool has already. */
  knownBytes: bytes,
  /** What the others would take in the pool as it compresses now. */
  storedBytes: bytes,
  /** If nothing were compressed; with lz4; with zstd. */
  rawBytes: bytes,
  lz4Bytes: bytes,
  zstdBytes: bytes,
  /** Too much was read to remember it all: distinctBytes and what follows are estimates. */
  exact: z.boolean(),
});
export type EstimateView = z.infer<typeof estimateView>;

export const collectRequest = z.strictObject({
  dryRun: z.boolean().exactOptional().describe('Only tell what would be removed.'),
});
export type CollectRequest = z.infer<typeof collectRequest>;
/** Packs that stay, and what in them nothing wants. */
const kept = z.strictObject({ packs: count, deadBytes: bytes });
/** In bytes, of pack files. */
export const collectionView = z.strictObject({
  pool: z.string(),
  state: z.enum(['running', 'done', 'failed']),
  dryRun: z.boolean().describe('Nothing was removed: what is called removed would be.'),
  trimsWaiting: count.describe('Volumes that trimmed or zeroed what is not in a root yet, so that it counts as wanted.'),
  startedAt: time,
  seconds: z.number().nonnegative(),
  packs: count.describe('That might be removed, when it began: all that are sealed but the newest.'),
  storedBytes: bytes.describe('What these took.'),
  liveBytes: bytes.describe('What of that is wanted.'),
  packsWanted: count.describe('To be removed by this run.'),
  packsRemoved: count,
  removedBytes: bytes,
  packsMoved: count.describe('Of the removed: those from which something was put elsewhere first.'),
  copiedBytes: bytes.describe('What was put elsewhere.'),
  freedBytes: bytes.describe('Removed less copied.'),
  halfLive: kept.describe('Stay, because too much in them is wanted to be worth moving.'),
  journalled: kept.describe('Stay, because the journal names something in them: until that is in a root.'),
  damaged: kept.describe('Stay, because a page in them is lost or they cannot be read.'),
  error: z.string().nullable().describe('Why it failed.'),
});
export type CollectionView = z.infer<typeof collectionView>;

const scrubFinding = z.strictObject({
  what: z.enum(['pack', 'footer', 'index', 'record', 'node', 'block']),
  missing: z.boolean().describe('No pack holds it; else it is there and damaged.'),
  pack: count.describe('0: not known.'),
  offset: bytes.describe('In the pack.'),
  id: z.string(),
  resource: z
    .strictObject({ id: count, name: z.string() })
    .nullable()
    .describe('One that has it; null where nothing does or it is not known.'),
  detail: z.string(),
  repaired: z.boolean().describe('All that was in it can be read again.'),
  wanted: z.boolean().describe('A volume, snapshot or image has it.'),
});
/** Everything that packs hold, read from the disk. */
export const scrubView = z.strictObject({
  pool: z.string(),
  state: z.enum(['running', 'done', 'failed']),
  startedAt: time,
  seconds: z.number().nonnegative(),
  packs: count.describe('Read so far.'),
  packsInAll: count.describe('That are sealed: what is still being written is read once it is.'),
  records: count,
  bytes: bytes,
  nodesReached: count,
  blocksReached: count,
  damaged: count.describe('Records whose header, page sums or content are not what they must be.'),
  repaired: count.describe('Of these, put again from a second copy.'),
  lost: count.describe(
    'Of what volumes, snapshots and images have: damaged and not repaired, or in no pack. Reading it is an I/O error.',
  ),
  reindexed: count.describe('Records that the index had lost, and knows again.'),
  open: count.describe('Findings that are not repaired, but for damaged records that nothing has.'),
  findings: z.array(scrubFinding).describe('The first 1000.'),
  findingsTotal: count,
  error: z.string().nullable().describe('Why it failed.'),
});
export type ScrubView = z.infer<typeof scrubView>;

export const localCacheView = z
  .strictObject({
    bytes: bytes.describe('Of its files.'),
    bytesMax: bytes.describe('0: there is none.'),
    records: count.describe('How many.'),
    hits: count.describe('Reads that found their record there, since the daemon started.'),
    misses: count.describe('Reads that did not.'),
    damaged: count.describe('Records there that were not as they were written, and were fetched again.'),
    failed: z.boolean().describe('Its disk failed or was full: it is not used until the daemon is started again.'),
  })
  .describe('Of blocks of remote pools, on the local disk; it outlives the daemon.');
