/** Sizes as people write and read them. K, M, G, T are powers of 1024. */
import { SkerryError } from './errors.js';
import { page_bytes, size_bytes_max, volume_bytes_max } from './limits.js';

const suffixes: Readonly<Record<string, bigint>> = {
  '': 1n,
  K: 2n ** 10n,
  M: 2n ** 20n,
  G: 2n ** 30n,
  T: 2n ** 40n,
  P: 2n ** 50n,
  E: 2n ** 60n,
};

/**
 * Bytes of a text such as `20G`, `1.5T`, `512M` or `1048576`; `20GiB` and `20g` mean the same. Only the size that is
 * written is judged here; checkVolumeBytes says whether a volume can have it.
 * @throws SkerryError invalid for what is no size, is 0 or negative, is no whole number of bytes, or is over 8 EiB.
 */
export function parseSize(text: string): bigint {
  const trimmed = text.trim();
  const refuse = (why: string): never => {
    const shown = trimmed.length <= 40 ? trimmed : `${trimmed.slice(0, 37)}...`;
    throw new SkerryError('invalid', `${JSON.stringify(shown)} is no size: ${why}`);
  };
  const match = /^([+-]?)(\d{1,30})(?:\.(\d{1,18}))?\s*(?:([kmgtpe])(?:ib)?|b)?$/i.exec(trimmed);
  if (match === null) return refuse('write a number with K, M, G or T behind it, as in 20G, or plain bytes');
  const [, sign = '', digits = '', fraction = '', letter = ''] = match;
  const unit = suffixes[letter.toUpperCase()] ?? 1n;
  const scale = 10n ** BigInt(fraction.length);
  const scaled = BigInt(digits + fraction) * unit;
  if (sign === '-' && scaled !== 0n) return refuse('it is negative');
  if (scaled === 0n) return refuse('it must be more than 0');
  if (scaled > size_bytes_max * scale) return refuse('it is over 8 EiB, the largest that 64-bit offsets can reach');
  if (scaled % scale !== 0n) return refuse('it is not a whole number of bytes');
  return scaled / scale;
}

/**
 * The size as a volume may have it: a whole number of pages of 4096 bytes, at most volume_bytes_max.
 * @throws SkerryError invalid with the nearest sizes that would do.
 */
export function checkVolumeBytes(size: number | bigint): number {
  if (typeof size === 'number' && !Number.isFinite(size)) throw new SkerryError('invalid', `${size} is no size`);
  if (typeof size === 'number' && !Number.isInteger(size))
    throw new SkerryError('invalid', `a size of ${size} is not a whole number of bytes`);
  const exact = BigInt(size);
  if (exact < 0n) throw new SkerryError('invalid', `a size of ${exact} bytes is negative`);
  if (exact === 0n) throw new SkerryError('invalid', 'a volume cannot have a size of 0');
  if (exact > size_bytes_max)
    throw new SkerryError('invalid', `a size of ${exact} bytes is over 8 EiB, the largest that 64-bit offsets can reach`);
  if (exact > BigInt(volume_bytes_max)) {
    throw new SkerryError(
      'invalid',
      `a size of ${formatSize(exact)} is too large: a volume has at most ${volume_bytes_max} bytes (just under 8 PiB)`,
    );
  }
  const page = BigInt(page_bytes);
  if (exact % page !== 0n) {
    const below = exact - (exact % page);
    const near = below === 0n ? `${page}` : `${below} or ${below + page}`;
    throw new SkerryError('invalid', `a volume's size is a multiple of ${page_bytes} bytes, and ${exact} is not: take ${near}`);
  }
  return Number(exact);
}

/** parseSize and checkVolumeBytes in one. */
export const parseVolumeSize = (text: string): number => checkVolumeBytes(parseSize(text));

/** For people, at most three significant digits and exact where it is short: `20G`, `1.5T`, `4.07M`, `512`. */
export function formatSize(size: number | bigint): string {
  const negative = size < 0;
  let value = Math.abs(Number(size));
  const letters = ['', 'K', 'M', 'G', 'T', 'P', 'E'];
  let step = 0;
  while (value >= 1024 && step < letters.length - 1) {
    value /= 1024;
    step += 1;
  }
  let digits = significant(value);
  // 1023.9K rounds to 1024K, which people read as 1M.
  if (digits === '1024' && step < letters.length - 1) {
    digits = '1';
    step += 1;
  }
  return `${negative ? '-' : ''}${digits}${letters[step] ?? ''}`;
}

function significant(value: number): string {
  if (value >= 100) return value.toFixed(0);
  const fixed = value.toFixed(value >= 10 ? 1 : 2);
  return fixed.replace(/\.?0+$/, '');
}
