/** Keys of sealed objects, each wrapped under a secret: one of an account, or one that only the client has. */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

import type { Seal } from '../catalog/object_records.js';
import { object_key_bytes } from './sealing.js';

const nonce_bytes = 12;
const tag_bytes = 16;

export interface NewSeal {
  readonly seal: Seal;
  readonly objectKey: Uint8Array;
}

/** Of a new object. `secret`: 32 bytes. `keyName`: several keys come of one secret, one for each name. */
export function newSeal(kind: Seal['kind'], keyName: string, secret: Uint8Array): NewSeal {
  const objectKey = Uint8Array.from(randomBytes(object_key_bytes));
  const nonce = randomBytes(nonce_bytes);
  const cipher = createCipheriv('aes-256-gcm', wrappingKey(kind, keyName, secret), nonce);
  const wrapped = Buffer.concat([nonce, cipher.update(objectKey), cipher.final(), cipher.getAuthTag()]);
  return { seal: { kind, keyName, wrappedKey: Uint8Array.from(wrapped) }, objectKey };
}

/** The object's key; null where the secret is another one, or the seal was changed. */
export function openSeal({ kind, keyName, wrappedKey }: Seal, secret: Uint8Array): Uint8Array | null {
  if (wrappedKey.length !== nonce_bytes + object_key_bytes + tag_bytes) return null;
  const sealedKey = wrappedKey.subarray(nonce_bytes, -tag_bytes);
  const decipher = createDecipheriv('aes-256-gcm', wrappingKey(kind, keyName, secret), wrappedKey.subarray(0, nonce_bytes));
  decipher.setAuthTag(wrappedKey.subarray(-tag_bytes));
  try {
    return Uint8Array.from(Buffer.concat([decipher.update(sealedKey), decipher.final()]));
  } catch {
    return null;
  }
}

function wrappingKey(kind: Seal['kind'], keyName: string, secret: Uint8Array): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', `skerry object seal ${kind} ${keyName}`, object_key_bytes));
}
