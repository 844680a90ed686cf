/** What a policy says of one request. */
import { holds, type PolicyContext } from './policy_conditions.js';
import type { Policy, PolicyPrincipal, Statement } from './policy_document.js';
import { matches, matchesArn, resolved, type Resolve } from './policy_pattern.js';

/** Who signed, as access keys tell it (access_keys.ts). */
export interface PolicyRequester {
  readonly accountNumber: string;
  readonly canonicalId: string;
  readonly user: string;
  readonly userId: string;
  readonly root: boolean;
}

export interface PolicyRequest {
  /** null: nobody signed. */
  readonly requester: PolicyRequester | null;
  /** `s3:GetObject`. */
  readonly action: string;
  /** `arn:aws:s3:::BUCKET/KEY`. */
  readonly resource: string;
  readonly context: PolicyContext;
}

/** none: the policy has no word on it. */
export type PolicyVerdict = 'allow' | 'deny' | 'none';

/** A statement that denies goes before all that allow. */
export function evaluatePolicy({ statements }: Policy, request: PolicyRequest): PolicyVerdict {
  let verdict: PolicyVerdict = 'none';
  for (const statement of statements) {
    if (!applies(statement, request)) continue;
    if (statement.effect === 'deny') return 'deny';
    verdict = 'allow';
  }
  return verdict;
}

/**
 * Where a variable has no value in this request, what it stands in is equal to nothing, and no permission is drawn from that: a statement that
 * allows does not apply, one that denies does where the rest of it holds.
 */
function applies({ effect, principals, actions, resources, conditions }: Statement, request: PolicyRequest): boolean {
  const { requester, action, resource, context } = request;
  if (principals.of.some((one) => isOne(one, requester)) === principals.not) return false;
  const wantedAction = action.toLowerCase();
  if (actions.of.some((one) => matches(resolved(one, nothing) ?? [], wantedAction)) === actions.not) return false;

  const resolve: Resolve = (key) => {
    const values = context.get(key);
    return values?.length === 1 ? (values[0] ?? null) : null;
  };
  const patterns = resources.of.map((pattern) => resolved(pattern, resolve));
  if (patterns.some((tokens) => tokens !== null && matchesArn(tokens, resource)) === resources.not) return false;
  const outcomes = conditions.map((condition) => holds(condition, context));
  if (outcomes.includes(false)) return false;
  const doubtful = outcomes.includes(null) || (resources.not && patterns.includes(null));
  return effect === 'deny' || !doubtful;
}

const nothing: Resolve = () => null;

function isOne(principal: PolicyPrincipal, requester: PolicyRequester | null): boolean {
  if (principal.kind === 'anyone') return true;
  if (requester === null) return false;
  if (principal.kind === 'canonical') return principal.canonicalId === requester.canonicalId;
  if (principal.accountNumber !== requester.accountNumber) return false;
  return principal.kind === 'account' || principal.user === requester.user;
}

export interface RequestFacts {
  readonly requester: PolicyRequester | null;
  /** Of the client, an IPv4 or IPv6 address; null where it has none. */
  readonly sourceIp: string | null;
  /** Whether it came over TLS. */
  readonly secure: boolean;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly userAgent?: string;
  readonly referer?: string;
  /** Of the protocol, `s3:prefix` say; any case. */
  readonly more?: Readonly<Record<string, string | readonly string[]>>;
}

/** What every request has for conditions and variables. */
export function policyContext(facts: RequestFacts): PolicyContext {
  const { requester, sourceIp, secure, now, userAgent, referer, more = {} } = facts;
  const context = new Map<string, readonly string[]>();
  const set = (key: string, value: string | readonly string[] | null | undefined): void => {
    if (value !== null && value !== undefined) context.set(key.toLowerCase(), [value].flat());
  };
  // First, so that no protocol's key stands for who signed.
  for (const [key, value] of Object.entries(more)) set(key, value);
  set('aws:CurrentTime', new Date(now).toISOString());
  set('aws:EpochTime', String(Math.floor(now / 1000)));
  set('aws:SecureTransport', String(secure));
  set('aws:SourceIp', sourceIp);
  set('aws:UserAgent', userAgent);
  set('aws:Referer', referer);
  set('aws:PrincipalType', requester === null ? 'Anonymous' : requester.root ? 'Account' : 'User');
  if (requester === null) return context;
  const { accountNumber, user, userId, root } = requester;
  set('aws:PrincipalAccount', accountNumber);
  set('aws:PrincipalArn', `arn:aws:iam::${accountNumber}:${root ? 'root' : `user/${user}`}`);
  set('aws:userid', root ? accountNumber : userId);
  if (!root) set('aws:username', user);
  return context;
}
