/** Objects of read-only buckets: what a shelf holds as a whole, without a byte being written for it. */
import { extentKey } from '../catalog/object_keys.js';
import { encodeExtent } from '../catalog/shelf_records.js';
import type { Buckets } from './buckets.js';
import { comingOf } from './making.js';
import { ending, type Meter } from './meter.js';
import { noCause } from './notices.js';
import type { GivenAttributes, Objects } from './objects.js';
import { versionOf, type ObjectName, type Version } from './object_version.js';
import { checkKey, type Make, type Versions } from './versions.js';

export interface PublishOrder extends ObjectName {
  /** Resource id, and how much is in it. */
  readonly shelf: number;
  readonly bytes: number;
  readonly etag: string;
  readonly modifiedAt: number;
  readonly attributes: GivenAttributes;
}

export interface PublishedObjectsOptions {
  readonly buckets: Pick<Buckets, 'get'>;
  readonly objects: Pick<Objects, 'withDefaults'>;
  /** That may change what is in read-only buckets. */
  readonly versions: Versions;
  readonly meter: Meter;
  readonly now: () => number;
}

export class PublishedObjects {
  readonly #options: PublishedObjectsOptions;

  constructor(options: PublishedObjectsOptions) {
    this.#options = options;
  }

  /** In place of what is there. The shelf was made for this, and nothing else is in it. */
  async put({ shelf, bytes, etag, modifiedAt, ...order }: PublishOrder): Promise<Version> {
    const { buckets, objects, versions, meter } = this.#options;
    const key = checkKey(order.key);
    const { record: bucket } = await buckets.get(order.bucket);
    const parts = [{ bytes, checksum: '', segments: [{ shelf, extent: 0, start: 0, bytes }] }];
    const extent = { key: extentKey(shelf, 0), value: encodeExtent({ bytes, owners: 1 }) };
    return ending(meter.reserve(bucket, { bytes, objects: 1 }), async (reservation) => {
      const make: Make = (id, _newest, now) => {
        const attributes = objects.withDefaults(now, order.attributes);
        return comingOf(id, modifiedAt, { parts, etag, checksum: null, multipart: false, attributes }, [extent]);
      };
      const record = await versions.install(bucket, key, reservation, make, { kind: 'put', cause: noCause });
      return versionOf(key, record);
    });
  }

  async has({ bucket: name, key }: ObjectName): Promise<boolean> {
    const { buckets, versions } = this.#options;
    return (await versions.newest((await buckets.get(name)).record, checkKey(key))) !== null;
  }

  async remove({ bucket: name, key }: ObjectName): Promise<void> {
    const { buckets, versions, now } = this.#options;
    const { record: bucket } = await buckets.get(name);
    const departure = { expired: false, cause: noCause };
    await versions.remove(bucket, checkKey(key), bucket.account, now(), () => undefined, departure);
  }
}
