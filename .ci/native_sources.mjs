// Which native sources belong to what, for binding.gyp and for the native tests: one answer for both.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

import { driverAddons, isBuildable, sourcesOf } from './driver_addons.mjs';
import { modules, nodeDirectory, root } from './paths.mjs';

/** Paths of the files under native/ with one of these endings, from the root, sorted. */
export function nativeFiles(...endings) {
  const found = [];
  const walk = (directory) => {
    for (const entry of readdirSync(join(root, directory), { withFileTypes: true })) {
      const path = `${directory}/${entry.name}`;
      if (entry.isDirectory()) walk(path);
      else if (endings.some((ending) => entry.name.endsWith(ending))) found.push(path);
    }
  };
  walk('native');
  return found.sort();
}

const text = (path) => readFileSync(join(root, path), 'utf8');
const isTest = (path) => path.startsWith('native/tests/');
const isSimulation = (path) => path.startsWith('native/simulation/');
const isFuzz = (path) => path.startsWith('native/fuzz/');
// Headers of the seam lie beside it: what includes one is of the seam too.
const isSeam = (path) => path.startsWith('native/addon') || /#include <(?:napi|node_api|js_native_api)\.h>/.test(text(path));
const hasMain = (path) => /^int main\(/m.test(text(path));

/** Everything that goes into skerry.node. */
export const addonSources = () => nativeFiles('.cc').filter((path) => !isTest(path) && !isSimulation(path) && !isFuzz(path));
/** The engine without the seam to node. */
export const engineSources = () => addonSources().filter((path) => !isSeam(path));
/** The simulated world, without the program around it: tests may use it too. */
export const simulationSources = () => nativeFiles('.cc').filter((path) => isSimulation(path) && !hasMain(path));
/** The one file with the simulator's main(), if there is one yet. */
export const simulationMain = () => nativeFiles('.cc').find((path) => isSimulation(path) && hasMain(path));
export const fuzzSources = () => nativeFiles('.cc').filter(isFuzz);
/** What fuzz targets link: decoders of formats, and the simulated machine that they read from. */
export const fuzzedSources = () =>
  nativeFiles('.cc').filter(
    (path) =>
      /^native\/(?:env|journal)\//.test(path) ||
      /^native\/blocks\/(?:block_id|cell|codec|footer_copies|frames|gone_packs|index_checkpoint|location_index|pack_footer|pack_handles|pack_scan|record_cipher|sha256_lanes)\.cc$/.test(
        path,
      ) ||
      /^native\/(?:map\/node|nbd\/request_parser|volume\/log_entry)\.cc$/.test(path) ||
      /^native\/simulation\/sim_(?!backend)/.test(path),
  );
export const testSources = () => nativeFiles('_test.cc').filter(isTest);

/** Whether a source, or a header that it reaches, includes this header; both from the root. */
export function reaches(source, header, seen = new Set()) {
  if (source === header) return true;
  if (seen.has(source)) return false;
  seen.add(source);
  const included = [...text(source).matchAll(/^#include "([^"]+)"/gm)].map(([, path]) => normalize(join(dirname(source), path)));
  // What is not there is a package's.
  return included.some((path) => existsSync(join(root, path)) && reaches(path, header, seen));
}

/** Whether a test has threads of its own, or the engine's and the sockets': what ThreadSanitizer has something to say about. */
export const runsThreads = (path) => /std::j?thread\b|"\.\.\/(?:engine|nbd)\//.test(text(path));

export const includeDirectories = {
  'node-addon-api': () => join(modules, 'node-addon-api'),
  xxhash: () => join(modules, 'xxhash-addon', 'xxHash'),
  node: () => join(nodeDirectory(), 'include', 'node'),
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [what, name] = process.argv.slice(2);
  if (what === 'addon') console.log(addonSources().join('\n'));
  else if (what === 'driver-is-buildable')
    console.log(driverAddons.some((addon) => addon.driver === name && isBuildable(addon)) ? 1 : 0);
  else if (what === 'driver')
    console.log(
      driverAddons
        .filter((addon) => addon.driver === name)
        .flatMap((addon) => sourcesOf(addon, '.cc'))
        .join('\n'),
    );
  else if (what === 'include' && Object.hasOwn(includeDirectories, name)) console.log(includeDirectories[name]());
  else process.exit(2);
}
