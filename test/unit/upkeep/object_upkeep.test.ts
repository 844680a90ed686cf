import { expect, test } from 'vitest';

import type { BucketRecord } from '../../../src/catalog/object_records.js';
import { ObjectUpkeep, type ObjectUpkeepOptions } from '../../../src/upkeep/object_upkeep.js';

const rule = { id: 'old', enabled: true, filter: {}, expiration: { days: 1 } };

function bucket(name: string, deleting = false): BucketRecord {
  return { name, account: 1, deleting } as BucketRecord;
}

function upkeep(options: Partial<ObjectUpkeepOptions['layer']> = {}) {
  const ran: string[] = [];
  const told: string[] = [];
  const layer = {
    takeBack: async () => 0,
    runLifecycle: async (name: string) => {
      ran.push(name);
      if (name === 'broken') throw new Error('the disk');
      return { looked: 2, expired: 1, removed: 0, aborted: 0, kept: 0 };
    },
    buckets: {
      async *all() {
        yield* [bucket('a'), bucket('gone', true), bucket('broken'), bucket('ruleless'), bucket('z')];
      },
    },
    ...options,
  };
  const one = new ObjectUpkeep({
    layer,
    rulesOf: async ({ name }) => (name === 'ruleless' ? [] : [rule]),
    log: (level, message, fields = {}) => told.push(`${level} ${message} ${String(fields['bucket'] ?? fields['error'])}`),
    takeBackMilliseconds: 1,
    lifecycleMilliseconds: 0,
  });
  return { one, ran, told };
}

test('rules are kept in each bucket that has some, whatever became of those before', async () => {
  const { one, ran, told } = upkeep();
  await one.keepRules();
  expect(ran).toEqual(['a', 'broken', 'z']);
  expect(told).toEqual([
    'info rules of lifecycle were kept a',
    'warn rules of lifecycle could not be kept; the next run tries again broken',
    'info rules of lifecycle were kept z',
  ]);
});

test('taking back goes on after a failure, one run at a time, until it is stopped', async () => {
  let runs = 0;
  let atOnce = 0;
  const enough = Promise.withResolvers<void>();
  const { one, told } = upkeep({
    takeBack: async () => {
      atOnce += 1;
      expect(atOnce).toBe(1);
      await new Promise((resolve) => setImmediate(resolve));
      atOnce -= 1;
      runs += 1;
      if (runs === 1) throw new Error('the pool is away');
      if (runs === 3) enough.resolve();
      return 0;
    },
  });
  one.start();
  await enough.promise;
  await one.stop();
  const after = runs;
  expect(told).toEqual(['warn room of removed objects could not be taken back; the next run tries again the pool is away']);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(runs).toBe(after);
});
