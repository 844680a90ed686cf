/** A few NBD requests, one after the other over one connection, and how each ended. */
import { join } from 'node:path';

import { must, packageRoot } from './command.ts';

export type Request =
  | readonly ['write' | 'write-fua' | 'read', offset: number, length: number, byte: number]
  | readonly ['zero' | 'trim', offset: number, length: number]
  | readonly ['flush'];

/** `ok`, the name of an error as `EIO`, or `differs` for a read of other bytes than `byte`. */
export async function requests(uri: string, list: readonly Request[]): Promise<readonly string[]> {
  const script = join(packageRoot, 'test', 'harness', 'requests.py');
  return JSON.parse(await must('/usr/bin/python3', [script, uri, JSON.stringify(list)], { timeoutSeconds: 120 })) as string[];
}
