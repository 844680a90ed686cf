// npm test: builds, then runs every suite, each with its time, whatever became of those before. Ends with the plain line
// `N passed, N failed, N skipped` and with status 1 if anything failed. `npm test -- NAME ...` runs the suites so named.
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';

import { run, runInstalled } from './commands.mjs';
import { build, node, root } from './paths.mjs';

const reports = join(build, 'reports');
/** Worlds of the crash simulator: as many as the promise names. */
const simulatedSeeds = 10_000;
/** And of each theme so many: up to the highest of which a defect was found, where one world is like another to this day. */
const themedSeeds = { 'failing-syncs': 1_500, 'short-journal': 1_500, 'lost-hosts': 400 };
/** And for so long, on every processor, worlds that nobody has seen before. */
const freshSeconds = 120;
/** Operations in the longest of the sequences that are all tried. */
const exhaustiveDepth = 3;

/** A suite is a name and what runs it; `run` resolves with counts. A check counts only when it fails. */
const suites = [
  { name: 'lint', run: () => check(runInstalled('oxlint', ['--type-aware', '--deny-warnings'], { quiet: true })) },
  { name: 'format', run: () => check(runInstalled('biome', ['format', '--colors=off'], { quiet: true })) },
  { name: 'typecheck', run: () => check(runInstalled('tsc', ['--noEmit'], { quiet: true })) },
  { name: 'native', run: () => native([]) },
  { name: 'tsan', run: () => native(['--variant', 'tsan', '--threaded']) },
  { name: 'simulation', run: simulation },
  { name: 'fuzz', run: () => counted(node, [join(root, '.ci', 'fuzz.mjs')]) },
  { name: 'unit', run: () => vitest('unit') },
  { name: 'conformance', run: () => vitest('conformance') },
  { name: 'integration', run: () => vitest('integration') },
  { name: 'crash', run: () => vitest('crash') },
];

/** Of all suites those that only compute: done beside those after them, which wait for servers, disks and clocks, and giving way to them. */
const computing = ['simulation', 'fuzz'];

/** `--built`: by whoever runs these beside others. */
const isBuilt = process.argv.includes('--built');
const wanted = process.argv.slice(2).filter((word) => word !== '--built');
const unknown = wanted.filter((name) => !suites.some((suite) => suite.name === name));
if (unknown.length > 0) {
  console.error(`skerry: there is no suite ${unknown.join(', ')}; there are ${suites.map((suite) => suite.name).join(', ')}`);
  process.exit(2);
}

mkdirSync(reports, { recursive: true });
const total = { passed: 0, failed: 0, skipped: 0 };
/** What failed, said once more at the end: of a long run often no more than the end is at hand. */
const failures = [];
const failureLinesMax = 40;
if (!isBuilt) await timed('build', () => check(run(node, [join(root, '.ci', 'build.mjs')], { quiet: true })));
// What does not build would fail everywhere below, each time at length.
const toRun = total.failed > 0 ? [] : suites.filter((suite) => wanted.length === 0 || wanted.includes(suite.name));
const aside = toRun.length === suites.length ? computing : [];
const computed = new Map();
for (const { name, run } of toRun) {
  if (aside.includes(name)) computed.set(name, beside(name));
  else await timed(name, run);
}
for (const [name, counts] of computed) await timed(`${name}, to its end`, () => counts);
if (failures.length > 0) console.log(`== what failed\n${failures.join('\n')}`);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed === 0 ? 0 : 1;

async function timed(name, work) {
  console.log(`== ${name}`);
  const began = performance.now();
  const counts = await work();
  for (const key of Object.keys(total)) total[key] += counts[key];
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(`== ${name}: ${counts.failed > 0 ? 'FAILED' : 'ok'} in ${seconds} s (${describe(counts)})`);
}

function describe({ passed, failed, skipped }) {
  return `passed ${passed}, failed ${failed}, skipped ${skipped}`;
}

/** Keeps the end of what a program said of its failure. */
function remember(lines) {
  failures.push(...lines.slice(-failureLinesMax));
}

async function check(running) {
  const { status, output } = await running;
  if (status !== 0) {
    process.stdout.write(output);
    remember(output.trimEnd().split('\n'));
  }
  return { passed: 0, failed: status === 0 ? 0 : 1, skipped: 0 };
}

/** A program of ours whose last line is `N passed, N failed`. */
async function counted(command, args) {
  const { status, output } = await run(command, args, { quiet: true });
  const lines = output.trimEnd().split('\n');
  const counts = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/.exec(lines.at(-1) ?? '');
  const result = { passed: Number(counts?.[1] ?? 0), failed: Number(counts?.[2] ?? 0), skipped: Number(counts?.[3] ?? 0) };
  if (counts === null || (status !== 0 && result.failed === 0)) result.failed += 1;
  if (result.failed > 0) remember(lines.filter((line) => !line.startsWith('ok ')));
  // The closing line of a part would be taken for that of the whole.
  process.stdout.write(`${(counts === null ? lines : lines.slice(0, -1)).join('\n')}\n`);
  return result;
}

/** Its output is shown when it has ended. */
function beside(name) {
  return counted('nice', ['-n', '19', node, join(root, '.ci', 'test.mjs'), '--built', name]);
}

function native(args) {
  return counted(node, [join(root, '.ci', 'native_tests.mjs'), ...args]);
}

/** Runs the simulator on every processor, each with a part of the work; resolves with { status, output } of each. */
async function simulators(name, argsOf) {
  const parts = availableParallelism();
  return Promise.all(Array.from({ length: parts }, (_, part) => run(join(build, name), argsOf(part, parts), { quiet: true })));
}

/** One test: the worlds that the parts ran all held. */
async function worlds(argsOf) {
  const results = await simulators('simulate', argsOf);
  for (const { status, output } of results) {
    // What it did, then the outcome with its digest; a failure brings the smallest world that shows it, and names its seed.
    const lines = output.trimEnd().split('\n');
    process.stdout.write(`${(status === 0 ? lines.slice(-2) : lines).join('\n')}\n`);
    if (status !== 0) remember(lines);
  }
  const held = results.every(({ status }) => status === 0);
  return { passed: held ? 1 : 0, failed: held ? 0 : 1, skipped: 0 };
}

/** Every line that begins with the word is a test of one part; one that died before its last line has failed. */
async function shared(name, args, merge) {
  const results = await simulators(name, (part, parts) => [...args, '--part', `${part}/${parts}`]);
  const counts = results.map(({ status, output }) => {
    const lines = output.trimEnd().split('\n');
    const last = /^(\d+) passed, (\d+) failed$/.exec(lines.at(-1) ?? '');
    process.stdout.write(`${(last === null ? lines : lines.slice(0, -1)).join('\n')}\n`);
    const count = { passed: Number(last?.[1] ?? 0), failed: Number(last?.[2] ?? 0), skipped: 0 };
    if (last === null || (status !== 0 && count.failed === 0)) count.failed += 1;
    if (count.failed > 0) remember(lines);
    return count;
  });
  return merge(counts);
}

async function simulation() {
  const native = join(root, '.ci', 'native_tests.mjs');
  const built = await run(node, [native, '--variant', 'mutants'], { quiet: true });
  if (built.status !== 0) return check(Promise.resolve(built));
  // A world is one thread's, and no world knows of another: each processor takes a part of the seeds.
  const seeds =
    (count, ...more) =>
    (part, parts) => {
      const each = Math.ceil(count / parts);
      return ['--from', String(1 + part * each), '--seeds', String(each), ...more];
    };
  const fixed = await worlds(seeds(simulatedSeeds));
  const themed = [];
  for (const [theme, count] of Object.entries(themedSeeds)) themed.push(await worlds(seeds(count, '--theme', theme)));
  const base = Date.now() * 1000;
  console.log(`fresh seeds, from ${base} on: one that failed is repeated with npm run simulate -- --seed S`);
  const fresh = await worlds((part) => ['--from', String(base + part * 1_000_000_000_000), '--seconds', String(freshSeconds)]);
  // A depth that was shared among processors held where all parts of it did.
  const exhaustive = await shared('simulate', ['--exhaustive', '--depth', String(exhaustiveDepth)], (counts) => ({
    passed: Math.min(...counts.map(({ passed }) => passed)),
    failed: Math.max(...counts.map(({ failed }) => failed)),
    skipped: 0,
  }));
  const mutants = await shared('simulate_mutants', ['--mutants'], sum);
  return sum([fixed, ...themed, fresh, exhaustive, mutants]);
}

function sum(counts) {
  const add = (key) => counts.reduce((total, count) => total + count[key], 0);
  return { passed: add('passed'), failed: add('failed'), skipped: add('skipped') };
}

async function vitest(name) {
  if (!existsSync(join(root, 'test', name))) return { passed: 0, failed: 0, skipped: 0 };
  const report = join(reports, `${name}.json`);
  rmSync(report, { force: true });
  const args = ['run', '--project', name, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const { status } = await runInstalled('vitest', args);
  if (!existsSync(report)) return { passed: 0, failed: 1, skipped: 0 };
  const result = JSON.parse(readFileSync(report, 'utf8'));
  const counts = {
    passed: result.numPassedTests,
    failed: result.numFailedTests,
    skipped: result.numPendingTests + result.numTodoTests,
  };
  for (const file of result.testResults) {
    const failed = file.assertionResults.filter((test) => test.status === 'failed');
    for (const test of failed) remember([`${relative(root, file.name)}: ${test.fullName}`, ...test.failureMessages]);
    if (failed.length === 0 && file.status === 'failed') remember([`${relative(root, file.name)}: ${file.message}`]);
  }
  // A file that cannot even be loaded has no failed test, and has failed.
  if (status !== 0 && counts.failed === 0) counts.failed = Math.max(1, result.numFailedTestSuites ?? 1);
  return counts;
}
