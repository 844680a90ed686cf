/**
 * Patterns of policies: `*` stands for any characters, `?` for one, `${key}` for what the request has under that key. What is put in for
 * a variable is text, whatever characters it has.
 */
import { SkerryError } from '../core/errors.js';

const any = Symbol('any');
const one = Symbol('one');

interface Variable {
  readonly key: string;
  readonly otherwise: string | null;
}

type Token = string | typeof any | typeof one;
/** Text is taken apart into characters when its variables are known. */
type Part = Token | Variable;

export interface Pattern {
  readonly parts: readonly Part[];
}

/** Of one variable, lower case; null: the request has none, or several. */
export type Resolve = (key: string) => string | null;

export interface PatternForm {
  /** Whether * and ? stand for others; else they are characters. */
  readonly wildcards: boolean;
  /** Whether ${...} is a variable; else it is text. Policies of the older version have none. */
  readonly variables: boolean;
}

/** @throws SkerryError invalid for a variable that is none. */
export function parsePattern(text: string, { wildcards, variables }: PatternForm): Pattern {
  const parts: Part[] = [];
  for (let at = 0; at < text.length; ) {
    if (variables && text.startsWith('${', at)) {
      const end = text.indexOf('}', at);
      const inside = end < 0 ? null : text.slice(at + 2, end);
      parts.push(variableOf(inside, text));
      at = end + 1;
      continue;
    }
    const character = text[at] ?? '';
    if (wildcards && character === '*') {
      // Two of them are one: nothing is looked for between.
      if (parts.at(-1) !== any) parts.push(any);
    } else if (wildcards && character === '?') parts.push(one);
    else parts.push(character);
    at += 1;
  }
  return { parts };
}

/** `${aws:username}`, `${aws:username, 'nobody'}`, and `${*}`, `${?}`, `${$}` for the characters themselves. */
function variableOf(inside: string | null, text: string): Part {
  if (inside === '*' || inside === '?' || inside === '$') return inside;
  const [, key, otherwise] = /^\s*([A-Za-z0-9][A-Za-z0-9:/_.+=@-]*)\s*(?:,\s*'([^']*)'\s*)?$/.exec(inside ?? '') ?? [];
  if (key === undefined)
    throw new SkerryError('invalid', `${JSON.stringify(text)} of the policy has a variable that is none: write \${key}`);
  return { key: key.toLowerCase(), otherwise: otherwise ?? null };
}

/** null: a variable of it has no value in this request. */
export function resolved({ parts }: Pattern, resolve: Resolve): readonly Token[] | null {
  const tokens: Token[] = [];
  for (const part of parts) {
    if (typeof part !== 'object') {
      tokens.push(part);
      continue;
    }
    const value = resolve(part.key) ?? part.otherwise;
    if (value === null) return null;
    for (let at = 0; at < value.length; at += 1) tokens.push(value.charAt(at));
  }
  return tokens;
}

/** The whole of `text`. Takes at most as many steps as the product of the lengths. */
export function matches(tokens: readonly Token[], text: string): boolean {
  let [at, token] = [0, 0];
  // Where the last * was, and where what it stands for ends for now.
  let [star, begin] = [-1, 0];
  while (at < text.length) {
    const wanted = tokens[token];
    if (wanted === any) {
      star = token;
      begin = at;
      token += 1;
    } else if (wanted !== undefined && (wanted === one || wanted === text[at])) {
      token += 1;
      at += 1;
    } else if (star >= 0) {
      begin += 1;
      at = begin;
      token = star + 1;
    } else return false;
  }
  while (tokens[token] === any) token += 1;
  return token === tokens.length;
}

/**
 * An ARN has six parts between colons, of which the last may have more of them: a * of one part never stands for a colon between two, so
 * that no pattern reaches into another account by its length. `*` alone is every one.
 */
export function matchesArn(tokens: readonly Token[], arn: string): boolean {
  if (tokens.length === 1 && tokens[0] === any) return true;
  const wanted = splitTokens(tokens);
  const given = splitArn(arn);
  return wanted.length === given.length && wanted.every((part, index) => matches(part, given[index] ?? ''));
}

const arn_parts = 6;

function splitTokens(tokens: readonly Token[]): Token[][] {
  const parts: Token[][] = [[]];
  for (const token of tokens) {
    if (token === ':' && parts.length < arn_parts) parts.push([]);
    else parts.at(-1)?.push(token);
  }
  return parts;
}

function splitArn(arn: string): string[] {
  const parts = arn.split(':');
  return parts.length <= arn_parts ? parts : [...parts.slice(0, arn_parts - 1), parts.slice(arn_parts - 1).join(':')];
}
