import { expect, test } from 'vitest';

import { ObjectWorld, once } from '../../harness/object_world.ts';

const day = 86_400_000;
const attributes = { owner: 1 };

test('rules are carried out over all pages of a bucket, and what is kept stays', async () => {
  const world = await ObjectWorld.open();
  const { buckets, objects, uploads, listing } = world.layer;
  await buckets.create({ name: 'bucket', account: 1, pool: 'default', objectLock: true });
  const put = (key: string, more = {}) =>
    objects.put({ bucket: 'bucket', key, content: once('x'), bytes: 1, attributes: { ...attributes, ...more } });
  for (let index = 0; index < 1100; index += 1) await put(`old/${String(index).padStart(4, '0')}`);
  await put('replaced');
  const locked = await put('locked', { retention: { mode: 'compliance', until: world.now + 1000 * day } });
  await uploads.create({ bucket: 'bucket', key: 'never', attributes });
  world.now += 10 * day;
  await put('replaced');
  await put('locked');
  const rules = [
    { id: 'a', enabled: true, filter: { prefix: 'old/' }, expiration: { days: 5 } },
    { id: 'b', enabled: true, filter: {}, noncurrent: { days: 3 }, abortDays: 5 },
    { id: 'c', enabled: true, filter: {}, expiration: { deleteMarkers: true } },
  ];
  const first = await world.layer.runLifecycle('bucket', 1, rules);
  expect(first).toMatchObject({ expired: 1100, removed: 0, aborted: 1, kept: 0 });
  world.now += 10 * day;
  const second = await world.layer.runLifecycle('bucket', 1, rules);
  // What the markers hide, and what was replaced; but not what is locked.
  expect(second).toMatchObject({ expired: 0, removed: 1101, kept: 1 });
  const third = await world.layer.runLifecycle('bucket', 1, rules);
  expect(third).toMatchObject({ removed: 1100, kept: 1 });
  const { entries } = await listing.versions({ bucket: 'bucket' });
  expect(entries.map((entry) => entry.entry === 'item' && entry.item.version.versionId)).toContain(locked.versionId);
  expect(entries.length).toBe(3);
  await world.layer.takeBack();
  expect(await world.audit()).toEqual([]);
});
