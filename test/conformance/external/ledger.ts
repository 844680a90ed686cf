/** What of an outside suite is not passed, and why: kept beside this file, and held against each run. */
import type { TestResult } from './s3_tests_run.ts';

export interface LedgerEntry {
  readonly test: string;
  /** What it asks for, and what is answered here. */
  readonly reason: string;
  readonly decision: string;
  /** What arrives here is not what the test means to send, or it reads another answer than was given: nothing that a server could do. */
  readonly clients?: true;
  /** It passes where the suite speaks through this version of botocore, or a later one. */
  readonly passesFromBotocore?: string;
  /** It passes through all earlier ones. */
  readonly failsFromBotocore?: string;
  /** It passes over all others. */
  readonly over?: string;
}

export interface Verdict {
  /** Neither passed nor in the ledger. */
  readonly failures: readonly TestResult[];
  /** In the ledger, and passed all the same: what it says is not true any more. */
  readonly passes: readonly string[];
  /** In the ledger, and in no suite. */
  readonly unknown: readonly string[];
  /** In the ledger for a reason of this server's, and of a group that is to pass whole. */
  readonly short: readonly string[];
}

interface Run {
  readonly ledger: readonly LedgerEntry[];
  readonly botocore: string;
  readonly over: string;
  /** Whether all tests were run, or some. */
  readonly whole: boolean;
  /** Of a test: whether it is of a group that is to pass whole. */
  readonly isOfWholeGroup: (test: string) => boolean;
}

export function verdictOn(results: readonly TestResult[], run: Run): Verdict {
  const { ledger, whole, isOfWholeGroup } = run;
  const ours = ledger.filter(({ clients, passesFromBotocore }) => clients !== true && passesFromBotocore === undefined);
  const excused = new Set(ledger.filter((entry) => isExcused(entry, run)).map(({ test }) => test));
  const known = new Set(results.map(({ test }) => test));
  return {
    failures: results.filter(({ test, outcome }) => outcome !== 'passed' && !excused.has(test)),
    passes: results.filter(({ test, outcome }) => outcome === 'passed' && excused.has(test)).map(({ test }) => test),
    unknown: whole ? ledger.map(({ test }) => test).filter((test) => !known.has(test)) : [],
    short: ours.map(({ test }) => test).filter(isOfWholeGroup),
  };
}

/** `bucket 9 of 9` for each group, those with failures first. */
export function countsByGroup(results: readonly TestResult[], groupOf: (test: string) => string): string[] {
  const counts = new Map<string, { passed: number; all: number }>();
  for (const { test, outcome } of results) {
    const count = counts.get(groupOf(test)) ?? { passed: 0, all: 0 };
    counts.set(groupOf(test), { passed: count.passed + (outcome === 'passed' ? 1 : 0), all: count.all + 1 });
  }
  const missing = ([, { passed, all }]: [string, { passed: number; all: number }]): number => all - passed;
  return [...counts].sort((a, b) => missing(b) - missing(a)).map(([group, { passed, all }]) => `${group} ${passed} of ${all}`);
}

function isExcused(
  { passesFromBotocore, failsFromBotocore, over }: LedgerEntry,
  run: { readonly botocore: string; readonly over: string },
): boolean {
  if (over !== undefined && over !== run.over) return false;
  if (failsFromBotocore !== undefined && isBefore(run.botocore, failsFromBotocore)) return false;
  return passesFromBotocore === undefined || isBefore(run.botocore, passesFromBotocore);
}

/** Of versions: `1.36.0`. */
export function isBefore(version: string, other: string): boolean {
  const [a, b] = [version, other].map((text) => text.split('.').map(Number));
  const at = [0, 1, 2].find((place) => a?.[place] !== b?.[place]);
  return at !== undefined && (a?.[at] ?? 0) < (b?.[at] ?? 0);
}
