/** Buckets: whose they are, where their bodies lie, and documents about them that the object layer keeps and does not read. */
import type { Catalog, CatalogEntry, Compare } from '../catalog/catalog.js';
import {
  accountBucketKey,
  accountBucketsPrefix,
  bucketDocumentKey,
  bucketDocumentsPrefix,
  bucketKey,
  bucketPrefix,
  objectsPrefix,
  uploadsPrefix,
} from '../catalog/object_keys.js';
import {
  decodeBucket,
  encodeBucket,
  type BucketRecord,
  type DefaultRetention,
  type Versioning,
} from '../catalog/object_records.js';
import { isSkerryError, SkerryError } from '../core/errors.js';
import type { IdAllocator } from '../mapper/id_allocator.js';
import { counted, type Counting, type Meter } from './meter.js';

const update_attempts_max = 16;
const buckets_per_page_max = 1000;
/** A lifecycle of a thousand rules fits. */
const document_bytes_max = 512 * 1024;
const document_kind = /^[a-z][a-z-]{0,31}$/;
/** As S3 names them; what else it forbids (addresses, double dots) its own layer refuses. */
const bucket_name = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

export interface BucketEntry {
  readonly record: BucketRecord;
  readonly revision: number;
}

export interface NewBucket {
  readonly name: string;
  readonly account: number;
  readonly pool: string;
  readonly location?: string;
  readonly objectLock?: boolean;
  /** Only what shows resources as objects changes what is in it. */
  readonly readOnly?: true;
  /** Of the account, which must stay as it was read. */
  readonly compares?: readonly Compare[];
  /** By their kinds: there with the bucket, or not at all. */
  readonly documents?: ReadonlyMap<string, Uint8Array>;
}

export interface BucketSettings {
  readonly versioning?: Exclude<Versioning, 'never'>;
  /** Only from false to true. */
  readonly objectLock?: true;
  readonly defaultRetention?: DefaultRetention | null;
}

export interface BucketsOptions {
  readonly catalog: Catalog;
  readonly ids: IdAllocator;
  readonly meter: Meter;
  readonly now: () => number;
}

export class Buckets {
  readonly #options: BucketsOptions;
  /** What an entry was decoded as: the catalog gives the same one until it changes. */
  readonly #decoded = new WeakMap<CatalogEntry, BucketEntry>();

  constructor(options: BucketsOptions) {
    this.#options = options;
  }

  /** @throws SkerryError exists (bucket-already-exists, or bucket-already-owned-by-you), invalid (invalid-bucket-name) */
  async create(order: NewBucket): Promise<BucketRecord> {
    const { name, account, pool, location = '', objectLock = false, compares = [], documents = new Map() } = order;
    checkBucketName(name);
    const { catalog, ids, now } = this.#options;
    const id = await ids.next();
    const versioning = objectLock ? 'enabled' : 'never';
    const record: BucketRecord = {
      id,
      name,
      account,
      pool,
      location,
      createdAt: now(),
      versioning,
      objectLock,
      defaultRetention: null,
      deleting: false,
      ...(order.readOnly === true ? { readOnly: true } : {}),
    };
    const outcome = await catalog.transact(
      [{ key: bucketKey(name), revision: 0 }, ...compares],
      [
        { key: bucketKey(name), value: encodeBucket(record) },
        { key: accountBucketKey(account, name), value: new Uint8Array(0) },
        ...[...documents].map(([kind, value]) => ({ key: bucketDocumentKey(id, checkKind(kind)), value: checkDocument(value) })),
      ],
    );
    if (outcome.outcome === 'committed') return record;
    const taken = await this.#find(name);
    if (taken === null) throw new SkerryError('try-again', `the account of bucket ${name} changed meanwhile`);
    throw new SkerryError('exists', `there is a bucket ${name} already`, {
      reason: taken.record.account === account ? 'bucket-already-owned-by-you' : 'bucket-already-exists',
    });
  }

  /** @throws SkerryError not-found (no-such-bucket) */
  async get(name: string): Promise<BucketEntry> {
    const entry = this.#kept(name) ?? (await this.#find(name));
    if (entry === null || entry.record.deleting) throw noSuchBucket(name);
    return entry;
  }

  /** Of one account, by name; `next` is what the next page comes after, null where this was the last. */
  async list(account: number, options: { readonly after?: string; readonly bucketsMax?: number } = {}) {
    const prefix = accountBucketsPrefix(account);
    const entriesMax = Math.min(options.bucketsMax ?? buckets_per_page_max, buckets_per_page_max);
    const page = await this.#options.catalog.range(prefix, {
      entriesMax,
      ...(options.after === undefined ? {} : { after: prefix + options.after }),
    });
    const found = await Promise.all(page.map(({ key }) => this.#find(key.slice(prefix.length))));
    return {
      buckets: found.flatMap((entry) => (entry === null || entry.record.deleting ? [] : [entry.record])),
      next: page.length < entriesMax ? null : (page.at(-1)?.key.slice(prefix.length) ?? null),
    };
  }

  /** @throws SkerryError not-found, conflict (invalid-bucket-state) */
  async set(name: string, settings: BucketSettings): Promise<BucketRecord> {
    return this.#update(name, (record) => {
      if (record.readOnly === true) throw isReadOnly(name);
      const objectLock = settings.objectLock ?? record.objectLock;
      const versioning = settings.versioning ?? record.versioning;
      const { defaultRetention = record.defaultRetention } = settings;
      if (objectLock && versioning !== 'enabled')
        throw new SkerryError('conflict', 'versions can be locked only while versioning is enabled', {
          reason: 'invalid-bucket-state',
        });
      if (defaultRetention !== null && !objectLock)
        throw new SkerryError('conflict', `object lock is not enabled in bucket ${name}`, { reason: 'invalid-bucket-state' });
      if (defaultRetention !== null && !(Number.isSafeInteger(defaultRetention.days) && defaultRetention.days > 0))
        throw new SkerryError('invalid', 'a default retention has a whole number of days');
      return { ...record, objectLock, versioning, defaultRetention };
    });
  }

  /** Where bodies go from now on, of one that shows resources and has nothing in it. @throws SkerryError not-found (no-such-bucket) */
  setPool(name: string, pool: string): Promise<BucketRecord> {
    return this.#update(name, (record) => ({ ...record, pool }));
  }

  /**
   * Marked first, so that nothing comes in any more while it is looked whether anything is in it. A crash in between leaves the
   * mark, and finishDeletions() decides.
   * `keeper`: it is read-only for all others.
   * @throws SkerryError not-found, conflict (bucket-not-empty), denied (read-only-bucket)
   */
  async remove(name: string, keeper = false): Promise<void> {
    const { record } = await this.get(name);
    if (record.readOnly === true && !keeper) throw isReadOnly(name);
    if (!(await this.#holdsSomething(record.id))) {
      await this.#update(name, (now) => ({ ...now, deleting: true }));
      if (await this.#finish(name)) return;
    }
    throw new SkerryError('conflict', `bucket ${name} is not empty`, { reason: 'bucket-not-empty' });
  }

  /** Deletions that a crash interrupted. Once, before anything is asked of buckets. */
  async finishDeletions(): Promise<void> {
    for await (const { name, deleting } of this.all()) if (deleting) await this.#finish(name);
  }

  /** By name, page by page. */
  async *all(): AsyncGenerator<BucketRecord> {
    for (let after: string | undefined; ; ) {
      const page = await this.#options.catalog.range(bucketPrefix, {
        entriesMax: buckets_per_page_max,
        ...(after === undefined ? {} : { after }),
      });
      for (const { value } of page) yield decodeBucket(value);
      after = page.at(-1)?.key;
      if (page.length < buckets_per_page_max) return;
    }
  }

  /** Such as a policy, or rules of CORS; null where there is none. */
  async document(name: string, kind: string): Promise<Uint8Array | null> {
    const { record } = this.#kept(name) ?? (await this.get(name));
    const { catalog } = this.#options;
    const key = bucketDocumentKey(record.id, checkKind(kind));
    const kept = catalog.kept(key);
    return (kept === undefined ? await catalog.get(key) : kept)?.value ?? null;
  }

  /** null removes it. */
  async setDocument(name: string, kind: string, value: Uint8Array | null): Promise<void> {
    checkKind(kind);
    if (value !== null) checkDocument(value);
    const { catalog } = this.#options;
    for (let attempt = 1; attempt <= update_attempts_max; attempt += 1) {
      const { record, revision } = await this.get(name);
      // The bucket is compared, so that no document is left of one that goes meanwhile.
      const compares = [{ key: bucketKey(name), revision }];
      const outcome = await catalog.transact(compares, [{ key: bucketDocumentKey(record.id, kind), value }]);
      if (outcome.outcome === 'committed') return;
    }
    throw changing(name);
  }

  /** One that is there, where that is known without waiting: every request asks several times. */
  #kept(name: string): BucketEntry | null {
    const kept = this.#options.catalog.kept(bucketKey(name)) ?? null;
    const entry = kept === null ? null : this.#decode(kept);
    return entry?.record.deleting === true ? null : entry;
  }

  async #find(name: string): Promise<BucketEntry | null> {
    if (!bucket_name.test(name)) return null;
    const found = await this.#options.catalog.get(bucketKey(name));
    return found === null ? null : this.#decode(found);
  }

  #decode(found: CatalogEntry): BucketEntry {
    let entry = this.#decoded.get(found);
    if (entry === undefined) {
      entry = { record: decodeBucket(found.value), revision: found.revision };
      this.#decoded.set(found, entry);
    }
    return entry;
  }

  async #update(name: string, next: (record: BucketRecord) => BucketRecord): Promise<BucketRecord> {
    for (let attempt = 1; attempt <= update_attempts_max; attempt += 1) {
      const { record, revision } = await this.get(name);
      const changed = next(record);
      const key = bucketKey(name);
      const outcome = await this.#options.catalog.transact([{ key, revision }], [{ key, value: encodeBucket(changed) }]);
      if (outcome.outcome === 'committed') return changed;
    }
    throw changing(name);
  }

  /** Of one that is marked: true where it is gone, false where it is as it was. */
  async #finish(name: string): Promise<boolean> {
    const { catalog } = this.#options;
    const found = await this.#find(name);
    if (found === null || !found.record.deleting) return found === null;
    const { id, account } = found.record;
    const compares = [{ key: bucketKey(name), revision: found.revision }];
    const counting = (await this.#holdsSomething(id)) ? null : this.#removal(found.record);
    if (counting === null) {
      await catalog.transact(compares, [{ key: bucketKey(name), value: encodeBucket({ ...found.record, deleting: false }) }]);
      return false;
    }
    const documents = await catalog.range(bucketDocumentsPrefix(id));
    const writes = [
      { key: bucketKey(name), value: null },
      { key: accountBucketKey(account, name), value: null },
      ...documents.map(({ key }) => ({ key, value: null })),
      ...counting.writes,
    ];
    const { outcome } = await counted(counting, () => catalog.transact([...compares, ...counting.compares], writes));
    return outcome === 'committed';
  }

  /** null while something is on its way into it. */
  #removal(record: BucketRecord): Counting | null {
    try {
      return this.#options.meter.removal(record);
    } catch (error) {
      if (isSkerryError(error, 'conflict')) return null;
      throw error;
    }
  }

  async #holdsSomething(id: number): Promise<boolean> {
    const { catalog } = this.#options;
    for (const prefix of [objectsPrefix(id), uploadsPrefix(id)])
      if ((await catalog.range(prefix, { entriesMax: 1 })).length > 0) return true;
    return false;
  }
}

/** @throws SkerryError invalid (invalid-bucket-name) */
export function checkBucketName(name: string): void {
  if (bucket_name.test(name)) return;
  throw new SkerryError('invalid', `${JSON.stringify(name.slice(0, 80))} is no name of a bucket`, {
    reason: 'invalid-bucket-name',
  });
}

export function noSuchBucket(name: string): SkerryError {
  return new SkerryError('not-found', `there is no bucket ${name.slice(0, 80)}`, { reason: 'no-such-bucket' });
}

export function isReadOnly(name: string): SkerryError {
  return new SkerryError('denied', `bucket ${name} shows resources as objects, and changes with them alone`, {
    reason: 'read-only-bucket',
  });
}

function changing(name: string): SkerryError {
  return new SkerryError('try-again', `bucket ${name} changes all the time`);
}

function checkKind(kind: string): string {
  if (!document_kind.test(kind)) throw new RangeError(`${kind} is no kind of document`);
  return kind;
}

/** @throws SkerryError too-large */
function checkDocument(value: Uint8Array): Uint8Array {
  if (value.length > document_bytes_max)
    throw new SkerryError('too-large', `a document of a bucket has at most ${document_bytes_max} bytes`);
  return value;
}
