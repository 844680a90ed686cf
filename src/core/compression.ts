/** How new blocks are stored: `none`, `lz4`, `zstd` or `zstd:LEVEL`; of a volume also `inherit`, which is what its pool does. */
import { SkerryError } from './errors.js';

export const zstd_level_default = 3;
export const zstd_level_max = 19;

export interface Compression {
  readonly codec: 'none' | 'lz4' | 'zstd';
  /** Of zstd: 1 to zstd_level_max; else 0. */
  readonly level: number;
}

export const compressionForms = `none, lz4, zstd or zstd:1 to zstd:${zstd_level_max}`;

/** null for what is none of these forms. */
export function parseCompression(text: string): Compression | null {
  const [, codec, level] = /^(none|lz4|zstd)(?::([1-9]\d?))?$/.exec(text) ?? [];
  if (codec === 'none' || codec === 'lz4') return level === undefined ? { codec, level: 0 } : null;
  if (codec !== 'zstd') return null;
  const of = level === undefined ? zstd_level_default : Number(level);
  return of <= zstd_level_max ? { codec, level: of } : null;
}

/** As it is kept and shown: one text for one meaning. @throws SkerryError invalid */
export function compressionText(text: string): string {
  const compression = parseCompression(text);
  if (compression === null)
    throw new SkerryError('invalid', `${JSON.stringify(text.slice(0, 40))} is no compression: take ${compressionForms}`);
  return compression.codec === 'zstd' ? `zstd:${compression.level}` : compression.codec;
}

/** The same for a volume's own. @throws SkerryError invalid */
export function volumeCompressionText(text: string): string {
  if (text === 'inherit') return text;
  if (parseCompression(text) === null)
    throw new SkerryError(
      'invalid',
      `${JSON.stringify(text.slice(0, 40))} is no compression of a volume: take inherit, ${compressionForms}`,
    );
  return compressionText(text);
}

/** As the engine takes it, of a text that was checked; null: as the pool does. */
export function compressionOf(text: string): Compression | null {
  return text === 'inherit' ? null : (parseCompression(text) ?? { codec: 'none', level: 0 });
}

/** Whether blocks may come to be stored in frames by it. */
export function compresses(text: string): boolean {
  return (compressionOf(text)?.codec ?? 'none') !== 'none';
}
