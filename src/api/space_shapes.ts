/** What travels on the routes that tell what files would take, and that give space back. */
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
