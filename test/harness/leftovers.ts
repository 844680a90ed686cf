/**
 * What daemons of tests leave when nobody is there any more to destroy them, as where a test ran out of time: processes, data
 * directories, and rings in shared memory, which stay after a daemon that was killed for that is what they are for. Each is written
 * down when it is made and removed when the run of tests ends; nothing else is, for daemons of others may be at work on this machine.
 */
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Names the file, for the processes that tests run in. */
const variable = 'SKERRY_TEST_LEFTOVERS';
const sharedMemory = '/dev/shm';

export function noteDirectory(directory: string): void {
  note('directory', directory);
}

export function noteRing(name: string): void {
  note('ring', name);
}

/** The name of the ring that a data directory goes on with (docs/formats/home.md); null where it was not served yet, or is a copy of another. */
export function ringOf(directory: string): string | null {
  try {
    const [line = ''] = readFileSync(join(directory, 'home'), 'utf8').split('\n');
    const { path, ring } = JSON.parse(line) as { readonly path: string; readonly ring: string };
    return path === realpathSync(directory) ? `skerry-${ring}` : null;
  } catch {
    return null; // or damaged by the test
  }
}

export function removeRing(name: string): void {
  rmSync(join(sharedMemory, name), { force: true });
}

/** Of vitest: begins a run, and returns what ends it. */
export function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'skerry-run-'));
  const file = join(folder, 'leftovers');
  appendFileSync(file, '');
  process.env[variable] = file;
  return () => {
    const made = readFileSync(file, 'utf8')
      .split('\n')
      .map((line) => line.split('\t'));
    for (const [kind, name = ''] of made) if (kind === 'directory') removeDirectory(name);
    for (const [kind, name = ''] of made) if (kind === 'ring') removeRing(name);
    rmSync(folder, { recursive: true, force: true });
  };
}

function note(kind: 'directory' | 'ring', name: string): void {
  const file = process.env[variable];
  if (file !== undefined) appendFileSync(file, `${kind}\t${name}\n`);
}

function removeDirectory(directory: string): void {
  for (const pid of daemonsOf(directory)) process.kill(pid, 'SIGKILL');
  const ring = ringOf(directory);
  if (ring !== null) removeRing(ring);
  // One that a test chose itself may be anywhere.
  if (!directory.startsWith(`${tmpdir()}/skerry-`)) return;
  rmSync(directory, { recursive: true, force: true });
  rmSync(`${directory}.json`, { force: true });
}

/** Processes that serve it. */
function daemonsOf(directory: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        const words = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
        return words.includes('serve') && words[words.indexOf('--data') + 1] === directory;
      } catch {
        return false; // ended meanwhile
      }
    })
    .map(Number);
}
