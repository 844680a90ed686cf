/**
 * Rings in shared memory that no daemon here uses. None of another is ever removed: a ring may hold the acknowledged writes of a daemon that was
 * killed, and that its data directory cannot be seen (unmounted, another container) does not mean that it is gone. They are named.
 */
import { closeSync, existsSync, fstatSync, openSync, rmSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

const sharedMemory = '/dev/shm';
const ringName = /^skerry-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

export interface LeftRing {
  readonly path: string;
  readonly bytes: number;
}

/** The data directory's uuid that a ring is called by; null for a name that is no ring's. */
export function ringUuid(name: string): string | null {
  return ringName.exec(name)?.[1] ?? null;
}

/** Of this user, but for `own`; those that a process which can be seen has mapped are in use. */
export async function leftRings(own: string, directory = sharedMemory): Promise<readonly LeftRing[]> {
  const names = (await readdir(directory)).filter((name) => ringName.test(name) && name !== own);
  if (names.length === 0) return [];
  const mapped = await mappedRings(directory);
  const left: LeftRing[] = [];
  for (const name of names) {
    const path = join(directory, name);
    const found = await stat(path).catch(() => null);
    if (found !== null && found.uid === process.geteuid?.() && !mapped.has(path)) left.push({ path, bytes: found.size });
  }
  return left;
}

/**
 * The ring of this daemon. It stays, but for one case that is certain: the data directory was removed while the daemon ran. Its lock
 * file, which we hold open, has no name left then; that of a directory which was moved or unmounted keeps its own.
 */
export class OwnRing {
  readonly #dataDirectory: string;
  readonly #path: string;
  readonly #lock: number;

  constructor(dataDirectory: string, name: string, directory = sharedMemory) {
    this.#dataDirectory = dataDirectory;
    this.#path = join(directory, name);
    this.#lock = openSync(join(dataDirectory, 'lock'), 'r');
  }

  /** After the engine ended, once. True where the ring was removed. */
  close(): boolean {
    const removed = fstatSync(this.#lock).nlink === 0 && !existsSync(this.#dataDirectory);
    closeSync(this.#lock);
    if (removed) rmSync(this.#path, { force: true });
    return removed;
  }
}

async function mappedRings(directory: string): Promise<ReadonlySet<string>> {
  const mapped = new Set<string>();
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    // Another user's process, or one that has just ended, tells nothing.
    const maps = await readFile(`/proc/${pid}/maps`, 'utf8').catch(() => '');
    if (!maps.includes(`${directory}/skerry-`)) continue;
    for (const line of maps.split('\n')) {
      const at = line.indexOf(`${directory}/skerry-`);
      if (at !== -1) mapped.add(line.slice(at));
    }
  }
  return mapped;
}
