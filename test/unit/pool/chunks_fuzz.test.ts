/**
 * Root chunks, tombstones, pool chunks, owner chunks and lists of what is gone out of bytes that nobody wrote, and of sound ones that were changed: what a sum does
 * not cover any more is refused, and what a sum covers though no writer made it is refused, or is a chunk.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import xxhash from 'xxhash-addon';

import { SkerryError } from '../../../src/core/errors.js';
import { decodeGoneChunk, encodeGoneChunk } from '../../../src/pool/gone_chunk.js';
import { decodeOwnerChunk, encodeOwnerChunk } from '../../../src/pool/owner_chunk.js';
import { decodePoolChunk, encodePoolChunk } from '../../../src/pool/pool_chunk.js';
import { decodeRootChunk, decodeTombstone, encodeRootChunk, encodeTombstone } from '../../../src/pool/root_chunk.js';
import { readGolden } from '../golden.js';
import { mutationsOf } from '../mutations.js';

const header_bytes = 16;
const sum_bytes = 8;
const numRuns = 3000;
const golden = (name: string): Uint8Array => readGolden(new URL(`golden/${name}.hex`, import.meta.url));

function judge<T>(decode: (data: Uint8Array) => T, encode: (chunk: T) => Uint8Array, data: Uint8Array): boolean {
  let chunk: T;
  try {
    chunk = decode(data);
  } catch (error) {
    expect(error).toBeInstanceOf(SkerryError);
    expect(['corrupt', 'unsupported']).toContain((error as SkerryError).code);
    expect((error as SkerryError).message).not.toBe('');
    return false;
  }
  for (const number of numbersOf(chunk)) expect(number).toSatisfy(Number.isSafeInteger);
  expect(decode(encode(chunk))).toEqual(chunk);
  return true;
}

/** All numbers anywhere in it, but those of byte strings. */
function numbersOf(value: unknown): readonly number[] {
  if (typeof value === 'number') return [value];
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return [];
  return Object.values(value).flatMap(numbersOf);
}

/** The same frame around another message, with the length and the sum that belong to it. */
function resealed(sound: Uint8Array, message: Uint8Array): Uint8Array {
  const sealed = Buffer.concat([sound.subarray(0, header_bytes), message, Buffer.alloc(sum_bytes)]);
  sealed.writeUInt32LE(message.length, 8);
  xxhash.XXHash3.hash(sealed.subarray(0, -sum_bytes)).copy(sealed, sealed.length - sum_bytes);
  return Uint8Array.from(sealed);
}

describe.each([
  [
    'root chunk',
    ['root_chunk_v1', 'root_chunk_restricted_v1', 'root_chunk_rolled_back_v1'],
    (data: Uint8Array) => judge(decodeRootChunk, encodeRootChunk, data),
  ],
  ['tombstone', ['tombstone_v1'], (data: Uint8Array) => judge(decodeTombstone, encodeTombstone, data)],
  ['pool chunk', ['pool_chunk_v1'], (data: Uint8Array) => judge(decodePoolChunk, encodePoolChunk, data)],
  ['owner chunk', ['owner_chunk_v1'], (data: Uint8Array) => judge(decodeOwnerChunk, (chunk) => encodeOwnerChunk(chunk), data)],
  [
    'list of what is gone',
    ['gone_chunk_v1'],
    (data: Uint8Array) => judge(decodeGoneChunk, (chunk) => encodeGoneChunk(chunk), data),
  ],
] as const)('a %s', (_, names, accepts) => {
  const seeds = names.map(golden);

  test('of any bytes is refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (data) => !accepts(data)),
      { numRuns },
    );
  });

  test('whose bytes are not what they were is refused', () => {
    const changed = fc
      .constantFrom(...seeds)
      .chain((sound) => fc.tuple(fc.constant(sound), mutationsOf(sound)))
      .filter(([sound, data]) => Buffer.compare(sound, data) !== 0);
    fc.assert(
      fc.property(changed, ([, data]) => !accepts(data)),
      { numRuns },
    );
  });

  test('whose sum is right over a message that no writer made is refused as corrupt, or is one with exact numbers', () => {
    let accepted = 0;
    const forged = fc
      .constantFrom(...seeds)
      .chain((sound) => mutationsOf(sound.slice(header_bytes, -sum_bytes)).map((message) => resealed(sound, message)));
    fc.assert(
      fc.property(forged, (data) => {
        if (accepts(data)) accepted += 1;
      }),
      { numRuns },
    );
    expect(accepted).toBeGreaterThan(0);
  });
});
