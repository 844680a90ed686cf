/** Sums of one body, computed while it passes: in this thread where it is small, else in others. */
import { createHash, hash, type Hash } from 'node:crypto';
import { crc32 } from 'node:zlib';

import type { BodySums, MakeSums, SumName } from '../engine/body_sums.js';
import { Crc32c, Crc64Nvme, type Crc } from './crc.js';
import { pieceBuffers } from './piece_buffers.js';
import { SmallContent } from './small_content.js';

class Crc32 implements Crc {
  #value = 0;

  update(data: Uint8Array): void {
    this.#value = crc32(data, this.#value);
  }

  digest(): Buffer {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(this.#value);
    return bytes;
  }
}

export function newSum(name: SumName): Crc | Hash {
  switch (name) {
    case 'MD5':
      return createHash('md5');
    case 'CRC32':
      return new Crc32();
    case 'CRC32C':
      return new Crc32c();
    case 'CRC64NVME':
      return new Crc64Nvme();
    case 'SHA1':
      return createHash('sha1');
    case 'SHA256':
      return createHash('sha256');
  }
}

/** Of bytes that are all there. */
export function sumOf(name: SumName, bytes: Uint8Array): Buffer {
  switch (name) {
    // Without an object for it, which costs as much as the sum of a page.
    case 'MD5':
      return hash('md5', bytes, 'buffer');
    case 'SHA1':
      return hash('sha1', bytes, 'buffer');
    case 'SHA256':
      return hash('sha256', bytes, 'buffer');
    case 'CRC32':
    case 'CRC32C':
    case 'CRC64NVME': {
      const sum = newSum(name);
      sum.update(bytes);
      return sum.digest();
    }
  }
}

/** In the thread that asks. */
export const sumsHere: MakeSums = (names) => {
  const sums = names.map(newSum);
  return {
    async update(pieces) {
      for (const piece of pieces) for (const sum of sums) sum.update(piece);
    },
    finish: () => sums.map((sum) => sum.digest()),
  };
};

/** Below it another thread costs more than it spares. */
const here_bytes_max = 128 << 10;
/** Handed over at once; twice as much is kept of a body meanwhile. */
const batch_bytes = 1 << 20;

/** The sums of one body, piece by piece: a bounded number of bytes is held until they are summed. */
export class StreamSums {
  readonly #names: readonly SumName[];
  readonly #make: MakeSums;
  #sums: BodySums | null = null;
  #batch: Uint8Array[] = [];
  #bytes = 0;
  #under: Promise<void> = Promise.resolve();

  constructor(names: readonly SumName[], make: MakeSums) {
    this.#names = names;
    this.#make = make;
  }

  /** Await it before the next. The piece must stay as it is; one of pieceBuffers is held. */
  async add(piece: Uint8Array): Promise<void> {
    pieceBuffers.hold(piece);
    this.#batch.push(piece);
    this.#bytes += piece.length;
    if (this.#bytes < batch_bytes) return;
    await this.#under;
    this.#sums ??= this.#make(this.#names);
    this.#under = this.#update(this.#sums);
    // Told by the next await of it; or to nobody, where whoever brought the pieces left.
    this.#under.catch(() => undefined);
  }

  /** In the order of the names. Once, and last. */
  async end(): Promise<readonly Buffer[]> {
    await this.#under;
    this.#sums ??= (this.#bytes <= here_bytes_max ? sumsHere : this.#make)(this.#names);
    await this.#update(this.#sums);
    return this.#sums.finish();
  }

  async #update(sums: BodySums): Promise<void> {
    const batch = this.#batch;
    this.#batch = [];
    this.#bytes = 0;
    await sums.update(batch);
    for (const piece of batch) pieceBuffers.letGo(piece);
  }
}

/** The sums of all that goes through it, once it was read to its end. */
export class PassingSums {
  readonly #names: readonly SumName[];
  readonly #make: MakeSums;
  #values: readonly Buffer[] | null = null;

  constructor(names: readonly SumName[], make: MakeSums) {
    this.#names = names;
    this.#make = make;
  }

  /** Once. What is yielded must stay as it is, as with StreamSums. */
  through(content: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    if (content instanceof SmallContent) return new SmallContent(() => this.#whole(content));
    return this.#pieces(content);
  }

  async #whole(content: SmallContent): Promise<Uint8Array> {
    const whole = await content.whole();
    this.#values = this.#names.map((name) => sumOf(name, whole));
    return whole;
  }

  async *#pieces(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const sums = new StreamSums(this.#names, this.#make);
    for await (const piece of content) {
      await sums.add(piece);
      yield piece;
    }
    this.#values = await sums.end();
  }

  /** In the order of the names. */
  get values(): readonly Buffer[] {
    if (this.#values === null) throw new Error('sums of a body that was not read to its end');
    return this.#values;
  }
}
