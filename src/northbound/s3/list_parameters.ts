/** What requests for lists have in common: where a page begins, how long it is, and in which form names stand on it. */
import { S3Failure } from './errors.js';
import { urlEncodedKey } from './object_key.js';
import type { Query } from './query.js';
import { xmlCarries } from './xml_document.js';

/** Of a page; who asks for more gets so many. */
export const list_entries_max = 1000;
const asked_entries_max = 2 ** 31 - 1;

export interface ListParameters {
  /** '' where there is none; so is `delimiter`. */
  readonly prefix: string;
  readonly delimiter: string;
  readonly entriesMax: number;
  /** Names are wanted encoded. */
  readonly encoded: boolean;
}

/** `maxName`: the parameter that bounds a page. @throws S3Failure InvalidArgument */
export function listParameters(query: Query, maxName: 'max-keys' | 'max-uploads' | 'max-parts'): ListParameters {
  const encoding = query.get('encoding-type') ?? '';
  if (encoding !== '' && encoding !== 'url')
    throw invalidArgument('encoding-type', encoding, 'Invalid Encoding Method specified in Request');
  return {
    prefix: query.get('prefix') ?? '',
    delimiter: query.get('delimiter') ?? '',
    entriesMax: Math.min(countOf(query, maxName) ?? list_entries_max, list_entries_max),
    encoded: encoding === 'url',
  };
}

/** A whole number from 0 on; undefined where nothing is said. @throws S3Failure InvalidArgument */
export function countOf(query: Query, name: string): number | undefined {
  const text = query.get(name) ?? '';
  if (text === '') return undefined;
  const count = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (count <= asked_entries_max) return count;
  throw invalidArgument(name, text, `Argument ${name} must be an integer between 0 and ${asked_entries_max}`);
}

/** undefined also for one without a value. */
export function given(query: Query, name: string): string | undefined {
  const text = query.get(name);
  return text === '' ? undefined : text;
}

export interface NameForm {
  readonly encoded: boolean;
  readonly of: (name: string) => string;
}

/** `names`: all that are to stand in the document. Where XML cannot carry one of them they are encoded though nobody asked for it. */
export function nameForm({ encoded }: ListParameters, names: readonly string[]): NameForm {
  if (encoded || !names.every(xmlCarries)) return { encoded: true, of: urlEncodedKey };
  return { encoded: false, of: (name) => name };
}

export function invalidArgument(name: string, value: string, message: string): S3Failure {
  return new S3Failure('InvalidArgument', message, { details: { ArgumentName: name, ArgumentValue: value } });
}
