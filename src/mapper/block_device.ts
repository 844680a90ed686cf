/** Block devices of this host as sources of imports: a logical volume, a partition, a loop device. */
import { readFile } from 'node:fs/promises';
import { SkerryError } from '../core/errors.js';

/** The kernel counts in these whatever the device's own sectors are. */
const sector_bytes = 512;

/** Its size, which stat does not tell. `rdev`: as stat gives it. @throws SkerryError unavailable */
export async function blockDeviceBytes(path: string, rdev: number): Promise<number> {
  const number = BigInt(rdev);
  // As glibc puts them together: twelve bits of the major and eight of the minor, the rest of the minor above them.
  const major = (number >> 8n) & 0xfffn;
  const minor = (number & 0xffn) | ((number >> 12n) & 0xf_ff00n);
  const told = `/sys/dev/block/${major}:${minor}/size`;
  const text = await readFile(told, 'latin1').catch((cause: unknown) => {
    throw new SkerryError('unavailable', `the size of the block device ${path} is not known: ${told} cannot be read`, { cause });
  });
  return Number(text.trim()) * sector_bytes;
}
