/** What a data directory is given at its first start, and keeps: its own name, and the pool `default`. */
import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';

import type { Catalog, CatalogEntry, Write } from '../catalog/catalog.js';
import { ownUuidKey, poolKey } from '../catalog/keys.js';
import { decodePool, encodePool, type PoolRecord } from '../catalog/records.js';
import { SkerryError } from '../core/errors.js';

export const defaultPoolName = 'default';
/** Stands for the data directory in a pool's settings, so that the directory may be moved. */
const dataDirectoryMark = '{data}';

/** Of the pool that there is from the first start, with `{data}` for the data directory. */
export const defaultPoolSettings = { driver: 'local', settings: { directory: `${dataDirectoryMark}/pool` } } as const;

/**
 * A catalog that is gone is not made anew by the way: it would know nothing of what the pool holds, and the journal would be
 * replayed over nothing and let go.
 * @throws SkerryError corrupt where there is no catalog, and was one
 */
export function refuseLostCatalog(dataDirectory: string): void {
  const file = join(dataDirectory, 'catalog', 'data.mdb');
  if (existsSync(file) && statSync(file).size > 0) return;
  const left = [join('engine', 'journal', 'identity'), join('pool', 'root'), join('pool', 'tomb'), join('pool', 'identity')];
  const found = left.find((path) => existsSync(join(dataDirectory, path)));
  if (found === undefined) return;
  throw new SkerryError(
    'corrupt',
    `the catalog ${file} is gone, and ${join(dataDirectory, found)} is there: put a copy of it back, or have one made from the pool with skerry pool recover`,
  );
}

/** What a new catalog is given so that the daemon finds the ring it had; null: it has none. */
export function ownUuidWrite(uuid: string | null): Write {
  return { key: ownUuidKey, value: new TextEncoder().encode(uuid ?? randomUUID()) };
}

/** Names the ring at first: it must be found again after the process died. */
export async function dataDirectoryUuid(catalog: Catalog): Promise<string> {
  const value = await getOrInsert(catalog, ownUuidKey, () => new TextEncoder().encode(randomUUID()));
  const text = new TextDecoder().decode(value);
  if (!/^[0-9a-f-]{36}$/.test(text)) throw new SkerryError('corrupt', `${ownUuidKey} of the catalog is no uuid`);
  return text;
}

/** The pool of a daemon that was told of no other: chunks in the data directory itself. */
export async function defaultPool(catalog: Catalog, now: number): Promise<PoolRecord> {
  const value = await getOrInsert(catalog, poolKey(defaultPoolName), () =>
    encodePool({
      name: defaultPoolName,
      ...defaultPoolSettings,
      domain: 1,
      keyId: 1,
      domainKey: randomBytes(32),
      poolUuid: randomBytes(16),
      createdAt: now,
      compression: 'none',
      framed: false,
      encryption: null,
    }),
  );
  return decodePool(value);
}

/** The settings as the driver takes them. */
export function placedSettings(
  settings: Readonly<Record<string, string>>,
  dataDirectory: string,
): Readonly<Record<string, string>> {
  const placed = Object.entries(settings).map(([key, value]) => [
    key,
    value.startsWith(`${dataDirectoryMark}/`) ? `${dataDirectory}${value.slice(dataDirectoryMark.length)}` : value,
  ]);
  return Object.fromEntries(placed) as Record<string, string>;
}

async function getOrInsert(catalog: Catalog, key: string, make: () => Uint8Array): Promise<Uint8Array> {
  let found: CatalogEntry | null = await catalog.get(key);
  if (found === null) {
    await catalog.transact([{ key, revision: 0 }], [{ key, value: make() }]);
    // Read back: what counts is what is durable, whoever wrote it.
    found = await catalog.get(key);
  }
  if (found === null) throw new SkerryError('internal', `${key} is not in the catalog although it was just written`);
  return found.value;
}
