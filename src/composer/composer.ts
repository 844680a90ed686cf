/**
 * Opens what the catalog names, and takes the roots that destage makes into the catalog. The order that holds everywhere:
 * packs durable (the engine saw to that) -> root chunk durable -> catalog transaction, fence compared -> the engine may trim.
 */
import type { ResourceRecord } from '../catalog/records.js';
import { SkerryError, toSkerryError } from '../core/errors.js';
import { pause } from '../core/pause.js';
import type { NativeEngine, PoolSpec, RootCommit, StartReport, TreeRootSpec } from '../engine/binding.js';
import { passFailpoint } from '../engine/failpoints.js';
import type { Ledger, LedgerChange, LedgerEntry } from '../mapper/ledger.js';
import { idLock, type KeyedLocks } from '../mapper/locks.js';
import { withoutName } from '../mapper/removal.js';
import { resourceSpec, rootRecord } from '../mapper/resource_spec.js';
import { keptRoot, type RootStores } from '../mapper/root_store.js';
import { logOverRoot } from '../mapper/volume_log.js';
import type { VolumeLogs } from './volume_logs.js';

/** After these the engine is told that it failed, and offers the root again, perhaps with more in it. */
const commit_attempts_max = 6;
const retry_milliseconds_min = 50;
const retry_milliseconds_max = 2000;
/** Of one pool. Their syncs share commits of the catalog and of the file system; verbs must find threads to sync with all the same. */
const commits_in_flight_max = 4;
/** A transaction is bounded; clones beyond these take the root in transactions of their own. */
const takers_per_transaction_max = 512;

type Taker = RootCommit['takers'][number];

export interface ComposerOptions {
  readonly ledger: Ledger;
  readonly locks: KeyedLocks;
  readonly engine: Pick<NativeEngine, 'start' | 'committed'>;
  readonly roots: RootStores;
  /** Of volumes that flush to their pools. */
  readonly logs: Pick<VolumeLogs, 'distrustJournal' | 'distrustPartialJournal' | 'start' | 'shorten' | 'stop'>;
  /** The operator lets go what a damaged journal does not have. */
  readonly salvages?: boolean;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void;
  /** A root was taken: what waited for it may be ready to go. */
  readonly onCommitted?: () => void;
}

interface Lane {
  /** Those that the engine offered while others were under way, in its order. */
  readonly waiting: RootCommit[];
  readonly underWay: Set<Promise<void>>;
}

export class Composer {
  readonly #options: ComposerOptions;
  /** Of each pool by itself: one whose roots cannot be put keeps those of no other waiting. */
  readonly #lanes = new Map<string, Lane>();
  readonly #stopping = new AbortController();

  constructor(options: ComposerOptions) {
    this.#options = options;
  }

  /**
   * Starts the engine over all that the catalog holds. `entries` as Ledger.open gave them.
   * @throws SkerryError corrupt where a record waits for one that is not there; else what the engine throws.
   */
  async start(pools: readonly PoolSpec[], entries: readonly LedgerEntry[]): Promise<StartReport> {
    const records = await this.#endInterruptedImports(entries.map(({ record }) => record));
    if (this.#options.salvages === true) await this.#options.logs.distrustJournal(records);
    else await this.#options.logs.distrustPartialJournal(records);
    const report = await this.#options.engine.start(pools, inOrder(records).map(resourceSpec));
    for (const note of report.notes) this.#options.log('warn', note);
    // Their content is gone; a name that cannot be opened would keep the daemon from starting as long as it is there.
    for (const id of report.lost) {
      const name = records.find((record) => record.id === id)?.name ?? '';
      await this.#options.ledger.update(id, withoutName);
      this.#options.log(
        'error',
        `${name === '' ? 'an unnamed snapshot' : name} was lost with the damaged journal, and is deleted`,
        {
          resource: id,
        },
      );
    }
    await this.#options.logs.start(records);
    return report;
  }

  /** Takes the root, sooner or later; the engine hears how it went. Commits of one resource take effect in order, by its lock. */
  handle(commit: RootCommit): void {
    let lane = this.#lanes.get(commit.pool);
    if (lane === undefined) {
      lane = { waiting: [], underWay: new Set() };
      this.#lanes.set(commit.pool, lane);
    }
    lane.waiting.push(commit);
    this.#begin(lane);
  }

  /** Gives up what is being tried again, and waits for what is under way. The engine offers the rest after its next start. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const { waiting } of this.#lanes.values()) waiting.length = 0;
    await Promise.all([...this.#lanes.values()].flatMap(({ underWay }) => [...underWay]));
    await this.#options.logs.stop();
  }

  #begin(lane: Lane): void {
    while (lane.underWay.size < commits_in_flight_max) {
      const commit = lane.waiting.shift();
      if (commit === undefined) return;
      const taking = this.#take(commit).finally(() => {
        lane.underWay.delete(taking);
        this.#begin(lane);
      });
      lane.underWay.add(taking);
    }
  }

  /** Never rejects. */
  async #take(commit: RootCommit): Promise<void> {
    const { log } = this.#options;
    for (let attempt = 1; !this.#stopping.signal.aborted; attempt += 1) {
      try {
        await this.#record(commit);
        this.#answer(commit, true);
        this.#options.onCommitted?.();
        return;
      } catch (thrown) {
        const error = toSkerryError(thrown);
        const again = error.retry && attempt < commit_attempts_max;
        const takers = commit.takers.map(({ id }) => id);
        log(again ? 'warn' : 'error', 'a root could not be committed', {
          takers,
          attempt,
          again,
          code: error.code,
          error: error.message,
        });
        // The engine makes and offers a refused root again, so a failure that stays is answered slowly, not in a tight loop.
        const milliseconds = again ? retry_milliseconds_min * 2 ** (attempt - 1) : retry_milliseconds_max;
        await pause(milliseconds, this.#stopping.signal);
        if (again) continue;
        this.#answer(commit, false);
        return;
      }
    }
  }

  async #record(commit: RootCommit): Promise<void> {
    const locks = commit.takers.map(({ id }) => idLock(id));
    // A snapshot's creation holds its id's lock until it has its name; the commit that resolves it waits here for that.
    await this.#options.locks.run(locks, async () => {
      const takers = [...commit.takers];
      const told = new Set(takers.map(({ id }) => id));
      // A clone that was made after the engine put the commit together waits for the same root. Its id is not locked: its
      // record is compared, and a race lost is tried again.
      for (const { id } of commit.takers) {
        for (const waiting of this.#options.ledger.waitingOn(id)) {
          const entry = told.has(waiting) ? null : await this.#options.ledger.get(waiting);
          if (entry === null || entry.record.kind === 'snapshot') continue;
          told.add(waiting);
          const { appliedSequence, fence, sizeBytes, lineage } = entry.record;
          takers.push({ id: waiting, appliedSequence, fence, sizeBytes, lineage, log: null });
        }
      }
      // The volume and the snapshots that its root resolves stand first, so they are in one transaction.
      for (let first = 0; first < takers.length; first += takers_per_transaction_max) {
        await this.#transact(takers.slice(first, first + takers_per_transaction_max), commit.root);
      }
    });
  }

  async #transact(takers: readonly Taker[], root: TreeRootSpec): Promise<void> {
    const changes: Extract<LedgerChange, { change: 'update' }>[] = [];
    for (const taker of takers) {
      const from = await this.#options.ledger.get(taker.id);
      const record = from === null ? null : this.#withRoot(from.record, taker, root);
      if (from !== null && record !== null) changes.push({ change: 'update', from, record });
    }
    if (changes.length === 0) return;
    // What has no name is never recovered from the pool; a half imported image must not be.
    const kept = changes.filter(({ record }) => record.name !== '' && record.state === 'ready');
    await Promise.all(kept.map(({ record }) => this.#options.roots.of(record.pool).putRoot(keptRoot(record))));
    passFailpoint('root-chunk-put');
    await this.#options.ledger.commit(changes);
    passFailpoint('root-committed');
    for (const { from, record } of changes) this.#options.logs.shorten(record, from.record.log, record.log);
  }

  /** The record with the root in it; null where it holds as much or more already. @throws SkerryError conflict for a fence of the past */
  #withRoot(record: ResourceRecord, taker: Taker, root: TreeRootSpec): ResourceRecord | null {
    if (taker.fence < record.fence) {
      throw new SkerryError(
        'conflict',
        `resource ${record.id} was taken over: fence ${record.fence} is recorded, the root came with ${taker.fence}`,
      );
    }
    // A root once published never goes back: one with fewer writes is not taken, and nothing is lost by that.
    // Nor does one of a lineage that a rollback ended.
    const older = taker.lineage < record.lineage || taker.appliedSequence < record.appliedSequence;
    const same = record.pendingOf === 0 && taker.appliedSequence === record.appliedSequence && taker.fence === record.fence;
    const { appliedSequence, fence, sizeBytes, lineage } = taker;
    const log = logOverRoot(record.log, appliedSequence, taker.log);
    // The engine goes by what it was told that the catalog says of the log, so that is taken down even where nothing else is new.
    if (older || (same && Buffer.from(record.root.id).toString('hex') === root.id && log === record.log)) return null;
    return { ...record, root: rootRecord(root), appliedSequence, fence, sizeBytes, lineage, pendingOf: 0, log };
  }

  #answer(commit: RootCommit, ok: boolean): void {
    try {
      this.#options.engine.committed(commit.token, ok);
    } catch (error) {
      // An engine that has stopped needs no answer: it finds the root in the catalog, or destages again.
      this.#options.log('info', 'the engine took no answer to a commit', { token: commit.token, ok, error: String(error) });
    }
  }

  /** Nobody is left to go on with an import, so what it made is removed like anything that was deleted. */
  async #endInterruptedImports(records: readonly ResourceRecord[]): Promise<readonly ResourceRecord[]> {
    const ended: ResourceRecord[] = [];
    for (const record of records) {
      const changed = record.state === 'importing' ? await this.#options.ledger.update(record.id, withoutName) : null;
      if (changed !== null)
        this.#options.log('warn', `the import of image ${record.name} was interrupted: start it again`, { resource: record.id });
      ended.push(changed ?? record);
    }
    return ended;
  }
}

/** What waits for a root comes after what that root is of. It was made later, so its id says so. */
function inOrder(records: readonly ResourceRecord[]): readonly ResourceRecord[] {
  const known = new Set<number>();
  for (const { id } of records) known.add(id);
  for (const { id, name, pendingOf } of records) {
    if (pendingOf === 0) continue;
    if (!known.has(pendingOf) || pendingOf >= id) {
      throw new SkerryError(
        'corrupt',
        `resource ${id} (${name === '' ? 'without a name' : name}) waits for the root of resource ${pendingOf}, which the catalog does not have`,
      );
    }
  }
  return [...records].sort((a, b) => a.id - b.id);
}
