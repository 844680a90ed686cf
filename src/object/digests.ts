/** What is computed of a body while it passes: MD5 for its ETag, and the checksums that somebody asked for. */
import { createHash, type Hash } from 'node:crypto';
import { crc32 } from 'node:zlib';

import type { BodyPart, Checksum, ChecksumAlgorithm, ChecksumType } from '../catalog/object_records.js';
import { SkerryError } from '../core/errors.js';
import { Crc32c, crc32cKind, crc32Kind, Crc64Nvme, crc64nvmeKind, CrcJoining, type Crc, type CrcKind } from './crc.js';

/** What a body has to be. */
export interface Expected {
  /** In base 64. */
  readonly md5?: string;
  readonly checksum?: {
    readonly algorithm: ChecksumAlgorithm;
    /** In base 64; absent: only computed. A function is asked once the body is there, for a value that comes behind it. */
    readonly value?: string | (() => string | undefined);
  };
}

const joinable: Partial<Record<ChecksumAlgorithm, CrcKind>> = {
  CRC32: crc32Kind,
  CRC32C: crc32cKind,
  CRC64NVME: crc64nvmeKind,
};

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

export function newSum(algorithm: ChecksumAlgorithm): Crc | Hash {
  switch (algorithm) {
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

export class Digests {
  readonly #expected: Expected;
  readonly #md5 = createHash('md5');
  readonly #sum: Crc | Hash | null;

  constructor(expected: Expected) {
    this.#expected = expected;
    this.#sum = expected.checksum === undefined ? null : newSum(expected.checksum.algorithm);
  }

  async *through(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of content) {
      this.#md5.update(chunk);
      this.#sum?.update(chunk);
      yield chunk;
    }
  }

  /** Of all that went through. @throws SkerryError invalid (bad-digest) where it is not what was expected */
  finish(): { readonly etag: string; readonly checksum: Checksum | null } {
    const md5 = this.#md5.digest();
    if (this.#expected.md5 !== undefined) compare('MD5', this.#expected.md5, md5.toString('base64'));
    const { checksum } = this.#expected;
    if (checksum === undefined || this.#sum === null) return { etag: md5.toString('hex'), checksum: null };
    const value = this.#sum.digest().toString('base64');
    const wanted = typeof checksum.value === 'function' ? checksum.value() : checksum.value;
    if (wanted !== undefined) compare(checksum.algorithm, wanted, value);
    return { etag: md5.toString('hex'), checksum: { algorithm: checksum.algorithm, type: 'full-object', value } };
  }
}

/** @throws SkerryError invalid (bad-digest) */
export function compare(name: string, wanted: string, found: string): void {
  if (wanted === found) return;
  throw new SkerryError('invalid', `the ${name} of what was stored would be ${found}, and ${wanted} was announced`, {
    reason: 'bad-digest',
  });
}

/** Only those that can be joined are known of all bytes without reading them again. */
export function allowsType(algorithm: ChecksumAlgorithm, type: ChecksumType): boolean {
  if (type === 'full-object') return joinable[algorithm] !== undefined;
  return algorithm !== 'CRC64NVME';
}

/** Of an object of parts, from theirs. */
export function joinedChecksum(
  { algorithm, type }: Pick<Checksum, 'algorithm' | 'type'>,
  parts: readonly Pick<BodyPart, 'bytes' | 'checksum'>[],
): Checksum {
  const kind = joinable[algorithm];
  if (type === 'composite') {
    const sum = newSum(algorithm);
    for (const { checksum } of parts) sum.update(Buffer.from(checksum, 'base64'));
    return { algorithm, type, value: sum.digest().toString('base64') };
  }
  if (kind === undefined) throw new SkerryError('invalid', `the ${algorithm} of parts says nothing of the whole`);
  const joining = new CrcJoining(kind);
  for (const { checksum, bytes } of parts) joining.add(Buffer.from(checksum, 'base64'), bytes);
  return { algorithm, type, value: joining.digest().toString('base64') };
}

/** As S3 has it: the MD5 of the parts' MD5s, and how many there are. */
export function joinedEtag(etags: readonly string[]): string {
  const md5 = createHash('md5');
  for (const etag of etags) md5.update(Buffer.from(etag, 'hex'));
  return `${md5.digest('hex')}-${etags.length}`;
}
