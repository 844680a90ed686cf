/** Keys of the catalog: one place that spells them. An id is 16 hexadecimal digits, so that keys sort by id. */
import { createHash } from 'node:crypto';

import { SkerryError } from '../core/errors.js';
import type { ResourceKind, ResourceRecord } from './records.js';

export const resourcePrefix = 'resource/';
/** The root chunk of a resource that is here is not yet in the pool: upkeep puts it. The value is empty. */
export const rootDuePrefix = 'root-due/';
export const poolPrefix = 'pool/';
/** Values are paths of files that are being written, as text. */
export const unfinishedFilePrefix = 'unfinished-file/';
/** Under the id of what is moved to another pool: a Move; and for each resource that goes with it, under both ids, a Carried. */
export const movePrefix = 'move/';
export const carriedPrefix = 'carried/';
/** Under a volume's id: a Replication; and of the copy under way, a Carried. */
export const replicationPrefix = 'replication/';
export const replicatingPrefix = 'replicating/';
export const resourceCounterKey = 'counter/resource';
/** The uuid that the data directory was given when its catalog was made, as text. */
export const ownUuidKey = 'daemon/uuid';
export const accountPrefix = 'account/';
/** Hold the id of an account: by name, by its number of 12 digits, and by its canonical id. */
export const accountNamePrefix = 'account-name/';
export const accountNumberPrefix = 'account-number/';
export const canonicalIdPrefix = 'account-canonical/';
export const accountCounterKey = 'counter/account';
export const userPrefix = 'user/';
export const accessKeyPrefix = 'access-key/';
/** When a key was used last: beside the key, which that would change every minute. */
export const keyUsePrefix = 'access-key-used/';
export const bucketQuotaPrefix = 'bucket-quota/';
export const countedPrefix = 'counted/';
export const usagePrefix = 'usage/';
/** Something known, wrapped under the data directory's identity key: whether that is the right one. */
export const identityCheckKey = 'identity/check';
/** Of a bucket in a key; a longer one is spelled by its hash. */
const bucket_characters_max = 200;

export function resourceKey(id: number): string {
  return `${resourcePrefix}${idText(id)}`;
}

export function rootDueKey(id: number): string {
  return `${rootDuePrefix}${idText(id)}`;
}

export function moveKey(id: number): string {
  return `${movePrefix}${idText(id)}`;
}

/** Of one move: all that go with it. */
export function carriedOfPrefix(move: number): string {
  return `${carriedPrefix}${idText(move)}/`;
}

export function replicationKey(id: number): string {
  return `${replicationPrefix}${idText(id)}`;
}

export function replicatingKey(id: number): string {
  return `${replicatingPrefix}${idText(id)}`;
}

export function carriedKey(move: number, id: number): string {
  return `${carriedOfPrefix(move)}${idText(id)}`;
}

/** Holds the id of the resource of that kind and name (encodeId). */
export function nameKey(kind: ResourceKind, name: string): string {
  return `${namePrefix(kind)}${name}`;
}

/** Of a resource's name; a shelf's leads to no volume. null where it has none. */
export function ownNameKey({ kind, name, shelf }: Pick<ResourceRecord, 'kind' | 'name' | 'shelf'>): string | null {
  if (name === '') return null;
  return shelf === true ? `name/shelf/${name}` : nameKey(kind, name);
}

/** Of all names of a kind; with `begin`, of those that begin so: `vm1@` finds the snapshots of vm1. */
export function namePrefix(kind: ResourceKind, begin = ''): string {
  return `name/${kind}/${begin}`;
}

/** `mark`: hexadecimal digits that no other has. */
export function unfinishedFileKey(mark: string): string {
  return `${unfinishedFilePrefix}${mark}`;
}

export function poolKey(name: string): string {
  return `${poolPrefix}${name}`;
}

export function idText(id: number): string {
  if (!Number.isSafeInteger(id) || id <= 0) throw new RangeError(`${id} is no resource id`);
  return id.toString(16).padStart(16, '0');
}

/** The id that a key ends with. @throws SkerryError corrupt */
export function idOfKey(key: string): number {
  return decodeId(new TextEncoder().encode(key.slice(key.lastIndexOf('/') + 1)));
}

/** The value under a nameKey. */
export function encodeId(id: number): Uint8Array {
  return new TextEncoder().encode(idText(id));
}

/** @throws SkerryError corrupt */
export function decodeId(value: Uint8Array): number {
  const text = new TextDecoder().decode(value);
  const id = /^[0-9a-f]{16}$/.test(text) ? Number.parseInt(text, 16) : 0;
  if (!Number.isSafeInteger(id) || id === 0)
    throw new SkerryError('corrupt', `${JSON.stringify(text.slice(0, 40))} under a name of the catalog is no resource id`);
  return id;
}

export function accountKey(id: number): string {
  return `${accountPrefix}${idText(id)}`;
}

/** Users of one account. */
export function usersPrefix(account: number): string {
  return `${userPrefix}${idText(account)}/`;
}

export function userKey(account: number, name: string): string {
  return `${usersPrefix(account)}${name}`;
}

export function accessKeyKey(accessKey: string): string {
  return `${accessKeyPrefix}${accessKey}`;
}

export function keyUseKey(accessKey: string): string {
  return `${keyUsePrefix}${accessKey}`;
}

/** Which access keys an account has; the values are empty. */
export function keysOfAccountPrefix(account: number): string {
  return `account-access-key/${idText(account)}/`;
}

export function bucketQuotasPrefix(account: number): string {
  return `${bucketQuotaPrefix}${idText(account)}/`;
}

export function bucketQuotaKey(account: number, bucket: string): string {
  return `${bucketQuotasPrefix(account)}${bucketText(bucket)}`;
}

export function countedOfAccountPrefix(account: number): string {
  return `${countedPrefix}${idText(account)}/`;
}

/** What is stored in a bucket is the sum of its shards. */
export function countedKey(account: number, bucket: string, shard: number): string {
  return `${countedOfAccountPrefix(account)}${bucketText(bucket)}/${idText(shard)}`;
}

/** `hour`: milliseconds since 1970, the beginning of it. By hour first, so that those that are too old are a range. */
export function usageHourPrefix(hour: number): string {
  return `${usagePrefix}${new Date(hour).toISOString().slice(0, 13)}/`;
}

export function usageOfAccountPrefix(hour: number, account: number): string {
  return `${usageHourPrefix(hour)}${idText(account)}/`;
}

export function usageKey(hour: number, account: number, bucket: string): string {
  return `${usageOfAccountPrefix(hour, account)}${bucketText(bucket)}`;
}

/** Any name, in characters that a key may have. A name never begins with = when it is percent-encoded. */
function bucketText(bucket: string): string {
  const plain = encodeURIComponent(bucket);
  if (plain.length <= bucket_characters_max) return plain;
  return `=${createHash('sha256').update(bucket).digest('hex')}`;
}
