import { randomBytes } from 'node:crypto';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { decodeExtent, encodeExtent } from '../../../src/catalog/shelf_records.js';
import { SkerryError } from '../../../src/core/errors.js';
import type { BodyOrder } from '../../../src/object/bodies.js';
import { KnownBodies } from '../../../src/object/known_bodies.js';
import { newSeal } from '../../../src/object/seals.js';
import { gather, ObjectWorld, once, pattern } from '../../harness/object_world.ts';

const attributes = { owner: 1 };
const bucket = 'bucket';

async function world(): Promise<ObjectWorld> {
  const made = await ObjectWorld.open();
  await made.layer.buckets.create({ name: bucket, account: 1, pool: 'default' });
  return made;
}

/** As the account whose the bucket is, if no other is told. */
function put(made: ObjectWorld, key: string, data: Uint8Array, more: { bucket?: string; account?: number } = {}) {
  const order = { bucket, key, content: once(data), bytes: data.length, attributes, account: 1, ...more };
  return made.layer.objects.put(order);
}

async function content(made: ObjectWorld, key: string): Promise<Buffer> {
  const opened = await made.layer.objects.open({ bucket, key });
  if (opened.outcome !== 'opened') throw new Error('not modified');
  return gather(opened.object.read(0, opened.object.version.bytes)).finally(() => opened.object.close());
}

async function owners(made: ObjectWorld): Promise<number[]> {
  return (await made.catalog.range('extent/')).map(({ value }) => decodeExtent(value).owners);
}

async function clean(made: ObjectWorld): Promise<void> {
  await made.layer.takeBack();
  expect(await made.audit()).toEqual([]);
}

test('content that comes again writes nothing, and is what was put', async () => {
  const made = await world();
  for (const bytes of [1, 4096, 65_535]) {
    const data = pattern(bytes, 1);
    await put(made, `first ${bytes}`, data);
    const { writes } = made.shelves;
    const { transactions } = made.catalog;
    await put(made, `second ${bytes}`, data);
    expect(made.shelves.writes).toBe(writes);
    expect(made.shelves.unflushed).toBe(0);
    expect(made.catalog.transactions - transactions).toBe(1);
    expect(await content(made, `second ${bytes}`)).toEqual(Buffer.from(data));
  }
  expect(await owners(made)).toEqual([2, 2, 2]);
  expect(made.catalog.keys('known/').length).toBe(3);
  await clean(made);
});

test('content whose memory is used again while it comes is what was put', async () => {
  const made = await world();
  const data = pattern(5000, 1);
  async function* passing(): AsyncGenerator<Uint8Array> {
    const memory = new Uint8Array(1000);
    for (let at = 0; at < data.length; at += memory.length) {
      memory.set(data.subarray(at, at + memory.length));
      yield memory;
      memory.fill(0);
    }
  }
  const order = { pool: 'default', account: 1, bytes: data.length, content: passing() };
  const write = async (body: BodyOrder): Promise<never> => {
    throw new Error((await gather(body.content)).equals(data) ? 'the same' : 'another');
  };
  const others = { catalog: made.catalog, extents: { shareKnown: async () => null } };
  const known = new KnownBodies({ ...others, bodies: { write }, domainKeys: async () => new Uint8Array(32) });
  await expect(known.storing(order, 1, async () => undefined)).rejects.toThrow('the same');
});

test('each of two goes by itself, and what was stored goes with the last', async () => {
  const made = await world();
  const data = pattern(5000, 1);
  for (let turn = 0; turn < 2; turn += 1) {
    await put(made, 'a', data);
    await put(made, 'b', data);
    await made.layer.objects.remove({ bucket, key: 'a', owner: 1 });
    await clean(made);
    expect(await content(made, 'b')).toEqual(Buffer.from(data));
    await made.layer.objects.remove({ bucket, key: 'b', owner: 1 });
    await clean(made);
    expect(made.shelves.pages).toEqual([]);
    expect(made.catalog.keys('known/')).toEqual([]);
  }
});

test('an object that is put over itself keeps its bytes', async () => {
  const made = await world();
  const data = pattern(5000, 1);
  await put(made, 'a', data);
  const { writes } = made.shelves;
  for (let turn = 0; turn < 3; turn += 1) await put(made, 'a', data);
  await clean(made);
  expect(made.shelves.writes).toBe(writes);
  expect(await owners(made)).toEqual([1]);
  expect(await content(made, 'a')).toEqual(Buffer.from(data));
});

test('parts of uploads are known as objects are', async () => {
  const made = await world();
  const data = pattern(5000, 1);
  await put(made, 'a', data);
  const { writes } = made.shelves;
  const name = { bucket, key: 'b', uploadId: await made.layer.uploads.create({ bucket, key: 'b', attributes }) };
  const part = { content: once(data), bytes: data.length, account: 1 };
  const parts = [await made.layer.uploads.putPart({ ...name, number: 1, ...part })];
  await made.layer.uploads.complete({ ...name, parts });
  expect(made.shelves.writes).toBe(writes);
  expect(await content(made, 'b')).toEqual(Buffer.from(data));
  await clean(made);
});

test('accounts, pools, and who writes into the bucket of another, are kept apart', async () => {
  const made = await world();
  await made.layer.buckets.create({ name: 'of-another', account: 2, pool: 'default' });
  await made.layer.buckets.create({ name: 'elsewhere', account: 1, pool: 'other' });
  const data = pattern(5000, 1);
  await put(made, 'a', data);
  await put(made, 'b', data, { account: 2 });
  await made.layer.objects.put({ bucket, key: 'c', content: once(data), bytes: data.length, attributes });
  await put(made, 'a', data, { bucket: 'of-another', account: 1 });
  expect(made.catalog.keys('known/').length).toBe(1);
  await put(made, 'b', data, { bucket: 'of-another', account: 2 });
  await put(made, 'a', data, { bucket: 'elsewhere' });
  expect(made.catalog.keys('known/').length).toBe(3);
  expect(await owners(made)).toEqual([1, 1, 1, 1, 1, 1]);
  await clean(made);
});

test('nothing is looked for without the key of the account', async () => {
  const made = new ObjectWorld();
  await made.start({ domainKeys: async () => null });
  await made.layer.buckets.create({ name: bucket, account: 1, pool: 'default' });
  await put(made, 'a', pattern(5000, 1));
  await put(made, 'b', pattern(5000, 1));
  expect(made.catalog.keys('known/')).toEqual([]);
  expect(await owners(made)).toEqual([1, 1]);
  await clean(made);
});

test('what is sealed, empty, of unknown length, or a block and more, is not looked for', async () => {
  const made = await world();
  const { seal, objectKey } = newSeal('customer', '', randomBytes(32));
  for (const key of ['a', 'b']) {
    const sealed = { bucket, key, content: once(pattern(5000, 1)), bytes: 5000, attributes: { owner: 1, seal }, objectKey };
    await made.layer.objects.put({ ...sealed, account: 1 });
    await made.layer.objects.put({ bucket, key: `${key} long`, content: once('text'), bytes: null, attributes, account: 1 });
    await put(made, `${key} empty`, new Uint8Array());
    await put(made, `${key} block`, pattern(65_536, 1));
  }
  expect(made.catalog.keys('known/')).toEqual([]);
  await clean(made);
});

test('a body that is not what was announced is refused as ever, also where it is known', async () => {
  const made = await world();
  const data = pattern(5000, 1);
  await put(made, 'a', data);
  const refused = (bytes: number, expected = {}) =>
    made.layer.objects.put({ bucket, key: 'b', content: once(data), bytes, expected, attributes, account: 1 });
  await expect(refused(4999)).rejects.toMatchObject({ reason: 'incomplete-body' });
  await expect(refused(5001)).rejects.toMatchObject({ reason: 'incomplete-body' });
  await expect(refused(5000, { md5: 'of something else' })).rejects.toMatchObject({ reason: 'bad-digest' });
  expect(await owners(made)).toEqual([1]);
  await clean(made);
});

test('of first puts at once one stays, and the others share it', async () => {
  const made = await world();
  const data = pattern(5000, 1);
  await Promise.all(['a', 'b', 'c', 'd'].map((key) => put(made, key, data)));
  expect(await owners(made)).toEqual([4]);
  for (const key of ['a', 'b', 'c', 'd']) expect(await content(made, key)).toEqual(Buffer.from(data));
  await clean(made);
});

test('puts of known content at once go together, and one that is refused keeps none of the others from it', async () => {
  const made = await world();
  const data = pattern(5000, 1);
  await put(made, 'first', data);
  const { transactions } = made.catalog;
  const conditions = { ifNoneMatch: ['*'] };
  const content2 = { content: once(data), bytes: data.length, attributes, account: 1 };
  const refused = made.layer.objects.put({ bucket, key: 'first', ...content2, conditions });
  const keys = Array.from({ length: 20 }, (_, index) => `key ${index}`);
  await Promise.all([expect(refused).rejects.toMatchObject({ code: 'conflict' }), ...keys.map((key) => put(made, key, data))]);
  // Ids come of transactions of their own.
  expect(made.catalog.transactions - transactions).toBeLessThan(6);
  expect(await owners(made)).toEqual([21]);
  await clean(made);
});

test('a change of the bucket while known content is put at once is met by each', async () => {
  const made = await world();
  const data = pattern(5000, 1);
  await put(made, 'first', data);
  made.catalog.delays = [30];
  const keys = Array.from({ length: 8 }, (_, index) => `key ${index}`);
  const puts = keys.map((key) => put(made, key, data));
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  await made.layer.buckets.set(bucket, { versioning: 'enabled' });
  await Promise.all(puts);
  expect(await owners(made)).toEqual([9]);
  await clean(made);
});

test('one part that comes twice at once is there once', async () => {
  const made = await world();
  const data = pattern(5000, 1);
  await put(made, 'first', data);
  const name = { bucket, key: 'a', uploadId: await made.layer.uploads.create({ bucket, key: 'a', attributes }) };
  const part = () => ({ ...name, number: 1, content: once(data), bytes: data.length, account: 1 });
  await Promise.all([1, 2, 3, 4].map(() => made.layer.uploads.putPart(part())));
  await made.layer.takeBack();
  expect(await owners(made)).toEqual([2]);
  await made.layer.uploads.abort(name);
  await clean(made);
  expect(await owners(made)).toEqual([1]);
});

test('what an earlier Skerry stored is not known, and goes as ever', async () => {
  const made = await world();
  const data = pattern(5000, 1);
  await put(made, 'a', data);
  const [extent] = await made.catalog.range('extent/');
  const [known] = made.catalog.keys('known/');
  if (extent === undefined || known === undefined) throw new Error('it was stored');
  const { bytes } = decodeExtent(extent.value);
  const older = { key: extent.key, value: encodeExtent({ bytes, owners: 1 }) };
  await made.catalog.transact([], [older, { key: known, value: null }]);
  await put(made, 'b', data);
  expect(await owners(made)).toEqual([1, 1]);
  await made.layer.objects.remove({ bucket, key: 'a', owner: 1 });
  await clean(made);
  expect(await content(made, 'b')).toEqual(Buffer.from(data));
});

/** What is trimmed next stays in the catalog. */
function failAfterTrim(made: ObjectWorld): void {
  const write = made.shelves.write.bind(made.shelves);
  made.shelves.write = async (...args) => {
    await write(...args);
    made.shelves.write = write;
    made.catalog.faults.push('before');
  };
}

// An extent is trimmed before its record goes, and what is trimmed must not be found: neither where the record's removal fails, nor
// after a crash between the two.
test.each(['fails', 'ends with the daemon', 'ends with the power'])(
  'an extent whose taking back %s is found by nobody',
  async (how) => {
    const made = await world();
    const data = pattern(5000, 1);
    await put(made, 'a', data);
    await made.layer.objects.remove({ bucket, key: 'a', owner: 1 });
    failAfterTrim(made);
    await expect(made.layer.takeBack()).rejects.toMatchObject({ code: 'io' });
    expect(made.shelves.pages).toEqual([]);
    if (how === 'ends with the power') made.shelves.losePower(0);
    if (how !== 'fails') await made.start();
    await put(made, 'b', data);
    expect(await content(made, 'b')).toEqual(Buffer.from(data));
    await clean(made);
    expect(await content(made, 'b')).toEqual(Buffer.from(data));
  },
);

test.each(['whole', 'that fails half-way'])(
  'a body that is found before a taking back %s, and named behind it, is stored',
  async (how) => {
    const made = await world();
    const data = pattern(5000, 1);
    await put(made, 'a', data);
    await made.layer.objects.remove({ bucket, key: 'a', owner: 1 });
    const get = made.catalog.get.bind(made.catalog);
    made.catalog.get = async (key) => {
      const entry = await get(key);
      if (key.startsWith('known/')) {
        made.catalog.get = get;
        if (how !== 'whole') failAfterTrim(made);
        const [outcome] = await Promise.allSettled([made.layer.takeBack()]);
        expect(outcome?.status).toBe(how === 'whole' ? 'fulfilled' : 'rejected');
      }
      return entry;
    };
    await put(made, 'b', data);
    expect(await content(made, 'b')).toEqual(Buffer.from(data));
    await clean(made);
    expect(await content(made, 'b')).toEqual(Buffer.from(data));
  },
);

test('a put in doubt of what is known is made or not, as a start finds it', async () => {
  for (const fault of ['before', 'after'] as const) {
    const made = await world();
    const data = pattern(5000, 1);
    await put(made, 'a', data);
    made.catalog.faults.push(fault);
    await expect(put(made, 'b', data)).rejects.toMatchObject({ code: 'io' });
    await made.start();
    await made.layer.objects.remove({ bucket, key: 'a', owner: 1 });
    await clean(made);
    if (fault === 'after') expect(await content(made, 'b')).toEqual(Buffer.from(data));
    else await expect(content(made, 'b')).rejects.toMatchObject({ reason: 'no-such-key' });
  }
});

const step = fc.record({
  do: fc.constantFrom('put', 'put', 'put', 'remove', 'copy', 'take-back'),
  key: fc.constantFrom('a', 'b', 'c'),
  from: fc.constantFrom('a', 'b', 'c'),
  content: fc.constantFrom(1, 2),
  /** Turns until the next begins. */
  turns: fc.nat(60),
});

test('whatever comes at once, every object is whole and nothing else takes room', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 2, maxLength: 16 }),
      fc.array(fc.nat(40), { minLength: 1, maxLength: 5 }),
      async (steps, delays) => {
        const made = await world();
        made.catalog.delays = delays.map((turns) => turns + 1);
        const underWay: Promise<unknown>[] = [];
        for (const one of steps) {
          const { key } = one;
          const work = async (): Promise<unknown> => {
            if (one.do === 'put') return put(made, key, pattern(5000, one.content));
            if (one.do === 'remove') return made.layer.objects.remove({ bucket, key, owner: 1 });
            if (one.do === 'copy') return made.layer.copies.copy({ bucket, key, from: { bucket, key: one.from }, owner: 1 });
            return made.layer.takeBack();
          };
          underWay.push(
            work().catch((error: unknown) => {
              if (!(error instanceof SkerryError) || error.code !== 'not-found') throw error;
            }),
          );
          for (let turn = 0; turn < one.turns; turn += 1) await Promise.resolve();
        }
        await Promise.all(underWay);
        await clean(made);
        const all = [1, 2].map((seed) => Buffer.from(pattern(5000, seed)));
        for (const key of ['a', 'b', 'c']) {
          const found = await content(made, key).catch(() => null);
          if (found !== null) expect(all.some((data) => data.equals(found))).toBe(true);
        }
      },
    ),
    { numRuns: 300, interruptAfterTimeLimit: 12_000, timeout: 6000 },
  );
});
