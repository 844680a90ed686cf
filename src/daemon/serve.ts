/**
 * The composition root: opens each part of the daemon over those it stands on, and closes them in the other order. It
 * decides nothing else. Starting is recovering; there is no other way to start.
 */
import { hostname } from 'node:os';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { allDrivers } from '../../drivers/all.js';
import { openLmdbCatalog } from '../catalog/lmdb.js';
import { Composer } from '../composer/composer.js';
import { VolumeLogs } from '../composer/volume_logs.js';
import type { PoolRecord } from '../catalog/records.js';
import { SkerryError, toSkerryError } from '../core/errors.js';
import type { DriverRegistry } from '../driver/registry.js';
import type { NativeModule } from '../engine/binding.js';
import { Engine, loadNativeModule, packageRoot } from '../engine/engine.js';
import { armFailpoint } from '../engine/failpoints.js';
import { accountOfDomain } from '../identity/accounts.js';
import { Identity } from '../identity/identity.js';
import { IdAllocator } from '../mapper/id_allocator.js';
import { Estimates } from '../mapper/estimates.js';
import { Ledger } from '../mapper/ledger.js';
import { PrivateExports } from '../mapper/private_exports.js';
import { KeyedLocks } from '../mapper/locks.js';
import { Mapper } from '../mapper/mapper.js';
import { PoolVerbs, readPools } from '../mapper/pool_verbs.js';
import { Space } from '../mapper/space.js';
import { settledWithin } from '../mapper/verbs.js';
import { buildAdmin } from '../northbound/admin/admin.js';
import { NbdHandshakes } from '../northbound/nbd/nbd.js';
import { Pools } from '../pool/pools.js';
import { Collections } from '../upkeep/collections.js';
import { EngineCarriage } from '../upkeep/engine_carriage.js';
import { ReplicationBook } from '../upkeep/replication_book.js';
import { Replications } from '../upkeep/replications.js';
import { MoveBook } from '../upkeep/move_book.js';
import { Moves } from '../upkeep/moves.js';
import { Scrubs } from '../upkeep/scrubs.js';
import { UniqueUsage } from '../upkeep/unique_usage.js';
import { Upkeep } from '../upkeep/upkeep.js';
import { engineOptions, resolveConfig, type Config, type ServeOptions } from './config.js';
import { settle } from './home.js';
import { dataDirectoryUuid, defaultPool, defaultPoolName, placedSettings, refuseLostCatalog } from './first_start.js';
import { buildHttp, listenHttp, type HealthView } from './http.js';
import { leftRings, OwnRing } from './left_rings.js';
import { logOf, openLog, type Logger } from './logging.js';
import { Metrics } from './metrics.js';
import { ObjectService } from './objects.js';
import { listenPrivately } from './private_socket.js';
import { TlsFiles } from './tls_files.js';
import { DaemonViews } from './views.js';

/** Of one part, and of all together. The engine ends by itself, as fast as the disk takes one flush: it cannot be left behind. */
const close_milliseconds_max = 5000;
const stop_milliseconds_max = 10_000;
const left_rings_told_max = 8;

export interface RunningDaemon {
  readonly config: Config;
  /** `nbd` and `admin`: absolute paths of sockets; `nbdTcp` (where asked for), `s3` and `http`: HOST:PORT. */
  readonly listeners: Readonly<Record<string, string>>;
  /** Ends in order: clients are answered, the journal is durable, threads are joined. Idempotent. */
  stop(): Promise<void>;
}

/** What a test puts in the place of the real thing. */
export interface ServeParts {
  readonly module?: NativeModule;
  readonly logger?: Logger;
  readonly registry?: DriverRegistry;
}

/**
 * Starts a daemon; resolves once it serves. Several may run in one process, each on a data directory of its own.
 * @throws SkerryError, with everything that was opened closed again.
 */
export async function serve(options: ServeOptions = {}, parts: ServeParts = {}): Promise<RunningDaemon> {
  const config = resolveConfig(options);
  const logger = parts.logger ?? openLog(config.logLevel);
  const closers = new Closers(logger);
  try {
    const registry = parts.registry ?? allDrivers;
    return await open(config, { module: parts.module ?? loadNativeModule(), registry, logger }, closers);
  } catch (error) {
    await closers.close();
    throw toSkerryError(error);
  }
}

/** The default pool was copied with its data directory; where the others rest both would write. */
function refuseSharedPools(copyOf: string, others: readonly PoolRecord[]): void {
  if (others.length === 0) return;
  throw new SkerryError(
    'conflict',
    `this data directory is a copy of ${copyOf}, and both would write where pool ${others.map(({ name }) => name).join(', ')} rests: ` +
      'serve the original, or remove it, and this one takes its place',
  );
}

async function open(config: Config, parts: Required<ServeParts>, closers: Closers): Promise<RunningDaemon> {
  const { module, logger } = parts;
  const failpoint = process.env['SKERRY_FAILPOINT'];
  if (failpoint !== undefined && failpoint !== '') {
    armFailpoint(module, failpoint);
    logger.warn({ failpoint }, 'SKERRY_FAILPOINT is set: this daemon will kill itself');
  }
  const startedAt = Date.now();
  const listeners: Record<string, string> = {};
  let state: HealthView['state'] = 'starting';

  refuseLostCatalog(config.dataDirectory);
  // First of all, for it locks the data directory: from here on this process is the only one in it.
  const catalog = await openLmdbCatalog({ directory: config.dataDirectory });
  closers.add('catalog', () => catalog.close());

  let engine: Engine | null = null;
  let views: DaemonViews | null = null;
  const metrics = new Metrics(() => (engine === null || state !== 'serving' ? null : engine.stats()));
  const health = async (): Promise<HealthView> => {
    if (state !== 'serving' || views === null) return { state, healthy: false, problems: [`the daemon is ${state}`] };
    return { state, healthy: !views.failing(), problems: await views.problems() };
  };
  // Before the journal is replayed, so that a port that is taken is told of at once, and a long replay can be watched.
  const http = buildHttp({ health, metrics });
  closers.add('http', () => http.close());
  listeners['http'] = await listenHttp(http, config.httpPort);

  const first = await defaultPool(catalog, startedAt);
  const others = (await readPools(catalog)).filter(({ name }) => name !== first.name);
  const home = settle(config.dataDirectory, await dataDirectoryUuid(catalog), (copyOf) => refuseSharedPools(copyOf, others));
  if (home.copyOf !== null) {
    logOf(logger, 'daemon')(
      'warn',
      `this data directory is a copy of ${home.copyOf} and gets a ring of its own: what was acknowledged there and not flushed before its daemon was killed is not here`,
    );
  }
  const ringName = `skerry-${home.ring}`;
  const ownRing = new OwnRing(config.dataDirectory, ringName);
  closers.add('ring', async () => {
    if (ownRing.close()) logOf(logger, 'daemon')('warn', 'the data directory was removed; so is its ring', { ringName });
  });
  const engineDirectories = engineOptions(config, ringName);
  mkdirSync(engineDirectories.directory, { recursive: true, mode: 0o700 });
  const pools = new Pools({
    registry: parts.registry,
    engineDirectory: engineDirectories.directory,
    stagedBytesMax: config.poolStagedBytesMax,
    keptBytesMax: config.poolKeptBytesMax,
    log: logOf(logger, 'pool'),
    placed: (settings) => placedSettings(settings, config.dataDirectory),
    owner: { id: home.ring, host: hostname(), directory: config.dataDirectory },
  });
  closers.add('pools', () => pools.close());
  await pools.openAll([first, ...others]);

  const { ledger, entries } = await Ledger.open(catalog);
  const locks = new KeyedLocks();
  const engineLog = logOf(logger, 'engine');
  const running = new Engine(module, engineDirectories, (event, error) =>
    engineLog('error', 'an event was not handled', { event, error: String(error) }),
  );
  running.on('log', ({ level, message }) => engineLog(level, message));
  pools.serve(running);
  running.on('fetch', (errand) => pools.take(errand));
  running.on('fetched', ({ errand }) => pools.fetched(errand));
  running.on('ship', (errand) => pools.take(errand));
  running.on('remove', (errand) => pools.take(errand));
  running.on('list', (errand) => pools.take(errand));
  running.on('open-gone', (errand) => pools.take(errand));
  running.on('keep-gone', (errand) => pools.take(errand));
  running.on('log-chunk', (chunk) => pools.takeLog(chunk));

  const mapperLog = logOf(logger, 'mapper');
  const privateExports = new PrivateExports(config.nbdSocket);
  const poolVerbs = new PoolVerbs({
    catalog,
    ledger,
    locks,
    engine: running,
    pools,
    defaultName: defaultPoolName,
    finishDeletions: (pool) => upkeep.settle(pool),
    log: logOf(logger, 'pool'),
  });
  const mapper: Mapper = new Mapper({
    catalog,
    ledger,
    locks,
    engine: running,
    privateExports,
    pools: poolVerbs,
    log: mapperLog,
    onUpkeep: () => upkeep.poke(),
    onVerb: (verb, seconds, ok) => metrics.observeVerb(verb, seconds, ok),
  });
  const upkeep: Upkeep = new Upkeep({
    pools: () => pools.names(),
    ledger,
    locks,
    roots: pools,
    removal: mapper.removal,
    log: logOf(logger, 'upkeep'),
    onRemoved: () => collections.noteRemoval(),
  });
  const moveBook = await MoveBook.open(catalog);
  const replicationBook = await ReplicationBook.open(catalog);
  const underWay = { rootsIn: (pool: string) => [...moveBook.rootsIn(pool), ...replicationBook.rootsIn(pool)] };
  const collections = new Collections({
    engine: running,
    ledger,
    underWay,
    locks,
    pools,
    roots: pools,
    finishDeletions: (pool) => upkeep.settle(pool),
    log: logOf(logger, 'gc'),
    onEnd: (view) => metrics.countCollection(view),
    intervalMilliseconds: config.gcSeconds * 1000,
  });
  const logs = new VolumeLogs({
    ledger,
    engine: running,
    keeper: (pool) => pools.get(pool).logs,
    roots: pools,
    locks,
    listsLate: (pool) => pools.get(pool).traits.listsLate === true,
    log: logOf(logger, 'log'),
  });
  const carriage = new EngineCarriage(running);
  const moves = new Moves({
    ledger,
    locks,
    book: moveBook,
    carriage,
    pools: poolVerbs,
    replications: replicationBook,
    logs,
    forgetRoots: (pool, id) => pools.get(pool).forgetRoots(id),
    onMoved: () => collections.noteRemoval(),
    log: logOf(logger, 'move'),
    onEnd: (view) => metrics.countMove(view),
  });
  const replications = new Replications({
    ledger,
    locks,
    ids: new IdAllocator(catalog),
    engine: running,
    resources: mapper,
    carriage,
    book: replicationBook,
    pools,
    moves: moveBook,
    onUpkeep: () => upkeep.poke(),
    onCarried: (volume, to, part) => metrics.countReplicated(volume, to, part),
    log: logOf(logger, 'replication'),
    now: Date.now,
  });
  const scrubs = new Scrubs({
    engine: running,
    ledger,
    underWay,
    pools,
    log: logOf(logger, 'scrub'),
    onEnd: (view) => metrics.countScrub(view),
    intervalMilliseconds: config.scrubSeconds * 1000,
  });
  const composer = new Composer({
    ledger,
    locks,
    engine: running,
    roots: pools,
    logs,
    salvages: config.salvageJournal,
    log: logOf(logger, 'composer'),
    onCommitted: () => upkeep.poke(),
  });
  running.on('commit', ({ commit }) => composer.handle(commit));

  const nbdLog = logOf(logger, 'nbd');
  const tlsFiles =
    config.nbdTls === null
      ? null
      : new TlsFiles({ service: 'NBD', paths: config.nbdTls, use: (material) => running.useTls(material), log: nbdLog });
  const nbd = new NbdHandshakes({
    engine: running,
    resources: mapper,
    privateExports,
    ...(config.nbdTls === null || tlsFiles === null
      ? {}
      : { tls: { mode: config.nbdTls.mode, refresh: () => tlsFiles.refresh() } }),
    count: (occurrence) => metrics.countNbd(occurrence),
    log: nbdLog,
  });
  running.on('connected', (event) => nbd.handle(event));
  running.on('message', (event) => nbd.handle(event));
  running.on('secured', (event) => nbd.handle(event));
  running.on('closed', (event) => nbd.handle(event));

  // Closed last to first: no new work, then verbs and transfers, then the engine, while roots can still be recorded.
  closers.add('composer', () => composer.stop());
  closers.add('engine', () => running.stop(false));
  const report = await composer.start(pools.specs(), entries);
  engine = running;
  pools.started();
  metrics.followUnreadLogs(() => ledger.unreadLogs.counts());
  metrics.followCopies({ moves, replications });
  logOf(logger, 'daemon')('info', 'the journal is replayed', { ...report, resources: entries.length });
  closers.add('mapper', () => mapper.stop());
  await mapper.removeLeftFiles();
  upkeep.start();
  closers.add('upkeep', () => upkeep.stop());
  await moves.start();
  closers.add('moves', () => moves.stop());
  replications.start();
  closers.add('replications', () => replications.stop());
  collections.start();
  closers.add('gc', async () => collections.stop());
  scrubs.start();
  closers.add('scrub', async () => scrubs.stop());

  const identity: Identity = await Identity.open({
    catalog,
    dataDirectory: config.dataDirectory,
    now: Date.now,
    holds: (account) => objects.holds(account),
    usageDays: config.usageDays,
    log: logOf(logger, 'identity'),
  });
  if (identity.problem !== null) logOf(logger, 'identity')('error', identity.problem);
  identity.start();
  closers.add('identity', () => identity.stop());
  const objects = await ObjectService.open({
    locks,
    mapper,
    config,
    catalog,
    ledger,
    engine: running,
    pools: poolVerbs,
    identity,
    logger,
    onUpkeep: () => upkeep.poke(),
    onTrim: () => collections.noteRemoval(),
    onRequest: (record) => metrics.observeS3(record),
    onDelivery: (webhook, counts) => metrics.countDelivery(webhook, counts),
  });
  metrics.followWebhooks(() => objects.layer.notices.waiting());
  await objects.start();
  closers.add('objects', () => objects.stop());

  const space = new Space({ ledger, engine: running, pools });
  const uniqueUsage = new UniqueUsage({
    catalog,
    space,
    usage: identity.usage,
    accountOf: accountOfDomain,
    log: logOf(logger, 'identity'),
    milliseconds: config.usageUniqueSeconds * 1000,
  });
  uniqueUsage.start();
  closers.add('usage', async () => uniqueUsage.stop());

  const version = readVersion();
  views = new DaemonViews({
    version,
    dataDirectory: config.dataDirectory,
    startedAt,
    memoryBytesMax: config.memoryBytesMax,
    now: Date.now,
    stats: () => running.stats(),
    activities: () => running.activities(),
    named: async (id) => {
      const record = (await ledger.get(id))?.record;
      return record === undefined || record.name === '' ? null : record;
    },
    resources: mapper,
    pools,
    unreadLogs: () => ledger.unreadLogs.counts(),
    identityProblem: () => identity.problem,
    replications,
    moves,
    listeners: () => listeners,
  });
  const daemonViews = views;

  await tlsFiles?.load();
  listeners['nbd'] = await running.listenUnix(config.nbdSocket);
  if (config.nbdListen !== undefined) {
    const { host, port } = config.nbdListen;
    listeners['nbdTcp'] = await running.listenTcp(host, port).catch((error: unknown) => {
      const { code, message } = toSkerryError(error);
      throw new SkerryError(code, `${message}: choose another address with --nbd-listen (port 0 picks a free one)`);
    });
    nbdLog('info', `NBD is served on TCP, ${securityOf(config)}`, { address: listeners['nbdTcp'] });
  }
  closers.add('nbd', async () => nbd.stop());
  const s3 = await objects.serveS3();
  if (s3 !== null) {
    closers.add('s3', () => s3.close());
    listeners['s3'] = s3.address;
  }

  const admin = buildAdmin({
    nbdTls: config.nbdTls !== null,
    resources: mapper,
    pools: daemonViews,
    poolVerbs,
    status: () => daemonViews.status(),
    activity: () => daemonViews.activity(),
    space,
    collections,
    moves,
    replications,
    scrubs,
    estimates: new Estimates({ engine: running }),
    identity,
    disks: objects.disks,
    publications: objects.publications,
    imageObjects: objects.imageObjects,
    listeners: () => listeners,
    log: logger.child({ component: 'admin' }),
  });
  closers.add('admin', async () => {
    await admin.close();
    rmSync(config.adminSocket, { force: true });
  });
  closers.add('streams', async () => mapper.cancelStreams());
  closers.add('patience', async () => pools.giveUp());
  // The lock is ours, so a socket that is there is one that a killed daemon left.
  await listenPrivately(admin, config.adminSocket);
  listeners['admin'] = config.adminSocket;

  state = 'serving';
  const log = logOf(logger, 'daemon');
  log('info', 'serving', { version, dataDirectory: config.dataDirectory, ringName, listeners });
  void tellLeftRings(ringName, log);
  let stopping: Promise<void> | null = null;
  return {
    config,
    listeners,
    stop() {
      state = 'stopping';
      stopping ??= closers.close();
      return stopping;
    },
  };
}

/** After serving began, for nobody waits for it. */
async function tellLeftRings(own: string, log: ReturnType<typeof logOf>): Promise<void> {
  const rings = await leftRings(own).catch(() => []);
  if (rings.length === 0) return;
  log('info', 'rings in shared memory that no daemon uses: remove those whose data directory is gone for good, and no others', {
    count: rings.length,
    bytes: rings.reduce((bytes, ring) => bytes + ring.bytes, 0),
    rings: rings.slice(0, left_rings_told_max),
  });
}

function securityOf({ nbdTls }: Config): string {
  if (nbdTls === null) return 'without encryption and without asking who connects';
  const clients = nbdTls.clientCa === null ? 'clients need no certificate' : 'clients need a certificate for it';
  return nbdTls.mode === 'required' ? `with TLS only; ${clients}` : `with TLS for those who ask for it; ${clients}`;
}

function readVersion(): string {
  const content = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { readonly version?: unknown };
  return typeof content.version === 'string' ? content.version : 'unknown';
}

/**
 * What has been opened, to be closed in the opposite order, each whatever became of the others. None is waited for for
 * ever: a backend that hangs does not keep the daemon from ending, and what it left undone the next start finds.
 */
class Closers {
  readonly #logger: Logger;
  readonly #closers: { readonly name: string; readonly close: () => Promise<unknown> }[] = [];

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  add(name: string, close: () => Promise<unknown>): void {
    this.#closers.push({ name, close });
  }

  async close(): Promise<void> {
    const end = performance.now() + stop_milliseconds_max;
    for (let last = this.#closers.pop(); last !== undefined; last = this.#closers.pop()) {
      const { name, close } = last;
      const closing = close().catch((error: unknown) => {
        this.#logger.error({ part: name, error: String(error) }, 'a part of the daemon did not close in order');
      });
      await settledWithin([closing], Math.max(Math.min(close_milliseconds_max, end - performance.now()), 0));
    }
  }
}
