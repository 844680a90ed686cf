import { expect, test } from 'vitest';

import { MemoryDriver } from '../../../drivers/memory/driver.js';
import { keepPoolChunk, decodePoolChunk, encodePoolChunk, poolChunkKeys, readPoolChunk } from '../../../src/pool/pool_chunk.js';
import { surveyPool } from '../../../src/pool/pool_survey.js';
import { ChunkCipher, chunkCipherOf, newSecrets, unwrapSecrets, wrapSecrets } from '../../../src/pool/pool_secrets.js';
import {
  decodeRootChunk,
  decodeTombstone,
  encodeRootChunk,
  encodeTombstone,
  rootChunkKey,
  tombstoneKey,
} from '../../../src/pool/root_chunk.js';
import { hexLines, readGolden } from '../golden.js';
import { poolUuid, sampleRestricted, sampleRoot, sampleTombstone } from './samples.js';

const golden = (name: string): Uint8Array => readGolden(new URL(`golden/${name}.hex`, import.meta.url));
const key = Uint8Array.from({ length: 32 }, (_, index) => index * 3);
const secrets = {
  domainKey: Uint8Array.from({ length: 32 }, (_, index) => 100 + index),
  dataKey: Uint8Array.from({ length: 32 }, (_, index) => 200 - index),
};
const cipher = new ChunkCipher(secrets.dataKey);

test('secrets are unwrapped with their key, and with no other, nor for another pool, nor where a bit is another', () => {
  const wrapped = wrapSecrets({ key, poolUuid }, secrets, 'vault');
  expect(unwrapSecrets({ key, poolUuid }, wrapped)).toEqual({ secrets, name: 'vault' });
  expect(unwrapSecrets({ key: new Uint8Array(32), poolUuid }, wrapped)).toBeNull();
  expect(unwrapSecrets({ key, poolUuid: new Uint8Array(16) }, wrapped)).toBeNull();
  for (let at = 1; at < wrapped.length; at += 1) {
    const changed = Uint8Array.from(wrapped);
    changed[at] = (changed[at] ?? 0) ^ 4;
    expect(unwrapSecrets({ key, poolUuid }, changed), `byte ${at}`).toBeNull();
  }
  expect(() => unwrapSecrets({ key, poolUuid }, Uint8Array.from([2, ...wrapped.subarray(1)]))).toThrow(
    expect.objectContaining({ code: 'unsupported' }),
  );
  expect(() => unwrapSecrets({ key, poolUuid }, wrapped.subarray(0, 60))).toThrow(expect.objectContaining({ code: 'corrupt' }));
  // Nothing of what is wrapped stands in it, and it is another each time.
  for (const secret of [secrets.domainKey, secrets.dataKey, key, Buffer.from('vault')])
    expect(Buffer.from(wrapped).includes(Buffer.from(secret))).toBe(false);
  expect(wrapSecrets({ key, poolUuid }, secrets, 'vault')).not.toEqual(wrapped);
  const { domainKey, dataKey } = newSecrets();
  expect(domainKey).not.toEqual(dataKey);
  expect(chunkCipherOf({ domainKey, dataKey: null })).toBeNull();
});

test('what was wrapped and sealed once is read for ever', () => {
  const chunk = decodePoolChunk(golden('pool_chunk_encrypted_v2'));
  expect(chunk).toMatchObject({ poolUuid, name: '', domain: 3, keyId: 1, createdAt: 1_700_000_000_123 });
  expect(chunk.domainKey).toHaveLength(0);
  expect(unwrapSecrets({ key, poolUuid }, chunk.wrapped ?? new Uint8Array(0))).toEqual({ secrets, name: 'vault' });
  expect(hexLines(encodePoolChunk(chunk))).toBe(hexLines(golden('pool_chunk_encrypted_v2')));
  expect(decodeRootChunk(golden('root_chunk_encrypted_v2'), cipher)).toEqual(sampleRoot);
  expect(decodeTombstone(golden('tombstone_encrypted_v2'), cipher)).toEqual(sampleTombstone);
});

test('root chunks and tombstones of an encrypted pool tell no name, and are read with its key alone', () => {
  const sealed = encodeRootChunk(sampleRestricted, cipher);
  const tomb = encodeTombstone(sampleTombstone, cipher);
  expect(decodeRootChunk(sealed, cipher)).toEqual(sampleRestricted);
  expect(decodeTombstone(tomb, cipher)).toEqual(sampleTombstone);
  for (const name of [sampleRestricted.name, sampleRestricted.parentName, sampleTombstone.name])
    for (const bytes of [sealed, tomb]) expect(Buffer.from(bytes).includes(Buffer.from(name))).toBe(false);
  expect(() => decodeRootChunk(sealed)).toThrow(expect.objectContaining({ code: 'denied' }));
  expect(() => decodeRootChunk(sealed, new ChunkCipher(key))).toThrow(/not written with the key of this pool/);
  // One that anybody could have put there.
  expect(() => decodeRootChunk(encodeRootChunk(sampleRoot), cipher)).toThrow(/not encrypted, as all is in this pool/);
  expect(() => decodeTombstone(encodeTombstone(sampleTombstone), cipher)).toThrow(expect.objectContaining({ code: 'corrupt' }));
  expect(encodeRootChunk(sampleRestricted, cipher)).not.toEqual(sealed);
  for (let bit = 0; bit < sealed.length * 8; bit += 31) {
    const changed = Uint8Array.from(sealed);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(() => decodeRootChunk(changed, cipher), `bit ${bit}`).toThrow(expect.objectContaining({ name: 'SkerryError' }));
  }
});

test('a survey reads the chunks of an encrypted pool, and without its key says that one is needed', async () => {
  const driver = new MemoryDriver();
  const { id, fence, number } = sampleRoot;
  await driver.put(rootChunkKey(id, fence, number), encodeRootChunk(sampleRoot, cipher));
  await driver.put(tombstoneKey(sampleTombstone.id), encodeTombstone(sampleTombstone, cipher));
  const survey = await surveyPool(driver, poolUuid, cipher);
  expect(survey.resources.get(id)?.roots).toEqual([sampleRoot]);
  expect(survey.tombstones.get(sampleTombstone.id)).toBe(sampleTombstone.deletedAt);
  expect(survey.damaged).toEqual([]);
  const blind = await surveyPool(driver, poolUuid);
  expect(blind.resources.get(id)?.damaged[0]?.why).toMatch(/is encrypted: the pool's key is needed/);
});

test("the pool's own copies follow a change of its key one by one, and each is whole for one of the two keys at any time", async () => {
  const driver = new MemoryDriver();
  const newer = Uint8Array.from({ length: 32 }, () => 9);
  const chunkOf = (wrappingKey: Uint8Array) => ({
    poolUuid,
    name: '',
    domain: 3,
    keyId: 1,
    domainKey: new Uint8Array(0),
    createdAt: 5,
    wrapped: wrapSecrets({ key: wrappingKey, poolUuid }, secrets, 'vault'),
  });
  await keepPoolChunk(driver, chunkOf(key));
  const [first] = poolChunkKeys;
  const changed = chunkOf(newer);
  const opens = async (wrappingKey: Uint8Array): Promise<number> =>
    (await readPoolChunk(driver)).wrapped.filter((one) => unwrapSecrets({ key: wrappingKey, poolUuid }, one) !== null).length;
  expect([await opens(key), await opens(newer)]).toEqual([2, 0]);
  // Killed after the first copy.
  if (first === undefined) throw new Error('there are two copies');
  await driver.remove(first);
  await driver.put(first, encodePoolChunk(changed));
  expect([await opens(key), await opens(newer)]).toEqual([1, 1]);
  await keepPoolChunk(driver, changed);
  expect([await opens(key), await opens(newer)]).toEqual([0, 2]);
});
