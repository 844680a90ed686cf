/**
 * The verbs on resources. What makes each of them safe is its order: an id is durably taken, then the engine's barrier is
 * durable where there is one, then one catalog transaction makes the name. A crash between any two leaves either nothing
 * or something without a name, which is removed later. Nothing here costs more on a large volume than on an empty one, nor
 * more among many resources than among few; what a backend is asked for waits for upkeep.
 */
import type { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';

import type { Catalog } from '../catalog/catalog.js';
import { inheritedAccess } from './access.js';
import type { ResourceKind, ResourceRecord } from '../catalog/records.js';
import { compresses, volumeCompressionText } from '../core/compression.js';
import { isSkerryError, SkerryError } from '../core/errors.js';
import { checkDescription, checkLabels, checkVolumeName, parseSnapshotName } from '../core/names.js';
import { checkVolumeBytes } from '../core/sizes.js';
import type { NativeEngine } from '../engine/binding.js';
import { Differences } from './differences.js';
import type { PrivateExports } from './private_exports.js';
import type { ExportOrder, ImportOrder } from './transfer_job.js';
import { IdAllocator } from './id_allocator.js';
import type { Ledger, LedgerEntry } from './ledger.js';
import { idLock, nameLock, type KeyedLocks } from './locks.js';
import { Naming } from './naming.js';
import { insertResource, newRecord, type NewRecord } from './new_resource.js';
import { Removal } from './removal.js';
import { Reshape } from './reshape.js';
import { viewOf } from './resource_view.js';
import { LoggedVolumes } from './volume_log.js';
import type { PoolUsers } from './pool_verbs.js';
import type { Difference, Page, Resource, Resources, TransferState } from './resources.js';
import { findReady, findServed, findSource, refuseTaken } from './sources.js';
import { Transfers } from './transfers.js';
import { Verbs, type VerbObserver } from './verbs.js';

/** How long stop() waits for verbs, and then for transfers. */
const stop_milliseconds_max = 2000;
const conflicts_named_max = 5;
/** Of a list, before others have their turn. */
const entries_per_turn_max = 256;

export interface MapperOptions {
  readonly catalog: Catalog;
  readonly ledger: Ledger;
  readonly locks: KeyedLocks;
  readonly engine: Pick<
    NativeEngine,
    | 'add'
    | 'snapshot'
    | 'drop'
    | 'destage'
    | 'attached'
    | 'sizeBytes'
    | 'resize'
    | 'rollback'
    | 'limit'
    | 'compress'
    | 'changes'
    | 'read'
    | 'write'
    | 'flush'
    | 'allocatedBytes'
    | 'importFile'
    | 'exportFile'
    | 'transferDone'
    | 'transferProgress'
    | 'transferCancel'
    | 'failure'
    | 'volumeLog'
  >;
  readonly pools: PoolUsers;
  /** For programs that the daemon starts: it answers under their names too. */
  readonly privateExports: PrivateExports;
  /** Programs are found on its PATH. */
  readonly environment?: NodeJS.ProcessEnv;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
  /** Something without a name may be ready to go, or a root chunk is due: upkeep looks. */
  readonly onUpkeep?: () => void;
  readonly onVerb?: VerbObserver;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export class Mapper implements Resources {
  readonly removal: Removal;
  readonly #options: MapperOptions;
  readonly #ledger: Ledger;
  readonly #locks: KeyedLocks;
  readonly #ids: IdAllocator;
  readonly #transfers: Transfers;
  readonly #reshape: Reshape;
  readonly #naming: Naming;
  readonly #differences: Differences;
  readonly #logged: LoggedVolumes;
  readonly #verbs: Verbs;
  readonly #now: () => number;

  constructor(options: MapperOptions) {
    this.#options = options;
    this.#ledger = options.ledger;
    this.#locks = options.locks;
    this.#ids = new IdAllocator(options.catalog);
    this.#verbs = new Verbs(options.onVerb ?? (() => {}));
    this.#now = options.now ?? Date.now;
    this.removal = new Removal({ ledger: options.ledger, engine: options.engine, roots: options.pools, locks: options.locks });
    this.#transfers = new Transfers({
      ...options,
      now: this.#now,
      ids: this.#ids,
      removal: this.removal,
      abandon: (id, pool) => this.#abandon(id, pool),
    });
    this.#reshape = new Reshape({
      ledger: options.ledger,
      locks: options.locks,
      engine: options.engine,
      inTransfer: (id) => this.#transfers.uses(id),
    });
    this.#differences = new Differences({
      ledger: options.ledger,
      locks: options.locks,
      engine: options.engine,
      resize: (name, sizeBytes) => this.#reshape.resize(name, sizeBytes, true),
    });
    this.#logged = new LoggedVolumes({ ...options, roots: options.pools });
    this.#naming = new Naming({ ledger: options.ledger, locks: options.locks, pools: options.pools, engine: options.engine });
  }

  create(request: Parameters<Resources['create']>[0]): Promise<Resource> {
    return this.#change('create', async () => {
      const name = checkVolumeName(request.name);
      const sizeBytes = checkVolumeBytes(request.sizeBytes);
      const description = checkDescription(request.description ?? '');
      const labels = checkLabels(request.labels ?? {});
      const compression = volumeCompressionText(request.compression ?? 'inherit');
      const pool = request.pool ?? this.#options.pools.defaultName;
      return this.#options.pools.using(pool, () =>
        this.#locks.run([nameLock(name)], async () => {
          await refuseTaken(this.#ledger, 'volume', name);
          if (compresses(compression)) await this.#options.pools.allowFrames(pool);
          const id = await this.#ids.next();
          const { cache = 'writeback', durability = 'local' } = request;
          const log = await this.#logged.logOf(durability, pool);
          const basis = {
            id,
            kind: 'volume' as const,
            name,
            pool,
            sizeBytes,
            description,
            labels,
            cache,
            compression,
            durability,
            log,
          };
          return this.#makeWithRoot(this.#newRecord(basis));
        }),
      );
    });
  }

  clone(source: string, name: string, options: Parameters<Resources['clone']>[2] = {}): Promise<Resource> {
    return this.#change('clone', async () => {
      checkVolumeName(name);
      const description = checkDescription(options.description ?? '');
      const labels = checkLabels(options.labels ?? {});
      const compression = volumeCompressionText(options.compression ?? 'inherit');
      const { kind, name: sourceName } = (await findSource(this.#ledger, source)).record;
      return this.#locks.run([nameLock(name), nameLock(sourceName)], async () => {
        const from = await findServed(this.#ledger, kind, sourceName);
        await refuseTaken(this.#ledger, 'volume', name);
        const { pool, sizeBytes, id: parentId } = from.record;
        const { cache = from.record.cache, durability = from.record.durability } = options;
        if (compresses(compression)) await this.#options.pools.allowFrames(pool);
        const basis = {
          compression,
          kind: 'volume' as const,
          name,
          pool,
          access: await inheritedAccess(this.#ledger, from.record),
          sizeBytes,
          description,
          labels,
          cache,
          durability,
          log: await this.#logged.logOf(durability, pool),
          parentId,
          parentName: sourceName,
        };
        if (kind === 'volume') return this.#cloneVolume(from, basis);
        // Whether a snapshot is pending is decided under its lock, for a commit may be resolving it just now.
        const id = await this.#ids.next();
        const pending = await this.#guarded([id], pool, async () => {
          const made = await this.#locks.run([idLock(parentId)], async () => {
            const now = await this.#ledger.get(parentId);
            if (now === null || now.record.pendingOf === 0) return null;
            return this.#makePending(this.#newRecord({ ...basis, id, pendingOf: parentId }));
          });
          return made === null ? null : this.#view(await this.#logged.begin(made));
        });
        if (pending !== null) return pending;
        const resolved = await findReady(this.#ledger, kind, sourceName);
        return this.#makeWithRoot(this.#newRecord({ ...basis, id, root: resolved.record.root }));
      });
    });
  }

  snapshot(name: string, options: Parameters<Resources['snapshot']>[1] = {}): Promise<Resource> {
    return this.#change('snapshot', async () => {
      const { volume } = parseSnapshotName(name);
      const description = checkDescription(options.description ?? '');
      return this.#locks.run([nameLock(name), nameLock(volume)], async () => {
        const from = await findServed(this.#ledger, 'volume', volume);
        await refuseTaken(this.#ledger, 'snapshot', name);
        const id = await this.#ids.next();
        return this.#guarded([id], from.record.pool, async () => {
          // A commit that resolves the snapshot may come before it has its name: the composer waits for this lock.
          const made = await this.#locks.run([idLock(id)], async () => {
            const { sizeBytes } = await this.#options.engine.snapshot(from.record.id, id);
            const { pool, cache, durability, id: parentId } = from.record;
            const basis = {
              id,
              kind: 'snapshot' as const,
              name,
              pool,
              sizeBytes,
              description,
              cache,
              durability,
              parentId,
              parentName: volume,
            };
            const record = this.#newRecord({ ...basis, fence: 0, pendingOf: parentId });
            await this.#ledger.commit([{ change: 'insert', record }]);
            return record;
          });
          // What it is made of may be in this host's journal alone, which is not what its volume promises.
          return this.#view(from.record.log === null ? made : await this.#logged.rooted(made));
        });
      });
    });
  }

  resize(...[name, sizeBytes, options = {}]: Parameters<Resources['resize']>): Promise<Resource> {
    return this.#change('resize', async () =>
      this.#view((await this.#reshape.resize(name, sizeBytes, options.shrink === true)).record),
    );
  }

  rollback(name: string): Promise<Resource> {
    return this.#change('rollback', async () => this.#view((await this.#reshape.rollback(name)).record));
  }

  rename(...[kind, name, to]: Parameters<Resources['rename']>): Promise<Resource> {
    return this.#change('rename', async () => this.#view((await this.#naming.rename(kind, name, to)).record));
  }

  set(...[name, settings]: Parameters<Resources['set']>): Promise<Resource> {
    return this.#change('set', async () => {
      if (settings.description !== undefined) checkDescription(settings.description);
      return this.#view((await this.#naming.set(name, settings)).record);
    });
  }

  changes(from: string, to: string, offset = 0): Promise<Difference> {
    return this.#verbs.run('diff', () => this.#differences.ranges(from, to, offset));
  }

  diffStream(from: string, to: string): Promise<AsyncIterable<Uint8Array>> {
    return this.#verbs.run('diff', () => this.#differences.stream(from, to));
  }

  applyStream(...[name, bytes, options]: Parameters<Resources['applyStream']>): Promise<Resource> {
    return this.#change('apply', async () => this.#view((await this.#differences.apply(name, bytes, options)).record));
  }

  get(kind: ResourceKind, name: string): Promise<Resource> {
    return this.#verbs.run('get', async () => this.#view((await findReady(this.#ledger, kind, name)).record));
  }

  list(
    kind: ResourceKind,
    { volume, after, matching, resourcesMax = Number.POSITIVE_INFINITY }: Page = {},
  ): Promise<readonly Resource[]> {
    return this.#verbs.run('list', async () => {
      if (volume !== undefined) {
        if (kind !== 'snapshot') throw new SkerryError('invalid', 'only snapshots are listed by volume');
        await findReady(this.#ledger, 'volume', volume);
      }
      const found: Resource[] = [];
      let last = after;
      for (;;) {
        const left = resourcesMax - found.length;
        if (left <= 0) return found;
        const entriesMax = matching === undefined ? Math.min(left, entries_per_turn_max) : entries_per_turn_max;
        const entries = await this.#ledger.list(kind, volume === undefined ? '' : `${volume}@`, {
          entriesMax,
          ...(last === undefined ? {} : { after: last }),
        });
        for (const { record } of entries) {
          const wanted = record.state === 'ready' && (matching === undefined || matching(record.labels));
          if (wanted && found.length < resourcesMax) found.push(this.#view(record));
        }
        if (entries.length < entriesMax) return found;
        last = entries.at(-1)?.record.name;
        // A long list lets others have their turn.
        await setImmediate();
      }
    });
  }

  total(kind: ResourceKind, pool?: string): { readonly count: number; readonly sizeBytes: number } {
    return this.#ledger.total(kind, pool);
  }

  remove(kind: ResourceKind, name: string): Promise<void> {
    return this.#change('remove', () =>
      this.#locks.run([nameLock(name)], async () => {
        const { id } = (await findServed(this.#ledger, kind, name)).record;
        const attached = this.#options.engine.attached(id);
        if (attached > 0) {
          throw new SkerryError(
            'conflict',
            `${kind} ${name} is attached (${attached} ${attached === 1 ? 'connection' : 'connections'}): detach it first`,
          );
        }
        if (this.#transfers.uses(id))
          throw new SkerryError('conflict', `${kind} ${name} is being exported: wait, or cancel that`);
        if (kind === 'volume') await this.#refuseWithSnapshots(name);
        // A commit of the volume may change the record at the same time; update() looks again then. The name is durably gone
        // with it, which is what was asked for: upkeep removes the rest.
        await this.removal.giveUpName(id);
        this.#options.onUpkeep?.();
      }),
    );
  }

  importImage(order: ImportOrder): Promise<TransferState> {
    return this.#change('import', () => this.#transfers.importImage(order));
  }

  exportResource(order: ExportOrder): Promise<TransferState> {
    return this.#verbs.run('export', () => this.#transfers.exportResource(order));
  }

  receiveContent(transfer: number, content: Readable): Promise<TransferState> {
    return this.#transfers.receive(transfer, content);
  }

  sendContent(transfer: number): Readable {
    return this.#transfers.send(transfer);
  }

  /** Half written exports of a daemon that was killed. Once, before the first verb. */
  removeLeftFiles(): Promise<void> {
    return this.#transfers.removeLeft();
  }

  transfer(id: number): TransferState {
    return this.#transfers.state(id);
  }

  cancelTransfer(id: number): void {
    this.#transfers.cancel(id);
  }

  /** Ends what clients send and take: nobody waits for them when the daemon is to end. */
  cancelStreams(): void {
    this.#transfers.cancelStreams();
  }

  /** Refuses new verbs, cancels transfers, and waits a short while for what is under way. */
  async stop(): Promise<void> {
    await this.#verbs.stop(stop_milliseconds_max);
    await this.#transfers.stop(stop_milliseconds_max);
  }

  /** A verb that promises something durable: refused at once where the engine can no longer keep such promises. */
  #change<T>(verb: string, work: () => Promise<T>): Promise<T> {
    return this.#verbs.run(verb, async () => {
      const failure = this.#options.engine.failure();
      if (failure !== '') throw new SkerryError('io', failure);
      return work();
    });
  }

  /**
   * A volume whose content is known. Its root chunk is noted as due in the same transaction, and put by upkeep at once: no
   * backend is waited for (docs/decisions/0016-root-chunks-may-be-due.md).
   */
  async #makeWithRoot(record: ResourceRecord): Promise<Resource> {
    return this.#guarded([record.id], record.pool, async () => {
      await insertResource(this.#options, record, { rootDue: true });
      await this.#logged.begin(record);
      this.#options.onUpkeep?.();
      return this.#view(record);
    });
  }

  /** A volume whose content is still to come: its root chunk comes with its root, for an earlier one would tell a lie. */
  async #makePending(record: ResourceRecord, anchor?: ResourceRecord): Promise<ResourceRecord> {
    await insertResource(this.#options, record, anchor === undefined ? {} : { anchor });
    return record;
  }

  /** The volume goes on changing, so the clone is of a snapshot without a name, its anchor, which goes when the root is there. */
  async #cloneVolume(from: LedgerEntry, basis: Omit<NewRecord, 'id' | 'createdAt'>): Promise<Resource> {
    const anchorId = await this.#ids.next();
    const id = await this.#ids.next();
    return this.#guarded([id, anchorId], from.record.pool, async () => {
      const made = await this.#locks.run([idLock(anchorId)], async () => {
        const { sizeBytes } = await this.#options.engine.snapshot(from.record.id, anchorId);
        const anchor = this.#newRecord({
          ...basis,
          id: anchorId,
          kind: 'snapshot',
          name: '',
          sizeBytes,
          fence: 0,
          pendingOf: from.record.id,
          log: null,
        });
        return this.#makePending(this.#newRecord({ ...basis, id, sizeBytes, pendingOf: anchorId }), anchor);
      });
      return this.#view(await this.#logged.begin(made));
    });
  }

  /** Runs a creation; where it fails, what it left of `ids` is undone. Holds no id lock itself. */
  async #guarded<T>(ids: readonly number[], pool: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      for (const id of ids) await this.#abandon(id, pool);
      throw error;
    }
  }

  async #abandon(id: number, pool: string): Promise<void> {
    try {
      await this.removal.abandon(id, pool);
    } catch (error) {
      this.#logLeftover(id, error);
    }
    this.#options.onUpkeep?.();
  }

  #logLeftover(id: number, error: unknown): void {
    if (isSkerryError(error, 'try-again')) return;
    this.#options.log('warn', 'what was deleted is not all gone yet, upkeep goes on with it', {
      resource: id,
      error: String(error),
    });
  }

  async #refuseWithSnapshots(volume: string): Promise<void> {
    const found = await this.#ledger.list('snapshot', `${volume}@`, { entriesMax: conflicts_named_max + 1 });
    if (found.length === 0) return;
    const names = found.slice(0, conflicts_named_max).map(({ record }) => record.name);
    const more = found.length > conflicts_named_max ? ' and more' : '';
    throw new SkerryError('conflict', `volume ${volume} has snapshots (${names.join(', ')}${more}): delete them first`);
  }

  #newRecord(basis: Omit<NewRecord, 'createdAt'>): ResourceRecord {
    return newRecord({ createdAt: this.#now(), ...basis });
  }

  #view(record: ResourceRecord): Resource {
    return viewOf(record, this.#options.engine, this.#ledger.unreadLogs);
  }
}
