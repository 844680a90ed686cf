/** The policy of a form that a browser posts: what its maker allows to be uploaded. Nothing that it does not name may be in the form. */
import { S3Failure } from './errors.js';

export interface SizeRange {
  readonly bytesMin: number;
  readonly bytesMax: number;
}

export interface Condition {
  readonly operator: 'eq' | 'starts-with';
  /** Of the field, in lower case. */
  readonly field: string;
  readonly value: string;
}

export interface PostPolicy {
  /** Milliseconds since 1970. */
  readonly expiration: number;
  readonly conditions: readonly Condition[];
  /** Of all ranges given, what they have in common; null where none is given. */
  readonly size: SizeRange | null;
}

const conditions_count_max = 256;

/**
 * `encoded` is the field as it came, in base64.
 * @throws S3Failure InvalidPolicyDocument
 */
export function parsePolicy(encoded: string): PostPolicy {
  const document = jsonOf(encoded);
  if (!isRecord(document)) throw invalidPolicy('it is not an object');
  const { expiration, conditions } = document;
  if (expiration === undefined) throw invalidPolicy('Policy missing expiration.');
  if (conditions === undefined) throw invalidPolicy('Policy missing conditions.');
  if (!Array.isArray(conditions) || conditions.length > conditions_count_max) throw invalidPolicy('Invalid conditions.');
  const fields: Condition[] = [];
  const ranges: SizeRange[] = [];
  for (const condition of conditions as unknown[]) {
    const range = sizeRangeOf(condition);
    if (range === null) fields.push(...conditionsOf(condition));
    else ranges.push(range);
  }
  return { expiration: expirationOf(expiration), conditions: fields, size: common(ranges) };
}

/** Fields that a policy need not name: they are the policy, its signature, and what is stored; and sums, which can only refuse that. */
const unnamedFields = new Set(['policy', 'file', 'x-amz-signature', 'signature', 'awsaccesskeyid']);
const unnamedPrefixes = ['x-ignore-', 'x-amz-checksum-'];

/**
 * `fields` are by name in lower case, with the bucket that the form was sent to among them.
 * @throws S3Failure AccessDenied
 */
export function checkPolicy({ expiration, conditions }: PostPolicy, fields: ReadonlyMap<string, string>, now: number): void {
  if (now >= expiration) throw forbidden('Policy expired.');
  for (const condition of conditions) if (!holds(condition, fields.get(condition.field))) throw conditionFailed(condition);
  const named = new Set(conditions.map(({ field }) => field));
  // The bucket is in the address, and need not be in the form; but a policy that does not name it would be good for all.
  const extra = [...fields.keys()].filter(
    (name) => !named.has(name) && !unnamedFields.has(name) && !unnamedPrefixes.some((prefix) => name.startsWith(prefix)),
  );
  if (extra.length > 0) throw forbidden(`Extra input fields: ${extra.join(', ')}`);
}

function holds({ operator, field, value }: Condition, given: string | undefined): boolean {
  // What may begin with anything need not be there.
  if (given === undefined) return operator === 'starts-with' && value === '';
  if (operator === 'eq') return given === value;
  // A list of types is good where each of them is.
  const parts = field === 'content-type' ? given.split(',').map((part) => part.trim()) : [given];
  return parts.every((part) => part.startsWith(value));
}

function jsonOf(encoded: string): unknown {
  const base64 = encoded.replace(/[\r\n]/g, '');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) throw invalidPolicy('Invalid Base64 encoding.');
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(base64, 'base64'));
    // A dollar may be escaped, which JSON does not know.
    return JSON.parse(text.replace(/\\(.)/gs, (escape, character) => (character === '$' ? '$' : escape)));
  } catch (error) {
    throw invalidPolicy('Invalid JSON.', error);
  }
}

function expirationOf(expiration: unknown): number {
  const form = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/;
  const time = typeof expiration === 'string' && form.test(expiration) ? Date.parse(expiration) : Number.NaN;
  if (Number.isNaN(time)) throw invalidPolicy('Invalid expiration: it must be like 2007-12-01T12:00:00.000Z.');
  return time;
}

function sizeRangeOf(condition: unknown): SizeRange | null {
  if (!Array.isArray(condition) || String(condition[0]).toLowerCase() !== 'content-length-range') return null;
  const [bytesMin, bytesMax] = condition.slice(1).map(wholeNumber);
  if (condition.length !== 3 || bytesMin === undefined || bytesMax === undefined || bytesMin > bytesMax)
    throw invalidPolicy('Invalid content-length-range.');
  return { bytesMin, bytesMax };
}

function common(ranges: readonly SizeRange[]): SizeRange | null {
  if (ranges.length === 0) return null;
  return {
    bytesMin: Math.max(...ranges.map(({ bytesMin }) => bytesMin)),
    bytesMax: Math.min(...ranges.map(({ bytesMax }) => bytesMax)),
  };
}

function wholeNumber(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : undefined;
}

/** `{"acl": "private"}`, `["eq", "$acl", "private"]` or `["starts-with", "$key", "user/"]`. */
function conditionsOf(condition: unknown): Condition[] {
  if (isRecord(condition)) {
    const entries = Object.entries(condition);
    if (entries.length === 0) throw invalidPolicy('Invalid condition: it is empty.');
    return entries.map(([name, value]) => {
      if (typeof value !== 'string') throw invalidPolicy(`Invalid condition: ${name} is not a string.`);
      return { operator: 'eq', field: name.toLowerCase(), value };
    });
  }
  const [operator, name, value, ...others] = Array.isArray(condition) ? (condition as unknown[]) : [];
  const known = (['eq', 'starts-with'] as const).find((each) => each === String(operator).toLowerCase());
  if (known === undefined || typeof name !== 'string' || !name.startsWith('$') || typeof value !== 'string' || others.length > 0)
    throw invalidPolicy('Invalid condition.');
  return [{ operator: known, field: name.slice(1).toLowerCase(), value }];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function conditionFailed({ operator, field, value }: Condition): S3Failure {
  return forbidden(`Policy Condition failed: ${JSON.stringify([operator, `$${field}`, value])}`);
}

function forbidden(reason: string): S3Failure {
  return new S3Failure('AccessDenied', `Invalid according to Policy: ${reason}`);
}

function invalidPolicy(reason: string, cause?: unknown): S3Failure {
  return new S3Failure('InvalidPolicyDocument', `Invalid Policy: ${reason}`, cause === undefined ? {} : { cause });
}
