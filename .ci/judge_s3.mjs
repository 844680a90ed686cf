// npm run judge:s3 -- CHECKOUT [--over http|https|memory] [--python PROGRAM] [--only EXPRESSION] [--findings FILE]: has ceph/s3-tests,
// of which CHECKOUT is a checkout, judge the S3 endpoint of a daemon, or the server alone over memory, and holds what it says against
// the ledger in test/conformance/external.
// It is no part of npm test. PROGRAM is a Python with pytest, boto3, munch, lxml, isodate and requests; Debian's, unless it is given.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { runInstalled } from './commands.mjs';

const usage =
  'usage: npm run judge:s3 -- CHECKOUT [--over http|https|memory] [--python PROGRAM] [--only EXPRESSION] [--findings FILE]';
const options = { over: { type: 'string' }, python: { type: 'string' }, only: { type: 'string' }, findings: { type: 'string' } };
const { values, positionals } = parseArgs({ options, allowPositionals: true });
const [checkout] = positionals;
if (checkout === undefined || !existsSync(join(checkout, 's3tests'))) {
  console.error(`skerry: there is no checkout of ceph/s3-tests at ${checkout ?? '(nothing)'}\n${usage}`);
  process.exit(2);
}
const env = { JUDGE_CHECKOUT: resolve(checkout) };
if (values.over !== undefined) env.JUDGE_OVER = values.over;
if (values.python !== undefined) env.JUDGE_PYTHON = values.python;
if (values.only !== undefined) env.JUDGE_ONLY = values.only;
if (values.findings !== undefined) env.JUDGE_FINDINGS = resolve(values.findings);
const { status } = await runInstalled('vitest', ['run', '--project', 'judge'], { env });
process.exitCode = status;
