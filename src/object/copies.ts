/** Copies of objects: they share the bytes of their source, so that they cost the same whatever its size. */
import type { Catalog } from '../catalog/catalog.js';
import type { Attributes, BodyPart, BucketRecord, Checksum, ChecksumAlgorithm, ObjectRecord } from '../catalog/object_records.js';
import { partsFrom, segmentCount } from './body_parts.js';
import { SkerryError } from '../core/errors.js';
import type { Bodies } from './bodies.js';
import type { BodyHolds } from './body_holds.js';
import { readBody } from './body_reading.js';
import type { Buckets } from './buckets.js';
import { checkWrite, judgeRead, preconditionFailed, type Conditions } from './conditions.js';
import type { Extents } from './extents.js';
import { comingOf } from './making.js';
import { ending, type Meter } from './meter.js';
import { noCause, type Cause } from './notices.js';
import type { GivenAttributes, Objects } from './objects.js';
import { versionOf, type ObjectName, type Version, type VersionName } from './object_version.js';
import { checkKeyGiven } from './sealing.js';
import { newSum } from './sums.js';
import { checkKey, visible, type Make, type Transact, type Versions } from './versions.js';

/** A body of more is read and stored again: its extents would not fit into one transaction. */
export const shared_segments_max = 10_000;

export interface CopyOrder extends ObjectName {
  readonly from: VersionName;
  readonly fromConditions?: Conditions;
  /**
   * Absent: those of the source, with this owner. A function is asked once, of the very source that is copied: what it throws keeps the copy
   * from being made.
   */
  readonly attributes?: GivenAttributes | ((source: Version) => Promise<GivenAttributes>);
  /** The copy is to have this sum: where its source has another the bytes are read. Absent: that of the source. */
  readonly checksum?: ChecksumAlgorithm;
  /** A source of more is copied only where its bytes are shared, and need not be read. */
  readonly readBytesMax?: number;
  readonly owner: number;
  /** Who asks for it, as in PutOrder: where bytes have to be stored again they are his. */
  readonly account?: number;
  readonly conditions?: Conditions;
  /** Of a source that is sealed, and of a copy that is to be: what is sealed is read, and sealed anew. Asked when the attributes are known. */
  readonly keys?: (source: Version) => Promise<CopyKeys>;
  /** Told to who hears of changes. */
  readonly cause?: Cause;
}

export interface CopyKeys {
  readonly source?: Uint8Array;
  readonly copy?: Uint8Array;
}

export interface CopiesOptions {
  readonly catalog: Catalog;
  readonly buckets: Buckets;
  readonly versions: Versions;
  readonly objects: Objects;
  readonly bodies: Bodies;
  readonly extents: Extents;
  readonly holds: BodyHolds;
  readonly meter: Meter;
  readonly now: () => number;
}

export class Copies {
  readonly #options: CopiesOptions;

  constructor(options: CopiesOptions) {
    this.#options = options;
  }

  /** @throws SkerryError not-found, conflict (precondition-failed), no-space, too-large (copy-source-too-large) */
  async copy(order: CopyOrder): Promise<Version> {
    const { buckets, objects } = this.#options;
    checkKey(order.key);
    const { record: bucket } = await buckets.get(order.bucket);
    // Held, so that neither its list of parts nor its bytes go while they are taken over.
    const hold = this.#options.holds.begin();
    try {
      const source = await objects.find(order.from);
      hold.choose(source.id);
      const attributes = await attributesOf(order, source);
      // A source that is not modified fails a copy as any other condition does.
      if (judgeRead(order.fromConditions ?? {}, source) !== 'proceed') throw preconditionFailed();
      objects.withDefaults(bucket, attributes);
      const { pool } = (await buckets.get(order.from.bucket)).record;
      const keys = (await order.keys?.(versionOf(order.from.key, source))) ?? {};
      checkKeyGiven(source.attributes.seal, keys.source);
      checkKeyGiven(attributes.seal, keys.copy);
      const sealed = keys.source !== undefined || keys.copy !== undefined;
      const shares = !sealed && segmentCount(source.body) <= shared_segments_max && pool === bucket.pool;
      const reads = !shares || !hasSum(source, order.checksum);
      if (reads && source.bytes > (order.readBytesMax ?? Number.POSITIVE_INFINITY)) throw tooLarge(order, shares);
      return await (shares ? this.#share(order, bucket, attributes, source) : this.#copyBytes(order, attributes, source, keys));
    } finally {
      hold.end();
    }
  }

  async #share(order: CopyOrder, bucket: BucketRecord, given: GivenAttributes, source: ObjectRecord): Promise<Version> {
    const { catalog, meter, versions, extents, objects, now } = this.#options;
    const { key, conditions = {}, cause = noCause } = order;
    const reservation = meter.reserve(bucket, { bytes: source.bytes, objects: 1 });
    return ending(reservation, async () => {
      const parts: BodyPart[] = [];
      for await (const { offset: _, ...part } of partsFrom(catalog, source.id, source.body, 0)) parts.push(part);
      const { etag, multipart } = source;
      const checksum = await this.#checksum(order, source);
      const make: Make = (id, newest, bucketNow) => {
        checkWrite(conditions, visible(newest));
        const attributes = objects.withDefaults(bucketNow, given);
        return comingOf(id, now(), { parts, etag, checksum, multipart, attributes }, []);
      };
      const transact: Transact = (compares, writes) =>
        extents.share(
          parts.flatMap((part) => [...part.segments]),
          (others, counts) => catalog.transact([...compares, ...others], [...writes, ...counts]),
        );
      return versionOf(key, await versions.install(bucket, key, reservation, make, { kind: 'copy', cause }, transact));
    });
  }

  async #checksum({ checksum: algorithm }: CopyOrder, source: ObjectRecord): Promise<Checksum | null> {
    const { bytes, checksum } = source;
    if (algorithm === undefined || hasSum(source, algorithm)) return checksum;
    const sum = newSum(algorithm);
    for await (const piece of readBody(this.#options, source, { offset: 0, bytes })) sum.update(piece);
    return { algorithm, type: 'full-object', value: sum.digest().toString('base64') };
  }

  async #copyBytes(order: CopyOrder, attributes: GivenAttributes, source: ObjectRecord, keys: CopyKeys): Promise<Version> {
    const { objects } = this.#options;
    const { bytes, checksum } = source;
    const algorithm = order.checksum ?? checksum?.algorithm;
    const expected = algorithm === undefined ? {} : { checksum: { algorithm } };
    const { bucket, key, conditions = {}, cause = noCause } = order;
    // Of the very body that is held: a null version may be another by now.
    const content = readBody(this.#options, source, { offset: 0, bytes, objectKey: keys.source });
    const sealing = keys.copy === undefined ? {} : { objectKey: keys.copy };
    const by = order.account === undefined ? {} : { account: order.account };
    const told = { kind: 'copy', cause, ...by } as const;
    return objects.put({ bucket, key, conditions, bytes, attributes, expected, content, ...sealing, ...told });
  }
}

/** Of all of its bytes; who asks for none is content with any. */
function hasSum({ checksum }: ObjectRecord, algorithm: ChecksumAlgorithm | undefined): boolean {
  return algorithm === undefined || (checksum?.algorithm === algorithm && checksum.type === 'full-object');
}

function tooLarge({ readBytesMax, checksum }: CopyOrder, shares: boolean): SkerryError {
  const why = shares
    ? `its bytes would have to be read for the ${checksum} of the copy: ask for none`
    : 'its bytes would have to be stored anew: copy it in parts';
  return new SkerryError('too-large', `the source has more than ${readBytesMax} bytes, and ${why}`, {
    reason: 'copy-source-too-large',
  });
}

async function attributesOf({ attributes, owner, from: { key } }: CopyOrder, source: ObjectRecord): Promise<GivenAttributes> {
  if (typeof attributes === 'function') return attributes(versionOf(key, source));
  return attributes ?? takenOver(source.attributes, owner);
}

/** A copy is its maker's: who may see it, and how long it is kept, is not the source's affair. */
function takenOver(attributes: Attributes, owner: number): GivenAttributes {
  const { headers, metadata, tags, storageClass } = attributes;
  return { headers, metadata, tags, storageClass, owner };
}
