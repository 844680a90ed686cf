/**
 * What people say of a resource: its name, labels, description, and what it may use. The pool's root chunk is told first,
 * then the catalog, as with every root; under the resource's lock, so that no older root comes after a newer one.
 */
import type { ResourceKind, ResourceRecord } from '../catalog/records.js';
import { isSkerryError, SkerryError } from '../core/errors.js';
import { checkLabels, checkResourceName } from '../core/names.js';
import { compressionOf, compresses, volumeCompressionText } from '../core/compression.js';
import type { NativeEngine } from '../engine/binding.js';
import type { Ledger, LedgerChange, LedgerEntry } from './ledger.js';
import { idLock, nameLock, type KeyedLocks } from './locks.js';
import type { PoolUsers } from './pool_verbs.js';
import { keptRoot } from './root_store.js';
import { changedAccess } from './access.js';
import type { AccessChange } from './resources.js';
import { findReady, refuseTaken } from './sources.js';

/** A root commit of one of many snapshots may come between; each try takes what is there then. */
const rename_attempts_max = 16;
/** Snapshots that follow their volume's name in one transaction. */
export const renamed_snapshots_max = 10_000;
const burst_seconds_max = 3600;

export interface VolumeSettings {
  /** A null takes the label away. */
  readonly labels?: Readonly<Record<string, string | null>>;
  readonly description?: string;
  readonly limit?: ResourceRecord['limit'];
  readonly access?: AccessChange;
  readonly compression?: string;
}

export interface NamingOptions {
  readonly ledger: Ledger;
  readonly locks: KeyedLocks;
  readonly pools: Pick<PoolUsers, 'of' | 'allowFrames'>;
  readonly engine: Pick<NativeEngine, 'limit' | 'compress'>;
}

export class Naming {
  readonly #options: NamingOptions;

  constructor(options: NamingOptions) {
    this.#options = options;
  }

  /** Snapshots of a volume follow. Connections go on: they know the resource by its id. @throws SkerryError exists */
  async rename(kind: 'volume' | 'image', name: string, to: string): Promise<LedgerEntry> {
    const { ledger, locks } = this.#options;
    checkResourceName(kind, name);
    checkResourceName(kind, to);
    return locks.run([nameLock(name), nameLock(to)], async () => {
      const { id } = (await findReady(ledger, kind, name)).record;
      if (name !== to) {
        await refuseTaken(ledger, kind, to);
        await locks.run([idLock(id)], () => this.#rename(kind, name, to));
      }
      return findReady(ledger, kind, to);
    });
  }

  async #rename(kind: ResourceKind, name: string, to: string): Promise<void> {
    const { ledger } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      const from = await findReady(ledger, kind, name);
      const snapshots =
        kind === 'volume' ? await ledger.list('snapshot', `${name}@`, { entriesMax: renamed_snapshots_max + 1 }) : [];
      if (snapshots.length > renamed_snapshots_max) {
        throw new SkerryError('too-large', `volume ${name} has more than ${renamed_snapshots_max} snapshots: delete some first`);
      }
      const renamed = { ...from.record, name: to };
      await this.#keep(renamed);
      const changes: LedgerChange[] = [{ change: 'update', from, record: renamed }];
      for (const snapshot of snapshots) {
        const record = { ...snapshot.record, name: to + snapshot.record.name.slice(name.length) };
        changes.push({ change: 'update', from: snapshot, record });
      }
      try {
        await ledger.commit(changes);
        return;
      } catch (error) {
        if (!isSkerryError(error, 'try-again') || attempt === rename_attempts_max) throw error;
      }
    }
  }

  /** @throws SkerryError invalid */
  async set(name: string, settings: VolumeSettings): Promise<LedgerEntry> {
    const { ledger, locks, engine } = this.#options;
    if (settings.limit !== undefined) checkLimit(settings.limit);
    const wanted = settings.compression === undefined ? null : volumeCompressionText(settings.compression);
    return locks.run([nameLock(name)], async () => {
      const { id } = (await findReady(ledger, 'volume', name)).record;
      await locks.run([idLock(id)], async () => {
        const from = await findReady(ledger, 'volume', name);
        const labels = checkLabels(merged(from.record.labels, settings.labels ?? {}));
        const { description = from.record.description, limit = from.record.limit } = settings;
        const access = settings.access === undefined ? from.record.access : changedAccess(from.record.access, settings.access);
        const compression = wanted ?? from.record.compression;
        const record = { ...from.record, labels, description, limit, access, compression };
        if (compresses(compression)) await this.#options.pools.allowFrames(record.pool);
        await this.#keep(record);
        await ledger.commit([{ change: 'update', from, record }]);
        if (settings.limit !== undefined) engine.limit(id, record.limit);
        if (wanted !== null) engine.compress(id, compressionOf(wanted));
      });
      return findReady(ledger, 'volume', name);
    });
  }

  /** A resource whose root is still to come has no root chunk yet: one would tell a lie. */
  async #keep(record: ResourceRecord): Promise<void> {
    if (record.pendingOf === 0) await this.#options.pools.of(record.pool).putRoot(keptRoot(record));
  }
}

function merged(labels: ResourceRecord['labels'], changes: Readonly<Record<string, string | null>>): Record<string, string> {
  const all = new Map(Object.entries(labels));
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) all.delete(key);
    else all.set(key, value);
  }
  return Object.fromEntries([...all].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** @throws SkerryError invalid */
function checkLimit({ iops, bandwidth, burst }: ResourceRecord['limit']): void {
  for (const [name, value] of Object.entries({ iops, bandwidth, burst })) {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new SkerryError('invalid', `${name} of a limit is a whole number of at least 0, not ${value}`);
  }
  if (burst > burst_seconds_max) throw new SkerryError('invalid', `a burst lasts at most ${burst_seconds_max} seconds`);
}
