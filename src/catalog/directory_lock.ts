/**
 * One daemon per data directory. The lock is the kernel's (flock): it ends with the process however that dies, holds
 * across containers, and never goes stale, as a pid file would. docs/decisions/0004-directory-lock.md tells more.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { SkerryError, toSkerryError } from '../core/errors.js';

export interface DirectoryLock {
  readonly path: string;
  /** Idempotent. The file stays: removing it would let two processes lock two files of one name. */
  release(): void;
}

/**
 * Locks `directory`, which is made where absent, for this process.
 * @throws SkerryError conflict naming the pid of who has it; denied and others where the directory cannot be used.
 */
export function lockDirectory(directory: string): DirectoryLock {
  const path = join(directory, 'lock');
  let descriptor: number;
  try {
    makeDirectory(directory);
    // Not truncated on opening: until the lock is ours, what it says is about somebody else.
    descriptor = openSync(path, 'a+', 0o600);
  } catch (error) {
    throw toSkerryError(error, `the data directory ${directory} cannot be used`);
  }
  // flock(1) locks the open file that it inherits and exits; the lock stays with our descriptor of the same open file.
  const result = spawnSync('flock', ['--exclusive', '--nonblock', '3'], {
    stdio: ['ignore', 'ignore', 'pipe', descriptor],
    encoding: 'utf8',
  });
  if (result.status !== 0) {
    const holder = readHolder(path);
    closeSync(descriptor);
    if (result.error !== undefined) throw toSkerryError(result.error, 'flock, of the package util-linux, cannot be run');
    if (result.status === 1 && result.stderr === '') {
      throw new SkerryError(
        'conflict',
        `the data directory ${directory} is in use by ${holder}: stop it, or choose another directory with --data`,
      );
    }
    throw new SkerryError('io', `the data directory ${directory} cannot be locked: ${result.stderr.trim() || 'flock failed'}`);
  }
  ftruncateSync(descriptor, 0);
  writeSync(descriptor, `${process.pid}\n`);
  let held = true;
  return {
    path,
    release() {
      if (!held) return;
      held = false;
      closeSync(descriptor);
    },
  };
}

/** Not mkdir's own recursion: where a directory takes no entries although it is there, as /proc, that tries for ever. */
function makeDirectory(path: string): void {
  if (existsSync(path)) {
    if (statSync(path).isDirectory()) return;
    throw new SkerryError(
      'invalid',
      `${path} is a file, and no data directory can be made of or below it: choose another with --data`,
    );
  }
  const parent = dirname(path);
  if (parent !== path) makeDirectory(parent);
  mkdirSync(path, { mode: 0o700 });
}

function readHolder(path: string): string {
  try {
    const pid = readFileSync(path, 'utf8').trim();
    if (/^\d+$/.test(pid)) return `the process with pid ${pid}`;
  } catch {
    // Whoever has it is named on a best effort only.
  }
  return 'another process';
}
