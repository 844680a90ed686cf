// Builds native/tests/*_test.cc (each one executable) and the simulator over one static library of the engine, then runs
// the tests. --variant plain|asan|tsan: plain takes the very objects that the addon is linked of. --build-only, --only TEXT
// (executables whose name contains it), --threaded (those that run threads), --verbose. The last line is `N passed, N failed`.
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';

import { buildAddon } from './build.mjs';
import { inParallel, must, run } from './commands.mjs';
import {
  engineSources,
  includeDirectories,
  reaches,
  runsThreads,
  simulationMain,
  simulationSources,
  testSources,
} from './native_sources.mjs';
import { compileInto, isOlder, keepFor, objectIn } from './objects.mjs';
import { build, node } from './paths.mjs';

const { values } = parseArgs({
  options: {
    variant: { type: 'string', default: 'plain' },
    'build-only': { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    threaded: { type: 'boolean', default: false },
    'simulator-only': { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
});

const variants = {
  plain: { flags: ['-O2'], env: {} },
  asan: {
    // The checks that the sanitizers weave in make GCC take what is set for what may not be; the plain build asks for that.
    flags: [
      '-O1',
      '-fno-omit-frame-pointer',
      '-fsanitize=address,undefined',
      '-fno-sanitize-recover=all',
      '-Wno-maybe-uninitialized',
    ],
    env: { ASAN_OPTIONS: 'detect_leaks=1:strict_string_checks=1', UBSAN_OPTIONS: 'print_stacktrace=1' },
  },
  // The simulator with bugs sown in the engine: what does not know of them is taken from the plain build.
  mutants: { flags: ['-O2', '-DSKERRY_MUTANTS'], env: {}, sown: true },
  tsan: { flags: ['-O1', '-fsanitize=thread', '-Wno-tsan'], env: { TSAN_OPTIONS: 'halt_on_error=1:second_deadlock_stack=1' } },
};
const variant = variants[values.variant];
if (variant === undefined) {
  console.error(`skerry: --variant is one of ${Object.keys(variants).join(', ')}`);
  process.exit(2);
}

const directory = join(build, 'tests', values.variant);
const compiler = process.env.CXX ?? 'g++';
/** Lines and names of functions are what a trace needs; all of the rest costs a quarter of the time to compile. */
const flags = ['-std=c++20', '-Wall', '-Wextra', '-Werror', '-g1', '-pthread', ...variant.flags];
const includes = [`-I${includeDirectories.xxhash()}`, `-isystem${includeDirectories.node()}`];
const libraries = ['-l:libssl.so.3', '-l:libcrypto.so.3', '-llz4', '-lzstd', '-lrt', '-pthread'];
const compilers = 2;
const testsAtOnce = 2;
/** Of the tests, under every variant. */
const longest = 'store_test';

const engine = new Set(engineSources());
/** What is tried is what is shipped, not only the same sources. */
const shipped = values.variant === 'plain';

const failures = [];
const binaries = [];

if (variant.sown) {
  await must('building the simulator', run(node, [import.meta.filename, '--simulator-only'], { quiet: true }));
}
await compileAll();
if (failures.length > 0) {
  for (const failure of failures) process.stderr.write(failure);
  console.log(`0 passed, ${failures.length} failed`);
  process.exit(1);
}
if (!values['build-only'] && !values['simulator-only'] && !variant.sown) await runAll();

async function compileAll() {
  keepFor(directory, [compiler, ...flags, ...includes]);
  const library = join(directory, 'libskerry.a');
  const ofEngine = [...engine].filter(isOfVariant);
  const simulation = simulationSources().filter(isOfVariant);
  const alone = values['simulator-only'] || variant.sown;
  const named = testSources().filter((path) => basename(path).includes(values.only));
  const tests = alone ? [] : values.threaded ? named.filter(runsThreads) : named;
  const main = simulationMain();
  const mains = main === undefined || values.only !== '' || values.threaded ? tests : [...tests, main];
  if (shipped) await buildAddon();
  await inParallel([...(shipped ? [] : ofEngine), ...simulation, ...mains], compilers, compile);
  if (failures.length > 0) return;
  // The simulated world is used by its main and by tests; both libraries name each other, so one archive holds both.
  const objects = [...ofEngine, ...simulation].map(objectOf);
  const members = objects.join('\n');
  const membersPath = join(directory, '.members');
  const sameMembers = existsSync(membersPath) && readFileSync(membersPath, 'utf8') === members;
  if (objects.length > 0 && (!sameMembers || isOlder(library, objects))) {
    rmSync(library, { force: true });
    await step(`archive of the engine`, run('ar', ['rcs', library, ...objects], { quiet: true }));
    writeFileSync(membersPath, members);
  }
  await inParallel(mains, compilers, async (source) => {
    const name = source === main ? 'simulate' : basename(source, '.cc');
    const output = source === main ? simulatorPath(name) : join(directory, name);
    if (source !== main) binaries.push({ name, output });
    // What is sown is linked whole: from an archive the linker might pass it over for its like in the plain build's.
    const parts = variant.sown ? [...objects, join(build, 'tests', 'plain', 'libskerry.a')] : [library];
    const inputs = objects.length > 0 ? [objectOf(source), ...parts] : [objectOf(source)];
    if (!isOlder(output, inputs)) return;
    const partial = `${output}.new`;
    if (
      await step(
        `linking ${name}`,
        run(compiler, [...variant.flags, '-g1', '-o', partial, ...inputs, ...libraries], { quiet: true }),
      )
    ) {
      renameSync(partial, output);
    }
  });
  binaries.sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function compile(source) {
  const object = objectOf(source);
  await step(`compiling ${source}`, compileInto(object, source, compiler, [...flags, ...includes]));
}

async function step(what, running) {
  const { status, output } = await running;
  if (status !== 0) failures.push(`${output}skerry: ${what} failed\n`);
  return status === 0;
}

async function runAll() {
  let passed = 0;
  let failed = 0;
  // Each has its own files and memory; the longest is begun first, else it would be waited for alone at the end.
  const ordered = [...binaries].sort((a, b) => Number(b.name === longest) - Number(a.name === longest));
  await inParallel(ordered, testsAtOnce, async ({ name, output }) => {
    const began = performance.now();
    const result = await run(output, [], { env: variant.env, quiet: true });
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const counts = /^(\d+) passed, (\d+) failed$/m.exec(result.output.trimEnd().split('\n').at(-1) ?? '');
    const tests = { passed: Number(counts?.[1] ?? 0), failed: Number(counts?.[2] ?? 0) };
    // One that died before its last line has failed, whatever it said before.
    if (counts === null || (result.status !== 0 && tests.failed === 0)) tests.failed += 1;
    passed += tests.passed;
    failed += tests.failed;
    if (tests.failed > 0 || values.verbose) process.stdout.write(result.output);
    console.log(`${tests.failed > 0 ? 'FAILED' : 'ok'} ${name}: ${tests.passed} passed, ${tests.failed} failed (${seconds} s)`);
  });
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

function simulatorPath(name) {
  if (variant.sown) return join(build, `${name}_mutants`);
  return values.variant === 'plain' ? join(build, name) : join(directory, name);
}

/** Whether this variant compiles the source itself: where bugs are sown, only what includes the header that names them. */
function isOfVariant(source) {
  return !variant.sown || reaches(source, 'native/env/mutants.h');
}

function objectOf(source) {
  if (shipped && engine.has(source)) return join(build, 'Release', 'obj.target', 'skerry', source.replace(/\.cc$/, '.o'));
  return objectIn(directory, source);
}
