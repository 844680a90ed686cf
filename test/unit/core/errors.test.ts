import { expect, test } from 'vitest';

import { errorTable, isErrorCode, isSkerryError, SkerryError, toSkerryError } from '../../../src/core/errors.js';
import { bytes, fence } from '../../../src/core/units.js';

test('every code says whether to retry, how to exit and which status to answer', () => {
  for (const [code, kind] of Object.entries(errorTable)) {
    expect(typeof kind.retry, code).toBe('boolean');
    expect([1, 2, 3, 4], code).toContain(kind.exitCode);
    expect(kind.httpStatus, code).toBeGreaterThanOrEqual(400);
    expect(kind.httpStatus, code).toBeLessThan(600);
  }
});

test('the exit codes are those of the command', () => {
  expect(errorTable['not-found'].exitCode).toBe(3);
  expect(errorTable.conflict.exitCode).toBe(4);
  expect(errorTable.exists.exitCode).toBe(4);
  expect(errorTable.invalid.exitCode).toBe(2);
  expect(errorTable.io.exitCode).toBe(1);
});

test('a full disk and rot are not tried again', () => {
  expect(new SkerryError('no-space', 'x').retry).toBe(false);
  expect(new SkerryError('corrupt', 'x').retry).toBe(false);
  expect(new SkerryError('timeout', 'x').retry).toBe(true);
});

test('system errors map by their name and keep their cause', () => {
  const cause = Object.assign(new Error('no space left on device'), { code: 'ENOSPC', errno: -28 });
  const error = toSkerryError(cause, 'chunk a cannot be written');
  expect(error).toMatchObject({ code: 'no-space', message: 'chunk a cannot be written: no space left on device', cause });
  expect(toSkerryError(Object.assign(new Error('?'), { code: 'EXOTIC', errno: -999 })).code).toBe('io');
  expect(toSkerryError(Object.assign(new Error('?'), { code: 'read-only' })).code).toBe('read-only');
  expect(toSkerryError(new TypeError('a bug')).code).toBe('internal');
  expect(toSkerryError('text').message).toBe('text');
  expect(toSkerryError(error)).toBe(error);
});

test('codes are told from other words', () => {
  expect(isErrorCode('io')).toBe(true);
  expect(isErrorCode('toString')).toBe(false);
  expect(isSkerryError(new SkerryError('io', 'x'), 'io', 'timeout')).toBe(true);
  expect(isSkerryError(new SkerryError('io', 'x'), 'timeout')).toBe(false);
  expect(isSkerryError(new Error('x'))).toBe(false);
});

test('a quantity is a whole number of at least 0', () => {
  expect(bytes(4096)).toBe(4096);
  for (const value of [-1, 0.5, Number.NaN, 2 ** 53]) expect(() => fence(value)).toThrow(RangeError);
});
