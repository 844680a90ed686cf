/** Retention and legal hold of an object, as headers give and tell them. */
import type { Attributes, BucketRecord, Retention } from '../../catalog/object_records.js';
import { S3Failure } from './errors.js';
import type { Exchange } from './exchange.js';

const modeHeader = 'x-amz-object-lock-mode';
const untilHeader = 'x-amz-object-lock-retain-until-date';
const holdHeader = 'x-amz-object-lock-legal-hold';

/** @throws S3Failure InvalidRequest, InvalidArgument */
export function givenLock(exchange: Exchange, bucket: BucketRecord): Partial<Pick<Attributes, 'retention' | 'legalHold'>> {
  const { headers } = exchange.request;
  const [mode, until, hold] = [modeHeader, untilHeader, holdHeader].map((name) => headers.get(name));
  if (mode === undefined && until === undefined && hold === undefined) return {};
  if (!bucket.objectLock) throw new S3Failure('InvalidRequest', 'Bucket is missing Object Lock Configuration');
  if ((mode === undefined) !== (until === undefined))
    throw new S3Failure('InvalidArgument', `${untilHeader} and ${modeHeader} must both be supplied`);
  return {
    ...(mode === undefined ? {} : { retention: { mode: modeOf(mode), until: untilOf(until ?? '', exchange.services.now()) } }),
    ...(hold === undefined ? {} : { legalHold: holdOf(hold) }),
  };
}

export function lockHeaders({ retention, legalHold }: Pick<Attributes, 'retention' | 'legalHold'>): Record<string, string> {
  return {
    ...(retention === null
      ? {}
      : { [modeHeader]: retention.mode.toUpperCase(), [untilHeader]: new Date(retention.until).toISOString() }),
    ...(legalHold ? { [holdHeader]: 'ON' } : {}),
  };
}

function modeOf(text: string): Retention['mode'] {
  if (text === 'GOVERNANCE') return 'governance';
  if (text === 'COMPLIANCE') return 'compliance';
  throw bad(modeHeader, text, 'Unknown wormMode directive.');
}

function untilOf(text: string, now: number): number {
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time)) throw bad(untilHeader, text, 'The retain until date must be provided in ISO 8601 format');
  if (time <= now) throw bad(untilHeader, text, 'The retain until date must be in the future!');
  return time;
}

function holdOf(text: string): boolean {
  if (text !== 'ON' && text !== 'OFF') throw bad(holdHeader, text, 'Legal Hold must be either of ON or OFF');
  return text === 'ON';
}

function bad(name: string, value: string, message: string): S3Failure {
  return new S3Failure('InvalidArgument', message, { details: { ArgumentName: name, ArgumentValue: value } });
}
