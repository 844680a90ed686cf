/**
 * Volumes made of bytes that lie elsewhere in their pool: in shelves, as objects. Whole blocks are taken over by their names
 * (docs/decisions/0061-trees-are-spliced.md), and only what is less than a block is copied.
 *
 * Its name is taken at once, and nobody else sees the volume before all of it is there; what a crash leaves of it has no name
 * after the next start, and is removed.
 */
import type { Catalog } from '../catalog/catalog.js';
import { emptyRoot, type ResourceRecord, type RootRecord } from '../catalog/records.js';
import { compresses, volumeCompressionText } from '../core/compression.js';
import { isSkerryError, SkerryError } from '../core/errors.js';
import { block_bytes, page_bytes } from '../core/limits.js';
import { checkDescription, checkLabels, checkVolumeName } from '../core/names.js';
import { checkVolumeBytes } from '../core/sizes.js';
import type { NativeEngine, SplicePart } from '../engine/binding.js';
import { IdAllocator } from './id_allocator.js';
import type { Ledger } from './ledger.js';
import { nameLock, type KeyedLocks } from './locks.js';
import { insertResource, newRecord } from './new_resource.js';
import type { PoolUsers } from './pool_verbs.js';
import type { Removal } from './removal.js';
import { rootRecord, rootSpec } from './resource_spec.js';
import { viewOf } from './resource_view.js';
import type { Resource, Resources } from './resources.js';
import { whenThereIsRoom } from './room.js';
import { refuseTaken } from './sources.js';
import { splicePlan, type SplicePlan, type Stretch } from './splice_plan.js';
import { LoggedVolumes } from './volume_log.js';

/** Between two roots of a shelf that is written to all the time the one that was read may be gone. */
const splice_attempts_max = 16;
const piece_bytes = 1 << 20;
/** Copies have the numbers of volumes, and those of replications 2^52 above. */
const number_first = 2 ** 51;

export interface Assembly {
  /** Pool of all of them. */
  readonly pool: string;
  /** Nothing of them may go, or be written to, before the assembly has ended. */
  readonly stretches: Iterable<Stretch>;
  /** Bytes of them, counted from the begin of the first. */
  read(offset: number, length: number): AsyncIterable<Uint8Array>;
  /** What it says that it was made of. */
  readonly parentName: string;
}

export type VolumeOptions = NonNullable<Parameters<Resources['clone']>[2]>;

type Facts = Pick<ResourceRecord, 'id' | 'name' | 'state'> & Partial<ResourceRecord>;

export interface AssembliesOptions {
  readonly catalog: Catalog;
  readonly ledger: Ledger;
  readonly locks: KeyedLocks;
  readonly engine: Pick<
    NativeEngine,
    'add' | 'carry' | 'destage' | 'write' | 'flush' | 'volumeLog' | 'sizeBytes' | 'attached' | 'failure'
  >;
  readonly pools: PoolUsers;
  readonly removal: Removal;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
  /** Something without a name may be ready to go, or a root chunk is due: upkeep looks. */
  readonly onUpkeep?: () => void;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export class Assemblies {
  readonly #options: AssembliesOptions;
  readonly #ids: IdAllocator;
  readonly #logged: LoggedVolumes;

  constructor(options: AssembliesOptions) {
    this.#options = options;
    this.#ids = new IdAllocator(options.catalog);
    this.#logged = new LoggedVolumes({ ...options, roots: options.pools });
  }

  /** @throws SkerryError invalid, exists; of catalog and engine, and then nothing of it is left */
  async volume(name: string, assembly: Assembly, options: VolumeOptions = {}): Promise<Resource> {
    const { ledger, locks, pools, engine } = this.#options;
    checkVolumeName(name);
    const description = checkDescription(options.description ?? '');
    const labels = checkLabels(options.labels ?? {});
    const compression = volumeCompressionText(options.compression ?? 'inherit');
    const { cache = 'writeback', durability = 'local' } = options;
    const failure = engine.failure();
    if (failure !== '') throw new SkerryError('io', failure);
    return pools.using(assembly.pool, () =>
      locks.run([nameLock(name)], async () => {
        await refuseTaken(ledger, 'volume', name);
        if (compresses(compression)) await pools.allowFrames(assembly.pool);
        const log = await this.#logged.logOf(durability, assembly.pool);
        const id = await this.#ids.next();
        const facts = { id, name, state: 'importing', description, labels, compression, cache, durability, log } as const;
        return this.#orNothing(facts, assembly, async () => {
          const made = await this.#logged.named({ id, log, pool: assembly.pool }, async () => {
            const ready = await ledger.update(id, (now) => (now.state === 'importing' ? { ...now, state: 'ready' } : null));
            if (ready === null) throw new SkerryError('internal', `the record of volume ${name} is gone while it was made`);
            return ready;
          });
          return viewOf(made, engine, ledger.unreadLogs);
        });
      }),
    );
  }

  /** Runs `work` with a volume that nobody else ever sees; it is gone afterwards. */
  async during<T>(assembly: Assembly, work: (volume: number) => Promise<T>): Promise<T> {
    const { pools, removal } = this.#options;
    return pools.using(assembly.pool, async () => {
      const id = await this.#ids.next();
      const release = removal.hold(id);
      const facts = { id, name: '', state: 'deleting' } as const;
      try {
        return await this.#orNothing(facts, assembly, () => work(id));
      } finally {
        release();
        await this.#abandon(id, assembly.pool);
      }
    });
  }

  async #orNothing<T>(facts: Facts, assembly: Assembly, work: () => Promise<T>): Promise<T> {
    try {
      await this.#make(facts, assembly);
      return await work();
    } catch (error) {
      if (facts.name !== '') await this.#abandon(facts.id, assembly.pool);
      throw error;
    }
  }

  async #make(facts: Facts, assembly: Assembly): Promise<void> {
    const { engine, onUpkeep, now = Date.now } = this.#options;
    const { pool, parentName } = assembly;
    const plan = splicePlan(assembly.stretches);
    const sizeBytes = checkVolumeBytes(Math.ceil(plan.bytes / page_bytes) * page_bytes);
    const number = number_first + facts.id;
    try {
      const root = await this.#spliced(number, plan, pool, sizeBytes);
      const record = newRecord({ kind: 'volume', pool, sizeBytes, createdAt: now(), parentName, root, ...facts });
      await insertResource(this.#options, record, { rootDue: facts.name !== '' });
      await this.#logged.beginLog(record);
    } finally {
      // From here on the volume holds its tree by itself.
      await engine.carry('release', number).catch(() => undefined);
    }
    onUpkeep?.();
    await this.#copy(facts.id, plan, assembly);
  }

  /** The tree of whole blocks. It is held under `number` until that is released. */
  async #spliced(number: number, plan: SplicePlan, pool: string, sizeBytes: number): Promise<RootRecord> {
    const { engine } = this.#options;
    for (const resource of new Set(plan.named.map((one) => one.resource))) await engine.destage(resource);
    for (let attempt = 1; ; attempt += 1) {
      const parts = await this.#parts(plan, pool);
      if (parts.length === 0) return emptyRoot;
      try {
        const { point } = await engine.carry('splice', number, { pool, blocks: Math.ceil(sizeBytes / block_bytes), parts });
        return point === null ? emptyRoot : rootRecord(point.root);
      } catch (error) {
        // A root that was replaced since it was read: what replaced it holds the same blocks here.
        if (!isSkerryError(error, 'not-found') || attempt === splice_attempts_max) throw error;
      }
    }
  }

  async #parts(plan: SplicePlan, pool: string): Promise<readonly SplicePart[]> {
    const roots = new Map<number, RootRecord>();
    for (const resource of new Set(plan.named.map((one) => one.resource))) {
      const record = (await this.#options.ledger.get(resource))?.record;
      if (record === undefined || record.pool !== pool || record.pendingOf !== 0)
        throw new SkerryError('try-again', `resource ${resource} is not in pool ${pool}, or not yet as a whole`);
      if (record.root.id.length > 0) roots.set(resource, record.root);
    }
    return plan.named.flatMap(({ resource, ...blocks }) => {
      const root = roots.get(resource);
      return root === undefined ? [] : [{ from: rootSpec(root), ...blocks }];
    });
  }

  async #copy(id: number, plan: SplicePlan, assembly: Assembly): Promise<void> {
    const { engine } = this.#options;
    if (plan.copied.length === 0) return;
    for (const { offset, bytes } of plan.copied) {
      let at = offset;
      for await (const piece of wholePages(assembly.read(offset, bytes))) {
        const from = at;
        // What was never written reads as zeroes.
        if (piece.some((byte) => byte !== 0)) await whenThereIsRoom(() => engine.write(id, from, piece));
        at += piece.length;
      }
    }
    await engine.flush(id);
  }

  async #abandon(id: number, pool: string): Promise<void> {
    try {
      await this.#options.removal.abandon(id, pool);
    } catch (error) {
      this.#options.log('warn', 'what was left of making a volume is not all gone yet, upkeep goes on with it', {
        resource: id,
        error: String(error),
      });
    }
    this.#options.onUpkeep?.();
  }
}

/** The last one is filled with zeroes. Each is used until the next is asked for. */
async function* wholePages(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const piece = Buffer.alloc(piece_bytes);
  let filled = 0;
  for await (const chunk of content) {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + piece.length - filled);
      piece.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled < piece.length) continue;
      yield piece;
      filled = 0;
    }
  }
  if (filled === 0) return;
  const end = Math.ceil(filled / page_bytes) * page_bytes;
  yield piece.fill(0, filled, end).subarray(0, end);
}
