/** Compressed streams made plain, part by part: nothing of them is ever held whole, in memory or on disk. */
import { Readable, type Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';

import { SkerryError } from '../../core/errors.js';
import type { ImportFormat } from '../../core/image_formats.js';
import { ended, tailOf, type LimitedPrograms } from './limited_process.js';
import { ZstdCheck } from './zstd_frames.js';

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
      return through(source, [createGunzip({ chunkSize: part_bytes })], about.name);
    case 'zstd':
      return through(source, [new ZstdCheck(), createZstdDecompress({ chunkSize: part_bytes })], about.name);
    case 'xz':
      return unxz(source, about.name, about.programs);
  }
}

async function* through(source: Parts, steps: readonly [...Duplex[], Duplex], name: string): PartsGenerator {
  const last = steps.at(-1) as Duplex;
  // What the source failed with is told as it is; all other failures are of what it holds.
  let failure: { readonly error: unknown } | null = null;
  const watched = watch(source, (error) => {
    failure = { error };
  });
  const flow = pipeline([Readable.from(watched, { objectMode: true, highWaterMark: 2 }), ...steps]);
  flow.catch(() => {});
  try {
    yield* last as AsyncIterable<Uint8Array>;
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
  return new SkerryError('invalid', `${name} cannot be unpacked, it is damaged or cut off: ${message}`, { cause: error });
}
