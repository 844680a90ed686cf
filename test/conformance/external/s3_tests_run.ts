/** ceph/s3-tests as they are in a checkout: told of an endpoint, run by pytest, and what became of each. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { NewAccessKey } from '../../../src/identity/access_keys.ts';
import { parseXml, type XmlLimits } from '../../../src/northbound/s3/xml_tree.ts';
import { must } from '../../harness/command.ts';

/**
 * Of 883 tests these files have 641 that are core: those that AWS passes too, without what is no part of an endpoint of S3 as
 * users know it: logs delivered to buckets, calls of IAM, and transitions among storage classes, which there is one of here.
 */
const files = ['s3tests/functional/test_s3.py', 's3tests/functional/test_headers.py'];
const core = 'not fails_on_aws and not bucket_logging and not iam_account and not lifecycle_transition';
/** The report has the traces of all that failed. */
const reportLimits: XmlLimits = { bytesMax: 1 << 28, depthMax: 16, elementsMax: 1_000_000 };

/** Roles that the suite gives to accounts, as its configuration names them. */
export const roles = ['s3 main', 's3 alt', 's3 tenant', 'iam', 'iam root', 'iam alt root'] as const;
export type Role = (typeof roles)[number];

export interface JudgedAccount extends NewAccessKey {
  readonly canonicalId: string;
  readonly displayName: string;
}

export interface JudgedEndpoint {
  /** HOST:PORT. */
  readonly address: string;
  readonly secure: boolean;
  /** Path of the authority of its certificate; null without TLS. */
  readonly trusted: string | null;
  readonly region: string;
  readonly accounts: Readonly<Record<Role, JudgedAccount>>;
}

export interface TestResult {
  /** With its parameters: `test_x[1-2]`. */
  readonly test: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  /** Its last words. */
  readonly message: string;
}

export interface SuiteOptions {
  readonly checkout: string;
  /** An interpreter that has pytest and boto3. */
  readonly python: string;
  /** An expression of pytest's -k; all of them where there is none. */
  readonly only?: string;
}

/** The version of botocore that the suite will speak through: 1.29.27. */
export async function botocoreVersion(python: string): Promise<string> {
  return (await must(python, ['-c', 'import botocore; print(botocore.__version__)'])).trim();
}

export async function commitOf(checkout: string): Promise<string> {
  return (await must('git', ['-C', checkout, 'rev-parse', 'HEAD'])).trim();
}

/** @throws Error where pytest could not run them, with what it said */
export async function runSuite(endpoint: JudgedEndpoint, { checkout, python, only }: SuiteOptions): Promise<TestResult[]> {
  const directory = mkdtempSync(join(tmpdir(), 'skerry-s3-tests-'));
  try {
    const configuration = join(directory, 's3tests.conf');
    const report = join(directory, 'report.xml');
    writeFileSync(configuration, configurationFor(endpoint));
    const selection = ['-m', core, ...(only === undefined ? [] : ['-k', only])];
    const log = join(directory, 'pytest.log');
    const words = ['-m', 'pytest', '-v', '--tb=short', '-p', 'no:cacheprovider', `--junitxml=${report}`, ...selection, ...files];
    const env = {
      S3TEST_CONF: configuration,
      AWS_DEFAULT_REGION: endpoint.region,
      AWS_CONFIG_FILE: '/dev/null',
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
      PYTHONDONTWRITEBYTECODE: '1',
      // Signed by botocore itself, as the suite's authors have it: another signer takes no headers that are numbers.
      BOTO_DISABLE_CRT: 'true',
      ...(endpoint.trusted === null ? {} : { SSL_CERT_FILE: endpoint.trusted, REQUESTS_CA_BUNDLE: endpoint.trusted }),
    };
    // Into a file, which shows how far it is.
    const output = openSync(log, 'w');
    const child = spawn(python, words, { cwd: checkout, env: { ...process.env, ...env }, stdio: ['ignore', output, output] });
    const [code] = (await once(child, 'close').finally(() => closeSync(output))) as [number | null];
    // 1: some failed, which is for the ledger to judge.
    if (code === null || code > 1) throw new Error(`pytest ended with ${code}:\n${readFileSync(log, 'utf8').slice(-4000)}`);
    return resultsOf(readFileSync(report));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function configurationFor({ address, secure, region, accounts }: JudgedEndpoint): string {
  const [host, port] = address.split(':');
  const sections = roles.map((role) => [
    `[${role}]`,
    `display_name = ${accounts[role].displayName}`,
    `user_id = ${accounts[role].canonicalId}`,
    `email = ${accounts[role].displayName}@example.com`,
    `access_key = ${accounts[role].accessKey}`,
    `secret_key = ${accounts[role].secretKey}`,
    // Names of buckets are of one space here, as they are at AWS.
    ...(role === 's3 tenant' ? ['tenant ='] : []),
    ...(role === 's3 main' ? [`api_name = ${region}`, 'lc_debug_interval = 1'] : []),
  ]);
  const defaults = ['[DEFAULT]', `host = ${host}`, `port = ${port}`, `is_secure = ${secure}`, 'ssl_verify = False'];
  const fixtures = ['[fixtures]', 'bucket prefix = skerry-{random}-'];
  return [...defaults, ...fixtures, ...sections.flat(), ''].join('\n');
}

function resultsOf(report: Buffer): TestResult[] {
  const [suite] = parseXml(report, 'testsuites', reportLimits).all('testsuite');
  return (suite?.all('testcase') ?? []).map((element) => {
    const trouble = element.children.find(({ name }) => ['failure', 'error', 'skipped'].includes(name));
    return {
      test: element.attributes.get('name') ?? '',
      outcome: trouble === undefined ? 'passed' : trouble.name === 'skipped' ? 'skipped' : 'failed',
      message: trouble?.attributes.get('message') ?? '',
    };
  });
}
