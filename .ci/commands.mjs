// Running other programs from the scripts beside this file.
import { spawn } from 'node:child_process';

import { root } from './paths.mjs';

/**
 * Resolves with { status, output }. `quiet` collects what the program says instead of showing it.
 * A signal counts as status 128, a program that cannot be started as 127.
 */
export function run(command, args, { env = {}, quiet = false, cwd = root } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', quiet ? 'pipe' : 'inherit', quiet ? 'pipe' : 'inherit'],
    });
    let output = '';
    child.stdout?.setEncoding('utf8').on('data', (text) => (output += text));
    child.stderr?.setEncoding('utf8').on('data', (text) => (output += text));
    child.on('error', (error) => resolve({ status: 127, output: `${output}${command}: ${error.message}\n` }));
    child.on('close', (status, signal) =>
      resolve({ status: status ?? 128, output: signal === null ? output : `${output}${command}: ${signal}\n` }),
    );
  });
}

/** Runs one of the programs that npm installed. */
export function runInstalled(name, args, options) {
  return run(`${root}/node_modules/.bin/${name}`, args, options);
}

/** As run, but ends this process with status 1 where the program fails, having shown what it said. */
export async function must(what, running) {
  const { status, output } = await running;
  if (status === 0) return output;
  process.stderr.write(output);
  process.stderr.write(`skerry: ${what} failed (status ${status})\n`);
  process.exit(1);
}

/** Runs `work` over items, at most `width` at a time. */
export async function inParallel(items, width, work) {
  const queue = [...items];
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
    }),
  );
}
