/**
 * Where the key of an encrypted pool comes from: a file, or what a program says. It is asked for at each start and at each change, held
 * for as long as it takes to unwrap the pool's secrets (pool_secrets.ts), and neither stored, nor logged, nor part of any message.
 */
import { execFile } from 'node:child_process';
import { open } from 'node:fs/promises';
import { isAbsolute } from 'node:path';

import { SkerryError, toSkerryError } from '../core/errors.js';

export const key_bytes = 32;
/** More than any form of a key takes. */
const answer_bytes_max = 1024;
const command_milliseconds_max = 30_000;

export interface KeySource {
  readonly kind: 'file' | 'command';
  /** An absolute path; or a program's absolute path and its arguments, with spaces between them. */
  readonly from: string;
}

/** @throws SkerryError invalid for what can be no source */
export function checkKeySource(source: KeySource): KeySource {
  const { kind, from } = source;
  if (from.length > 4096 || /[\0\n\r]/.test(from)) throw new SkerryError('invalid', `the key ${kind} cannot have this name`);
  if (!isAbsolute(from))
    throw new SkerryError('invalid', `the key ${kind} has to begin with an absolute path: the daemon looks for it`);
  // No shell reads it, so whoever wrote these meant something else than would happen.
  if (kind === 'command' && /["'\\$`|&;<>*?]/.test(from))
    throw new SkerryError(
      'invalid',
      'the key command is run without a shell, its words parted by spaces: for quotes, variables or pipes write a script and name that',
    );
  return source;
}

/**
 * The 32 bytes of the key. `strict`: as somebody chooses it now, so that a file which everybody may read is refused.
 * @throws SkerryError denied, with words that say what to do
 */
export async function readKey(source: KeySource, { strict = false } = {}): Promise<Uint8Array> {
  const answer = source.kind === 'file' ? await readKeyFile(source.from, strict) : await askKeyCommand(source.from);
  const key = parseKey(answer);
  answer.fill(0);
  if (key !== null) return key;
  throw new SkerryError(
    'denied',
    `${toldSource(source)} gives no key: a key is ${key_bytes} bytes, or ${key_bytes * 2} hexadecimal digits, as \`openssl rand -hex ${key_bytes}\` makes them`,
  );
}

/** For messages and views; of a command only the program, for its arguments may say more than they should. */
export function toldSource({ kind, from }: KeySource): string {
  return kind === 'file' ? `the key file ${from}` : `the key command ${from.split(' ')[0] ?? ''}`;
}

function parseKey(answer: Buffer): Uint8Array | null {
  if (answer.length === key_bytes) return Uint8Array.from(answer);
  const digits = /^([0-9a-fA-F]{64})\r?\n?$/.exec(answer.toString('latin1'))?.[1];
  return digits === undefined ? null : Uint8Array.from(Buffer.from(digits, 'hex'));
}

async function readKeyFile(path: string, strict: boolean): Promise<Buffer> {
  try {
    const file = await open(path, 'r');
    try {
      const { mode } = await file.stat();
      if (strict && (mode & 0o004) !== 0)
        throw new SkerryError('denied', `everybody on this host may read the key file ${path}: chmod 600 ${path}`);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(answer_bytes_max), 0, answer_bytes_max, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof SkerryError) throw cause;
    throw new SkerryError('denied', `the key file ${path} cannot be read: ${toSkerryError(cause).message}`, { cause });
  }
}

function askKeyCommand(command: string): Promise<Buffer> {
  const [program = '', ...words] = command.split(' ').filter((word) => word !== '');
  return new Promise((resolve, reject) => {
    const how = {
      encoding: 'buffer',
      timeout: command_milliseconds_max,
      killSignal: 'SIGKILL',
      maxBuffer: answer_bytes_max,
    } as const;
    const child = execFile(program, words, how, (error, stdout) => {
      if (error === null) return resolve(stdout);
      stdout.fill(0);
      // What execFile throws holds all that the program said, so it is no cause: nobody must be able to print it.
      const { code, killed } = error;
      const why =
        killed === true
          ? `it took more than ${command_milliseconds_max / 1000} seconds, or said too much`
          : `it ended with ${String(code)}`;
      return reject(new SkerryError('denied', `the key command ${program} gives no key: ${why}`));
    });
    child.stdin?.end();
  });
}
