/**
 * A data directory made from a pool alone: where nothing is left of the host that had it but what is on its backend, its settings, and, of
 * an encrypted pool, its key (docs/decisions/0057-recovering-from-a-backend.md).
 */
import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, realpathSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';

import { allDrivers } from '../../drivers/all.js';
import type { PoolRecoverView } from '../api/offline.js';
import { lockDirectory } from '../catalog/directory_lock.js';
import { poolKey } from '../catalog/keys.js';
import { encodePool, type PoolRecord, type ResourceRecord } from '../catalog/records.js';
import { isSkerryError, SkerryError, toSkerryError } from '../core/errors.js';
import type { Driver } from '../driver/driver.js';
import { findDriver, shownSettings, type DriverRegistry } from '../driver/registry.js';
import { withRetry } from '../driver/retry.js';
import type { NativeSurveys, PoolCheckReport } from '../engine/surveys.js';
import { loadNativeModule } from '../engine/engine.js';
import { rootSpec } from '../mapper/resource_spec.js';
import type { KeySource } from '../pool/key_source.js';
import { readLastGone } from '../pool/gone_chunk.js';
import { claimPool, readOwnership, toldOwner, type OwnerChunk, type PoolIdentity } from '../pool/owner_chunk.js';
import { readPoolChunk, type PoolChunk } from '../pool/pool_chunk.js';
import { chunkCipherOf } from '../pool/pool_secrets.js';
import { splitSettings } from '../pool/pool_settings.js';
import { surveyPool, type PoolSurvey } from '../pool/pool_survey.js';
import { placePath } from '../pool/pools.js';
import type { CatalogContent } from '../upkeep/catalog_reading.js';
import { replaceCatalog } from '../upkeep/catalog_rebuild.js';
import { planRecovery, type RecoveryPlan } from '../upkeep/recovery_plan.js';
import { earlierRecovery, refuseClashes } from './earlier_recovery.js';
import { defaultPoolName, ownUuidWrite } from './first_start.js';
import { unlock, type Unlocked } from './offline_keys.js';
import { recoverView } from './offline_views.js';

/**
 * Numbers of packs that are passed over: of what the daemon that had the pool may still have on its way to it. More than it can have
 * staged, and few of the 2^32 there are.
 */
export const packs_skipped = 65_536;
const first_domain = 1;

export interface BackendRecovery {
  readonly dataDirectory: string;
  /** As the pool is called; absent: whatever that is. */
  readonly pool?: string;
  readonly driver: string;
  /** Of driver and pool, as for a new one. */
  readonly settings: Readonly<Record<string, string>>;
  /** Of an encrypted pool. */
  readonly key?: KeySource;
  /** The daemon that has the pool has ended for good. */
  readonly takeOver: boolean;
  readonly dryRun: boolean;
}

export interface BackendRecoveryParts {
  readonly registry?: DriverRegistry;
  readonly surveys?: NativeSurveys;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** What the backend tells. */
interface Found {
  readonly name: string;
  readonly chunk: PoolChunk;
  readonly chunkDamage: readonly string[];
  readonly unlocked: Unlocked;
  readonly survey: PoolSurvey;
  readonly owner: OwnerChunk | null;
  readonly ownerDamage: readonly string[];
  /** The highest number; 0 where there is none. */
  readonly packMax: number;
}

/**
 * @throws SkerryError conflict where the data directory was served, or holds what cannot be of the same catalog, or the pool is somebody's and `takeOver` does not say that they are
 * gone; not-found where there is no such pool; denied without its key; corrupt where it does not tell enough. Nothing is changed then.
 */
export async function recoverFromBackend(options: BackendRecovery, parts: BackendRecoveryParts = {}): Promise<PoolRecoverView> {
  const dataDirectory = resolve(options.dataDirectory);
  if (options.dryRun) return recover(options, parts, dataDirectory);
  const lock = lockDirectory(dataDirectory);
  try {
    return await recover(options, parts, dataDirectory);
  } finally {
    lock.release();
  }
}

async function recover(options: BackendRecovery, parts: BackendRecoveryParts, dataDirectory: string): Promise<PoolRecoverView> {
  const { registry = allDrivers, surveys = loadNativeModule() } = parts;
  const now = (parts.now ?? Date.now)();
  const earlier = await earlierRecovery(dataDirectory);
  const { driver: settings } = splitSettings(options.settings);
  const place = Object.entries(shownSettings(registry, options.driver, settings))
    .map(([key, value]) => `${key}=${value}`)
    .join(', ');
  // Of a driver that only reads where there is one, so that a place that is misspelt is not made.
  const found = await withDriver(registry, options, settings, true, (driver) => look(driver, options, place));
  const plan = newOwners(planRecovery({ pool: found.name, survey: found.survey, journal: null, now }));
  const kept = plan.resources.flatMap(({ record }) => (record === null ? [] : [record]));
  const record = poolRecordOf(found, options);
  if (earlier !== null) refuseClashes(earlier, record, kept);
  if (!options.dryRun && !options.takeOver) refuseOwned(found, plan);
  const report = await withDriver(registry, options, settings, options.dryRun, async (driver) => {
    const checked = await checkPacks(surveys, driver, found, kept);
    if (!options.dryRun) await take(driver, found, plan, { record, earlier, dataDirectory, now });
    return checked;
  });
  const view = recoverView({
    directory: place,
    pool: found.name,
    catalog: { state: 'absent' },
    chunkDamage: [...found.chunkDamage, ...found.ownerDamage],
    survey: found.survey,
    journal: null,
    journalFailure: '',
    report: report ?? nothingChecked,
    plan,
    movedTo: null,
    done: !options.dryRun,
    otherPools: 0,
    owner: found.owner === null ? null : toldOwner(found.owner),
  });
  return report !== null ? view : { ...view, notes: [...view.notes, uncheckedNote(found.name)] };
}

const nothingChecked: Pick<PoolCheckReport, 'damagedRoots' | 'findings'> = { damagedRoots: [], findings: [] };

const uncheckedNote = (pool: string): string =>
  `its packs are on a backend and were not read: once it is served, skerry pool scrub ${pool} reads all of them`;

function refuseOwned({ name, owner }: Found, { asOf }: RecoveryPlan): never {
  const whose = owner === null ? 'does not say in whose hands it is' : `is ${toldOwner(owner)}`;
  const last = asOf === null ? '' : `; it was last told of a root at ${new Date(asOf).toISOString()}`;
  throw new SkerryError(
    'conflict',
    `pool ${name} ${whose}${last}: where that daemon has ended for good, say --take-over. Two daemons that write to one pool lose what is in it`,
  );
}

async function withDriver<T>(
  registry: DriverRegistry,
  { driver: kind }: BackendRecovery,
  settings: Readonly<Record<string, string>>,
  toRead: boolean,
  work: (driver: Driver) => Promise<T>,
): Promise<T> {
  const entry = findDriver(registry, kind);
  const opened = await (toRead && entry.openToRead !== undefined ? entry.openToRead(settings) : entry.open(settings));
  const driver = withRetry(opened);
  try {
    return await work(driver);
  } catch (error) {
    throw toSkerryError(error);
  } finally {
    await driver.close();
  }
}

async function look(driver: Driver, options: BackendRecovery, place: string): Promise<Found> {
  if (driver.traits.forgets === true)
    throw new SkerryError('unsupported', `driver ${options.driver} keeps nothing that could be recovered`);
  const { chunk, wrapped, damaged: chunkDamage } = await readPoolChunk(driver);
  if (chunk === null) throw await withoutIdentity(driver, place, chunkDamage);
  const unlocked = await unlock({
    chunk,
    wrapped,
    fromCatalog: null,
    ...(options.key === undefined ? {} : { key: options.key }),
  });
  const name = chunk.wrapped === null ? chunk.name : unlocked?.name;
  if (unlocked === null || name === undefined) throw new SkerryError('corrupt', `the pool at ${place} does not tell its name`);
  if (options.pool !== undefined && options.pool !== name)
    throw new SkerryError(
      'not-found',
      `there is no pool ${JSON.stringify(options.pool.slice(0, 60))} at ${place}, but ${name}, which keeps its name`,
    );
  if (chunk.domain === first_domain && name !== defaultPoolName)
    throw new SkerryError('unsupported', `pool ${name} has the domain that belongs to the pool ${defaultPoolName}`);
  const cipher = chunkCipherOf(unlocked.secrets);
  const identity = { poolUuid: chunk.poolUuid, cipher };
  const { owner, damaged, numberMax } = await readOwnership(driver, identity);
  const ownerDamage = [...damaged, ...(await damagedGone(driver, identity, numberMax))];
  const survey = await surveyPool(driver, chunk.poolUuid, cipher);
  return { name, chunk, chunkDamage, unlocked, survey, owner, ownerDamage, packMax: await highestPack(driver) };
}

/** The first start reads the list of what is gone, and refuses to go on without it. */
async function damagedGone(driver: Driver, identity: PoolIdentity, ownerMax: number): Promise<readonly string[]> {
  try {
    await readLastGone(driver, identity, ownerMax);
    return [];
  } catch (error) {
    if (isSkerryError(error, 'corrupt')) return [error.message];
    throw error;
  }
}

/** Why there is no pool to recover. */
async function withoutIdentity(driver: Driver, place: string, damage: readonly string[]): Promise<SkerryError> {
  for await (const { key } of driver.list('')) {
    return new SkerryError(
      'corrupt',
      `what is at ${place}, ${key} for one, does not tell whose it is (${damage.join('; ')}): without the pool's key nothing in it can be read. A pool that no daemon of this version has served yet has it in its catalog alone`,
    );
  }
  return new SkerryError('not-found', `there is no pool at ${place}: nothing is there`);
}

async function highestPack(driver: Driver): Promise<number> {
  let highest = 0;
  for await (const { key } of driver.list('packs/')) {
    const number = Number.parseInt(/^packs\/([0-9a-f]{8})\.[a-z]+$/.exec(key)?.[1] ?? '0', 16);
    highest = Math.max(highest, number);
  }
  return highest;
}

/** The root chunks that the new daemon puts are newer than any that the old one may still have on its way. */
function newOwners(plan: RecoveryPlan): RecoveryPlan {
  const resources = plan.resources.map((one) =>
    one.record?.kind === 'volume' ? { ...one, record: { ...one.record, fence: one.record.fence + 1 }, rootDue: true } : one,
  );
  return { ...plan, resources };
}

function poolRecordOf({ name, chunk, unlocked }: Found, { driver, settings }: BackendRecovery): PoolRecord {
  const { wrapped: _, ...identity } = chunk;
  // What its packs hold nobody has looked at: they may hold compressed records.
  return { ...identity, name, driver, settings, compression: 'none', framed: true, encryption: unlocked.encryption };
}

/** null where native threads cannot read the packs: nobody has looked then. */
async function checkPacks(
  surveys: NativeSurveys,
  driver: Driver,
  { chunk, unlocked }: Found,
  records: readonly ResourceRecord[],
): Promise<PoolCheckReport | null> {
  const directory = driver.traits.directPath?.directory;
  if (directory === undefined) return null;
  return surveys.checkPool({
    directory: join(directory, 'packs'),
    checkpoint: '',
    domain: chunk.domain,
    ...unlocked.secrets,
    roots: records.filter(({ root }) => root.id.length > 0).map(({ id, root }) => ({ resource: id, ...rootSpec(root) })),
    content: 'none',
  });
}

interface Taking {
  readonly record: PoolRecord;
  /** What goes into the same catalog. */
  readonly earlier: CatalogContent | null;
  readonly dataDirectory: string;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** The pool first: a catalog that is there is served. Where this ends between the two, doing it again does it all. */
async function take(
  driver: Driver,
  { chunk, unlocked, packMax }: Found,
  plan: RecoveryPlan,
  { record, earlier, dataDirectory, now }: Taking,
): Promise<void> {
  const id = earlier?.uuid ?? randomUUID();
  const own = { id, host: hostname(), directory: realpathSync(dataDirectory) };
  const identity = { poolUuid: chunk.poolUuid, cipher: chunkCipherOf(unlocked.secrets) };
  await claimPool(driver, { own, identity, now, takeOver: true });
  if (driver.traits.directPath === undefined) skipPacks(join(dataDirectory, 'engine'), record, packMax + packs_skipped);
  const before = (earlier?.records ?? []).map((one) => ({ record: one, rootDue: earlier?.rootsDue.has(one.id) === true }));
  const fresh = plan.resources.flatMap(({ record: one, rootDue }) => (one === null ? [] : [{ record: one, rootDue }]));
  const pools = [...(earlier?.pools ?? []), record].map((one) => ({ key: poolKey(one.name), value: encodePool(one) }));
  await replaceCatalog(
    dataDirectory,
    {
      records: [...before, ...fresh].toSorted((a, b) => a.record.id - b.record.id),
      nextId: Math.max(plan.nextId, earlier?.nextId ?? 0),
      others: [...pools, ownUuidWrite(id)],
    },
    new Date(now),
  );
}

/** The engine gives out numbers above all that it finds: here an empty pack, which it seals. Durable before there is a catalog. */
function skipPacks(engineDirectory: string, record: PoolRecord, number: number): void {
  const directory = join(placePath(engineDirectory, record), 'packs');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  closeSync(openSync(join(directory, `${number.toString(16).padStart(8, '0')}.open`), 'w', 0o600));
  const descriptor = openSync(directory, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
