/** Objects that are what a shelf holds as a whole, without a byte being written for them; in read-only buckets there are no others. */
import { createHash } from 'node:crypto';

import type { Write } from '../catalog/catalog.js';
import { extentKey } from '../catalog/object_keys.js';
import type { ObjectRecord } from '../catalog/object_records.js';
import { encodeExtent } from '../catalog/shelf_records.js';
import type { Buckets } from './buckets.js';
import { comingOf } from './making.js';
import { ending, type Meter } from './meter.js';
import { noCause } from './notices.js';
import type { GivenAttributes, Objects } from './objects.js';
import { versionOf, type ObjectName, type Version } from './object_version.js';
import { checkKey, visible, type Make, type Versions } from './versions.js';

export interface PublishOrder extends ObjectName {
  /** Resource id, and how much is in it. */
  readonly shelf: number;
  readonly bytes: number;
  readonly etag: string;
  readonly modifiedAt: number;
  readonly attributes: GivenAttributes;
  /** What is written with it: `object` is its id, and `current` what it is put in place of. It throws where that may not be. */
  readonly also?: (object: number, current: ObjectRecord | null) => readonly Write[];
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
  async put({ shelf, bytes, etag, modifiedAt, also = () => [], ...order }: PublishOrder): Promise<Version> {
    const { buckets, objects, versions, meter } = this.#options;
    const key = checkKey(order.key);
    const { record: bucket } = await buckets.get(order.bucket);
    const parts = [{ bytes, checksum: '', segments: [{ shelf, extent: 0, start: 0, bytes }] }];
    const extent = { key: extentKey(shelf, 0), value: encodeExtent({ bytes, owners: 1 }) };
    return ending(meter.reserve(bucket, { bytes, objects: 1 }), async (reservation) => {
      const make: Make = (id, newest, now) => {
        const attributes = objects.withDefaults(now, order.attributes);
        const writes = [extent, ...also(id, visible(newest))];
        return comingOf(id, modifiedAt, { parts, etag, checksum: null, multipart: false, attributes }, writes);
      };
      const record = await versions.install(bucket, key, reservation, make, { kind: 'put', cause: noCause });
      return versionOf(key, record);
    });
  }

  async has(name: ObjectName): Promise<boolean> {
    return (await this.current(name)) !== null;
  }

  /** What a reader of the key finds. */
  async current({ bucket: name, key }: ObjectName): Promise<ObjectRecord | null> {
    const { buckets, versions } = this.#options;
    return visible((await versions.newest((await buckets.get(name)).record, checkKey(key)))?.record ?? null);
  }

  /** `check` sees what is removed, and throws where that may not be. */
  async remove(
    { bucket: name, key }: ObjectName,
    check: (current: ObjectRecord | null) => void = () => undefined,
  ): Promise<void> {
    const { buckets, versions, now } = this.#options;
    const { record: bucket } = await buckets.get(name);
    const departure = { expired: false, cause: noCause };
    await versions.remove(bucket, checkKey(key), bucket.account, now(), check, departure);
  }
}

/** Nobody knows the MD5 of what nobody read; the dash says that this is none. */
export function unreadEtag(root: string, bytes: number): string {
  return `${createHash('md5').update(`${root} ${bytes}`).digest('hex')}-1`;
}
