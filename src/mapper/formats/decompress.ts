/** Compressed streams made plain, part by part: nothing of them is ever held whole, in memory or on disk. */
import { Readable, type Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';

import { SkerryError } from '../../core/errors.js';
import type { ImportFormat } from '../../core/image_formats.js';
import { ended, tailOf, type LimitedPrograms } from './limited_process.js';
import { ZstdFrames, type FramePart } from './zstd_frames.js';

export type Parts = AsyncIterable<Uint8Array>;

const part_bytes = 1 << 20;
/** What xz -9 packed wants 65 MiB. */
const xz_memory_bytes_max = 512 << 20;
const xz_limits = { memoryBytesMax: 1 << 30, fileBytesMax: 0, filesMax: 32 };

/** Whether `format` is of a stream that is read from its start to its end: raw, plain or compressed. */
export function isStreamFormat(format: ImportFormat): format is 'raw' | 'gzip' | 'xz' | 'zstd' {
  return format === 'raw' || format === 'gzip' || format === 'xz' || format === 'zstd';
}

/** @throws SkerryError invalid, while it is read, for what is damaged or cut off; `name` is what that calls it. */
export function decompressed(
  source: Parts,
  format: 'raw' | 'gzip' | 'xz' | 'zstd',
  about: { readonly name: string; readonly programs: LimitedPrograms },
): Parts {
  switch (format) {
    case 'raw':
      return source;
    case 'gzip':
      return gunzip(source, about.name);
    case 'zstd':
      return unzstd(source, about.name);
    case 'xz':
      return unxz(source, about.name, about.programs);
  }
}

async function* gunzip(source: Parts, name: string): PartsGenerator {
  const step = createGunzip({ chunkSize: part_bytes });
  // Zeroes may follow, as a tape leaves them; behind them it does not look any more.
  let [total, padding] = [0, 0];
  const counted = async function* (): PartsGenerator {
    for await (const part of source) {
      const zeroes = part.length - 1 - part.findLastIndex((byte) => byte !== 0);
      padding = zeroes === part.length ? padding + zeroes : zeroes;
      total += part.length;
      yield part;
    }
  };
  yield* through(counted(), step, name);
  if (total - padding > step.bytesWritten) throw failureOf(null, new Error('something else stands behind its end'), name);
}

/** Frame by frame. */
async function* unzstd(source: Parts, name: string): PartsGenerator {
  const frames = frameParts(source, name);
  try {
    let next = await frames.next();
    while (next.done !== true) {
      const { frame } = next.value;
      const own = async function* (): PartsGenerator {
        while (next.done !== true && next.value.frame === frame) {
          yield next.value.bytes;
          next = await frames.next();
        }
      };
      yield* through(own(), createZstdDecompress({ chunkSize: part_bytes }), name);
    }
  } finally {
    await frames.return();
  }
}

async function* frameParts(source: Parts, name: string): AsyncGenerator<FramePart, void, undefined> {
  const frames = new ZstdFrames();
  for await (const part of source) {
    try {
      yield* frames.walk(part);
    } catch (error) {
      throw failureOf(null, error, name);
    }
  }
  try {
    frames.end();
  } catch (error) {
    throw failureOf(null, error, name);
  }
}

/** All that `step` makes of the source. */
async function* through(source: Parts, step: Duplex, name: string): PartsGenerator {
  // What the source failed with is told as it is; all other failures are of what it holds.
  let failure: { readonly error: unknown } | null = null;
  const watched = watch(source, (error) => {
    failure = { error };
  });
  const flow = pipeline(Readable.from(watched, { objectMode: true, highWaterMark: 2 }), step);
  flow.catch(() => {});
  try {
    yield* step as AsyncIterable<Uint8Array>;
    await flow;
  } catch (error) {
    throw failureOf(failure, error, name);
  }
}

type PartsGenerator = AsyncGenerator<Uint8Array, void, undefined>;

async function* unxz(source: Parts, name: string, programs: LimitedPrograms): PartsGenerator {
  const args = ['--decompress', '--stdout', '--threads=1', `--memlimit-decompress=${xz_memory_bytes_max}`];
  const child = await programs.start('xz', args, xz_limits, 'xz streams are unpacked');
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new SkerryError('internal', 'xz was started without pipes');
  const end = ended(child);
  end.catch(() => {});
  const said = tailOf(child);
  let failure: { readonly error: unknown } | null = null;
  const fed = pipeline(
    watch(source, (error) => {
      failure = { error };
      child.kill('SIGKILL');
    }),
    stdin,
  );
  // That nobody takes the rest is told by how xz ended.
  fed.catch(() => {});
  try {
    yield* stdout as AsyncIterable<Uint8Array>;
    const status = await end;
    if (status !== 0) throw new Error(said().replace(/^.*xz: (?:\(stdin\): )?/, '') || `xz ended with ${status}`);
    await fed;
  } catch (error) {
    throw failureOf(failure, error, name);
  } finally {
    child.kill('SIGKILL');
  }
}

async function* watch(source: Parts, onFailure: (error: unknown) => void): PartsGenerator {
  try {
    yield* source;
  } catch (error) {
    onFailure(error);
    throw error;
  }
}

function failureOf(source: { readonly error: unknown } | null, error: unknown, name: string): unknown {
  if (source !== null) return source.error;
  if (error instanceof SkerryError)
    return new SkerryError(error.code, `${name} cannot be unpacked: ${error.message}`, { cause: error });
  const message = error instanceof Error ? error.message : String(error);
  return new SkerryError('corrupt', `${name} cannot be unpacked, it is damaged or cut off: ${message}`, { cause: error });
}
