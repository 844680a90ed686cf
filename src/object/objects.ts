/**
 * Objects, with no protocol's words: put, read, remove, and what is said of them. What each of them did is durable when it
 * resolves.
 */
import type { Catalog } from '../catalog/catalog.js';
import type { Attributes, BucketRecord, ObjectRecord, Retention, Segment } from '../catalog/object_records.js';
import type { MakeSums } from '../engine/body_sums.js';
import { SkerryError } from '../core/errors.js';
import type { Bodies, StoredBody } from './bodies.js';
import { partRanges, segmentsWithin, type PartRange } from './body_parts.js';
import { readBody } from './body_reading.js';
import type { BodyHolds } from './body_holds.js';
import { isReadOnly, type Buckets } from './buckets.js';
import { checkWrite, isConditional, judgeRead, preconditionFailed, type Conditions } from './conditions.js';
import { Digests, type Expected } from './digests.js';
import type { EarlyDestage } from './early_destage.js';
import { domainOf, type KnownBodies } from './known_bodies.js';
import { comingOf, extended, named, partsOfBody } from './making.js';
import { ending, type Meter } from './meter.js';
import { noCause, type Cause } from './notices.js';
import {
  DeleteMarkerFound,
  noObjectLock,
  notFound,
  versionOf,
  type ObjectName,
  type Version,
  type VersionName,
} from './object_version.js';
import { checkKeyGiven, newSalt, sealedEtag, sealedWith } from './sealing.js';
import { checkRetentionChange, defaultRetention, keptBy } from './retention.js';
import { checkKey, versionIdOf, visible, type Arrival, type Make, type Restatement, type Versions } from './versions.js';

export type GivenAttributes = Partial<Attributes> & Pick<Attributes, 'owner'>;

export interface PutOrder extends ObjectName {
  readonly content: AsyncIterable<Uint8Array>;
  /** null where nobody knows. */
  readonly bytes: number | null;
  readonly attributes: GivenAttributes;
  readonly expected?: Expected;
  readonly conditions?: Conditions;
  /** Where the attributes have a seal: what it wraps. */
  readonly objectKey?: Uint8Array;
  /** Who brings it. Small content that the bucket's own account brings once more is not stored again. */
  readonly account?: number;
  /** Told to who hears of changes; absent: `put`. */
  readonly kind?: Arrival['kind'];
  readonly cause?: Cause;
}

export interface RemoveOrder extends VersionName {
  readonly owner: number;
  readonly conditions?: Conditions;
  /** The caller may remove what is under governance. */
  readonly bypassGovernance?: boolean;
  /** Asked in the turn that removes: whether what is there now is still to go. What is not stays (precondition-failed). */
  readonly still?: (found: Version, newest: boolean) => boolean;
  /** Told to who hears of changes: a rule wants it, and not a request. */
  readonly expired?: true;
  readonly cause?: Cause;
}

export type Removed = {
  /** Of what was removed, or of the delete marker that was made; null where there was nothing to remove. */
  readonly versionId: string | null;
  /** One was made, or was what was removed. */
  readonly deleteMarker: boolean;
};

export type Opened =
  | { readonly outcome: 'opened'; readonly object: OpenObject }
  | { readonly outcome: 'not-modified'; readonly version: Version };

/** One version as it was when it was opened, whatever happens meanwhile. Must be closed. */
export interface OpenObject {
  readonly version: Version;
  /** Of the body: never another's, whatever becomes of the key. */
  readonly id: number;
  /** `objectKey`: of one that is sealed. @throws SkerryError denied (object-sealed) */
  read(offset: number, length: number, objectKey?: Uint8Array): AsyncGenerator<Buffer, void>;
  /** After the first `skipped`: where parts lie. */
  parts(skipped: number, partsMax: number): Promise<readonly PartRange[]>;
  /** Where its bytes lie, in their order. */
  segments(): Iterable<Segment> | AsyncIterable<Segment>;
  /** Doing so twice is fine. */
  close(): void;
}

export interface ObjectsOptions {
  readonly catalog: Catalog;
  readonly buckets: Buckets;
  readonly versions: Versions;
  readonly bodies: Bodies;
  readonly early: Pick<EarlyDestage, 'finish'>;
  readonly known: KnownBodies;
  readonly holds: BodyHolds;
  readonly meter: Meter;
  readonly sums: MakeSums;
  readonly now: () => number;
}

export class Objects {
  readonly #options: ObjectsOptions;

  constructor(options: ObjectsOptions) {
    this.#options = options;
  }

  /** @throws SkerryError invalid (bad-digest, incomplete-body), conflict (precondition-failed), not-found; no-space */
  async put(order: PutOrder): Promise<Version> {
    const { catalog, buckets, versions, known, early, meter, now, sums } = this.#options;
    const { key, conditions = {}, content, bytes, objectKey, kind = 'put', cause = noCause } = order;
    checkKey(key);
    checkKeyGiven(order.attributes.seal, objectKey);
    const { record: bucket } = await buckets.get(order.bucket);
    if (bucket.readOnly === true) throw isReadOnly(bucket.name);
    this.withDefaults(bucket, order.attributes);
    // Nobody should send a body in vain; what counts is looked at once more when it is there.
    if (isConditional(conditions)) checkWrite(conditions, visible((await versions.newest(bucket, key))?.record ?? null));
    const reservation = meter.reserve(bucket, { bytes: bytes ?? 0, objects: 1 });
    const digests = new Digests(order.expected ?? {}, sums);
    const salt = objectKey === undefined ? undefined : newSalt();
    const account = order.account ?? null;
    const by = { account, ...(cause.requestId === '' ? {} : { requestId: cause.requestId }) };
    const body = { pool: bucket.pool, ...by, bytes, content: sealedWith(objectKey, salt, digests.through(content)) };
    const store = async (stored: StoredBody): Promise<Version> => {
      if (bytes === null) await extended(reservation, stored);
      const record = await named(catalog, stored, async (transact) => {
        const summed = digests.finish();
        const etag = sealedEtag(order.attributes.seal, objectKey, summed.etag);
        const made = { ...summed, etag, parts: partsOfBody(stored, salt), multipart: false };
        const make: Make = (id, newest, bucketNow) => {
          checkWrite(conditions, visible(newest));
          return comingOf(id, now(), { ...made, attributes: this.withDefaults(bucketNow, order.attributes) }, stored.writes);
        };
        return versions.install(bucket, key, reservation, make, { kind, cause }, transact);
      });
      early.finish(stored.segments);
      return versionOf(key, record);
    };
    return ending(reservation, () => known.storing(body, domainOf(order, bucket), store));
  }

  /** @throws SkerryError not-found (no-such-key, no-such-version, delete-marker), conflict (precondition-failed) */
  async open(name: VersionName, conditions: Conditions = {}): Promise<Opened> {
    const { catalog, bodies, holds } = this.#options;
    const hold = holds.begin();
    try {
      const record = await this.find(name);
      hold.choose(record.id);
      const version = versionOf(name.key, record);
      const verdict = judgeRead(conditions, record);
      if (verdict === 'failed') throw preconditionFailed();
      if (verdict === 'not-modified') {
        hold.end();
        return { outcome: 'not-modified', version };
      }
      const object: OpenObject = {
        version,
        id: record.id,
        read: (offset, bytes, objectKey) => readBody({ catalog, bodies }, record, { offset, bytes, objectKey }),
        parts: (skipped, partsMax) => partRanges(catalog, record.id, record.body, skipped, partsMax),
        segments: () => segmentsWithin(catalog, record.id, record.body, 0, record.bytes),
        close: () => hold.end(),
      };
      return { outcome: 'opened', object };
    } catch (error) {
      hold.end();
      throw error;
    }
  }

  /** Without a body to read. */
  async head(name: VersionName): Promise<Version> {
    return versionOf(name.key, await this.find(name));
  }

  /** Removing what is not there succeeds. @throws SkerryError denied (object-locked), conflict (precondition-failed) */
  async remove(order: RemoveOrder): Promise<Removed> {
    const { buckets, versions, now } = this.#options;
    const { key, versionId, conditions = {}, owner, bypassGovernance = false, still = () => true } = order;
    const departure = { expired: order.expired === true, cause: order.cause ?? noCause };
    checkKey(key);
    const { record: bucket } = await buckets.get(order.bucket);
    if (versionId === undefined) {
      const check = (current: ObjectRecord | null): void => {
        if (conditions.ifMatch !== undefined || conditions.ifUnmodifiedSince !== undefined) checkWrite(conditions, current);
        if (order.still !== undefined && (current === null || !still(versionOf(key, current), true))) throw preconditionFailed();
      };
      const marker = await versions.remove(bucket, key, owner, now(), check, departure);
      if (marker === null) return { versionId: null, deleteMarker: false };
      return { versionId: versionIdOf(marker), deleteMarker: true };
    }
    const check = (version: ObjectRecord, newest: boolean): void => {
      checkWrite(conditions, visible(version));
      if (!still(versionOf(key, version), newest)) throw preconditionFailed();
      const why = keptBy(version.attributes, now(), bypassGovernance);
      if (why !== null) throw new SkerryError('denied', `the version cannot be removed: ${why}`, { reason: 'object-locked' });
    };
    const gone = await versions.removeVersion(bucket, key, versionId, check, departure);
    return { versionId, deleteMarker: gone?.deleteMarker ?? false };
  }

  /** Of a version that is there: tags, a document of its ACL, or its legal hold. `cause`: of tags and an ACL, told to who hears of changes. */
  setAttributes(
    name: VersionName,
    changes: Partial<Pick<Attributes, 'tags' | 'acl' | 'legalHold'>>,
    cause: Cause = noCause,
  ): Promise<Version> {
    const next = (record: ObjectRecord): ObjectRecord => ({ ...record, attributes: { ...record.attributes, ...changes } });
    return this.#change(name, next, changes.legalHold, ({ attributes }) => {
      if (changes.tags !== undefined) return { kind: Object.keys(changes.tags).length === 0 ? 'untagged' : 'tagged', cause };
      // S3 tells of none that is what it was.
      return changes.acl === undefined || changes.acl === attributes.acl ? null : { kind: 'granted', cause };
    });
  }

  /** @throws SkerryError denied (object-locked) where that would shorten one that is there */
  setRetention(name: VersionName, retention: Retention | null, bypassGovernance: boolean): Promise<Version> {
    return this.#change(
      name,
      (record) => {
        checkRetentionChange(record.attributes.retention, retention, this.#options.now(), bypassGovernance);
        return { ...record, attributes: { ...record.attributes, retention } };
      },
      true,
    );
  }

  /** The record of a version that can be read. @throws SkerryError not-found (no-such-key, no-such-version, delete-marker) */
  async find({ bucket: bucketName, key, versionId }: VersionName): Promise<ObjectRecord> {
    checkKey(key);
    const { record: bucket } = await this.#options.buckets.get(bucketName);
    const { versions } = this.#options;
    const entry = versionId === undefined ? await versions.newest(bucket, key) : await versions.get(bucket, key, versionId);
    if (entry === null) throw notFound(versionId === undefined ? 'no-such-key' : 'no-such-version', { bucket: bucketName, key });
    if (entry.record.deleteMarker) throw new DeleteMarkerFound(versionOf(key, entry.record));
    return entry.record;
  }

  /** Asked in the turn that makes the version: what a bucket keeps by default is kept from then on, however long the body took. */
  withDefaults(bucket: BucketRecord, given: GivenAttributes): Attributes {
    const locks = given.legalHold === true || (given.retention ?? null) !== null;
    if (locks && !bucket.objectLock) throw noObjectLock(bucket.name);
    const kept = defaultRetention(bucket.defaultRetention, this.#options.now());
    return {
      headers: {},
      metadata: {},
      tags: {},
      acl: '',
      storageClass: 'STANDARD',
      legalHold: false,
      ...given,
      retention: given.retention ?? kept,
    };
  }

  async #change(
    name: VersionName,
    next: (record: ObjectRecord) => ObjectRecord,
    locks: boolean | undefined,
    told?: (before: ObjectRecord) => Restatement | null,
  ): Promise<Version> {
    const { record: bucket } = await this.#options.buckets.get(name.bucket);
    if (locks !== undefined && !bucket.objectLock) throw noObjectLock(bucket.name);
    const { key, versionId = null } = name;
    const changed = (found: ObjectRecord): ObjectRecord => {
      if (found.deleteMarker) throw new DeleteMarkerFound(versionOf(key, found));
      return next(found);
    };
    const record = await this.#options.versions.change(bucket, key, versionId, changed, told);
    if (record === null) throw notFound(versionId === null ? 'no-such-key' : 'no-such-version', name);
    return versionOf(key, record);
  }
}
