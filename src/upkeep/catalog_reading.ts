/**
 * The catalog of a data directory that no daemon has, read without touching it: a copy is opened, for opening one writes. What
 * is asked of it is whether a daemon could go by it.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Catalog } from '../catalog/catalog.js';
import { decodeId, idOfKey, ownNameKey, ownUuidKey, poolPrefix, resourceCounterKey, rootDuePrefix } from '../catalog/keys.js';
import { openLmdbCatalog } from '../catalog/lmdb.js';
import { decodeCounter, decodePool, type PoolRecord, type ResourceRecord } from '../catalog/records.js';
import { toSkerryError } from '../core/errors.js';
import { packageRoot } from '../engine/engine.js';
import { Ledger } from '../mapper/ledger.js';

export interface CatalogContent {
  readonly pools: readonly PoolRecord[];
  readonly records: readonly ResourceRecord[];
  /** Ids of those whose root chunk is not in the pool yet. */
  readonly rootsDue: ReadonlySet<number>;
  /** The next id; 0 where none was ever given. */
  readonly nextId: number;
  /** Of the data directory; '' where none was ever given. */
  readonly uuid: string;
  /** Names that lead nowhere, or that their resource does not know: a sentence each. */
  readonly problems: readonly string[];
}

export type CatalogReading =
  | { readonly state: 'absent' }
  | { readonly state: 'damaged'; readonly why: string }
  | { readonly state: 'sound'; readonly content: CatalogContent };

/** Never changes a byte of it. @throws SkerryError where it cannot be copied */
export async function readCatalog(dataDirectory: string): Promise<CatalogReading> {
  const file = join(dataDirectory, 'catalog', 'data.mdb');
  // One of no bytes is what a crash left of a first start.
  if (!existsSync(file) || statSync(file).size === 0) return { state: 'absent' };
  const scratch = mkdtempSync(join(tmpdir(), 'skerry-catalog-'));
  try {
    mkdirSync(join(scratch, 'catalog'), { mode: 0o700 });
    copyFileSync(file, join(scratch, 'catalog', 'data.mdb'));
    const why = probe(scratch);
    return why === '' ? await readCopy(scratch) : { state: 'damaged', why };
  } catch (error) {
    throw toSkerryError(error, `the catalog ${file} cannot be copied to be read`);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** '' where a process of its own read it all; else why not. */
function probe(directory: string): string {
  const script = join(packageRoot(), 'dist', 'src', 'upkeep', 'catalog_probe.js');
  const { status, signal, stderr, error } = spawnSync(process.execPath, [script, directory], { encoding: 'utf8' });
  if (error !== undefined) throw error;
  if (status === 0) return '';
  return signal === null && status === 1
    ? stderr.trim()
    : `its pages are damaged so that reading them ends the process (${signal ?? status})`;
}

/** Of a copy that may be written to. */
export async function readCopy(directory: string): Promise<CatalogReading> {
  let catalog: Catalog | null = null;
  try {
    catalog = await openLmdbCatalog({ directory });
    return { state: 'sound', content: await contentOf(catalog) };
  } catch (error) {
    return { state: 'damaged', why: toSkerryError(error).message.replaceAll(`${directory}/`, '') };
  } finally {
    await catalog?.close();
  }
}

async function contentOf(catalog: Catalog): Promise<CatalogContent> {
  const pools = (await catalog.range(poolPrefix)).map(({ value }) => decodePool(value));
  const { entries } = await Ledger.open(catalog);
  const records = entries.map(({ record }) => record);
  const counter = await catalog.get(resourceCounterKey);
  return {
    pools,
    records,
    rootsDue: new Set((await catalog.range(rootDuePrefix)).map(({ key }) => idOfKey(key))),
    nextId: counter === null ? 0 : decodeCounter(counter.value).next,
    uuid: new TextDecoder().decode((await catalog.get(ownUuidKey))?.value),
    problems: await nameProblems(catalog, records),
  };
}

async function nameProblems(catalog: Catalog, records: readonly ResourceRecord[]): Promise<readonly string[]> {
  const named = new Map(records.map((record) => [ownNameKey(record), record]));
  named.delete(null);
  const problems: string[] = [];
  for (const { key, value } of await catalog.range('name/')) {
    const record = named.get(key);
    if (record?.id === decodeId(value)) named.delete(key);
    else problems.push(`${key} of the catalog leads to resource ${decodeId(value)}, which does not have that name`);
  }
  for (const { id, kind, name } of named.values()) problems.push(`${kind} ${name}, resource ${id}, is not found by its name`);
  return problems;
}
