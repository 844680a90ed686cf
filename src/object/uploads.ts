/** Objects that come in parts. A part is a body of its own; completing makes one list of them, and touches none of their bytes. */
import { createHash } from 'node:crypto';

import type { Catalog, CatalogEntry, Write } from '../catalog/catalog.js';
import { bucketKey, lastNumber, partKey, partsPrefix, uploadKey } from '../catalog/object_keys.js';
import {
  decodePart,
  decodeUpload,
  encodePart,
  encodeUpload,
  type BodyPart,
  type BucketRecord,
  type Checksum,
  type ObjectRecord,
  type PartRecord,
  type UploadRecord,
} from '../catalog/object_records.js';
import type { MakeSums } from '../engine/body_sums.js';
import { SkerryError } from '../core/errors.js';
import type { IdAllocator } from '../mapper/id_allocator.js';
import type { StoredBody } from './bodies.js';
import { isReadOnly, type Buckets } from './buckets.js';
import { checkWrite, type Conditions } from './conditions.js';
import { allowsType, compare, Digests, joinedChecksum, joinedEtag, type Expected } from './digests.js';
import type { EarlyDestage } from './early_destage.js';
import { domainOf, type KnownBodies } from './known_bodies.js';
import { comingOf, extended, named } from './making.js';
import { counted, ending, nothing, type Meter, type Reservation } from './meter.js';
import { noCause, type Cause } from './notices.js';
import type { GivenAttributes, Objects } from './objects.js';
import { versionOf, type ObjectName, type Version } from './object_version.js';
import { releaseOf } from './releases.js';
import { checkKeyGiven, newSalt, sealedEtag, sealedWith } from './sealing.js';
import { idOfTold, toldId } from './told_ids.js';
import { noSuchUpload, UploadGates } from './upload_gates.js';
import { checkKey, versionIdOf, visible, type Make, type Transact, type Versions } from './versions.js';

export const parts_max = 10_000;
/** Of every part but the last. */
const part_bytes_min = 5 * 1024 * 1024;
/** Of a part, and of a body that is put at once. */
export const put_bytes_max = 5 * 1024 ** 3;
const parts_per_read_max = 1000;
const attempts_max = 16;

export interface UploadName extends ObjectName {
  readonly uploadId: string;
}

export interface UploadOrder extends ObjectName {
  readonly attributes: GivenAttributes;
  readonly checksum?: Pick<Checksum, 'algorithm' | 'type'>;
}

export interface PartOrder extends UploadName {
  readonly number: number;
  readonly content: AsyncIterable<Uint8Array>;
  readonly bytes: number | null;
  readonly expected?: Expected;
  /** Where the upload has a seal: what it wraps. */
  readonly objectKey?: Uint8Array;
  /** Who brings it, as in PutOrder. */
  readonly account?: number;
  /** For logs. */
  readonly requestId?: string;
}

export interface PartView {
  readonly number: number;
  readonly etag: string;
  readonly bytes: number;
  /** In base 64; '' where there is none. */
  readonly checksum: string;
  readonly modifiedAt: number;
}

export interface CompleteOrder extends UploadName {
  readonly parts: readonly { readonly number: number; readonly etag: string; readonly checksum?: string }[];
  /** What the checksum of all has to be, in base 64. */
  readonly checksum?: string;
  /** What the length of all has to be. */
  readonly bytes?: number;
  readonly conditions?: Conditions;
  /** Told to who hears of changes. */
  readonly cause?: Cause;
}

export interface OpenUpload {
  readonly bucket: BucketRecord;
  readonly record: UploadRecord;
  readonly at: string;
  readonly revision: number;
}

export interface UploadsOptions {
  readonly catalog: Catalog;
  readonly buckets: Buckets;
  readonly versions: Versions;
  readonly objects: Objects;
  readonly known: KnownBodies;
  readonly early: Pick<EarlyDestage, 'finish'>;
  readonly ids: IdAllocator;
  readonly meter: Meter;
  readonly sums: MakeSums;
  readonly now: () => number;
  /** For tests; else that of S3. */
  readonly partBytesMin?: number;
}

export class Uploads {
  readonly #options: UploadsOptions;
  readonly #gates = new UploadGates();

  constructor(options: UploadsOptions) {
    this.#options = options;
  }

  /** @returns the upload's id */
  async create({ bucket: name, key, attributes, checksum }: UploadOrder): Promise<string> {
    const { catalog, buckets, objects, ids, now } = this.#options;
    checkKey(key);
    if (checksum !== undefined && !allowsType(checksum.algorithm, checksum.type))
      throw new SkerryError('invalid', `${checksum.algorithm} of a ${checksum.type} cannot be told from parts`);
    for (let attempt = 1; attempt <= attempts_max; attempt += 1) {
      const { record: bucket, revision } = await buckets.get(name);
      if (bucket.readOnly === true) throw isReadOnly(name);
      const id = await ids.next();
      // What the bucket keeps by default begins with the object, not with the upload.
      const given = { ...objects.withDefaults(bucket, attributes), retention: attributes.retention ?? null };
      const value = encodeUpload({ id, startedAt: now(), attributes: given, checksum: checksum ?? null });
      const compares = [{ key: bucketKey(name), revision }];
      const { outcome } = await catalog.transact(compares, [{ key: uploadKey(bucket.id, key, id), value }]);
      if (outcome === 'committed') return toldId(id);
    }
    throw new SkerryError('try-again', `bucket ${name} changes all the time`);
  }

  /** A part that is there under the number is replaced; until then there is room for both. @throws SkerryError no-space (quota-exceeded) */
  async putPart(order: PartOrder): Promise<PartView> {
    const { catalog, known, ids, meter, now, sums } = this.#options;
    const { number, bytes, content, expected = {}, objectKey } = order;
    checkPart(number, bytes ?? 0);
    const upload = await this.find(order);
    checkKeyGiven(upload.record.attributes.seal, objectKey);
    const kind = upload.record.checksum;
    const digests = new Digests(
      kind === null || expected.checksum !== undefined ? expected : { ...expected, checksum: kind },
      sums,
    );
    if (kind !== null && (expected.checksum?.algorithm ?? kind.algorithm) !== kind.algorithm)
      throw new SkerryError('invalid', `parts of this upload have a checksum of ${kind.algorithm}`, {
        reason: 'bad-checksum-algorithm',
      });
    const salt = objectKey === undefined ? undefined : newSalt();
    const reservation = meter.reserve(upload.bucket, { bytes: bytes ?? 0, objects: 0 });
    const passing = sealedWith(objectKey, salt, digests.through(content));
    const store = async (stored: StoredBody): Promise<PartView> => {
      if (bytes === null) await extended(reservation, stored);
      return named(catalog, stored, async (transact) => {
        const { etag: md5, checksum } = digests.finish();
        const etag = sealedEtag(upload.record.attributes.seal, objectKey, md5);
        const sum = kind === null ? '' : (checksum?.value ?? '');
        const sealing = salt === undefined ? {} : { salt };
        const part = { bytes: stored.bytes, checksum: sum, segments: stored.segments, ...sealing };
        const record = { id: await ids.next(), etag, modifiedAt: now(), part };
        const storing: Transact = (compares, writes) => transact(compares, [...writes, ...stored.writes]);
        return this.commitPart(upload, number, record, reservation, storing);
      });
    };
    const by = { account: order.account ?? null, ...(order.requestId === undefined ? {} : { requestId: order.requestId }) };
    const body = { pool: upload.bucket.pool, ...by, bytes, content: passing };
    return ending(reservation, () => known.storing(body, domainOf(order, upload.bucket), store));
  }

  /** Of a part whose bytes are durable, and reserved. */
  async commitPart(
    upload: OpenUpload,
    number: number,
    stored: Omit<PartRecord, 'counted'>,
    reservation: Reservation,
    transact: Transact,
  ): Promise<PartView> {
    const { catalog } = this.#options;
    const { bytes } = stored.part;
    const record = { ...stored, counted: true as const };
    checkPart(number, bytes);
    const key = partKey(upload.record.id, number);
    await this.#gates.enter(upload.record.id, async () => {
      for (let attempt = 1; attempt <= attempts_max; attempt += 1) {
        if ((await catalog.get(upload.at)) === null) throw noSuchUpload();
        const before = await catalog.get(key);
        const replaced = before === null ? [] : [before];
        const counting = reservation.count({ bytes: bytes - countedBytesOf(replaced), objects: 0 });
        const compares = [
          { key: upload.at, revision: upload.revision },
          { key, revision: before?.revision ?? 0 },
          ...counting.compares,
        ];
        const writes = [{ key, value: encodePart(record) }, ...replaced.flatMap(releaseOfPart), ...counting.writes];
        if ((await counted(counting, () => transact(compares, writes))).outcome === 'committed') return;
      }
      throw new SkerryError('try-again', `part ${number} of the upload changes all the time`);
    });
    return viewOf(number, record);
  }

  /** Ascending by number, after `after`. */
  async listParts(name: UploadName, { after = 0, partsMax = parts_per_read_max } = {}) {
    const upload = await this.find(name);
    const id = upload.record.id;
    const entriesMax = Math.min(partsMax, parts_per_read_max);
    const page = await this.#options.catalog.range(partsPrefix(id), { after: partKey(id, after), entriesMax: entriesMax + 1 });
    const parts = page.slice(0, entriesMax).map(({ key, value }) => viewOf(lastNumber(key), decodePart(value)));
    return { upload: upload.record, parts, more: page.length > entriesMax };
  }

  /** @throws SkerryError not-found (no-such-upload) */
  async abort(name: UploadName): Promise<void> {
    const { catalog, meter } = this.#options;
    const { bucket, record, at, revision } = await this.find(name);
    await this.#gates.close(record.id, async () => {
      const parts = await this.#parts(record.id);
      const writes: Write[] = [{ key: at, value: null }];
      for (const entry of parts) writes.push({ key: entry.key, value: null }, ...releaseOfPart(entry));
      await ending(meter.reserve(bucket, nothing), async (reservation) => {
        const counting = reservation.count({ bytes: -countedBytesOf(parts), objects: 0 });
        const compares = [{ key: at, revision }, ...counting.compares];
        const { outcome } = await counted(counting, () => catalog.transact(compares, [...writes, ...counting.writes]));
        if (outcome === 'conflict') throw noSuchUpload();
      });
    });
  }

  /**
   * One transaction: what was uploaded and is not listed is released with it. Who did not hear of its end and asks again hears of
   * the version that it made, as long as that is there.
   * @throws SkerryError invalid (invalid-part, invalid-part-order, entity-too-small, wrong-size, bad-digest), conflict (precondition-failed)
   */
  async complete(order: CompleteOrder): Promise<Version> {
    const { versions, objects, meter, catalog, early, now } = this.#options;
    const { key, conditions = {}, cause = noCause } = order;
    return this.#gates.close(uploadNumber(order.uploadId), async () => {
      const upload = await this.#open(order);
      if (upload === null) return this.#completed(order);
      const { record, bucket, at, revision } = upload;
      const entries = await this.#parts(record.id);
      const { parts, etags, left } = this.#chosen(entries, order.parts);
      const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
      if (order.bytes !== undefined && order.bytes !== bytes)
        throw new SkerryError('invalid', `the parts have ${bytes} bytes, and ${order.bytes} were announced`, {
          reason: 'wrong-size',
        });
      const checksum = record.checksum === null ? null : joinedChecksum(record.checksum, parts);
      if (order.checksum !== undefined && checksum !== null) compare(checksum.algorithm, order.checksum, checksum.value);
      // What the parts are counted for becomes the object's, and what is left is given back.
      const countedBytes = countedBytesOf(entries);
      const reservation = meter.reserve(bucket, { bytes: Math.max(bytes - countedBytes, 0), objects: 1 });
      const also = [
        { key: at, value: null },
        ...entries.map((entry) => ({ key: entry.key, value: null })),
        ...left.flatMap(releaseOfPart),
      ];
      const content = { parts, etag: joinedEtag(etags), checksum, multipart: true, upload: record.id };
      const make: Make = (id, newest, bucketNow) => {
        checkWrite(conditions, visible(newest));
        const attributes = objects.withDefaults(bucketNow, record.attributes);
        return { ...comingOf(id, now(), { ...content, attributes }, also), countedBytes };
      };
      const transact: Transact = async (compares, writes) => {
        if ((await catalog.get(at)) === null) throw noSuchUpload();
        return catalog.transact([...compares, { key: at, revision }], writes);
      };
      const arrival = { kind: 'upload', cause } as const;
      return ending(reservation, async () => {
        const made = await versions.install(bucket, key, reservation, make, arrival, transact);
        early.finish(parts.flatMap((part) => part.segments));
        return versionOf(key, made);
      });
    });
  }

  /** @throws SkerryError not-found (no-such-upload, no-such-bucket) */
  async find(name: UploadName): Promise<OpenUpload> {
    const upload = await this.#open(name);
    if (upload === null) throw noSuchUpload();
    return upload;
  }

  async #open({ bucket: name, key, uploadId }: UploadName): Promise<OpenUpload | null> {
    checkKey(key);
    const { record: bucket } = await this.#options.buckets.get(name);
    const at = uploadKey(bucket.id, key, uploadNumber(uploadId));
    const entry = await this.#options.catalog.get(at);
    return entry === null ? null : { bucket, record: decodeUpload(entry.value), at, revision: entry.revision };
  }

  /** The version that these parts of the upload became. @throws SkerryError not-found (no-such-upload) */
  async #completed({ bucket: name, key, uploadId, parts }: CompleteOrder): Promise<Version> {
    const { buckets, versions } = this.#options;
    const { record: bucket } = await buckets.get(name);
    const upload = uploadNumber(uploadId);
    const etag = joinedEtag(parts.map((part) => part.etag));
    const isIt = (found: ObjectRecord): boolean => found.upload === upload && found.etag === etag;
    const made = await versions.among(bucket, key, isIt);
    // Written once more as it is: where the first answer was a failure, this is how it is known to be durable.
    const sure = made && (await versions.change(bucket, key, versionIdOf(made), (found) => (isIt(found) ? found : gone())));
    return sure === null ? gone() : versionOf(key, sure);
  }

  async #parts(upload: number): Promise<readonly CatalogEntry[]> {
    const all: CatalogEntry[] = [];
    for (let after: string | undefined; ; ) {
      const page = await this.#options.catalog.range(partsPrefix(upload), {
        entriesMax: parts_per_read_max,
        ...(after === undefined ? {} : { after }),
      });
      all.push(...page);
      after = page.at(-1)?.key;
      if (page.length < parts_per_read_max) return all;
    }
  }

  #chosen(entries: readonly CatalogEntry[], listed: CompleteOrder['parts']) {
    const there = new Map(entries.map((entry) => [lastNumber(entry.key), entry]));
    if (listed.length === 0)
      throw new SkerryError('invalid', 'an upload is completed with one part at least', { reason: 'malformed' });
    const parts: BodyPart[] = [];
    const etags: string[] = [];
    let before = 0;
    for (const { number, etag, checksum } of listed) {
      if (number <= before)
        throw new SkerryError('invalid', 'the parts are not listed in ascending order', { reason: 'invalid-part-order' });
      before = number;
      const entry = there.get(number);
      const record = entry === undefined ? null : decodePart(entry.value);
      const same = record !== null && record.etag === etag && (checksum === undefined || checksum === record.part.checksum);
      if (!same)
        throw new SkerryError('invalid', `part ${number} was not uploaded, or is another one`, { reason: 'invalid-part' });
      const { partBytesMin = part_bytes_min } = this.#options;
      if (parts.length > 0 && (parts.at(-1)?.bytes ?? 0) < partBytesMin)
        throw new SkerryError('invalid', `each part but the last has at least ${partBytesMin} bytes`, {
          reason: 'entity-too-small',
        });
      parts.push(record.part);
      etags.push(etag);
      there.delete(number);
    }
    return { parts, etags, left: [...there.values()] };
  }
}

/** That of bytes that are copied without being read: of S3's callers none may suppose more of it than that it is one. */
export function sharedEtag(source: number, offset: number, bytes: number): string {
  return createHash('md5').update(`${source} ${offset} ${bytes}`).digest('hex');
}

/** @throws SkerryError not-found (no-such-upload) for what is none */
function uploadNumber(uploadId: string): number {
  const id = idOfTold(uploadId);
  if (id === null) throw noSuchUpload();
  return id;
}

function gone(): never {
  throw noSuchUpload();
}

function checkPart(number: number, bytes: number): void {
  if (!Number.isSafeInteger(number) || number < 1 || number > parts_max)
    throw new SkerryError('invalid', `parts are numbered 1 to ${parts_max}`, { reason: 'invalid-part-number' });
  if (bytes > put_bytes_max) throw new SkerryError('too-large', `a part has at most ${put_bytes_max} bytes`);
}

function releaseOfPart(entry: CatalogEntry): readonly Write[] {
  const { id, part } = decodePart(entry.value);
  const released = releaseOf(id, { parts: [part], chain: [] });
  return released === null ? [] : [released];
}

function countedBytesOf(entries: readonly CatalogEntry[]): number {
  return entries.reduce((sum, { value }) => {
    const { counted: isCounted, part } = decodePart(value);
    return isCounted === true ? sum + part.bytes : sum;
  }, 0);
}

function viewOf(number: number, { etag, modifiedAt, part }: PartRecord): PartView {
  return { number, etag, bytes: part.bytes, checksum: part.checksum, modifiedAt };
}
