/**
 * `DATA/identity.key`: the secret that those of the catalog are wrapped under, so that a copied catalog alone gives nobody's
 * away (docs/formats/identity_key.md).
 */
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';

import { SkerryError, toSkerryError } from '../core/errors.js';

const version = 1;
const key_bytes = 32;
const content = z.object({ version: z.literal(version), key: z.string().regex(/^[0-9a-f]{64}$/) });
const anyVersion = z.object({ version: z.number().int() });

export function keyFileOf(dataDirectory: string): string {
  return join(dataDirectory, 'identity.key');
}

/** null where there is none. @throws SkerryError corrupt, unsupported for a newer version; what reading ends with */
export function readKeyFile(file: string): Uint8Array | null {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw toSkerryError(error, `${file} cannot be read`);
  }
  const [body = '', sum] = text.split('\n');
  const damaged = new SkerryError('corrupt', `${file} is damaged: put a copy of it back`);
  if (sumOf(body) !== sum) throw damaged;
  const value: unknown = JSON.parse(body);
  const written = anyVersion.safeParse(value);
  if (written.success && written.data.version > version)
    throw new SkerryError('unsupported', `${file} was written by a newer version of Skerry (format ${written.data.version})`);
  const read = content.safeParse(value);
  if (!read.success) throw damaged;
  return Uint8Array.from(Buffer.from(read.data.key, 'hex'));
}

/** A new key, durable before anything is wrapped under it. @throws SkerryError of the disk */
export function makeKeyFile(file: string): Uint8Array {
  const key = randomBytes(key_bytes);
  const fresh = `${file}.new`;
  try {
    writeFileSync(fresh, encodeKeyFile(key), { mode: 0o600, flush: true });
    renameSync(fresh, file);
    const directory = openSync(dirname(file), 'r');
    try {
      fsyncSync(directory);
    } finally {
      closeSync(directory);
    }
  } catch (error) {
    throw toSkerryError(error, `${file} cannot be written`);
  }
  return Uint8Array.from(key);
}

/** Exported for the golden file. */
export function encodeKeyFile(key: Uint8Array): string {
  const body = JSON.stringify({ version, key: Buffer.from(key).toString('hex') });
  return `${body}\n${sumOf(body)}\n`;
}

function sumOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
