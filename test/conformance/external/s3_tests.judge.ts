/** ceph/s3-tests against an endpoint, held against the ledger: `npm run judge:s3 -- CHECKOUT`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { endpointKinds, startEndpoint } from './judged_endpoint.ts';
import { countsByGroup, isBefore, verdictOn, type LedgerEntry } from './ledger.ts';
import { groupOf, isOfWholeGroup } from './s3_tests_groups.ts';
import { botocoreVersion, commitOf, runSuite, type TestResult } from './s3_tests_run.ts';

const checkout = process.env['JUDGE_CHECKOUT'] ?? '';
const python = process.env['JUDGE_PYTHON'] ?? '/usr/bin/python3';
const only = process.env['JUDGE_ONLY'];
const over = process.env['JUDGE_OVER'] ?? 'http';
/** Of the core tests, with a client that knows what they ask it to send. */
const passed_min = 610;
const knowing_botocore = '1.36.0';
const findings = process.env['JUDGE_FINDINGS'];

test('the tests of ceph/s3-tests pass, but for those of the ledger', async () => {
  const kind = endpointKinds.find((each) => each === over);
  if (kind === undefined) throw new Error(`there is no endpoint ${over}: there are ${endpointKinds.join(', ')}`);
  const endpoint = await startEndpoint(kind);
  let results: TestResult[];
  try {
    results = await runSuite(endpoint, { checkout, python, ...(only === undefined ? {} : { only }) });
  } finally {
    await endpoint.stop();
  }
  const botocore = await botocoreVersion(python);
  const ledger = JSON.parse(readFileSync(join(import.meta.dirname, 's3_tests_ledger.json'), 'utf8')) as LedgerEntry[];
  const whole = only === undefined;
  const { failures, passes, unknown, short } = verdictOn(results, { ledger, botocore, over, whole, isOfWholeGroup });
  const passed = results.filter(({ outcome }) => outcome === 'passed').length;
  console.log(
    [
      ...failures.map((each) => `not passed: ${each.test} (${groupOf(each.test)}): ${each.message.slice(0, 400)}`),
      ...passes.map((name) => `passed, though the ledger excuses it: ${name}`),
      ...unknown.map((name) => `in the ledger, and in no test: ${name}`),
      ...endpoint.complaints().map((complaint) => `the server complained: ${complaint}`),
      ...countsByGroup(results, groupOf),
      `${passed} passed of ${results.length} core over ${kind}, s3-tests ${await commitOf(checkout)}, botocore ${botocore}`,
    ].join('\n'),
  );
  if (findings !== undefined) writeFileSync(findings, JSON.stringify({ results, complaints: endpoint.complaints() }, null, 1));
  expect({ failures: failures.map((each) => each.test), passes, unknown, short }).toEqual({
    failures: [],
    passes: [],
    unknown: [],
    short: [],
  });
  expect(passed).toBeGreaterThanOrEqual(whole && !isBefore(botocore, knowing_botocore) ? passed_min : 1);
});
