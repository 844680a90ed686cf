/** What may be done to a version that is kept: retention and legal hold. Pure. */
import type { Attributes, DefaultRetention, Retention } from '../catalog/object_records.js';
import { SkerryError } from '../core/errors.js';

const day_milliseconds = 86_400_000;

/** Why the version must stay, or null where it may go. `bypass`: the caller may override governance. */
export function keptBy(attributes: Pick<Attributes, 'retention' | 'legalHold'>, now: number, bypass: boolean): string | null {
  if (attributes.legalHold) return 'it is under legal hold';
  const { retention } = attributes;
  if (retention === null || retention.until <= now) return null;
  if (retention.mode === 'governance' && bypass) return null;
  return `it is kept until ${new Date(retention.until).toISOString()} (${retention.mode})`;
}

/** @throws SkerryError denied (object-locked) where the retention that is there may not become that one; invalid for one that has ended */
export function checkRetentionChange(from: Retention | null, to: Retention | null, now: number, bypass: boolean): void {
  if (to !== null && to.until <= now) throw new SkerryError('invalid', 'a retention ends in the future');
  if (from === null || from.until <= now) return;
  const longer = to !== null && to.until >= from.until && to.mode === from.mode;
  if (longer || (from.mode === 'governance' && bypass)) return;
  throw new SkerryError('denied', `the version is kept until ${new Date(from.until).toISOString()} (${from.mode})`, {
    reason: 'object-locked',
  });
}

export function defaultRetention(kept: DefaultRetention | null, now: number): Retention | null {
  return kept === null ? null : { mode: kept.mode, until: now + kept.days * day_milliseconds };
}
