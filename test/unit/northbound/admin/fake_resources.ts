/** The verbs over plain maps, for tests of what stands above them. Transfers move only when a test says so. */
import { Readable } from 'node:stream';

import { SkerryError } from '../../../../src/core/errors.js';
import type { ObjectPlace } from '../../../../src/core/object_uri.js';
import { checkResourceName, parseSnapshotName } from '../../../../src/core/names.js';
import type { Difference, Page, Resource, ResourceKind, Resources, TransferState } from '../../../../src/mapper/resources.js';
import type { ExportOrder, ImportOrder } from '../../../../src/mapper/transfer_job.js';
import type { SpaceAsk, SpaceView } from '../../../../src/mapper/space.js';
import type { EstimateFile } from '../../../../src/mapper/estimates.js';
import type { EstimateStep } from '../../../../src/engine/binding.js';
import type { EstimateSource, SpaceSource } from '../../../../src/northbound/admin/space.js';
import type { ActivityView, PoolView, StatusView } from '../../../../src/api/shapes.js';

/** Volumes of objects, which are there where their bucket is `images`. */
export class FakeDisks {
  readonly #resources: FakeResources;

  constructor(resources: FakeResources) {
    this.#resources = resources;
  }

  async volume({ bucket, key }: ObjectPlace, name: string): Promise<Resource> {
    if (bucket !== 'images') throw new SkerryError('not-found', `there is no bucket ${bucket}`);
    return this.#resources.put({ kind: 'volume', name, parent: `s3://${bucket}/${key}` });
  }
}

export class FakeResources implements Resources {
  readonly calls: unknown[][] = [];
  readonly transfers: TransferState[] = [];
  /** What came as the content of an import. */
  received = '';
  /** What an export gives. */
  content = 'the content';
  /** What it gives instead of its end. */
  contentFailure: Error | null = null;
  readonly #known = new Map<string, Resource>();
  #nextId = 1;
  /** What the next verb throws instead of doing its work. */
  failure: Error | null = null;
  /** Whether a transfer that is asked about is done at once. */
  finishTransfers = true;
  /** False: one that is cancelled goes on until `end`. */
  cancelsAtOnce = true;
  /** How often anybody asked after a transfer. */
  transfersTold = 0;

  put(fields: Partial<Resource> & Pick<Resource, 'kind' | 'name'>): Resource {
    const resource: Resource = {
      id: this.#nextId,
      pool: 'default',
      sizeBytes: 2 ** 30,
      pending: false,
      unavailable: null,
      durability: 'local',
      cache: 'writeback',
      description: '',
      createdAt: Date.UTC(2026, 10, 21, 12, 30),
      parent: null,
      rootId: '',
      appliedSequence: 0,
      attachedConnections: 0,
      labels: {},
      limit: { iops: 0, bandwidth: 0, burst: 0 },
      access: null,
      compression: 'inherit',
      ...fields,
    };
    this.#nextId += 1;
    this.#known.set(`${resource.kind}/${resource.name}`, resource);
    return resource;
  }

  async create(request: Parameters<Resources['create']>[0]): Promise<Resource> {
    this.#begin('create', request);
    this.#refuseTaken('volume', request.name);
    return this.put({ kind: 'volume', ...request });
  }

  async clone(source: string, name: string, options?: Parameters<Resources['clone']>[2]): Promise<Resource> {
    this.#begin('clone', source, name, options);
    const from = ['volume', 'snapshot', 'image']
      .map((kind) => this.#known.get(`${kind}/${source}`))
      .find((one) => one !== undefined);
    if (from === undefined) throw new SkerryError('not-found', `there is no volume or image ${source}`);
    this.#refuseTaken('volume', name);
    return this.put({ kind: 'volume', name, sizeBytes: from.sizeBytes, parent: source, ...options });
  }

  async snapshot(name: string, options?: Parameters<Resources['snapshot']>[1]): Promise<Resource> {
    this.#begin('snapshot', name, options);
    const { sizeBytes } = await this.get('volume', parseSnapshotName(name).volume);
    this.#refuseTaken('snapshot', name);
    return this.put({ kind: 'snapshot', name, sizeBytes, pending: true, ...options });
  }

  async resize(name: string, sizeBytes: number, options?: { readonly shrink?: boolean }): Promise<Resource> {
    this.#begin('resize', name, sizeBytes, options);
    return this.#change('volume', name, { sizeBytes });
  }

  async rollback(name: string): Promise<Resource> {
    this.#begin('rollback', name);
    const { sizeBytes } = await this.get('snapshot', name);
    return this.#change('volume', parseSnapshotName(name).volume, { sizeBytes });
  }

  async rename(kind: 'volume' | 'image', name: string, to: string): Promise<Resource> {
    this.#begin('rename', kind, name, to);
    this.#refuseTaken(kind, to);
    const renamed = { ...(await this.get(kind, name)), name: to };
    this.#known.delete(`${kind}/${name}`);
    this.#known.set(`${kind}/${to}`, renamed);
    return renamed;
  }

  async set(name: string, settings: Parameters<Resources['set']>[1]): Promise<Resource> {
    this.#begin('set', name, settings);
    const { labels = {}, access, ...rest } = settings;
    const known = new Map<string, string | null>(Object.entries((await this.get('volume', name)).labels));
    for (const [key, value] of Object.entries(labels)) known.set(key, value);
    const kept = [...known].filter((entry): entry is [string, string] => entry[1] !== null);
    return this.#change('volume', name, {
      ...rest,
      ...(access === undefined ? {} : { access: access.anyone === true ? null : { grants: [...(access.allow ?? [])] } }),
      labels: Object.fromEntries(kept),
    });
  }

  async changes(from: string, to: string, offset?: number): Promise<Difference> {
    this.#begin('changes', from, to, offset);
    const range = (at: number, zero: boolean) => ({ offset: at, length: 4096, zero });
    return offset === undefined
      ? { fromBytes: 8192, toBytes: 16_384, ranges: [range(0, false)], next: 8192 }
      : { fromBytes: 8192, toBytes: 16_384, ranges: [range(offset, true)], next: null };
  }

  async diffStream(from: string, to: string): Promise<AsyncIterable<Uint8Array>> {
    this.#begin('diffStream', from, to);
    return Readable.from([Buffer.from('what '), Buffer.from('differs')]);
  }

  async applyStream(
    name: string,
    bytes: AsyncIterable<Uint8Array>,
    options: { readonly anyBase?: boolean } = {},
  ): Promise<Resource> {
    const parts: Uint8Array[] = [];
    for await (const part of bytes) parts.push(part);
    this.#begin('applyStream', name, Buffer.concat(parts).toString(), options);
    return this.get('volume', name);
  }

  async get(kind: ResourceKind, name: string): Promise<Resource> {
    this.#begin('get', kind, name);
    checkResourceName(kind, name);
    const found = this.#known.get(`${kind}/${name}`);
    if (found === undefined) throw new SkerryError('not-found', `there is no ${kind} ${name}`);
    return found;
  }

  async list(
    kind: ResourceKind,
    { volume, after = '', matching = () => true, resourcesMax }: Page = {},
  ): Promise<readonly Resource[]> {
    this.#begin('list', kind, volume);
    return [...this.#known.values()]
      .filter((one) => one.kind === kind && (volume === undefined || one.name.startsWith(`${volume}@`)) && one.name > after)
      .filter((one) => matching(one.labels))
      .slice(0, resourcesMax);
  }

  total(kind: ResourceKind): { readonly count: number; readonly sizeBytes: number } {
    const found = [...this.#known.values()].filter((one) => one.kind === kind);
    return { count: found.length, sizeBytes: found.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) };
  }

  async remove(kind: ResourceKind, name: string): Promise<void> {
    const { attachedConnections } = await this.get(kind, name);
    if (attachedConnections > 0) throw new SkerryError('conflict', `${kind} ${name} is attached`);
    this.#known.delete(`${kind}/${name}`);
  }

  async importImage(order: ImportOrder): Promise<TransferState> {
    this.#begin('importImage', order);
    this.#refuseTaken('image', order.name);
    this.put({ kind: 'image', name: order.name });
    return this.#track();
  }

  async exportResource(order: ExportOrder): Promise<TransferState> {
    this.#begin('exportResource', order);
    return this.#track();
  }

  async receiveContent(id: number, content: Readable): Promise<TransferState> {
    this.#begin('receiveContent', id);
    const parts: Buffer[] = [];
    for await (const part of content) parts.push(part as Buffer);
    this.received = Buffer.concat(parts).toString();
    this.end(id, 'done');
    return this.transfer(id);
  }

  sendContent(id: number): Readable {
    this.#begin('sendContent', id);
    const end = (): void => this.end(id, 'done');
    const { content, contentFailure } = this;
    return Readable.from(
      (async function* () {
        yield Buffer.from(content);
        if (contentFailure !== null) throw contentFailure;
        end();
      })(),
    );
  }

  transfer(id: number): TransferState {
    this.transfersTold += 1;
    const found = this.transfers[id - 1];
    if (found === undefined) throw new SkerryError('not-found', `there is no transfer ${id}`);
    if (this.finishTransfers && found.state === 'running') this.end(id, 'done');
    return this.transfers[id - 1] ?? found;
  }

  cancelTransfer(id: number): void {
    this.calls.push(['cancelTransfer', id]);
    if (this.cancelsAtOnce && this.transfer(id).state === 'running') this.end(id, 'cancelled');
  }

  end(id: number, state: TransferState['state'], error: TransferState['error'] = null): void {
    const found = this.transfers[id - 1];
    if (found === undefined) throw new Error(`no transfer ${id}`);
    this.transfers[id - 1] = { ...found, state, error, doneBytes: state === 'done' ? found.totalBytes : found.doneBytes };
  }

  async #change(kind: ResourceKind, name: string, fields: Partial<Resource>): Promise<Resource> {
    const changed = { ...(await this.get(kind, name)), ...fields };
    this.#known.set(`${kind}/${name}`, changed);
    return changed;
  }

  #track(): TransferState {
    const transfer: TransferState = {
      id: this.transfers.length + 1,
      doneBytes: 2 ** 28,
      totalBytes: 2 ** 30,
      dataBytes: 2 ** 27,
      state: 'running',
      error: null,
    };
    this.transfers.push(transfer);
    return transfer;
  }

  #begin(...call: unknown[]): void {
    this.calls.push(call);
    if (this.failure !== null) throw this.failure;
  }

  #refuseTaken(kind: ResourceKind, name: string): void {
    checkResourceName(kind, name);
    if (this.#known.has(`${kind}/${name}`)) throw new SkerryError('exists', `there is a ${kind} ${name} already`);
  }
}

export const fakePool: PoolView = {
  name: 'default',
  driver: 'local',
  settings: { directory: '/srv/pool' },
  remote: false,
  healthy: true,
  problem: null,
  warnings: [],
  logicalBytes: 3 * 2 ** 30,
  uniqueBytes: 2 ** 30,
  storedBytes: 2 ** 30 + 4096,
  freeBytes: 5 * 2 ** 30,
  dedupBytes: 2 ** 31,
  compression: 'lz4',
  encryption: 'none',
  keyFrom: null,
  recordBytes: 2 ** 30,
  uncompressedBytes: 3 * 2 ** 29,
  compressionRatio: 1.5,
  volumes: 2,
  snapshots: 1,
  images: 0,
  packs: 17,
  blocks: 16_384,
  nodes: 70,
  corruptPages: 0,
  stagedBytes: 0,
  keptBytes: 0,
  fetchedBytes: 0,
  shippedBytes: 0,
  removalsWaiting: 0,
};

export const fakePools = {
  list: async () => [fakePool],
  get: async (name: string): Promise<PoolView> => {
    if (name === 'brief')
      return { ...fakePool, name, driver: 'memory', warnings: ['everything in pool brief is lost when the daemon ends'] };
    if (name !== 'default') throw new SkerryError('not-found', `there is no pool ${name}`);
    return fakePool;
  },
};

/** One volume that has read `reads` pages by now, two milliseconds each. */
export function fakeActivity(atSeconds: number, reads: number): ActivityView {
  const none = { operations: 0, bytes: 0, errors: 0, latencySeconds: 0 };
  return {
    atSeconds,
    problems: [],
    journal: { bytes: 2 ** 30, bytesMax: 2 ** 32 },
    resources: [
      {
        id: 1,
        kind: 'volume',
        name: 'vm1',
        connections: 2,
        journalBytes: 2 ** 20,
        read: { operations: reads, bytes: reads * 4096, errors: 0, latencySeconds: reads * 0.002 },
        write: none,
        flush: none,
        trim: none,
      },
    ],
  };
}

export class FakePoolVerbs {
  readonly calls: unknown[][] = [];

  async create(request: object): Promise<void> {
    this.calls.push(['create', request]);
  }

  async changeKey(name: string, source: object): Promise<void> {
    this.calls.push(['changeKey', name, source]);
  }

  async set(name: string, settings: object): Promise<void> {
    this.calls.push(['set', name, settings]);
  }

  async remove(name: string): Promise<void> {
    this.calls.push(['remove', name]);
    if (name === 'default') throw new SkerryError('invalid', 'the pool default stays');
  }
}

export function fakeStatus(listeners: Record<string, string>): StatusView {
  return {
    version: '0.1.0',
    pid: 4711,
    dataDirectory: '/var/lib/skerry',
    startedAt: '2026-11-21T12:00:00.000Z',
    uptimeSeconds: 3725,
    healthy: true,
    problems: [],
    listeners,
    volumes: 2,
    snapshots: 1,
    images: 0,
    connections: 4,
    journal: { bytes: 2 ** 20, bytesMax: 2 ** 32, ringBytes: 2 ** 26, segments: 4, failed: false },
    memory: { rssBytes: 2 ** 28, overlayBytes: 2 ** 20, nodeCacheBytes: 2 ** 16, blockCacheBytes: 0, nbdBufferBytes: 0 },
    localCache: { bytes: 0, bytesMax: 2 ** 32, records: 0, hits: 0, misses: 0, damaged: 0, failed: false },
    destagedBytes: 0,
  };
}

/** Everything written whole, and nothing of it shared. */
export class FakeSpace implements SpaceSource {
  readonly #resources: Resources;
  readonly asked: SpaceAsk[] = [];
  /** Whether nobody waits long enough. */
  slow = false;

  constructor(resources: Resources) {
    this.#resources = resources;
  }

  async all(ask: SpaceAsk): Promise<SpaceView | null> {
    this.asked.push(ask);
    if (this.slow) return null;
    const lists = await Promise.all((['volume', 'snapshot', 'image'] as const).map((kind) => this.#resources.list(kind)));
    const resources = lists.flat().map(({ id, kind, name, pool: of, sizeBytes }) => ({
      id,
      kind,
      name,
      pool: of,
      logicalBytes: sizeBytes,
      allocatedBytes: sizeBytes / 2,
      journalledBytes: 4096,
      uniqueBytes: sizeBytes / 8,
      sharedBytes: sizeBytes / 4,
      storedBytes: sizeBytes / 2,
      freedBytes: 66_048,
      snapshots: 0,
      freedWithSnapshotsBytes: null,
    }));
    const pool = {
      name: 'default',
      logicalBytes: 2 ** 31,
      allocatedBytes: 2 ** 30,
      journalledBytes: 4096,
      uniqueBytes: 2 ** 29,
      referencedBytes: 2 ** 29,
      deadBytes: 2 ** 20,
      overheadBytes: 2 ** 16,
      storedBytes: 2 ** 29 + 2 ** 20 + 2 ** 16,
      dedupRatio: 2,
      compressionRatio: 1,
    };
    return {
      asOf: Date.UTC(2026, 10, 21, 12, 30),
      seconds: 0.25,
      incomplete: null,
      journal: { bytes: 2 ** 20, bytesMax: 2 ** 22 },
      pools: [pool],
      resources,
    };
  }

  async one(source: string, ask: SpaceAsk): ReturnType<SpaceSource['one']> {
    const name = source.replace(/^(?:volume|snapshot|image)\//, '');
    const view = await this.all(ask);
    if (view === null) return null;
    const resource = view.resources.find((one) => one.name === name);
    if (resource === undefined) throw new SkerryError('not-found', `there is no volume or image ${name}`);
    const [pool] = view.pools;
    if (pool === undefined) throw new Error('there is no pool');
    return { view, pool, resource, sharedWith: [{ kind: 'image', name: 'debian', sharedBytes: 65_536 }] };
  }
}

/** Each file has two mebibytes, read in two steps: one of zeroes, and one of data, of which half is known. */
export class FakeEstimates implements EstimateSource {
  readonly asked: unknown[] = [];
  #files = 0;

  async begin(): Promise<number> {
    this.#files = 0;
    return 1;
  }

  async read(id: number, file: EstimateFile): Promise<EstimateStep> {
    this.asked.push([id, file]);
    if (file.path.endsWith('.qcow2')) throw new SkerryError('invalid', `${file.path} is a qcow2 file`);
    const half = 2 ** 20;
    const end = file.offset > 0;
    const before = this.#files * half;
    if (end) this.#files += 1;
    const data = this.#files * half;
    const bytes = {
      zeroBytes: before + half,
      dataBytes: data,
      distinctBytes: data,
      knownBytes: data / 2,
      storedBytes: data / 2 + 1024,
      rawBytes: data / 2 + 1024,
      lz4Bytes: data / 4,
      zstdBytes: data / 8,
    };
    return { next: end ? 2 * half : half, fileBytes: 2 * half, ...bytes, exact: true };
  }

  async end(id: number): Promise<void> {
    this.asked.push([id, 'end']);
  }
}
