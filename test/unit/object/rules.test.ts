/** What is decided without asking anybody: conditions, retention, lifecycle. */
import { describe, expect, test } from 'vitest';

import { checkWrite, judgeRead } from '../../../src/object/conditions.js';
import { dueAt, judgeUpload, judgeVersion, type LifecycleRule, type LifecycleSubject } from '../../../src/object/lifecycle.js';
import { checkRetentionChange, keptBy } from '../../../src/object/retention.js';

const day = 86_400_000;
const now = Date.UTC(2026, 5, 15, 12);

describe('conditions', () => {
  const object = { etag: 'e', modifiedAt: 10_500 };

  test.each([
    [{}, 'proceed'],
    [{ ifMatch: ['e'] }, 'proceed'],
    [{ ifMatch: ['*'] }, 'proceed'],
    [{ ifMatch: ['x'] }, 'failed'],
    [{ ifNoneMatch: ['e'] }, 'not-modified'],
    [{ ifNoneMatch: ['x', 'e'] }, 'not-modified'],
    [{ ifModifiedSince: 10_000 }, 'not-modified'],
    [{ ifModifiedSince: 9999 }, 'proceed'],
    [{ ifUnmodifiedSince: 10_000 }, 'proceed'],
    [{ ifUnmodifiedSince: 9999 }, 'failed'],
    [{ ifMatch: ['e'], ifUnmodifiedSince: 0 }, 'proceed'],
    [{ ifNoneMatch: ['x'], ifModifiedSince: 99_000 }, 'proceed'],
    [{ ifMatch: ['x'], ifNoneMatch: ['e'] }, 'failed'],
  ])('%o', (conditions, verdict) => {
    expect(judgeRead(conditions, object)).toBe(verdict);
  });

  test('what is not there matches nothing', () => {
    expect(() => checkWrite({ ifNoneMatch: ['*'] }, null)).not.toThrow();
    expect(() => checkWrite({ ifMatch: ['*'] }, null)).toThrow(expect.objectContaining({ reason: 'no-such-key' }));
    expect(() => checkWrite({ ifNoneMatch: ['*'] }, object)).toThrow(expect.objectContaining({ reason: 'precondition-failed' }));
  });
});

describe('retention', () => {
  const until = now + day;

  test('keeps a version until its time', () => {
    const governance = { retention: { mode: 'governance', until } as const, legalHold: false };
    const compliance = { retention: { mode: 'compliance', until } as const, legalHold: false };
    expect(keptBy(governance, now, false)).toMatch(/governance/);
    expect(keptBy(governance, now, true)).toBeNull();
    expect(keptBy(compliance, now, true)).toMatch(/compliance/);
    expect(keptBy(compliance, until, false)).toBeNull();
    expect(keptBy({ retention: null, legalHold: true }, now, true)).toMatch(/legal hold/);
  });

  test('becomes longer; another only by who may override governance', () => {
    const governance = { mode: 'governance', until } as const;
    const compliance = { mode: 'compliance', until } as const;
    const locked = expect.objectContaining({ reason: 'object-locked' });
    expect(() => checkRetentionChange(governance, { ...governance, until: until + 1 }, now, false)).not.toThrow();
    expect(() => checkRetentionChange(governance, compliance, now, false)).toThrow(locked);
    expect(() => checkRetentionChange(governance, compliance, now, true)).not.toThrow();
    expect(() => checkRetentionChange(governance, { ...governance, until: until - 1 }, now, false)).toThrow(locked);
    expect(() => checkRetentionChange(governance, null, now, true)).not.toThrow();
    expect(() => checkRetentionChange(compliance, governance, now, true)).toThrow(locked);
    expect(() => checkRetentionChange(compliance, null, now, true)).toThrow(locked);
    expect(() => checkRetentionChange(compliance, null, until, false)).not.toThrow();
    expect(() => checkRetentionChange(null, { ...governance, until: now }, now, false)).toThrow(/future/);
  });
});

describe('lifecycle', () => {
  const subject: LifecycleSubject = {
    key: 'logs/a',
    bytes: 100,
    tags: { kind: 'log' },
    deleteMarker: false,
    modifiedAt: now - 10 * day,
    noncurrent: null,
    only: true,
  };
  const rule = (more: Partial<LifecycleRule>): readonly LifecycleRule[] => [{ id: 'r', enabled: true, filter: {}, ...more }];
  const action = (rules: readonly LifecycleRule[], more: Partial<LifecycleSubject> = {}) =>
    judgeVersion(rules, { ...subject, ...more }, now)?.action ?? null;

  test('days end at midnight', () => {
    expect(dueAt(Date.UTC(2026, 0, 1, 10, 30), 1)).toBe(Date.UTC(2026, 0, 3));
    expect(action(rule({ expiration: { days: 9 } }))).toBe('expire');
    expect(action(rule({ expiration: { days: 10 } }))).toBeNull();
    expect(action(rule({ expiration: { at: now } }))).toBe('expire');
    expect(action(rule({ expiration: { at: now + 1 } }))).toBeNull();
    expect(action(rule({ enabled: false, expiration: { days: 1 } }))).toBeNull();
  });

  test('filters all have to match', () => {
    const expiration = { days: 1 };
    expect(
      action(rule({ expiration, filter: { prefix: 'logs/', tags: { kind: 'log' }, bytesAbove: 99, bytesBelow: 101 } })),
    ).toBe('expire');
    for (const filter of [{ prefix: 'log/' }, { tags: { kind: 'x' } }, { bytesAbove: 100 }, { bytesBelow: 100 }])
      expect(action(rule({ expiration, filter }))).toBeNull();
  });

  test('versions that are not current go by when they were replaced, but for the newest of them', () => {
    const noncurrent = { since: now - 5 * day, newer: 2 };
    expect(action(rule({ noncurrent: { days: 4 } }), { noncurrent })).toBe('remove');
    expect(action(rule({ noncurrent: { days: 5 } }), { noncurrent })).toBeNull();
    expect(action(rule({ noncurrent: { days: 4, kept: 2 } }), { noncurrent })).toBe('remove');
    expect(action(rule({ noncurrent: { days: 4, kept: 3 } }), { noncurrent })).toBeNull();
    expect(action(rule({ expiration: { days: 1 } }), { noncurrent })).toBeNull();
  });

  test('a delete marker goes when it hides nothing any more', () => {
    const rules = rule({ expiration: { deleteMarkers: true } });
    expect(action(rules, { deleteMarker: true })).toBe('remove');
    expect(action(rules, { deleteMarker: true, only: false })).toBeNull();
    expect(action(rules)).toBeNull();
  });

  test('uploads that nobody completes end', () => {
    const upload = { key: 'logs/a', startedAt: now - 3 * day };
    expect(judgeUpload(rule({ abortDays: 2 }), upload, now)).toBe('r');
    expect(judgeUpload(rule({ abortDays: 3 }), upload, now)).toBeNull();
    expect(judgeUpload(rule({ abortDays: 2, filter: { prefix: 'x' } }), upload, now)).toBeNull();
    expect(judgeUpload(rule({ abortDays: 2, filter: { tags: { a: 'b' } } }), upload, now)).toBeNull();
  });
});
