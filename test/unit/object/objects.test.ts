import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';

import type { BucketRecord } from '../../../src/catalog/object_records.js';
import { SkerryError } from '../../../src/core/errors.js';
import { noMeter, type Meter, type UsageChange } from '../../../src/object/meter.js';
import { gather, ObjectWorld, once, pattern } from '../../harness/object_world.ts';

const attributes = { owner: 1 };
const MiB = 1 << 20;
const name = { bucket: 'bucket', key: 'a' };

/** Some transactions take long, so that others come between what was looked at and what is made of it. */
const delays = fc.array(fc.nat(40), { minLength: 1, maxLength: 5 });

async function world(options: Parameters<typeof ObjectWorld.open>[0] = {}): Promise<ObjectWorld> {
  const made = await ObjectWorld.open(options);
  await made.layer.buckets.create({ name: 'bucket', account: 1, pool: 'default' });
  return made;
}

async function clean(made: ObjectWorld): Promise<void> {
  await made.layer.takeBack();
  expect(await made.audit()).toEqual([]);
}

test('a client that vanishes in the middle leaves nothing', async () => {
  const made = await world();
  async function* vanishing(): AsyncGenerator<Uint8Array> {
    yield* once(pattern(5 * MiB, 1));
    throw new SkerryError('cancelled', 'the client is gone');
  }
  const put = made.layer.objects.put({ ...name, content: vanishing(), bytes: 9 * MiB, attributes });
  await expect(put).rejects.toMatchObject({ code: 'cancelled' });
  await expect(made.layer.objects.head(name)).rejects.toMatchObject({ reason: 'no-such-key' });
  await clean(made);
});

test('content is taken no faster than it can be written', async () => {
  const made = await world();
  let taken = 0;
  async function* eager(): AsyncGenerator<Uint8Array> {
    for (let piece = 0; piece < 40; piece += 1) {
      taken += 1;
      yield new Uint8Array(MiB).fill(1);
    }
  }
  const blocked: (() => void)[] = [];
  const write = made.shelves.write.bind(made.shelves);
  made.shelves.write = async (...args) => {
    await new Promise<void>((resolve) => blocked.push(resolve));
    return write(...args);
  };
  const put = made.layer.objects.put({ ...name, content: eager(), bytes: null, attributes });
  for (let turn = 0; turn < 50; turn += 1) await nextTurn();
  expect(taken).toBeLessThanOrEqual(7);
  const release = setInterval(() => blocked.splice(0).forEach((resolve) => resolve()), 1);
  expect((await put).bytes).toBe(40 * MiB);
  clearInterval(release);
  await clean(made);
});

test('what is read in the middle of a list of parts survives everything that is done meanwhile', async () => {
  const made = await world();
  const { objects, uploads, copies } = made.layer;
  const uploadId = await uploads.create({ ...name, attributes });
  const parts: { number: number; etag: string }[] = [];
  const all: Uint8Array[] = [];
  for (let number = 1; number <= 60; number += 1) {
    all.push(pattern(5000, number));
    parts.push(await uploads.putPart({ ...name, uploadId, number, content: once(all.at(-1) ?? ''), bytes: 5000 }));
  }
  await uploads.complete({ ...name, uploadId, parts });
  const opened = await objects.open(name);
  if (opened.outcome !== 'opened') throw new Error('not modified');
  const reading = opened.object.read(0, 60 * 5000);
  const first = await reading.next();
  await copies.copy({ bucket: 'bucket', key: 'b', from: name, owner: 1 });
  await objects.remove({ ...name, owner: 1 });
  expect(await made.layer.takeBack()).toBe(1);
  expect(Buffer.concat([first.value ?? Buffer.alloc(0), await gather(reading)])).toEqual(Buffer.concat(all));
  opened.object.close();
  await clean(made);
  const copy = await objects.open({ bucket: 'bucket', key: 'b' });
  if (copy.outcome !== 'opened') throw new Error('not modified');
  expect(await gather(copy.object.read(12_345, 100_000))).toEqual(Buffer.concat(all).subarray(12_345, 112_345));
  copy.object.close();
});

test('parts that come while an upload ends are in it, or refused, and never left behind', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 3 }), fc.nat(12)), { minLength: 1, maxLength: 6 }),
      fc.boolean(),
      fc.nat(60),
      delays,
      async (parts, completes, turns, delayed) => {
        const made = await world();
        made.catalog.delays = delayed;
        const { uploads } = made.layer;
        const uploadId = await uploads.create({ ...name, attributes });
        const first = await uploads.putPart({ ...name, uploadId, number: 9, content: once('x'), bytes: 1 });
        const coming = parts.map(async ([number, wait]) => {
          for (let turn = 0; turn < wait; turn += 1) await Promise.resolve();
          return uploads.putPart({ ...name, uploadId, number, content: once(pattern(5000, number)), bytes: 5000 });
        });
        for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
        if (completes) await uploads.complete({ ...name, uploadId, parts: [first] });
        else await uploads.abort({ ...name, uploadId });
        for (const { status, reason } of (await Promise.allSettled(coming)) as { status: string; reason?: unknown }[])
          if (status === 'rejected') expect(reason).toMatchObject({ reason: 'no-such-upload' });
        await made.layer.takeBack();
        expect(made.catalog.keys('upload-part/')).toEqual([]);
        await clean(made);
      },
    ),
    { numRuns: 60, interruptAfterTimeLimit: 10_000 },
  );
});

test('a part that there is no room for is refused before a byte of it is taken', async () => {
  const meter: Meter = {
    reserve(bucket: BucketRecord, { bytes }: UsageChange) {
      if (bytes > 5) throw new SkerryError('no-space', 'the bucket is full', { reason: 'quota-exceeded' });
      return noMeter.reserve(bucket, { bytes, objects: 0 });
    },
    removal: (bucket) => noMeter.removal(bucket),
  };
  const made = await world({ meter });
  const { uploads } = made.layer;
  const uploadId = await uploads.create({ ...name, attributes });
  let taken = false;
  async function* content(): AsyncGenerator<Uint8Array> {
    taken = true;
    yield* once('second');
  }
  await uploads.putPart({ ...name, uploadId, number: 1, content: once('first'), bytes: 5 });
  const refused = uploads.putPart({ ...name, uploadId, number: 2, content: content(), bytes: 6 });
  await expect(refused).rejects.toMatchObject({ reason: 'quota-exceeded' });
  expect(taken).toBe(false);
  await uploads.abort({ ...name, uploadId });
  await clean(made);
});

test('whoever counts is asked before, and told once what it came to', async () => {
  const changes: (UsageChange | null)[] = [];
  let room = 100;
  const refuse = (bytes: number, bucket: string): void => {
    if (bytes > room) throw new SkerryError('no-space', `bucket ${bucket} is full`, { reason: 'quota-exceeded' });
  };
  const meter: Meter = {
    reserve({ name: bucket }: BucketRecord, { bytes }: UsageChange) {
      refuse(bytes, bucket);
      let counted: UsageChange | null = null;
      return {
        count: (change) => ({
          compares: [],
          writes: [{ key: 'counted', value: new TextEncoder().encode(JSON.stringify(change)) }],
          settled: async (outcome) => {
            if (outcome?.outcome === 'committed') counted = change;
          },
        }),
        extend: (more) => refuse(bytes + more.bytes, bucket),
        end: () => changes.push(counted),
      };
    },
    removal: () => noMeter.removal({} as BucketRecord),
  };
  const made = await world({ meter });
  const { objects, copies } = made.layer;
  const put = (bytes: number) => objects.put({ ...name, content: once(pattern(bytes, 1)), bytes, attributes });
  await put(60);
  await put(50);
  await copies.copy({ bucket: 'bucket', key: 'b', from: name, owner: 1 });
  await objects.remove({ ...name, owner: 1 });
  await objects.remove({ ...name, owner: 1 });
  room = 10;
  await expect(put(11)).rejects.toMatchObject({ reason: 'quota-exceeded' });
  await expect(objects.put({ ...name, content: once(pattern(11, 1)), bytes: null, attributes })).rejects.toMatchObject({
    reason: 'quota-exceeded',
  });
  await expect(objects.put({ ...name, content: once('ab'), bytes: 1, attributes })).rejects.toMatchObject({ code: 'invalid' });
  expect(changes).toEqual([
    { bytes: 60, objects: 1 },
    { bytes: -10, objects: 0 },
    { bytes: 50, objects: 1 },
    { bytes: -50, objects: -1 },
    null,
    null,
    null,
  ]);
  await clean(made);
});

test('a copy of what is being removed is whole, or is not', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(60), fc.nat(60), fc.nat(60), delays, async (copying, removing, takingBack, delayed) => {
      const made = await world();
      const { objects, copies } = made.layer;
      await objects.put({ ...name, content: once(pattern(9000, 1)), bytes: 9000, attributes });
      made.catalog.delays = delayed;
      const after = async <T>(turns: number, work: () => Promise<T>): Promise<T> => {
        for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
        return work();
      };
      const [copied] = await Promise.allSettled([
        after(copying, () => copies.copy({ bucket: 'bucket', key: 'b', from: name, owner: 1 })),
        after(removing, () => objects.remove({ ...name, owner: 1 })).then(() => after(takingBack, () => made.layer.takeBack())),
      ]);
      if (copied.status === 'rejected') expect(copied.reason).toMatchObject({ reason: 'no-such-key' });
      await clean(made);
      const found = await objects.open({ bucket: 'bucket', key: 'b' }).catch(() => null);
      expect(found !== null).toBe(copied.status === 'fulfilled');
      if (found?.outcome === 'opened') expect(await gather(found.object.read(0, 9000))).toEqual(Buffer.from(pattern(9000, 1)));
    }),
    { numRuns: 200, interruptAfterTimeLimit: 10_000 },
  );
});

test('of many who put what must not be there yet one does, in whatever kind of bucket', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('never' as const, 'enabled' as const, 'suspended' as const),
      fc.array(fc.nat(40), { minLength: 2, maxLength: 4 }),
      delays,
      async (versioning, waits, delayed) => {
        const made = await world();
        const { buckets, objects, listing } = made.layer;
        if (versioning !== 'never') await buckets.set('bucket', { versioning });
        made.catalog.delays = delayed;
        const conditions = { ifNoneMatch: ['*'] };
        const outcomes = await Promise.allSettled(
          waits.map(async (wait, index) => {
            for (let turn = 0; turn < wait; turn += 1) await Promise.resolve();
            const content = once(pattern(5000, index));
            return objects.put({ ...name, content, bytes: 5000, attributes, conditions });
          }),
        );
        expect(outcomes.filter(({ status }) => status === 'fulfilled').length).toBe(1);
        for (const outcome of outcomes)
          if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ reason: 'precondition-failed' });
        expect((await listing.versions({ bucket: 'bucket' })).entries.length).toBe(1);
        await clean(made);
      },
    ),
    { numRuns: 60, interruptAfterTimeLimit: 10_000 },
  );
});

test('a part that is copied of what is removed meanwhile is whole', async () => {
  const made = await world();
  const { objects, uploads, partCopies } = made.layer;
  await objects.put({ ...name, content: once(pattern(9000, 1)), bytes: 9000, attributes });
  const target = { bucket: 'bucket', key: 'b' };
  const uploadId = await uploads.create({ ...target, attributes });
  const get = made.catalog.get.bind(made.catalog);
  made.catalog.get = async (key) => {
    if (!key.startsWith('upload-part/')) return get(key);
    made.catalog.get = get;
    await objects.remove({ ...name, owner: 1 });
    expect(await made.layer.takeBack()).toBe(1);
    return get(key);
  };
  const part = await partCopies.copyPart({ ...target, uploadId, number: 1, from: name });
  await uploads.complete({ ...target, uploadId, parts: [part] });
  await clean(made);
  const found = await objects.open(target);
  if (found.outcome !== 'opened') throw new Error('not modified');
  expect(await gather(found.object.read(0, 9000))).toEqual(Buffer.from(pattern(9000, 1)));
});

test('a bucket that is being removed takes nothing in, whichever comes first', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(30), fc.nat(30), delays, async (before, after, delayed) => {
      const made = await world();
      made.catalog.delays = delayed;
      const turns = async (count: number): Promise<void> => {
        for (let turn = 0; turn < count; turn += 1) await Promise.resolve();
      };
      const put = turns(before).then(() => made.layer.objects.put({ ...name, content: once('x'), bytes: 1, attributes }));
      const removed = turns(after).then(() => made.layer.buckets.remove('bucket'));
      const [stored, gone] = await Promise.allSettled([put, removed]);
      expect(stored.status === 'fulfilled' && gone.status === 'fulfilled').toBe(false);
      if (gone.status === 'fulfilled') expect(made.catalog.keys('object/')).toEqual([]);
      await clean(made);
    }),
    { numRuns: 100, interruptAfterTimeLimit: 10_000 },
  );
});

test('a deletion of a bucket that a crash interrupted is finished, or taken back where something is in it', async () => {
  const made = await world();
  await made.layer.buckets.create({ name: 'other', account: 1, pool: 'default' });
  await made.layer.objects.put({ bucket: 'other', key: 'a', content: once('x'), bytes: 1, attributes });
  for (const entry of await made.catalog.range('bucket/')) {
    const { decodeBucket, encodeBucket } = await import('../../../src/catalog/object_records.js');
    const value = encodeBucket({ ...decodeBucket(entry.value), deleting: true });
    await made.catalog.transact([], [{ key: entry.key, value }]);
  }
  await made.start();
  await expect(made.layer.buckets.get('bucket')).rejects.toMatchObject({ reason: 'no-such-bucket' });
  expect((await made.layer.buckets.get('other')).record.deleting).toBe(false);
  expect((await made.layer.objects.head({ bucket: 'other', key: 'a' })).bytes).toBe(1);
});

test('what is left of a body that could not be stored is told of with the request that brought it', async () => {
  const told: unknown[] = [];
  const made = await ObjectWorld.open({ log: (_level, _message, fields) => void told.push(fields?.['requestId']) });
  const { buckets, objects, uploads } = made.layer;
  await buckets.create({ name: 'bucket', account: 1, pool: 'default' });
  const uploadId = await uploads.create({ ...name, attributes });
  const fails = (): void => {
    const lost = (): SkerryError => new SkerryError('io', 'the disk is gone');
    made.shelves.faults.push(lost(), lost());
  };
  fails();
  const cause = { requester: '', address: '', requestId: '1A' };
  const body = { content: once(pattern(9000, 1)), bytes: 9000 };
  await expect(objects.put({ ...name, ...body, attributes, cause })).rejects.toMatchObject({ code: 'io' });
  fails();
  const part = { ...name, ...body, content: once(pattern(9000, 1)), uploadId, number: 1, requestId: '2B' };
  await expect(uploads.putPart(part)).rejects.toMatchObject({ code: 'io' });
  expect(told).toEqual(['1A', '2B']);
});

test('a part that is a whole source is not read for a sum that the source has', async () => {
  const made = await world();
  const { objects, uploads, partCopies } = made.layer;
  const expected = { checksum: { algorithm: 'CRC32' } } as const;
  const { checksum } = await objects.put({ ...name, content: once(pattern(9000, 1)), bytes: 9000, attributes, expected });
  const target = { bucket: 'bucket', key: 'b' };
  const uploadId = await uploads.create({ ...target, attributes, checksum: { algorithm: 'CRC32', type: 'composite' } });
  const { reads } = made.shelves;
  const whole = await partCopies.copyPart({ ...target, uploadId, number: 1, from: name });
  expect([whole.checksum, made.shelves.reads]).toEqual([checksum?.value, reads]);
  const range = { offset: 0, bytes: 8999 };
  const piece = await partCopies.copyPart({ ...target, uploadId, number: 2, from: name, range });
  expect(piece.checksum).not.toBe(whole.checksum);
  expect(made.shelves.reads).toBeGreaterThan(reads);
});
