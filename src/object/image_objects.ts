/**
 * Images that were imported are objects, too: each is put into a bucket of an account when its import ends, with no byte copied, and
 * goes from there with the image. The bucket is an ordinary one: what else is in it, and what its users make of the object, is theirs.
 * Which image is to be which object is written in the transaction that makes it an image, so no crash comes between.
 */
import type { Catalog, Write } from '../catalog/catalog.js';
import {
  decodeImageObject,
  encodeImageObject,
  imageObjectKey,
  imageObjectPrefix,
  type ImageObjectRecord,
} from '../catalog/image_object_record.js';
import { lastNumber } from '../catalog/object_keys.js';
import type { ResourceRecord } from '../catalog/records.js';
import { isSkerryError, SkerryError } from '../core/errors.js';
import type { Account } from '../identity/accounts.js';
import type { FrozenShelves } from '../mapper/frozen_shelves.js';
import type { Ledger } from '../mapper/ledger.js';
import { rootIdText } from '../mapper/resource_spec.js';
import { readyOrNull } from '../mapper/sources.js';
import { checkBucketName, type Buckets } from './buckets.js';
import { DueWork } from './due_work.js';
import type { ObjectName } from './object_version.js';
import { unreadEtag, type PublishedObjects } from './published_objects.js';

const records_per_read_max = 256;
const default_bucket = 'images';

/** Where an import asks its image to be. */
export interface ImageObjectOrder {
  /** Of the image, and so of the object. */
  readonly name: string;
  readonly pool?: string;
  /** Absent: the one of the settings, or the only one that there is. */
  readonly account?: string;
  /** Absent: `images`. */
  readonly bucket?: string;
}

export type ImageObjectPlan =
  | { readonly place: ObjectName; readonly also: (image: number) => readonly Write[] }
  /** `why`: what an operator may do about it; null where nobody uses objects. */
  | { readonly place: null; readonly why: string | null };

export interface ImageObjectsOptions {
  readonly catalog: Catalog;
  readonly ledger: Ledger;
  readonly frozen: Pick<FrozenShelves, 'during'>;
  readonly buckets: Pick<Buckets, 'get' | 'create'>;
  readonly published: Pick<PublishedObjects, 'put' | 'remove' | 'current'>;
  readonly accounts: {
    get(name: string): Promise<Pick<Account, 'id'>>;
    list(page: { readonly accountsMax: number }): Promise<readonly Pick<Account, 'id'>[]>;
  };
  /** By its name; null: the only one that there is. */
  readonly account: string | null;
  readonly defaultPool: string;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
}

export class ImageObjects {
  readonly #options: ImageObjectsOptions;
  /** Images that changed since they were last looked at, by their ids. */
  readonly #due: DueWork;

  constructor(options: ImageObjectsOptions) {
    this.#options = options;
    this.#due = new DueWork({
      work: (image) => this.#follow(Number(image)),
      onFailure: (image, { code, message }) =>
        options.log('warn', 'an image is not the object that it should be; it is tried again', {
          image: Number(image),
          code,
          error: message,
        }),
    });
  }

  /** @throws SkerryError of the catalog */
  async start(): Promise<void> {
    const { catalog, ledger } = this.#options;
    ledger.observe(({ kind, id }) => {
      if (kind === 'image') this.#due.add(String(id));
    });
    for (let after: string | undefined; ; ) {
      const page = await catalog.range(imageObjectPrefix, {
        entriesMax: records_per_read_max,
        ...(after === undefined ? {} : { after }),
      });
      for (const { key } of page) this.#due.add(String(lastNumber(key)));
      after = page.at(-1)?.key;
      if (page.length < records_per_read_max) return;
    }
  }

  /** Resolves when nothing is under way any more. */
  stop(): Promise<void> {
    return this.#due.stop();
  }

  /**
   * Before an import. What was asked for and cannot be is refused; what nobody asked for is left out, with words.
   * @throws SkerryError not-found, denied, conflict, exists, invalid
   */
  async plan(order: ImageObjectOrder): Promise<ImageObjectPlan> {
    const asked = order.account !== undefined || order.bucket !== undefined;
    try {
      const account = await this.#accountOf(order.account);
      if (account === null) return { place: null, why: null };
      const { bucket = default_bucket, name: key, pool = this.#options.defaultPool } = order;
      const record = { account, bucket, key: '', object: 0 };
      await this.#check(record, key, pool);
      const also = (image: number) => [{ key: imageObjectKey(image), value: encodeImageObject(record) }];
      return { place: { bucket, key }, also };
    } catch (error) {
      if (asked || !(error instanceof SkerryError) || error.retry) throw error;
      return { place: null, why: error.message };
    }
  }

  /** null where there is none. */
  async #accountOf(named: string | undefined): Promise<number | null> {
    const { accounts, account } = this.#options;
    const name = named ?? account;
    if (name !== null) return (await accounts.get(name)).id;
    const [first, second] = await accounts.list({ accountsMax: 2 });
    if (second === undefined) return first?.id ?? null;
    throw new SkerryError(
      'invalid',
      'there are several accounts: say with --account ACCOUNT, or for all imports with the setting s3ImagesAccount, whose object the image is to be',
    );
  }

  async #check({ account, bucket }: ImageObjectRecord, key: string, pool: string): Promise<void> {
    const { buckets, published } = this.#options;
    let found;
    try {
      found = (await buckets.get(bucket)).record;
    } catch (error) {
      if (isSkerryError(error, 'not-found')) return checkBucketName(bucket);
      throw error;
    }
    if (found.account !== account)
      throw new SkerryError('denied', `bucket ${bucket} is another account's: name one with --bucket`);
    if (found.readOnly === true)
      throw new SkerryError('conflict', `bucket ${bucket} shows what a publication says: name another one with --bucket`);
    if (found.pool !== pool)
      throw new SkerryError(
        'conflict',
        `bucket ${bucket} is in pool ${found.pool}, and an object shares blocks with images of its pool alone`,
      );
    if ((await published.current({ bucket, key })) !== null) throw isThere({ bucket, key });
  }

  async #follow(image: number): Promise<void> {
    const { catalog, ledger, log } = this.#options;
    const entry = await catalog.get(imageObjectKey(image));
    if (entry === null) return;
    const record = decodeImageObject(entry.value);
    const found = readyOrNull(await ledger.get(image))?.record ?? null;
    const named = found === null || found.name === '' ? null : found;
    if (named !== null && record.object !== 0 && record.key === named.name) return;
    // Where its users have removed it, it does not come again.
    const stays = record.object === 0 || (await this.#takeAway(record));
    try {
      if (named !== null && stays) return await this.#show(record, named);
    } catch (error) {
      if (!(error instanceof SkerryError) || error.retry || error.code === 'try-again') throw error;
      const { bucket } = record;
      log('warn', 'an image cannot be an object', { image: named?.name, bucket, code: error.code, error: error.message });
    }
    await catalog.transact([], [{ key: imageObjectKey(image), value: null }]);
  }

  async #show({ account, bucket }: ImageObjectRecord, image: ResourceRecord): Promise<void> {
    const { buckets, published, frozen } = this.#options;
    const { id, name: key, pool, createdAt } = image;
    await this.#check({ account, bucket, key: '', object: 0 }, key, pool);
    try {
      await buckets.create({ name: bucket, account, pool });
    } catch (error) {
      if (!isSkerryError(error, 'exists')) throw error;
    }
    await frozen.during('image', key, async ({ id: shelf, root, sizeBytes: bytes }) => {
      const attributes = { owner: account, headers: { 'content-type': 'application/octet-stream' } };
      const etag = unreadEtag(rootIdText(root), bytes);
      const also = (object: number, current: unknown) => {
        if (current !== null) throw isThere({ bucket, key });
        return [{ key: imageObjectKey(id), value: encodeImageObject({ account, bucket, key, object }) }];
      };
      await published.put({ bucket, key, shelf, bytes, etag, modifiedAt: createdAt, attributes, also });
    });
  }

  /** False where it is no more what was put there. */
  async #takeAway({ bucket, key, object }: ImageObjectRecord): Promise<boolean> {
    const { published } = this.#options;
    try {
      await published.remove({ bucket, key }, (current) => {
        if (current?.id !== object) throw new SkerryError('not-found', `${bucket}/${key} is something else by now`);
      });
      return true;
    } catch (error) {
      if (isSkerryError(error, 'not-found')) return false;
      throw error;
    }
  }
}

function isThere({ bucket, key }: ObjectName): SkerryError {
  return new SkerryError(
    'exists',
    `there is an object s3://${bucket}/${key} already: remove it, or name another bucket with --bucket`,
  );
}
