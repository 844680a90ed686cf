// Builds the bindings of drivers with address and undefined behaviour checked, and runs their conformance tests against the real
// servers on these. Words choose among the drivers. Asks neither for threads nor for memory: both are the sanitizer's here.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { inParallel, must, run, runInstalled } from './commands.mjs';
import { buildableAddons, sourcesOf } from './driver_addons.mjs';
import { includeDirectories } from './native_sources.mjs';
import { compileInto, isOlder, keepFor, objectIn } from './objects.mjs';
import { build } from './paths.mjs';

const libraries = { rados: '-lrados', gluster: '-lgfapi', nfs: '-lnfs' };
const directory = join(build, 'tests', 'bindings');
const compiler = process.env.CXX ?? 'g++';
const flags = [
  ...'-std=c++20 -Wall -Wextra -Werror -Wno-maybe-uninitialized -g -O1 -fno-omit-frame-pointer -pthread -fPIC'.split(' '),
  ...'-fsanitize=address,undefined -fno-sanitize-recover=all -fvisibility=hidden'.split(' '),
  ...'-DNAPI_VERSION=9 -DNAPI_DISABLE_CPP_EXCEPTIONS -DNODE_ADDON_API_DISABLE_DEPRECATED'.split(' '),
  ...'-DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS -D_FILE_OFFSET_BITS=64'.split(' '),
  `-isystem${includeDirectories.node()}`,
  `-isystem${includeDirectories['node-addon-api']()}`,
];
const compilers = 2;

const wanted = process.argv.slice(2);
const bindings = buildableAddons().filter(({ driver }) => wanted.length === 0 || wanted.includes(driver));
keepFor(directory, [compiler, ...flags]);
for (const binding of bindings) await buildBinding(binding);

const preloaded = [];
// The sanitizer looks for the functions that it stands before when the process starts; libgfapi has some of them from libtirpc, and comes later.
for (const library of ['libasan.so', 'libtirpc.so.3']) {
  const words = [`-print-file-name=${library}`];
  preloaded.push((await must(`looking for ${library}`, run(compiler, words, { quiet: true }))).trim());
}
const env = {
  SKERRY_BINDINGS: directory,
  // A name without a path is one that is not here.
  LD_PRELOAD: preloaded.filter((path) => path.startsWith('/')).join(':'),
  // What node and the libraries keep to their end is no leak of ours, and cannot be told from one.
  ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1:quarantine_size_mb=64',
  UBSAN_OPTIONS: 'print_stacktrace=1',
};
const tests = bindings.map(({ driver }) => `test/conformance/${driver}.test.ts`);
const notOfMemory = '^(?!.*(?:threads|memory))';
const { status } = await runInstalled('vitest', ['run', '--project', 'conformance', '-t', notOfMemory, ...tests], { env });
process.exitCode = status;

async function buildBinding({ driver }) {
  const objects = [];
  await inParallel(sourcesOf({ driver }, '.cc'), compilers, async (source) => {
    const object = objectIn(directory, source);
    objects.push(object);
    await must(`compiling ${source}`, compileInto(object, source, compiler, flags));
  });
  const output = join(directory, `${driver}_bindings.node`);
  mkdirSync(directory, { recursive: true });
  if (!isOlder(output, objects)) return;
  const words = ['-shared', '-pthread', '-fsanitize=address,undefined', '-o', output, ...objects.sort(), libraries[driver]];
  await must(`linking ${output}`, run(compiler, words, { quiet: true }));
}
