/** What a bucket is counted to hold: its objects, and the parts of uploads that nobody has completed yet. */
import fc from 'fast-check';
import { expect, test } from 'vitest';

import { decodeObject, decodePart, encodePart } from '../../../src/catalog/object_records.js';
import { isSkerryError } from '../../../src/core/errors.js';
import { Identity } from '../../../src/identity/identity.js';
import type { ObjectLayer } from '../../../src/object/object_layer.js';
import { QuotaMeter } from '../../../src/object/quota_meter.js';
import type { CompleteOrder } from '../../../src/object/uploads.js';
import { ObjectWorld, once, pattern } from '../../harness/object_world.ts';
import { temporaryDirectory } from '../temporary_directory.js';

const attributes = { owner: 1 };
const bucket = 'bucket';
const quotaExceeded = expect.objectContaining({ code: 'no-space', reason: 'quota-exceeded' });

/** An object layer whose buckets are counted. */
class CountedWorld {
  readonly world = new ObjectWorld();
  readonly #directory = temporaryDirectory();
  readonly logged: string[] = [];
  identity!: Identity;
  account = 0;

  static async open(): Promise<CountedWorld> {
    const made = new CountedWorld();
    await made.start();
    made.account = (await made.identity.accounts.create('acme')).id;
    await made.layer.buckets.create({ name: bucket, account: made.account, pool: 'default' });
    return made;
  }

  get layer(): ObjectLayer {
    return this.world.layer;
  }

  /** Another life over what is there. */
  async start(): Promise<void> {
    const { catalog } = this.world;
    this.identity = await Identity.open({
      catalog,
      dataDirectory: this.#directory,
      now: () => 0,
      holds: async () => null,
      usageDays: 1,
      log: () => undefined,
    });
    const log = (_level: 'error', message: string): void => void this.logged.push(message);
    await this.world.start({ meter: new QuotaMeter({ quotas: this.identity.quotas, log }) });
  }

  get held() {
    return this.identity.quotas.held(this.account, bucket);
  }

  /** Added up from the records that there are. */
  async there(): Promise<{ readonly bytes: number; readonly objects: number }> {
    const versions = (await this.world.catalog.range('object/')).map(({ value }) => decodeObject(value));
    const objects = versions.filter(({ deleteMarker }) => !deleteMarker);
    const parts = (await this.world.catalog.range('upload-part/')).map(({ value }) => decodePart(value).part);
    return { bytes: [...objects, ...parts].reduce((sum, { bytes }) => sum + bytes, 0), objects: objects.length };
  }

  limit(bytes: number): Promise<void> {
    return this.identity.quotas.setLimit('acme', { bytes, objects: 0 });
  }
}

const upload = (layer: ObjectLayer, key = 'a') => layer.uploads.create({ bucket, key, attributes });

function putPart(layer: ObjectLayer, uploadId: string, number: number, bytes: number, { told = true, key = 'a' } = {}) {
  const content = once(pattern(bytes, number));
  return layer.uploads.putPart({ bucket, key, uploadId, number, content, bytes: told ? bytes : null });
}

test('parts take room as they come, and give it back when they are replaced, left out or aborted', async () => {
  const counted = await CountedWorld.open();
  const { layer } = counted;
  const name = { bucket, key: 'a', uploadId: await upload(layer) };
  await putPart(layer, name.uploadId, 1, 1000);
  await putPart(layer, name.uploadId, 2, 500, { told: false });
  expect(counted.held.stored).toEqual({ bytes: 1500, objects: 0 });
  const first = await putPart(layer, name.uploadId, 1, 600);
  expect(counted.held.stored).toEqual({ bytes: 1100, objects: 0 });
  await layer.uploads.complete({ ...name, parts: [first] });
  expect(counted.held.stored).toEqual({ bytes: 600, objects: 1 });
  const aborted = await upload(layer);
  await putPart(layer, aborted, 7, 400);
  const from = { bucket, key: 'a' };
  await layer.partCopies.copyPart({ ...name, uploadId: aborted, number: 8, from, range: { offset: 0, bytes: 50 } });
  expect(counted.held.stored).toEqual({ bytes: 1050, objects: 1 });
  await layer.uploads.abort({ ...name, uploadId: aborted });
  expect(counted.held).toEqual({ stored: { bytes: 600, objects: 1 }, reserved: { bytes: 0, objects: 0 } });
});

test('a part that its upload leaves no room for is refused before a byte of it is taken, and an abort makes room', async () => {
  const counted = await CountedWorld.open();
  const { layer } = counted;
  await counted.limit(1000);
  const uploadId = await upload(layer);
  await putPart(layer, uploadId, 1, 800);
  let taken = false;
  async function* content(): AsyncGenerator<Uint8Array> {
    taken = true;
    yield* once(pattern(300, 2));
  }
  const refused = layer.uploads.putPart({ bucket, key: 'a', uploadId, number: 2, content: content(), bytes: 300 });
  await expect(refused).rejects.toEqual(quotaExceeded);
  expect(taken).toBe(false);
  await expect(putPart(layer, uploadId, 2, 300, { told: false })).rejects.toEqual(quotaExceeded);
  const put = { bucket, key: 'b', content: once(pattern(300, 3)), bytes: 300, attributes };
  await expect(layer.objects.put(put)).rejects.toEqual(quotaExceeded);
  await expect(
    layer.partCopies.copyPart({ bucket, key: 'a', uploadId, number: 3, from: { bucket, key: 'none' } }),
  ).rejects.toMatchObject({ code: 'not-found' });
  await layer.uploads.abort({ bucket, key: 'a', uploadId });
  await layer.objects.put({ ...put, content: once(pattern(300, 3)) });
  expect(counted.held).toEqual({ stored: { bytes: 300, objects: 1 }, reserved: { bytes: 0, objects: 0 } });
  await counted.world.layer.takeBack();
  expect(await counted.world.audit()).toEqual([]);
});

test('an upload that fills a quota to the last byte is completed: its parts have their room already', async () => {
  const counted = await CountedWorld.open();
  const { layer } = counted;
  await counted.limit(1000);
  const uploadId = await upload(layer);
  const parts = [await putPart(layer, uploadId, 1, 600), await putPart(layer, uploadId, 2, 400)];
  await layer.uploads.complete({ bucket, key: 'a', uploadId, parts });
  expect(counted.held).toEqual({ stored: { bytes: 1000, objects: 1 }, reserved: { bytes: 0, objects: 0 } });
});

test('parts that an older Skerry stored, and did not count, are counted when their upload is completed', async () => {
  const counted = await CountedWorld.open();
  const { layer } = counted;
  const older = await layer.uploads.create({ bucket, key: 'a', attributes });
  const parts = [await putPart(layer, older, 1, 600), await putPart(layer, older, 2, 400)];
  // As if it were that one's: the record without the mark, and the bytes in no counter.
  const [entry] = await counted.world.catalog.range('upload-part/');
  if (entry === undefined) throw new Error('the part is not there');
  const { counted: _mark, ...record } = decodePart(entry.value);
  await counted.world.catalog.transact([], [{ key: entry.key, value: encodePart(record) }]);
  const outcome = counted.identity.quotas.reserve(counted.account, bucket, { bytes: 0, objects: 0 });
  if (outcome.outcome !== 'reserved') throw new Error('refused');
  await outcome.reservation.commit({ bytes: -600, objects: 0 }, ({ compares, writes }) =>
    counted.world.catalog.transact(compares, writes),
  );
  expect(counted.held.stored).toEqual({ bytes: 400, objects: 0 });
  await layer.uploads.complete({ bucket, key: 'a', uploadId: older, parts });
  expect(counted.held.stored).toEqual({ bytes: 1000, objects: 1 });
});

type Step =
  | { readonly do: 'part'; readonly at: number; readonly number: number; readonly bytes: number; readonly told: boolean }
  | { readonly do: 'copy-part'; readonly at: number; readonly number: number }
  | { readonly do: 'complete'; readonly at: number; readonly first: boolean }
  | { readonly do: 'abort'; readonly at: number }
  | { readonly do: 'put'; readonly bytes: number }
  | { readonly do: 'remove' };

const at = fc.nat(1);
const number = fc.integer({ min: 1, max: 3 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant('part' as const),
    at,
    number,
    bytes: fc.constantFrom(0, 1, 4096, 70_000),
    told: fc.boolean(),
  }),
  fc.record({ do: fc.constant('copy-part' as const), at, number }),
  fc.record({ do: fc.constant('complete' as const), at, first: fc.boolean() }),
  fc.record({ do: fc.constant('abort' as const), at }),
  fc.record({ do: fc.constant('put' as const), bytes: fc.constantFrom(0, 5000, 70_000) }),
  fc.record({ do: fc.constant('remove' as const) }),
);

/** Two uploads; one that has ended begins anew. */
async function take(layer: ObjectLayer, uploads: string[], one: Step): Promise<void> {
  if (one.do === 'put') {
    await layer.objects.put({ bucket, key: 'a', content: once(pattern(one.bytes, 9)), bytes: one.bytes, attributes, account: 1 });
    return;
  }
  if (one.do === 'remove') {
    await layer.objects.remove({ bucket, key: 'a', owner: 1 });
    return;
  }
  const uploadId = (uploads[one.at] ||= await upload(layer));
  const name = { bucket, key: 'a', uploadId };
  if (one.do === 'part') {
    await putPart(layer, uploadId, one.number, one.bytes, { told: one.told });
  } else if (one.do === 'copy-part') {
    await layer.partCopies.copyPart({ ...name, number: one.number, from: { bucket, key: 'a' } });
  } else if (one.do === 'abort') {
    await layer.uploads.abort(name);
    uploads[one.at] = '';
  } else {
    const { parts } = await layer.uploads.listParts(name);
    const listed: CompleteOrder['parts'] = one.first ? parts.slice(0, 1) : parts;
    await layer.uploads.complete({ ...name, parts: listed });
    uploads[one.at] = '';
  }
}

const expected = (error: unknown): boolean => isSkerryError(error, 'not-found', 'invalid', 'no-space', 'io');

test('what is counted is what is there, whatever fails, and in the life after that', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(step, fc.constantFrom('none', 'none', 'none', 'before', 'after')), { maxLength: 14 }),
      fc.array(fc.tuple(step, fc.nat(40)), { maxLength: 3 }),
      fc.boolean(),
      async (steps, last, limited) => {
        const counted = await CountedWorld.open();
        const { world } = counted;
        const limit = limited ? 100_000 : 0;
        await counted.limit(limit);
        const uploads = ['', ''];
        for (const [one, fault] of steps) {
          if (fault !== 'none') world.catalog.faults.push(fault);
          await take(world.layer, uploads, one).catch((error: unknown) => {
            if (!expected(error)) throw error;
          });
          world.catalog.faults.length = 0;
          const { stored, reserved } = counted.held;
          expect(stored).toEqual(await counted.there());
          expect(reserved).toEqual({ bytes: 0, objects: 0 });
          if (limited) expect(stored.bytes).toBeLessThanOrEqual(limit);
        }
        // Side by side, and stopped after some number of turns, wherever they are then.
        for (const [one, turns] of last) {
          void take(world.layer, uploads, one).catch(() => undefined);
          for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
        }
        world.catalog.freeze();
        world.shelves.freeze();
        await new Promise((resolve) => setImmediate(resolve));
        world.catalog.thaw();
        world.shelves.thaw();
        await counted.start();
        expect(counted.held).toEqual({ stored: await counted.there(), reserved: { bytes: 0, objects: 0 } });
        await world.layer.takeBack();
        expect(await world.audit()).toEqual([]);
        expect(counted.logged).toEqual([]);
      },
    ),
    { numRuns: 150, interruptAfterTimeLimit: 12_000, timeout: 6000 },
  );
});
