/** Conditions of reading, copying, writing and deleting, as RFC 9110 orders them. Pure. */
import { SkerryError } from '../core/errors.js';

export interface Conditions {
  /** ETags without quotes, or `*`. */
  readonly ifMatch?: readonly string[];
  readonly ifNoneMatch?: readonly string[];
  /** Milliseconds since 1970. They count whole seconds, as HTTP does. */
  readonly ifModifiedSince?: number;
  readonly ifUnmodifiedSince?: number;
}

export interface Judged {
  readonly etag: string;
  readonly modifiedAt: number;
}

export type Verdict = 'proceed' | 'not-modified' | 'failed';

export function judgeRead(conditions: Conditions, { etag, modifiedAt }: Judged): Verdict {
  const { ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince } = conditions;
  const modified = Math.floor(modifiedAt / 1000);
  if (ifMatch !== undefined) {
    if (!matches(ifMatch, etag)) return 'failed';
  } else if (ifUnmodifiedSince !== undefined && modified > Math.floor(ifUnmodifiedSince / 1000)) return 'failed';
  if (ifNoneMatch !== undefined) {
    if (matches(ifNoneMatch, etag)) return 'not-modified';
  } else if (ifModifiedSince !== undefined && modified <= Math.floor(ifModifiedSince / 1000)) return 'not-modified';
  return 'proceed';
}

/** Whether there is anything to judge by. */
export function isConditional({ ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince }: Conditions): boolean {
  return (ifMatch ?? ifNoneMatch ?? ifModifiedSince ?? ifUnmodifiedSince) !== undefined;
}

/** `current`: what a reader would find; null where that is nothing, or a delete marker. @throws SkerryError conflict (precondition-failed), not-found (no-such-key) */
export function checkWrite(conditions: Conditions, current: Judged | null): void {
  const { ifMatch, ifNoneMatch, ifUnmodifiedSince } = conditions;
  if (ifMatch !== undefined && current === null)
    throw new SkerryError('not-found', 'there is no object that could match', { reason: 'no-such-key' });
  const failed =
    current !== null &&
    ((ifMatch !== undefined && !matches(ifMatch, current.etag)) ||
      (ifNoneMatch !== undefined && matches(ifNoneMatch, current.etag)) ||
      (ifUnmodifiedSince !== undefined && Math.floor(current.modifiedAt / 1000) > Math.floor(ifUnmodifiedSince / 1000)));
  if (failed) throw preconditionFailed();
}

export function preconditionFailed(): SkerryError {
  return new SkerryError('conflict', 'the object is not as the request supposes', { reason: 'precondition-failed' });
}

function matches(etags: readonly string[], etag: string): boolean {
  return etags.includes('*') || etags.includes(etag);
}
