// Builds build/Release/skerry.node with the bindings of drivers beside it, and dist/, each only when its sources changed. --addon or --typescript: that one alone.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { must, run, runInstalled } from './commands.mjs';
import { buildableAddons, sourcesOf } from './driver_addons.mjs';
import { nativeFiles } from './native_sources.mjs';
import { build, node, nodeDirectory, root } from './paths.mjs';

const addon = join(build, 'Release', 'skerry.node');
const stampPath = join(build, 'Release', '.skerry_sources');

export async function buildAddon() {
  const hash = createHash('sha256');
  const sources = nativeFiles('.cc', '.h').filter(
    (path) => !path.startsWith('native/tests/') && !path.startsWith('native/simulation/'),
  );
  const bindings = buildableAddons();
  const ofDrivers = ['drivers/native/operation.h', ...bindings.flatMap((addon) => sourcesOf(addon, '.cc', '.h'))];
  for (const path of ['binding.gyp', 'package-lock.json', ...sources, ...ofDrivers])
    hash.update(`${path}\n`).update(readFileSync(join(root, path)));
  const wanted = hash.digest('hex');
  if (existsSync(addon) && existsSync(stampPath) && readFileSync(stampPath, 'utf8') === wanted) return;
  console.error('skerry: building the engine');
  const nodedir = nodeDirectory();
  // npm's own settings may name the headers of another node.
  const env = { npm_config_nodedir: nodedir, npm_package_config_node_gyp_nodedir: nodedir };
  const args = ['configure', 'build', '--release', '-j', '2', `--nodedir=${nodedir}`, '--loglevel=error'];
  await must('building the engine', runInstalled('node-gyp', args, { env, quiet: true }));
  // A symbol that no source defines shows only when the addon is loaded.
  const built = [addon, ...bindings.map(({ driver }) => join(build, 'Release', `${driver}_bindings.node`))];
  for (const path of built)
    await must(`loading ${basename(path)}`, run(node, ['--eval', `require(${JSON.stringify(path)})`], { quiet: true }));
  mkdirSync(join(build, 'Release'), { recursive: true });
  writeFileSync(stampPath, wanted);
}

export async function buildTypescript() {
  await must('compiling TypeScript', runInstalled('tsc', ['-p', 'tsconfig.build.json'], { quiet: true }));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const only = process.argv.slice(2);
  if (only.length === 0 || only.includes('--addon')) await buildAddon();
  if (only.length === 0 || only.includes('--typescript')) await buildTypescript();
}
