// Where clang with libFuzzer is: under its own name, or under that of a version.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const names = ['clang++', ...Array.from({ length: 12 }, (_, i) => `clang++-${25 - i}`)];

/** Name of a clang++ that has libFuzzer; null where there is none. */
export function findClang() {
  return names.find(hasFuzzer) ?? null;
}

function hasFuzzer(name) {
  const asked = spawnSync(name, ['-print-file-name=libclang_rt.fuzzer-x86_64.a'], { encoding: 'utf8' });
  if (asked.status !== 0) return false;
  if (existsSync(asked.stdout.trim())) return true;
  // Later packages name it without the architecture, in a folder of the target's.
  const resources = spawnSync(name, ['-print-runtime-dir'], { encoding: 'utf8' }).stdout?.trim() ?? '';
  return ['', '-x86_64', '-aarch64'].some((suffix) => existsSync(`${resources}/libclang_rt.fuzzer${suffix}.a`));
}
