/** A stream of a disk's bytes, written where it belongs: zeroes are found and left out, and its end says how long it was. */
import { SkerryError } from '../../core/errors.js';
import { block_bytes } from '../../core/limits.js';
import { formatSize } from '../../core/sizes.js';
import type { Parts } from './decompress.js';

/** Whole blocks, so that they keep their place in the pool however the stream is cut. */
const part_bytes = 1 << 20;
const zeroes = Buffer.alloc(block_bytes);

export interface StreamTarget {
  /** `data` may be used again once it resolves. */
  write(offset: number, data: Uint8Array): Promise<void>;
}

export interface StreamCopyOptions {
  readonly name: string;
  readonly sizeBytesMax: number;
  /** Bytes that were written, in blocks that are not zero. */
  readonly onData: (bytes: number) => void;
}

/** @returns the bytes that came. @throws SkerryError too-large beyond sizeBytesMax, invalid for a stream of none. */
export async function copyStream(parts: Parts, target: StreamTarget, options: StreamCopyOptions): Promise<number> {
  const { name, sizeBytesMax, onData } = options;
  // One is filled while the other is written.
  let [filling, writing] = [Buffer.alloc(part_bytes), Buffer.alloc(part_bytes)];
  let filled = 0;
  let offset = 0;
  let written: Promise<void> = Promise.resolve();
  const flush = async (): Promise<void> => {
    await written;
    [filling, writing] = [writing, filling];
    written = writeBlocks(target, offset, writing.subarray(0, filled), onData);
    // Looked at when the next part is full, or at the end.
    written.catch(() => {});
    offset += filled;
    filled = 0;
  };
  try {
    for await (const part of parts) {
      if (offset + filled + part.length > sizeBytesMax) {
        throw new SkerryError(
          'too-large',
          `${name} holds more than ${formatSize(sizeBytesMax)} (${sizeBytesMax} bytes), the most that was allowed`,
        );
      }
      for (let at = 0; at < part.length; ) {
        const taken = Math.min(part.length - at, part_bytes - filled);
        filling.set(part.subarray(at, at + taken), filled);
        filled += taken;
        at += taken;
        if (filled === part_bytes) await flush();
      }
    }
    if (filled > 0) await flush();
  } finally {
    // Whoever gives up what was written must not be overtaken by a write that is still under way.
    await written.catch(() => {});
  }
  await written;
  if (offset === 0) throw new SkerryError('invalid', `${name} is empty`);
  return offset;
}

async function writeBlocks(
  target: StreamTarget,
  offset: number,
  data: Uint8Array,
  onData: (bytes: number) => void,
): Promise<void> {
  for (let at = 0; at < data.length; ) {
    let end = at;
    while (end < data.length && !isZero(data.subarray(end, end + block_bytes))) end = Math.min(end + block_bytes, data.length);
    if (end > at) {
      await target.write(offset + at, data.subarray(at, end));
      onData(end - at);
    }
    at = end + block_bytes;
  }
}

function isZero(block: Uint8Array): boolean {
  return zeroes.compare(block, 0, block.length, 0, block.length) === 0;
}

/** The first bytes of a stream, at least `bytes` unless it ends before, and the stream with them in it again. */
export async function peek(source: Parts, bytes: number): Promise<{ readonly head: Uint8Array; readonly parts: Parts }> {
  const rest = source[Symbol.asyncIterator]();
  const first: Uint8Array[] = [];
  let length = 0;
  while (length < bytes) {
    const next = await rest.next();
    if (next.done === true) break;
    first.push(next.value);
    length += next.value.length;
  }
  const all = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* first;
      for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
    } finally {
      await rest.return?.();
    }
  };
  return { head: Buffer.concat(first).subarray(0, bytes), parts: all() };
}
