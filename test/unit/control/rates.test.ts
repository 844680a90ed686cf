import { expect, it } from 'vitest';

import { ratesBetween } from '../../../src/control/rates.js';
import { fakeActivity } from '../northbound/admin/fake_resources.js';

it('a rate is the difference of two looks over the time between them', () => {
  const { seconds, resources } = ratesBetween(fakeActivity(10, 100), fakeActivity(12, 500));
  expect(seconds).toBe(2);
  expect(resources).toHaveLength(1);
  const [vm1] = resources;
  expect(vm1?.read).toMatchObject({ iops: 200, bytesPerSecond: 200 * 4096, errorsPerSecond: 0 });
  expect(vm1?.read.latencySeconds).toBeCloseTo(0.002, 9);
  expect(vm1?.write).toEqual({ iops: 0, bytesPerSecond: 0, errorsPerSecond: 0, latencySeconds: null });
});

it('counters that began anew count from nothing, and so does a daemon that did', () => {
  expect(ratesBetween(fakeActivity(10, 500), fakeActivity(12, 100)).resources[0]?.read.iops).toBe(50);
  expect(ratesBetween(fakeActivity(1000, 50), fakeActivity(4, 100))).toMatchObject({
    seconds: 4,
    resources: [{ read: { iops: 25 } }],
  });
});

it('what was attached meanwhile counts from nothing; what has gone is not there; the busiest is first', () => {
  const before = { ...fakeActivity(10, 100), resources: [] };
  expect(ratesBetween(before, fakeActivity(12, 100)).resources[0]?.read.iops).toBe(50);
  expect(ratesBetween(fakeActivity(10, 100), { ...fakeActivity(12, 0), resources: [] }).resources).toEqual([]);
  const [one] = fakeActivity(12, 10).resources;
  if (one === undefined) throw new Error('there is one');
  const two = { ...fakeActivity(12, 0), resources: [one, { ...one, id: 2, name: 'zz', read: { ...one.read, operations: 99 } }] };
  expect(ratesBetween(before, two).resources.map(({ name }) => name)).toEqual(['zz', 'vm1']);
});
