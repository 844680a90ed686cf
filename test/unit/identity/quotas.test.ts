import fc from 'fast-check';
import { expect, it } from 'vitest';

import { countedPrefix } from '../../../src/catalog/keys.js';
import type { Amount } from '../../../src/identity/counted.js';
import { Identity } from '../../../src/identity/identity.js';
import type { Quotas } from '../../../src/identity/quotas.js';
import type { Reservation } from '../../../src/identity/reservation.js';
import { temporaryDirectory } from '../temporary_directory.js';
import { MemoryCatalog } from './memory_catalog.js';

const code = (what: string) => expect.objectContaining({ code: what });
const amount = (bytes: number, objects = 1): Amount => ({ bytes, objects });

const open = (catalog: MemoryCatalog, dataDirectory = temporaryDirectory()) =>
  Identity.open({ catalog, dataDirectory, now: () => 0, holds: async () => null, usageDays: 1, log: () => {} });

async function withAccount() {
  const catalog = new MemoryCatalog();
  const directory = temporaryDirectory();
  const identity = await open(catalog, directory);
  const { id } = await identity.accounts.create('acme');
  const reopen = async () => (await open(catalog, directory)).quotas;
  return { catalog, identity, quotas: identity.quotas, id, reopen };
}

function reserved(quotas: Quotas, account: number, bucket: string, what: Amount): Reservation {
  const outcome = quotas.reserve(account, bucket, what);
  if (outcome.outcome !== 'reserved') throw new Error('refused');
  return outcome.reservation;
}

/** Stores or removes, in a transaction of its own. */
async function put(catalog: MemoryCatalog, quotas: Quotas, account: number, bucket: string, what: Amount) {
  const room = { bytes: Math.max(what.bytes, 0), objects: Math.max(what.objects, 0) };
  const reservation = reserved(quotas, account, bucket, room);
  await reservation.commit(what, ({ compares, writes }) => catalog.transact(compares, writes));
}

it('what is reserved counts until it is released, and what is committed counts as what it really was', async () => {
  const { catalog, identity, quotas, id, reopen } = await withAccount();
  await quotas.setLimit('acme', { bytes: 100, objects: 0 });
  const first = reserved(quotas, id, 'a', amount(60));
  expect(quotas.reserve(id, 'b', amount(50))).toMatchObject({ outcome: 'refused', of: 'account', what: 'bytes', limit: 100 });
  await first.commit(amount(40), ({ compares, writes }) => catalog.transact(compares, writes));
  expect(quotas.held(id)).toEqual({ stored: amount(40), reserved: amount(0, 0) });
  const second = reserved(quotas, id, 'b', amount(60));
  expect(quotas.reserve(id, 'a', amount(1)).outcome).toBe('refused');
  second.release();
  second.release();
  expect(quotas.held(id).reserved).toEqual(amount(0, 0));
  // Reservations are of this process: the next one knows only what was committed.
  reserved(quotas, id, 'b', amount(60));
  const again = await reopen();
  expect(again.held(id)).toEqual({ stored: amount(40), reserved: amount(0, 0) });
  expect(again.limit(id)).toEqual({ bytes: 100, objects: 0 });
  expect((await identity.accounts.get('acme')).quota.bytes).toBe(100);
});

it('a bucket has a limit of its own, on bytes and on objects', async () => {
  const { catalog, quotas, id, reopen } = await withAccount();
  await quotas.setLimit('acme', { bytes: 0, objects: 2 }, 'a');
  await put(catalog, quotas, id, 'a', amount(10 ** 12));
  const one = reserved(quotas, id, 'a', amount(5));
  expect(quotas.reserve(id, 'a', amount(5))).toMatchObject({ outcome: 'refused', of: 'bucket', what: 'objects', limit: 2 });
  expect(quotas.reserve(id, 'b', amount(5)).outcome).toBe('reserved');
  expect(one.extend({ bytes: 5, objects: 0 })).toBeNull();
  expect(one.extend({ bytes: 0, objects: 1 })).toMatchObject({ outcome: 'refused' });
  expect((await reopen()).limit(id, 'a')).toEqual({ bytes: 0, objects: 2 });
  await quotas.setLimit('acme', { bytes: 0, objects: 0 }, 'a');
  expect((await reopen()).limit(id, 'a')).toEqual({ bytes: 0, objects: 0 });
  await expect(quotas.setLimit('acme', { bytes: -1, objects: 0 })).rejects.toEqual(code('invalid'));
  await expect(quotas.setLimit('nobody', { bytes: 1, objects: 0 })).rejects.toEqual(code('not-found'));
});

it('a limit below what is there takes nothing away, and what only removes is never refused', async () => {
  const { catalog, quotas, id } = await withAccount();
  await put(catalog, quotas, id, 'a', amount(100));
  await quotas.setLimit('acme', { bytes: 10, objects: 1 });
  expect(quotas.reserve(id, 'a', amount(1, 0)).outcome).toBe('refused');
  await put(catalog, quotas, id, 'a', amount(-95, 0));
  await put(catalog, quotas, id, 'a', amount(5, 0));
  expect(quotas.held(id).stored).toEqual(amount(10));
});

it('more than was reserved, and an end told twice, are bugs that are told', async () => {
  const { quotas, id } = await withAccount();
  const one = reserved(quotas, id, 'a', amount(5));
  expect(() => one.count(amount(6))).toThrow(RangeError);
  expect(() => one.extend(amount(-1))).toThrow(RangeError);
  const counting = one.count(amount(5));
  expect(() => one.count(amount(5))).toThrow(code('internal'));
  expect(await counting.settle({ outcome: 'conflict', key: 'another', revision: 1 })).toBe(false);
  await expect(counting.settle(null)).rejects.toEqual(code('internal'));
  expect(quotas.held(id).reserved).toEqual(amount(5));
});

it('a release while it is being committed waits for the outcome', async () => {
  const { quotas, id } = await withAccount();
  const one = reserved(quotas, id, 'a', amount(5));
  const counting = one.count(amount(5));
  one.release();
  expect(quotas.held(id).reserved).toEqual(amount(5));
  await counting.settle(null);
  expect(quotas.held(id)).toEqual({ stored: amount(0, 0), reserved: amount(0, 0) });
});

it('transactions under way at once do not conflict, and their shards become one again', async () => {
  const { catalog, quotas, id, reopen } = await withAccount();
  let conflicts = 0;
  await Promise.all(
    Array.from({ length: 50 }, async (_, index) => {
      const one = reserved(quotas, id, 'a', amount(index));
      const outcome = await one.commit(amount(index), ({ compares, writes }) => catalog.transact(compares, writes));
      if (outcome.outcome === 'conflict') conflicts += 1;
    }),
  );
  expect(conflicts).toBe(0);
  expect(quotas.held(id, 'a').stored).toEqual(amount(1225, 50));
  expect((await catalog.range(countedPrefix)).length).toBe(50);
  const merged = await reopen();
  expect(merged.held(id, 'a').stored).toEqual(amount(1225, 50));
  expect((await catalog.range(countedPrefix)).length).toBe(1);
  await put(catalog, merged, id, 'a', amount(-1225, -50));
  expect((await reopen()).held(id).stored).toEqual(amount(0, 0));
});

it('a bucket is forgotten with the transaction that removes it, and only an empty one', async () => {
  const { catalog, quotas, id, reopen } = await withAccount();
  await put(catalog, quotas, id, 'a', amount(5));
  expect(() => quotas.removal(id, 'a')).toThrow(code('conflict'));
  await put(catalog, quotas, id, 'a', amount(-5, -1));
  await quotas.setLimit('acme', { bytes: 5, objects: 0 }, 'a');
  const failed = quotas.removal(id, 'a');
  expect(() => quotas.reserve(id, 'a', amount(1))).toThrow(/is being deleted/);
  expect(await failed.settle({ outcome: 'conflict', key: 'another', revision: 1 })).toBe(false);
  await put(catalog, quotas, id, 'a', amount(5));
  await put(catalog, quotas, id, 'a', amount(-5, -1));
  const removal = quotas.removal(id, 'a');
  expect(await removal.settle(await catalog.transact(removal.compares, removal.writes))).toBe(true);
  expect((await catalog.range(countedPrefix)).length).toBe(0);
  expect((await reopen()).buckets(id)).toEqual([]);
  await put(catalog, quotas, id, 'a', amount(7));
  expect((await reopen()).held(id).stored).toEqual(amount(7));
});

it('a bucket whose counters a transaction has is not removed, and one that is removed is not counted any more', async () => {
  const { catalog, quotas, id, reopen } = await withAccount();
  // Two shards that add up to nothing.
  const both = [reserved(quotas, id, 'a', amount(5)), reserved(quotas, id, 'a', amount(0, 0))] as const;
  const countings = [both[0].count(amount(5)), both[1].count(amount(-5, -1))];
  for (const { compares, writes, settle } of countings) await settle(await catalog.transact(compares, writes));
  expect((await catalog.range(countedPrefix)).length).toBe(2);
  expect(quotas.held(id, 'a').stored).toEqual(amount(0, 0));
  const late = reserved(quotas, id, 'a', amount(0, 0));
  const last = reserved(quotas, id, 'a', amount(0, 0));
  const counting = late.count(amount(0, 0));
  expect(() => quotas.removal(id, 'a')).toThrow(code('conflict'));
  await counting.settle({ outcome: 'conflict', key: 'another', revision: 1 });
  const removal = quotas.removal(id, 'a');
  expect(() => late.count(amount(0, 0))).toThrow(code('conflict'));
  await removal.settle(await catalog.transact(removal.compares, removal.writes));
  expect(() => last.count(amount(0, 0))).toThrow(code('conflict'));
  expect((await reopen()).held(id).stored).toEqual(amount(0, 0));
});

const step = fc.record({
  bucket: fc.constantFrom('a', 'b', 'c'),
  reserve: fc.record({ bytes: fc.integer({ min: 0, max: 60 }), objects: fc.integer({ min: 0, max: 2 }) }),
  less: fc.integer({ min: 0, max: 200 }),
  fault: fc.constantFrom('none' as const, 'none' as const, 'none' as const, 'before' as const, 'after' as const),
  turns: fc.integer({ min: 1, max: 4 }),
  give: fc.boolean(),
});

it('whatever fails, no limit is passed, and what is counted is what was stored', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const { catalog, quotas, id, reopen } = await withAccount();
      await quotas.setLimit('acme', { bytes: 150, objects: 5 });
      await quotas.setLimit('acme', { bytes: 70, objects: 0 }, 'a');
      const within = (): void => {
        const all = quotas.held(id);
        expect(all.stored.bytes + all.reserved.bytes).toBeLessThanOrEqual(150);
        expect(all.stored.objects + all.reserved.objects).toBeLessThanOrEqual(5);
        const a = quotas.held(id, 'a');
        expect(a.stored.bytes + a.reserved.bytes).toBeLessThanOrEqual(70);
      };
      await Promise.all(
        steps.map(async ({ bucket, reserve, less, fault, turns, give }, index) => {
          const outcome = quotas.reserve(id, bucket, reserve);
          within();
          if (outcome.outcome === 'refused') return;
          const { reservation } = outcome;
          if (give) return reservation.release();
          const actual = { bytes: reserve.bytes - less, objects: reserve.objects };
          const outcomeOf = reservation.commit(actual, ({ compares, writes }) => {
            catalog.next = () => fault;
            catalog.turns = () => turns;
            // What is stored, in the same transaction: the truth that the counters are held to.
            const value = new TextEncoder().encode(JSON.stringify(actual));
            return catalog.transact(compares, [...writes, { key: `truth/${bucket}/${index}`, value }]);
          });
          await outcomeOf.catch(() => undefined);
          reservation.release();
          within();
          return undefined;
        }),
      );
      const truth = { bytes: 0, objects: 0 };
      for (const { value } of await catalog.range('truth/')) {
        const one = JSON.parse(new TextDecoder().decode(value)) as Amount;
        truth.bytes += one.bytes;
        truth.objects += one.objects;
      }
      expect(quotas.held(id)).toEqual({ stored: truth, reserved: amount(0, 0) });
      catalog.next = () => 'none';
      expect((await reopen()).held(id).stored).toEqual(truth);
    }),
    { numRuns: 40 },
  );
});
