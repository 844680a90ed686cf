/**
 * The object layer, put together: buckets, objects, versions, uploads, with no wire protocol.
 */
import { setImmediate } from 'node:timers/promises';

import type { Catalog } from '../catalog/catalog.js';
import { extentsPrefix, objectCounterKey } from '../catalog/object_keys.js';
import type { MakeSums } from '../engine/body_sums.js';
import { IdAllocator } from '../mapper/id_allocator.js';
import type { FrozenShelves } from '../mapper/frozen_shelves.js';
import type { Shelves } from '../mapper/shelves.js';
import { BodyHolds } from './body_holds.js';
import { Buckets } from './buckets.js';
import { Copies } from './copies.js';
import { EarlyDestage } from './early_destage.js';
import { EngineBodies, type BlockDomain } from './engine_bodies.js';
import { Extents } from './extents.js';
import type { LifecycleRule } from './lifecycle.js';
import { LifecycleRun, type LifecycleReport } from './lifecycle_run.js';
import { Listing } from './listing.js';
import { noMeter, type Meter } from './meter.js';
import { Notices, type NoticesSettings } from './notices.js';
import { Objects } from './objects.js';
import { PartCopies } from './part_copies.js';
import { FirstFailure } from './first_failure.js';
import { KnownBodies, type DomainKeys } from './known_bodies.js';
import { findOldRegions, recoverRegion, type OldRegion } from './region_recovery.js';
import { PublishedObjects } from './published_objects.js';
import { Releases } from './releases.js';
import { ShelfSpace, type ShelfSpaceOptions } from './shelf_space.js';
import { ShelfWriter, type ShelfEngine } from './shelf_writer.js';
import { sumsHere } from './sums.js';
import { Uploads } from './uploads.js';
import { Versions } from './versions.js';

export interface ObjectLayerOptions {
  readonly catalog: Catalog;
  readonly engine: ShelfEngine;
  readonly shelves: Pick<Shelves, 'make'>;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
  /** Shelves that hold one resource each: those that nothing is in any more go. */
  readonly frozen?: Pick<FrozenShelves, 'removeUnused'>;
  readonly meter?: Meter;
  /** Who hears of changes of objects; absent: nobody. */
  readonly notices?: (buckets: Buckets) => NoticesSettings;
  /** Resolves once all that the shelf was given so far is in its root. Absent: that comes when the engine thinks it is time. */
  readonly destage?: (shelf: number) => Promise<void>;
  /** Room that objects took is given back: there is something to collect. */
  readonly onTrim?: () => void;
  /** Absent: no small body is known when it comes again. */
  readonly domainKeys?: DomainKeys;
  /** Absent: whoever stores, blocks are shared within the pool. */
  readonly blockDomain?: BlockDomain;
  /** Of large bodies; else in this thread. */
  readonly sums?: MakeSums;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** For tests; else that of S3, in bytes. */
  readonly partBytesMin?: number;
  /** For tests; else that of EarlyDestage. */
  readonly destageStepBytes?: number;
  readonly space?: Pick<ShelfSpaceOptions, 'shelfBytesMax' | 'regionGrains'>;
}

const nobodyHears: NoticesSettings = { receivers: [], subscriptions: async () => [], onDropped: () => undefined };

export class ObjectLayer {
  readonly buckets: Buckets;
  readonly objects: Objects;
  readonly copies: Copies;
  readonly listing: Listing;
  readonly uploads: Uploads;
  readonly partCopies: PartCopies;
  readonly published: PublishedObjects;
  readonly notices: Notices;
  readonly #options: ObjectLayerOptions;
  readonly #space: ShelfSpace;
  readonly #writer: ShelfWriter;
  readonly #early: EarlyDestage;
  readonly #releases: Releases;
  readonly #now: () => number;
  #oldRegions: readonly OldRegion[];

  private constructor(options: ObjectLayerOptions, oldRegions: readonly OldRegion[]) {
    const { catalog, engine, meter = noMeter, sums = sumsHere, now = Date.now } = options;
    this.#options = options;
    this.#oldRegions = oldRegions;
    this.#now = now;
    this.#writer = new ShelfWriter(engine, options.onTrim);
    this.#space = new ShelfSpace({ ...options, ...options.space });
    const { destage = async () => undefined, destageStepBytes: stepBytes } = options;
    this.#early = new EarlyDestage({ destage, ...(stepBytes === undefined ? {} : { stepBytes }) });
    const ids = new IdAllocator(catalog, objectCounterKey);
    const holds = new BodyHolds();
    const extents = new Extents({ catalog, writer: this.#writer });
    const early = this.#early;
    const onWritten = (shelf: number, bytes: number): void => early.note(shelf, bytes);
    const { blockDomain, log } = options;
    const bodies = new EngineBodies({ engine, blockDomain, writer: this.#writer, space: this.#space, onWritten, log });
    const known = new KnownBodies({ catalog, bodies, extents, domainKeys: options.domainKeys });
    this.buckets = new Buckets({ catalog, ids, meter, now });
    const settings = options.notices?.(this.buckets) ?? nobodyHears;
    this.notices = new Notices({ ...settings, catalog, ids, now });
    const { notices } = this;
    const versions = new Versions({ catalog, buckets: this.buckets, ids, meter, notices });
    const shared = { catalog, buckets: this.buckets, versions, bodies, known, early, extents, holds, meter, sums, ids, now };
    this.objects = new Objects(shared);
    this.copies = new Copies({ ...shared, objects: this.objects });
    this.listing = new Listing(shared);
    const { partBytesMin } = options;
    this.uploads = new Uploads({ ...shared, objects: this.objects, ...(partBytesMin === undefined ? {} : { partBytesMin }) });
    this.partCopies = new PartCopies({ ...shared, objects: this.objects, uploads: this.uploads });
    const keeping = new Versions({ catalog, buckets: this.buckets, ids, meter, notices, keeper: true });
    this.published = new PublishedObjects({ ...shared, objects: this.objects, versions: keeping });
    this.#releases = new Releases({ catalog, extents, holds });
  }

  /** Once for each life of the daemon, when the engine is started. Deletions of buckets that a crash interrupted are decided. */
  static async open(options: ObjectLayerOptions): Promise<ObjectLayer> {
    const layer = new ObjectLayer(options, await findOldRegions(options.catalog));
    await layer.buckets.finishDeletions();
    await layer.notices.open();
    return layer;
  }

  /**
   * For upkeep, again and again and never twice at a time: takes back what was left by earlier lives, and what was removed
   * since. @returns how many removed bodies are left because somebody reads them
   * @throws SkerryError of catalog or engine, when all else is done: what is not done is done by the next run
   */
  async takeBack(stop?: AbortSignal): Promise<number> {
    const failures = new FirstFailure();
    for (const region of this.#oldRegions) {
      const recovered = await failures.of(() => recoverRegion(this.#options.catalog, this.#writer, region, stop));
      if (stop?.aborted === true) return 0;
      if (recovered) this.#oldRegions = this.#oldRegions.filter((one) => one !== region);
    }
    const left = await this.#releases.run(failures, stop);
    await failures.of(async () => this.#options.frozen?.removeUnused((shelf) => this.#isUsed(shelf), stop));
    failures.throwIfAny();
    return left;
  }

  /** For upkeep, once a day or so. `owner`: of delete markers that come of it. */
  runLifecycle(bucket: string, owner: number, rules: readonly LifecycleRule[], stop?: AbortSignal): Promise<LifecycleReport> {
    const rest = (): Promise<void> => setImmediate();
    const { listing, objects, uploads } = this;
    return new LifecycleRun({ listing, objects, uploads, now: this.#now, rest }).run(bucket, owner, rules, stop);
  }

  async #isUsed(shelf: number): Promise<boolean> {
    return (await this.#options.catalog.range(extentsPrefix(shelf), { entriesMax: 1 })).length > 0;
  }

  /** When nothing is asked of it any more. */
  async stop(): Promise<void> {
    this.#early.stop();
    await this.#space.stop();
  }
}
