/**
 * A new catalog in the place of the one that was: built whole beside it, synced, then put there by renaming. Dying at any point
 * leaves the old one, or none and a daemon that refuses to start, or the new one; doing it again does it all.
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import type { Write } from '../catalog/catalog.js';
import { resourceCounterKey } from '../catalog/keys.js';
import { openLmdbCatalog } from '../catalog/lmdb.js';
import { encodeCounter, type ResourceRecord } from '../catalog/records.js';
import { SkerryError } from '../core/errors.js';
import { Ledger } from '../mapper/ledger.js';

const records_per_transaction_max = 4096;
const buildingName = 'catalog.new';

export interface NewCatalog {
  /** Ascending by id. */
  readonly records: readonly { readonly record: ResourceRecord; readonly rootDue: boolean }[];
  readonly nextId: number;
  /** What else stands in it: pools, names of the daemon's own. */
  readonly others: readonly Write[];
}

/**
 * The data directory's lock is the caller's. `now` names the catalog that is moved aside, never over another.
 * @returns where the old one is now; null where there was none. @throws SkerryError; the old one is in place then
 */
export async function replaceCatalog(dataDirectory: string, content: NewCatalog, now: Date): Promise<string | null> {
  const building = join(dataDirectory, buildingName);
  const place = join(dataDirectory, 'catalog');
  // What an earlier attempt left, which nobody ever went by.
  rmSync(building, { recursive: true, force: true });
  mkdirSync(building, { mode: 0o700 });
  await build(building, content);
  const aside = existsSync(place) ? asidePath(place, now) : null;
  if (aside !== null) {
    renameSync(place, aside);
    syncDirectory(dataDirectory);
  }
  renameSync(join(building, 'catalog'), place);
  syncDirectory(dataDirectory);
  rmSync(building, { recursive: true, force: true });
  return aside;
}

async function build(directory: string, { records, nextId, others }: NewCatalog): Promise<void> {
  const catalog = await openLmdbCatalog({ directory });
  try {
    await catalog.transact([], [...others, { key: resourceCounterKey, value: encodeCounter({ next: nextId }) }]);
    const { ledger } = await Ledger.open(catalog);
    for (let first = 0; first < records.length; first += records_per_transaction_max) {
      const part = records.slice(first, first + records_per_transaction_max);
      await ledger.commit(part.map(({ record, rootDue }) => ({ change: 'insert', record, rootDue })));
    }
    const { entries } = await Ledger.open(catalog);
    if (entries.length !== records.length)
      throw new SkerryError('internal', `the new catalog has ${entries.length} resources instead of ${records.length}`);
  } finally {
    await catalog.close();
  }
}

function asidePath(place: string, now: Date): string {
  const stamp = now
    .toISOString()
    .replaceAll(/[-:]|\.\d+/g, '')
    .toLowerCase();
  for (let number = 1; ; number += 1) {
    const path = `${place}.before-${stamp}${number === 1 ? '' : `-${number}`}`;
    if (!existsSync(path)) return path;
  }
}

function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
