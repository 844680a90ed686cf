/**
 * A data directory that pools are recovered into from their backends, one after the other, before a daemon serves it for the first time:
 * those of one lost catalog gave their ids and names together, and so go together again.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { idText, nameKey } from '../catalog/keys.js';
import type { PoolRecord, ResourceRecord } from '../catalog/records.js';
import { SkerryError } from '../core/errors.js';
import { readCatalog, type CatalogContent } from '../upkeep/catalog_reading.js';

/** What is made when a data directory is served: from then on its journal and names of its own speak of its ids. */
const marks = [join('engine', 'journal'), 'home', 'pool'];

/**
 * What earlier recoveries put there; null where nothing did.
 * @throws SkerryError conflict where it was served, or holds a catalog that no recovery from a backend made
 */
export async function earlierRecovery(dataDirectory: string): Promise<CatalogContent | null> {
  const used = marks.find((name) => existsSync(join(dataDirectory, name)));
  if (used !== undefined)
    throw new SkerryError(
      'conflict',
      `there is ${join(dataDirectory, used)} already: a pool is recovered from its backend into a data directory that was never served; name another one with --data`,
    );
  const reading = await readCatalog(dataDirectory);
  const aside = existsSync(dataDirectory)
    ? readdirSync(dataDirectory).find((name) => name.startsWith('catalog.before-'))
    : undefined;
  if (reading.state === 'absent' && aside === undefined) return null;
  if (reading.state === 'absent')
    throw new SkerryError(
      'conflict',
      `an earlier recovery into ${dataDirectory} was interrupted: rename ${aside} there to catalog, and do it again`,
    );
  if (reading.state === 'sound') return reading.content;
  throw new SkerryError(
    'conflict',
    `the catalog in ${dataDirectory} cannot be read (${reading.why}): name an empty data directory with --data`,
  );
}

/** @throws SkerryError conflict where they cannot be of one catalog: two of one name, id or place would be taken for each other */
export function refuseClashes(earlier: CatalogContent, pool: PoolRecord, records: readonly ResourceRecord[]): void {
  const twin = earlier.pools.find(
    ({ name, domain, poolUuid }) => name === pool.name || domain === pool.domain || Buffer.compare(poolUuid, pool.poolUuid) === 0,
  );
  if (twin !== undefined)
    throw new SkerryError(
      'conflict',
      twin.name === pool.name
        ? `pool ${pool.name} is recovered already`
        : `pools ${twin.name} and ${pool.name} are not of one catalog: recover them into data directories of their own`,
    );
  const taken = new Set(earlier.records.flatMap(marksOf));
  const clash = records.find((record) => marksOf(record).some((mark) => taken.has(mark)));
  if (clash === undefined) return;
  throw new SkerryError(
    'conflict',
    `${clash.kind} ${clash.name} is in another pool that was recovered here, too, as where it was being moved between the two, or these are not of one catalog: recover pool ${pool.name} into a data directory of its own`,
  );
}

const marksOf = ({ id, kind, name }: ResourceRecord): readonly string[] => [idText(id), nameKey(kind, name)];
