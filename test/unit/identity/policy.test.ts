import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';

import { SkerryError } from '../../../src/core/errors.js';
import { parsePolicy } from '../../../src/identity/policy_document.js';
import { evaluatePolicy, policyContext, type PolicyVerdict, type RequestFacts } from '../../../src/identity/policy_evaluation.js';
import { matches, parsePattern, resolved } from '../../../src/identity/policy_pattern.js';

const ann = {
  accountNumber: '123456789012',
  canonicalId: 'a'.repeat(64),
  user: 'ann',
  userId: 'SU00000000000000ANN',
  root: false,
};
const root = { ...ann, user: 'root', userId: 'SU0000000000000ROOT', root: true };
const stranger = { ...ann, accountNumber: '999999999999', canonicalId: 'b'.repeat(64) };

interface Asked {
  readonly requester?: typeof ann | null;
  readonly action?: string;
  readonly resource?: string;
  readonly facts?: Partial<RequestFacts>;
}

const statement = { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: 'arn:aws:s3:::b/*' };

/** Of one statement, or several, each beside what `statement` says. */
function verdict(policy: object | readonly object[], asked: Asked = {}): PolicyVerdict {
  const { requester = ann, action = 's3:GetObject', resource = 'arn:aws:s3:::b/photos/1.jpg', facts } = asked;
  const statements = [policy].flat().map((one) => ({ ...statement, ...one }));
  const text = JSON.stringify({ Version: '2012-10-17', Statement: statements.map(withoutNull) });
  const context = policyContext({
    requester,
    sourceIp: '192.0.2.7',
    secure: true,
    now: Date.UTC(2026, 10, 23, 12),
    userAgent: 'aws-cli/2',
    ...facts,
  });
  return evaluatePolicy(parsePolicy(text), { requester, action, resource, context });
}

const withoutNull = (one: object): object => Object.fromEntries(Object.entries(one).filter(([, value]) => value !== null));

test('what no statement is about is neither allowed nor denied; a denial goes first, wherever it stands', () => {
  expect(verdict({})).toBe('allow');
  expect(verdict({ Action: 's3:PutObject' })).toBe('none');
  expect(verdict({ Resource: 'arn:aws:s3:::other/*' })).toBe('none');
  expect(verdict([{}, { Effect: 'Deny', Action: 's3:*' }])).toBe('deny');
  expect(verdict([{ Effect: 'Deny', Action: 's3:*' }, {}])).toBe('deny');
});

describe('principals', () => {
  test.each([
    ['*', ['allow', 'allow', 'allow', 'allow']],
    [{ AWS: '*' }, ['allow', 'allow', 'allow', 'allow']],
    [{ AWS: '123456789012' }, ['allow', 'allow', 'none', 'none']],
    [{ AWS: ['arn:aws:iam::123456789012:root'] }, ['allow', 'allow', 'none', 'none']],
    [{ AWS: 'arn:aws:iam::123456789012:user/ann' }, ['allow', 'none', 'none', 'none']],
    [{ AWS: 'arn:aws:iam::123456789012:user/staff/ann' }, ['allow', 'none', 'none', 'none']],
    [{ AWS: ['arn:aws:iam::123456789012:user/bob', '999999999999'] }, ['none', 'none', 'allow', 'none']],
    [{ CanonicalUser: 'b'.repeat(64) }, ['none', 'none', 'allow', 'none']],
  ])('%j', (principal, expected) => {
    const asked = [ann, root, stranger, null];
    expect(asked.map((requester) => verdict({ Principal: principal }, { requester }))).toEqual(expected);
    const others = expected.map((one) => (one === 'allow' ? 'none' : 'deny'));
    const denied = { Effect: 'Deny', Principal: null, NotPrincipal: principal };
    expect(asked.map((requester) => verdict(denied, { requester }))).toEqual(others);
  });
});

test.each([
  ['s3:GetObject', 's3:GetObject', true],
  ['S3:getobject', 's3:GetObject', true],
  ['s3:Get*', 's3:GetObjectAcl', true],
  ['s3:Get?bject', 's3:GetObject', true],
  ['s3:GetObject', 's3:GetObjectAcl', false],
  ['*', 's3:DeleteBucket', true],
  ['iam:*', 's3:GetObject', false],
])('action %s is %s: %s', (pattern, action, same) => {
  expect(verdict({ Action: ['s3:Nothing', pattern] }, { action })).toBe(same ? 'allow' : 'none');
  expect(verdict({ Action: null, NotAction: pattern }, { action })).toBe(same ? 'none' : 'allow');
});

test.each([
  ['arn:aws:s3:::b/photos/*', 'arn:aws:s3:::b/photos/1.jpg', true],
  ['arn:aws:s3:::b/photos/?.jpg', 'arn:aws:s3:::b/photos/1.jpg', true],
  ['arn:aws:s3:::b', 'arn:aws:s3:::b/photos/1.jpg', false],
  ['arn:aws:s3:::B/*', 'arn:aws:s3:::b/photos/1.jpg', false],
  ['arn:aws:s3:::*', 'arn:aws:s3:::b', true],
  ['*', 'arn:aws:s3:::b/x', true],
  // A * never stands for a colon between two parts.
  ['arn:aws:s3:*:1:*', 'arn:aws:s3:::1:x', false],
  ['arn:aws:s3:::b/*', 'arn:aws:s3:::b/a:b:c', true],
  ['arn:aws:s3:::b/${aws:username}/*', 'arn:aws:s3:::b/ann/x', true],
  ['arn:aws:s3:::b/${aws:username}/*', 'arn:aws:s3:::b/bob/x', false],
  ["arn:aws:s3:::b/${aws:nothing, 'guest'}/*", 'arn:aws:s3:::b/guest/x', true],
  ['arn:aws:s3:::b/${*}', 'arn:aws:s3:::b/*', true],
  ['arn:aws:s3:::b/${*}', 'arn:aws:s3:::b/x', false],
  ['arn:aws:s3:::b/${$}{aws:username}', 'arn:aws:s3:::b/${aws:username}', true],
])('resource %s is %s: %s', (pattern, resource, same) => {
  expect(verdict({ Resource: pattern }, { resource })).toBe(same ? 'allow' : 'none');
  expect(verdict({ Resource: null, NotResource: [pattern] }, { resource })).toBe(same ? 'none' : 'allow');
});

test('what a variable stands for is text: a user called * is no wildcard', () => {
  const requester = { ...ann, user: '*' };
  const own = { Resource: 'arn:aws:s3:::b/${aws:username}/x' };
  expect(verdict(own, { requester, resource: 'arn:aws:s3:::b/*/x' })).toBe('allow');
  expect(verdict(own, { requester, resource: 'arn:aws:s3:::b/ann/x' })).toBe('none');
});

test('of a variable without a value nothing is allowed, and nothing is let off a denial', () => {
  const requester = null;
  expect(verdict({ Resource: 'arn:aws:s3:::b/${aws:username}*' }, { requester })).toBe('none');
  const others = { Resource: null, NotResource: 'arn:aws:s3:::b/${aws:username}/*' };
  expect(verdict(others, { requester })).toBe('none');
  expect(verdict({ ...others, Effect: 'Deny' }, { requester })).toBe('deny');
  const notOwn = { Condition: { StringNotEquals: { 'aws:UserAgent': '${aws:username}' } } };
  expect(verdict(notOwn, { requester })).toBe('none');
  expect(verdict({ ...notOwn, Effect: 'Deny' }, { requester })).toBe('deny');
  const own = { Condition: { StringEquals: { 'aws:UserAgent': ['${aws:username}'] } } };
  expect(verdict({ ...own, Effect: 'Deny' }, { requester })).toBe('none');
  // One that is named beside it is named all the same.
  expect(verdict({ Resource: ['arn:aws:s3:::b/${aws:username}/*', 'arn:aws:s3:::b/*'] }, { requester })).toBe('allow');
});

test('in a policy of the older version a dollar sign is a dollar sign', () => {
  const text = JSON.stringify({ Statement: { ...statement, Resource: 'arn:aws:s3:::b/${aws:username}' } });
  const context = policyContext({ requester: ann, sourceIp: null, secure: false, now: 0 });
  const of = (resource: string) =>
    evaluatePolicy(parsePolicy(text), { requester: ann, action: 's3:GetObject', resource, context });
  expect(of('arn:aws:s3:::b/ann')).toBe('none');
  expect(of('arn:aws:s3:::b/${aws:username}')).toBe('allow');
});

describe('conditions', () => {
  const more = {
    's3:prefix': 'photos/',
    's3:max-keys': '10',
    's3:tags': ['a', 'b'],
    'aws:SourceArn': 'arn:aws:s3:::source',
  };
  test.each([
    [{ StringEquals: { 's3:prefix': ['docs/', 'photos/'] } }, true],
    [{ StringEquals: { 'S3:Prefix': 'Photos/' } }, false],
    [{ StringEquals: { 's3:prefix': 'photos*' } }, false],
    [{ StringNotEquals: { 's3:prefix': ['docs/', 'photos/'] } }, false],
    [{ StringNotEquals: { 's3:prefix': ['docs/', 'music/'] } }, true],
    [{ StringEqualsIgnoreCase: { 's3:prefix': 'PHOTOS/' } }, true],
    [{ StringNotEqualsIgnoreCase: { 's3:prefix': 'PHOTOS/' } }, false],
    [{ StringLike: { 's3:prefix': 'pho?os*' } }, true],
    [{ StringNotLike: { 's3:prefix': 'pho*' } }, false],
    [{ StringLike: { 'aws:userid': '${aws:userid}' } }, true],
    [{ NumericEquals: { 's3:max-keys': 10 } }, true],
    [{ NumericEquals: { 's3:max-keys': '10.0' } }, true],
    [{ NumericNotEquals: { 's3:max-keys': ['10', '11'] } }, false],
    [{ NumericLessThan: { 's3:max-keys': '10' } }, false],
    [{ NumericLessThanEquals: { 's3:max-keys': '10' } }, true],
    [{ NumericGreaterThan: { 's3:max-keys': '9' } }, true],
    [{ NumericGreaterThanEquals: { 's3:max-keys': '11' } }, false],
    [{ NumericEquals: { 's3:prefix': '10' } }, false],
    [{ DateLessThan: { 'aws:CurrentTime': '2026-11-24T00:00:00Z' } }, true],
    [{ DateGreaterThan: { 'aws:CurrentTime': '2026-11-24' } }, false],
    [{ DateEquals: { 'aws:EpochTime': '2026-11-23T12:00:00Z' } }, true],
    [{ DateNotEquals: { 'aws:EpochTime': '1795435200' } }, false],
    [{ DateLessThanEquals: { 'aws:CurrentTime': '2026-11-23T13:00:00+01:00' } }, true],
    [{ Bool: { 'aws:SecureTransport': true } }, true],
    [{ Bool: { 'aws:SecureTransport': 'false' } }, false],
    [{ IpAddress: { 'aws:SourceIp': ['10.0.0.0/8', '192.0.2.0/24'] } }, true],
    [{ IpAddress: { 'aws:SourceIp': '192.0.2.8' } }, false],
    [{ NotIpAddress: { 'aws:SourceIp': '192.0.2.0/29' } }, false],
    [{ IpAddress: { 'aws:SourceIp': '2001:db8::/32' } }, false],
    [{ ArnEquals: { 'aws:SourceArn': 'arn:aws:s3:::s*' } }, true],
    [{ ArnLike: { 'aws:SourceArn': 'arn:aws:s3*source' } }, false],
    [{ ArnNotLike: { 'aws:SourceArn': 'arn:aws:s3:::other' } }, true],
    [{ ArnNotEquals: { 'aws:SourceArn': 'arn:*:s3:::source' } }, false],
    [{ Null: { 's3:prefix': 'false' } }, true],
    [{ Null: { 's3:nothing': true } }, true],
    [{ Null: { 's3:prefix': 'true' } }, false],
    // A key that is absent.
    [{ StringEquals: { 's3:nothing': 'x' } }, false],
    [{ StringNotEquals: { 's3:nothing': 'x' } }, true],
    [{ StringEqualsIfExists: { 's3:nothing': 'x' } }, true],
    [{ StringEqualsIfExists: { 's3:prefix': 'x' } }, false],
    [{ NotIpAddressIfExists: { 's3:nothing': '10.0.0.0/8' } }, true],
    [{ BoolIfExists: { 's3:nothing': 'true' } }, true],
    // Several values.
    [{ 'ForAllValues:StringEquals': { 's3:tags': ['a', 'b', 'c'] } }, true],
    [{ 'ForAllValues:StringEquals': { 's3:tags': ['a'] } }, false],
    [{ 'ForAllValues:StringEquals': { 's3:nothing': 'a' } }, true],
    [{ 'ForAnyValue:StringEquals': { 's3:tags': ['b', 'z'] } }, true],
    [{ 'ForAnyValue:StringLike': { 's3:tags': ['z*'] } }, false],
    [{ 'ForAnyValue:StringEquals': { 's3:nothing': 'a' } }, false],
    [{ 'ForAnyValue:StringEqualsIfExists': { 's3:nothing': 'a' } }, true],
    [{ 'ForAllValues:StringNotEquals': { 's3:tags': ['c'] } }, true],
    [{ 'ForAllValues:StringNotEquals': { 's3:tags': ['a'] } }, false],
    [{ 'ForAnyValue:StringNotEquals': { 's3:tags': ['a'] } }, true],
    [{ StringEquals: { 's3:tags': 'b' } }, true],
    [{ StringNotEquals: { 's3:tags': 'b' } }, false],
    [{ StringNotEquals: { 's3:tags': 'c' } }, true],
    // All of several must hold.
    [{ StringEquals: { 's3:prefix': 'photos/', 's3:max-keys': '10' }, Bool: { 'aws:SecureTransport': 'true' } }, true],
    [{ StringEquals: { 's3:prefix': 'photos/', 's3:max-keys': '11' } }, false],
    [{ StringEquals: { 's3:prefix': 'photos/' }, Bool: { 'aws:SecureTransport': 'false' } }, false],
  ])('%j: %s', (Condition, expected) => {
    expect(verdict({ Condition }, { facts: { more } })).toBe(expected ? 'allow' : 'none');
  });

  test('an address of IPv6, and one of IPv4 that is told as one', () => {
    const of = (range: string, sourceIp: string) =>
      verdict({ Condition: { IpAddress: { 'aws:SourceIp': range } } }, { facts: { sourceIp } });
    expect(of('2001:db8::/32', '2001:db8:1::5')).toBe('allow');
    expect(of('2001:db8::/32', '2001:db9::5')).toBe('none');
    expect(of('192.0.2.0/24', '::ffff:192.0.2.9')).toBe('allow');
    expect(of('0.0.0.0/0', 'nonsense')).toBe('none');
  });

  test('no key of a protocol stands for who signed', () => {
    const facts = { more: { 'aws:username': 'ann', 'aws:PrincipalAccount': '123456789012' } };
    const Condition = { StringEquals: { 'aws:PrincipalAccount': '123456789012' } };
    expect(verdict({ Condition }, { facts, requester: stranger })).toBe('none');
  });
});

test.each([
  ['{', /no JSON/],
  ['[]', /the policy is none/],
  ['{"Statement":[]}', /Statement/],
  ['{"Version":"2020-01-01","Statement":[]}', /Version/],
  [{ Extra: 1 }, /Statement|Extra/],
  [{ Effect: 'allow' }, /the policy is none/],
  [{ Principal: null }, /statement 1 of the policy must have one of Principal and NotPrincipal/],
  [{ NotAction: 's3:*' }, /one of Action and NotAction/],
  [{ Resource: null }, /one of Resource and NotResource/],
  [{ Sid: 'mine', Action: null }, /mine of the policy must have one of Action/],
  [{ Action: 'GetObject' }, /"GetObject" of the policy is no action/],
  [{ Resource: 'b/*' }, /"b\/\*" of the policy is no resource/],
  [{ Resource: 'arn:aws:s3:::b/${aws:username' }, /variable that is none/],
  [{ Resource: 'arn:aws:s3:::b/${}' }, /variable that is none/],
  [{ Principal: { AWS: 'ann' } }, /"AWS: ann" is no principal/],
  [{ Principal: { AWS: 'arn:aws:iam::123456789012:user/*' } }, /is no principal/],
  [{ Principal: { AWS: '123456789012:root' } }, /is no principal/],
  [{ Principal: { Service: 'logging.s3.amazonaws.com' } }, /is no principal/],
  [{ Principal: {} }, /names nobody/],
  [{ Condition: { StringIs: { a: 'b' } } }, /"StringIs" of the policy is no operator/],
  [{ Condition: { 'ForAllValues:Null': { a: 'true' } } }, /no operator/],
  [{ Condition: { NullIfExists: { a: 'true' } } }, /no operator/],
  [{ Condition: { Null: { a: 'perhaps' } } }, /neither true nor false/],
  [{ Condition: { NumericEquals: { a: 'ten' } } }, /"ten" of the policy is no number/],
  [{ Condition: { DateEquals: { a: 'today' } } }, /"today" of the policy is no time/],
  [{ Condition: { IpAddress: { a: '10.0.0.0/33' } } }, /no range of addresses/],
  [{ Condition: { IpAddress: { a: '10.0.0' } } }, /no range of addresses/],
  [{ Condition: { StringEquals: { '': 'x' } } }, /no key of a condition/],
  [{ Action: `s3:${'a'.repeat(3000)}` }, /at most 2048/],
])('%j is refused', (policy, message) => {
  const text =
    typeof policy === 'string'
      ? policy
      : JSON.stringify({ Version: '2012-10-17', Statement: [withoutNull({ ...statement, ...policy })] });
  expect(() => parsePolicy(text)).toThrow(message);
  expect(() => parsePolicy(text)).toThrow(SkerryError);
});

it('a policy has a limit, and names of its statements are its own', () => {
  const padded = (bytes: number): string => {
    const text = JSON.stringify({ Id: '', Statement: statement });
    return text.replace('""', `"${'x'.repeat(bytes - text.length)}"`);
  };
  expect(parsePolicy(padded(20_480)).statements).toHaveLength(1);
  expect(() => parsePolicy(padded(20_481))).toThrow(expect.objectContaining({ code: 'too-large' }));
  const twice = { ...statement, Sid: 'a' };
  expect(() => parsePolicy(JSON.stringify({ Statement: [twice, twice] }))).toThrow(/same Sid/);
});

describe('whatever is given', () => {
  it('text is a policy or a refusal', () => {
    const value = fc.oneof(fc.jsonValue(), fc.string(), fc.constantFrom('Allow', '*', 's3:*', 'arn:aws:s3:::b/*', '2012-10-17'));
    const statements = fc.record(
      {
        Effect: value,
        Principal: value,
        Action: value,
        Resource: value,
        NotResource: value,
        Condition: fc.dictionary(fc.string(), fc.dictionary(fc.string(), value)),
      },
      { requiredKeys: [] },
    );
    const texts = fc.oneof(
      fc.string(),
      fc
        .record({ Version: value, Statement: fc.oneof(statements, fc.array(statements)) })
        .map((policy) => JSON.stringify(policy)),
    );
    fc.assert(
      fc.property(texts, (text) => {
        try {
          parsePolicy(text);
        } catch (error) {
          expect(error).toBeInstanceOf(SkerryError);
          expect(['invalid', 'too-large']).toContain((error as SkerryError).code);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('a pattern is what a regular expression of it would be', () => {
    const characters = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?', '.', '/'), maxLength: 12 });
    fc.assert(
      fc.property(characters, fc.string({ unit: fc.constantFrom('a', 'b', '.', '/'), maxLength: 12 }), (pattern, text) => {
        const expression = pattern
          .replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&')
          .replaceAll('\\*', '[^]*')
          .replaceAll('\\?', '[^]');
        const tokens = resolved(parsePattern(pattern, { wildcards: true, variables: true }), () => null) ?? [];
        expect(matches(tokens, text)).toBe(new RegExp(`^${expression}$`).test(text));
      }),
      { numRuns: 1000 },
    );
  });

  it('a pattern that goes astray everywhere takes no time', () => {
    const tokens = resolved(parsePattern(`${'*a'.repeat(1000)}b`, { wildcards: true, variables: false }), () => null) ?? [];
    const began = performance.now();
    expect(matches(tokens, 'a'.repeat(1024))).toBe(false);
    // As much as a policy and a header hold: one that compared each place with the whole pattern took a second.
    const long = resolved(parsePattern(`*?${'a'.repeat(2040)}b*`, { wildcards: true, variables: false }), () => null) ?? [];
    for (let pattern = 0; pattern < 10; pattern += 1) expect(matches(long, 'a'.repeat(16_384))).toBe(false);
    expect(performance.now() - began).toBeLessThan(5000);
  });

  it('a long piece between two stars is found wherever it is', () => {
    const pieces = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '?'), minLength: 25, maxLength: 70 }), {
      minLength: 1,
      maxLength: 3,
    });
    const filling = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 40 });
    fc.assert(
      fc.property(pieces, fc.array(filling, { minLength: 4, maxLength: 4 }), fc.nat(200), (wanted, fillings, spoiled) => {
        const whole = wanted.reduce((text, piece, at) => text + piece.replaceAll('?', 'a') + fillings[at + 1], fillings[0] ?? '');
        const text = `${whole.slice(0, spoiled)}c${whole.slice(spoiled + 1)}`;
        const pattern = `*${wanted.join('*')}*`;
        const expression = new RegExp(`^${pattern.replaceAll('*', '[^]*').replaceAll('?', '[^]')}$`);
        const tokens = resolved(parsePattern(pattern, { wildcards: true, variables: false }), () => null) ?? [];
        expect(matches(tokens, whole)).toBe(true);
        expect(matches(tokens, text)).toBe(expression.test(text));
      }),
      { numRuns: 300 },
    );
  });

  const parts = fc.record({
    Effect: fc.constantFrom('Allow', 'Deny'),
    Principal: fc.constantFrom('*', { AWS: '123456789012' }, { AWS: '999999999999' }),
    Action: fc.constantFrom('s3:GetObject', 's3:*', 's3:PutObject'),
    Resource: fc.constantFrom('*', 'arn:aws:s3:::b/*', 'arn:aws:s3:::b/${aws:username}/*', 'arn:aws:s3:::c/*'),
    Condition: fc.constantFrom({}, { Bool: { 'aws:SecureTransport': 'true' } }, { StringNotEquals: { 'aws:username': 'ann' } }),
  });
  const asked = fc.record({
    requester: fc.constantFrom(ann, root, stranger, null),
    resource: fc.constantFrom('arn:aws:s3:::b/ann/x', 'arn:aws:s3:::b/x', 'arn:aws:s3:::c/x'),
  });

  it('the order of statements changes nothing, one that allows never undoes a denial, one that denies never allows', () => {
    fc.assert(
      fc.property(fc.array(parts, { minLength: 1, maxLength: 6 }), parts, asked, (statements, more, request) => {
        const before = verdict(statements, request);
        expect(verdict(statements.toReversed(), request)).toBe(before);
        const after = verdict([...statements, more], request);
        if (before === 'deny') expect(after).toBe('deny');
        if (more.Effect === 'Deny' && after === 'allow') expect(before).toBe('allow');
        if (more.Effect === 'Allow' && after === 'deny') expect(before).toBe('deny');
        // Each statement by itself says what all of them together say.
        const single = statements.map((one) => verdict(one, request));
        expect(before).toBe(single.includes('deny') ? 'deny' : single.includes('allow') ? 'allow' : 'none');
      }),
      { numRuns: 200 },
    );
  });
});
