/**
 * What is done to a data directory that no daemon has: checking its pool, and making its catalog anew from it. Composes the
 * parts, as serve.ts does; the lock it takes is the daemon's.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { allDrivers } from '../../drivers/all.js';
import type { CheckedContent, PoolCheckView, PoolRecoverView } from '../api/offline.js';
import { lockDirectory } from '../catalog/directory_lock.js';
import { poolKey } from '../catalog/keys.js';
import { encodePool, type PoolRecord, type ResourceRecord } from '../catalog/records.js';
import { SkerryError, toSkerryError } from '../core/errors.js';
import { openDriverToRead } from '../driver/registry.js';
import type { JournalSurvey, NativeSurveys, PoolCheckReport } from '../engine/surveys.js';
import { loadNativeModule } from '../engine/engine.js';
import { rootSpec } from '../mapper/resource_spec.js';
import { splitSettings } from '../pool/pool_settings.js';
import { checkpointPath } from '../pool/pools.js';
import type { KeySource } from '../pool/key_source.js';
import { readPoolChunk, type PoolChunk } from '../pool/pool_chunk.js';
import { chunkCipherOf } from '../pool/pool_secrets.js';
import { surveyPool, type PoolSurvey } from '../pool/pool_survey.js';
import { readCatalog, type CatalogContent, type CatalogReading } from '../upkeep/catalog_reading.js';
import { replaceCatalog } from '../upkeep/catalog_rebuild.js';
import { comparePool } from '../upkeep/pool_comparison.js';
import { planRecovery } from '../upkeep/recovery_plan.js';
import { defaultPoolName, defaultPoolSettings, ownUuidWrite, placedSettings } from './first_start.js';
import { unlock, type Unlocked } from './offline_keys.js';
import { checkView, recoverView } from './offline_views.js';
import { mayBeRingOf } from './home.js';
import { ringUuid } from './left_rings.js';

export interface OfflineOptions {
  readonly dataDirectory: string;
  readonly pool?: string;
  /** Of an encrypted pool; absent: where the catalog says. */
  readonly key?: KeySource;
}

type LookOptions = OfflineOptions & { readonly replace?: boolean };

export interface OfflineParts {
  readonly surveys?: NativeSurveys;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** All that there is to go by. */
interface Offline {
  readonly dataDirectory: string;
  readonly directory: string;
  readonly pool: string;
  readonly catalog: CatalogReading;
  readonly chunk: PoolChunk | null;
  readonly chunkDamage: readonly string[];
  readonly unlocked: Unlocked;
  readonly survey: PoolSurvey;
  readonly journal: JournalSurvey | null;
  /** Why the journal cannot be read; '' where it can, or there is none. */
  readonly journalFailure: string;
  readonly surveys: NativeSurveys;
}

/** @throws SkerryError conflict while a daemon has the directory; not-found for a pool or directory that is not there */
export async function checkPool(
  options: OfflineOptions & { readonly content: CheckedContent },
  parts: OfflineParts = {},
): Promise<PoolCheckView> {
  return withDirectory(options, parts, async (offline) => {
    const { catalog, survey, pool } = offline;
    const content = catalog.state === 'sound' ? catalog.content : null;
    const known = (content?.records ?? []).filter((record) => record.pool === pool);
    const report = await checkPacks(offline, rootsToCheck(known, survey), options.content);
    return checkView({ ...offline, known, report, content: options.content, disagreements: comparePool(survey, content, pool) });
  });
}

/**
 * @throws SkerryError conflict where there is a sound catalog and `replace` does not say that it is not wanted, or while a
 * daemon has the directory; corrupt where the pool does not tell enough. Nothing is changed then.
 */
export async function recoverPool(
  options: OfflineOptions & { readonly replace: boolean; readonly dryRun: boolean },
  parts: OfflineParts = {},
): Promise<PoolRecoverView> {
  const now = (parts.now ?? Date.now)();
  return withDirectory(options, parts, async (offline) => {
    const { catalog, survey, journal, pool, dataDirectory } = offline;
    if (catalog.state === 'sound') refuseSound(catalog.content, offline);
    const plan = planRecovery({ pool, survey, journal, now });
    const kept = plan.resources.flatMap(({ record, rootDue }) => (record === null ? [] : [{ record, rootDue }]));
    const report = await checkPacks(
      offline,
      kept.map(({ record }) => record),
      'none',
    );
    const records = [...kept, ...plan.deleting.map((record) => ({ record, rootDue: false }))];
    const movedTo = options.dryRun
      ? null
      : await replaceCatalog(
          offline.dataDirectory,
          {
            records: records.sort((a, b) => a.record.id - b.record.id),
            nextId: plan.nextId,
            others: [
              { key: poolKey(pool), value: encodePool(poolRecordOf(offline)) },
              ownUuidWrite(ringUuid(journal?.ringName ?? '')),
            ],
          },
          new Date(now),
        );
    return recoverView({
      ...offline,
      plan,
      report,
      movedTo,
      done: !options.dryRun,
      otherPools: countOtherPools(dataDirectory),
      owner: null,
    });
  });
}

async function withDirectory<T>(options: LookOptions, parts: OfflineParts, work: (offline: Offline) => Promise<T>): Promise<T> {
  const dataDirectory = resolve(options.dataDirectory);
  // Locking would make it.
  if (!existsSync(dataDirectory)) throw new SkerryError('not-found', `there is no data directory ${dataDirectory}`);
  const lock = lockDirectory(dataDirectory);
  try {
    return await work(await look(dataDirectory, options, parts.surveys ?? loadNativeModule()));
  } catch (error) {
    throw toSkerryError(error);
  } finally {
    lock.release();
  }
}

async function look(
  dataDirectory: string,
  { pool: wanted, replace, key }: LookOptions,
  surveys: NativeSurveys,
): Promise<Offline> {
  // One that is not wanted is not read either: it may be damaged so that reading it ends the process.
  const catalog: CatalogReading = replace === true ? { state: 'absent' } : await readCatalog(dataDirectory);
  const configured = settingsOf(catalog, wanted ?? defaultPoolName);
  const settings = placedSettings(splitSettings(configured.settings).driver, dataDirectory);
  const driver = await openDriverToRead(allDrivers, configured.driver, settings);
  try {
    const directory = driver.traits.directPath?.directory;
    if (directory === undefined) {
      throw new SkerryError(
        'unsupported',
        `the packs of pool ${wanted ?? defaultPoolName} are on a backend, and only those of a directory are read without a daemon: serve it, and run skerry pool scrub ${wanted ?? defaultPoolName}`,
      );
    }
    const { chunk, wrapped, damaged: chunkDamage } = await readPoolChunk(driver);
    // The name of an encrypted pool is told by what is wrapped, or by its catalog.
    const named = chunk?.wrapped === null ? chunk.name : undefined;
    const fromCatalog = poolOf(catalog, wanted ?? named ?? defaultPoolName);
    const unlocked = await unlock({ chunk, wrapped, fromCatalog, ...(key === undefined ? {} : { key }) });
    const pool = named ?? unlocked?.name ?? fromCatalog?.name;
    if (pool !== undefined && wanted !== undefined && pool !== wanted)
      throw new SkerryError('not-found', `there is no pool ${JSON.stringify(wanted.slice(0, 60))} in ${directory}, but ${pool}`);
    const identity = chunk ?? fromCatalog;
    if (pool === undefined || identity === null || unlocked === null) {
      throw new SkerryError(
        'corrupt',
        `the pool in ${directory} does not tell whose it is (${chunkDamage.join('; ')}): without its key nothing in it can be read`,
      );
    }
    const survey = await surveyPool(driver, identity.poolUuid, chunkCipherOf(unlocked.secrets));
    const { journal, failure } = await surveyJournal(dataDirectory, surveys);
    return {
      dataDirectory,
      directory,
      pool,
      catalog,
      chunk,
      chunkDamage,
      unlocked,
      survey,
      journal,
      journalFailure: failure,
      surveys,
    };
  } finally {
    await driver.close();
  }
}

function poolOf(catalog: CatalogReading, name: string): PoolRecord | null {
  if (catalog.state !== 'sound') return null;
  return catalog.content.pools.find((pool) => pool.name === name) ?? null;
}

/** Where the catalog says; without one, where the first start puts the default pool. */
function settingsOf(catalog: CatalogReading, name: string): Pick<PoolRecord, 'driver' | 'settings'> {
  return poolOf(catalog, name) ?? defaultPoolSettings;
}

async function surveyJournal(
  dataDirectory: string,
  surveys: NativeSurveys,
): Promise<{ readonly journal: JournalSurvey | null; readonly failure: string }> {
  const directory = join(dataDirectory, 'engine', 'journal');
  if (!existsSync(directory)) return { journal: null, failure: '' };
  try {
    const mayBeOwn = mayBeRingOf(dataDirectory);
    const rings = readdirSync('/dev/shm').filter((name) => {
      const uuid = ringUuid(name);
      return uuid !== null && mayBeOwn(uuid);
    });
    const journal = await surveys.surveyJournal(directory, rings);
    return { journal: journal.present ? journal : null, failure: '' };
  } catch (error) {
    return { journal: null, failure: toSkerryError(error).message };
  }
}

/** Of which the engine kept something on this host: only a catalog knew where they are. */
function countOtherPools(dataDirectory: string): number {
  const places = join(dataDirectory, 'engine', 'pools');
  return existsSync(places) ? readdirSync(places).length : 0;
}

function checkPacks(offline: Offline, records: readonly ResourceRecord[], content: CheckedContent): Promise<PoolCheckReport> {
  const record = poolRecordOf(offline);
  return offline.surveys.checkPool({
    directory: join(offline.directory, 'packs'),
    // Only what is read besides is worth comparing it with.
    checkpoint: content === 'none' ? '' : checkpointPath(join(offline.dataDirectory, 'engine'), record),
    domain: record.domain,
    ...offline.unlocked.secrets,
    roots: records.filter(({ root }) => root.id.length > 0).map(({ id, root }) => ({ resource: id, ...rootSpec(root) })),
    content,
  });
}

/** Roots of the catalog, and those that the pool has newer ones of or that the catalog lacks. */
function rootsToCheck(known: readonly ResourceRecord[], survey: PoolSurvey): readonly ResourceRecord[] {
  const ids = new Set(known.map(({ id }) => id));
  const others = planRecovery({ pool: '', survey, journal: null, now: 0 }).resources;
  return [...known, ...others.flatMap(({ id, record }) => (record === null || ids.has(id) ? [] : [record]))];
}

function poolRecordOf({ chunk, catalog, pool, unlocked }: Offline): PoolRecord {
  const fromCatalog = poolOf(catalog, pool);
  if (chunk === null) {
    if (fromCatalog === null) throw new SkerryError('internal', 'a pool without a key was opened');
    return fromCatalog;
  }
  // What its packs hold nobody has looked at: they may hold compressed records.
  const { wrapped: _, ...identity } = chunk;
  const { encryption } = unlocked;
  return { ...defaultPoolSettings, compression: 'none', framed: true, ...fromCatalog, ...identity, name: pool, encryption };
}

function refuseSound({ records, pools }: CatalogContent, { dataDirectory, chunk, pool }: Offline): never {
  const path = join(dataDirectory, 'catalog');
  const own = pools.find(({ name }) => name === pool);
  const others = own !== undefined && chunk !== null && Buffer.compare(own.poolUuid, chunk.poolUuid) !== 0;
  const named = records.filter(({ name }) => name !== '').length;
  const what = others ? 'is of another pool' : `can be read, and knows ${named} ${named === 1 ? 'resource' : 'resources'}`;
  throw new SkerryError(
    'conflict',
    `the catalog in ${path} ${what}: nothing is to be recovered. To set it aside and go by what the pool tells all the same, say --replace`,
  );
}
