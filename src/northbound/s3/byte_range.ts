/** The one range of bytes that a reader asks for. */
import { S3Failure } from './errors.js';

export interface ByteRange {
  readonly offset: number;
  /** At least one. */
  readonly bytes: number;
}

/**
 * null: the whole object, for what is no range, or several, is passed over.
 * @throws S3Failure InvalidRange where nothing of it is there
 */
export function rangeOf(header: string | undefined, objectBytes: number): ByteRange | null {
  const [, first = '', last = ''] = /^bytes\s*=\s*(\d*)\s*-\s*(\d*)$/i.exec(header?.trim() ?? '') ?? [];
  if (first === '' && last === '') return null;
  if (first !== '' && last !== '' && Number(last) < Number(first)) return null;
  const offset = first === '' ? Math.max(0, objectBytes - Number(last)) : Number(first);
  const end = first === '' || last === '' ? objectBytes : Math.min(Number(last) + 1, objectBytes);
  if (offset >= end)
    throw new S3Failure('InvalidRange', undefined, {
      details: { RangeRequested: header ?? '', ActualObjectSize: String(objectBytes) },
      headers: { 'content-range': `bytes */${objectBytes}` },
    });
  return { offset, bytes: end - offset };
}

export function contentRange({ offset, bytes }: ByteRange, objectBytes: number): string {
  return `bytes ${offset}-${offset + bytes - 1}/${objectBytes}`;
}
