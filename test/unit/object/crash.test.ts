/**
 * Lives that end in the middle: by a kill, which loses nothing that the engine was given, or with the power, which loses what was
 * not flushed. What was acknowledged is there afterwards, and what was not leaves nothing.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { SkerryError } from '../../../src/core/errors.js';
import type { ObjectLayer } from '../../../src/object/object_layer.js';
import { gather, ObjectWorld, once, pattern } from '../../harness/object_world.ts';

const attributes = { owner: 1 };
const sizes = fc.constantFrom(0, 1, 4096, 5000, 65_536, 100_000, 1_100_000);
const keys = fc.constantFrom('a', 'b', 'c');

type Step =
  | { readonly do: 'put'; readonly key: string; readonly bytes: number }
  /** Of content that others of these have too. */
  | { readonly do: 'put-again'; readonly key: string; readonly bytes: number; readonly content: number }
  | { readonly do: 'remove'; readonly key: string }
  | { readonly do: 'copy'; readonly key: string; readonly from: string }
  | { readonly do: 'parts'; readonly key: string; readonly bytes: number; readonly ends: 'complete' | 'abort' | 'not' }
  | { readonly do: 'take-back' };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('put' as const), key: keys, bytes: sizes }),
  ...[fc.constantFrom('a', 'b'), fc.constantFrom('b', 'c')].map((places) =>
    fc.record({
      do: fc.constant('put-again' as const),
      key: places,
      bytes: fc.constantFrom(4096, 5000),
      content: fc.constantFrom(-1, -2),
    }),
  ),
  fc.record({ do: fc.constant('remove' as const), key: keys }),
  fc.record({ do: fc.constant('copy' as const), key: keys, from: keys }),
  fc.record({
    do: fc.constant('parts' as const),
    key: keys,
    bytes: sizes,
    ends: fc.constantFrom('complete' as const, 'abort' as const, 'not' as const),
  }),
  fc.record({ do: fc.constant('take-back' as const) }),
);

async function take(layer: ObjectLayer, one: Step, seed: number): Promise<Uint8Array | null | 'same'> {
  const bucket = 'bucket';
  if (one.do === 'put') {
    const data = pattern(one.bytes, seed);
    const bytes = seed % 3 === 0 ? null : data.length;
    await layer.objects.put({ bucket, key: one.key, content: once(data), bytes, attributes });
    return data;
  }
  if (one.do === 'put-again') {
    const data = pattern(one.bytes, one.content);
    await layer.objects.put({ bucket, key: one.key, content: once(data), bytes: data.length, attributes, account: 1 });
    return data;
  }
  if (one.do === 'remove') {
    await layer.objects.remove({ bucket, key: one.key, owner: 1 });
    return null;
  }
  if (one.do === 'copy') {
    await layer.copies.copy({ bucket, key: one.key, from: { bucket, key: one.from }, owner: 1 });
    return 'same';
  }
  if (one.do === 'take-back') {
    await layer.takeBack();
    return 'same';
  }
  const uploadId = await layer.uploads.create({ bucket, key: one.key, attributes });
  const name = { bucket, key: one.key, uploadId };
  const data = pattern(one.bytes, seed);
  const first = await layer.uploads.putPart({ ...name, number: 1, content: once(data), bytes: data.length });
  await layer.uploads.putPart({ ...name, number: 2, content: once('left out'), bytes: 8, account: 1 });
  if (one.ends === 'complete') await layer.uploads.complete({ ...name, parts: [first] });
  if (one.ends === 'abort') await layer.uploads.abort(name);
  return one.ends === 'complete' ? data : 'same';
}

async function content(layer: ObjectLayer, key: string): Promise<Buffer | null> {
  const opened = await layer.objects.open({ bucket: 'bucket', key }).catch(() => null);
  if (opened?.outcome !== 'opened') return null;
  const { object } = opened;
  return gather(object.read(0, object.version.bytes)).finally(() => object.close());
}

/** A step that fails because its source is not there is one of those that do nothing. */
const expectedFailure = (error: unknown): boolean => error instanceof SkerryError && error.code === 'not-found';

test('whatever ends a life, what was acknowledged is there and nothing else takes room', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(step, fc.constantFrom('none', 'none', 'before', 'after', 'write', 'room')), { maxLength: 12 }),
      fc.array(fc.tuple(step, fc.nat(40)), { maxLength: 3 }),
      fc.boolean(),
      fc.nat(6),
      async (steps, last, power, kept) => {
        const world = await ObjectWorld.open();
        await world.layer.buckets.create({ name: 'bucket', account: 1, pool: 'default' });
        const model = new Map<string, Uint8Array | null>();
        /** What may be there instead: a step that failed in doubt may have been made. */
        const doubtful = new Set<string>();
        let seed = 1;
        for (const [one, fault] of steps) {
          seed += 1;
          if (fault === 'before' || fault === 'after') world.catalog.faults.push(fault);
          if (fault === 'write') world.shelves.faults.push(new SkerryError('no-space', 'the pool is full'));
          if (fault === 'room') world.shelves.faults.push(new SkerryError('try-again', 'no room right now'));
          try {
            const made = await take(world.layer, one, seed);
            if (one.do !== 'take-back' && made !== 'same') model.set(one.key, made);
            if (one.do === 'copy') model.set(one.key, model.get(one.from) ?? null);
            const isOfDoubt = one.do === 'copy' && doubtful.has(one.from);
            if (one.do !== 'take-back' && (made !== 'same' || one.do === 'copy')) doubtful.delete(one.key);
            if (isOfDoubt) doubtful.add(one.key);
          } catch (error) {
            if (one.do !== 'take-back' && fault !== 'none' && fault !== 'room') doubtful.add(one.key);
            else if (!expectedFailure(error) && fault === 'none') throw error;
          }
          world.catalog.faults.length = 0;
          world.shelves.faults.length = 0;
        }
        // These are under way when it ends: each is stopped after some number of turns, wherever it is then.
        for (const [one, turns] of last) {
          seed += 1;
          if (one.do !== 'take-back') doubtful.add(one.key);
          void take(world.layer, one, seed).catch(() => undefined);
          // Some of them are of the event loop: a flush begins one of those after it was asked for.
          for (let turn = 1; turn <= turns; turn += 1) await (turn % 8 === 0 ? nextTurn() : Promise.resolve());
        }
        world.catalog.freeze();
        world.shelves.freeze();
        // The life before does what it can without them: ask for a flush, and have it begin.
        for (let turn = 0; turn < 2; turn += 1) await nextTurn();
        world.catalog.thaw();
        if (power) world.shelves.losePower(kept);
        else world.shelves.thaw();
        await world.start();
        await world.layer.takeBack();
        for (const [key, data] of model) {
          if (doubtful.has(key)) continue;
          expect(await content(world.layer, key)).toEqual(data === null ? null : Buffer.from(data));
        }
        // Bytes of a pattern are never 0: whatever is there is whole.
        for (const key of doubtful) expect((await content(world.layer, key))?.includes(0) ?? false).toBe(false);
        expect(await world.audit()).toEqual([]);
      },
    ),
    // A busy machine looks at fewer.
    { numRuns: 150, interruptAfterTimeLimit: 12_000, timeout: 6000 },
  );
});

const put = (world: ObjectWorld, key: string, bytes: number) =>
  world.layer.objects.put({ bucket: 'bucket', key, content: once(pattern(bytes, 1)), bytes, attributes });

test('what was taken back stays so when the power goes', async () => {
  const world = await ObjectWorld.open();
  await world.layer.buckets.create({ name: 'bucket', account: 1, pool: 'default' });
  await put(world, 'a', 5000);
  await world.layer.objects.remove({ bucket: 'bucket', key: 'a', owner: 1 });
  await world.layer.takeBack();
  world.shelves.losePower(0);
  expect(await world.audit()).toEqual([]);
});

test('two runs at once take back each body once: what a copy owns too stays', async () => {
  const world = await ObjectWorld.open();
  await world.layer.buckets.create({ name: 'bucket', account: 1, pool: 'default' });
  await put(world, 'a', 5000);
  await world.layer.copies.copy({ bucket: 'bucket', key: 'b', from: { bucket: 'bucket', key: 'a' }, owner: 1 });
  await world.layer.objects.remove({ bucket: 'bucket', key: 'a', owner: 1 });
  await Promise.all([world.layer.takeBack(), world.layer.takeBack(), world.layer.takeBack()]);
  expect(await content(world.layer, 'b')).toEqual(Buffer.from(pattern(5000, 1)));
  expect(await world.audit()).toEqual([]);
});

test('what was trimmed of a region is trimmed for good before nobody looks through it any more', async () => {
  const options = { space: { regionGrains: 16 } };
  const world = await ObjectWorld.open(options);
  await world.layer.buckets.create({ name: 'bucket', account: 1, pool: 'default' });
  await put(world, 'a', 15 * 4096);
  const refused = { bucket: 'bucket', key: 'b', content: once(pattern(4096, 2)), bytes: 4096, attributes };
  await expect(world.layer.objects.put({ ...refused, expected: { md5: 'of something else' } })).rejects.toMatchObject({
    reason: 'bad-digest',
  });
  // The next one finds no room in it, and is not written before the power goes.
  world.shelves.write = () => new Promise(() => undefined);
  void put(world, 'c', 4096);
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  expect(world.catalog.keys('region/').length).toBe(1);
  world.shelves.losePower(0);
  expect(await world.audit()).toEqual([]);
});

test('a transaction in doubt keeps its body until a start knows, though its region is full long before', async () => {
  for (const fault of ['before', 'after'] as const) {
    const options = { space: { regionGrains: 16 } };
    const world = await ObjectWorld.open(options);
    await world.layer.buckets.create({ name: 'bucket', account: 1, pool: 'default' });
    await put(world, 'first', 5000);
    world.catalog.faults.push(fault);
    await expect(put(world, 'a', 5000)).rejects.toMatchObject({ code: 'io' });
    for (let more = 0; more < 20; more += 1) await put(world, `more ${more}`, 5000);
    await world.start(options);
    await world.layer.takeBack();
    const found = await content(world.layer, 'a');
    expect(found).toEqual(fault === 'after' ? Buffer.from(pattern(5000, 1)) : null);
    expect(await world.audit()).toEqual([]);
    expect(world.catalog.keys('region/')).toEqual([]);
  }
});
