/** What rules say of a version or an upload. Pure: S3's rules, with its roundings. */

const day_milliseconds = 86_400_000;

export interface LifecycleFilter {
  readonly prefix?: string;
  /** All of them. */
  readonly tags?: Readonly<Record<string, string>>;
  /** Only what is larger, or smaller, than so many bytes. */
  readonly bytesAbove?: number;
  readonly bytesBelow?: number;
}

export interface LifecycleRule {
  readonly id: string;
  readonly enabled: boolean;
  readonly filter: LifecycleFilter;
  /** Of what is current. `deleteMarkers`: those with nothing under them. */
  readonly expiration?: { readonly days?: number; readonly at?: number; readonly deleteMarkers?: boolean };
  /** Of what is not current any more, but for the newest `kept` of these. */
  readonly noncurrent?: { readonly days: number; readonly kept?: number };
  /** Of uploads that nobody completed. */
  readonly abortDays?: number;
}

export interface LifecycleSubject {
  readonly key: string;
  readonly bytes: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly deleteMarker: boolean;
  /** Milliseconds since 1970. */
  readonly modifiedAt: number;
  /** null: it is current. Else since when it is not, and how many versions that are not current either are newer. */
  readonly noncurrent: { readonly since: number; readonly newer: number } | null;
  /** There is no other version of the key. */
  readonly only: boolean;
}

export interface LifecycleVerdict {
  /** expire: as a deletion without a version does it. remove: this version, for ever. */
  readonly action: 'expire' | 'remove';
  readonly rule: string;
}

/** null: it stays. */
export function judgeVersion(rules: readonly LifecycleRule[], subject: LifecycleSubject, now: number): LifecycleVerdict | null {
  for (const rule of rules) {
    if (!rule.enabled || !matchesFilter(rule.filter, subject)) continue;
    const action =
      subject.noncurrent === null ? judgeCurrent(rule, subject, now) : judgeNoncurrent(rule, subject.noncurrent, now);
    if (action !== null) return { action, rule: rule.id };
  }
  return null;
}

/** The rule by which the upload ends now; null: none. */
export function judgeUpload(
  rules: readonly LifecycleRule[],
  { key, startedAt }: { readonly key: string; readonly startedAt: number },
  now: number,
): string | null {
  const subject = { key, bytes: 0, tags: {} };
  for (const { id, enabled, filter, abortDays } of rules) {
    // A rule that asks for tags or sizes says nothing of uploads, which have none.
    const asks = Object.keys(filter.tags ?? {}).length > 0 || filter.bytesAbove !== undefined || filter.bytesBelow !== undefined;
    if (enabled && !asks && abortDays !== undefined && matchesFilter(filter, subject) && now >= dueAt(startedAt, abortDays))
      return id;
  }
  return null;
}

/** When the current version goes, by the rule that takes it first; null: none will. */
export function expiryOf(
  rules: readonly LifecycleRule[],
  subject: Pick<LifecycleSubject, 'key' | 'bytes' | 'tags' | 'modifiedAt'>,
): { readonly at: number; readonly rule: string } | null {
  let first: { readonly at: number; readonly rule: string } | null = null;
  for (const { id, enabled, filter, expiration = {} } of rules) {
    if (!enabled || !matchesFilter(filter, subject)) continue;
    const days = expiration.days === undefined ? Number.POSITIVE_INFINITY : dueAt(subject.modifiedAt, expiration.days);
    const at = Math.min(days, expiration.at ?? Number.POSITIVE_INFINITY);
    if (at < (first?.at ?? Number.POSITIVE_INFINITY)) first = { at, rule: id };
  }
  return first;
}

/** Days are counted whole, and end at midnight in UTC. */
export function dueAt(from: number, days: number): number {
  return Math.ceil((from + days * day_milliseconds) / day_milliseconds) * day_milliseconds;
}

function judgeCurrent({ expiration }: LifecycleRule, subject: LifecycleSubject, now: number): 'expire' | 'remove' | null {
  if (expiration === undefined) return null;
  const { days, at, deleteMarkers } = expiration;
  const due = (days !== undefined && now >= dueAt(subject.modifiedAt, days)) || (at !== undefined && now >= at);
  if (!subject.deleteMarker) return due ? 'expire' : null;
  // With days a delete marker that hides nothing goes after these; with the word for it at once.
  return subject.only && (deleteMarkers === true || due) ? 'remove' : null;
}

function judgeNoncurrent(
  { noncurrent }: LifecycleRule,
  { since, newer }: { readonly since: number; readonly newer: number },
  now: number,
): 'remove' | null {
  if (noncurrent === undefined || newer < (noncurrent.kept ?? 0)) return null;
  return now >= dueAt(since, noncurrent.days) ? 'remove' : null;
}

function matchesFilter(
  { prefix = '', tags = {}, bytesAbove, bytesBelow }: LifecycleFilter,
  subject: Pick<LifecycleSubject, 'key' | 'bytes' | 'tags'>,
): boolean {
  return (
    subject.key.startsWith(prefix) &&
    (bytesAbove === undefined || subject.bytes > bytesAbove) &&
    (bytesBelow === undefined || subject.bytes < bytesBelow) &&
    Object.entries(tags).every(([name, value]) => subject.tags[name] === value)
  );
}
