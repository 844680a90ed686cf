// Object files: compiled again only where their source, a header of it or the flags changed.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { run } from './commands.mjs';
import { root } from './paths.mjs';

/** What was built in `directory` with other words than these is thrown away. */
export function keepFor(directory, words) {
  const stamp = createHash('sha256').update(words.join(' ')).digest('hex');
  const stampPath = join(directory, '.flags');
  if (existsSync(stampPath) && readFileSync(stampPath, 'utf8') === stamp) return;
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  writeFileSync(stampPath, stamp);
}

export function objectIn(directory, source) {
  return join(directory, 'objects', source.replace(/\.cc$/, '.o'));
}

/** Compiles one source, unless its object is newer than all that it was made from. Its status and what it said. */
export async function compileInto(object, source, compiler, flags) {
  const dependencies = object.replace(/\.o$/, '.d');
  if (existsSync(dependencies) && !isOlder(object, readDependencies(dependencies))) return { status: 0, output: '' };
  mkdirSync(dirname(object), { recursive: true });
  rmSync(object, { force: true });
  return run(compiler, [...flags, '-MMD', '-MF', dependencies, '-c', source, '-o', object], { quiet: true });
}

/** True if `output` is absent, or older than one of `inputs`, or one of these is gone. */
export function isOlder(output, inputs) {
  if (!existsSync(output)) return true;
  const { mtimeMs } = statSync(output);
  return inputs.some((input) => {
    const path = input.startsWith('/') ? input : join(root, input);
    return !existsSync(path) || statSync(path).mtimeMs > mtimeMs;
  });
}

/** The files that a compiler's dependency file names. */
export function readDependencies(path) {
  const text = readFileSync(path, 'utf8').replace(/\\\n/g, ' ');
  return text
    .slice(text.indexOf(':') + 1)
    .trim()
    .split(/\s+/);
}
