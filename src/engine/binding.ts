/**
 * The seam, as the addon exports it (native/addon.cc). Nothing crosses it per I/O. Ids, sizes and sequences are safe
 * integers; ids of trees are 64 hexadecimal digits, '' for an empty tree.
 */
import type { TreeCarrier } from './carries.js';
import type { OperationCounters, ResourceActivity } from './counters.js';
import type { PoolSwitch } from './pool_switch.js';
import type { CollectReport, Reached, ScrubReport, SpaceReport } from './space_reports.js';
import type { EstimateStep, TransferProgress } from './transfers.js';
import type { LogChunkEvent, LogMark, VolumeLogs } from './volume_log.js';

export type { CarryOrder, CarryPoint, CarryReport, SpliceOrder, SplicePart } from './carries.js';
export type { OperationCounters, ResourceActivity } from './counters.js';
export type { CollectReport, PacksKept, Reached, ScrubReport, SpaceReport } from './space_reports.js';
export type { EstimateStep, TransferProgress } from './transfers.js';

export interface EngineOptions {
  /** Journal segments and the index checkpoint live under it. */
  readonly directory: string;
  /** Name of the ring in shared memory: the same at every start of the same data directory. */
  readonly ringName: string;
  readonly ringBytes: number;
  readonly segmentBytes: number;
  readonly journalBytesMax: number;
  readonly overlayBytesMax: number;
  readonly nodeCacheBytesMax: number;
  /** Of records of remote pools, in memory; shared by all pools. */
  readonly blockCacheBytesMax: number;
  /** Of the same on the local disk, in this directory, of which it is the only user; 0: none. A quarter of the room there at most. */
  readonly localCacheBytesMax: number;
  readonly cacheDirectory: string;
  readonly nbdBufferBytesMax: number;
  readonly socketThreads: number;
  readonly blockingThreads: number;
  /** Go on past journal corruption, losing what it held, instead of refusing to start. */
  readonly salvageJournal: boolean;
}

export interface PoolSpec {
  readonly name: string;
  /** Where packs are; of a remote pool, those that take records, wait to be shipped, or are kept as copies. */
  readonly directory: string;
  /** Path of the location index's checkpoint. */
  readonly checkpoint: string;
  readonly domain: number;
  readonly keyId: number;
  /** 32 bytes. */
  readonly domainKey: Uint8Array;
  /** 32 bytes, that the keys of records are derived from; null where the pool is not encrypted. */
  readonly dataKey: Uint8Array | null;
  readonly compression: CompressionSpec;
  /** For a pool whose packs native threads cannot read themselves; null where `directory` is all there is. */
  readonly remote: RemotePackSpec | null;
}

export interface RemotePackSpec {
  /** 16 bytes: whose records these are, in a cache that outlives the daemon. */
  readonly uuid: Uint8Array;
  readonly packBytes: number;
  /** Sealed packs that wait to be shipped: beyond it, writes wait. */
  readonly stagedBytesMax: number;
  /** Copies on this host of packs that the backend has. */
  readonly keptBytesMax: number;
  readonly shipsInFlightMax: number;
  readonly fetchesInFlightMax: number;
}

export interface ListedPack {
  readonly pack: number;
  readonly bytes: number;
}

/** `not-found`, `no-space` and `closed` mean what they say; every other code is a failure of the backend. */
export interface ErrandFailure {
  readonly code: string;
  readonly message: string;
}

/** A Merkle tree: its id, a location hint, and its height. */
export interface TreeRootSpec {
  readonly id: string;
  readonly levels: number;
  readonly pack: number;
  readonly offset: number;
  readonly storedBytes: number;
}

export interface ResourceSpec {
  readonly id: number;
  readonly kind: 'volume' | 'snapshot' | 'image';
  readonly pool: string;
  /** Of the root: the journal may hold a resize that is newer. */
  readonly sizeBytes: number;
  readonly writethrough: boolean;
  /** Durability `pool`: flushes wait for its log to be in the pool, and for volumeLog('begin'). */
  readonly flushesToPool: boolean;
  /** Last committed root, and the write sequence it holds. */
  readonly root: TreeRootSpec;
  readonly appliedSequence: number;
  readonly fence: number;
  /** Snapshot whose root is pending: the volume it was taken of. Clone of a pending snapshot: that snapshot. Else 0. */
  readonly pendingOf: number;
  readonly lineage: number;
  readonly limit: LimitSpec;
  /** null: as its pool does. */
  readonly compression: CompressionSpec | null;
  /** Of its blocks; 0: its pool's own. */
  readonly domain: number;
}

/** Of blocks that are written from here on. `level`: of zstd, 1 to 19. */
export interface CompressionSpec {
  readonly codec: 'none' | 'lz4' | 'zstd';
  readonly level: number;
}

/** Of all connections of a volume together; 0: no limit. `burst`: seconds of either that may be used at once after a rest. */
export interface LimitSpec {
  readonly iops: number;
  readonly bandwidth: number;
  readonly burst: number;
}

export interface StartReport {
  readonly epoch: number;
  readonly records: number;
  readonly ringRecords: number;
  readonly ringUsed: boolean;
  readonly segments: number;
  readonly packs: number;
  readonly notes: readonly string[];
  /** Resources that a salvaged journal no longer holds the content of: the engine does not know them. */
  readonly lost: readonly number[];
}

/** A root that is durable in the pool's packs and wants its root chunk and catalog transaction. */
export interface RootCommit {
  readonly token: number;
  /** Of all its takers. */
  readonly pool: string;
  /** Every resource that takes this root in one transaction: the volume, snapshots resolved by it, clones of these. */
  readonly takers: readonly {
    readonly id: number;
    readonly appliedSequence: number;
    readonly fence: number;
    /** Of the taker with this root. */
    readonly sizeBytes: number;
    readonly lineage: number;
    /** Of a volume that flushes to its pool: what of its log this root does not hold. Else null. */
    readonly log: LogMark | null;
  }[];
  readonly root: TreeRootSpec;
}

export type EngineEvent =
  /** `user`: id of the peer on a Unix socket, as the kernel says; -1 elsewhere. */
  | { readonly type: 'connected'; readonly connection: number; readonly listener: string; readonly user: number }
  | { readonly type: 'message'; readonly connection: number; readonly bytes: Uint8Array }
  /** The TLS handshake is done. Wants an answer, as a message does. */
  | ({ readonly type: 'secured'; readonly connection: number } & TlsPeer)
  | { readonly type: 'closed'; readonly connection: number; readonly why: string }
  | { readonly type: 'commit'; readonly commit: RootCommit }
  /** Asked of a remote pool's backend: each is answered once, by its number, with completeFetch, completeChange, completeList. */
  | {
      readonly type: 'fetch';
      readonly errand: number;
      readonly pool: string;
      readonly pack: number;
      readonly offset: number;
      readonly bytes: number;
    }
  /** The bytes that completeFetch gave for this errand are not looked at any more: until then they stay as they are. */
  | { readonly type: 'fetched'; readonly errand: number }
  | {
      readonly type: 'ship';
      readonly errand: number;
      readonly pool: string;
      readonly pack: number;
      readonly path: string;
      readonly bytes: number;
    }
  | { readonly type: 'remove'; readonly errand: number; readonly pool: string; readonly pack: number }
  | { readonly type: 'list'; readonly errand: number; readonly pool: string }
  /** For a host that has no list of the packs that are gone: the last list of those before it. not-found: there is none. */
  | { readonly type: 'open-gone'; readonly errand: number; readonly pool: string }
  /** The host's list of this number, which has the same bytes for ever, is to be put into the pool before anything goes from there. */
  | {
      readonly type: 'keep-gone';
      readonly errand: number;
      readonly pool: string;
      readonly number: number;
      readonly list: Uint8Array;
    }
  | LogChunkEvent
  | { readonly type: 'log'; readonly level: 'info' | 'warn' | 'error'; readonly message: string };

/** Names are what the client's certificate says, which an authority of ours signed. */
export interface TlsPeer {
  /** It has shown a certificate. */
  readonly certified: boolean;
  /** '' where there is none. */
  readonly commonName: string;
  readonly dnsNames: readonly string[];
  readonly protocol: string;
  readonly cipher: string;
}

/** In PEM; `clientCa` is '' where clients are asked for no certificate. */
export interface TlsMaterial {
  /** The server's own first, then those that lead to its root. */
  readonly certificate: string;
  readonly key: string;
  readonly clientCa: string;
}

export interface HandshakeAnswer {
  readonly send: Uint8Array;
  /** 'secure': the TLS handshake; 'secured' follows, or 'closed' with what went wrong. */
  readonly next: 'read' | 'transmit' | 'close' | 'secure';
  readonly readBytes?: number;
  /** For 'transmit'. */
  readonly resource?: number;
  /** That the client was told: it may use no more, whatever the resource has now. */
  readonly sizeBytes?: number;
  /** For this client, whatever the resource is. */
  readonly readOnly?: boolean;
  readonly structuredReplies?: boolean;
  readonly baseAllocation?: boolean;
  readonly baseAllocationId?: number;
  /** Contexts that tell what changed since the resource `since`, under their ids. */
  readonly changed?: readonly { readonly since: number; readonly id: number }[];
}

/** Runs in which a resource differs from an older one. */
export interface ChangedRange {
  readonly offset: number;
  readonly length: number;
  /** It reads zero now. */
  readonly zero: boolean;
}

export interface PoolStats {
  readonly name: string;
  readonly remote: boolean;
  readonly packs: number;
  readonly storedBytes: number;
  readonly blocks: number;
  readonly nodes: number;
  readonly putBytes: number;
  readonly putRecords: number;
  /** What these records took in packs, and how many of them were put compressed. */
  readonly putRecordBytes: number;
  readonly putFramedRecords: number;
  /** What all records of the pool take, what they would take if none were compressed, and how many are. */
  readonly recordBytes: number;
  readonly uncompressedRecordBytes: number;
  readonly framedRecords: number;
  readonly dedupHits: number;
  readonly dedupBytes: number;
  readonly indexBytes: number;
  readonly corruptCells: number;
  /** Of the local disk: where packs rest, or wait to be shipped. */
  readonly freeBytes: number;
  /** What writes can still take: freeBytes without the reserve, in whole packs, and what the open pack has left. */
  readonly roomBytes: number;
  /** `soon`: writes wait until what was written is destaged; `none`: disk or backend are full, and writes are refused. */
  readonly room: 'there' | 'soon' | 'none';
  readonly backendFull: boolean;
  /** Of a remote pool: sealed packs that wait to be shipped, and copies of shipped ones. */
  readonly stagedPacks: number;
  readonly stagedBytes: number;
  /** Of logs of volumes that flush to the pool, on their way there: they are in memory until then. */
  readonly waitingLogBytes: number;
  readonly keptPacks: number;
  readonly keptBytes: number;
  readonly shippedPacks: number;
  readonly shippedBytes: number;
  readonly shipFailures: number;
  readonly fetches: number;
  readonly fetchedBytes: number;
  readonly fetchFailures: number;
  readonly fetchesWaiting: number;
  /** Collected packs that the backend has removed, and that it has not yet. */
  readonly removals: number;
  readonly removalsWaiting: number;
  readonly removalFailures: number;
}

export interface EngineStats {
  readonly nbd: Readonly<Record<'read' | 'write' | 'flush' | 'trim' | 'zero' | 'cache' | 'status', OperationCounters>>;
  readonly connections: number;
  readonly connectionsTotal: number;
  readonly nbdBufferBytes: number;
  readonly journal: {
    readonly bytes: number;
    readonly bytesMax: number;
    readonly ringBytes: number;
    readonly segments: number;
    readonly segmentsReady: number;
    readonly appends: number;
    readonly batches: number;
    readonly syncs: number;
    readonly bytesWritten: number;
    readonly movedBytes: number;
    readonly failed: boolean;
  };
  /** As `failure()` says. */
  readonly failure: string;
  readonly overlayBytes: number;
  readonly overlayPages: number;
  readonly nodeCacheBytes: number;
  /** In the order in which they were opened. */
  readonly pools: readonly PoolStats[];
  readonly blockCache: {
    readonly bytes: number;
    readonly bytesMax: number;
    readonly records: number;
    readonly hits: number;
    readonly misses: number;
    readonly evicted: number;
  };
  readonly localCache: {
    /** Of its files. */
    readonly bytes: number;
    readonly bytesMax: number;
    readonly records: number;
    readonly hits: number;
    readonly misses: number;
    readonly writtenBytes: number;
    readonly evicted: number;
    /** Records that came faster than they could be written, or that fit nowhere. */
    readonly passedOver: number;
    /** Records that were not as they were written, and were fetched again. */
    readonly damaged: number;
    /** Its disk failed or was full: it is not used until the next start. */
    readonly failed: boolean;
  };
  readonly destagedGenerations: number;
  readonly destagedBytes: number;
  /** CPU seconds of destage threads, apart from those that serve. */
  readonly destageCpuSeconds: number;
}

/**
 * Rejections and throws carry `code`: one of 'io' | 'no-space' | 'corrupt' | 'not-found' | 'invalid' | 'read-only' |
 * 'try-again' | 'closed'.
 */
export interface NativeEngine extends PoolSwitch, TreeCarrier, VolumeLogs {
  /**
   * Opens the pools, then the journal; replays it over `resources`; starts threads. A snapshot or clone comes after what it
   * is pending on. Errands of remote pools come from here on, and must be answered for it to resolve.
   */
  start(pools: readonly PoolSpec[], resources: readonly ResourceSpec[]): Promise<StartReport>;
  addPool(pool: PoolSpec): Promise<StartReport>;
  /** Rejects with invalid while a resource is in it, or something is held that was carried from or to it. */
  removePool(name: string): Promise<void>;
  /** `bytes` is short only at the end of the pack, or the list of what is gone; null with a failure. What comes twice is nobody's. The event `fetched` gives them back. */
  completeFetch(errand: number, bytes: Uint8Array | null, failure: ErrandFailure | null): void;
  /** Of a ship, a removal or a list of what is gone. Without a failure: it is durable on the backend, or gone from there. */
  completeChange(errand: number, failure: ErrandFailure | null): void;
  completeList(errand: number, packs: readonly ListedPack[] | null, failure: ErrandFailure | null): void;
  listenUnix(path: string): Promise<string>;
  listenTcp(host: string, port: number): Promise<string>;
  /** Of connections that are told to be secure from here on; what is wrong with it is thrown, and the one before stays. */
  useTls(material: TlsMaterial): void;
  answer(connection: number, answer: HandshakeAnswer): void;
  /** A resource of the catalog becomes known (a new volume, an image, a clone of a resolved or pending root). */
  add(resource: ResourceSpec): void;
  /**
   * Freezes the volume here as `snapshot`; resolves once the barrier is durable. The snapshot is readable at once; its
   * root comes later, in a commit. `sequence` is the last write in it.
   */
  snapshot(volume: number, snapshot: number): Promise<{ sequence: number; sizeBytes: number }>;
  /** Ends the resource's connections and forgets it; resolves once the drop is durable. What depends on it stays readable. */
  drop(resource: number): Promise<void>;
  /** The volume's size from here on; resolves once that is durable. What lay past a smaller one reads zero if it grows again. */
  resize(volume: number, sizeBytes: number): Promise<void>;
  /**
   * The volume becomes what the snapshot is, in a new lineage; resolves once that is durable. try-again while the snapshot, or
   * another one of the volume, waits for its root: destage the volume first.
   */
  rollback(volume: number, snapshot: number): Promise<void>;
  /** Of a resource as it is now; null where it is not known. */
  sizeBytes(resource: number): number | null;
  /** Holds the volume's connections to this rate from here on. */
  limit(volume: number, limit: LimitSpec): void;
  compress(volume: number, compression: CompressionSpec | null): void;
  compressPool(pool: string, compression: CompressionSpec): void;
  /**
   * Where `to` differs from `from`, from `offset` on: at most `rangesMax` ranges, and up to where (`next`) they tell. It costs
   * by what differs. What is told as changed may be equal after all within a block, never the other way round.
   */
  changes(
    from: number,
    to: number,
    offset: number,
    rangesMax: number,
  ): Promise<{ readonly ranges: readonly ChangedRange[]; readonly next: number }>;
  /**
   * Bytes of a resource from `offset` on, for what is not served by NBD: so many, in an array of their own, or as many as `into` has, which
   * is filled and resolved with, and is nobody else's until then. At most 4 MiB.
   */
  read(resource: number, offset: number, into: number | Uint8Array): Promise<Uint8Array>;
  /**
   * Writes `data` to a volume, which must stay as it is until that resolves, or zeroes `data` bytes where it is a number. Resolves when it is
   * journalled; waits for room.
   */
  write(volume: number, offset: number, data: Uint8Array | number): Promise<void>;
  /** Resolves once all that the volume was given so far is durable. */
  flush(volume: number): Promise<void>;
  /** Destages all of the volume that is written so far; resolves once its root is committed. 0: every volume. */
  destage(resource: number): Promise<void>;
  /** The commit's root chunk and catalog transaction are durable (true) or failed (false: it will be offered again). */
  committed(token: number, ok: boolean): void;
  attached(resource: number): number;
  /** Writes a raw file's content into an empty volume, holes and zeroes skipped. Returns a transfer id. */
  importFile(resource: number, path: string): number;
  /** Writes the resource's content to a file (created, sparse), synced. Returns a transfer id. */
  exportFile(resource: number, path: string): number;
  /** Resolves at the end of the transfer with what it copied. Whoever hears of the end is the last to: the number means nothing then. */
  transferDone(transfer: number): Promise<TransferProgress>;
  transferProgress(transfer: number): TransferProgress;
  transferCancel(transfer: number): void;
  stats(): EngineStats;
  /** Of every resource with connections, in no order. */
  activities(): readonly ResourceActivity[];
  /**
   * '' while all is well. Once a write or sync of the journal or of packs failed: a sentence that says why nothing is written any
   * more and what to do. Every change is refused from then on; reads go on. It never passes without a restart.
   */
  failure(): string;
  /** Logical content of a resource: bytes mapped by its root and its overlay (an upper bound where both hold a page). */
  allocatedBytes(resource: number): Promise<number>;
  /** Walks the maps of all resources of a pool, at half speed on a thread of its own; costs by the distinct map nodes. */
  space(what: 'measure', pool: string): Promise<SpaceReport>;
  /** What only members of one group reach, as of the last measurement: resource `ids[i]` is of group `groups[i]`, below `count`. */
  space(
    what: 'groups',
    pool: string,
    ids: readonly number[],
    groups: readonly number[],
    count: number,
  ): Promise<readonly Reached[]>;
  /** With whom a resource shares most blocks, as of the last measurement; at most `count` of them. */
  space(
    what: 'shared',
    pool: string,
    resource: number,
    count: number,
  ): Promise<readonly { readonly id: number; readonly blocks: number }[]>;
  /**
   * Removes packs that hold little or nothing that is wanted. `roots`: that catalog and root chunks name. 'try-again' while a run over
   * the pool is under way, 'corrupt' where a map node cannot be read. `hurry`: without resting.
   */
  collect(
    what: 'run',
    pool: string,
    roots: readonly TreeRootSpec[],
    how: { readonly dryRun: boolean; readonly liveMax: number; readonly hurry: boolean },
  ): Promise<CollectReport>;
  /**
   * Volumes that gave something back (TRIM, WRITE_ZEROES) of which no root knows yet, so that it still counts as wanted. Where
   * `waitSeconds` is not 0, it is destaged first, for so long at most.
   */
  collect(what: 'trims', pool: string, waitSeconds: number): Promise<number>;
  /** How far the run over this pool is; 'not-found' where there is none. */
  collect(what: 'progress', pool: string): Promise<CollectReport>;
  /** Reads all that packs hold from the disk, and repairs what it can. Errors as of `collect`, which never runs over the same pool meanwhile. */
  scrub(what: 'scrub', pool: string, roots: readonly TreeRootSpec[]): Promise<ScrubReport>;
  scrub(what: 'scrubbed', pool: string): Promise<ScrubReport>;
  /** Begins one, of which few may be at a time ('try-again'): its number. */
  estimate(what: 'begin', pool: string): Promise<number>;
  /** Reads on in a raw file, from a block's bound on, for a fifth of a second. */
  estimate(what: 'read', id: number, path: string, offset: number): Promise<EstimateStep>;
  estimate(what: 'end', id: number): Promise<void>;
  /** Stops accepting, answers what is under way, flushes the journal, joins threads. With `drain`, destages first. */
  stop(drain: boolean): Promise<void>;
}

export interface NativeModule {
  Engine: new (options: EngineOptions, onEvents: (events: EngineEvent[]) => void) => NativeEngine;
  /** HMAC-SHA-256 block id of data (whole pages) under a 32-byte key, for tests and tools. */
  blockId(key: Uint8Array, data: Uint8Array): string;
  /** "NAME:N", for tests: the process kills itself when it comes to NAME for the Nth time (native/env/failpoints.h). Throws `invalid`. */
  armFailpoint(text: string): void;
  /** The process is at that place. */
  passFailpoint(name: string): void;
}
