import { expect, test } from 'vitest';

import {
  access_grants_max,
  client_name_characters_max,
  description_characters_max,
  label_key_characters_max,
  label_value_characters_max,
  labels_count_max,
} from '../../../src/core/limits.js';
import {
  decodeRootChunk,
  decodeTombstone,
  encodeRootChunk,
  encodeTombstone,
  parseRootChunkKey,
  rootChunkKey,
  rootChunksPrefix,
  tombstoneKey,
} from '../../../src/pool/root_chunk.js';
import { hexLines, readGolden } from '../golden.js';
import { sampleClosed, sampleLogged, sampleRestricted, sampleRolledBack, sampleRoot, sampleTombstone } from './samples.js';

const golden = (name: string): Uint8Array => readGolden(new URL(`golden/${name}.hex`, import.meta.url));
const empty = { ...sampleRoot, root: { id: new Uint8Array(0), levels: 0, pack: 0, offset: 0, storedBytes: 0 } };

test('a root chunk is read, and written as it always was', () => {
  expect(decodeRootChunk(golden('root_chunk_v1'))).toEqual(sampleRoot);
  expect(hexLines(encodeRootChunk(sampleRoot))).toBe(hexLines(golden('root_chunk_v1')));
  expect(decodeRootChunk(golden('root_chunk_rolled_back_v1'))).toEqual(sampleRolledBack);
  expect(hexLines(encodeRootChunk(sampleRolledBack))).toBe(hexLines(golden('root_chunk_rolled_back_v1')));
  expect(decodeRootChunk(golden('root_chunk_restricted_v1'))).toEqual(sampleRestricted);
  expect(hexLines(encodeRootChunk(sampleRestricted))).toBe(hexLines(golden('root_chunk_restricted_v1')));
  expect(decodeRootChunk(golden('root_chunk_logged_v1'))).toEqual(sampleLogged);
  expect(hexLines(encodeRootChunk(sampleLogged))).toBe(hexLines(golden('root_chunk_logged_v1')));
  for (const chunk of [empty, sampleClosed, { ...sampleRoot, shelf: true }])
    expect(decodeRootChunk(encodeRootChunk(chunk))).toEqual(chunk);
});

test('a tombstone is read, and written as it always was', () => {
  expect(decodeTombstone(golden('tombstone_v1'))).toEqual(sampleTombstone);
  expect(hexLines(encodeTombstone(sampleTombstone))).toBe(hexLines(golden('tombstone_v1')));
});

test('any flipped bit is noticed', () => {
  const sound = encodeRootChunk(sampleRoot);
  for (let bit = 0; bit < sound.length * 8; bit += 1) {
    const rotten = Uint8Array.from(sound);
    rotten[bit >> 3] = (rotten[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    // A version that became higher cannot be judged here; it is refused all the same.
    expect(() => decodeRootChunk(rotten), `bit ${bit}`).toThrow(
      expect.objectContaining({ code: bit >> 3 >= 4 && bit >> 3 < 8 ? expect.stringMatching(/unsupported|corrupt/) : 'corrupt' }),
    );
  }
});

test('labels and clients at their longest fit', () => {
  const wide = '\u{1f30a}';
  const labels = Object.fromEntries(
    Array.from({ length: labels_count_max }, (_, index) => [
      `${index}`.padStart(label_key_characters_max, 'k'),
      wide.repeat(label_value_characters_max),
    ]),
  );
  const grants = Array.from({ length: access_grants_max }, (_, index) => ({
    kind: 'certificate' as const,
    client: `${index}`.padStart(client_name_characters_max, 'c'),
    readOnly: true,
  }));
  const longest = { ...sampleRoot, labels, access: { grants }, description: wide.repeat(description_characters_max) };
  expect(decodeRootChunk(encodeRootChunk(longest))).toEqual(longest);
});

test('a chunk cut short or grown is refused', () => {
  const sound = encodeRootChunk(sampleRoot);
  for (let bytes = 0; bytes < sound.length; bytes += 1)
    expect(() => decodeRootChunk(sound.subarray(0, bytes))).toThrow(expect.objectContaining({ code: 'corrupt' }));
  expect(() => decodeRootChunk(Uint8Array.from([...sound, 0]))).toThrow(/length/);
});

test('a root chunk and a tombstone are not taken for each other', () => {
  expect(() => decodeRootChunk(encodeTombstone(sampleTombstone))).toThrow(/does not begin as one/);
  expect(() => decodeTombstone(encodeRootChunk(sampleRoot))).toThrow(/does not begin as one/);
});

test('keys sort by fence and number, and are read back', () => {
  expect(rootChunkKey(1, 2, 3)).toBe('root/0000000000000001/0000000000000002-0000000000000003');
  expect(rootChunkKey(1, 2, 3).startsWith(rootChunksPrefix(1))).toBe(true);
  expect(tombstoneKey(255)).toBe('tomb/00000000000000ff');
  expect(parseRootChunkKey(rootChunkKey(9, 2 ** 40, 2 ** 52))).toEqual({ id: 9, fence: 2 ** 40, number: 2 ** 52 });
  expect(parseRootChunkKey('root/1/2-3')).toBeNull();
  const keys = [rootChunkKey(1, 1, 300), rootChunkKey(1, 2, 1), rootChunkKey(1, 2, 2), rootChunkKey(1, 16, 1)];
  expect(keys.toSorted()).toEqual(keys);
});
