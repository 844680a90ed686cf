// Where things are, for the scripts beside this file. Plain node >= 20: the first of them runs before node_modules exists.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const modules = join(root, 'node_modules');
export const build = join(root, 'build');

/** The node that the lockfile names, with whose headers the addon is built and under which everything runs. */
export const node = join(modules, 'node', 'bin', 'node');

/** The directory that holds include/node of that node. */
export function nodeDirectory() {
  const name = `node-${process.platform}-${process.arch}`;
  const candidates = [join(modules, 'node', 'node_modules', name), join(modules, name), join(modules, 'node')];
  const found = candidates.find((directory) => existsSync(join(directory, 'include', 'node', 'node_api.h')));
  if (found === undefined) throw new Error(`the headers of node are in none of ${candidates.join(', ')}: run npm ci`);
  return found;
}
