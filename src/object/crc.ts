/** Cyclic redundancy checks that Node.js does not have, and joining those of parts. All are of reflected bits, inverted at both ends. */

const slices = 8;

export interface Crc {
  update(data: Uint8Array): void;
  /** Big-endian. */
  digest(): Buffer;
}

const castagnoli = 0x82f63b78;
const nvmeHigh = 0x9a6c9329;
const nvmeLow = 0xac4bc9b5;

/** How sums of that many bits are joined. */
export interface CrcKind {
  readonly bits: 32 | 64;
  readonly polynomial: bigint;
}

export const crc32Kind: CrcKind = { bits: 32, polynomial: 0xedb88320n };
export const crc32cKind: CrcKind = { bits: 32, polynomial: BigInt(castagnoli) };
export const crc64nvmeKind: CrcKind = { bits: 64, polynomial: (BigInt(nvmeHigh) << 32n) | BigInt(nvmeLow) };

/** Eight tables of 256, so that eight bytes are taken at a time. */
const tables32 = (() => {
  const tables = new Uint32Array(slices * 256);
  for (let byte = 0; byte < 256; byte += 1) {
    let value = byte;
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ castagnoli : value >>> 1;
    tables[byte] = value >>> 0;
  }
  for (let at = 256; at < tables.length; at += 1) {
    const before = tables[at - 256] ?? 0;
    tables[at] = (tables[before & 0xff] ?? 0) ^ (before >>> 8);
  }
  return tables;
})();

export class Crc32c implements Crc {
  #value = 0xffff_ffff;

  update(data: Uint8Array): void {
    const t = tables32;
    let value = this.#value;
    let at = 0;
    // Reads past a table's end cannot be: every index is a byte and a table's number.
    for (const end = data.length - 7; at < end; at += 8) {
      value ^= data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16) | (data[at + 3]! << 24);
      value =
        t[1792 + (value & 0xff)]! ^
        t[1536 + ((value >>> 8) & 0xff)]! ^
        t[1280 + ((value >>> 16) & 0xff)]! ^
        t[1024 + (value >>> 24)]! ^
        t[768 + data[at + 4]!]! ^
        t[512 + data[at + 5]!]! ^
        t[256 + data[at + 6]!]! ^
        t[data[at + 7]!]!;
    }
    for (; at < data.length; at += 1) value = t[(value ^ data[at]!) & 0xff]! ^ (value >>> 8);
    this.#value = value;
  }

  digest(): Buffer {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE((this.#value ^ 0xffff_ffff) >>> 0);
    return bytes;
  }
}

const tables64 = (() => {
  const high = new Uint32Array(slices * 256);
  const low = new Uint32Array(slices * 256);
  for (let byte = 0; byte < 256; byte += 1) {
    let h = 0;
    let l = byte;
    for (let bit = 0; bit < 8; bit += 1) {
      const out = l & 1;
      l = ((l >>> 1) | (h << 31)) ^ (out ? nvmeLow : 0);
      h = (h >>> 1) ^ (out ? nvmeHigh : 0);
    }
    high[byte] = h;
    low[byte] = l;
  }
  for (let at = 256; at < high.length; at += 1) {
    const h = high[at - 256] ?? 0;
    const l = low[at - 256] ?? 0;
    high[at] = (high[l & 0xff] ?? 0) ^ (h >>> 8);
    low[at] = (low[l & 0xff] ?? 0) ^ ((l >>> 8) | (h << 24));
  }
  return { high, low };
})();

export class Crc64Nvme implements Crc {
  #high = 0xffff_ffff;
  #low = 0xffff_ffff;

  update(data: Uint8Array): void {
    const { high, low } = tables64;
    let h = this.#high;
    let l = this.#low;
    let at = 0;
    for (const end = data.length - 7; at < end; at += 8) {
      l ^= data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16) | (data[at + 3]! << 24);
      h ^= data[at + 4]! | (data[at + 5]! << 8) | (data[at + 6]! << 16) | (data[at + 7]! << 24);
      const a = 1792 + (l & 0xff);
      const b = 1536 + ((l >>> 8) & 0xff);
      const c = 1280 + ((l >>> 16) & 0xff);
      const d = 1024 + (l >>> 24);
      const e = 768 + (h & 0xff);
      const f = 512 + ((h >>> 8) & 0xff);
      const g = 256 + ((h >>> 16) & 0xff);
      const i = h >>> 24;
      h = high[a]! ^ high[b]! ^ high[c]! ^ high[d]! ^ high[e]! ^ high[f]! ^ high[g]! ^ high[i]!;
      l = low[a]! ^ low[b]! ^ low[c]! ^ low[d]! ^ low[e]! ^ low[f]! ^ low[g]! ^ low[i]!;
    }
    for (; at < data.length; at += 1) {
      const index = (l ^ data[at]!) & 0xff;
      l = low[index]! ^ ((l >>> 8) | (h << 24));
      h = high[index]! ^ (h >>> 8);
    }
    this.#high = h;
    this.#low = l;
  }

  digest(): Buffer {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt32BE((this.#high ^ 0xffff_ffff) >>> 0, 0);
    bytes.writeUInt32BE((this.#low ^ 0xffff_ffff) >>> 0, 4);
    return bytes;
  }
}

/** Joins sums of parts into that of all. Parts are mostly of one length, so what a length multiplies by is kept. */
export class CrcJoining {
  readonly #kind: CrcKind;
  readonly #shifts = new Map<number, bigint>();
  #value = 0n;

  constructor(kind: CrcKind) {
    this.#kind = kind;
  }

  /** `digest`: of the next `bytes`, big-endian. */
  add(digest: Uint8Array, bytes: number): void {
    let shift = this.#shifts.get(bytes);
    if (shift === undefined) {
      shift = this.#power(bytes);
      this.#shifts.clear();
      this.#shifts.set(bytes, shift);
    }
    this.#value = this.#product(shift, this.#value) ^ BigInt(`0x${Buffer.from(digest).toString('hex')}`);
  }

  digest(): Buffer {
    return Buffer.from(this.#value.toString(16).padStart(this.#kind.bits / 4, '0'), 'hex');
  }

  /** x to the power of 8 * bytes, modulo the polynomial. The first bit is that of x to the power of 0. */
  #power(bytes: number): bigint {
    const one = 1n << BigInt(this.#kind.bits - 1);
    let square = one >> 8n;
    let power = one;
    for (let left = BigInt(bytes); left > 0n; left >>= 1n) {
      if (left & 1n) power = this.#product(square, power);
      square = this.#product(square, square);
    }
    return power;
  }

  #product(a: bigint, b: bigint): bigint {
    const { bits, polynomial } = this.#kind;
    let sum = 0n;
    let shifted = b;
    for (let bit = 1n << BigInt(bits - 1); bit > 0n; bit >>= 1n) {
      if (a & bit) sum ^= shifted;
      shifted = shifted & 1n ? (shifted >> 1n) ^ polynomial : shifted >> 1n;
    }
    return sum;
  }
}
