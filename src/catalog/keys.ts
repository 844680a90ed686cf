/** Keys of the catalog: one place that spells them. An id is 16 hexadecimal digits, so that keys sort by id. */
import { SkerryError } from '../core/errors.js';
import type { ResourceKind } from './records.js';

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
