/** The engine as its callers see it, without bytes: it notes each call in `steps`, and does what the test tells it. */
import type {
  CarryOrder,
  CarryPoint,
  CarryReport,
  ChangedRange,
  CollectReport,
  ScrubReport,
  EngineEvent,
  EngineOptions,
  EngineStats,
  ErrandFailure,
  EstimateStep,
  HandshakeAnswer,
  CompressionSpec,
  LimitSpec,
  ListedPack,
  NativeEngine,
  NativeModule,
  OperationCounters,
  ResourceActivity,
  PoolSpec,
  Reached,
  ResourceSpec,
  SpaceReport,
  SpliceOrder,
  StartReport,
  TlsMaterial,
  TransferProgress,
  TreeRootSpec,
} from '../../../src/engine/binding.js';
import { SkerryError } from '../../../src/core/errors.js';
import type { HeldResource } from '../../../src/engine/pool_switch.js';

const nothingReached: Reached = { blocks: 0, nodes: 0, blockBytes: 0, nodeBytes: 0 };

export class FakeEngine implements NativeEngine {
  readonly steps: string[];
  readonly known = new Map<number, ResourceSpec>();
  readonly answers: { readonly connection: number; readonly answer: HandshakeAnswer }[] = [];
  readonly attachedTo = new Map<number, number>();
  readonly options: EngineOptions | undefined;
  emit: (events: EngineEvent[]) => void = () => {};
  started: { readonly pools: readonly PoolSpec[]; readonly resources: readonly ResourceSpec[] } | null = null;
  /** Called with the name and arguments of each call, before it takes effect; what it throws is how the call fails. */
  before: (step: string, ...args: unknown[]) => void | Promise<void> = () => {};
  /** How each transfer ends; by default at once. */
  transferOutcome: Promise<void> = Promise.resolve();
  snapshotBytes = 1 << 20;
  /** What start() says the journal lost. */
  lost: readonly number[] = [];
  /** What failure() says, and volumeLog('sequence'). */
  failed = '';
  lastSequence = 0;
  /** What volumeLog('ring') says: that the journal has all it was given. */
  whole = new Uint8Array(16).fill(7);
  readonly poolNames: string[] = [];
  /** What errands were answered with. */
  readonly completed: {
    readonly errand: number;
    readonly bytes?: Uint8Array | null;
    readonly packs?: readonly ListedPack[] | null;
    readonly failure: ErrandFailure | null;
  }[] = [];
  /** Resources on their way: to which pool, and the root that they are expected to have there. */
  readonly #held = new Map<number, { readonly pool: string; readonly root?: TreeRootSpec }>();
  #transfers = 0;

  constructor(steps: string[] = [], options?: EngineOptions) {
    this.steps = steps;
    this.options = options;
  }

  async #step(step: string, ...args: unknown[]): Promise<void> {
    await this.before(step, ...args);
    this.steps.push([step, ...args].join(' '));
  }

  #stepNow(step: string, ...args: unknown[]): void {
    void this.before(step, ...args);
    this.steps.push([step, ...args].join(' '));
  }

  async addPool(pool: PoolSpec): Promise<StartReport> {
    await this.#step('engine.addPool', pool.name);
    this.poolNames.push(pool.name);
    return { epoch: 0, records: 0, ringRecords: 0, ringUsed: false, segments: 0, packs: 0, notes: [], lost: [] };
  }

  async removePool(name: string): Promise<void> {
    await this.#step('engine.removePool', name);
    const at = this.poolNames.indexOf(name);
    if (at < 0) throw codedError('not-found', `there is no pool ${name}`);
    this.poolNames.splice(at, 1);
  }

  completeFetch(errand: number, bytes: Uint8Array | null, failure: ErrandFailure | null): void {
    this.completed.push({ errand, bytes: bytes === null ? null : Uint8Array.from(bytes), failure });
  }

  completeChange(errand: number, failure: ErrandFailure | null): void {
    this.completed.push({ errand, failure });
  }

  completeList(errand: number, packs: readonly ListedPack[] | null, failure: ErrandFailure | null): void {
    this.completed.push({ errand, packs, failure });
  }

  async start(pools: readonly PoolSpec[], resources: readonly ResourceSpec[]): Promise<StartReport> {
    await this.#step('start', resources.map(({ id }) => id).join(','));
    this.started = { pools, resources };
    this.poolNames.push(...pools.map(({ name }) => name));
    for (const resource of resources) this.known.set(resource.id, resource);
    return { epoch: 1, records: 0, ringRecords: 0, ringUsed: false, segments: 1, packs: 0, notes: ['a note'], lost: this.lost };
  }

  readonly listenUnix = (path: string): Promise<string> => Promise.resolve(path);

  async listenTcp(host: string, port: number): Promise<string> {
    return `${host}:${port === 0 ? 40_000 : port}`;
  }

  readonly tls: TlsMaterial[] = [];

  useTls(material: TlsMaterial): void {
    if (material.key === '') throw codedError('invalid', 'the key is no private key in PEM: it is empty');
    this.tls.push(material);
  }

  answer(connection: number, answer: HandshakeAnswer): void {
    this.answers.push({ connection, answer });
    if (answer.next === 'transmit' && !this.known.has(answer.resource ?? 0)) throw codedError('not-found', 'no such resource');
  }

  add(resource: ResourceSpec): void {
    this.#stepNow('engine.add', resource.id);
    this.known.set(resource.id, resource);
  }

  async snapshot(volume: number, snapshot: number): Promise<{ sequence: number; sizeBytes: number }> {
    await this.#step('engine.snapshot', volume, snapshot);
    return { sequence: 5, sizeBytes: this.snapshotBytes };
  }

  async drop(resource: number): Promise<void> {
    await this.#step('engine.drop', resource);
    if (!this.known.delete(resource)) throw codedError('not-found', 'no such resource');
  }

  async resize(volume: number, sizeBytes: number): Promise<void> {
    await this.#step('engine.resize', volume, sizeBytes);
    const known = this.known.get(volume);
    if (known !== undefined) this.known.set(volume, { ...known, sizeBytes });
  }

  switchPool(what: 'hold', resource: number, pool: string): Promise<HeldResource>;
  switchPool(what: 'expect', resource: number, root: TreeRootSpec): Promise<void>;
  switchPool(what: 'switch', resource: number, logFence?: number): Promise<number>;
  switchPool(what: 'release', resource: number): Promise<void>;
  async switchPool(what: string, resource: number, to?: string | TreeRootSpec | number): Promise<HeldResource | number | void> {
    await this.#step(`engine.switchPool ${what}`, resource, typeof to === 'object' ? to.id : (to ?? ''));
    const known = this.known.get(resource);
    if (what === 'release') {
      this.#held.delete(resource);
      return;
    }
    if (known === undefined) throw new SkerryError('not-found', `no resource ${resource}`);
    if (typeof to === 'string') {
      this.#held.set(resource, { pool: to });
      const { pool, root, appliedSequence, sizeBytes, lineage, fence } = known;
      return { pool, root, appliedSequence, sizeBytes, lineage, fence };
    }
    const held = this.#held.get(resource);
    if (held === undefined) throw new SkerryError('not-found', `resource ${resource} is not held`);
    if (typeof to === 'object') {
      this.#held.set(resource, { ...held, root: to });
      return;
    }
    this.#held.delete(resource);
    this.known.set(resource, { ...known, ...held });
    return this.lastSequence;
  }

  async rollback(volume: number, snapshot: number): Promise<void> {
    await this.#step('engine.rollback', volume, snapshot);
  }

  readonly volumeLog = (async (what: string, ...asked: readonly unknown[]): Promise<unknown> => {
    await this.#step(`engine.volumeLog ${what}`, ...asked.map((one) => (one instanceof Uint8Array ? one.length : one)));
    if (what === 'whole') return this.whole;
    if (what === 'journal') return new Uint8Array(16).fill(7);
    if (what === 'restore') return (asked[1] as Uint8Array).length;
    return what === 'sequence' ? this.lastSequence : undefined;
  }) as NativeEngine['volumeLog'];

  sizeBytes(resource: number): number | null {
    return this.known.get(resource)?.sizeBytes ?? null;
  }

  limit(volume: number, { iops, bandwidth, burst }: LimitSpec): void {
    this.#stepNow('engine.limit', volume, iops, bandwidth, burst);
  }

  compress(volume: number, compression: CompressionSpec | null): void {
    this.#stepNow('engine.compress', volume, compression?.codec ?? 'inherit', compression?.level ?? 0);
  }

  compressPool(pool: string, { codec, level }: CompressionSpec): void {
    this.#stepNow('engine.compressPool', pool, codec, level);
  }

  /** What differs between any two, and what they hold: bytes that count from their offset on. */
  differing: readonly ChangedRange[] = [];

  async changes(_from: number, to: number, offset: number): Promise<{ ranges: readonly ChangedRange[]; next: number }> {
    return { ranges: this.differing.filter((range) => range.offset >= offset), next: this.sizeBytes(to) ?? 0 };
  }

  async read(_resource: number, offset: number, length: number): Promise<Uint8Array> {
    return Uint8Array.from({ length }, (_, index) => (offset + index) % 251);
  }

  async write(volume: number, offset: number, data: Uint8Array | number): Promise<void> {
    const what = typeof data === 'number' ? `zero ${data}` : `data ${data.length} ${data[0]}`;
    await this.#step('engine.write', volume, offset, what);
  }

  async flush(volume: number): Promise<void> {
    await this.#step('engine.flush', volume);
  }

  async destage(resource: number): Promise<void> {
    await this.#step('engine.destage', resource);
  }

  committed(token: number, ok: boolean): void {
    this.#stepNow('engine.committed', token, ok);
  }

  attached(resource: number): number {
    return this.attachedTo.get(resource) ?? 0;
  }

  importFile(resource: number, path: string): number {
    this.#stepNow('engine.importFile', resource, path);
    this.#transfers += 1;
    return this.#transfers;
  }

  exportFile(resource: number, path: string): number {
    this.#stepNow('engine.exportFile', resource, path);
    this.#transfers += 1;
    return this.#transfers;
  }

  transferDone(): Promise<TransferProgress> {
    return this.transferOutcome.then(() => this.transferProgress());
  }

  transferProgress(): TransferProgress {
    return { doneBytes: 10, totalBytes: 20, dataBytes: 5, finished: false };
  }

  transferCancel(transfer: number): void {
    this.#stepNow('engine.transferCancel', transfer);
  }

  activities(): readonly ResourceActivity[] {
    return [];
  }

  stats(): EngineStats {
    const counters: OperationCounters = { operations: 3, bytes: 4096, errors: 1, latencySeconds: 0.5, latencyBuckets: [1, 0, 2] };
    return {
      nbd: {
        read: counters,
        write: counters,
        flush: counters,
        trim: counters,
        zero: counters,
        cache: counters,
        status: counters,
      },
      connections: 2,
      connectionsTotal: 9,
      nbdBufferBytes: 0,
      journal: {
        bytes: 1,
        bytesMax: 4,
        ringBytes: 8,
        segments: 1,
        segmentsReady: 1,
        appends: 1,
        batches: 1,
        syncs: 1,
        bytesWritten: 1,
        movedBytes: 0,
        failed: this.failed !== '',
      },
      failure: this.failed,
      overlayBytes: 0,
      overlayPages: 0,
      nodeCacheBytes: 0,
      pools: this.poolNames.map((name) => ({
        name,
        remote: false,
        packs: 1,
        storedBytes: 100,
        blocks: 2,
        nodes: 1,
        putBytes: 1,
        putRecords: 1,
        putRecordBytes: 1,
        putFramedRecords: 0,
        recordBytes: 100,
        uncompressedRecordBytes: 100,
        framedRecords: 0,
        dedupHits: 1,
        dedupBytes: 65_536,
        indexBytes: 1,
        corruptCells: 0,
        freeBytes: 1000,
        roomBytes: 1000,
        room: 'there' as const,
        backendFull: false,
        stagedPacks: 0,
        stagedBytes: 0,
        waitingLogBytes: 0,
        keptPacks: 0,
        keptBytes: 0,
        shippedPacks: 0,
        shippedBytes: 0,
        shipFailures: 0,
        fetches: 0,
        fetchedBytes: 0,
        fetchFailures: 0,
        fetchesWaiting: 0,
        removals: 0,
        removalsWaiting: 0,
        removalFailures: 0,
      })),
      blockCache: { bytes: 0, bytesMax: 1, records: 0, hits: 0, misses: 0, evicted: 0 },
      localCache: {
        bytes: 0,
        bytesMax: 1,
        records: 0,
        hits: 0,
        misses: 0,
        writtenBytes: 0,
        evicted: 0,
        passedOver: 0,
        damaged: 0,
        failed: false,
      },
      destagedGenerations: 1,
      destagedBytes: 1,
      destageCpuSeconds: 0.1,
    };
  }

  failure(): string {
    return this.failed;
  }

  /** What a walk finds. */
  measured: SpaceReport = {
    resources: [],
    pool: { reached: nothingReached, journalledUses: 0, uncompressedBytes: 0, recordBytes: 0, storedBytes: 0, deadBytes: 0 },
    nodesRead: 0,
    nodesUnread: 0,
    patternsCut: false,
  };
  /** What `groups` and `shared` answer with. */
  together: readonly Reached[] = [];
  shared: readonly { readonly id: number; readonly blocks: number }[] = [];

  space(what: 'measure', pool: string): Promise<SpaceReport>;
  space(
    what: 'groups',
    pool: string,
    ids: readonly number[],
    groups: readonly number[],
    count: number,
  ): Promise<readonly Reached[]>;
  space(
    what: 'shared',
    pool: string,
    resource: number,
    count: number,
  ): Promise<readonly { readonly id: number; readonly blocks: number }[]>;
  async space(what: string, ...asked: readonly unknown[]): Promise<unknown> {
    await this.#step(`engine.space ${what}`, ...asked.map((one) => JSON.stringify(one)));
    return { measure: this.measured, groups: this.together, shared: this.shared }[what];
  }

  /** Of a file of a mebibyte, all zeroes, which one step reads. */
  estimate(what: 'begin', pool: string): Promise<number>;
  estimate(what: 'read', id: number, path: string, offset: number): Promise<EstimateStep>;
  estimate(what: 'end', id: number): Promise<void>;
  async estimate(what: string, ...asked: readonly unknown[]): Promise<unknown> {
    await this.#step(`engine.estimate ${what}`, ...asked.map(String));
    if (what === 'begin') return 1;
    if (what === 'end') return undefined;
    const bytes = { next: 2 ** 20, fileBytes: 2 ** 20, zeroBytes: 2 ** 20, dataBytes: 0, distinctBytes: 0, knownBytes: 0 };
    return { ...bytes, storedBytes: 0, exact: true };
  }

  trimsWaiting = 0;
  /** Nothing is there that could be removed. */
  collect(what: 'run', pool: string, roots: readonly TreeRootSpec[]): Promise<CollectReport>;
  collect(what: 'trims', pool: string, waitSeconds: number): Promise<number>;
  collect(what: 'progress', pool: string): Promise<CollectReport>;
  async collect(what: string, pool: string, told: readonly TreeRootSpec[] | number = []): Promise<CollectReport | number> {
    if (typeof told === 'number') {
      await this.#step(`engine.collect ${what}`, pool, String(told));
      return this.trimsWaiting;
    }
    const roots = told;
    await this.#step(
      `engine.collect ${what}`,
      pool,
      roots.map(({ id }) => id.slice(0, 8)),
    );
    const none = { packs: 0, deadBytes: 0 };
    return {
      packs: 0,
      storedBytes: 0,
      liveBytes: 0,
      packsWanted: 0,
      packsRemoved: 0,
      removedBytes: 0,
      packsMoved: 0,
      copiedBytes: 0,
      freedBytes: 0,
      nodesRead: roots.length,
      halfLive: none,
      journalled: none,
      damaged: none,
    };
  }

  /** What was carried, by number; everything arrives at once, under its own id. */
  readonly carries = new Map<number, CarryReport>();
  carry(what: 'carry', id: number, order: CarryOrder): Promise<CarryReport>;
  carry(what: 'splice', id: number, order: SpliceOrder): Promise<CarryReport>;
  carry(what: 'carried', id: number): Promise<CarryReport>;
  carry(what: 'keep', id: number): Promise<CarryPoint | null>;
  carry(what: 'release', id: number): Promise<void>;
  async carry(what: string, id: number, order?: CarryOrder | SpliceOrder): Promise<unknown> {
    if (order === undefined) await this.#step(`engine.carry ${what}`, id);
    else if ('parts' in order) await this.#step(`engine.carry ${what}`, id, order.pool, order.parts.length);
    else await this.#step(`engine.carry ${what}`, id, order.source, order.target, order.to.id.slice(0, 8));
    if (order !== undefined) {
      const { blocks } = order;
      const to =
        'parts' in order ? { id: String(id).padStart(64, '5'), levels: 1, pack: 0, offset: 0, storedBytes: 0 } : order.to;
      const put = { carriedBlocks: 0, foundBlocks: 0, putBlocks: 0, putBytes: 0 };
      const none = { ...put, cutRanges: 0, lostPages: 0, firstLostPage: null };
      this.carries.set(id, { blocks, blocksDone: blocks, ...none, nodesCompared: 0, point: { root: to, next: blocks } });
    }
    const report = this.carries.get(id);
    if (what === 'release') {
      this.carries.delete(id);
      return undefined;
    }
    if (report === undefined) throw codedError('not-found', `nothing is carried under number ${id}`);
    return what === 'keep' ? report.point : report;
  }

  async scrub(): Promise<ScrubReport> {
    throw new Error('nothing of these tests looks for rot');
  }

  async allocatedBytes(): Promise<number> {
    return 0;
  }

  async stop(drain: boolean): Promise<void> {
    await this.#step('engine.stop', drain);
  }
}

/** The addon, with a fake in the place of its engine; `engines` holds those that were made. */
export function fakeModule(): NativeModule & { readonly engines: FakeEngine[] } {
  const engines: FakeEngine[] = [];
  class Engine extends FakeEngine {
    constructor(options: EngineOptions, onEvents: (events: EngineEvent[]) => void) {
      super([], options);
      this.emit = onEvents;
      engines.push(this);
    }
  }
  return { Engine, engines, blockId: () => '', armFailpoint: () => undefined, passFailpoint: () => undefined };
}

/** As the addon throws them. */
export function codedError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
