/**
 * What travels on each route of the admin API, as JSON. Field names are stable; sizes are in bytes, times are ISO 8601 in
 * UTC. Names are judged by the mapper, not here: its refusals say which rule was broken.
 */
import { z } from 'zod';
import { errorTable } from '../core/errors.js';
import type { ErrorCode } from '../core/errors.js';
import { exportFormats, importFormats, isNbdUri } from '../core/image_formats.js';
import { byName, bytes, count, filePath, nameText, next, page, seconds, sourceText, time, volumeCompression } from './fields.js';
import { identityShapes } from './identity_shapes.js';
import { admin_file_path_characters_max } from './routes.js';
import { moveShapes } from './move_shapes.js';
import { publicationShapes } from './publication_shapes.js';
import { changeKeyRequest, createPoolRequest, setPoolRequest } from './pool_shapes.js';
import type { RouteName } from './routes.js';
import {
  collectRequest,
  collectionView,
  estimateReadRequest,
  estimateRequest,
  estimateView,
  localCacheView,
  scrubView,
} from './space_shapes.js';

export * from './identity_shapes.js';
export * from './move_shapes.js';
export * from './pool_shapes.js';
export * from './publication_shapes.js';
export * from './space_shapes.js';

const durability = z.enum(['local', 'pool']);
const cache = z.enum(['writeback', 'writethrough']);
const labels = z.record(z.string(), z.string());

/** What the connections of a volume may use together; 0 where there is no limit. */
export const limitView = z.strictObject({
  iops: count.describe('Requests a second.'),
  bandwidth: bytes.describe('Bytes a second.'),
  burst: count.describe('Seconds of either that a volume which rested may use at once.'),
});
export type LimitView = z.infer<typeof limitView>;

/** certificate: of TLS, by its common name or a DNS name. user: of a Unix socket, by its id in digits. */
const client = z.strictObject({ kind: z.enum(['certificate', 'user']), client: z.string() });
const grant = client.extend({ readOnly: z.boolean() });
export type GrantView = z.infer<typeof grant>;
const errorCode = z.enum(Object.keys(errorTable) as [ErrorCode, ...ErrorCode[]]);

export const errorView = z.strictObject({ error: z.strictObject({ code: errorCode, message: z.string() }) });
export type ErrorView = z.infer<typeof errorView>;

export const resourceView = z.strictObject({
  id: count.describe('Never reused, not even after the name is.'),
  kind: z.enum(['volume', 'snapshot', 'image']),
  name: z.string().describe('`vm1`, `vm1@monday`, `debian-12.raw`.'),
  pool: z.string().describe('The pool that keeps its content.'),
  sizeBytes: bytes.describe('What a guest sees as the size of its disk.'),
  pending: z.boolean().describe('Its content is still in the journal only; it is readable all the same.'),
  unavailable: z
    .string()
    .nullable()
    .describe('Why it cannot be used yet, and what to do: what was flushed to it is in a pool that is away. null where it can.'),
  durability: durability.describe('Where a flushed write must be.'),
  cache: cache.describe(
    'When a write is answered: `writeback` once it survives the process, `writethrough` once it survives the host.',
  ),
  description: z.string().describe('One line for people.'),
  createdAt: time,
  parent: z.string().nullable().describe('Name of what it was cloned or taken from, as of then.'),
  rootId: z.string().describe('64 hexadecimal digits; empty for one that holds no data yet.'),
  appliedSequence: count.describe('The last write in its last committed tree.'),
  attachedConnections: count.describe('NBD connections that have it open now.'),
  labels: labels.describe('Key and value, for whoever sorts resources.'),
  limit: limitView.describe('What its connections may use together.'),
  access: z
    .strictObject({ grants: z.array(grant) })
    .nullable()
    .describe('Of a volume: who may attach it and its snapshots; null: whoever can connect; no grant: nobody.'),
  compression: z
    .string()
    .describe('Of blocks written from now on: `inherit` (as its pool), `none`, `lz4`, `zstd:1` to `zstd:19`.'),
});
export type ResourceView = z.infer<typeof resourceView>;

export const transferView = z.strictObject({
  id: count.describe('Until the daemon ends.'),
  state: z
    .enum(['running', 'done', 'failed', 'cancelled'])
    .describe('It runs on by itself: ask again until this is no longer `running`.'),
  doneBytes: bytes.describe('Of the source, as it is read: of a compressed file the compressed bytes.'),
  totalBytes: bytes.describe('0 where only the end will tell.'),
  dataBytes: bytes.describe('Of doneBytes, those that were neither holes nor zeroes.'),
  error: z.strictObject({ code: z.string(), message: z.string() }).nullable().describe('Of one that failed.'),
});
export type TransferView = z.infer<typeof transferView>;

export const importView = transferView.extend({
  object: z
    .string()
    .nullable()
    .optional()
    .describe('The object, s3://BUCKET/KEY, that the image will be soon after the import; null: none.'),
  objectProblem: z.string().nullable().optional().describe('Why it will be none, where an operator can do something about it.'),
});
export type ImportView = z.infer<typeof importView>;

export const poolView = z.strictObject({
  name: z.string(),
  driver: z.string(),
  settings: z.record(z.string(), z.string()).describe('As they were given, secret values hidden.'),
  remote: z.boolean().describe('The daemon reaches its packs through the driver alone: they are shipped and fetched.'),
  healthy: z.boolean().describe('Its backend answers.'),
  problem: z.string().nullable().describe('Why it is not healthy, or null.'),
  warnings: z.array(z.string()).describe('What its nature means for those who use it.'),
  logicalBytes: bytes.describe("Sizes of the pool's volumes, snapshots and images together, as their users see them."),
  uniqueBytes: bytes.describe('Content of the distinct blocks that the pool holds.'),
  storedBytes: bytes.describe(
    'What packs take on the backend: blocks, map nodes, sums and padding, and what no root reaches any more.',
  ),
  compression: z
    .string()
    .describe('Of blocks written from now on where the volume says nothing: `none`, `lz4`, `zstd:1` to `zstd:19`.'),
  recordBytes: bytes.describe('What its blocks and map nodes take in packs.'),
  uncompressedBytes: bytes.describe('What they would take if none were compressed.'),
  compressionRatio: z.number().nonnegative().describe('`uncompressedBytes` over `recordBytes`; 1 where there are none.'),
  encryption: z.enum(['none', 'aes-256-gcm']).describe('Of all that the pool stores; decided when it was made.'),
  keyFrom: z.string().nullable().describe('Of an encrypted pool: the file or program that its key comes from.'),
  freeBytes: bytes.nullable().describe('Room left on the backend; null where it cannot tell.'),
  dedupBytes: bytes.describe('Written since the daemon started and found there already: not stored again.'),
  volumes: count.describe('How many.'),
  snapshots: count.describe('How many.'),
  images: count.describe('How many.'),
  packs: count.describe('How many.'),
  blocks: count.describe('Distinct blocks of 64 KiB.'),
  nodes: count.describe('Distinct map nodes.'),
  corruptPages: count.describe('Pages whose sum failed since the daemon started; more than 0 means rot.'),
  stagedBytes: bytes.describe('Of a remote pool, on this host: packs that wait to be shipped.'),
  keptBytes: bytes.describe('Of a remote pool, on this host: copies of packs that the backend has.'),
  fetchedBytes: bytes.describe('Of a remote pool, since the daemon started.'),
  shippedBytes: bytes.describe('Of a remote pool, since the daemon started.'),
  removalsWaiting: count.describe('Of a remote pool: collected packs that the backend has not removed yet.'),
});
export type PoolView = z.infer<typeof poolView>;

export const statusView = z.strictObject({
  version: z.string(),
  pid: count,
  dataDirectory: z.string(),
  startedAt: time,
  uptimeSeconds: z.number().nonnegative().describe('Since the daemon started.'),
  healthy: z.boolean().describe('There are no problems.'),
  problems: z
    .array(z.string())
    .describe(
      'The worst first, a sentence each that says what to do: `READ-ONLY: ...`, `POOL AWAY: ...`, `FULL: ...`, `ROTTEN: ...`, `JOURNAL: ...`, `IDENTITY: ...`; empty when healthy.',
    ),
  listeners: z
    .record(z.string(), z.string())
    .describe('`nbd` and `admin` are absolute paths of sockets, `nbdTcp`, `s3` and `http` are HOST:PORT where they listen.'),
  volumes: count.describe('How many.'),
  snapshots: count.describe('How many.'),
  images: count.describe('How many.'),
  connections: count.describe('NBD connections that are open.'),
  journal: z.strictObject({ bytes, bytesMax: bytes, ringBytes: bytes, segments: count, failed: z.boolean() }),
  memory: z.strictObject({
    rssBytes: bytes,
    overlayBytes: bytes,
    nodeCacheBytes: bytes,
    blockCacheBytes: bytes,
    nbdBufferBytes: bytes,
  }),
  localCache: localCacheView,
  destagedBytes: bytes.describe('Since the daemon started.'),
});
export type StatusView = z.infer<typeof statusView>;

const operations = z.strictObject({
  operations: count,
  bytes,
  errors: count,
  latencySeconds: z.number().nonnegative().describe('Of all of them together: divide by `operations`.'),
});

/** Counters that grow while a resource is attached; rates are what lies between two looks (control/rates.ts). */
export const activityView = z.strictObject({
  atSeconds: z.number().nonnegative().describe('When it was read, on the clock that `uptimeSeconds` shows.'),
  problems: statusView.shape.problems,
  journal: z.strictObject({ bytes, bytesMax: bytes }),
  resources: z
    .array(
      z.strictObject({
        id: count,
        kind: z.enum(['volume', 'snapshot', 'image']),
        name: z.string(),
        connections: count.describe('NBD connections that have it open now.'),
        journalBytes: bytes.describe('Of the journal, that its writes take and its last committed tree does not hold.'),
        read: operations.describe('Reads, and what is asked about extents.'),
        write: operations,
        flush: operations,
        trim: operations.describe('Trims and zeroes.'),
      }),
    )
    .describe('What is attached, ordered by name. Counters begin anew when the last connection has gone.'),
});
export type ActivityView = z.infer<typeof activityView>;

export const uriView = z.strictObject({
  name: z.string(),
  uri: z.string().describe('Over the Unix socket.'),
  tcpUri: z.string().nullable().describe('Over TCP; null while the daemon does not listen there.'),
});
export type UriView = z.infer<typeof uriView>;

export const deletedView = z.strictObject({
  kind: z.enum(['volume', 'snapshot', 'image', 'pool']),
  name: z.string(),
  deleted: z.literal(true),
});
export type DeletedView = z.infer<typeof deletedView>;

export const createVolumeRequest = z.strictObject({
  name: nameText,
  sizeBytes: z.number(),
  pool: nameText.exactOptional(),
  durability: durability.exactOptional(),
  cache: cache.exactOptional(),
  description: z.string().exactOptional(),
  labels: labels.exactOptional(),
  compression: volumeCompression.exactOptional(),
});
export type CreateVolumeRequest = z.infer<typeof createVolumeRequest>;

/** `name` is VOL@SNAP. */
export const createSnapshotRequest = z.strictObject({ name: nameText, description: z.string().exactOptional() });
export type CreateSnapshotRequest = z.infer<typeof createSnapshotRequest>;

/** `source`: a volume, VOL@SNAP, an image, or an object as s3://BUCKET/KEY; `name`: the new volume. */
export const cloneRequest = z.strictObject({
  source: sourceText,
  name: nameText,
  durability: durability.exactOptional(),
  cache: cache.exactOptional(),
  description: z.string().exactOptional(),
  labels: labels.exactOptional(),
  compression: volumeCompression.exactOptional(),
});
export type CloneRequest = z.infer<typeof cloneRequest>;

export const resizeRequest = z.strictObject({
  sizeBytes: z.number(),
  shrink: z.boolean().exactOptional().describe('Without it a smaller size is refused.'),
});
export type ResizeRequest = z.infer<typeof resizeRequest>;

/** `name`: the new one. */
export const renameRequest = z.strictObject({ name: nameText });

/** What is not named stays. A label that is null is taken away. */
export const setRequest = z.strictObject({
  description: z.string().exactOptional(),
  labels: z.record(z.string(), z.string().nullable()).exactOptional(),
  limit: limitView.exactOptional(),
  compression: volumeCompression.exactOptional(),
  /** `anyone` takes the list away; else `deny` takes clients off it, and then `allow` puts them on. */
  access: z
    .strictObject({
      allow: z.array(grant).exactOptional(),
      deny: z.array(client).exactOptional(),
      anyone: z.boolean().exactOptional(),
    })
    .exactOptional(),
});
export type SetRequest = z.infer<typeof setRequest>;

/** Past the end of the older one its bytes count as zeroes. */
export const differenceView = z.strictObject({
  fromBytes: bytes,
  toBytes: bytes,
  ranges: z.array(z.strictObject({ offset: bytes, length: bytes, kind: z.enum(['data', 'zero']) })),
  next: bytes.nullable().describe('Where to go on asking; null at the end.'),
});
export type DifferenceView = z.infer<typeof differenceView>;

export const diffQuery = z.strictObject({ from: nameText, to: nameText });
export const applyQuery = z.strictObject({
  anyBase: z
    .enum(['true', 'false'])
    .exactOptional()
    .describe('Apply it also to a volume that does not show that it is what the stream begins with; only its size counts.'),
});

const one = (...ways: readonly unknown[]) => ways.filter((way) => way !== undefined).length === 1;
const stream = z.literal(true);

export const importRequest = z
  .strictObject({
    name: nameText,
    pool: nameText.exactOptional(),
    path: filePath.exactOptional(),
    /** nbd://HOST:PORT/EXPORT or nbd+unix:///EXPORT?socket=PATH */
    uri: z.string().max(admin_file_path_characters_max).refine(isNbdUri, 'must be the URI of an NBD server').exactOptional(),
    stream: stream.exactOptional(),
    format: z.enum(importFormats).exactOptional(),
    allowBacking: z.boolean().exactOptional(),
    sizeBytesMax: z.number().int().positive().exactOptional(),
    account: nameText.exactOptional().describe('Whose object the image is to be; else s3ImagesAccount, or the only account.'),
    bucket: nameText.exactOptional().describe('Which it is to be in, instead of `images`. It is made where it is not there.'),
  })
  .refine(({ path, uri, stream: sent }) => one(path, uri, sent), 'give one of path, uri and stream');
export type ImportRequest = z.infer<typeof importRequest>;

export const exportRequest = z
  .strictObject({
    source: nameText,
    path: filePath.exactOptional(),
    stream: stream.exactOptional(),
    format: z.enum(exportFormats).exactOptional(),
    compress: z.boolean().exactOptional(),
    overwrite: z.boolean().exactOptional(),
  })
  .refine(({ path, stream: taken }) => one(path, taken), 'give one of path and stream');
export type ExportRequest = z.infer<typeof exportRequest>;

const ratio = z.number().nonnegative();
/** In bytes. Distinct blocks are counted once; what is freed is so once it is collected. */
export const resourceSpaceView = z.strictObject({
  id: count,
  kind: z.enum(['volume', 'snapshot', 'image']),
  name: z.string(),
  pool: z.string(),
  logicalBytes: bytes,
  /** Mapped by its own map, in whole blocks, as often as it maps them. */
  allocatedBytes: bytes,
  /** Written and not yet in its map. */
  journalledBytes: bytes,
  /** Of its distinct blocks, those that nothing else reaches. */
  uniqueBytes: bytes,
  sharedBytes: bytes,
  /** What all that it reaches takes in the pool. */
  storedBytes: bytes,
  /** What would go with it. */
  freedBytes: bytes,
  snapshots: count,
  /** What would go with the volume and all its snapshots; null where there are none. */
  freedWithSnapshotsBytes: bytes.nullable(),
});
export type ResourceSpaceView = z.infer<typeof resourceSpaceView>;

export const poolSpaceView = z.strictObject({
  name: z.string(),
  logicalBytes: bytes,
  allocatedBytes: bytes,
  journalledBytes: bytes,
  uniqueBytes: bytes,
  /** Referenced, dead and overhead are all that is stored. */
  referencedBytes: bytes,
  deadBytes: bytes,
  overheadBytes: bytes,
  storedBytes: bytes,
  dedupRatio: ratio,
  compressionRatio: ratio,
});
export type PoolSpaceView = z.infer<typeof poolSpaceView>;

const measured = {
  asOf: time,
  /** How long the walk took. */
  seconds: z.number().nonnegative(),
  /** Why the numbers are too low, or null. */
  incomplete: z.string().nullable(),
  /** Of all volumes of the daemon. */
  journal: z.strictObject({ bytes, bytesMax: bytes }),
};
export const spaceView = z.strictObject({
  ...measured,
  pools: z.array(poolSpaceView),
  resources: z.array(resourceSpaceView),
  /** Where the list goes on, as `from` of the next request; null where there is no more. */
  next: count.nullable(),
});
export type SpaceView = z.infer<typeof spaceView>;

export const oneSpaceView = z.strictObject({
  ...measured,
  pool: poolSpaceView,
  resource: resourceSpaceView,
  /** Most first. */
  sharedWith: z.array(z.strictObject({ kind: z.enum(['volume', 'snapshot', 'image']), name: z.string(), sharedBytes: bytes })),
});
export type OneSpaceView = z.infer<typeof oneSpaceView>;

/** An answer of the last `age` seconds will do (0: none will); `wait`: how long to wait for a new one. */
const spaceTimes = { age: seconds.exactOptional(), wait: seconds.exactOptional() };
const place = z
  .string()
  .regex(/^\d{1,9}$/, 'must be a whole number')
  .transform(Number);

const labelText = z.string().max(1024);
const byId = z.strictObject({
  id: z
    .string()
    .regex(/^\d{1,15}$/, 'must be the number of a transfer')
    .transform(Number),
});

/** Of transferContentPath. */
export const contentParams = byId;

interface Shape {
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  readonly answer: z.ZodType;
}

export const shapes = {
  status: { answer: statusView },
  activity: { answer: activityView },
  /** `label`: only those with this label, `key` or `key=value`; several: with all of them. */
  volumeList: {
    query: z.strictObject({ label: z.union([labelText, z.array(labelText)]).exactOptional(), ...page }),
    answer: z.strictObject({ volumes: z.array(resourceView), next }),
  },
  volumeCreate: { body: createVolumeRequest, answer: resourceView },
  volumeGet: { params: byName, answer: resourceView },
  volumeDelete: { params: byName, answer: deletedView },
  volumeSet: { params: byName, body: setRequest, answer: resourceView },
  volumeResize: { params: byName, body: resizeRequest, answer: resourceView },
  volumeRename: { params: byName, body: renameRequest, answer: resourceView },
  volumeUri: { params: byName, answer: uriView },
  snapshotList: {
    query: z.strictObject({ volume: nameText.exactOptional(), ...page }),
    answer: z.strictObject({ snapshots: z.array(resourceView), next }),
  },
  snapshotCreate: { body: createSnapshotRequest, answer: resourceView },
  snapshotGet: { params: byName, answer: resourceView },
  snapshotRollback: { params: byName, answer: resourceView },
  snapshotDelete: { params: byName, answer: deletedView },
  clone: { body: cloneRequest, answer: resourceView },
  diff: {
    query: diffQuery.extend({
      offset: z
        .string()
        .regex(/^\d{1,16}$/, 'must be a number of bytes')
        .transform(Number)
        .exactOptional(),
    }),
    answer: differenceView,
  },
  imageList: { query: z.strictObject(page), answer: z.strictObject({ images: z.array(resourceView), next }) },
  imageImport: { body: importRequest, answer: importView },
  imageGet: { params: byName, answer: resourceView },
  imageRename: { params: byName, body: renameRequest, answer: resourceView },
  imageDelete: { params: byName, answer: deletedView },
  export: { body: exportRequest, answer: transferView },
  transferGet: { params: byId, answer: transferView },
  transferCancel: { params: byId, answer: transferView },
  poolList: { answer: z.strictObject({ pools: z.array(poolView) }) },
  poolCreate: { body: createPoolRequest, answer: poolView },
  poolSet: { params: byName, body: setPoolRequest, answer: poolView },
  poolChangeKey: { params: byName, body: changeKeyRequest, answer: poolView },
  poolDelete: { params: byName, answer: deletedView },
  poolGet: { params: byName, answer: poolView },
  poolCollect: { params: byName, body: collectRequest, answer: collectionView },
  poolCollection: { params: byName, query: z.strictObject({ wait: seconds.exactOptional() }), answer: collectionView },
  poolScrub: { params: byName, answer: scrubView },
  poolScrubbing: { params: byName, query: z.strictObject({ wait: seconds.exactOptional() }), answer: scrubView },
  /** null: no answer was there in time. */
  spaceList: {
    query: z.strictObject({ ...spaceTimes, from: place.exactOptional(), limit: page.limit }),
    answer: z.strictObject({ space: spaceView.nullable() }),
  },
  spaceGet: { params: byName, query: z.strictObject(spaceTimes), answer: z.strictObject({ space: oneSpaceView.nullable() }) },
  estimateBegin: { body: estimateRequest, answer: z.strictObject({ id: count }) },
  estimateRead: { params: byId, body: estimateReadRequest, answer: estimateView },
  estimateEnd: { params: byId, answer: z.strictObject({ id: count }) },
  ...moveShapes,
  ...identityShapes,
  ...publicationShapes,
} as const satisfies Readonly<Record<RouteName, Shape>>;

type Shapes = typeof shapes;
type PartName<R extends RouteName> = Exclude<keyof Shapes[R], 'answer'>;

/** The parts of a request: those of `params`, `query` and `body` that the route has. */
export type Parts<R extends RouteName> = {
  readonly [P in PartName<R>]: Shapes[R][P] extends z.ZodType ? z.output<Shapes[R][P]> : never;
};
export type Answer<R extends RouteName> = z.output<Shapes[R]['answer']>;
