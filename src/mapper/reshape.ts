/**
 * Resizing and rolling back: what changes a volume as a whole. The journal's record is the deed, durable before anybody is
 * told; the catalog learns of it with the volume's next root.
 */
import { isSkerryError, SkerryError } from '../core/errors.js';
import { checkVolumeName, parseSnapshotName } from '../core/names.js';
import { checkVolumeBytes, formatSize } from '../core/sizes.js';
import type { NativeEngine } from '../engine/binding.js';
import type { Ledger, LedgerEntry } from './ledger.js';
import { nameLock, type KeyedLocks } from './locks.js';
import { whenThereIsRoom } from './room.js';
import { findReady, findServed } from './sources.js';

/** How often a record is tried that the journal has no room for: about 10 seconds long. */
const room_attempts_max = 2000;
/** Each attempt waits for all that the volume's snapshots still wait for, so more than a few mean that something is wrong. */
const rollback_attempts_max = 10;

export interface ReshapeOptions {
  readonly ledger: Ledger;
  readonly locks: KeyedLocks;
  readonly engine: Pick<NativeEngine, 'resize' | 'rollback' | 'destage' | 'attached' | 'sizeBytes'>;
  /** Whether an export reads the resource just now. */
  readonly inTransfer: (id: number) => boolean;
}

export class Reshape {
  readonly #options: ReshapeOptions;

  constructor(options: ReshapeOptions) {
    this.#options = options;
  }

  /** @throws SkerryError invalid where it would shrink and `shrink` does not say so; conflict while it is being exported. */
  async resize(name: string, sizeBytes: number, shrink: boolean): Promise<LedgerEntry> {
    const { ledger, locks, engine } = this.#options;
    checkVolumeName(name);
    const wanted = checkVolumeBytes(sizeBytes);
    return locks.run([nameLock(name)], async () => {
      const entry = await findServed(ledger, 'volume', name);
      const { id } = entry.record;
      const now = engine.sizeBytes(id) ?? entry.record.sizeBytes;
      if (wanted === now) return entry;
      if (wanted < now && !shrink) {
        throw new SkerryError(
          'invalid',
          `volume ${name} has ${formatSize(now)}: at ${formatSize(wanted)} it would lose what lies past that; confirm with --shrink`,
        );
      }
      this.#refuseInTransfer(id, name);
      await whenThereIsRoom(() => engine.resize(id, wanted), room_attempts_max);
      return entry;
    });
  }

  /** `name` is VOL@SNAP. @throws SkerryError conflict where the volume is attached or being exported. */
  async rollback(name: string): Promise<LedgerEntry> {
    const { ledger, locks, engine } = this.#options;
    const { volume } = parseSnapshotName(name);
    return locks.run([nameLock(name), nameLock(volume)], async () => {
      const { id } = (await findServed(ledger, 'volume', volume)).record;
      const snapshot = (await findReady(ledger, 'snapshot', name)).record.id;
      for (let attempt = 1; ; attempt += 1) {
        const attached = engine.attached(id);
        if (attached > 0) {
          throw new SkerryError(
            'conflict',
            `volume ${volume} is attached (${attached} ${attached === 1 ? 'connection' : 'connections'}): detach it before it is rolled back`,
          );
        }
        this.#refuseInTransfer(id, volume);
        try {
          // Nothing is awaited between the look at the connections and this call, so none can come between.
          await engine.rollback(id, snapshot);
          break;
        } catch (error) {
          if (!isSkerryError(error, 'try-again') || attempt === rollback_attempts_max) throw error;
          // Snapshots of the volume still wait for what it holds: that becomes their roots first.
          await engine.destage(id);
        }
      }
      // Until the catalog has the new root, the old one and the journal are what a start would go by; the snapshot may go after.
      await engine.destage(id);
      return findReady(ledger, 'volume', volume);
    });
  }

  #refuseInTransfer(id: number, name: string): void {
    if (this.#options.inTransfer(id)) throw new SkerryError('conflict', `volume ${name} is being exported: wait, or cancel that`);
  }
}
