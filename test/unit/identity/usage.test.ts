import { expect, it } from 'vitest';

import { usagePrefix } from '../../../src/catalog/keys.js';
import { hour_milliseconds as hour, Usage, type UsageOptions } from '../../../src/identity/usage.js';
import { MemoryCatalog } from './memory_catalog.js';

const start = Date.UTC(2026, 10, 23, 10);
const get = { operation: 'read', status: '2xx', bytesIn: 100, bytesOut: 5000 } as const;

async function world(options: Partial<UsageOptions> = {}) {
  const catalog = new MemoryCatalog();
  const clock = { now: start + 60_000 };
  const stored = new Map<string, number>();
  const open = () =>
    Usage.open({
      catalog,
      now: () => clock.now,
      stored: () => [...stored].map(([bucket, bytes]) => ({ account: 1, bucket, stored: { bytes, objects: bytes / 10 } })),
      days: 2,
      ...options,
    });
  return { catalog, clock, stored, open, usage: await open() };
}

const slicesOf = async (usage: Usage, account: number, window: { from: number; to: number }) =>
  (await usage.read(account, window)).slices;
const all = { from: start - 48 * hour, to: start + 48 * hour };

it('requests count for their hour, bucket, operation and status, at once and after a flush', async () => {
  const { usage, clock, open } = await world();
  usage.record(1, 'a', get);
  usage.record(1, 'a', get);
  usage.record(1, 'a', { ...get, status: '4xx', bytesOut: 1 });
  usage.record(1, '', { operation: 'list', status: '2xx', bytesIn: 1, bytesOut: 2 });
  usage.record(2, 'a', get);
  clock.now = start + hour;
  usage.record(1, 'a', get);
  const expected = [
    {
      hour: start,
      account: 1,
      bucket: '',
      cells: [{ operation: 'list', status: '2xx', requests: 1, bytesIn: 1, bytesOut: 2 }],
      stored: null,
      uniqueBytes: null,
    },
    {
      hour: start,
      account: 1,
      bucket: 'a',
      cells: [
        { ...get, requests: 2, bytesIn: 200, bytesOut: 10_000 },
        { ...get, status: '4xx', requests: 1, bytesOut: 1 },
      ],
      stored: null,
      uniqueBytes: null,
    },
    { hour: start + hour, account: 1, bucket: 'a', cells: [{ ...get, requests: 1 }], stored: null, uniqueBytes: null },
  ];
  expect(await slicesOf(usage, 1, all)).toEqual(expected);
  await usage.flush();
  expect(await slicesOf(usage, 1, all)).toEqual(expected);
  expect(await slicesOf(await open(), 1, all)).toEqual(expected);
  expect(await slicesOf(usage, 1, { from: start + 1, to: start + 2 * hour })).toEqual(expected.slice(2));
  expect(await slicesOf(usage, 3, all)).toEqual([]);
});

it('a restart goes on with the hour that was begun; a kill loses what was not flushed', async () => {
  const { usage, open } = await world();
  usage.record(1, 'a', get);
  await usage.flush();
  usage.record(1, 'a', get);
  const again = await open();
  again.record(1, 'a', get);
  await again.flush();
  await again.flush();
  expect((await slicesOf(again, 1, all))[0]?.cells).toEqual([{ ...get, requests: 2, bytesIn: 200, bytesOut: 10_000 }]);
});

it('a flush that fails loses nothing, whether or not it was written, and over the end of an hour', async () => {
  const { usage, catalog, clock, open } = await world();
  for (const fault of ['before', 'after'] as const) {
    usage.record(1, 'a', get);
    catalog.next = () => fault;
    const flushing = usage.flush();
    clock.now += hour;
    usage.record(1, 'b', get);
    await expect(flushing).rejects.toThrow(/the disk failed/);
    catalog.next = () => 'none';
    await usage.flush();
  }
  const requests = (await slicesOf(await open(), 1, all)).map(({ hour: at, bucket, cells }) => [at, bucket, cells[0]?.requests]);
  expect(requests).toEqual([
    [start, 'a', 1],
    [start + hour, 'a', 1],
    [start + hour, 'b', 1],
    [start + 2 * hour, 'b', 1],
  ]);
});

it('what is stored is sampled with each flush: as of the last, and at most', async () => {
  const { usage, stored, clock, open } = await world();
  stored.set('a', 100);
  await usage.flush();
  stored.set('a', 300);
  await usage.flush();
  stored.set('a', 200);
  await usage.flush();
  expect((await slicesOf(usage, 1, all))[0]?.stored).toEqual({ bytes: 200, objects: 20, bytesMax: 300, objectsMax: 30 });
  const again = await open();
  stored.clear();
  await again.flush();
  expect((await slicesOf(again, 1, all))[0]?.stored).toEqual({ bytes: 0, objects: 0, bytesMax: 300, objectsMax: 30 });
  stored.set('a', 50);
  clock.now += hour;
  await again.flush();
  expect((await slicesOf(again, 1, all)).map((slice) => slice.stored?.bytes)).toEqual([0, 50]);
});

it('slices that are too old go', async () => {
  const { usage, catalog, clock } = await world();
  for (let at = 0; at < 72; at += 1) {
    clock.now = start + at * hour;
    usage.record(1, 'a', get);
    await usage.flush();
  }
  const hours = (await catalog.range(usagePrefix)).map(({ key }) => key.slice(usagePrefix.length, usagePrefix.length + 13));
  expect(hours).toHaveLength(49);
  expect(hours[0]).toBe('2026-11-24T09');
});

it('a clock that is set back goes on with the hour that was begun', async () => {
  const { usage, clock } = await world();
  usage.record(1, 'a', get);
  clock.now -= 3 * hour;
  usage.record(1, 'a', get);
  expect((await slicesOf(usage, 1, all)).map((slice) => [slice.hour, slice.cells[0]?.requests])).toEqual([[start, 2]]);
});

it('more than fits in an answer is refused', async () => {
  const { usage } = await world();
  await expect(usage.read(1, { from: 0, to: start })).rejects.toThrow(/at most 92 days/);
});

it('a long answer comes in parts, each with whole hours', async () => {
  const { usage, clock } = await world();
  for (let at = 0; at < 5; at += 1) {
    clock.now = start + at * hour;
    for (const bucket of ['a', 'b']) usage.record(1, bucket, get);
  }
  const found = [];
  for (let from: number | null = start; from !== null; ) {
    const part = await usage.read(1, { from, to: start + 48 * hour, slicesMax: 3 });
    found.push(part.slices.length);
    from = part.next;
  }
  expect(found).toEqual([4, 4, 2]);
});

it('of more buckets than there is room for, requests count for their account', async () => {
  const { usage, open } = await world();
  const buckets = 16_500;
  for (let bucket = 0; bucket < buckets; bucket += 1) usage.record(1, `b${bucket}`, get);
  usage.record(1, 'b0', get);
  usage.record(2, 'late', get);
  await usage.flush();
  for (const one of [usage, await open()]) {
    const slices = await slicesOf(one, 1, all);
    expect(slices.length).toBe(16_385);
    expect(slices[0]).toMatchObject({ bucket: '', cells: [{ requests: buckets - 16_384 }] });
    expect(slices.reduce((sum, { cells }) => sum + (cells[0]?.requests ?? 0), 0)).toBe(buckets + 1);
    expect(await slicesOf(one, 2, all)).toMatchObject([{ bucket: '' }]);
  }
});

it('what is unique stands under no bucket, from when it is noted, and is still known after a flush', async () => {
  const { usage, clock, open } = await world();
  usage.noteUnique(1, 5000);
  usage.noteUnique(1, 4000);
  await usage.flush();
  clock.now = start + hour;
  usage.record(1, '', get);
  usage.record(1, 'a', get);
  const unique = (of: Usage) =>
    slicesOf(of, 1, all).then((slices) => slices.map(({ bucket, uniqueBytes }) => [bucket, uniqueBytes]));
  const expected = [
    ['', 4000],
    ['', null],
    ['a', null],
  ];
  expect(await unique(usage)).toEqual(expected);
  await usage.flush();
  expect(await unique(await open())).toEqual(expected);
});
