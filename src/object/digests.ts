/** What is computed of a body while it passes: MD5 for its ETag, and the checksums that somebody asked for. */
import { createHash } from 'node:crypto';

import type { BodyPart, Checksum, ChecksumAlgorithm, ChecksumType } from '../catalog/object_records.js';
import type { MakeSums } from '../engine/body_sums.js';
import { SkerryError } from '../core/errors.js';
import { crc32cKind, crc32Kind, crc64nvmeKind, CrcJoining, type CrcKind } from './crc.js';
import { newSum, PassingSums } from './sums.js';

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

export class Digests {
  readonly #expected: Expected;
  readonly #sums: PassingSums;

  constructor(expected: Expected, make: MakeSums) {
    this.#expected = expected;
    this.#sums = new PassingSums(expected.checksum === undefined ? ['MD5'] : ['MD5', expected.checksum.algorithm], make);
  }

  through(content: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    return this.#sums.through(content);
  }

  /** Of all that went through. @throws SkerryError invalid (bad-digest) where it is not what was expected */
  finish(): { readonly etag: string; readonly checksum: Checksum | null } {
    const [md5 = Buffer.alloc(0), sum] = this.#sums.values;
    if (this.#expected.md5 !== undefined) compare('MD5', this.#expected.md5, md5.toString('base64'));
    const { checksum } = this.#expected;
    const etag = md5.toString('hex');
    if (checksum === undefined || sum === undefined) return { etag, checksum: null };
    const value = sum.toString('base64');
    const wanted = typeof checksum.value === 'function' ? checksum.value() : checksum.value;
    if (wanted !== undefined) compare(checksum.algorithm, wanted, value);
    return { etag, checksum: { algorithm: checksum.algorithm, type: 'full-object', value } };
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
