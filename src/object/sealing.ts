/**
 * Bodies that are encrypted before they rest (docs/decisions/0063-sealed-objects.md). Each part has a key of its own, of the object's key and the
 * part's salt, so no two bytes ever meet the same key stream; and since nothing gets longer, any range is opened by itself.
 */
import { createCipheriv, createHmac, randomBytes, type Cipheriv } from 'node:crypto';

import type { Seal } from '../catalog/object_records.js';
import { SkerryError } from '../core/errors.js';

export const object_key_bytes = 32;
const salt_bytes = 16;
const cipher_block_bytes = 16;

export function newSalt(): Uint8Array {
  return Uint8Array.from(randomBytes(salt_bytes));
}

/**
 * Seals what was open, and opens what was sealed: counter mode is the same both ways. `offset`: of the content in its part.
 */
export async function* sealed(
  objectKey: Uint8Array,
  salt: Uint8Array,
  offset: number,
  content: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer, void> {
  const cipher = cipherAt(objectKey, salt, offset);
  for await (const piece of content) yield cipher.update(piece);
}

/** What is to rest: as it came where there is no key. */
export function sealedWith(
  objectKey: Uint8Array | undefined,
  salt: Uint8Array | undefined,
  content: AsyncIterable<Uint8Array>,
): AsyncIterable<Uint8Array> {
  return objectKey === undefined || salt === undefined ? content : sealed(objectKey, salt, 0, content);
}

/** Where only some may read it, what it hashes to tells too much: it gets a tag that means nothing without its key, and the same for the same body. */
export function sealedEtag(seal: Seal | undefined, objectKey: Uint8Array | undefined, md5: string): string {
  if (seal === undefined || seal.kind === 'account' || objectKey === undefined) return md5;
  return createHmac('sha256', objectKey).update(`etag ${md5}`).digest('hex').slice(0, md5.length);
}

/** @throws SkerryError denied where what is sealed comes without its key, or the other way round */
export function checkKeyGiven(seal: Seal | undefined, objectKey: Uint8Array | undefined): void {
  if ((seal === undefined) !== (objectKey === undefined))
    throw new SkerryError('denied', 'a body is sealed and opened with the key of its object, and with no other', {
      reason: 'object-sealed',
    });
}

function cipherAt(objectKey: Uint8Array, salt: Uint8Array, offset: number): Cipheriv {
  if (objectKey.length !== object_key_bytes) throw new RangeError(`a key has ${object_key_bytes} bytes`);
  const key = createHmac('sha256', objectKey).update(salt).digest();
  const counter = Buffer.alloc(cipher_block_bytes);
  counter.writeBigUInt64BE(BigInt(Math.floor(offset / cipher_block_bytes)), 8);
  const cipher = createCipheriv('aes-256-ctr', key, counter);
  cipher.update(Buffer.alloc(offset % cipher_block_bytes));
  return cipher;
}
