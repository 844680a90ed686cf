/** Policy documents of buckets: the JSON of AWS's policy language, parsed whole or refused with what is wrong. */
import { z } from 'zod';

import { SkerryError } from '../core/errors.js';
import { parseCondition, type Condition } from './policy_conditions.js';
import { parsePattern, type Pattern } from './policy_pattern.js';

export const policy_bytes_max = 20 * 1024;
const pattern_characters_max = 2048;

export type PolicyPrincipal =
  | { readonly kind: 'anyone' }
  /** All users of an account. */
  | { readonly kind: 'account'; readonly accountNumber: string }
  | { readonly kind: 'user'; readonly accountNumber: string; readonly user: string }
  | { readonly kind: 'canonical'; readonly canonicalId: string };

/** A list, or all that is not in it. */
export interface Selection<T> {
  readonly not: boolean;
  readonly of: readonly T[];
}

export interface Statement {
  readonly sid: string;
  readonly effect: 'allow' | 'deny';
  readonly principals: Selection<PolicyPrincipal>;
  /** Of lower case, as `s3:get*`. */
  readonly actions: Selection<Pattern>;
  readonly resources: Selection<Pattern>;
  readonly conditions: readonly Condition[];
}

export interface Policy {
  readonly id: string;
  readonly statements: readonly Statement[];
}

const texts = z.union([z.string(), z.array(z.string()).min(1)]).transform((value) => [value].flat());
const values = z
  .union([z.string(), z.number(), z.boolean(), z.array(z.union([z.string(), z.number(), z.boolean()])).min(1)])
  .transform((value) => [value].flat().map(String));
const principal = z.union([z.literal('*'), z.record(z.string(), texts)]);

const statement = z.strictObject({
  Sid: z.string().optional(),
  Effect: z.enum(['Allow', 'Deny']),
  Principal: principal.optional(),
  NotPrincipal: principal.optional(),
  Action: texts.optional(),
  NotAction: texts.optional(),
  Resource: texts.optional(),
  NotResource: texts.optional(),
  Condition: z.record(z.string(), z.record(z.string(), values)).optional(),
});

const document = z.strictObject({
  Version: z.enum(['2008-10-17', '2012-10-17']).optional(),
  Id: z.string().optional(),
  Statement: z.union([statement.transform((one) => [one]), z.array(statement).min(1)]),
});

type StatementJson = z.output<typeof statement>;

/** @throws SkerryError too-large over 20 KiB; invalid, saying where and what is wrong */
export function parsePolicy(text: string): Policy {
  const bytes = Buffer.byteLength(text, 'utf8');
  if (bytes > policy_bytes_max)
    throw new SkerryError('too-large', `a policy has at most ${policy_bytes_max} bytes, this one ${bytes}`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new SkerryError('invalid', 'the policy is no JSON', { cause });
  }
  const parsed = document.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new SkerryError('invalid', `the policy is none: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
  }
  const { Version, Id, Statement } = parsed.data;
  // Without a version it is the older one, in which a dollar sign is a dollar sign.
  const variables = Version === '2012-10-17';
  const sids = Statement.flatMap(({ Sid }) => (Sid === undefined ? [] : [Sid]));
  if (new Set(sids).size < sids.length) throw new SkerryError('invalid', 'two statements of the policy have the same Sid');
  return { id: Id ?? '', statements: Statement.map((one, index) => statementOf(one, index, variables)) };
}

function statementOf(json: StatementJson, index: number, variables: boolean): Statement {
  const name = json.Sid ?? `statement ${index + 1}`;
  return {
    sid: json.Sid ?? '',
    effect: json.Effect === 'Allow' ? 'allow' : 'deny',
    principals: selection(name, 'Principal', json.Principal, json.NotPrincipal, principalsOf),
    actions: selection(name, 'Action', json.Action, json.NotAction, (texts) => texts.map(actionOf)),
    resources: selection(name, 'Resource', json.Resource, json.NotResource, (texts) =>
      texts.map((text) => resourceOf(text, variables)),
    ),
    conditions: Object.entries(json.Condition ?? {}).flatMap(([operator, keys]) =>
      Object.entries(keys).map(([key, values]) => parseCondition(operator, key, values.map(bounded), variables)),
    ),
  };
}

function selection<J, T>(
  statement: string,
  what: string,
  positive: J | undefined,
  negative: J | undefined,
  parse: (json: J) => readonly T[],
): Selection<T> {
  const json = positive ?? negative;
  if (json === undefined || (positive !== undefined && negative !== undefined))
    throw new SkerryError('invalid', `${statement} of the policy must have one of ${what} and Not${what}`);
  return { not: positive === undefined, of: parse(json) };
}

function principalsOf(json: '*' | Readonly<Record<string, readonly string[]>>): PolicyPrincipal[] {
  if (json === '*') return [{ kind: 'anyone' }];
  const found = Object.entries(json).flatMap(([kind, names]) => names.map((name) => principalOf(kind, name)));
  if (found.length === 0) throw new SkerryError('invalid', 'a Principal of the policy names nobody');
  return found;
}

function principalOf(kind: string, name: string): PolicyPrincipal {
  if (kind === 'CanonicalUser' && /^[0-9a-f]{64}$/.test(name)) return { kind: 'canonical', canonicalId: name };
  if (kind === 'AWS') {
    if (name === '*') return { kind: 'anyone' };
    if (/^[0-9a-f]{64}$/.test(name)) return { kind: 'canonical', canonicalId: name };
    const [, accountNumber, user] = /^(?:arn:aws:iam::)?(\d{12})(?::root|:user\/(?:[^*?]*\/)?([^/*?]+))?$/.exec(name) ?? [];
    const isArn = name.startsWith('arn:');
    if (accountNumber !== undefined && isArn === name.includes(':'))
      if (!isArn || user !== undefined || name.endsWith(':root'))
        return user === undefined ? { kind: 'account', accountNumber } : { kind: 'user', accountNumber, user };
  }
  const shown = JSON.stringify(`${kind}: ${name}`.slice(0, 120));
  throw new SkerryError(
    'invalid',
    `${shown} is no principal that there is here: write AWS with *, an account's number, arn:aws:iam::NUMBER:root or arn:aws:iam::NUMBER:user/NAME, or CanonicalUser with a canonical id`,
  );
}

function actionOf(text: string): Pattern {
  if (!/^(?:\*|[a-z0-9-]+:[a-z0-9*?]+)$/i.test(bounded(text)))
    throw new SkerryError('invalid', `${JSON.stringify(text)} of the policy is no action: write s3:GetObject, s3:* or *`);
  return parsePattern(text.toLowerCase(), { wildcards: true, variables: false });
}

function resourceOf(text: string, variables: boolean): Pattern {
  if (text !== '*' && !/^arn:[^:]*:[^:]*:[^:]*:[^:]*:./s.test(bounded(text)))
    throw new SkerryError(
      'invalid',
      `${JSON.stringify(text)} of the policy is no resource: write arn:aws:s3:::BUCKET or arn:aws:s3:::BUCKET/KEY`,
    );
  return parsePattern(text, { wildcards: true, variables });
}

function bounded(text: string): string {
  if (text.length > pattern_characters_max)
    throw new SkerryError(
      'invalid',
      `a text of the policy has ${text.length} characters, at most ${pattern_characters_max} are allowed`,
    );
  return text;
}
