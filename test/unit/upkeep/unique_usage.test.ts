import { expect, test } from 'vitest';

import { shelfKey } from '../../../src/catalog/object_keys.js';
import { encodeShelf } from '../../../src/catalog/shelf_records.js';
import { accountOfDomain, domainOfAccount } from '../../../src/identity/accounts.js';
import { UniqueUsage } from '../../../src/upkeep/unique_usage.js';
import { MemoryCatalog } from '../../harness/memory_catalog.js';

async function counting(measured: ReadonlyMap<number, number> | null) {
  const catalog = new MemoryCatalog();
  const shelves = [
    [{ pool: 'a', domain: domainOfAccount(1) }, 10],
    [{ pool: 'b', domain: domainOfAccount(1) }, 11],
    [{ pool: 'b', domain: domainOfAccount(2) }, 12],
    [{ pool: 'b', domain: domainOfAccount(null) }, 13],
    [{ pool: 'b', domain: null }, 14],
  ] as const;
  await catalog.transact(
    [],
    shelves.map(([place, id]) => ({ key: shelfKey(place, 0), value: encodeShelf({ id, next: 0 }) })),
  );
  const noted = new Map<number, number>();
  const told: string[] = [];
  const unique = new UniqueUsage({
    catalog,
    space: { distinctBytes: async () => measured },
    usage: { noteUnique: (account, bytes) => void noted.set(account, bytes) },
    accountOf: accountOfDomain,
    log: (_, message) => told.push(message),
    milliseconds: 1000,
  });
  return { unique, noted, told };
}

const measured = new Map([10, 11, 12, 13, 14].map((id) => [id, id * 1000]));

test('what shelves of an account hold counts for it, in all pools, and what is of nobody or of a pool for none', async () => {
  const { unique, noted } = await counting(measured);
  await unique.count();
  expect([...noted]).toEqual([
    [1, 21_000],
    [2, 12_000],
  ]);
});

test('where not all could be measured, or the daemon stops, nothing is noted', async () => {
  const cut = await counting(null);
  await cut.unique.count();
  const stopped = await counting(measured);
  stopped.unique.stop();
  await stopped.unique.count();
  expect([cut.noted.size, stopped.noted.size, cut.told, stopped.told]).toEqual([0, 0, [], []]);
});
