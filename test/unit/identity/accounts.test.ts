import { expect, it } from 'vitest';

import { accountPrefix } from '../../../src/catalog/keys.js';
import { MemoryCatalog } from './memory_catalog.js';
import { openWorld, reopen } from './world.js';

const code = (what: string) => expect.objectContaining({ code: what });

it('an account has an id, a number, a canonical id, a domain and a root user of its own, also after a restart', async () => {
  const world = await openWorld();
  const { accounts, users } = world.identity;
  const acme = await accounts.create('acme', { displayName: 'Acme Ltd' });
  expect(acme).toMatchObject({ name: 'acme', displayName: 'Acme Ltd', state: 'active', quota: { bytes: 0, objects: 0 } });
  expect(acme.canonicalId).toMatch(/^[0-9a-f]{64}$/);
  expect(acme.accountNumber).toMatch(/^[1-9]\d{11}$/);
  const other = await accounts.create('other');
  for (const field of ['id', 'canonicalId', 'accountNumber', 'domain'] as const) expect(other[field]).not.toBe(acme[field]);
  expect(await users.list('acme')).toMatchObject([{ name: 'root', root: true }]);

  const again = (await reopen(world)).identity.accounts;
  expect(await again.get('acme')).toEqual(acme);
  expect(await again.get(acme.id)).toEqual(acme);
  expect(await again.byNumber(acme.accountNumber)).toEqual(acme);
  expect(await again.byCanonicalId(acme.canonicalId)).toEqual(acme);
  expect(await again.byCanonicalId('nobody')).toBeNull();
  expect((await again.create('third')).id).toBe(other.id + 1);
});

it('secrets of accounts differ, stay, and are not in the catalog as they are', async () => {
  const world = await openWorld();
  const { accounts } = world.identity;
  const ids = [(await accounts.create('a')).id, (await accounts.create('b')).id];
  const secrets = await Promise.all(ids.map((id) => accounts.secrets(id)));
  const keys = secrets.flatMap(({ domainKey, encryptionKey }) => [domainKey, encryptionKey].map((key) => Buffer.from(key)));
  expect(keys.map((key) => key.length)).toEqual([32, 32, 32, 32]);
  expect(new Set(keys.map((key) => key.toString('hex'))).size).toBe(4);
  const values = (await world.catalog.range('')).map(({ value }) => Buffer.from(value));
  for (const key of keys) expect(values.some((value) => value.includes(key))).toBe(false);
  expect(await (await reopen(world)).identity.accounts.secrets('a')).toEqual(secrets[0]);
});

it('of many who create one name at once, one wins', async () => {
  const { accounts } = (await openWorld()).identity;
  const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => accounts.create('acme')));
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  for (const outcome of outcomes) if (outcome.status === 'rejected') expect(outcome.reason).toEqual(code('exists'));
  const many = await Promise.all(Array.from({ length: 8 }, (_, index) => accounts.create(`account-${index}`)));
  expect(new Set(many.map(({ id }) => id)).size).toBe(8);
});

it('of a rename and a creation of one name, one wins, and the old name is free', async () => {
  const { accounts } = (await openWorld()).identity;
  const { id } = await accounts.create('old');
  const [renamed, created] = await Promise.allSettled([accounts.rename('old', 'new'), accounts.create('new')]);
  expect([renamed.status, created.status].toSorted()).toEqual(['fulfilled', 'rejected']);
  if (renamed.status === 'rejected') await accounts.rename('old', 'newer');
  const free = await accounts.create('old');
  expect(free.id).not.toBe(id);
  expect((await accounts.rename('old', 'old')).id).toBe(free.id);
  await expect(accounts.rename('old', 'new')).rejects.toEqual(code('exists'));
});

it('lists by name, page by page', async () => {
  const { accounts } = (await openWorld()).identity;
  for (const name of ['c', 'a', 'b']) await accounts.create(name);
  expect((await accounts.list()).map(({ name }) => name)).toEqual(['a', 'b', 'c']);
  expect((await accounts.list({ after: 'a', accountsMax: 1 })).map(({ name }) => name)).toEqual(['b']);
});

it('bad names are refused with the rule that they break', async () => {
  const { accounts, users } = (await openWorld()).identity;
  await expect(accounts.create('')).rejects.toThrow(/it is empty/);
  await expect(accounts.create('Acme')).rejects.toThrow(/"A" is not allowed, only a-z/);
  await expect(accounts.create('a:b')).rejects.toThrow(/":" is not allowed/);
  await expect(accounts.create('-a')).rejects.toThrow(/begin and end/);
  await expect(accounts.create('a'.repeat(65))).rejects.toThrow(/at most 64/);
  await expect(accounts.create('a', { displayName: 'a\nb' })).rejects.toEqual(code('invalid'));
  await accounts.create('a');
  await expect(users.create('a', 'b c')).rejects.toThrow(/" " is not allowed/);
  expect(await users.create('a', 'Ann@example.org')).toMatchObject({ root: false });
});

it('a deletion is refused while anything is in it, and takes all that is its own', async () => {
  let held: string | null = '1 bucket';
  const world = await openWorld({ holds: async () => held });
  const { identity, catalog } = world;
  await identity.accounts.create('acme');
  await identity.users.create('acme', 'ann');
  const { accessKey } = await identity.keys.create('acme', 'ann');
  await identity.quotas.setLimit('acme', { bytes: 5, objects: 0 }, 'photos');
  await expect(identity.removeAccount('acme')).rejects.toThrow(/account acme cannot be deleted: it has 1 bucket/);
  expect((await identity.accounts.get('acme')).state).toBe('active');
  expect(await identity.keys.byAccessKey(accessKey)).not.toBeNull();

  held = null;
  identity.keys.noteUse(accessKey);
  await identity.flush();
  await identity.removeAccount('acme');
  expect(await identity.keys.byAccessKey(accessKey)).toBeNull();
  await expect(identity.accounts.get('acme')).rejects.toEqual(code('not-found'));
  const left = (await catalog.range('')).map(({ key }) => key);
  expect(left).toEqual(['counter/account', 'identity/check']);
});

it('nothing comes to be in an account whose deletion has begun', async () => {
  let asked: (() => void) | undefined;
  let answer: ((held: string | null) => void) | undefined;
  const beingAsked = new Promise<void>((resolve) => (asked = resolve));
  const { identity } = await openWorld({
    holds: () => {
      asked?.();
      return new Promise((resolve) => (answer = resolve));
    },
  });
  await identity.accounts.create('acme');
  const removed = identity.removeAccount('acme');
  await beingAsked;
  for (const attempt of [
    identity.keys.create('acme'),
    identity.users.create('acme', 'ann'),
    identity.quotas.setLimit('acme', { bytes: 1, objects: 1 }),
  ])
    await expect(attempt).rejects.toThrow(/is being deleted/);
  answer?.(null);
  await removed;
});

it('a deletion that a kill interrupted is finished by asking again, or taken back', async () => {
  const world = await openWorld({ holds: () => new Promise(() => {}) });
  await world.identity.accounts.create('acme');
  void world.identity.removeAccount('acme').catch(() => undefined);
  await expect.poll(async () => (await world.identity.accounts.get('acme')).state).toBe('deleting');
  const { identity, catalog } = await reopen(world, true);
  expect((await identity.accounts.resume('acme')).state).toBe('active');
  await identity.removeAccount('acme');
  expect(await catalog.range(accountPrefix)).toEqual([]);
});

it('a deletion that was taken back and begun anew is not finished by the one before', async () => {
  const answers: ((held: string | null) => void)[] = [];
  const { identity } = await openWorld({ holds: () => new Promise((resolve) => answers.push(resolve)) });
  await identity.accounts.create('acme');
  const first = identity.removeAccount('acme');
  await expect.poll(() => answers.length).toBe(1);
  await identity.accounts.resume('acme');
  const second = identity.removeAccount('acme');
  await expect.poll(() => answers.length).toBe(2);
  answers[0]?.(null);
  await expect(first).rejects.toEqual(code('conflict'));
  answers[1]?.('1 bucket');
  await expect(second).rejects.toThrow(/it has 1 bucket/);
  expect((await identity.accounts.get('acme')).state).toBe('active');
});

it('where it cannot be told what is in an account, it stays as it was', async () => {
  const { identity } = await openWorld({ holds: () => Promise.reject(new Error('the pool is away')) });
  await identity.accounts.create('acme');
  await identity.accounts.suspend('acme');
  await expect(identity.removeAccount('acme')).rejects.toThrow(/the pool is away/);
  expect((await identity.accounts.get('acme')).state).toBe('suspended');
});

it('a creation that read before a rename to its name committed does not take the name from it', async () => {
  const catalog = new MemoryCatalog();
  const { accounts } = (await openWorld({ catalog })).identity;
  const { id } = await accounts.create('old');
  const renames: Promise<unknown>[] = [];
  catalog.turns = () => {
    if (renames.length > 0) return 1;
    // The creation has read all that it reads, and is slow from here on.
    renames.push(accounts.rename('old', 'new'));
    return 10;
  };
  await expect(accounts.create('new')).rejects.toEqual(code('exists'));
  await Promise.all(renames);
  expect((await accounts.list()).map((account) => [account.name, account.id])).toEqual([['new', id]]);
});
