/** Parts of uploads that are copies of objects, or of ranges of them: they share the bytes. */
import type { Catalog } from '../catalog/catalog.js';
import type { ObjectRecord, Segment } from '../catalog/object_records.js';
import { SkerryError } from '../core/errors.js';
import type { IdAllocator } from '../mapper/id_allocator.js';
import type { Bodies } from './bodies.js';
import type { BodyHolds } from './body_holds.js';
import { segmentsWithin } from './body_parts.js';
import { readBody } from './body_reading.js';
import type { Buckets } from './buckets.js';
import { judgeRead, preconditionFailed, type Conditions } from './conditions.js';
import { newSum } from './sums.js';
import type { Extents } from './extents.js';
import { ending, type Meter } from './meter.js';
import type { Objects } from './objects.js';
import type { VersionName } from './object_version.js';
import { sharedEtag, type OpenUpload, type PartView, type UploadName, type Uploads } from './uploads.js';

/** A range that lies in more is read and stored again: ten thousand such parts would make a body of too many pieces. */
const shared_segments_max = 64;

export interface PartCopyOrder extends UploadName {
  readonly number: number;
  readonly from: VersionName;
  /** Absent: the whole source. */
  readonly range?: { readonly offset: number; readonly bytes: number };
  readonly fromConditions?: Conditions;
  /** Of a source that is sealed: it is read, and sealed anew where the upload is. */
  readonly sourceKey?: Uint8Array;
  /** Where the upload has a seal. */
  readonly objectKey?: Uint8Array;
  /** Who asks for it, as in PutOrder. */
  readonly account?: number;
}

export interface PartCopiesOptions {
  readonly catalog: Catalog;
  readonly buckets: Buckets;
  readonly objects: Objects;
  readonly uploads: Uploads;
  readonly bodies: Bodies;
  readonly extents: Extents;
  readonly holds: BodyHolds;
  readonly meter: Meter;
  readonly ids: IdAllocator;
  readonly now: () => number;
}

export class PartCopies {
  readonly #options: PartCopiesOptions;

  constructor(options: PartCopiesOptions) {
    this.#options = options;
  }

  /** @throws SkerryError invalid (invalid-range), conflict (precondition-failed), not-found */
  async copyPart(order: PartCopyOrder): Promise<PartView> {
    const { catalog, objects, uploads, buckets, holds } = this.#options;
    const upload = await uploads.find(order);
    const hold = holds.begin();
    try {
      const source = await objects.find(order.from);
      hold.choose(source.id);
      if (judgeRead(order.fromConditions ?? {}, source) !== 'proceed') throw preconditionFailed();
      const { offset, bytes } = order.range ?? { offset: 0, bytes: source.bytes };
      if (offset < 0 || bytes < 0 || offset + bytes > source.bytes)
        throw new SkerryError('invalid', `the source has ${source.bytes} bytes`, { reason: 'invalid-range' });
      const segments: Segment[] = [];
      for await (const segment of segmentsWithin(catalog, source.id, source.body, offset, bytes)) {
        segments.push(segment);
        if (segments.length > shared_segments_max) break;
      }
      const { pool } = (await buckets.get(order.from.bucket)).record;
      const sealed = source.attributes.seal !== undefined || upload.record.attributes.seal !== undefined;
      if (!sealed && segments.length <= shared_segments_max && pool === upload.bucket.pool)
        return await this.#share(order, upload, source, segments, { offset, bytes });
      const content = readBody(this.#options, source, { offset, bytes, objectKey: order.sourceKey });
      return await uploads.putPart({ ...order, content, bytes });
    } finally {
      hold.end();
    }
  }

  async #share(
    { number }: PartCopyOrder,
    upload: OpenUpload,
    source: ObjectRecord,
    segments: readonly Segment[],
    { offset, bytes }: { readonly offset: number; readonly bytes: number },
  ): Promise<PartView> {
    const { catalog, uploads, extents, meter, ids, now } = this.#options;
    const whole = bytes === source.bytes && !source.multipart;
    const etag = whole ? source.etag : sharedEtag(source.id, offset, bytes);
    return ending(meter.reserve(upload.bucket, { bytes, objects: 0 }), async (reservation) => {
      const part = { bytes, checksum: await this.#checksum(upload, source, segments, bytes), segments };
      const record = { id: await ids.next(), etag, modifiedAt: now(), part };
      return uploads.commitPart(upload, number, record, reservation, (compares, writes) =>
        extents.share(segments, (others, counts) => catalog.transact([...compares, ...others], [...writes, ...counts])),
      );
    });
  }

  /** An upload with checksums wants one of every part, for which it has to be read, but for a whole source that has its own. */
  async #checksum({ record }: OpenUpload, source: ObjectRecord, segments: readonly Segment[], bytes: number): Promise<string> {
    if (record.checksum === null) return '';
    const { checksum: known } = source;
    const isOfAll = known?.type === 'full-object' && bytes === source.bytes;
    if (isOfAll && known.algorithm === record.checksum.algorithm) return known.value;
    const sum = newSum(record.checksum.algorithm);
    for await (const piece of this.#options.bodies.read(segments)) sum.update(piece);
    return sum.digest().toString('base64');
  }
}
