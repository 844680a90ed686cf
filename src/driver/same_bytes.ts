/** Whether a chunk that is there is the one that is to be put: its bytes are compared, for nothing else tells. */
import { SkerryError } from '../core/errors.js';
import type { ChunkKey } from './driver.js';

const compare_bytes = 1 << 20;

/**
 * `read`: bytes read into its buffer from an offset, short only at the end.
 * @throws SkerryError exists where the chunk has other bytes, or more of them
 */
export async function mustBeSame(
  key: ChunkKey,
  data: Uint8Array,
  read: (offset: number, into: Uint8Array) => Promise<number>,
): Promise<void> {
  // Room for a byte more than there should be, so that the last read tells whether there is.
  const buffer = Buffer.allocUnsafe(Math.min(compare_bytes, data.length + 1));
  for (let offset = 0; offset <= data.length; offset += buffer.length) {
    const part = data.subarray(offset, offset + buffer.length);
    const bytes = await read(offset, buffer);
    if (bytes !== part.length || Buffer.compare(buffer.subarray(0, bytes), part) !== 0)
      throw new SkerryError('exists', `chunk ${key} is there with other bytes`);
  }
}
