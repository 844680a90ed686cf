/** What others do between what was looked at and what is made of it. */
import { expect, test } from 'vitest';

import { decodeShelf } from '../../../src/catalog/shelf_records.js';
import { SkerryError } from '../../../src/core/errors.js';
import type { ObjectLayer } from '../../../src/object/object_layer.js';
import { gather, ObjectWorld, once } from '../../harness/object_world.ts';

const day = 86_400_000;
const attributes = { owner: 1 };
const name = { bucket: 'bucket', key: 'a' };

async function world(): Promise<ObjectWorld> {
  const made = await ObjectWorld.open();
  await made.layer.buckets.create({ name: 'bucket', account: 1, pool: 'default' });
  return made;
}

const put = (layer: ObjectLayer, data: string, more = {}) =>
  layer.objects.put({ ...name, content: once(data), bytes: data.length, attributes: { ...attributes, ...more } });

async function content(layer: ObjectLayer): Promise<string> {
  const opened = await layer.objects.open(name);
  if (opened.outcome !== 'opened') throw new Error('not modified');
  return (await gather(opened.object.read(0, opened.object.version.bytes)).finally(() => opened.object.close())).toString();
}

/** Runs `work` once after a bucket was read next, before whoever read it goes on. */
function afterBucketIsRead(layer: ObjectLayer, work: () => Promise<unknown>): void {
  const get = layer.buckets.get.bind(layer.buckets);
  layer.buckets.get = async (bucket) => {
    const found = await get(bucket);
    layer.buckets.get = get;
    await work();
    return found;
  };
}

/** Runs `work` before the next removal. */
function beforeRemoval(layer: ObjectLayer, work: () => Promise<unknown>): void {
  const remove = layer.objects.remove.bind(layer.objects);
  layer.objects.remove = async (order) => {
    layer.objects.remove = remove;
    await work();
    return remove(order);
  };
}

test('a removal that began before versions were kept takes none of those that are', async () => {
  const { layer } = await world();
  await put(layer, 'held');
  afterBucketIsRead(layer, async () => {
    await layer.buckets.set('bucket', { versioning: 'enabled' });
    await layer.buckets.set('bucket', { objectLock: true });
    await layer.objects.setAttributes(name, { legalHold: true });
  });
  expect(await layer.objects.remove({ ...name, owner: 1 })).toMatchObject({ deleteMarker: true });
  expect((await layer.objects.head({ ...name, versionId: 'null' })).bytes).toBe(4);
});

test('a reader that began before versioning was suspended finds what was there, or what came', async () => {
  const { layer } = await world();
  await put(layer, 'old');
  afterBucketIsRead(layer, async () => {
    await layer.buckets.set('bucket', { versioning: 'suspended' });
    await put(layer, 'new');
  });
  expect(await content(layer)).toBe('new');
});

test('a null version that was replaced after a rule was judged is another one', async () => {
  const made = await world();
  const { layer } = made;
  await put(layer, 'old');
  await layer.buckets.set('bucket', { versioning: 'enabled' });
  await put(layer, 'newer');
  await layer.buckets.set('bucket', { versioning: 'suspended' });
  made.now += 10 * day;
  beforeRemoval(layer, () => put(layer, 'newest'));
  const rules = [{ id: 'a', enabled: true, filter: {}, noncurrent: { days: 3 } }];
  expect(await layer.runLifecycle('bucket', 1, rules)).toMatchObject({ removed: 0 });
  expect(await content(layer)).toBe('newest');
});

test('a delete marker that an object took the place of is not removed by its name', async () => {
  const made = await world();
  const { layer } = made;
  await layer.buckets.set('bucket', { versioning: 'suspended' });
  await layer.objects.remove({ ...name, owner: 1 });
  made.now += 10 * day;
  beforeRemoval(layer, () => put(layer, 'new'));
  const rules = [{ id: 'a', enabled: true, filter: {}, expiration: { deleteMarkers: true } }];
  expect(await layer.runLifecycle('bucket', 1, rules)).toMatchObject({ removed: 0 });
  expect(await content(layer)).toBe('new');
});

test('a version that became the current one again after a rule was judged stays', async () => {
  const made = await world();
  const { layer } = made;
  await layer.buckets.set('bucket', { versioning: 'enabled' });
  await put(layer, 'old');
  const { versionId } = await layer.objects.remove({ ...name, owner: 1 });
  made.now += 10 * day;
  beforeRemoval(layer, () => layer.objects.remove({ ...name, owner: 1, versionId: versionId ?? '' }));
  const rules = [{ id: 'a', enabled: true, filter: {}, noncurrent: { days: 3 } }];
  expect(await layer.runLifecycle('bucket', 1, rules)).toMatchObject({ removed: 0 });
  expect(await content(layer)).toBe('old');
});

test('an object whose tag was taken away after a rule was judged stays', async () => {
  const made = await world();
  const { layer } = made;
  await put(layer, 'old', { tags: { scratch: '1' } });
  made.now += 10 * day;
  beforeRemoval(layer, () => layer.objects.setAttributes(name, { tags: {} }));
  const rules = [{ id: 'a', enabled: true, filter: { tags: { scratch: '1' } }, expiration: { days: 3 } }];
  expect(await layer.runLifecycle('bucket', 1, rules)).toMatchObject({ expired: 0 });
  expect(await content(layer)).toBe('old');
});

test('what a bucket keeps by default is kept from when the object came to be, however long it took', async () => {
  const made = await world();
  const { layer } = made;
  await layer.buckets.set('bucket', { versioning: 'enabled' });
  const uploadId = await layer.uploads.create({ ...name, attributes });
  const part = await layer.uploads.putPart({ ...name, uploadId, number: 1, content: once('x'), bytes: 1 });
  await layer.buckets.set('bucket', { objectLock: true, defaultRetention: { mode: 'compliance', days: 5 } });
  made.now += 10 * day;
  const completed = await layer.uploads.complete({ ...name, uploadId, parts: [part] });
  expect(completed.attributes.retention).toEqual({ mode: 'compliance', until: made.now + 5 * day });
  async function* slow(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(1);
    made.now += 10 * day;
    await layer.buckets.set('bucket', { defaultRetention: { mode: 'compliance', days: 7 } });
  }
  const slowly = await layer.objects.put({ ...name, content: slow(), bytes: 1, attributes });
  expect(slowly.attributes.retention).toEqual({ mode: 'compliance', until: made.now + 7 * day });
  const copied = await layer.copies.copy({ bucket: 'bucket', key: 'b', from: name, owner: 1 });
  expect(copied.attributes.retention).toEqual({ mode: 'compliance', until: made.now + 7 * day });
});

async function uploaded(layer: ObjectLayer) {
  const uploadId = await layer.uploads.create({ ...name, attributes });
  const part = await layer.uploads.putPart({ ...name, uploadId, number: 1, content: once('whole'), bytes: 5 });
  return { ...name, uploadId, parts: [part] };
}

test('who asks to complete an upload twice is told of one version, before the first answer and after it', async () => {
  const made = await world();
  const { layer } = made;
  await layer.buckets.set('bucket', { versioning: 'enabled' });
  const order = await uploaded(layer);
  const [first, second] = await Promise.all([layer.uploads.complete(order), layer.uploads.complete(order)]);
  await put(layer, 'newer');
  expect([second.versionId, (await layer.uploads.complete(order)).versionId]).toEqual([first.versionId, first.versionId]);
  expect((await layer.listing.versions({ bucket: 'bucket' })).entries.length).toBe(2);
  await expect(layer.uploads.abort(order)).rejects.toMatchObject({ reason: 'no-such-upload' });
  await layer.takeBack();
  expect(await made.audit()).toEqual([]);
});

test('a completion in doubt is made certain by asking again', async () => {
  for (const fault of ['before', 'after'] as const) {
    const made = await world();
    const order = await uploaded(made.layer);
    made.catalog.faults.push(fault);
    await expect(made.layer.uploads.complete(order)).rejects.toMatchObject({ code: 'io' });
    const before = made.catalog.transactions;
    expect((await made.layer.uploads.complete(order)).bytes).toBe(5);
    // What is there is not known to be durable until something was committed after it.
    expect(made.catalog.transactions).toBeGreaterThan(before);
    expect(await content(made.layer)).toBe('whole');
    await made.layer.takeBack();
    expect(await made.audit()).toEqual([]);
  }
});

test('a part that comes while an upload fails to be completed is taken', async () => {
  const made = await world();
  const { uploads } = made.layer;
  const { uploadId, parts } = await uploaded(made.layer);
  made.catalog.delays = [20];
  const order = { ...name, uploadId, parts, conditions: { ifMatch: ['other'] } };
  const failing = uploads.complete(order);
  const second = uploads.putPart({ ...name, uploadId, number: 2, content: once('more'), bytes: 4 });
  await expect(failing).rejects.toMatchObject({ reason: 'no-such-key' });
  await uploads.complete({ ...name, uploadId, parts: [...parts, await second] });
  expect(await content(made.layer)).toBe('wholemore');
});

test('a pool that is away keeps nothing of another from being taken back', async () => {
  const made = await world();
  const { layer } = made;
  await layer.buckets.create({ name: 'other', account: 1, pool: 'away' });
  const putIn = (bucket: string, key: string, bytes: number) =>
    layer.objects.put({ bucket, key, content: once(new Uint8Array(bytes).fill(1)), bytes, attributes });
  for (const bucket of ['other', 'bucket', 'other', 'bucket'] as const) await putIn(bucket, 'a', 5000);
  await putIn('bucket', 'b', 5000);
  const [away] = (await made.catalog.range('shelf/away/')).map(({ value }) => decodeShelf(value).id);
  const write = made.shelves.write.bind(made.shelves);
  made.shelves.write = async (shelf, ...rest) => {
    if (shelf === away) throw new SkerryError('unavailable', 'its pool is away');
    return write(shelf, ...rest);
  };
  // The next life has regions of both to look through, and bodies of both to take back.
  await made.start();
  await made.layer.objects.remove({ ...name, owner: 1 });
  await expect(made.layer.takeBack()).rejects.toMatchObject({ code: 'unavailable' });
  expect(made.catalog.keys('released/').length).toBe(1);
  expect(made.catalog.keys('region/').length).toBe(1);
  made.shelves.write = write;
  await made.layer.takeBack();
  expect(await made.audit()).toEqual([]);
});
