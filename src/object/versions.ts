/**
 * Versions of one key: which is current, how one comes, and how one goes. Changes of a key take turns, each is one transaction
 * of the catalog, and each compares the bucket, so that nothing comes into a bucket that is being removed.
 *
 * In a bucket that was never versioned a key has one version, at a place that is known: it is found without looking. That
 * place is after those of all versions that come later, as the order of time wants it.
 */
import type { Catalog, Compare, TransactOutcome, Write } from '../catalog/catalog.js';
import { bucketKey, last_order, nullVersionKey, orderOf, versionKey, versionsPrefix } from '../catalog/object_keys.js';
import { decodeId, encodeId } from '../catalog/keys.js';
import { decodeObject, emptyBody, encodeObject, type BucketRecord, type ObjectRecord } from '../catalog/object_records.js';
import type { NoticeKind } from '../catalog/notice_record.js';
import { isSkerryError, SkerryError } from '../core/errors.js';
import type { IdAllocator } from '../mapper/id_allocator.js';
import { KeyedLocks } from '../mapper/locks.js';
import { isReadOnly, noSuchBucket, type Buckets } from './buckets.js';
import { counted, ending, nothing, type Meter, type Reservation, type UsageChange } from './meter.js';
import type { Cause, Noticed, Notices } from './notices.js';
import { releaseOf } from './releases.js';
import { idOfTold, toldId } from './told_ids.js';

const attempts_max = 16;
/** Versions of a key, for one that was made a moment ago. */
const looked_at_max = 100;
export const key_bytes_max = 1024;

export interface VersionEntry {
  /** Of the catalog. */
  readonly at: string;
  readonly record: ObjectRecord;
  readonly revision: number;
}

/** What a change of a key decides under the key's turn. `id` is that of what comes. */
export interface Coming {
  readonly record: ObjectRecord;
  readonly compares: readonly Compare[];
  readonly writes: readonly Write[];
  /** That are in what the bucket holds already, and not once more: those of an upload's parts. */
  readonly countedBytes?: number;
}

/** `bucket`: as it is in this turn, which the transaction compares. */
export type Make = (id: number, newest: ObjectRecord | null, bucket: BucketRecord) => Coming;

export interface VersionsOptions {
  readonly catalog: Catalog;
  readonly buckets: Buckets;
  readonly ids: IdAllocator;
  readonly meter: Meter;
  /** Who hears of what comes and goes; absent: nobody. */
  readonly notices?: Pick<Notices, 'of'>;
  /** It may change what is in read-only buckets. */
  readonly keeper?: true;
}

/** What is told of a version that comes. */
export interface Arrival {
  readonly kind: Extract<NoticeKind, 'put' | 'form' | 'copy' | 'upload'>;
  readonly cause: Cause;
}

/** What is told of a version that goes, or is hidden. */
export interface Departure {
  /** A rule wanted it, and not a request. */
  readonly expired: boolean;
  readonly cause: Cause;
}

/** What is told of a version of which something else is said from now on. */
export interface Restatement {
  readonly kind: Extract<NoticeKind, 'tagged' | 'untagged' | 'granted'>;
  readonly cause: Cause;
}

/** The same of one change. */
interface Told {
  readonly kind: NoticeKind;
  readonly cause: Cause;
}

interface Place {
  readonly at: string;
  readonly isNull: boolean;
  /** What has to go for it. */
  readonly gone: readonly VersionEntry[];
  readonly compares: readonly Compare[];
  readonly writes: readonly Write[];
}

/** The bucket as it is while a change of a key has its turn, and what says that it still is. */
interface Turn {
  readonly bucket: BucketRecord;
  readonly compares: readonly Compare[];
}

const unnoticed: Noticed = { writes: [], made: () => undefined };

export class Versions {
  readonly #options: VersionsOptions;
  /** By bucket and key. Locks of extents are taken within, never the other way round. */
  readonly #turns = new KeyedLocks();

  constructor(options: VersionsOptions) {
    this.#options = options;
  }

  /** The newest, be it a delete marker; null where there is none. */
  async newest(bucket: BucketRecord, key: string): Promise<VersionEntry | null> {
    const { id } = bucket;
    if (bucket.versioning === 'never') {
      const only = await this.#at(versionKey(id, key, last_order));
      // Where there is none, versioning may have begun since the bucket was read, and moved it.
      if (only !== null || (await this.#isUnversioned(bucket))) return only;
    }
    const [found] = await this.#options.catalog.range(versionsPrefix(id, key), { entriesMax: 1 });
    return found === undefined ? null : { at: found.key, record: decodeObject(found.value), revision: found.revision };
  }

  /** `versionId`: as versionIdOf gives it. */
  async get(bucket: BucketRecord, key: string, versionId: string): Promise<VersionEntry | null> {
    if (versionId === 'null') return (await this.#nullVersion(bucket, key)).entry;
    const id = idOfTold(versionId);
    if (id === null) return null;
    const found = await this.#at(versionKey(bucket.id, key, orderOf(id)));
    return found === null || found.record.isNull ? null : found;
  }

  /** Of the newest versions of a key the first that is; null where none is. */
  async among({ id }: BucketRecord, key: string, is: (record: ObjectRecord) => boolean): Promise<ObjectRecord | null> {
    const entries = await this.#options.catalog.range(versionsPrefix(id, key), { entriesMax: looked_at_max });
    return entries.map(({ value }) => decodeObject(value)).find(is) ?? null;
  }

  /**
   * Makes a new version of `key`. `make` decides on what is there: it is called again where something changed meanwhile.
   * @throws SkerryError of `make`; not-found (no-such-bucket); of the catalog, and then it may have been made or not (`inDoubt`)
   */
  install(
    bucket: BucketRecord,
    key: string,
    reservation: Reservation,
    make: Make,
    arrival: Arrival,
    transact: Transact = this.#plainly,
  ): Promise<ObjectRecord> {
    return this.#turn(bucket, key, (now, compares) =>
      this.#installOnce({ bucket: now, compares }, key, reservation, make, arrival, transact),
    );
  }

  /**
   * What deleting a key without naming a version does: the version goes where versions are not kept, and a delete marker comes
   * where they are. `check` sees what is current, and throws where it may not be.
   */
  async remove(
    bucket: BucketRecord,
    key: string,
    owner: number,
    at: number,
    check: (current: ObjectRecord | null) => void,
    departure: Departure,
  ): Promise<ObjectRecord | null> {
    return ending(this.#options.meter.reserve(bucket, nothing), async (reservation) => {
      const { record } = await this.#turn(bucket, key, async (now, compares) => {
        // As versioning is in this turn: what was put under it since the bucket was looked at may be kept, or locked.
        if (now.versioning === 'never') {
          const gone = await this.#removeOnce({ bucket: now, compares }, key, 'null', reservation, check, departure);
          if (gone?.record === null) check(null);
          return gone === null ? null : { record: null };
        }
        const mark: Make = (id, newest) => {
          check(visible(newest));
          return { record: deleteMarker(id, owner, at), compares: [], writes: [] };
        };
        const told = { kind: departure.expired ? 'expired-marked' : 'marked', cause: departure.cause } as const;
        const marker = await this.#installOnce({ bucket: now, compares }, key, reservation, mark, told);
        return marker === null ? null : { record: marker };
      });
      return record;
    });
  }

  /**
   * Removes that version for ever; null where there is none. `check` throws where it must stay, and sees whether it is the
   * newest: a rule that was read of a list may not hold of what has become of it.
   */
  async removeVersion(
    bucket: BucketRecord,
    key: string,
    versionId: string,
    check: (version: ObjectRecord, newest: boolean) => void,
    departure: Departure,
  ): Promise<ObjectRecord | null> {
    return ending(this.#options.meter.reserve(bucket, nothing), async (reservation) => {
      const gone = await this.#turn(bucket, key, (now, compares) =>
        this.#removeOnce({ bucket: now, compares }, key, versionId, reservation, check, departure),
      );
      return gone.record;
    });
  }

  /** Changes what is said of a version, and tells of it where `told` says so of what it was. @returns null where there is none */
  async change(
    bucket: BucketRecord,
    key: string,
    versionId: string | null,
    next: (record: ObjectRecord) => ObjectRecord,
    told: (before: ObjectRecord) => Restatement | null = () => null,
  ): Promise<ObjectRecord | null> {
    const changed = await this.#turn(bucket, key, async (now, compares) => {
      const entry = versionId === null ? await this.newest(now, key) : await this.get(now, key, versionId);
      if (entry === null) return { record: null };
      const record = next(entry.record);
      const restatement = told(entry.record);
      const noticed = restatement === null ? unnoticed : await this.#noticed(now, key, record, restatement);
      const { outcome } = await this.#plainly(
        [...compares, { key: entry.at, revision: entry.revision }],
        [{ key: entry.at, value: encodeObject(record) }, ...noticed.writes],
      );
      if (outcome === 'conflict') return null;
      noticed.made();
      return { record };
    });
    return changed.record;
  }

  /** null where something changed meanwhile. */
  async #installOnce(
    { bucket, compares }: Turn,
    key: string,
    reservation: Reservation,
    make: Make,
    told: Told,
    transact: Transact = this.#plainly,
  ): Promise<ObjectRecord | null> {
    const newest = await this.newest(bucket, key);
    const id = await this.#options.ids.next();
    const coming = make(id, newest?.record ?? null, bucket);
    const place = await this.#placeFor(bucket, key, id, newest);
    const record = { ...coming.record, isNull: place.isNull };
    const noticed = await this.#noticed(bucket, key, record, told);
    const change = usageOf([record], place.gone);
    const counting = reservation.count({ ...change, bytes: change.bytes - (coming.countedBytes ?? 0) });
    const { outcome } = await counted(counting, () =>
      transact(
        [...compares, ...place.compares, ...coming.compares, ...counting.compares],
        [
          { key: place.at, value: encodeObject(record) },
          ...place.writes,
          ...coming.writes,
          ...releases(place.gone),
          ...noticed.writes,
          ...counting.writes,
        ],
      ),
    );
    if (outcome === 'conflict') return null;
    noticed.made();
    return record;
  }

  /** null where something changed meanwhile. */
  async #removeOnce(
    { bucket, compares }: Turn,
    key: string,
    versionId: string,
    reservation: Reservation,
    check: (version: ObjectRecord, newest: boolean) => void,
    { expired, cause }: Departure,
  ): Promise<{ readonly record: ObjectRecord | null } | null> {
    const pointer = versionId === 'null' ? (await this.#nullVersion(bucket, key)).pointer : null;
    const entry = await this.get(bucket, key, versionId);
    if (entry === null) return { record: null };
    check(entry.record, (await this.newest(bucket, key))?.at === entry.at);
    const noticed = await this.#noticed(bucket, key, entry.record, { kind: expired ? 'expired' : 'removed', cause });
    const counting = reservation.count(usageOf([], [entry]));
    const writes: Write[] = [
      { key: entry.at, value: null },
      ...releases([entry]),
      ...(pointer === null ? [] : [{ key: pointer.key, value: null }]),
      ...noticed.writes,
      ...counting.writes,
    ];
    const all = [...compares, { key: entry.at, revision: entry.revision }, ...counting.compares];
    const { outcome } = await counted(counting, () => this.#plainly(all, writes));
    if (outcome === 'conflict') return null;
    noticed.made();
    return { record: entry.record };
  }

  async #noticed(bucket: BucketRecord, key: string, record: ObjectRecord, told: Told): Promise<Noticed> {
    const { bytes, etag } = record;
    const versionId = bucket.versioning === 'never' ? '' : versionIdOf(record);
    return (await this.#options.notices?.of({ ...told, bucket, key, versionId, bytes, etag })) ?? unnoticed;
  }

  /** `work` answers null where its transaction met a change of somebody else, and is done again. */
  #turn<T>(
    bucket: BucketRecord,
    key: string,
    work: (bucket: BucketRecord, compares: readonly Compare[]) => Promise<T | null>,
  ): Promise<T> {
    return this.#turns.run([`${bucket.id} ${key}`], async () => {
      for (let attempt = 1; attempt <= attempts_max; attempt += 1) {
        const { record, revision } = await this.#options.buckets.get(bucket.name);
        // Another one of that name was made meanwhile.
        if (record.id !== bucket.id) throw noSuchBucket(bucket.name);
        if (record.readOnly === true && this.#options.keeper !== true) throw isReadOnly(bucket.name);
        const done = await work(record, [{ key: bucketKey(bucket.name), revision }]);
        if (done !== null) return done;
      }
      throw new SkerryError('try-again', `bucket ${bucket.name} changes all the time`);
    });
  }

  readonly #plainly: Transact = (compares, writes) => this.#options.catalog.transact(compares, writes);

  /** `newest`: of that key. Where it is not as the bucket says, the bucket has changed, and the transaction meets that. */
  async #placeFor(
    { id: bucket, versioning }: BucketRecord,
    key: string,
    id: number,
    newest: VersionEntry | null,
  ): Promise<Place> {
    if (versioning === 'enabled') {
      const at = versionKey(bucket, key, orderOf(id));
      return { at, isNull: false, gone: [], compares: [{ key: at, revision: 0 }], writes: [] };
    }
    if (versioning === 'never') {
      const at = versionKey(bucket, key, last_order);
      const gone = newest?.at === at ? [newest] : [];
      return { at, isNull: true, gone, compares: [{ key: at, revision: gone[0]?.revision ?? 0 }], writes: [] };
    }
    const { entry, pointer } = await this.#nullVersion({ id: bucket }, key);
    const gone = entry === null ? [] : [entry];
    const at = versionKey(bucket, key, orderOf(id));
    const pointerKey = nullVersionKey(bucket, key);
    return {
      at,
      isNull: true,
      gone,
      compares: [
        { key: pointerKey, revision: pointer?.revision ?? 0 },
        ...gone.map((one) => ({ key: one.at, revision: one.revision })),
      ],
      writes: [{ key: pointerKey, value: encodeId(id) }, ...gone.map((one) => ({ key: one.at, value: null }))],
    };
  }

  /** Where it has a pointer, it was written while versioning was suspended; else it is as old as the bucket was unversioned. */
  async #nullVersion({ id: bucket }: Pick<BucketRecord, 'id'>, key: string) {
    const pointer = await this.#options.catalog.get(nullVersionKey(bucket, key));
    const order = pointer === null ? last_order : orderOf(decodeId(pointer.value));
    return { pointer, entry: await this.#at(versionKey(bucket, key, order)) };
  }

  /** As it is now, and so ever before. */
  async #isUnversioned({ id, name }: BucketRecord): Promise<boolean> {
    try {
      const { record } = await this.#options.buckets.get(name);
      return record.id === id && record.versioning === 'never';
    } catch (error) {
      if (isSkerryError(error, 'not-found')) return false;
      throw error;
    }
  }

  async #at(at: string): Promise<VersionEntry | null> {
    const found = await this.#options.catalog.get(at);
    return found === null ? null : { at, record: decodeObject(found.value), revision: found.revision };
  }
}

/** Catalog.transact(), with what else has to hold or is written. */
export type Transact = (compares: readonly Compare[], writes: readonly Write[]) => Promise<TransactOutcome>;

export function versionIdOf({ id, isNull }: Pick<ObjectRecord, 'id' | 'isNull'>): string {
  return isNull ? 'null' : toldId(id);
}

/** A delete marker hides what is under it. */
export function visible(record: ObjectRecord | null): ObjectRecord | null {
  return record === null || record.deleteMarker ? null : record;
}

function usageOf(coming: readonly ObjectRecord[], going: readonly VersionEntry[]): UsageChange {
  const sum = (records: readonly ObjectRecord[]): UsageChange => ({
    bytes: records.reduce((total, { bytes }) => total + bytes, 0),
    objects: records.filter(({ deleteMarker: marker }) => !marker).length,
  });
  const more = sum(coming);
  const less = sum(going.map(({ record }) => record));
  return { bytes: more.bytes - less.bytes, objects: more.objects - less.objects };
}

function releases(gone: readonly VersionEntry[]): readonly Write[] {
  return gone.flatMap(({ record }) => releaseOf(record.id, record.body) ?? []);
}

export function deleteMarker(id: number, owner: number, now: number): ObjectRecord {
  const attributes = {
    owner,
    headers: {},
    metadata: {},
    tags: {},
    acl: '',
    storageClass: '',
    retention: null,
    legalHold: false,
  };
  return {
    id,
    isNull: false,
    deleteMarker: true,
    bytes: 0,
    etag: '',
    modifiedAt: now,
    attributes,
    checksum: null,
    multipart: false,
    body: emptyBody,
  };
}

/** @throws SkerryError invalid (invalid-key, key-too-long) */
export function checkKey(key: string): string {
  if (key === '' || !key.isWellFormed())
    throw new SkerryError('invalid', 'a key has at least one character, and can be written as UTF-8', { reason: 'invalid-key' });
  if (Buffer.byteLength(key) > key_bytes_max)
    throw new SkerryError('invalid', `a key has at most ${key_bytes_max} bytes of UTF-8, not ${Buffer.byteLength(key)}`, {
      reason: 'key-too-long',
    });
  return key;
}
