/** Golden files: bytes of a format as they were first written, as lines of hexadecimal digits. They are never written anew. */
import { readFileSync } from 'node:fs';

/** `url` is relative to the test, as in new URL('golden/x.hex', import.meta.url). */
export function readGolden(url: URL): Uint8Array {
  return Uint8Array.from(Buffer.from(readFileSync(url, 'utf8').replaceAll(/\s+/g, ''), 'hex'));
}

export function hexLines(data: Uint8Array): string {
  return `${Buffer.from(data)
    .toString('hex')
    .replaceAll(/(.{64})(?=.)/g, '$1\n')}\n`;
}
