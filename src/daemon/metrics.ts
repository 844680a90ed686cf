/**
 * Metrics in Prometheus' text form. The engine counts for itself; its numbers are read when somebody asks, not copied as
 * they change. One registry for each daemon, so that two can run in one process.
 */
import { getHeapStatistics } from 'node:v8';

import { Counter, Histogram, Registry, type Metric } from 'prom-client';

import type { EngineStats, OperationCounters, PoolStats } from '../engine/binding.js';
import type { CollectionView } from '../upkeep/collections.js';
import type { Waiting } from '../object/notices.js';
import type { DeliveryCounts } from '../upkeep/deliveries.js';
import type { MoveView, Moves } from '../upkeep/moves.js';
import type { Replications, ReplicationView } from '../upkeep/replications.js';
import type { ScrubView } from '../upkeep/scrubs.js';
import type { RequestRecord } from '../northbound/s3/request_record.js';
import type { NbdOccurrence } from '../northbound/nbd/nbd.js';
import { RequestMetrics } from './request_metrics.js';

export interface Sample {
  readonly value: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Where it is not the metric's own: `NAME_bucket` and the like. */
  readonly metricName?: string;
}

/** `From`: what its samples are read of. */
export interface Definition<From = EngineStats> {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  read(from: From): readonly Sample[];
}

const number =
  (type: 'counter' | 'gauge') =>
  (name: string, help: string, read: (stats: EngineStats) => number): Definition => ({
    name,
    help,
    type,
    read: (stats) => [{ value: read(stats), labels: {} }],
  });
const counter = number('counter');
const gauge = number('gauge');

const perOperation = (name: string, help: string, read: (counters: OperationCounters) => number): Definition => ({
  name,
  help,
  type: 'counter',
  read: ({ nbd }) => Object.entries(nbd).map(([operation, counters]) => ({ value: read(counters), labels: { operation } })),
});

const perPool =
  (type: 'counter' | 'gauge') =>
  (name: string, help: string, read: (pool: PoolStats) => number): Definition => ({
    name,
    help,
    type,
    read: ({ pools }) => pools.map((pool) => ({ value: read(pool), labels: { pool: pool.name } })),
  });
const poolCounter = perPool('counter');
const poolGauge = perPool('gauge');

const definitions: readonly Definition[] = [
  perOperation('skerry_nbd_operations_total', 'NBD requests answered', ({ operations }) => operations),
  perOperation('skerry_nbd_bytes_total', 'Bytes that NBD requests covered', ({ bytes }) => bytes),
  perOperation('skerry_nbd_errors_total', 'NBD requests answered with an error', ({ errors }) => errors),
  {
    name: 'skerry_nbd_latency_seconds',
    help: 'Time from the arrival of an NBD request to its answer',
    type: 'histogram',
    read: ({ nbd }) =>
      Object.entries(nbd).flatMap(([operation, counters]) => latencySamples('skerry_nbd_latency_seconds', operation, counters)),
  },
  gauge('skerry_nbd_connections', 'NBD connections that are open', ({ connections }) => connections),
  counter('skerry_nbd_connections_total', 'NBD connections accepted', ({ connectionsTotal }) => connectionsTotal),
  gauge('skerry_nbd_buffer_bytes', 'Buffers of NBD requests and answers', ({ nbdBufferBytes }) => nbdBufferBytes),
  gauge('skerry_journal_bytes', 'Journal between its oldest wanted record and its end', ({ journal }) => journal.bytes),
  gauge('skerry_journal_bytes_max', 'Limit of the journal', ({ journal }) => journal.bytesMax),
  gauge('skerry_journal_fill_ratio', 'Journal over its limit', ({ journal }) =>
    journal.bytesMax === 0 ? 0 : journal.bytes / journal.bytesMax,
  ),
  gauge('skerry_journal_ring_bytes', 'Size of the ring in shared memory', ({ journal }) => journal.ringBytes),
  gauge('skerry_journal_segments', 'Journal segments on disk', ({ journal }) => journal.segments),
  gauge('skerry_journal_segments_ready', 'Journal segments prepared ahead of need', ({ journal }) => journal.segmentsReady),
  counter('skerry_journal_appends_total', 'Records appended', ({ journal }) => journal.appends),
  counter('skerry_journal_batches_total', 'Batches written to segments', ({ journal }) => journal.batches),
  counter('skerry_journal_syncs_total', 'Times the journal was made durable', ({ journal }) => journal.syncs),
  counter('skerry_journal_written_bytes_total', 'Bytes written to segments', ({ journal }) => journal.bytesWritten),
  counter(
    'skerry_journal_moved_bytes_total',
    "Records copied to the journal's end, so that what cannot be destaged yet does not fill it",
    ({ journal }) => journal.movedBytes,
  ),
  gauge(
    'skerry_read_only',
    '1 once a write or sync of journal or packs failed: nothing is written until a restart',
    ({ failure }) => Number(failure !== ''),
  ),
  gauge('skerry_overlay_bytes', 'Memory of the index of journalled pages', ({ overlayBytes }) => overlayBytes),
  gauge('skerry_overlay_pages', 'Pages that the journal holds and no root does', ({ overlayPages }) => overlayPages),
  gauge('skerry_node_cache_bytes', 'Cache of map nodes', ({ nodeCacheBytes }) => nodeCacheBytes),
  gauge('skerry_block_cache_bytes', 'Cache of records of remote pools', ({ blockCache }) => blockCache.bytes),
  gauge('skerry_block_cache_bytes_max', 'Limit of that cache', ({ blockCache }) => blockCache.bytesMax),
  gauge('skerry_block_cache_records', 'Records in that cache', ({ blockCache }) => blockCache.records),
  counter('skerry_block_cache_hits_total', 'Reads that found their record there', ({ blockCache }) => blockCache.hits),
  counter('skerry_block_cache_misses_total', 'Reads that did not', ({ blockCache }) => blockCache.misses),
  counter('skerry_block_cache_evicted_total', 'Records that made room for others', ({ blockCache }) => blockCache.evicted),
  gauge('skerry_local_cache_bytes', 'Cache of records of remote pools on the local disk', ({ localCache }) => localCache.bytes),
  gauge('skerry_local_cache_bytes_max', 'Limit of that cache', ({ localCache }) => localCache.bytesMax),
  gauge('skerry_local_cache_records', 'Records in that cache', ({ localCache }) => localCache.records),
  counter('skerry_local_cache_hits_total', 'Reads that found their record there', ({ localCache }) => localCache.hits),
  counter('skerry_local_cache_misses_total', 'Reads that did not', ({ localCache }) => localCache.misses),
  counter('skerry_local_cache_written_bytes_total', 'Bytes written to it', ({ localCache }) => localCache.writtenBytes),
  counter('skerry_local_cache_evicted_total', 'Records that made room for others', ({ localCache }) => localCache.evicted),
  counter(
    'skerry_local_cache_passed_over_total',
    'Records not kept because they came too fast or did not fit',
    ({ localCache }) => localCache.passedOver,
  ),
  counter(
    'skerry_local_cache_damaged_total',
    'Records there that were not as they were written, and were fetched again',
    ({ localCache }) => localCache.damaged,
  ),
  gauge('skerry_local_cache_failed', '1 once its disk failed or was full: it is not used until a restart', ({ localCache }) =>
    Number(localCache.failed),
  ),
  poolGauge('skerry_pool_packs', 'Packs in the pool', ({ packs }) => packs),
  poolGauge('skerry_pool_stored_bytes', 'Bytes of packs on the backend', ({ storedBytes }) => storedBytes),
  poolGauge('skerry_pool_free_bytes', 'Room left on the local disk that packs are written to', ({ freeBytes }) => freeBytes),
  poolGauge('skerry_pool_full', '1 while writes are refused because disk or backend are full', ({ room }) =>
    Number(room === 'none'),
  ),
  poolGauge('skerry_pool_blocks', 'Distinct blocks in the pool', ({ blocks }) => blocks),
  poolGauge('skerry_pool_nodes', 'Distinct map nodes in the pool', ({ nodes }) => nodes),
  poolGauge('skerry_pool_index_bytes', 'Memory of the location index', ({ indexBytes }) => indexBytes),
  poolCounter('skerry_pool_put_bytes_total', 'Bytes put into packs', ({ putBytes }) => putBytes),
  poolCounter('skerry_pool_put_records_total', 'Records put into packs', ({ putRecords }) => putRecords),
  poolCounter(
    'skerry_pool_put_record_bytes_total',
    'What records put into packs took there, compressed or not',
    ({ putRecordBytes }) => putRecordBytes,
  ),
  poolCounter('skerry_pool_put_compressed_records_total', 'Records put compressed', ({ putFramedRecords }) => putFramedRecords),
  poolGauge('skerry_pool_record_bytes', 'What blocks and map nodes take in packs', ({ recordBytes }) => recordBytes),
  poolGauge(
    'skerry_pool_uncompressed_record_bytes',
    'What blocks and map nodes would take in packs if none were compressed',
    ({ uncompressedRecordBytes }) => uncompressedRecordBytes,
  ),
  poolGauge('skerry_pool_compressed_records', 'Records that are compressed', ({ framedRecords }) => framedRecords),
  poolCounter('skerry_dedup_hits_total', 'Blocks that were in the pool already', ({ dedupHits }) => dedupHits),
  poolCounter(
    'skerry_dedup_bytes_total',
    'Bytes that were in the pool already and were not stored again',
    ({ dedupBytes }) => dedupBytes,
  ),
  poolCounter('skerry_corrupt_cells_total', 'Pages in the pool that did not match their sum', ({ corruptCells }) => corruptCells),
  poolGauge('skerry_pool_staged_bytes', 'Packs that wait to be shipped to the backend', ({ stagedBytes }) => stagedBytes),
  poolGauge(
    'skerry_pool_waiting_log_bytes',
    'Logs of volumes with durability pool that are not in the pool yet',
    ({ waitingLogBytes }) => waitingLogBytes,
  ),
  poolGauge('skerry_pool_kept_bytes', 'Copies on this host of packs that the backend has', ({ keptBytes }) => keptBytes),
  poolCounter('skerry_pool_shipped_bytes_total', 'Bytes of packs shipped to the backend', ({ shippedBytes }) => shippedBytes),
  poolCounter(
    'skerry_pool_ship_failures_total',
    'Packs that could not be shipped, each time',
    ({ shipFailures }) => shipFailures,
  ),
  poolCounter('skerry_pool_fetches_total', 'Ranges of packs asked of the backend', ({ fetches }) => fetches),
  poolCounter('skerry_pool_fetched_bytes_total', 'Bytes that the backend gave', ({ fetchedBytes }) => fetchedBytes),
  poolCounter('skerry_pool_fetch_failures_total', 'Fetches that failed for good', ({ fetchFailures }) => fetchFailures),
  poolCounter('skerry_pool_removals_total', 'Collected packs that the backend has removed', ({ removals }) => removals),
  poolCounter(
    'skerry_pool_removal_failures_total',
    'Removals that failed, and are tried again',
    ({ removalFailures }) => removalFailures,
  ),
  poolGauge(
    'skerry_pool_removals_waiting',
    'Collected packs that the backend has not removed yet',
    ({ removalsWaiting }) => removalsWaiting,
  ),
  poolGauge('skerry_pool_fetches_waiting', 'Records that somebody waits for', ({ fetchesWaiting }) => fetchesWaiting),
  counter('skerry_destaged_generations_total', 'Generations destaged', ({ destagedGenerations }) => destagedGenerations),
  counter('skerry_destaged_bytes_total', 'Bytes destaged', ({ destagedBytes }) => destagedBytes),
  counter('skerry_destage_cpu_seconds_total', 'CPU time of destage', ({ destageCpuSeconds }) => destageCpuSeconds),
];

/** What the process itself uses; no engine needed. */
const processDefinitions: readonly (Omit<Definition, 'read'> & { read(): number })[] = [
  {
    name: 'process_resident_memory_bytes',
    help: 'Resident memory, the ring included',
    type: 'gauge',
    read: () => process.memoryUsage.rss(),
  },
  { name: 'process_cpu_seconds_total', help: 'CPU time of all threads', type: 'counter', read: cpuSeconds },
  {
    name: 'skerry_heap_limit_bytes',
    help: 'Limit of the JavaScript heap',
    type: 'gauge',
    read: () => getHeapStatistics().heap_size_limit,
  },
  { name: 'skerry_heap_used_bytes', help: 'JavaScript heap in use', type: 'gauge', read: () => process.memoryUsage().heapUsed },
];

export class Metrics {
  readonly #registry = new Registry();
  readonly #occurrences: Readonly<Record<NbdOccurrence, Counter>>;
  readonly #collections: Readonly<Record<'runs' | 'packs' | 'freed', Counter>>;
  readonly #scrubs: Readonly<Record<'runs' | 'bytes' | 'damaged' | 'repaired', Counter>>;
  readonly #moves: Readonly<Record<'runs' | 'carried' | 'put', Counter>>;
  readonly #replicated: Readonly<Record<'carried' | 'put', Counter>>;
  readonly #verbs: Histogram<'verb' | 'outcome'>;
  readonly #requests = new RequestMetrics();
  readonly #notices: Counter<'webhook' | 'outcome'>;
  /** null before the engine runs and after it stopped: then only the process is told of. */
  readonly #stats: () => EngineStats | null;
  #current: EngineStats | null = null;
  #listReplications: Replications['list'] = async () => [];
  #replications: readonly ReplicationView[] = [];

  constructor(stats: () => EngineStats | null) {
    this.#stats = stats;
    this.#verbs = new Histogram({
      name: 'skerry_verb_seconds',
      help: 'Time of verbs on resources in the daemon',
      labelNames: ['verb', 'outcome'],
      buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5],
      registers: [this.#registry],
    });
    this.#notices = new Counter({
      name: 'skerry_s3_notices_total',
      help: 'Notices that webhooks took (sent), did not take (failed, each time), and will never be told of (dropped)',
      labelNames: ['webhook', 'outcome'],
      registers: [this.#registry],
    });
    const count = (name: string, help: string) => new Counter({ name, help, registers: [this.#registry] });
    this.#occurrences = {
      tls: count('skerry_nbd_tls_connections_total', 'NBD connections that went over to TLS'),
      'tls-failed': count('skerry_nbd_tls_failures_total', 'TLS handshakes that failed'),
      refused: count('skerry_nbd_refused_total', 'Times a client asked for an export that it may not attach'),
    };
    const ofPool = (name: string, help: string, ...labels: string[]) =>
      new Counter({ name, help, labelNames: ['pool', ...labels], registers: [this.#registry] });
    this.#collections = {
      runs: ofPool('skerry_gc_runs_total', 'Runs that gave space back', 'outcome'),
      packs: ofPool('skerry_gc_packs_removed_total', 'Packs that they removed'),
      freed: ofPool('skerry_gc_freed_bytes_total', 'Bytes of packs that they removed, without what they put elsewhere'),
    };
    this.#scrubs = {
      runs: ofPool('skerry_scrub_runs_total', 'Runs that read everything', 'outcome'),
      bytes: ofPool('skerry_scrub_read_bytes_total', 'Bytes that they read from the disk'),
      damaged: ofPool('skerry_scrub_damaged_records_total', 'Damaged records that they found'),
      repaired: ofPool('skerry_scrub_repaired_records_total', 'Of these, put again from a second copy'),
    };
    this.#moves = {
      runs: ofPool('skerry_moves_total', 'Moves to the pool that ended', 'outcome'),
      carried: ofPool('skerry_move_carried_bytes_total', 'Bytes that they read in other pools'),
      put: ofPool('skerry_move_put_bytes_total', 'Bytes that they stored there'),
    };
    this.#replicated = {
      carried: ofPool('skerry_replication_carried_bytes_total', 'Bytes of the volume that were read for replicas', 'volume'),
      put: ofPool('skerry_replication_put_bytes_total', 'Bytes that replicas took in the pool', 'volume'),
    };
    for (const definition of this.#requests.definitions) this.#register(definition, () => definition.read());
    for (const definition of processDefinitions) this.#register(definition, () => [{ value: definition.read(), labels: {} }]);
    for (const definition of definitions)
      this.#register(definition, () => (this.#current === null ? [] : definition.read(this.#current)));
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  observeVerb(verb: string, seconds: number, ok: boolean): void {
    this.#verbs.observe({ verb, outcome: ok ? 'ok' : 'failed' }, seconds);
  }

  observeS3(record: RequestRecord): void {
    this.#requests.observe(record);
  }

  countDelivery(webhook: string, counts: Partial<DeliveryCounts>): void {
    for (const [outcome, notices] of Object.entries(counts)) this.#notices.inc({ webhook, outcome }, notices);
  }

  /** `waiting`: by webhook. */
  followWebhooks(waiting: () => ReadonlyMap<string, Waiting>): void {
    this.#register({ name: 'skerry_s3_notices_waiting', help: 'Notices that a webhook is still to take', type: 'gauge' }, () =>
      [...waiting()].map(([webhook, { notices }]) => ({ value: notices, labels: { webhook } })),
    );
  }

  /** `waiting`: how many volumes are not served before this pool answers. */
  followUnreadLogs(waiting: () => ReadonlyMap<string, number>): void {
    this.#register(
      {
        name: 'skerry_volumes_unread',
        help: 'Volumes that are not served before what they flushed is read from their pool',
        type: 'gauge',
      },
      () => [...waiting()].map(([pool, volumes]) => ({ value: volumes, labels: { pool } })),
    );
  }

  followCopies({
    moves,
    replications,
  }: {
    readonly moves: Pick<Moves, 'list'>;
    readonly replications: Pick<Replications, 'list'>;
  }): void {
    this.#listReplications = () => replications.list();
    const ofReplication = (name: string, help: string, value: (view: ReplicationView) => number): void =>
      this.#register({ name, help, type: 'gauge' }, () =>
        this.#replications.map((view) => ({ value: value(view), labels: { volume: view.volume, pool: view.to } })),
      );
    const seconds = 'Since when the newest replica of the volume is as of; since copies were asked for where there is none';
    ofReplication('skerry_replication_lag_seconds', seconds, ({ lagSeconds }) => lagSeconds);
    ofReplication('skerry_replication_late', '1 while that is more than two intervals', ({ late }) => Number(late));
    ofReplication('skerry_replication_failing', '1 from a copy that failed until one succeeds', ({ error }) =>
      Number(error !== null),
    );
    ofReplication('skerry_replication_running', '1 while a copy is under way', ({ state }) => Number(state === 'running'));
    const ofMoves = (name: string, help: string, value: (view: MoveView) => number): void =>
      this.#register({ name, help, type: 'gauge' }, () =>
        moves.list().map((view) => ({ value: value(view), labels: { kind: view.kind, name: view.name, pool: view.to } })),
      );
    ofMoves('skerry_move_running', '1 while it is on its way to the pool, 0 once it has failed', ({ state }) =>
      Number(state === 'running'),
    );
    ofMoves('skerry_move_failing', '1 while it is tried again, or has failed', ({ error }) => Number(error !== null));
  }

  countMove({ to, state, carriedBytes, putBytes }: MoveView): void {
    const { runs, carried, put } = this.#moves;
    runs.inc({ pool: to, outcome: state });
    carried.inc({ pool: to }, carriedBytes);
    put.inc({ pool: to }, putBytes);
  }

  countReplicated(volume: string, to: string, part: { readonly carriedBytes: number; readonly putBytes: number }): void {
    this.#replicated.carried.inc({ pool: to, volume }, part.carriedBytes);
    this.#replicated.put.inc({ pool: to, volume }, part.putBytes);
  }

  countCollection({ pool, state, packsRemoved, freedBytes }: CollectionView): void {
    const { runs, packs, freed } = this.#collections;
    runs.inc({ pool, outcome: state });
    packs.inc({ pool }, packsRemoved);
    freed.inc({ pool }, freedBytes);
  }

  countScrub({ pool, state, bytes, damaged, repaired }: ScrubView): void {
    const { runs, ...counts } = this.#scrubs;
    runs.inc({ pool, outcome: state });
    counts.bytes.inc({ pool }, bytes);
    counts.damaged.inc({ pool }, damaged);
    counts.repaired.inc({ pool }, repaired);
  }

  countNbd(occurrence: NbdOccurrence): void {
    this.#occurrences[occurrence].inc();
  }

  async text(): Promise<string> {
    // Read once for all metrics: their numbers are of one moment.
    this.#current = this.#stats();
    this.#replications = this.#current === null ? [] : await this.#listReplications();
    return this.#registry.metrics();
  }

  #register({ name, help, type }: Pick<Definition, 'name' | 'help' | 'type'>, read: () => readonly Sample[]): void {
    const get = async () => ({ name, help, type, values: read(), aggregator: 'sum' });
    // The registry asks a metric for no more than this; its own classes can only count what they are told of.
    this.#registry.registerMetric({ name, get } as unknown as Metric);
  }
}

/** The engine's buckets are of powers of two microseconds and not cumulative; Prometheus wants seconds, summed up. */
function latencySamples(name: string, operation: string, counters: OperationCounters): Sample[] {
  const samples: Sample[] = [];
  let sum = 0;
  counters.latencyBuckets.forEach((count, index) => {
    sum += count;
    const last = index === counters.latencyBuckets.length - 1;
    if (!last) samples.push({ metricName: `${name}_bucket`, value: sum, labels: { operation, le: String(2 ** index / 1e6) } });
  });
  samples.push(
    { metricName: `${name}_bucket`, value: sum, labels: { operation, le: '+Inf' } },
    { metricName: `${name}_sum`, value: counters.latencySeconds, labels: { operation } },
    { metricName: `${name}_count`, value: sum, labels: { operation } },
  );
  return samples;
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
