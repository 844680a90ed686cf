/**
 * Where a data directory is at home: `DATA/home` has the path that it was last served at and the uuid that its ring is called by. So a
 * copy of a data directory is known for one, and gets a ring of its own. docs/formats/home.md, docs/decisions/0004-directory-lock.md.
 */
import { createHash, randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, realpathSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

import { SkerryError, toSkerryError } from '../core/errors.js';

const version = 1;
const content = z.object({ version: z.literal(version), path: z.string().min(1), ring: z.uuid() });
const anyVersion = z.object({ version: z.number().int() });

export interface Home {
  /** The uuid that the ring is called by. */
  readonly ring: string;
  /** Of the data directory that this one is a copy of; null: it is none. */
  readonly copyOf: string | null;
}

/**
 * Finds or makes the home of `dataDirectory`, which is locked. `ring` is the uuid that it has where it never had a home. One that is served
 * elsewhere than last time was moved and keeps its ring, unless the place it was at has one of the same ring still.
 * `admit` is asked before a copy is taken for one of its own, and throws where it must not be served.
 * @throws SkerryError corrupt where the file is damaged, unsupported where a newer version wrote it; what `admit` throws
 */
export function settle(dataDirectory: string, ring: string, admit: (copyOf: string) => void = () => {}): Home {
  const path = realpathSync(dataDirectory);
  const before = readHome(path);
  if (before?.path === path) return { ring: before.ring, copyOf: null };
  const copyOf = before !== null && isStillThere(before.path, path, before.ring) ? before.path : null;
  if (copyOf !== null) admit(copyOf);
  const home = { version, path, ring: copyOf === null ? (before?.ring ?? ring) : randomUUID() };
  writeHome(path, encodeHome(home));
  return { ring: home.ring, copyOf };
}

/** Which uuids a ring of `dataDirectory` may be called by. Changes nothing. */
export function mayBeRingOf(dataDirectory: string): (ring: string) => boolean {
  const path = realpathSync(dataDirectory);
  const home = readHome(path);
  if (home === null) return () => true;
  if (home.path !== path && isStillThere(home.path, path, home.ring)) return () => false;
  return (ring) => ring === home.ring;
}

function isStillThere(there: string, here: string, ring: string): boolean {
  try {
    const [a, b] = [statSync(there), statSync(here)];
    // One directory by two paths, as a mount may make them.
    return !(a.dev === b.dev && a.ino === b.ino) && readHome(there)?.ring === ring;
  } catch (error) {
    if (isAbsent(error)) return false;
    throw toSkerryError(error, `${here} was served at ${there} before, and that cannot be looked at`);
  }
}

/** Exported for the golden file. */
export function encodeHome(home: { readonly version: number; readonly path: string; readonly ring: string }): string {
  const text = JSON.stringify(home);
  return `${text}\n${sumOf(text)}\n`;
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}

function sumOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function readHome(directory: string): z.infer<typeof content> | null {
  const file = join(directory, 'home');
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (isAbsent(error)) return null;
    throw toSkerryError(error, `${file} cannot be read`);
  }
  const [body = '', sum] = text.split('\n');
  const damaged = new SkerryError(
    'corrupt',
    `${file} is damaged: put a copy of it back, or, where no other data directory of this host was copied from this one or to it, remove it`,
  );
  if (sumOf(body) !== sum) throw damaged;
  const value: unknown = JSON.parse(body);
  const written = anyVersion.safeParse(value);
  if (written.success && written.data.version > version) {
    throw new SkerryError('unsupported', `${file} was written by a newer version of Skerry (format ${written.data.version})`);
  }
  const read = content.safeParse(value);
  if (!read.success) throw damaged;
  return read.data;
}

/** Durable before any ring of that name is made. */
function writeHome(directory: string, text: string): void {
  const file = join(directory, 'home');
  const fresh = `${file}.new`;
  try {
    writeFileSync(fresh, text, { mode: 0o600, flush: true });
    renameSync(fresh, file);
    const descriptor = openSync(directory, 'r');
    try {
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw toSkerryError(error, `${file} cannot be written`);
  }
}
