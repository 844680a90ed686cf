/** Conditions as headers of HTTP give them: on an object that is read, written or removed, or on the source of a copy. */
import type { Conditions } from '../../object/conditions.js';
import type { Headers } from './headers.js';
import { parseHttpDate } from './timestamp.js';

/** `prefix`: before each name, as in `x-amz-copy-source-`. A date that is none is no condition, as RFC 9110 has it. */
export function conditionsOf(headers: Headers, prefix = ''): Conditions {
  const etags = (name: string): readonly string[] | undefined => {
    const value = headers.get(prefix + name);
    return value === undefined ? undefined : etagsOf(value);
  };
  const date = (name: string): number | undefined => parseHttpDate(headers.get(prefix + name) ?? '') ?? undefined;
  return present({
    ifMatch: etags('if-match'),
    ifNoneMatch: etags('if-none-match'),
    ifModifiedSince: date('if-modified-since'),
    ifUnmodifiedSince: date('if-unmodified-since'),
  });
}

/** Of conditions on what a write replaces: dates mean nothing there. */
export function writeConditions(headers: Headers): Conditions {
  const { ifMatch, ifNoneMatch } = conditionsOf(headers);
  return present({ ifMatch, ifNoneMatch });
}

export function quotedEtag(etag: string): string {
  return `"${etag}"`;
}

/** One ETag, however it is quoted. */
export function plainEtag(text: string): string {
  return text.trim().replace(/^(?:W\/)?"(.*)"$/, '$1');
}

export function httpDate(milliseconds: number): string {
  return new Date(milliseconds).toUTCString();
}

function etagsOf(text: string): readonly string[] {
  return text.split(',').map(plainEtag);
}

function present(conditions: { readonly [Name in keyof Conditions]: Conditions[Name] | undefined }): Conditions {
  return Object.fromEntries(Object.entries(conditions).filter(([, value]) => value !== undefined));
}
