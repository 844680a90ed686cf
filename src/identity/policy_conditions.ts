/** Conditions of policies: operators over what a request has under a key. */
import { BlockList, isIP } from 'node:net';

import { SkerryError } from '../core/errors.js';
import { matches, matchesArn, parsePattern, resolved, type Pattern, type Resolve } from './policy_pattern.js';

/** What is known of a request: keys in lower case, as in `aws:sourceip`. */
export type PolicyContext = ReadonlyMap<string, readonly string[]>;

/** Whether one value of the request is what the policy names; null: that cannot be told, for a variable has no value. */
type Test = (given: string, resolve: Resolve) => boolean | null;

export interface Condition {
  readonly key: string;
  /** Each is one value of the policy; one that holds is enough. */
  readonly tests: readonly Test[];
  /** Of StringNotEquals and its like: none may hold. */
  readonly negated: boolean;
  readonly ifExists: boolean;
  readonly over: 'one' | 'all' | 'any';
  /** Of Null: whether the key must be absent; else null. */
  readonly absent: boolean | null;
}

/** How a value of the policy becomes a test. @throws SkerryError invalid */
type MakeTest = (value: string, variables: boolean) => Test;

const pattern =
  (wildcards: boolean, holds: (given: string, wanted: NonNullable<ReturnType<typeof resolved>>) => boolean): MakeTest =>
  (value, variables) => {
    const wanted: Pattern = parsePattern(value, { wildcards, variables });
    return (given, resolve) => {
      const tokens = resolved(wanted, resolve);
      return tokens === null ? null : holds(given, tokens);
    };
  };

const folded = (): MakeTest => (value, variables) => {
  const wanted = parsePattern(value, { wildcards: false, variables });
  return (given, resolve) => {
    const tokens = resolved(wanted, resolve);
    if (tokens === null) return null;
    return (
      given.toLowerCase() ===
      tokens
        .filter((token) => typeof token === 'string')
        .join('')
        .toLowerCase()
    );
  };
};

const compared =
  (read: (text: string) => number, what: string, holds: (given: number, wanted: number) => boolean): MakeTest =>
  (value) => {
    const wanted = read(value);
    if (Number.isNaN(wanted)) throw new SkerryError('invalid', `${JSON.stringify(value)} of the policy is no ${what}`);
    return (given) => holds(read(given), wanted);
  };

const numberOf = (text: string): number => (/^[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(text) ? Number(text) : Number.NaN);

/** Milliseconds since 1970, of ISO 8601 or of seconds since then. */
function dateOf(text: string): number {
  if (/^\d{1,12}$/.test(text)) return Number(text) * 1000;
  return /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?$/.test(text) ? Date.parse(text) : Number.NaN;
}

const bool: MakeTest = (value) => {
  const wanted = value.toLowerCase();
  if (wanted !== 'true' && wanted !== 'false')
    throw new SkerryError('invalid', `${JSON.stringify(value)} of the policy is neither true nor false`);
  return (given) => given.toLowerCase() === wanted;
};

const address: MakeTest = (value) => {
  const [, ip = '', length] = /^([0-9a-fA-F:.]+)(?:\/(\d{1,3}))?$/.exec(value) ?? [];
  const family = isIP(ip);
  const bits = family === 4 ? 32 : 128;
  const prefix = length === undefined ? bits : Number(length);
  if (family === 0 || prefix > bits)
    throw new SkerryError(
      'invalid',
      `${JSON.stringify(value)} of the policy is no range of addresses: write 192.0.2.0/24 or 2001:db8::/32`,
    );
  const list = new BlockList();
  list.addSubnet(ip, prefix, family === 4 ? 'ipv4' : 'ipv6');
  return (given) => {
    const of = isIP(given);
    return of !== 0 && list.check(given, of === 4 ? 'ipv4' : 'ipv6');
  };
};

interface Operator {
  readonly make: MakeTest;
  readonly negated: boolean;
}

const equals = pattern(false, (given, wanted) => matches(wanted, given));
const like = pattern(true, (given, wanted) => matches(wanted, given));
const arn = pattern(true, (given, wanted) => matchesArn(wanted, given));
const is = (make: MakeTest): Operator => ({ make, negated: false });
const isNot = (make: MakeTest): Operator => ({ make, negated: true });

function ordered(name: 'Numeric' | 'Date', read: (text: string) => number, what: string): [string, Operator][] {
  const by = (holds: (given: number, wanted: number) => boolean): MakeTest => compared(read, what, holds);
  return [
    [`${name}Equals`, is(by((given, wanted) => given === wanted))],
    [`${name}NotEquals`, isNot(by((given, wanted) => given === wanted))],
    [`${name}LessThan`, is(by((given, wanted) => given < wanted))],
    [`${name}LessThanEquals`, is(by((given, wanted) => given <= wanted))],
    [`${name}GreaterThan`, is(by((given, wanted) => given > wanted))],
    [`${name}GreaterThanEquals`, is(by((given, wanted) => given >= wanted))],
  ];
}

const operators: ReadonlyMap<string, Operator> = new Map([
  ['StringEquals', is(equals)],
  ['StringNotEquals', isNot(equals)],
  ['StringEqualsIgnoreCase', is(folded())],
  ['StringNotEqualsIgnoreCase', isNot(folded())],
  ['StringLike', is(like)],
  ['StringNotLike', isNot(like)],
  ...ordered('Numeric', numberOf, 'number'),
  ...ordered('Date', dateOf, 'time'),
  ['Bool', is(bool)],
  ['IpAddress', is(address)],
  ['NotIpAddress', isNot(address)],
  ['ArnEquals', is(arn)],
  ['ArnLike', is(arn)],
  ['ArnNotEquals', isNot(arn)],
  ['ArnNotLike', isNot(arn)],
]);

/** One operator and key of a Condition. `variables`: whether values may have some. @throws SkerryError invalid */
export function parseCondition(operator: string, key: string, values: readonly string[], variables: boolean): Condition {
  const [, set, name = '', exists] = /^(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?$/.exec(operator) ?? [];
  const refuse = (): never => {
    throw new SkerryError('invalid', `${JSON.stringify(operator)} of the policy is no operator of a condition`);
  };
  if (!/^[A-Za-z0-9][A-Za-z0-9:/_.+=@-]*$/.test(key))
    throw new SkerryError('invalid', `${JSON.stringify(key)} of the policy is no key of a condition`);
  const common = {
    key: key.toLowerCase(),
    ifExists: exists !== undefined,
    over: set === 'ForAllValues' ? ('all' as const) : set === 'ForAnyValue' ? ('any' as const) : ('one' as const),
  };
  if (name === 'Null') {
    const [value = ''] = values;
    if (set !== undefined || exists !== undefined || values.length !== 1) return refuse();
    bool(value, false);
    return { ...common, tests: [], negated: false, absent: value.toLowerCase() === 'true' };
  }
  const found = operators.get(name);
  if (found === undefined) return refuse();
  return { ...common, tests: values.map((value) => found.make(value, variables)), negated: found.negated, absent: null };
}

/** null: it does, but only since a variable has no value in this request, and so nothing is equal to it. */
export function holds(condition: Condition, context: PolicyContext): boolean | null {
  const { key, tests, negated, ifExists, over, absent } = condition;
  const given = context.get(key) ?? [];
  if (absent !== null) return (given.length === 0) === absent;
  if (given.length === 0) {
    if (ifExists || over === 'all') return true;
    return over === 'any' ? false : negated;
  }
  const resolve: Resolve = (name) => {
    const values = context.get(name);
    return values?.length === 1 ? (values[0] ?? null) : null;
  };
  let unknown = false;
  const holdsFor = (value: string): boolean => {
    let found = false;
    for (const test of tests) {
      const outcome = test(value, resolve);
      if (outcome === null) unknown = true;
      else if (outcome) found = true;
    }
    return found !== negated;
  };
  // Of several values without a set operator, one that is named is enough, and with a negated one none may be.
  const outcomes = given.map(holdsFor);
  const every = over === 'all' || (over === 'one' && negated);
  const outcome = every ? outcomes.every(Boolean) : outcomes.some(Boolean);
  return outcome && negated && unknown ? null : outcome;
}
