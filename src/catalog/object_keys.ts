/**
 * Keys of the catalog about objects. The catalog orders keys as strings of printable characters, and S3 orders object keys as
 * bytes of UTF-8: so an object's key stands there in base 64 with digits that ascend, which keeps the order of the bytes.
 *
 * Inside a listing an object key is a *byte string*: one character for each byte of UTF-8. JavaScript compares these as bytes,
 * which it does not do with text (it compares units of UTF-16).
 */
import { SkerryError } from '../core/errors.js';
import { idText } from './keys.js';

export const bucketPrefix = 'bucket/';
export const bucketDocumentPrefix = 'bucket-document/';
const shelfPrefix = 'shelf/';
const domainShelfPrefix = 'shelf-domain/';
export const regionPrefix = 'region/';
export const extentPrefix = 'extent/';
export const frozenShelfPrefix = 'shelf-frozen/';
export const knownPrefix = 'known/';
export const releasedPrefix = 'released/';
export const objectCounterKey = 'counter/object';

const digits = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz';
const standardDigits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const digitCodes = Buffer.from(digits, 'latin1');
const toStandard = translation(digits, standardDigits);
/** Of base 64: what an object's key of 1024 bytes takes, and more. */
const encoding = Buffer.allocUnsafeSlow(2048);
/** Below every digit: what a key is followed by comes before what a longer key goes on with. */
const key_end = '!';
/** Above every digit and every hexadecimal one. */
const after_all = '~';

/** Where the version stands that a bucket has of a key before it is ever versioned: after all others, at a place that is known. */
export const last_order = 'f'.repeat(16);

export function bucketKey(name: string): string {
  return `${bucketPrefix}${name}`;
}

export function accountBucketsPrefix(account: number): string {
  return `account-bucket/${hex(account)}/`;
}

export function accountBucketKey(account: number, name: string): string {
  return `${accountBucketsPrefix(account)}${name}`;
}

export function bucketDocumentsPrefix(bucket: number): string {
  return `${bucketDocumentPrefix}${idText(bucket)}/`;
}

export function bucketDocumentKey(bucket: number, kind: string): string {
  return `${bucketDocumentsPrefix(bucket)}${kind}`;
}

/** Of all versions of all objects of a bucket. */
export function objectsPrefix(bucket: number): string {
  return `object/${idText(bucket)}/`;
}

/** Of all versions of one object, the newest first. `key` is text. */
export function versionsPrefix(bucket: number, key: string): string {
  return `${objectsPrefix(bucket)}${encodeKey(byteString(key))}${key_end}`;
}

export function versionKey(bucket: number, key: string, order: string): string {
  return `${versionsPrefix(bucket, key)}${order}`;
}

/** The larger the id, the earlier it comes. */
export function orderOf(id: number): string {
  return hex(Number.MAX_SAFE_INTEGER - id);
}

/** Holds the id of the null version of a key, where that does not stand at `last_order`. */
export function nullVersionKey(bucket: number, key: string): string {
  return `object-null/${idText(bucket)}/${encodeKey(byteString(key))}`;
}

/** One record of a body with many parts. */
export function bodyPartsKey(object: number, index: number): string {
  return `object-body/${idText(object)}/${hex(index, 4)}`;
}

export function uploadsPrefix(bucket: number): string {
  return `upload/${idText(bucket)}/`;
}

export function uploadKey(bucket: number, key: string, upload: number): string {
  return `${uploadsPrefix(bucket)}${encodeKey(byteString(key))}${key_end}${idText(upload)}`;
}

export function partsPrefix(upload: number): string {
  return `upload-part/${idText(upload)}/`;
}

export function partKey(upload: number, number: number): string {
  return `${partsPrefix(upload)}${hex(number, 4)}`;
}

/** Which shelf a body may lie in: of a pool and a domain, null for the pool's own (docs/decisions/0076-a-domain-for-each-account.md). */
export interface ShelfPlace {
  readonly pool: string;
  readonly domain: number | null;
}

export function shelvesPrefix({ pool, domain }: ShelfPlace): string {
  return domain === null ? `${shelfPrefix}${pool}/` : `${domainShelfPrefix}${pool}/${hex(domain)}/`;
}

/** Of all shelves whose blocks have a domain of their own. */
export const domainShelvesPrefix = domainShelfPrefix;

/** Of the blocks of such a shelf, by its key. */
export function shelfDomain(key: string): number {
  const domain = Number.parseInt(key.split('/')[2] ?? '', 16);
  if (Number.isNaN(domain)) throw new RangeError(`${key} is of no shelf with a domain`);
  return domain;
}

/** `number` counts the shelves of a place. */
export function shelfKey(place: ShelfPlace, number: number): string {
  return `${shelvesPrefix(place)}${hex(number, 8)}`;
}

/** Of a shelf that holds one resource, by its own resource id. */
export function frozenShelfKey(shelf: number): string {
  return `${frozenShelfPrefix}${idText(shelf)}`;
}

export function regionKey(shelf: number, start: number): string {
  return `${regionPrefix}${idText(shelf)}/${hex(start)}`;
}

export function extentsPrefix(shelf: number): string {
  return `${extentPrefix}${idText(shelf)}/`;
}

export function extentKey(shelf: number, offset: number): string {
  return `${extentsPrefix(shelf)}${hex(offset)}`;
}

/** Of a small body by the sum of its content, which is of one account and pool. */
export function knownKey(sum: Uint8Array): string {
  return knownPrefix + Buffer.from(sum.buffer, sum.byteOffset, sum.byteLength).toString('base64url');
}

/** Of a body that nothing names any more, by the id that it had. */
export function releasedKey(id: number): string {
  return `${releasedPrefix}${idText(id)}`;
}

/** The number in the last part of a key. @throws SkerryError corrupt */
export function lastNumber(key: string): number {
  const text = key.slice(key.lastIndexOf('/') + 1);
  const value = /^[0-9a-f]{1,16}$/.test(text) ? Number.parseInt(text, 16) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw new SkerryError('corrupt', `${key} of the catalog does not end with a number`);
  return value;
}

/** One character for each byte of the text's UTF-8. */
export function byteString(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return /^[\0-\x7f]*$/.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

export function textOfBytes(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/** `a` before `b` as byte strings says `encodeKey(a)` before `encodeKey(b)`, with what follows a key behind each. */
export function encodeKey(bytes: string): string {
  const characters = Math.ceil((bytes.length * 4) / 3);
  const encoded = characters <= encoding.length ? encoding : Buffer.allocUnsafe(characters);
  // Six bits a digit; what is left of the last byte is followed by zeros.
  let bits = 0;
  let count = 0;
  let used = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    bits = ((bits << 8) | bytes.charCodeAt(at)) & 0xffff;
    for (count += 8; count >= 6; ) {
      count -= 6;
      encoded[used++] = digitCodes[(bits >> count) & 0x3f] ?? 0;
    }
  }
  if (count > 0) encoded[used++] = digitCodes[(bits << (6 - count)) & 0x3f] ?? 0;
  return encoded.toString('latin1', 0, used);
}

/** A catalog key under `prefix` (objectsPrefix, uploadsPrefix) in its parts. @throws SkerryError corrupt */
export function splitKey(prefix: string, catalogKey: string): { readonly key: string; readonly rest: string } {
  const end = catalogKey.indexOf(key_end, prefix.length);
  if (end < 0) throw new SkerryError('corrupt', `${catalogKey} of the catalog names no object`);
  const encoded = translated(catalogKey.slice(prefix.length, end), toStandard);
  return { key: Buffer.from(encoded, 'base64url').toString('latin1'), rest: catalogKey.slice(end + 1) };
}

/** Comes before all of the byte string `key`, and after all that is before it. */
export function beforeKey(prefix: string, key: string): string {
  return prefix + encodeKey(key);
}

/** Comes after all versions or uploads of the byte string `key`, and before the next key. */
export function afterKey(prefix: string, key: string): string {
  return prefix + encodeKey(key) + key_end + after_all;
}

/** Comes after all whose key begins with the byte string `begin`, and before the next. */
export function afterPrefix(prefix: string, begin: string): string {
  let end = begin.length;
  while (end > 0 && begin.charCodeAt(end - 1) === 0xff) end -= 1;
  if (end === 0) return prefix + after_all;
  return prefix + encodeKey(begin.slice(0, end - 1) + String.fromCharCode(begin.charCodeAt(end - 1) + 1));
}

/** Comes before what `rest` begins of one key: with `after` of a range, the place itself is left out. */
export function placeOf(prefix: string, key: string, rest: string): string {
  return prefix + encodeKey(key) + key_end + rest;
}

function hex(value: number, characters = 16): string {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} cannot stand in a key of the catalog`);
  return value.toString(16).padStart(characters, '0');
}

function translation(from: string, to: string): Uint8Array {
  const table = new Uint8Array(128);
  for (let index = 0; index < from.length; index += 1) table[from.charCodeAt(index)] = to.charCodeAt(index);
  return table;
}

function translated(text: string, table: Uint8Array): string {
  const characters = Buffer.from(text, 'latin1');
  for (let index = 0; index < characters.length; index += 1) characters[index] = table[characters[index] ?? 0] ?? 0;
  return characters.toString('latin1');
}
