import { randomBytes } from 'node:crypto';

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { newSeal, openSeal } from '../../../src/object/seals.js';
import { gather, ObjectWorld, once, pattern } from '../../harness/object_world.ts';

const bucket = 'bucket';

async function opened(): Promise<ObjectWorld> {
  const world = await ObjectWorld.open();
  await world.layer.buckets.create({ name: bucket, account: 7, pool: 'default' });
  return world;
}

describe('a seal', () => {
  test('opens with its own secret, name and kind only', () => {
    const secret = randomBytes(32);
    const { seal, objectKey } = newSeal('named', 'one', secret);
    expect(openSeal(seal, secret)).toEqual(objectKey);
    expect(openSeal(seal, randomBytes(32))).toBeNull();
    expect(openSeal({ ...seal, keyName: 'two' }, secret)).toBeNull();
    expect(openSeal({ ...seal, kind: 'account' }, secret)).toBeNull();
    for (let at = 0; at < seal.wrappedKey.length; at += 1) {
      const changed = seal.wrappedKey.map((byte, index) => (index === at ? byte ^ 1 : byte));
      expect(openSeal({ ...seal, wrappedKey: changed }, secret)).toBeNull();
    }
    expect(openSeal({ ...seal, wrappedKey: seal.wrappedKey.subarray(1) }, secret)).toBeNull();
  });
});

describe('a sealed object', () => {
  const { seal, objectKey } = newSeal('account', '', randomBytes(32));
  const sealedAttributes = { owner: 7, seal };

  test('is read in any range, over any number of parts', async () => {
    const { layer } = await opened();
    const name = { bucket, key: 'a', uploadId: '' };
    name.uploadId = await layer.uploads.create({ ...name, attributes: sealedAttributes });
    const pieces = Array.from({ length: 40 }, (_, index) => pattern(1000 + 37 * index, index));
    const parts = [];
    for (const [index, data] of pieces.entries())
      parts.push(await layer.uploads.putPart({ ...name, number: index + 1, content: once(data), bytes: data.length, objectKey }));
    await layer.uploads.complete({ ...name, parts });
    const whole = Buffer.concat(pieces);
    const found = await layer.objects.open(name);
    if (found.outcome !== 'opened') throw new Error('not modified');
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(5000), async (offset, most) => {
        const length = Math.min(most, whole.length - offset);
        const read = await gather(found.object.read(offset, length, objectKey));
        expect(read.equals(whole.subarray(offset, offset + length))).toBe(true);
      }),
      { numRuns: 50 },
    );
    found.object.close();
  });

  test('is stored, read, copied and continued with its key, and never without', async () => {
    const { layer } = await opened();
    const order = { bucket, key: 'a', bytes: 3, attributes: sealedAttributes };
    const refusal = { code: 'denied', reason: 'object-sealed' };
    await expect(layer.objects.put({ ...order, content: once('abc') })).rejects.toMatchObject(refusal);
    await expect(
      layer.objects.put({ ...order, attributes: { owner: 7 }, content: once('abc'), objectKey }),
    ).rejects.toMatchObject(refusal);
    await layer.objects.put({ ...order, content: once('abc'), objectKey });
    const found = await layer.objects.open(order);
    if (found.outcome !== 'opened') throw new Error('not modified');
    expect(() => found.object.read(0, 3)).toThrow(/with the key of its object/);
    found.object.close();
    const from = { bucket, key: 'a' };
    await expect(layer.copies.copy({ bucket, key: 'b', from, owner: 7 })).rejects.toMatchObject(refusal);
    const name = { bucket, key: 'c', uploadId: '' };
    name.uploadId = await layer.uploads.create({ ...name, attributes: { owner: 7 } });
    await expect(layer.partCopies.copyPart({ ...name, number: 1, from })).rejects.toMatchObject(refusal);
    await layer.uploads.abort(name);
    name.uploadId = await layer.uploads.create({ ...name, attributes: sealedAttributes });
    await expect(layer.uploads.putPart({ ...name, number: 1, content: once('abc'), bytes: 3 })).rejects.toMatchObject(refusal);
    await layer.uploads.abort(name);
  });
});
