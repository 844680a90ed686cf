/** A disk image of another program that lies in the pool itself, as an object does: read as a file of this host is. */
import type { ImportFormat } from '../core/image_formats.js';
import type { NativeEngine } from '../engine/binding.js';
import type { ImageFile } from './formats/header.js';

const piece_bytes = 1 << 20;

export interface StoredFile {
  /** Resource id of what holds its bytes, and zeroes behind them up to a whole page. */
  readonly resource: number;
  readonly bytes: number;
  readonly name: string;
  readonly format: ImportFormat;
}

export function storedImageFile(engine: Pick<NativeEngine, 'read'>, { resource, bytes }: StoredFile): ImageFile {
  return {
    async read(buffer, offset, length, position) {
      const wanted = Math.min(length, Math.max(0, bytes - position));
      if (wanted > 0) buffer.set(await engine.read(resource, position, wanted), offset);
      return { buffer, bytesRead: wanted };
    },
    stat: async () => ({ size: bytes }),
  };
}

export async function* storedBytes(
  engine: Pick<NativeEngine, 'read'>,
  { resource, bytes }: StoredFile,
  onRead: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes; at += piece_bytes) {
    const length = Math.min(piece_bytes, bytes - at);
    const piece = await engine.read(resource, at, length);
    onRead(length);
    yield piece;
  }
}
