/** Points in time as requests have them, in milliseconds since 1970. */

/** What was parsed last: all requests of a second say the same. */
let last: { readonly text: string; readonly time: number | null } = { text: '', time: null };

/** `20130524T000000Z`. null where it is none, or no day of the calendar. */
export function parseBasicTime(text: string): number | null {
  if (text !== last.text) last = { text, time: basicTimeOf(text) };
  return last.time;
}

function basicTimeOf(text: string): number | null {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (parts === null) return null;
  const [, year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts.map(Number);
  const date = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  // It takes the 31st of any month, and the 61st second; that does not come back as it was.
  const same =
    date.getUTCFullYear() === year &&
    date.getUTCMonth() === month - 1 &&
    date.getUTCDate() === day &&
    date.getUTCHours() === hour &&
    date.getUTCMinutes() === minute &&
    date.getUTCSeconds() === second;
  return same ? date.getTime() : null;
}

/** `20130524T000000Z`. */
export function basicTime(milliseconds: number): string {
  return isoTime(milliseconds).replace(/[-:]/g, '');
}

/** `2013-05-24T00:00:00Z`. */
export function isoTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\.\d{3}Z$/, 'Z');
}

const isoForm = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?$/;

/** As documents of requests have it: a day, or a time of one; without a zone it is UTC. null where it is none. */
export function parseIsoTime(text: string): number | null {
  if (!isoForm.test(text)) return null;
  const zoned = !text.includes('T') || /(?:Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`;
  const time = Date.parse(zoned);
  return Number.isNaN(time) ? null : time;
}

/** `2013-05-24T00:00:00.000Z`, of whole seconds as Last-Modified has them: documents of S3 write it so. */
export function documentTime(milliseconds: number): string {
  return new Date(Math.floor(milliseconds / 1000) * 1000).toISOString();
}

/** As HTTP has them: `Tue, 27 Mar 2007 19:36:42 GMT`. */
export function httpDate(milliseconds: number): string {
  return new Date(milliseconds).toUTCString();
}

/** A date as HTTP has them, or with an offset from UTC as mail has them: `Tue, 27 Mar 2007 19:36:42 +0000`. null where it is none. */
export function parseHttpDate(text: string): number | null {
  if (!/^(?:[A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d (?:GMT|UTC|[+-]\d{4})$/.test(text)) return null;
  const time = Date.parse(text);
  return Number.isNaN(time) ? null : time;
}
