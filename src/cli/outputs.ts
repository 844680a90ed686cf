/**
 * What each command prints with --json. Commands load only types from here; docs/reference/cli_json.json is made of it, and
 * tests hold commands to it.
 */
import { z } from 'zod';
import { namedSchemas, schemaOf } from '../api/openapi.js';
import {
  accountView,
  deletedView,
  differenceView,
  estimateView,
  goneView,
  keyView,
  newKeyView,
  oneSpaceView,
  collectionView,
  moveView,
  replicationView,
  poolView,
  publicationView,
  quotaView,
  resourceView,
  scrubView,
  spaceView,
  statusView,
  uriView,
  usageView,
  userView,
} from '../api/shapes.js';
import { exportFormats } from '../core/image_formats.js';
import { poolCheckResult, poolRecoverResult } from './offline_outputs.js';

const bytes = z.number().int().nonnegative();

export const exportResult = z.strictObject({
  source: z.string(),
  path: z.string().describe('Absolute, on the host of the daemon; `-` for standard output, where this is on standard error.'),
  format: z.enum(exportFormats),
  totalBytes: bytes,
  dataBytes: bytes.nullable().describe('Of them, those that were neither holes nor zeroes; null for qcow2.'),
});
export type ExportResult = z.infer<typeof exportResult>;

export const streamResult = z.strictObject({
  from: z.string(),
  to: z.string(),
  file: z.string(),
  bytes: bytes.describe('Of the stream.'),
});
export type StreamResult = z.infer<typeof streamResult>;

const estimated = estimateView.omit({ next: true, exact: true });
export const estimateResult = estimated.extend({
  newBytes: bytes.describe('Distinct, and not in the pool yet.'),
  dedupRatio: z.number().nonnegative().nullable().describe('Of data over what is new; null where nothing is.'),
  compressionRatio: z
    .number()
    .nonnegative()
    .nullable()
    .describe('Of `rawBytes` over `storedBytes`; null where nothing would be stored.'),
  exact: estimateView.shape.exact,
  files: z.array(estimated.extend({ path: z.string() })).describe('What several have in common counts with the first.'),
});

const rate = z.number().nonnegative();
const operationRates = z.strictObject({
  iops: rate.describe('Requests a second.'),
  bytesPerSecond: rate,
  errorsPerSecond: rate,
  latencySeconds: rate.nullable().describe('Of one request, on average; null where there was none.'),
});

export const topResult = z.strictObject({
  seconds: rate.describe('That these rates are of.'),
  problems: statusView.shape.problems,
  journal: z.strictObject({ bytes, bytesMax: bytes }),
  resources: z
    .array(
      z.strictObject({
        name: z.string(),
        kind: z.enum(['volume', 'snapshot', 'image']),
        connections: z.number().int().nonnegative(),
        journalBytes: bytes.describe('Of the journal, that its writes take.'),
        read: operationRates,
        write: operationRates,
        flush: operationRates,
        trim: operationRates.describe('Trims and zeroes.'),
      }),
    )
    .describe('What is attached, the busiest first.'),
});

/** `serve` prints one line too, with or without --json; `completion` prints a script. */
export const outputs = {
  serve: z.strictObject({ ready: z.literal(true), listeners: statusView.shape.listeners }),
  status: statusView,
  top: topResult,
  'pool change-key': poolView,
  'pool check': poolCheckResult,
  'pool create': poolView,
  'pool delete': deletedView,
  'pool estimate': estimateResult,
  'pool gc': collectionView,
  'pool move': z.array(moveView),
  'pool list': z.array(poolView),
  'pool recover': poolRecoverResult,
  'pool scrub': scrubView,
  'pool set': poolView,
  'pool show': poolView,
  'volume create': resourceView,
  'volume list': z.array(resourceView),
  'volume show': resourceView,
  'volume uri': uriView,
  'volume resize': resourceView,
  'volume rollback': resourceView,
  'volume rename': resourceView,
  'volume set': resourceView,
  'volume limit': resourceView,
  'volume allow': resourceView,
  'volume deny': resourceView,
  'volume apply': resourceView,
  'volume move': moveView,
  'volume replicate': replicationView,
  'volume replicate --list': z.array(replicationView),
  'volume delete': deletedView,
  'snapshot create': resourceView,
  'snapshot list': z.array(resourceView),
  'snapshot diff': differenceView,
  'snapshot diff --stream': streamResult,
  'snapshot delete': deletedView,
  clone: resourceView,
  space: spaceView.omit({ next: true }),
  'space NAME': oneSpaceView,
  'image import': resourceView,
  'image export': exportResult,
  'image list': z.array(resourceView),
  'image show': resourceView,
  'image move': moveView,
  'image rename': resourceView,
  'image delete': deletedView,
  'account create': accountView,
  'account list': z.array(accountView),
  'account show': accountView,
  'account set': accountView,
  'account rename': accountView,
  'account suspend': accountView,
  'account resume': accountView,
  'account delete': goneView,
  'user create': userView,
  'user list': z.array(userView),
  'user delete': goneView,
  'key create': newKeyView,
  'key list': z.array(keyView),
  'key activate': keyView,
  'key deactivate': keyView,
  'key rotate': newKeyView,
  'key revoke': goneView,
  'publication create': publicationView,
  'publication list': z.array(publicationView),
  'publication delete': goneView,
  quota: quotaView,
  usage: usageView,
} as const satisfies Readonly<Record<string, z.ZodType>>;

/** JSON Schema 2020-12: a definition for each command, `#/$defs/volume list` say, beside those of the admin API that they use. */
export function outputSchemas(): Record<string, unknown> {
  const base = '#/$defs/';
  const commands = Object.entries(outputs).map(([command, shape]) => [command, schemaOf(shape, base)]);
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'What each command of skerry prints with --json',
    $defs: { ...(Object.fromEntries(commands) as Record<string, unknown>), ...namedSchemas(base) },
  };
}
