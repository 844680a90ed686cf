// Fuzzes the decoders: compiles native/fuzz/*_fuzz.cc with clang's libFuzzer under ASan and UBSan, replays the committed inputs
// of each target (native/fuzz/corpus/NAME), then lets it look for new ones. --seconds N each (60), --only TEXT (the target of
// this name, else those whose name contains it), --replay (no search), --input PATH (one input, with --only), --grow (take what was
// found into the corpus, minimized). The last line is `N passed, N failed`: of each target the replay is one test, the search another.
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { parseArgs } from 'node:util';

import { findClang } from './clang.mjs';
import { inParallel, run } from './commands.mjs';
import { fuzzSources, fuzzedSources, includeDirectories } from './native_sources.mjs';
import { compileInto, isOlder, keepFor, objectIn } from './objects.mjs';
import { build, root } from './paths.mjs';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    only: { type: 'string', default: '' },
    replay: { type: 'boolean', default: false },
    grow: { type: 'boolean', default: false },
    input: { type: 'string' },
  },
});
const seconds = Number(values.seconds);
if (!Number.isInteger(seconds) || seconds < 1) {
  console.error('skerry: --seconds is a whole number, at least 1');
  process.exit(2);
}

const directory = join(build, 'tests', 'fuzz');
const found = join(build, 'fuzz_crashes');
const width = 2;
const memoryMebibytesMax = 2048;
const inputBytesMax = 70_000;
/** Of an input in the corpus. */
const keptBytesMax = 17_000;
const inputSecondsMax = 20;
const clang = findClang();
if (clang === null) {
  // Where every tool must be, a check that did not run has failed.
  const mustRun = process.env.CI !== undefined && process.env.CI !== '';
  console.log('skipped: there is no clang with libFuzzer (Debian: apt-get install clang libclang-rt-14-dev)');
  console.log(mustRun ? '0 passed, 1 failed' : '0 passed, 0 failed, 1 skipped');
  process.exit(mustRun ? 1 : 0);
}
const sanitizers = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
const flags = ['-std=c++20', '-Wall', '-Wextra', '-Werror', '-gline-tables-only', '-pthread', '-fno-omit-frame-pointer'];
const fuzzed = ['-O1', ...sanitizers, '-fsanitize=fuzzer-no-link'];
/** The simulated machine is what inputs are tried on, not what is tried: ten times as fast. */
const trusted = ['-O2'];
const includes = [`-I${includeDirectories.xxhash()}`, `-isystem${includeDirectories.node()}`];
const libraries = ['-l:libssl.so.3', '-l:libcrypto.so.3', '-llz4', '-lzstd', '-lrt', '-pthread'];
const environment = {
  ASAN_OPTIONS: 'detect_leaks=1:strict_string_checks=1:allocator_may_return_null=0',
  UBSAN_OPTIONS: 'print_stacktrace=1',
};

const known = fuzzSources()
  .filter((path) => path.endsWith('_fuzz.cc'))
  .map((source) => ({ source, name: basename(source, '_fuzz.cc') }));
const exact = known.filter(({ name }) => name === values.only);
const targets = exact.length > 0 ? exact : known.filter(({ name }) => name.includes(values.only));
if (targets.length === 0) {
  console.error(`skerry: no target's name contains ${values.only}`);
  process.exit(2);
}
let passed = 0;
let failed = 0;

const compiled = await compileAll();
if (!compiled) {
  console.log('0 passed, 1 failed');
  process.exit(1);
}
mkdirSync(found, { recursive: true });
if (values.input !== undefined) {
  if (targets.length !== 1) {
    console.error(
      `skerry: --input is for one target, and --only ${values.only} means ${targets.map(({ name }) => name).join(', ')}`,
    );
    process.exit(2);
  }
  const { status } = await run(binaryOf(targets[0]), [values.input], { env: environment });
  process.exit(status === 0 ? 0 : 1);
}
await inParallel(targets, width, fuzz);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

async function fuzz(target) {
  mkdirSync(corpusOf(target), { recursive: true });
  if (values.grow) await seed(target);
  const replayed = await replay(target);
  count(replayed);
  // An input that is known to fail is not looked for again.
  if (replayed && !values.replay) count(await search(target));
  if (values.grow) await minimize(target);
}

function count(held) {
  if (held) passed += 1;
  else failed += 1;
}

/** The committed inputs, each once. What they are there to reach, they must reach. */
async function replay(target) {
  const inputs = readdirSync(corpusOf(target)).length;
  const result = await fuzzer(target, ['-runs=0', corpusOf(target)]);
  const unreached = [...result.output.matchAll(/^reached 0 times: (.*)$/gm)].map((match) => match[1]);
  const { coverage } = figures(result.output);
  if (result.status !== 0) return report(target, 'replay', result.output);
  if (unreached.length > 0 && !values.grow) {
    return report(target, 'replay', `no input of ${relative(root, corpusOf(target))} gets to: ${unreached.join('; ')}\n`);
  }
  console.log(`ok ${target.name}: ${inputs} inputs replayed, ${coverage} edges`);
  return true;
}

async function search(target) {
  const fresh = mkdtempSync(join(directory, `${target.name}-`));
  const limits = [`-max_total_time=${seconds}`, '-seed=1', `-max_len=${inputBytesMax}`];
  const result = await fuzzer(target, [...limits, fresh, corpusOf(target)]);
  if (values.grow) target.fresh = fresh;
  else rmSync(fresh, { recursive: true, force: true });
  if (result.status !== 0) return report(target, 'search', result.output);
  const { coverage, runs } = figures(result.output);
  console.log(`ok ${target.name}: ${runs} inputs tried in ${seconds} s, ${coverage} edges`);
  return true;
}

function report(target, what, output) {
  const input = /Test unit written to (\S+)/.exec(output)?.[1];
  process.stdout.write(`${output.split('\n').slice(-60).join('\n')}\nFAILED ${target.name}: ${what}\n`);
  if (input !== undefined) {
    console.log(`  the input is ${input}\n  once more: npm run fuzz -- --only ${target.name} --input ${input}`);
    console.log(`  when it is mended, keep the input in ${relative(root, corpusOf(target))}`);
  }
  return false;
}

function fuzzer(target, args) {
  const limits = [`-rss_limit_mb=${memoryMebibytesMax}`, `-timeout=${inputSecondsMax}`, '-print_final_stats=1'];
  return run(binaryOf(target), [...limits, `-artifact_prefix=${found}/${target.name}-`, ...args], {
    env: environment,
    quiet: true,
  });
}

function figures(output) {
  const coverage = Number([...output.matchAll(/ cov: (\d+)/g)].at(-1)?.[1] ?? 0);
  const runs = Number(/stat::number_of_executed_units: (\d+)/.exec(output)?.[1] ?? 0);
  return { coverage, runs };
}

/** What a target makes of golden files, beside what the corpus has. */
async function seed(target) {
  const { status, output } = await run(binaryOf(target), [], {
    env: { ...environment, SKERRY_FUZZ_SEEDS: corpusOf(target) },
    quiet: true,
  });
  if (status !== 0) throw new Error(`${output}\nno seeds for ${target.name}`);
}

async function minimize(target) {
  const least = mkdtempSync(join(directory, `${target.name}-`));
  const from = [corpusOf(target), ...(target.fresh === undefined ? [] : [target.fresh])];
  const { status, output } = await fuzzer(target, [
    '-set_cover_merge=1',
    '-use_counters=0',
    `-max_len=${keptBytesMax}`,
    least,
    ...from,
  ]);
  if (status !== 0) throw new Error(`${output}\nmerging ${target.name} failed`);
  rmSync(corpusOf(target), { recursive: true });
  mkdirSync(corpusOf(target), { recursive: true });
  for (const name of readdirSync(least)) renameSync(join(least, name), join(corpusOf(target), name));
  for (const path of [least, target.fresh]) if (path !== undefined) rmSync(path, { recursive: true, force: true });
  console.log(`${target.name}: ${readdirSync(corpusOf(target)).length} inputs kept`);
}

function corpusOf(target) {
  return join(root, 'native', 'fuzz', 'corpus', target.name);
}
function binaryOf(target) {
  return join(directory, `${target.name}_fuzz`);
}

async function compileAll() {
  keepFor(directory, [clang, ...flags, ...fuzzed, ...trusted, ...includes]);
  const engine = fuzzedSources();
  const shared = fuzzSources().filter((path) => !path.endsWith('_fuzz.cc'));
  const wanted = [...targets.map(({ source }) => source), ...shared, ...engine];
  const results = [];
  await inParallel(wanted, width, async (source) => results.push(await compile(source)));
  if (results.includes(false)) return false;
  const library = [...shared, ...engine].map(objectOf);
  const archive = join(directory, 'libdecoders.a');
  if (isOlder(archive, library)) {
    rmSync(archive, { force: true });
    if (!(await step('the archive of the decoders', run('ar', ['rcs', archive, ...library], { quiet: true })))) return false;
  }
  const linked = [];
  await inParallel(targets, width, async (target) => {
    const inputs = [objectOf(target.source), ...shared.map(objectOf), archive];
    if (!isOlder(binaryOf(target), inputs)) return;
    const args = ['-fsanitize=fuzzer', ...sanitizers, '-o', binaryOf(target), ...inputs, ...libraries];
    linked.push(await step(`linking ${target.name}`, run(clang, args, { quiet: true })));
  });
  return !linked.includes(false);
}

async function compile(source) {
  const own = source.startsWith('native/simulation/') ? trusted : fuzzed;
  return step(`compiling ${source}`, compileInto(objectOf(source), source, clang, [...flags, ...own, ...includes]));
}

async function step(what, running) {
  const { status, output } = await running;
  if (status !== 0) process.stdout.write(`${output}skerry: ${what} failed\n`);
  return status === 0;
}

function objectOf(source) {
  return objectIn(directory, source);
}
