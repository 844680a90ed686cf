import { expect, test } from 'vitest';

import { AccountRates } from '../../../../src/northbound/s3/account_rates.js';

function rates(requestsPerSecond: number, bytesPerSecond: number) {
  let now = 1_000_000;
  const accounts = new AccountRates({ requestsPerSecond, bytesPerSecond, now: () => now });
  const pass = (milliseconds: number): void => {
    now += milliseconds;
  };
  const admitted = (account: number, tries: number): number => {
    let count = 0;
    for (let at = 0; at < tries; at += 1)
      try {
        accounts.admit(account);
        count += 1;
      } catch (error) {
        expect(error).toMatchObject({ s3Code: 'SlowDown' });
      }
    return count;
  };
  return { accounts, pass, admitted };
}

test('an account has the requests of a second at once, and then as many as time brings', () => {
  const { pass, admitted } = rates(10, 0);
  expect(admitted(1, 100)).toBe(10);
  pass(500);
  expect(admitted(1, 100)).toBe(5);
  pass(3_600_000);
  expect(admitted(1, 100)).toBe(10);
  expect(admitted(2, 100)).toBe(10);
});

test('what a request moved keeps those after it waiting until its share has come', () => {
  const { accounts, pass, admitted } = rates(0, 1000);
  accounts.admit(1);
  accounts.moved(1, 3500);
  expect(admitted(1, 5)).toBe(0);
  pass(2400);
  expect(admitted(1, 1)).toBe(0);
  pass(100);
  expect(admitted(1, 5)).toBe(5);
  expect(admitted(2, 5)).toBe(5);
});

test('without limits nobody is refused', () => {
  expect(rates(0, 0).admitted(1, 10_000)).toBe(10_000);
});

test('a clock that is set back takes nothing away', () => {
  const { pass, admitted } = rates(2, 0);
  expect(admitted(1, 1)).toBe(1);
  pass(-100_000);
  expect(admitted(1, 5)).toBe(1);
  pass(1000);
  expect(admitted(1, 5)).toBe(2);
});

test('of accounts of long ago none is remembered, of those in debt all are', () => {
  const { accounts, pass, admitted } = rates(1, 1000);
  accounts.moved(7, 1_000_000);
  pass(5000);
  for (let account = 100; account < 100 + 5000; account += 1) accounts.admit(account);
  expect(admitted(7, 1)).toBe(0);
});
