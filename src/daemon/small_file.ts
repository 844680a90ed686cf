/** A small file that an operator names: a certificate, a key, a secret. */
import { open } from 'node:fs/promises';

import { SkerryError, toSkerryError } from '../core/errors.js';

const file_bytes_max = 1 << 20;
/** Of a key: anything for others than owner and group, and writing for the group. ssl-cert and its like read keys as a group. */
export const loose_mode = 0o027;

/** `looseMode`: bits that its mode may not have. `stamp` differs where the file may. @throws SkerryError that names the file */
export async function readSmall(
  path: string,
  what: string,
  looseMode = 0,
): Promise<{ readonly stamp: string; readonly text: string }> {
  try {
    const file = await open(path, 'r');
    try {
      const { dev, ino, size, mtimeNs, mode } = await file.stat({ bigint: true });
      if ((Number(mode) & looseMode) !== 0) {
        const shown = (Number(mode) & 0o777).toString(8).padStart(4, '0');
        throw new SkerryError(
          'invalid',
          `${what} ${path} has mode ${shown}, so that others may get at it: do chmod 0600, or 0640 for a group that may read it`,
        );
      }
      if (size > file_bytes_max) throw new SkerryError('invalid', `${what} ${path} is too long to be one`);
      return { stamp: [dev, ino, size, mtimeNs].join(':'), text: await file.readFile('utf8') };
    } finally {
      await file.close();
    }
  } catch (error) {
    throw toSkerryError(error, `${what} ${path} cannot be read`);
  }
}
