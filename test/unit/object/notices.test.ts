/** Notices come with the change that they tell of, in one transaction, and are bounded. */
import { expect, test } from 'vitest';

import type { NoticeRecord } from '../../../src/catalog/notice_record.js';
import { notice_milliseconds_max, type NoticesSettings } from '../../../src/object/notices.js';
import { SkerryError } from '../../../src/core/errors.js';
import { ObjectWorld, once } from '../../harness/object_world.js';

const attributes = { owner: 1 };
const cause = { requester: 'AIDA', address: '192.0.2.7', requestId: 'R1' };

interface Told {
  readonly receiver: string;
  readonly count: number;
  readonly why: string;
}

function settings(more: Partial<NoticesSettings> = {}) {
  const dropped: Told[] = [];
  const given: NoticesSettings = {
    receivers: ['one'],
    subscriptions: async () => [{ receiver: 'one', rule: 'all' }],
    onDropped: (receiver, count, why) => dropped.push({ receiver, count, why }),
    ...more,
  };
  return { dropped, options: { notices: () => given } };
}

async function withBucket(options: ReturnType<typeof settings>['options'], versioned = false): Promise<ObjectWorld> {
  const world = await ObjectWorld.open(options);
  await world.layer.buckets.create({ name: 'bucket', account: 7, pool: 'default' });
  if (versioned) await world.layer.buckets.set('bucket', { versioning: 'enabled' });
  return world;
}

const put = ({ layer }: ObjectWorld, key: string, content = 'content') =>
  layer.objects.put({ bucket: 'bucket', key, content: once(content), bytes: content.length, attributes, cause });

async function records({ layer }: ObjectWorld, receiver = 'one'): Promise<readonly NoticeRecord[]> {
  return (await layer.notices.page(receiver, null, 1000)).map(({ record }) => record);
}

test('each way in which an object comes or goes is told, in order, with what came and who asked', async () => {
  const world = await withBucket(settings().options, true);
  const { layer } = world;
  const first = await put(world, 'a');
  await layer.objects.put({ bucket: 'bucket', key: 'b', content: once('x'), bytes: null, attributes, kind: 'form' });
  await layer.copies.copy({ bucket: 'bucket', key: 'c', from: { bucket: 'bucket', key: 'a' }, owner: 1, cause });
  const uploadId = await layer.uploads.create({ bucket: 'bucket', key: 'd', attributes });
  const name = { bucket: 'bucket', key: 'd', uploadId };
  const { etag } = await layer.uploads.putPart({ ...name, number: 1, content: once('part'), bytes: 4 });
  await layer.uploads.complete({ ...name, parts: [{ number: 1, etag }], cause });
  const marker = await layer.objects.remove({ bucket: 'bucket', key: 'a', owner: 1, cause });
  await layer.objects.remove({ bucket: 'bucket', key: 'a', versionId: first.versionId, owner: 1, cause });
  await layer.objects.remove({ bucket: 'bucket', key: 'b', owner: 1, expired: true });
  const told = await records(world);
  expect(told.map(({ kind, key }) => `${kind} ${key}`)).toEqual([
    'put a',
    'form b',
    'copy c',
    'upload d',
    'marked a',
    'removed a',
    'expired-marked b',
  ]);
  const { bytes, etag: put1, versionId } = first;
  expect(told[0]).toEqual({
    kind: 'put',
    rule: 'all',
    bucket: 'bucket',
    account: 7,
    key: 'a',
    versionId,
    bytes,
    etag: put1,
    at: world.now,
    ...cause,
  });
  expect(told[1]).toMatchObject({ requester: '', address: '', requestId: '' });
  expect(told[4]).toMatchObject({ versionId: marker.versionId, bytes: 0 });
  expect(told[5]).toMatchObject({ versionId });
});

test('what a rule of lifecycle ends is told as that', async () => {
  const world = await withBucket(settings().options);
  await put(world, 'old');
  world.now += 2 * 86_400_000;
  const rule = { id: 'old', enabled: true, filter: {}, expiration: { days: 1 } };
  await world.layer.runLifecycle('bucket', 7, [rule]);
  expect((await records(world)).map(({ kind, requester }) => [kind, requester])).toEqual([
    ['put', 'AIDA'],
    ['expired', ''],
  ]);
});

test('completing an upload again, and removing what is not there, tell nothing', async () => {
  const world = await withBucket(settings().options);
  const { layer } = world;
  const uploadId = await layer.uploads.create({ bucket: 'bucket', key: 'd', attributes });
  const name = { bucket: 'bucket', key: 'd', uploadId };
  const { etag } = await layer.uploads.putPart({ ...name, number: 1, content: once('part'), bytes: 4 });
  await layer.uploads.complete({ ...name, parts: [{ number: 1, etag }] });
  await layer.uploads.complete({ ...name, parts: [{ number: 1, etag }] });
  await layer.objects.remove({ bucket: 'bucket', key: 'nothing', owner: 1 });
  expect((await records(world)).map(({ kind, versionId }) => [kind, versionId])).toEqual([['upload', '']]);
});

test('a notice and its change are of one transaction', async () => {
  const world = await withBucket(settings().options);
  await put(world, 'a');
  const all = await Promise.all(['object/', 'notice/'].map((prefix) => world.catalog.range(prefix)));
  expect(all.map((entries) => entries.length)).toEqual([1, 1]);
  expect(all[0]?.[0]?.revision).toBe(all[1]?.[0]?.revision);
  await world.layer.objects.remove({ bucket: 'bucket', key: 'a', owner: 1 });
  const released = await world.catalog.range('released/');
  expect((await world.catalog.range('notice/')).at(-1)?.revision).toBe(released[0]?.revision);
});

test('a change that is not made is not told', async () => {
  const world = await withBucket(settings().options);
  world.shelves.faults.push(new SkerryError('io', 'the disk'));
  await expect(put(world, 'a')).rejects.toThrow('the disk');
  await put(world, 'b');
  const again = { bucket: 'bucket', key: 'b', content: once('x'), bytes: 1, attributes, conditions: { ifNoneMatch: ['*'] } };
  await expect(world.layer.objects.put(again)).rejects.toMatchObject({ reason: 'precondition-failed' });
  expect((await records(world)).map(({ key }) => key)).toEqual(['b']);
});

test('each rule that a change meets has a notice of its own, and none without a receiver', async () => {
  const rules = [
    { receiver: 'one', rule: '1' },
    { receiver: 'two', rule: '2' },
    { receiver: 'gone', rule: '3' },
  ];
  const { options, dropped } = settings({ receivers: ['one', 'two'], subscriptions: async () => rules });
  const world = await withBucket(options);
  await put(world, 'a');
  expect((await records(world)).map(({ rule }) => rule)).toEqual(['1']);
  expect((await records(world, 'two')).map(({ rule }) => rule)).toEqual(['2']);
  expect(dropped).toEqual([{ receiver: 'gone', count: 1, why: expect.stringContaining('no such webhook') }]);
});

test('what waits is bounded: what finds no room is dropped, the change is made, and removing makes room', async () => {
  const { options, dropped } = settings({ bytesMax: 500 });
  const world = await withBucket(options);
  for (let at = 0; at < 10; at += 1) await put(world, `key-${at}`);
  const waiting = await world.layer.notices.page('one', null, 1000);
  expect(waiting.length).toBeGreaterThan(1);
  expect(waiting.length + dropped.length).toBe(10);
  expect(world.layer.notices.waiting().get('one')?.notices).toBe(waiting.length);
  expect(world.layer.notices.waiting().get('one')?.bytes).toBeLessThanOrEqual(500);
  expect(await world.layer.objects.head({ bucket: 'bucket', key: 'key-9' })).toMatchObject({ bytes: 7 });
  await world.layer.notices.remove('one', waiting);
  expect(world.layer.notices.waiting().get('one')).toEqual({ notices: 0, bytes: 0 });
  await put(world, 'last');
  expect((await records(world)).map(({ key }) => key)).toEqual(['last']);
});

test('another life finds what waits; what is for nobody any more goes when it is a day old', async () => {
  const { options } = settings({
    receivers: ['one', 'two'],
    subscriptions: async () => [
      { receiver: 'one', rule: '' },
      { receiver: 'two', rule: '' },
    ],
  });
  const world = await withBucket(options);
  for (const key of ['a', 'b']) await put(world, key);
  const before = world.layer.notices.waiting().get('one');
  const later = settings();
  await world.start(later.options);
  expect(world.layer.notices.waiting().get('one')).toEqual(before);
  expect((await records(world, 'two')).length).toBe(2);
  expect(later.dropped).toEqual([]);
  world.now += notice_milliseconds_max + 1;
  await world.start(later.options);
  expect((await records(world)).length).toBe(2);
  expect((await records(world, 'two')).length).toBe(0);
  expect(later.dropped).toEqual([{ receiver: 'two', count: 2, why: expect.stringContaining('no such webhook') }]);
});

test('rules that cannot be read keep nobody from storing', async () => {
  const { options, dropped } = settings({ subscriptions: async () => Promise.reject(new SkerryError('corrupt', 'no rules')) });
  const world = await withBucket(options);
  await put(world, 'a');
  expect(await records(world)).toEqual([]);
  expect(dropped).toEqual([{ receiver: '', count: 1, why: expect.stringContaining('no rules') }]);
});

test('who waits for notices hears of the next one', async () => {
  const world = await withBucket(settings().options);
  const coming = world.layer.notices.coming('one');
  await put(world, 'a');
  await coming;
  expect((await records(world)).length).toBe(1);
});
