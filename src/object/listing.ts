/** Lists of objects, versions and uploads, page by page. A page costs what is on it and what it has to look at, never a sort. */
import type { Catalog } from '../catalog/catalog.js';
import {
  afterKey,
  afterPrefix,
  beforeKey,
  byteString,
  last_order,
  objectsPrefix,
  orderOf,
  placeOf,
  splitKey,
  textOfBytes,
  uploadsPrefix,
} from '../catalog/object_keys.js';
import { idText } from '../catalog/keys.js';
import { decodeObject, decodeUpload, type UploadRecord } from '../catalog/object_records.js';
import { SkerryError } from '../core/errors.js';
import type { Buckets } from './buckets.js';
import { groupOf, walkKeys, type Jump, type Row } from './key_walk.js';
import { versionOf, type Version } from './object_version.js';
import { idOfTold, toldId } from './told_ids.js';
import type { Versions } from './versions.js';

export const list_entries_max = 1000;
/** Looked at for one page, which ends there whatever it has found: its next page goes on. A bucket that was emptied may have delete markers by the million. */
export const rows_per_page_max = 10_000;

export interface ListOrder {
  readonly bucket: string;
  readonly prefix?: string;
  readonly delimiter?: string;
  /** What comes after this key, which may be the end of a group. */
  readonly after?: string;
  /** Where the page before ended; goes before `after`. */
  readonly token?: string;
  readonly entriesMax?: number;
  /** A page is not ended before something is on it, unless nothing is left: there are clients who take an empty one for the last. */
  readonly untilFound?: true;
}

export interface VersionListOrder extends ListOrder {
  /** With `after`: what is older than this version of it. */
  readonly afterVersion?: string;
}

export interface UploadListOrder extends ListOrder {
  /** With `after`: uploads of it that came later than this one. */
  readonly afterUpload?: string;
}

export interface UploadView {
  readonly key: string;
  readonly uploadId: string;
  readonly upload: UploadRecord;
}

export type ListEntry<T> = { readonly entry: 'group'; readonly prefix: string } | { readonly entry: 'item'; readonly item: T };

export interface Listed<T> {
  /** In the order of their bytes. */
  readonly entries: readonly ListEntry<T>[];
  /** For the next page; null where this was the last. */
  readonly token: string | null;
  /** The last key that was looked at, where it stands behind all entries and shows nothing: the next page may begin `after` it as well. */
  readonly passed?: string;
}

/** A version, and whether it is what a reader finds. */
export interface ListedVersion {
  readonly version: Version;
  readonly current: boolean;
}

/** What `take` makes of a row: an item, nothing to be seen, and where to go on then. */
type Taken<T> = { readonly item: T | null; readonly jump: Jump };

export interface ListingOptions {
  readonly catalog: Catalog;
  readonly buckets: Buckets;
  readonly versions: Pick<Versions, 'get'>;
  /** Default: rows_per_page_max. */
  readonly rowsPerPageMax?: number;
}

export class Listing {
  readonly #options: ListingOptions;

  constructor(options: ListingOptions) {
    this.#options = options;
  }

  /** What readers find. @throws SkerryError not-found (no-such-bucket), invalid (bad-token) */
  async objects(order: ListOrder): Promise<Listed<Version>> {
    const { record } = await this.#options.buckets.get(order.bucket);
    return this.#page(objectsPrefix(record.id), order, null, ({ key, value }) => {
      const found = decodeObject(value);
      // The newest comes first: what follows of the key is older.
      return { item: found.deleteMarker ? null : versionOf(textOfBytes(key), found), jump: 'next-key' };
    });
  }

  /** All versions and delete markers, of each key the newest first. */
  async versions(order: VersionListOrder): Promise<Listed<ListedVersion>> {
    const { record } = await this.#options.buckets.get(order.bucket);
    const under = objectsPrefix(record.id);
    const { after, afterVersion } = order;
    let place: string | null = null;
    // The key whose newest version was told: what follows of it is not current.
    let last: string | null = order.token === undefined ? null : keyOfPlace(under, decodeToken(under, order.token));
    if (after !== undefined && afterVersion !== undefined) {
      const entry = await this.#options.versions.get(record, after, afterVersion);
      const order_of_it = entry === null ? missingOrder(afterVersion) : entry.at.slice(entry.at.lastIndexOf('!') + 1);
      place = placeOf(under, byteString(after), order_of_it);
      last = byteString(after);
    }
    return this.#page(under, order, place, ({ key, value }) => {
      const current = key !== last;
      last = key;
      return { item: { version: versionOf(textOfBytes(key), decodeObject(value)), current }, jump: 'next' };
    });
  }

  async uploads(order: UploadListOrder): Promise<Listed<UploadView>> {
    const { record } = await this.#options.buckets.get(order.bucket);
    const under = uploadsPrefix(record.id);
    const { after, afterUpload } = order;
    const upload = afterUpload === undefined ? null : markedId(afterUpload);
    const place = after === undefined || upload === null ? null : placeOf(under, byteString(after), idText(upload));
    return this.#page(under, order, place, ({ key, value }) => {
      const found = decodeUpload(value);
      return { item: { key: textOfBytes(key), uploadId: toldId(found.id), upload: found }, jump: 'next' };
    });
  }

  async #page<T>(under: string, order: ListOrder, place: string | null, take: (row: Row) => Taken<T>): Promise<Listed<T>> {
    const prefix = byteString(order.prefix ?? '');
    const delimiter = byteString(order.delimiter ?? '');
    const entriesMax = Math.min(order.entriesMax ?? list_entries_max, list_entries_max);
    const { rowsPerPageMax = rows_per_page_max } = this.#options;
    const entries: ListEntry<T>[] = [];
    if (entriesMax <= 0) return { entries, token: null };
    const key = byteString(order.after ?? '');
    // A key that is the end of a group stands for the whole of it: so a page may end with it, and the next begin there.
    const toldGroup = order.token === undefined && key.startsWith(prefix) && groupOf(key, prefix, delimiter) === key ? key : null;
    const begin = place ?? (key === '' ? beforeKey(under, key) : afterKey(under, key));
    let after = order.token === undefined ? begin : decodeToken(under, order.token);
    let passed: string | null = null;
    let more = false;
    let rows = 0;
    await walkKeys({ catalog: this.#options.catalog, under, prefix, delimiter, after, toldGroup }, (row) => {
      rows += 1;
      const { item, jump } = take(row);
      const { key, rest, group } = row;
      // A key that is the end of a group would stand for the whole of it, of which this row is the next.
      const goesOn = order.untilFound === true && entries.length === 0;
      more = item === null ? rows > rowsPerPageMax && !goesOn && group !== passed : entries.length >= entriesMax;
      if (more) {
        if (group === passed) passed = null;
        return null;
      }
      passed = item === null ? key : null;
      if (item === null) {
        after = jump === 'next-key' ? afterKey(under, key) : placeOf(under, key, rest);
        return jump;
      }
      if (group !== null) {
        entries.push({ entry: 'group', prefix: textOfBytes(group) });
        after = afterPrefix(under, group);
        return 'next-group';
      }
      entries.push({ entry: 'item', item });
      after = jump === 'next-key' ? afterKey(under, key) : placeOf(under, key, rest);
      return jump;
    });
    return more
      ? { entries, token: encodeToken(under, after), ...(passed === null ? {} : { passed: textOfBytes(passed) }) }
      : { entries, token: null };
  }
}

/** Of one that is gone its id tells where it was. */
function missingOrder(versionId: string): string {
  if (versionId === 'null') return last_order;
  return orderOf(markedId(versionId));
}

/** @throws SkerryError invalid: a list did not tell of it */
function markedId(told: string): number {
  const id = idOfTold(told);
  if (id === null) throw badToken();
  return id;
}

function encodeToken(under: string, after: string): string {
  return Buffer.from(after.slice(under.length), 'latin1').toString('base64url');
}

/** @throws SkerryError invalid (bad-token) */
function decodeToken(under: string, token: string): string {
  const place = Buffer.from(token, 'base64url').toString('latin1');
  if (!/^[!-~]{0,1500}$/.test(place)) throw badToken();
  return under + place;
}

function keyOfPlace(under: string, place: string): string | null {
  return place.includes('!') ? splitKey(under, place).key : null;
}

function badToken(): SkerryError {
  return new SkerryError('invalid', 'the list cannot be gone on with from there', { reason: 'bad-token' });
}
