/**
 * Buckets that show resources as objects: the snapshots of a volume, or the images of a pool. Nothing is copied, and nobody puts
 * anything there: whenever resources come or go, what is in the bucket is made to be what they are. That can be done at any time
 * and again, so that a crash in between leaves nothing that the next start does not mend.
 */
import type { Catalog } from '../catalog/catalog.js';
import {
  decodePublication,
  encodePublication,
  publicationKey,
  publicationPrefix,
  type PublicationRecord,
} from '../catalog/publication_record.js';
import type { ResourceRecord } from '../catalog/records.js';
import { isSkerryError, SkerryError } from '../core/errors.js';
import type { FrozenShelves } from '../mapper/frozen_shelves.js';
import type { Ledger } from '../mapper/ledger.js';
import { KeyedLocks } from '../mapper/locks.js';
import { rootIdText } from '../mapper/resource_spec.js';
import { findReady, readyOrNull } from '../mapper/sources.js';
import type { Buckets } from './buckets.js';
import { DueWork } from './due_work.js';
import type { Listing } from './listing.js';
import { unreadEtag, type PublishedObjects } from './published_objects.js';

/** Says of an object which resource it shows: one that took the name of another is another object. */
const resource_metadata = 'skerry-resource';
const resources_per_read_max = 256;

export interface PublicationOrder {
  readonly account: number;
  /** Its snapshots are shown; absent: images are. */
  readonly volume?: string;
  /** Absent: `volume-NAME`, or `images`. */
  readonly bucket?: string;
  /** Of images; absent: the default one. */
  readonly pool?: string;
}

export interface PublicationView extends PublicationRecord {
  /** Its name now; null where images are shown, or where the volume is gone. */
  readonly volumeName: string | null;
}

export interface PublicationsOptions {
  readonly catalog: Catalog;
  readonly ledger: Ledger;
  readonly frozen: FrozenShelves;
  readonly buckets: Buckets;
  readonly listing: Listing;
  readonly published: PublishedObjects;
  readonly defaultPool: string;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
}

export class Publications {
  readonly #options: PublicationsOptions;
  /** One thing at a time is done to each bucket. */
  readonly #turns = new KeyedLocks();
  /** By bucket; what the catalog has. */
  readonly #records = new Map<string, PublicationRecord>();
  /** Buckets that something changed for since they were last looked at. */
  readonly #due: DueWork;

  constructor(options: PublicationsOptions) {
    this.#options = options;
    this.#due = new DueWork({
      work: (bucket) => this.#follow(bucket),
      onFailure: (bucket, { code, message }) =>
        options.log('warn', 'a bucket does not show its resources as they are now; it is tried again', {
          bucket,
          code,
          error: message,
        }),
    });
  }

  /** From here on buckets follow their resources. @throws SkerryError of the catalog */
  async start(): Promise<void> {
    const { catalog, ledger } = this.#options;
    for (const { value } of await catalog.range(publicationPrefix)) {
      const record = decodePublication(value);
      this.#records.set(record.bucket, record);
      this.#due.add(record.bucket);
    }
    ledger.observe((changed) => this.#note(changed));
  }

  /** Resolves when nothing is under way any more. */
  stop(): Promise<void> {
    return this.#due.stop();
  }

  /** The bucket is there when it resolves, and what it shows soon after. @throws SkerryError not-found, exists, invalid */
  async create(order: PublicationOrder): Promise<PublicationView> {
    const { ledger, defaultPool } = this.#options;
    const volume = order.volume === undefined ? null : (await findReady(ledger, 'volume', order.volume)).record;
    const bucket = order.bucket ?? (volume === null ? 'images' : `volume-${volume.name}`);
    const pool = volume?.pool ?? order.pool ?? defaultPool;
    const record = { bucket, account: order.account, pool, volume: volume?.id ?? 0, ending: false };
    await this.#turns.run([bucket], async () => {
      await this.#refuseTaken(bucket);
      await this.#write(bucket, record);
      try {
        await this.#makeBucket(record);
      } catch (error) {
        await this.#write(bucket, null);
        throw error;
      }
    });
    await this.#follow(bucket);
    return this.#view(record);
  }

  async list(): Promise<readonly PublicationView[]> {
    const records = [...this.#records.values()].toSorted((a, b) => (a.bucket < b.bucket ? -1 : 1));
    return Promise.all(records.map((record) => this.#view(record)));
  }

  /** The bucket is gone when it resolves; copies of what was in it stay. @throws SkerryError not-found */
  async remove(bucket: string): Promise<void> {
    const record = this.#records.get(bucket);
    if (record === undefined) throw new SkerryError('not-found', `nothing is published in a bucket ${bucket}`);
    await this.#turns.run([bucket], () => this.#write(bucket, { ...record, ending: true }));
    await this.#follow(bucket);
  }

  async #refuseTaken(bucket: string): Promise<void> {
    if (this.#records.has(bucket)) throw new SkerryError('exists', `something is published in bucket ${bucket} already`);
    try {
      await this.#options.buckets.get(bucket);
    } catch (error) {
      if (isSkerryError(error, 'not-found')) return;
      throw error;
    }
    throw new SkerryError('exists', `there is a bucket ${bucket} already: name another one with --bucket`);
  }

  async #write(bucket: string, record: PublicationRecord | null): Promise<void> {
    const value = record === null ? null : encodePublication(record);
    await this.#options.catalog.transact([], [{ key: publicationKey(bucket), value }]);
    if (record === null) this.#records.delete(bucket);
    else this.#records.set(bucket, record);
  }

  async #makeBucket({ bucket: name, account, pool }: PublicationRecord): Promise<void> {
    await this.#options.buckets.create({ name, account, pool, readOnly: true });
  }

  #note({ kind, id, name, parentId, pool: now }: ResourceRecord): void {
    for (const { bucket, volume, pool } of this.#records.values()) {
      const leaves = id === volume && (name === '' || now !== pool);
      const concerns = volume === 0 ? kind === 'image' : (kind === 'snapshot' && parentId === volume) || leaves;
      if (concerns) this.#due.add(bucket);
    }
  }

  /** Makes what is in the bucket what it shows. */
  #follow(bucket: string): Promise<void> {
    return this.#turns.run([bucket], async () => {
      const known = this.#records.get(bucket);
      if (known === undefined) return;
      const volume = known.volume === 0 ? null : await this.#volumeOf(known);
      const record = volume === null || volume.pool === known.pool ? known : await this.#toPool(known, volume.pool);
      const ends = record.ending || (record.volume !== 0 && volume === null);
      const begin = record.volume === 0 ? '' : `${volume?.name ?? ''}@`;
      if (!(await this.#hasBucket(record))) {
        if (ends) return this.#write(bucket, null);
        // A crash came before it was made.
        await this.#makeBucket(record);
      }
      await this.#takeAway(record, ends ? null : begin);
      if (!ends) return this.#bring(record, begin);
      await this.#options.buckets.remove(bucket, true);
      await this.#write(bucket, null);
    });
  }

  /** The volume was moved: what showed its snapshots lies in the pool that it left, and must not hold any of that. */
  async #toPool(known: PublicationRecord, pool: string): Promise<PublicationRecord> {
    const { bucket } = known;
    const record = { ...known, pool };
    if (await this.#hasBucket(known)) {
      await this.#takeAway(known, null);
      await this.#options.buckets.setPool(bucket, pool);
    }
    await this.#write(bucket, record);
    return record;
  }

  async #volumeOf({ volume }: PublicationRecord): Promise<ResourceRecord | null> {
    const entry = readyOrNull(await this.#options.ledger.get(volume));
    return entry === null || entry.record.name === '' ? null : entry.record;
  }

  async #hasBucket({ bucket }: PublicationRecord): Promise<boolean> {
    try {
      await this.#options.buckets.get(bucket);
      return true;
    } catch (error) {
      if (isSkerryError(error, 'not-found')) return false;
      throw error;
    }
  }

  /** What shows nothing that is there. `begin`: of the names of what is shown; null: all of it goes. */
  async #takeAway(record: PublicationRecord, begin: string | null): Promise<void> {
    const { listing, published } = this.#options;
    const { bucket } = record;
    for (let token: string | null = ''; token !== null; ) {
      const page = await listing.objects({ bucket, ...(token === '' ? {} : { token }) });
      for (const entry of page.entries) {
        if (entry.entry !== 'item') continue;
        const { key, attributes } = entry.item;
        const shown = begin === null ? null : await this.#find(record, `${begin}${key}`);
        if (shown === null || attributes.metadata[resource_metadata] !== String(shown.id))
          await published.remove({ bucket, key });
      }
      token = page.token;
    }
  }

  async #find({ volume, pool }: PublicationRecord, name: string): Promise<ResourceRecord | null> {
    const found = readyOrNull(await this.#options.ledger.find(volume === 0 ? 'image' : 'snapshot', name));
    return found === null || found.record.pool !== pool ? null : found.record;
  }

  async #bring(record: PublicationRecord, begin: string): Promise<void> {
    const { ledger } = this.#options;
    const kind = record.volume === 0 ? 'image' : 'snapshot';
    for (let after: string | undefined; ; ) {
      const page = await ledger.list(kind, begin, {
        entriesMax: resources_per_read_max,
        ...(after === undefined ? {} : { after }),
      });
      for (const { record: resource } of page) {
        if (this.#due.stopped) return;
        if (resource.state === 'ready' && resource.pool === record.pool) await this.#show(record, kind, resource, begin);
      }
      after = page.at(-1)?.record.name;
      if (page.length < resources_per_read_max) return;
    }
  }

  async #show(
    { bucket, account }: PublicationRecord,
    kind: 'image' | 'snapshot',
    { id, name, createdAt }: ResourceRecord,
    begin: string,
  ): Promise<void> {
    const { published, frozen } = this.#options;
    const key = name.slice(begin.length);
    if (await published.has({ bucket, key })) return;
    await frozen.during(kind, name, async (shelf) => {
      const bytes = shelf.sizeBytes;
      const etag = unreadEtag(rootIdText(shelf.root), bytes);
      const metadata = { [resource_metadata]: String(id) };
      const headers = { 'content-type': 'application/octet-stream' };
      const attributes = { owner: account, metadata, headers };
      await published.put({ bucket, key, shelf: shelf.id, bytes, etag, modifiedAt: createdAt, attributes });
    });
  }

  async #view(record: PublicationRecord): Promise<PublicationView> {
    return { ...record, volumeName: record.volume === 0 ? null : ((await this.#volumeOf(record))?.name ?? null) };
  }
}
