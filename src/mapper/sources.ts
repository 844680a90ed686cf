/** What a SOURCE of clone and export means: VOL, VOL@SNAP or an image, with the kind in front where the name alone is not enough. */
import type { ResourceKind } from '../catalog/records.js';
import { SkerryError } from '../core/errors.js';
import { checkName, checkResourceName, isSnapshotName } from '../core/names.js';
import type { Ledger, LedgerEntry } from './ledger.js';

/**
 * @throws SkerryError invalid for what can be no name, not-found, and conflict where a volume and an image share the name:
 * then `volume/NAME` or `image/NAME` says which.
 */
export async function findSource(ledger: Ledger, source: string): Promise<LedgerEntry> {
  const [, kind, name] = /^(volume|snapshot|image)\/(.*)$/s.exec(source) ?? [];
  if (kind !== undefined && name !== undefined) return findReady(ledger, kind as ResourceKind, name);
  if (isSnapshotName(source)) return findReady(ledger, 'snapshot', source);
  // The rule for images allows all that volumes may be called, and more.
  checkName('image', source);
  const volume = await ledger.find('volume', source);
  const image = readyOrNull(await ledger.find('image', source));
  if (volume !== null && image !== null) {
    throw new SkerryError('conflict', `${source} is a volume and an image: write volume/${source} or image/${source}`);
  }
  const found = volume ?? image;
  if (found === null) throw new SkerryError('not-found', `there is no volume or image ${source}`);
  return found;
}

/** @throws SkerryError invalid, not-found */
export async function findReady(ledger: Ledger, kind: ResourceKind, name: string): Promise<LedgerEntry> {
  checkResourceName(kind, name);
  const found = readyOrNull(await ledger.find(kind, name));
  if (found === null) throw new SkerryError('not-found', `there is no ${kind} ${name}`);
  return found;
}

/** The same of one that something is to be done with. @throws SkerryError unavailable, too, while it is not served yet */
export async function findServed(ledger: Ledger, kind: ResourceKind, name: string): Promise<LedgerEntry> {
  const found = await findReady(ledger, kind, name);
  ledger.unreadLogs.refuse(found.record);
  return found;
}

/** An image that is being imported holds its name, and is not there yet for anybody else. */
export function readyOrNull(entry: LedgerEntry | null): LedgerEntry | null {
  return entry === null || entry.record.state !== 'ready' ? null : entry;
}

/** @throws SkerryError exists */
export async function refuseTaken(ledger: Ledger, kind: ResourceKind, name: string): Promise<void> {
  const taken = await ledger.find(kind, name);
  if (taken === null) return;
  throw new SkerryError(
    'exists',
    taken.record.state === 'importing'
      ? `${kind} ${name} is being ${kind === 'image' ? 'imported' : 'made'} already`
      : `there is ${kind === 'image' ? 'an' : 'a'} ${kind} ${name} already`,
  );
}
