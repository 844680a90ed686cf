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

/** Stands for one character. */
type Exact = string | typeof one;
type Token = Exact | typeof any;
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

/**
 * The whole of `text`. Both are others' to choose, and may be long: what lies between two * is looked for with a bit for each of its tokens,
 * 32 at a time, so that no pair of them keeps the daemon from all else.
 */
export function matches(tokens: readonly Token[], text: string): boolean {
  const pieces = piecesOf(tokens);
  const [first = [], ...between] = pieces;
  const last = between.pop();
  if (last === undefined) return first.length === text.length && fits(first, text, 0);
  const end = text.length - last.length;
  if (first.length > end || !fits(first, text, 0) || !fits(last, text, end)) return false;
  let at = first.length;
  for (const piece of between) {
    at = endOfNext(piece, text, at, end);
    if (at < 0) return false;
  }
  return true;
}

/** What stands before, between and behind the *. */
function piecesOf(tokens: readonly Token[]): Exact[][] {
  const pieces: Exact[][] = [[]];
  for (const token of tokens) {
    if (token === any) pieces.push([]);
    else pieces.at(-1)?.push(token);
  }
  return pieces;
}

function fits(piece: readonly Exact[], text: string, at: number): boolean {
  return piece.every((token, index) => token === one || token === text[at + index]);
}

/** Where the first place of `piece` in text[from, to) ends; -1 where it has none. */
function endOfNext(piece: readonly Exact[], text: string, from: number, to: number): number {
  if (piece.length === 0) return from;
  const words = Math.ceil(piece.length / 32);
  // Bit n: whether token n may be this character; `others`: one that the piece does not name.
  const others = new Int32Array(words);
  const masks = new Map<string, Int32Array>();
  for (const token of piece) if (token !== one && !masks.has(token)) masks.set(token, new Int32Array(words));
  for (const [index, token] of piece.entries())
    for (const mask of token === one ? [others, ...masks.values()] : [masks.get(token) ?? others])
      mask[index >>> 5] = (mask[index >>> 5] ?? 0) | (1 << (index % 32));
  // Bit n: whether tokens 0 to n are what was read last.
  const state = new Int32Array(words);
  const lastBit = 1 << ((piece.length - 1) % 32);
  for (let at = from; at < to; at += 1) {
    const mask = masks.get(text[at] ?? '') ?? others;
    let carry = 1;
    for (let word = 0; word < words; word += 1) {
      const before = state[word] ?? 0;
      state[word] = ((before << 1) | carry) & (mask[word] ?? 0);
      carry = before >>> 31;
    }
    if (((state[words - 1] ?? 0) & lastBit) !== 0) return at + 1;
  }
  return -1;
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
